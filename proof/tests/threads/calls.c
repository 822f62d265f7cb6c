/* SPDX-License-Identifier: MIT */
/*
 * The calls of a program, each only when the library's documentation allows it: a handle is not
 * freed while another thread uses it, a client is used as long as a handle of it is left.
 */
#define _GNU_SOURCE
#include "world.h"

#include "files.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

typedef struct call {
    int64_t since, jumps, stalled;
    int wait_ms;
} call;

/* ---- Each call is seen in the timeline, and is over in time
 * -------------------------------------------- */

/*
 * A call may be late by as long as a thread stands still in a handler inside pawl while the call is
 * on its way (pawl.h, "Threads"): also if it began while one stood there.
 */
#define EXCUSED (-1)

static int64_t stalled_so_far(void)
{
    return world_stands_still() ? EXCUSED : W->stalled;
}

static call begin(const op *o)
{
    static const char *const on[] = {"handle", "client", "user"};
    bool user = o->kind == OP_SIGNAL || o->kind == OP_CANCEL_THREAD;
    bool client = (o->kind >= OP_CAPS && o->kind <= OP_DOCTOR) || o->kind == OP_MESSAGE ||
                  o->kind == OP_DISPATCH || o->kind == OP_WAIT || o->kind == OP_CLOSE;
    trace(true, "%s %s %d, %d ms", op_name(o->kind), on[user ? 2 : client], o->target, o->ms);
    W->calls++;
    return (call){
        .since = S->now, .jumps = S->jumps, .stalled = stalled_so_far(), .wait_ms = o->ms};
}

static void end(const call *c, const op *o, int result)
{
    trace(true, "%s = %d", op_name(o->kind), result);
    if (!W->timely || c->wait_ms < 0 || W->stalled != c->stalled) return;
    int64_t took = S->now - c->since - (S->jumps - c->jumps);
    int64_t bound = (c->wait_ms + 20) * MS;
    if (o->kind == OP_CLOSE) bound = (W->program->close_timeout_ms + 20) * MS;
    if (took > bound)
        fail("late", "%s took %lld ms, its limit was %d ms", op_name(o->kind),
             (long long)(took / MS), c->wait_ms);
}

static int client_of(int handle)
{
    return W->program->handle[handle].client;
}

static handle_state *enter(int handle)
{
    handle_state *h = &W->handles[handle];
    if (!h->lock || h->freed) return NULL;
    h->users++;
    h->calls++;
    return h;
}

static void leave(handle_state *h)
{
    order_release(h); /* a program that frees it afterwards has seen to that */
    order_release(&W->clients[client_of((int)(h - W->handles))]);
    h->users--;
    if (!S->in_child) check_depth((int)(h - W->handles));
}

/* What was given back, be it that the lock had been lost before. */
static void count_release(handle_state *h, int err)
{
    if (err == PAWL_OK || err == PAWL_ERR_LOST || err == PAWL_ERR_UNKNOWN) h->depth--;
}

/* ---- What the library calls
 * ------------------------------------------------------------------------------ */

static void callback_begins(int client)
{
    client_state *c = &W->clients[client];
    if (S->in_child) return;
    if (c->closed) fail("callback after close", "a callback of client %d runs", client);
    if (++c->callbacks > 1) fail("two callbacks", "two callbacks of client %d at once", client);
}

static void callback_ends(int client)
{
    W->clients[client].callbacks--;
}

static void judge_time(const record *r)
{
    bool own = W->program->client[client_of(r->handle)].callbacks == PAWL_CALLBACKS_THREAD;
    if (!W->timely || !own || r->wait_ms < 0 || W->stalled != r->stalled) return;
    int64_t took = S->now - r->since - (S->jumps - r->jumps);
    if (took > (r->wait_ms + 50) * MS)
        fail("late", "an acquisition was told after %lld ms, its limit was %d ms",
             (long long)(took / MS), r->wait_ms);
}

void world_done(pawl_lock *lock, int err, void *userdata)
{
    record *r = userdata;
    (void)lock;
    callback_begins(client_of(r->handle));
    trace(true, "done(handle %d, %d)", r->handle, err);
    if (++r->times > 1) fail("told twice", "an operation was completed twice");
    if (r->kind == OP_START) W->handles[r->handle].starting--;
    if (r->kind == OP_START && err == PAWL_OK) W->handles[r->handle].depth++;
    if (r->kind != OP_RELEASE_START && err == PAWL_OK) check_exclusion();
    judge_time(r);
    bool closing = W->clients[client_of(r->handle)].closing; /* it may not wait for the answer */
    bool is_release = r->kind == OP_RELEASE_START;
    if (W->steady && !closing && is_release && (err == PAWL_ERR_LOST || err == PAWL_ERR_UNKNOWN))
        fail("lost", "a release was answered %d, and nothing had happened", err);
    handle_callback_begins(&W->handles[r->handle]);
    world_then(r->then, r->handle);
    handle_callback_ends(&W->handles[r->handle]);
    callback_ends(client_of(r->handle));
}

