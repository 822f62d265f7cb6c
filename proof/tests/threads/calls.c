/* SPDX-License-Identifier: MIT */
/*
 * The calls of a program, each only when the library's documentation allows it: a handle is not
 * freed while another thread uses it, a client is used as long as a handle of it is left.
 */
#define _GNU_SOURCE
#include "calls.h"

#include "files.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct call {
    int64_t since, jumps, stalled;
} call;

#define SLACK_MS   20
#define GIVE_UP_MS 100 /* more for a question that the store should have answered, and does not */

/* ---- Each call is seen in the timeline, and is over in time
 * -------------------------------------------- */

static call begin(const op *o)
{
    static const char *const on[] = {"handle", "client", "user"};
    bool user = o->kind == OP_SIGNAL || o->kind == OP_CANCEL_THREAD;
    bool client = (o->kind >= OP_CAPS && o->kind <= OP_DOCTOR) || o->kind == OP_MESSAGE ||
                  o->kind == OP_DISPATCH || o->kind == OP_WAIT || o->kind == OP_CLOSE ||
                  o->kind >= OP_ONCE;
    trace(true, "%s %s %d, %d ms", op_name(o->kind), on[user ? 2 : client], o->target, o->ms);
    R->calls++;
    return (call){.since = S->now, .jumps = S->jumps, .stalled = stalled_so_far()};
}

/* A try waits for the answer, and only a good store gives it at once. */
static int limit_of_wait(const op *o)
{
    return o->ms == 0 && !R->timely ? STORE_TIMEOUT_MS : o->ms;
}

static int limit_of_question(const op *o)
{
    bool may_be_given_up = o->ms >= 0 && R->program->habits.never;
    return limit_of_wait(o) + (may_be_given_up ? GIVE_UP_MS : 0);
}

/* How long it may last, in ms, whatever the store does; -1: as long as it likes. */
static int limit_of(const op *o)
{
    switch (o->kind) {
    case OP_ACQUIRE:
    case OP_UPGRADE:
        return limit_of_wait(o);
    case OP_CAPS:
    case OP_INSPECT:
    case OP_LIST:
    case OP_DOCTOR:
    case OP_TOKEN_CHECK:
    case OP_TOKEN_RENEW:
    case OP_TOKEN_RELEASE:
        return limit_of_question(o);
    case OP_RELEASE_WAIT:
    case OP_WAIT:
        return o->ms;
    case OP_LOOK:
    case OP_RELEASE_LOOK:
        return look_ms_of(o->ms);
    case OP_CLOSE:
    case OP_CLOSE_LAST:
        return R->program->close_timeout_ms;
    case OP_HOLD:
    case OP_DISPATCH:
    case OP_BREAK: /* two calls */
    case OP_WITH_LOCK:
    case OP_FORK:
    case OP_BARE_FORK:
    case OP_EXIT:
        return -1;
    default:
        return o->kind < OP_ONCE ? 0 : -1;
    }
}

static void end(const call *c, const op *o, int result)
{
    trace(true, "%s = %d", op_name(o->kind), result);
    int limit = limit_of(o);
    bool stands_still = R->stalled != c->stalled;
    if (limit < 0 || stands_still || R->exiting) return;
    int64_t took = S->now - c->since - (S->jumps - c->jumps);
    if (took > (limit + SLACK_MS) * MS)
        fail("late", "%s took %lld ms, its limit was %d ms", op_name(o->kind),
             (long long)(took / MS), limit);
}

handle_state *handle_enter(int handle)
{
    handle_state *h = &R->handles[handle];
    if (!h->lock || h->freed) return NULL;
    h->users++;
    h->calls++;
    return h;
}

void handle_leave(handle_state *h)
{
    order_release(h); /* a program that frees it afterwards has seen to that */
    order_release(&R->clients[client_of((int)(h - R->handles))]);
    h->users--;
    if (!S->in_child) check_depth((int)(h - R->handles));
}

/* ---- On clients
 * --------------------------------------------------------------------------------------------------
 */

