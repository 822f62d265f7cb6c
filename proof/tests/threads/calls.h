/* SPDX-License-Identifier: MIT */
/* What the files of the calls share. */
#ifndef PAWL_TESTS_THREADS_CALLS_H
#define PAWL_TESTS_THREADS_CALLS_H

#include "run.h"

static inline int client_of(int handle)
{
    return R->program->handle[handle].client;
}

/*
 * A call may be late by as long as a thread stands still in a handler inside pawl while the call is
 * on its way (pawl.h, "Threads"): also if it began while one stood there.
 */
#define EXCUSED (-1)

static inline int64_t stalled_so_far(void)
{
    return run_stands_still() ? EXCUSED : R->stalled;
}

/* 0, 1 or 5 ms: the thread that looks does not sleep, or sleeps beside the others. */
static inline int look_ms_of(int ms)
{
    return ms == 0 ? 0 : ms < 0 ? 1 : 5;
}

/* The thread holds a composed lock for a moment, and nobody else of `holders` does. */
void hold_alone(const pawl_lock **holders, const pawl_lock *lock);
/* A wait at a barrier has ended. is_judged: it was told of others who had given up there. */
void gathering_over(const gathering *mine, bool is_judged);
/* Who is in a call on a handle; NULL: it was freed. */
handle_state *handle_enter(int handle);
void handle_leave(handle_state *h);
/* calls_composed.c, calls_handle.c: the call itself. */
int run_op_composed(const op *o);
int run_op_started(const op *o);
int run_op_handle(const op *o);

#endif