void world_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    handle_state *h = userdata;
    int handle = (int)(h - W->handles);
    (void)lock;
    callback_begins(client_of(handle));
    trace(true, "event(handle %d, %d)", handle, event->kind);
    if (h->freed && h->users == 0) fail("event after free", "an event of handle %d runs", handle);
    check_event(handle, event->kind);
    if (event->kind == PAWL_EVENT_LOST && ++h->lost > h->begun)
        fail("told twice", "handle %d was lost more often than acquired", handle);
    if (event->kind == PAWL_EVENT_LOST && W->steady)
        fail("lost", "handle %d was lost, and nothing had happened: %.100s", handle,
             event->message);
    handle_callback_begins(h);
    world_then(W->program->handle[handle].on_event, handle);
    handle_callback_ends(h);
    callback_ends(client_of(handle));
}

void world_log(pawl_client *client, pawl_severity severity, const char *text, void *userdata)
{
    int at = (int)((client_state *)userdata - W->clients);
    char message[PAWL_MESSAGE_MAX];
    (void)severity;
    callback_begins(at);
    trace(true, "log(client %d): %.40s", at, text);
    pawl_client_message(client, message);
    callback_ends(at);
}

void world_trace(pawl_client *client, const pawl_trace *event, void *userdata)
{
    int at = (int)((client_state *)userdata - W->clients);
    char text[PAWL_MESSAGE_MAX];
    callback_begins(at);
    pawl_trace_text(event, text);
    trace(true, "trace(client %d): %.60s", at, text);
    check_account(at, event);
    pawl_client_message(client, text); /* it may call what it likes */
    callback_ends(at);
}

/* A handler may call two functions, and take its time. */
bool world_never(const void *arg)
{
    (void)arg;
    return false;
}

void world_signal(void)
{
    for (int i = 0; i < W->program->handles; i++) {
        handle_state *h = enter(i);
        if (!h) continue;
        (void)pawl_lock_is_held(h->lock);
        (void)pawl_lock_remaining_ms(h->lock);
        leave(h);
    }
    /* With a mutex nobody could go on for it. In the middle of a turn nobody renews for it. */
    bool may = self()->interruptible || (W->program->stalls_anywhere && self()->locks == 0);
    if (!W->program->stall_ms || !may) return;
    W->stalled += W->program->stall_ms;
    sched_wait("stands still in a handler", W, world_never, NULL,
               S->now + W->program->stall_ms * MS);
}

/* ---- On handles
 * ---------------------------------------------------------------------------------------------- */

static record *new_record(int handle, unsigned then, op_kind kind)
{
    if (W->record_count == RECORDS_MAX) return NULL;
    record *r = &W->records[W->record_count++];
    *r = (record){.handle = handle,
                  .then = (uint8_t)then,
                  .kind = (uint8_t)kind,
                  .wait_ms = -1,
                  .since = S->now,
                  .jumps = S->jumps,
                  .stalled = stalled_so_far()};
    return r;
}

static void judge_acquired(int handle, int err)
{
    handle_state *h = &W->handles[handle];
    static const int never[] = {PAWL_ERR_ARGUMENT, PAWL_ERR_FORKED, PAWL_ERR_NOT_HELD,
                                PAWL_ERR_INTERNAL, PAWL_ERR_FENCE,  PAWL_ERR_SYSTEM};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (err == never[i]) fail("error", "an acquisition ended with %s", pawl_err_name(err));
    if (err) return;
    W->grants++;
    check_exclusion();
    if (h->users > 1 || h->begun > 1) return;
    if (pawl_lock_fence(h->lock) == 0) fail("fence", "a lock is held without a fence");
}

static int acquire(int handle, int ms)
{
    handle_state *h = &W->handles[handle];
    h->begun++;
    h->ended_at = 0;
    h->retained[0] = '\0';
    int err = pawl_lock_acquire(h->lock, ms);
    h->life = LIFE_UNKNOWN;
    if (!err) h->depth++;
    if (err == PAWL_ERR_LOST) h->miscounted = true;
    judge_acquired(handle, err);
    return err;
}

