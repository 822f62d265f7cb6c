/* SPDX-License-Identifier: MIT */
/* Calls of a program that concern threads and the process: signals, fork, exit. */
#define _GNU_SOURCE
#include "run.h"

#include "files.h"

#include <unistd.h>

/* After a fork() with its handlers a child may use the library as any process. */
static void begin_anew(void)
{
    for (int i = 0; i < R->program->clients; i++)
        if (!R->clients[i].closing) pawl_client_close(R->clients[i].client);
    for (int i = 0; i < R->program->handles; i++)
        if (R->handles[i].lock && !R->handles[i].freed) pawl_lock_free(R->handles[i].lock);
    pawl_client *c;
    pawl_lock *lock;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.owner = "a child";
    if (pawl_client_open("memory:x", &opts, &c, NULL)) fail("child", "a child opens no client");
    if (pawl_lock_new(c, "a", 1, NULL, &lock)) fail("child", "a child makes no handle");
    int err = pawl_lock_acquire(lock, 10000);
    if (err) fail("child", "a child acquires no lock: %s", pawl_err_name(err));
    pawl_lock_free(lock);
    pawl_client_close(c);
}

static void in_child(void *arg)
{
    for (int i = 0; i < R->program->handles; i++) {
        handle_state *h = &R->handles[i];
        if (!h->lock || h->freed) continue;
        if (pawl_lock_is_held(h->lock)) fail("child", "a child holds its parent's lock");
        int err = pawl_lock_acquire(h->lock, 10);
        if (err != PAWL_ERR_FORKED) fail("child", "an acquisition in a child ended with %d", err);
        (void)pawl_lock_release(h->lock);
        pawl_token token;
        pawl_lock_token(h->lock, &token);
    }
    const op *o = arg;
    if (o->kind == OP_FORK && !R->clients[0].gone) begin_anew();
    process_exit();
}

/* Who waits for a client watches the program's own descriptor, too. */
static void tell_waiter(void)
{
    static const uint64_t one = 1;
    if (R->descriptor >= 0 && write(R->descriptor, &one, sizeof one) != sizeof one)
        fail("harness", "a descriptor cannot be written");
}

static int exit_process(void)
{
    if (R->exiting) return PAWL_OK; /* undefined for two threads */
    R->exiting = true;
    int64_t jumps = S->jumps;
    process_exit();
    bool had_time_out = S->jumps != jumps;
    /* Who stands still in the loop of such a client has it, and nobody else can send. */
    if (!R->has_client_without_thread || !run_stands_still()) check_owed_none("at exit");
    if (!had_time_out) check_caches("the process");
    sched_end();
}

int run_op_process(const op *o)
{
    switch (o->kind) {
    case OP_SIGNAL:
        if (R->user_ids[o->target]) S->threads[R->user_ids[o->target]].signal_waits = true;
        return PAWL_OK;
    case OP_CANCEL_THREAD:
        if (R->user_ids[o->target]) S->threads[R->user_ids[o->target]].cancel_waits = true;
        return PAWL_OK;
    case OP_FORK:
    case OP_BARE_FORK:
        process_fork(o->kind == OP_FORK, o->ms > 5, in_child, (void *)(uintptr_t)o);
        return PAWL_OK;
    case OP_EXIT:
        return exit_process();
    case OP_HOLD:
        sched_wait("holds", o, run_never, NULL, S->now + (o->ms < 0 ? 700 : o->ms) * MS);
        tell_waiter();
        return PAWL_OK;
    default:
        return PAWL_OK;
    }
}
