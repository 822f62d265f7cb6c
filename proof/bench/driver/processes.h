/* SPDX-License-Identifier: MIT */
/* Processes that share memory. The parent opens nothing: they connect by themselves. */
#ifndef BENCH_PROCESSES_H
#define BENCH_PROCESSES_H

#include <pthread.h>
#include <stddef.h>

/* Zeroed, and shared with all processes that are forked from now on. */
void *bench_shared_new(size_t size);

void bench_barrier_init(pthread_barrier_t *ret_barrier, unsigned parties);

/* Each runs process_main(number, userdata) and ends. One that fails ends all, also the parent. */
void bench_fork(int count, void (*process_main)(int number, void *userdata), void *userdata);

#endif
