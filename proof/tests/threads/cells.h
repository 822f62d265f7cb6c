/* SPDX-License-Identifier: MIT */
/* What memory.c and those who watch memory share. */
#ifndef PAWL_TESTS_THREADS_CELLS_H
#define PAWL_TESTS_THREADS_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness.h"

#define CELLS        4           /* for each word of eight bytes */
#define CELL_FREED   0xffffffffu /* in the first of them */
#define CELL_NOWHERE 0xfffffffeu

/* A cell: 5 bits thread, 18 bits clock, 8 bits bytes, 1 bit write. */
#define CELL(thread, clock, bytes, write)                                                          \
    ((uint32_t)(thread) << 27 | ((uint32_t)(clock)&0x3ffffu) << 9 | (uint32_t)(bytes) << 1 |       \
     (uint32_t)(write))
#define CELL_THREAD(c) ((c) >> 27)
#define CELL_CLOCK(c)  (((c) >> 9) & 0x3ffffu)
#define CELL_BYTES(c)  (((c) >> 1) & 0xffu)
#define CELL_WRITES(c) ((c)&1u)

/* The cells of one word, side by side. */
typedef uint32_t cells_of_word __attribute__((vector_size(CELLS * sizeof(uint32_t)), may_alias));

/* Stacks first, then heaps, at fixed addresses. */
#define BASE        UINT64_C(0x200000000000)
#define HEAP_SIZE   ((size_t)4 * 1024 * 1024)
#define STACKS_SIZE (THREADS_MAX * STACK_SIZE)
#define REGION_SIZE (STACKS_SIZE + THREADS_MAX * HEAP_SIZE)
#define CELLS_BASE  UINT64_C(0x300000000000) /* CELLS for each word of the region */

typedef struct shadow {
    uint32_t *static_cells;
    size_t static_size;
    uintptr_t stack_low[THREADS_MAX]; /* how far down each stack was touched */
} shadow;

extern shadow *memory_shadow;
extern char __data_start[], _end[];

/* The thread in whose stack it lies, or -1. */
static inline int memory_stack_owner(uintptr_t address)
{
    if (address - BASE >= STACKS_SIZE) return -1;
    int id = (int)((address - BASE) / STACK_SIZE);
    uintptr_t *low = &memory_shadow->stack_low[id];
    if (address < *low) *low = address & ~(uintptr_t)7;
    return id;
}

/* The cells of the word that holds the address; NULL: not watched. */
static inline uint32_t *memory_cells(uintptr_t address)
{
    if (address - BASE < REGION_SIZE) return (uint32_t *)CELLS_BASE + (address - BASE) / 8 * CELLS;
    const shadow *m = memory_shadow;
    size_t in_statics = address - (uintptr_t)__data_start;
    return in_statics < m->static_size ? m->static_cells + in_statics / 8 * CELLS : NULL;
}

bool memory_is_static(uintptr_t address);
/* Fails if the address was freed or never given out: for atomic accesses, which do not race. */
void access_memory_freed(uintptr_t address);
/* Fails if another thread may be at a block that is about to be freed, and marks it as freed. */
void access_block(uintptr_t address, size_t size);
/* The block is gone, and its history with it. */
void atomics_forget(uintptr_t address, size_t size);

#endif
