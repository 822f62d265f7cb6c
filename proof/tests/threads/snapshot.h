/* SPDX-License-Identifier: MIT */
/*
 * The state of a run, kept while a child of a fork runs in its place, and put back when that has
 * ended: much cheaper than a fork of the system, which copies page after page, twice.
 */
#ifndef PAWL_TESTS_THREADS_SNAPSHOT_H
#define PAWL_TESTS_THREADS_SNAPSHOT_H

#include <stddef.h>

void snapshot_start(void);
/* Not on a stack of the run. */
void snapshot_take(void);
void snapshot_put_back(void);

/* What each part of the harness keeps, by calls of snapshot_keep. */
void snapshot_keep(void *from, size_t size);
void sched_keep(void);
void memory_keep(void);
void order_keep(void);
void atomics_keep(void);
void files_keep(void);
void loop_keep(void);
void process_keep(void);
void run_keep(void);
/* Before all is put back: what the child alone has touched is as if nobody had. */
void memory_forget_child(void);

#endif
