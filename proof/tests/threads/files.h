/* SPDX-License-Identifier: MIT */
/* Descriptors, event loops and the process: what main.c and the programs set. */
#ifndef PAWL_TESTS_THREADS_FILES_H
#define PAWL_TESTS_THREADS_FILES_H

#include "harness.h"

size_t files_size(void);
void files_start(void *room);
size_t loop_size(void);
void loop_start(void *room);
size_t process_size(void);
void process_start(void *room);

/* The pawl_store_ops of the module pawl-store-hostile.so. */
void files_offer_module(const void *ops);
void files_set_processors(unsigned count);
/* When the first event of a loop that is being slept in times out. */
int64_t loop_next_timer(void);

/*
 * fork() with its handlers, or without; the child runs child(arg) and ends. fails: the handlers
 * run, but the system has no room for a child.
 */
void process_fork(bool handlers, bool fails, void (*child)(void *), void *arg);
/* exit(): its handlers, while the others go on. */
void process_exit(void);

#endif
