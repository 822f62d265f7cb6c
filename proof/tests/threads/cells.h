/* SPDX-License-Identifier: MIT */
/* What memory.c and those who watch memory share. */
#ifndef PAWL_TESTS_THREADS_CELLS_H
#define PAWL_TESTS_THREADS_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CELLS        4           /* for each word of eight bytes */
#define CELL_FREED   0xffffffffu /* in the first of them */
#define CELL_NOWHERE 0xfffffffeu

/* The thread in whose stack it lies, or -1. */
int memory_stack_owner(uintptr_t address);
bool memory_is_static(uintptr_t address);
/* Fails if the address was freed or never given out: for atomic accesses, which do not race. */
void access_memory_freed(uintptr_t address);
/* What lay there is gone, and its history with it. */
void atomics_forget(uintptr_t address, size_t size);

#endif