static int start(int handle, int ms, unsigned then)
{
    handle_state *h = &W->handles[handle];
    record *r = new_record(handle, then, OP_START);
    if (!r) return PAWL_OK;
    h->begun++;
    h->ended_at = 0;
    h->retained[0] = '\0';
    r->wait_ms = ms;
    r->started = true; /* it may be over before the call returns */
    h->starting++;
    int err = pawl_lock_acquire_start(h->lock, ms, world_done, r);
    if (err) h->starting--;
    h->life = LIFE_UNKNOWN;
    r->started = err == PAWL_OK;
    if (err && r->times) fail("told twice", "a call failed, and its callback ran");
    return err;
}

static void judge_released(int err)
{
    if (W->steady && err == PAWL_ERR_LOST)
        fail("lost", "a release was answered LOST, and nothing had happened");
}

static int release(int handle)
{
    handle_state *h = &W->handles[handle];
    pawl_token token;
    pawl_lock_token(h->lock, &token);
    bool held = pawl_lock_is_held(h->lock);
    int calls = h->calls, err = pawl_lock_release(h->lock);
    judge_released(err);
    count_release(h, err);
    bool inner = W->program->handle[handle].reentrant && (h->depth > 0 || h->starting > 0);
    bool alone = !err && held && h->users == 1 && h->calls == calls && !inner;
    if (alone && W->program->handle[handle].retain_ms)
        memcpy(h->retained, token.text, sizeof h->retained);
    else if (alone)
        owe_release(handle, &token);
    return err;
}

static int release_start(int handle, unsigned then)
{
    record *r = new_record(handle, then, OP_RELEASE_START);
    if (!r) return PAWL_OK;
    r->started = true;
    int err = pawl_lock_release_start(W->handles[handle].lock, world_done, r);
    r->started = err == PAWL_OK;
    if (err && r->times) fail("told twice", "a call failed, and its callback ran");
    judge_released(err);
    count_release(&W->handles[handle], err);
    return err;
}

static int release_wait(int handle, int ms)
{
    int err = pawl_lock_release_wait(W->handles[handle].lock, ms);
    judge_released(err);
    count_release(&W->handles[handle], err);
    return err;
}

static int detach(int handle)
{
    int err = pawl_lock_detach(W->handles[handle].lock);
    count_release(&W->handles[handle], err);
    return err;
}

/* ---- Another mode ---- */

static void judge_upgraded(int handle, uint64_t fence_before, int err)
{
    const handle_state *h = &W->handles[handle];
    static const int never[] = {PAWL_ERR_ARGUMENT, PAWL_ERR_FORKED, PAWL_ERR_INTERNAL,
                                PAWL_ERR_FENCE, PAWL_ERR_SYSTEM};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (err == never[i]) fail("error", "an upgrade ended with %s", pawl_err_name(err));
    if (err) return;
    check_exclusion();
    if (h->users == 1 && !h->callback_on && pawl_lock_fence(h->lock) < fence_before)
        fail("fence", "an upgrade made the fence of handle %d smaller", handle);
}

static int upgrade(int handle, int ms)
{
    handle_state before = W->handles[handle];
    uint64_t fence = pawl_lock_fence(before.lock);
    int err = pawl_lock_upgrade(before.lock, ms);
    judge_upgraded(handle, fence, err);
    if (err == PAWL_ERR_CANCELED) check_meant(handle, &before);
    return err;
}

static int upgrade_start(int handle, int ms, unsigned then)
{
    record *r = new_record(handle, then, OP_UPGRADE_START);
    if (!r) return PAWL_OK;
    r->wait_ms = ms;
    r->started = true;
    int err = pawl_lock_upgrade_start(W->handles[handle].lock, ms, world_done, r);
    r->started = err == PAWL_OK;
    if (err && r->times) fail("told twice", "a call failed, and its callback ran");
    return err;
}

static int downgrade(int handle, int ms)
{
    pawl_mode to = ms > 5 ? PAWL_MODE_SHARED : PAWL_MODE_UPDATE;
    return pawl_lock_downgrade(W->handles[handle].lock, to);
}