static bool see_info(const pawl_info *info, void *userdata)
{
    uint64_t *ret_fence = userdata;
    if (ret_fence) *ret_fence = info->fence;
    return true;
}

static bool see_row(const pawl_info *info, void *userdata)
{
    int *seen = userdata;
    if (info->name[0] > 'b') return true;
    if (++seen[info->name[0] == 'b'] > 1) fail("rows", "a list shows %s twice", info->name);
    return true;
}

static void see_finding(const pawl_finding *finding, void *userdata)
{
    (void)finding;
    (void)userdata;
}

static int break_lock(pawl_client *c, const op *o)
{
    uint64_t fence = 0;
    int err = pawl_inspect(c, "a", 1, o->ms, see_info, &fence);
    if (err || R->clients[o->target].gone) return err; /* closed between the two calls */
    return pawl_break(c, "a", 1, fence, o->ms);
}

static int dispatch(const op *o)
{
    pawl_client *c = R->clients[o->target].client;
    if (R->clients[o->target].closing) return 0;
    sched_point("may dispatch", c, false);
    return pawl_client_dispatch(c);
}

/* Some waits are for news of the program's own as well. */
static int wait_for_client(pawl_client *c, int ms)
{
    uint64_t count;
    bool watches = R->descriptor >= 0 && (ms == 5 || ms == 40);
    int err = pawl_client_wait(c, watches ? R->descriptor : -1, ms < 0 ? 50 : ms);
    if (watches && read(R->descriptor, &count, sizeof count) < 0)
        trace(false, "there is no news of the program's own");
    return err;
}

static bool has_handles(int at)
{
    for (int i = 0; i < R->program->handles; i++)
        if (client_of(i) == at && !R->handles[i].freed) return true;
    return false;
}

static int close_client(int at)
{
    client_state *c = &R->clients[at];
    if (c->closing) return PAWL_OK;
    c->closing = true;
    if (!has_handles(at)) c->gone = true; /* nothing keeps it but those who are in it */
    order_acquire(c);
    pawl_client_close(c->client);
    if (c->callbacks > 0) fail("callback after close", "a callback of client %d still runs", at);
    c->closed = true;
    check_traced(at);
    return PAWL_OK;
}

/* Whether whoever is in a call on the client has come so far that it may be closed under him. */
static bool all_are_inside(int at)
{
    if (law_somebody_cancels()) return false; /* and enters its own client only then */
    for (int i = 0; i < S->count; i++)
        if (R->clients[at].inside[i] && !(S->threads[i].ready && S->threads[i].interruptible))
            return false;
    for (int i = 0; i < R->program->handles; i++)
        if (client_of(i) == at && R->handles[i].users > 0) return false;
    return R->clients[at].callbacks == 0;
}

/* No handle is left: only calls that still run keep the client. */
static int close_last(int at)
{
    if (R->clients[at].closing || R->clients[at].inside[S->current] || !all_are_inside(at))
        return PAWL_OK;
    pawl_lock *left[HANDLES_MAX] = {0};
    R->clients[at].gone = true;
    order_acquire(&R->clients[at]);
    for (int i = 0; i < R->program->handles; i++) {
        handle_state *h = &R->handles[i];
        if (client_of(i) != at || h->freed) continue;
        h->users++; /* its callbacks may run until it is freed */
        h->freed = true;
        left[i] = h->lock;
        order_acquire(h);
    }
    for (int i = 0; i < R->program->handles; i++) {
        if (!left[i]) continue;
        pawl_lock_free(left[i]);
        R->handles[i].users--;
    }
    return close_client(at);
}

static int on_client(const op *o)
{
    if (o->kind >= OP_ONCE) return run_op_composed(o);
    pawl_client *c = R->clients[o->target].client;
    pawl_caps caps = {.size = sizeof caps};
    char message[PAWL_MESSAGE_MAX];
    switch (o->kind) {
    case OP_CAPS:
        return pawl_client_caps(c, o->ms, &caps);
    case OP_INSPECT:
        return pawl_inspect(c, "a", 1, o->ms, see_info, NULL);
    case OP_LIST:
        return pawl_list(c, "", 0, o->ms, see_row, (int[2]){0});
    case OP_DOCTOR:
        return pawl_doctor(c, o->ms, see_finding, NULL);
    case OP_BREAK:
        return break_lock(c, o);
    case OP_MESSAGE:
        pawl_client_message(c, message);
        pawl_client_reason(c, PAWL_ERR_UNAVAILABLE, message);
        return PAWL_OK;
    case OP_DISPATCH:
        return dispatch(o);
    case OP_WAIT:
        return wait_for_client(c, o->ms);
    default:
        return close_client(o->target);
    }
}

