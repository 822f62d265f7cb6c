/* SPDX-License-Identifier: MIT */
/* What the library calls in a program: callbacks, and a signal's handler. */
#define _GNU_SOURCE
#include "calls.h"

#include <stdio.h>

void run_callback_begins(int client)
{
    client_state *c = &R->clients[client];
    if (S->in_child) return;
    if (c->closed) fail("callback after close", "a callback of client %d runs", client);
    if (++c->callbacks > 1) fail("two callbacks", "two callbacks of client %d at once", client);
}

void run_callback_ends(int client)
{
    R->clients[client].callbacks--;
}

static void judge_time(const record *r)
{
    bool own = R->program->client[client_of(r->handle)].callbacks == PAWL_CALLBACKS_THREAD;
    if (!R->timely || !own || r->wait_ms < 0 || R->stalled != r->stalled) return;
    int64_t took = S->now - r->since - (S->jumps - r->jumps);
    if (took > (r->wait_ms + 50) * MS)
        fail("late", "an acquisition was told after %lld ms, its limit was %d ms",
             (long long)(took / MS), r->wait_ms);
}

/*
 * Nothing has happened by which a release could find the lock lost, or go without an answer. Who
 * stands still in the loop of a client that holds nothing keeps the answer from all (pawl.h,
 * "Threads"): then it is not known.
 */
static void judge_released(const record *r, int err)
{
    bool closing = R->clients[client_of(r->handle)].closing; /* it may not wait for the answer */
    bool unheard = err == PAWL_ERR_UNKNOWN && R->stalled == r->stalled;
    if (R->steady && !closing && (err == PAWL_ERR_LOST || unheard))
        fail("lost", "a release was answered %d, and nothing had happened", err);
}

void run_on_done(pawl_lock *lock, int err, void *userdata)
{
    record *r = userdata;
    (void)lock;
    run_callback_begins(client_of(r->handle));
    trace(true, "done(handle %d, %d)", r->handle, err);
    if (++r->times > 1) fail("told twice", "an operation was completed twice");
    if (r->kind == OP_START) R->handles[r->handle].starting--;
    if (r->kind == OP_START && err == PAWL_OK) R->handles[r->handle].depth++;
    if (r->kind != OP_RELEASE_START && err == PAWL_OK) check_exclusion();
    judge_time(r);
    if (r->kind == OP_RELEASE_START) judge_released(r, err);
    handle_callback_begins(&R->handles[r->handle]);
    run_then(r->then, r->handle);
    handle_callback_ends(&R->handles[r->handle]);
    run_callback_ends(client_of(r->handle));
}

void run_on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    handle_state *h = userdata;
    int handle = (int)(h - R->handles);
    (void)lock;
    run_callback_begins(client_of(handle));
    trace(true, "event(handle %d, %d)", handle, event->kind);
    if (h->freed && h->users == 0) fail("event after free", "an event of handle %d runs", handle);
    check_event(handle, event->kind);
    if (event->kind == PAWL_EVENT_LOST && ++h->lost > h->begun)
        fail("told twice", "handle %d was lost more often than acquired", handle);
    if (event->kind == PAWL_EVENT_LOST && R->steady)
        fail("lost", "handle %d was lost, and nothing had happened: %.100s", handle,
             event->message);
    handle_callback_begins(h);
    run_then(R->program->handle[handle].on_event, handle);
    handle_callback_ends(h);
    run_callback_ends(client_of(handle));
}

void run_on_log(pawl_client *client, pawl_severity severity, const char *text, void *userdata)
{
    int at = (int)((client_state *)userdata - R->clients);
    char message[PAWL_MESSAGE_MAX];
    (void)severity;
    run_callback_begins(at);
    trace(true, "log(client %d): %.40s", at, text);
    pawl_client_message(client, message);
    run_callback_ends(at);
}

void run_on_trace(pawl_client *client, const pawl_trace *event, void *userdata)
{
    int at = (int)((client_state *)userdata - R->clients);
    char text[PAWL_MESSAGE_MAX];
    run_callback_begins(at);
    pawl_trace_text(event, text);
    trace(true, "trace(client %d): %.60s", at, text);
    check_account(at, event);
    pawl_client_message(client, text); /* it may call what it likes */
    run_callback_ends(at);
}

/* A handler may call two functions, and take its time. */
bool run_never(const void *arg)
{
    (void)arg;
    return false;
}

void run_on_signal(void)
{
    for (int i = 0; i < R->program->handles; i++) {
        handle_state *h = handle_enter(i);
        if (!h) continue;
        (void)pawl_lock_is_held(h->lock);
        (void)pawl_lock_remaining_ms(h->lock);
        handle_leave(h);
    }
    /* With a mutex nobody could go on for it. In the middle of a turn nobody renews for it. */
    bool may = self()->interruptible || (R->program->stalls_anywhere && self()->locks == 0);
    if (!R->program->stall_ms || !may) return;
    R->stalled += R->program->stall_ms;
    sched_wait("stands still in a handler", R, run_never, NULL, S->now + R->program->stall_ms * MS);
}