/* The first handle of each client stays to the end. */
static int free_handle(int handle)
{
    handle_state *h = &W->handles[handle];
    if (handle < W->program->clients || h->users > 1) return PAWL_OK;
    h->freed = true;
    order_acquire(h);
    bool runs = h->callback_on && h->callback_on != S->current + 1;
    int count = h->callback_count;
    pawl_lock_free(h->lock);
    if (runs && h->callback_on && h->callback_count == count)
        fail("event after free", "a callback of handle %d runs on after it was freed", handle);
    return PAWL_OK;
}

static int read_token(int handle)
{
    pawl_token token;
    const pawl_lock *lock = W->handles[handle].lock;
    pawl_lock_token(lock, &token);
    size_t digits = strspn(token.text, "0123456789abcdef");
    if (token.text[0] && digits != PAWL_TOKEN_LEN) fail("token", "a token is torn");
    bool spied = W->program->client[client_of(handle)].spied;
    if (token.text[0] && spied && !world_knows_token(token.text))
        fail("token", "a token is shown that no request had: torn out of two");
    (void)pawl_lock_remaining_ms(lock);
    (void)pawl_lock_fence(lock);
    return PAWL_OK;
}

static int by_token(const op *o)
{
    const handle_state *h = &W->handles[o->target];
    pawl_client *c = W->clients[client_of(o->target)].client;
    const char *name = pawl_lock_name(h->lock);
    pawl_token token;
    int64_t left;
    uint64_t fence;
    pawl_lock_token(h->lock, &token);
    if (!token.text[0]) return PAWL_OK;
    if (o->kind == OP_TOKEN_CHECK) return pawl_token_check(c, name, 1, token.text, o->ms, &left);
    if (o->kind == OP_TOKEN_RELEASE) return pawl_token_release(c, name, 1, token.text, o->ms);
    return pawl_token_renew(c, name, 1, token.text, W->program->handle[o->target].ttl_ms, o->ms,
                            &fence);
}

static int on_handle(const op *o)
{
    switch (o->kind) {
    case OP_ACQUIRE:
        return acquire(o->target, o->ms);
    case OP_START:
        return start(o->target, o->ms, o->then);
    case OP_CANCEL:
        return pawl_lock_cancel(W->handles[o->target].lock);
    case OP_RELEASE:
        return release(o->target);
    case OP_RELEASE_WAIT:
        return release_wait(o->target, o->ms);
    case OP_RELEASE_START:
        return release_start(o->target, o->then);
    case OP_DETACH:
        return detach(o->target);
    case OP_UPGRADE:
        return upgrade(o->target, o->ms);
    case OP_UPGRADE_START:
        return upgrade_start(o->target, o->ms, o->then);
    case OP_DOWNGRADE:
        return downgrade(o->target, o->ms);
    case OP_FREE:
        return free_handle(o->target);
    case OP_HELD:
        return pawl_lock_is_held(W->handles[o->target].lock);
    case OP_TOKEN:
        return read_token(o->target);
    default:
        return by_token(o);
    }
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
    if (err || W->clients[o->target].gone) return err; /* closed between the two calls */
    return pawl_break(c, "a", 1, fence, o->ms);
}

static int dispatch(const op *o)
{
    pawl_client *c = W->clients[o->target].client;
    if (W->clients[o->target].closing) return 0;
    sched_point("may dispatch", c, false);
    return pawl_client_dispatch(c);
}

static bool has_handles(int at)
{
    for (int i = 0; i < W->program->handles; i++)
        if (client_of(i) == at && !W->handles[i].freed) return true;
    return false;
}

static int close_client(int at)
{
    client_state *c = &W->clients[at];
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
    for (int i = 0; i < S->count; i++)
        if (W->clients[at].inside[i] && !(S->threads[i].ready && S->threads[i].interruptible))
            return false;
    for (int i = 0; i < W->program->handles; i++)
        if (client_of(i) == at && W->handles[i].users > 0) return false;
    return W->clients[at].callbacks == 0;
}

/* No handle is left: what still runs in the client's calls is all that keeps it. */
static int close_last(int at)
{
    if (W->clients[at].closing || W->clients[at].inside[S->current] || !all_are_inside(at))
        return PAWL_OK;
    pawl_lock *left[HANDLES_MAX] = {0};
    W->clients[at].gone = true;
    order_acquire(&W->clients[at]);
    for (int i = 0; i < W->program->handles; i++) {
        handle_state *h = &W->handles[i];
        if (client_of(i) != at || h->freed) continue;
        h->users++; /* its callbacks may run until it is freed */
        h->freed = true;
        left[i] = h->lock;
        order_acquire(h);
    }
    for (int i = 0; i < W->program->handles; i++) {
        if (!left[i]) continue;
        pawl_lock_free(left[i]);
        W->handles[i].users--;
    }
    return close_client(at);
}