/* ---- All in one call
 * ------------------------------------------------------------------------------------------ */

/* What runs under a lock that pawl_with_lock has taken: no handle of ours holds that name. */
static void work(pawl_lock *lock, void *userdata)
{
    int name = *(const int *)userdata;
    self()->cancel_off = true; /* a canceled thread would leave the client of the call behind */
    check_exclusion_beside(lock, name);
    if (pawl_lock_fence(lock) == 0) fail("fence", "work runs under a lock without a fence");
    sched_wait("works", userdata, run_never, NULL, S->now + 3 * MS);
}

static int with_lock(const op *o)
{
    int name = R->program->handle[o->target].name;
    const char *url = R->program->client[client_of(o->target)].spied ? "hostile:x" : "memory:x";
    bool cancel_off = self()->cancel_off;
    self()->cancel_off = true;
    int err = pawl_with_lock(url, name ? "b" : "a", o->ms < 0 ? 500 : o->ms, work, &name, NULL);
    self()->cancel_off = cancel_off;
    if (err == PAWL_ERR_ARGUMENT || err == PAWL_ERR_FORKED || err == PAWL_ERR_NOT_HELD ||
        err == PAWL_ERR_STATE)
        fail("error", "work under a lock ended with %s", pawl_err_name(err));
    return err;
}

/* ---- All
 * ----------------------------------------------------------------------------------------------------------------
 */

void run_op(const op *o)
{
    call c = begin(o);
    int result;
    switch (o->kind) {
    case OP_CAPS:
    case OP_INSPECT:
    case OP_LIST:
    case OP_DOCTOR:
    case OP_BREAK:
    case OP_MESSAGE:
    case OP_DISPATCH:
    case OP_WAIT:
    case OP_ONCE:
    case OP_LEAD:
    case OP_OBSERVE:
    case OP_LATCH:
    case OP_BARRIER:
    case OP_GATHER:
    case OP_ONCE_START:
    case OP_LEAD_START:
    case OP_LATCH_START:
    case OP_BARRIER_START:
    case OP_GATHER_START:
    case OP_CLOSE: {
        op within = *o;
        within.target = (uint8_t)(o->target % R->program->clients);
        if (R->clients[within.target].gone) return;
        R->clients[within.target].inside[S->current] = true;
        if (o->kind == OP_DISPATCH) R->clients[within.target].dispatching[S->current] = S->steps;
        result = on_client(&within);
        R->clients[within.target].inside[S->current] = false;
        R->clients[within.target].dispatching[S->current] = 0;
        order_release(&R->clients[within.target]);
        break;
    }
    case OP_CLOSE_LAST:
        result = close_last(o->target % R->program->clients);
        break;
    case OP_NOTHING:
    case OP_HOLD:
    case OP_SIGNAL:
    case OP_CANCEL_THREAD:
    case OP_FORK:
    case OP_BARE_FORK:
    case OP_EXIT:
        result = run_op_process(o);
        break;
    case OP_WITH_LOCK:
        result = with_lock(o);
        break;
    default:
        result = run_op_handle(o);
    }
    end(&c, o, result);
    sched_test_cancel();
}

void run_then(unsigned kind, int handle)
{
    if (kind == OP_NOTHING || S->in_child) return;
    op o = {.kind = (uint8_t)kind, .target = (uint8_t)handle, .ms = 5};
    bool cancel_off = self()->cancel_off;
    self()->cancel_off = true; /* a callback that is cancelled would never return to the library */
    run_op(&o);
    self()->cancel_off = cancel_off;
}