static int on_client(const op *o)
{
    pawl_client *c = W->clients[o->target].client;
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
        return pawl_client_wait(c, -1, o->ms < 0 ? 50 : o->ms);
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
    sched_wait("works", userdata, world_never, NULL, S->now + 3 * MS);
}

static int with_lock(const op *o)
{
    int name = W->program->handle[o->target].name;
    const char *url = W->program->client[client_of(o->target)].spied ? "hostile:x" : "memory:x";
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

/* If nobody else has touched the handle since it was acquired, a release must find it held. */
static void judge_change(handle_state *h, const op *o, int before, bool was_alone, int result)
{
    bool alone = was_alone && h->users == 1 && h->changes == before + 1;
    if (o->kind == OP_ACQUIRE && result == PAWL_OK && alone) {
        h->sure = h->changes;
        h->lost_before = h->lost;
        h->gone_since = 0;
    }
    bool nested = W->program->handle[h - W->handles].reentrant; /* then a detach is refused */
    bool releases = o->kind == OP_RELEASE || (o->kind == OP_DETACH && !nested);
    bool closing = W->clients[client_of((int)(h - W->handles))].closing; /* its callbacks hear so */
    if (releases && alone && W->steady && !closing && h->sure == before && before > 0 &&
        result != PAWL_OK)
        fail("not held", "%s of what was acquired ended with %s", op_name(o->kind),
             pawl_err_name(result));
}

static bool may_change(unsigned kind)
{
    return kind == OP_ACQUIRE || kind == OP_START || kind == OP_RELEASE ||
           kind == OP_RELEASE_WAIT || kind == OP_RELEASE_START || kind == OP_DETACH ||
           kind == OP_FREE;
}

static bool gives_back(const handle_state *h, unsigned kind, int result)
{
    bool asks = kind == OP_RELEASE || kind == OP_RELEASE_WAIT || kind == OP_DETACH;
    if (!asks || h->starting > 0 || W->program->handle[h - W->handles].reentrant) return false;
    return result == PAWL_OK || result == PAWL_ERR_LOST;
}

static int do_on_handle(const op *o)
{
    handle_state *h = enter(o->target);
    if (!h) return PAWL_OK;
    int before = h->changes;
    bool alone = h->users == 1;
    h->changes += may_change(o->kind);
    int result = on_handle(o);
    if (may_change(o->kind) && !h->freed) judge_change(h, o, before, alone, result);
    if (h->users == 1 && h->changes == before + 1 && gives_back(h, o->kind, result))
        h->ended_at = S->steps;
    leave(h);
    return result;
}

void world_do(const op *o)
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
    case OP_CLOSE: {
        op within = *o;
        within.target = (uint8_t)(o->target % W->program->clients);
        if (W->clients[within.target].gone) return;
        W->clients[within.target].inside[S->current] = true;
        if (o->kind == OP_DISPATCH) W->clients[within.target].dispatching[S->current] = S->steps;
        result = on_client(&within);
        W->clients[within.target].inside[S->current] = false;
        W->clients[within.target].dispatching[S->current] = 0;
        order_release(&W->clients[within.target]);
        break;
    }
    case OP_CLOSE_LAST:
        result = close_last(o->target % W->program->clients);
        break;
    case OP_NOTHING:
    case OP_HOLD:
    case OP_SIGNAL:
    case OP_CANCEL_THREAD:
    case OP_FORK:
    case OP_BARE_FORK:
    case OP_EXIT:
        result = world_on_process(o);
        break;
    case OP_WITH_LOCK:
        result = with_lock(o);
        break;
    default:
        result = do_on_handle(o);
    }
    bool is_bounded = o->kind != OP_HOLD && o->kind != OP_DISPATCH && o->kind != OP_BREAK &&
                      o->kind != OP_WITH_LOCK;
    if (is_bounded) end(&c, o, result);
    sched_test_cancel();
}

void world_then(unsigned kind, int handle)
{
    if (kind == OP_NOTHING || S->in_child) return;
    op o = {.kind = (uint8_t)kind, .target = (uint8_t)handle, .ms = 5};
    bool cancel_off = self()->cancel_off;
    self()->cancel_off = true; /* a callback that is cancelled would never return to the library */
    world_do(&o);
    self()->cancel_off = cancel_off;
}
