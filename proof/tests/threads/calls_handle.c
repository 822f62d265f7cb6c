/* SPDX-License-Identifier: MIT */
/* The calls of a program on its handles, and what each must come to. */
#define _GNU_SOURCE
#include "calls.h"

#include <stdio.h>
#include <string.h>

/* Notes the release, also if the lock was lost before. A loss that it found is an event, too. */
static void count_release(handle_state *h, bool found, int err)
{
    if (err == PAWL_OK || err == PAWL_ERR_LOST || err == PAWL_ERR_UNKNOWN) h->depth--;
    h->found_lost += err == PAWL_ERR_LOST && found;
}

/*
 * Whether nobody holds it before a call that waits for the store. Then LOST is what the call has
 * found; else it may have given the lock back in time, and the store says later that it was lost:
 * only the call tells that. So it may, too, where an acquisition has begun that is granted before
 * the call comes to the handle. A look that changes nothing in the schedule.
 */
static bool shows_lost(const handle_state *h)
{
    S->quiet++;
    bool lost = h->users == 1 && h->starting == 0 && !pawl_lock_is_held(h->lock);
    S->quiet--;
    return lost;
}

static record *new_record(int handle, unsigned then, op_kind kind)
{
    if (R->record_count == RECORDS_MAX) return NULL;
    record *r = &R->records[R->record_count++];
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
    handle_state *h = &R->handles[handle];
    static const int never[] = {PAWL_ERR_ARGUMENT, PAWL_ERR_FORKED, PAWL_ERR_NOT_HELD,
                                PAWL_ERR_INTERNAL, PAWL_ERR_FENCE,  PAWL_ERR_SYSTEM};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (err == never[i]) fail("error", "an acquisition ended with %s", pawl_err_name(err));
    if (err) return;
    R->grants++;
    check_exclusion();
    if (h->users > 1 || h->begun > 1) return;
    if (pawl_lock_fence(h->lock) == 0) fail("fence", "a lock is held without a fence");
}

static int acquire(int handle, int ms)
{
    handle_state *h = &R->handles[handle];
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
    handle_state *h = &R->handles[handle];
    record *r = new_record(handle, then, OP_START);
    if (!r) return PAWL_OK;
    h->begun++;
    h->ended_at = 0;
    h->retained[0] = '\0';
    r->wait_ms = ms;
    r->started = true; /* it may be over before the call returns */
    h->starting++;
    int err = pawl_lock_acquire_start(h->lock, ms, run_on_done, r);
    if (err) h->starting--;
    h->life = LIFE_UNKNOWN;
    r->started = err == PAWL_OK;
    if (err && r->times) fail("told twice", "a call failed, and its callback ran");
    return err;
}

static int acquire_or_start(int handle, int ms, unsigned then)
{
    handle_state *h = &R->handles[handle];
    record *r = new_record(handle, then, OP_START);
    if (!r) return PAWL_OK;
    bool started = false;
    h->begun++;
    h->ended_at = 0;
    h->retained[0] = '\0';
    r->wait_ms = ms;
    r->started = true; /* it may be over before the call returns */
    h->starting++;
    int err = pawl_lock_acquire_or_start(h->lock, ms, look_ms_of(ms), run_on_done, r, &started);
    h->life = LIFE_UNKNOWN;
    if (!err && started) return PAWL_OK;
    h->starting--;
    r->started = false;
    if (r->times) fail("told twice", "a call has told its end, and its callback ran");
    if (!err) h->depth++;
    if (err == PAWL_ERR_LOST) h->miscounted = true;
    judge_acquired(handle, err);
    return err;
}

static void judge_released(int err)
{
    if (R->steady && err == PAWL_ERR_LOST)
        fail("lost", "a release was answered LOST, and nothing had happened");
}

/*
 * Whether it is held alone now, and the token; a look that changes nothing in the schedule. So the
 * token is looked at only when it is held: before that a thread may be writing it, who would be
 * waited for and cannot go on.
 */
static bool shows_held(const handle_state *h, pawl_token *ret_token)
{
    S->quiet++;
    bool held = h->users == 1 && pawl_lock_is_held(h->lock);
    if (held) pawl_lock_token(h->lock, ret_token);
    S->quiet--;
    return held;
}

static int release(int handle)
{
    handle_state *h = &R->handles[handle];
    pawl_token token;
    pawl_lock_token(h->lock, &token);
    bool held = pawl_lock_is_held(h->lock);
    held = held && shows_held(h, &token); /* it may have been granted between the two looks */
    int calls = h->calls, err = pawl_lock_release(h->lock);
    judge_released(err);
    count_release(h, true, err);
    bool inner = R->program->handle[handle].reentrant && (h->depth > 0 || h->starting > 0);
    bool alone = !err && held && h->users == 1 && h->calls == calls && !inner;
    if (alone && R->program->handle[handle].retain_ms)
        memcpy(h->retained, token.text, sizeof h->retained);
    else if (alone)
        owe_release(handle, &token);
    return err;
}

static int release_or_start(int handle, int ms, unsigned then)
{
    record *r = new_record(handle, then, OP_RELEASE_START);
    if (!r) return PAWL_OK;
    handle_state *h = &R->handles[handle];
    bool started = false, was_lost = shows_lost(h);
    int calls = h->calls;
    r->started = true;
    int err = pawl_lock_release_or_start(h->lock, look_ms_of(ms), run_on_done, r, &started);
    r->started = !err && started;
    if (!r->started && r->times)
        fail("told twice", "a call has told its end, and its callback ran");
    judge_released(err);
    count_release(h, was_lost && h->calls == calls, err);
    return err;
}

static int release_start(int handle, unsigned then)
{
    record *r = new_record(handle, then, OP_RELEASE_START);
    if (!r) return PAWL_OK;
    r->started = true;
    int err = pawl_lock_release_start(R->handles[handle].lock, run_on_done, r);
    r->started = err == PAWL_OK;
    if (err && r->times) fail("told twice", "a call failed, and its callback ran");
    judge_released(err);
    count_release(&R->handles[handle], true, err);
    return err;
}

static int release_wait(int handle, int ms)
{
    handle_state *h = &R->handles[handle];
    bool was_lost = shows_lost(h);
    int calls = h->calls, err = pawl_lock_release_wait(h->lock, ms);
    judge_released(err);
    count_release(h, was_lost && h->calls == calls, err);
    return err;
}

static int detach(int handle)
{
    int err = pawl_lock_detach(R->handles[handle].lock);
    count_release(&R->handles[handle], true, err);
    return err;
}

/* ---- Another mode ---- */

static void judge_upgraded(int handle, uint64_t fence_before, int err)
{
    const handle_state *h = &R->handles[handle];
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
    handle_state before = R->handles[handle];
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
    int err = pawl_lock_upgrade_start(R->handles[handle].lock, ms, run_on_done, r);
    r->started = err == PAWL_OK;
    if (err && r->times) fail("told twice", "a call failed, and its callback ran");
    return err;
}

static int downgrade(int handle, int ms)
{
    pawl_mode to = ms > 5 ? PAWL_MODE_SHARED : PAWL_MODE_UPDATE;
    return pawl_lock_downgrade(R->handles[handle].lock, to);
}

/* The first handle of each client stays to the end. What is held then is given back at once. */
static int free_handle(int handle)
{
    handle_state *h = &R->handles[handle];
    if (handle < R->program->clients || h->users > 1) return PAWL_OK;
    h->freed = true;
    order_acquire(h);
    bool runs = h->callback_on && h->callback_on != S->current + 1;
    int count = h->callback_count, calls = h->calls;
    pawl_token token = {0};
    bool held = shows_held(h, &token);
    pawl_lock_free(h->lock);
    bool goes = held && !R->program->handle[handle].retain_ms; /* else the client keeps the lease */
    if (goes && R->steady && h->calls == calls) owe_release(handle, &token);
    if (runs && h->callback_on && h->callback_count == count)
        fail("event after free", "a callback of handle %d runs on after it was freed", handle);
    return PAWL_OK;
}

static int read_token(int handle)
{
    pawl_token token;
    const pawl_lock *lock = R->handles[handle].lock;
    pawl_lock_token(lock, &token);
    size_t digits = strspn(token.text, "0123456789abcdef");
    if (token.text[0] && digits != PAWL_TOKEN_LEN) fail("token", "a token is torn");
    bool spied = R->program->client[client_of(handle)].spied;
    if (token.text[0] && spied && !run_knows_token(token.text))
        fail("token", "a token is shown that no request had: torn out of two");
    (void)pawl_lock_remaining_ms(lock);
    (void)pawl_lock_fence(lock);
    return PAWL_OK;
}

static int by_token(const op *o)
{
    const handle_state *h = &R->handles[o->target];
    pawl_client *c = R->clients[client_of(o->target)].client;
    const char *name = pawl_lock_name(h->lock);
    pawl_token token;
    int64_t left;
    uint64_t fence;
    pawl_lock_token(h->lock, &token);
    if (!token.text[0]) return PAWL_OK;
    if (o->kind == OP_TOKEN_CHECK) return pawl_token_check(c, name, 1, token.text, o->ms, &left);
    if (o->kind == OP_TOKEN_RELEASE) return pawl_token_release(c, name, 1, token.text, o->ms);
    return pawl_token_renew(c, name, 1, token.text, R->program->handle[o->target].ttl_ms, o->ms,
                            &fence);
}

static int on_handle(const op *o)
{
    switch (o->kind) {
    case OP_ACQUIRE:
        return acquire(o->target, o->ms);
    case OP_START:
        return start(o->target, o->ms, o->then);
    case OP_LOOK:
        return acquire_or_start(o->target, o->ms, o->then);
    case OP_RELEASE_LOOK:
        return release_or_start(o->target, o->ms, o->then);
    case OP_CANCEL:
        return pawl_lock_cancel(R->handles[o->target].lock);
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
        return pawl_lock_is_held(R->handles[o->target].lock);
    case OP_TOKEN:
        return read_token(o->target);
    default:
        return by_token(o);
    }
}

/* ---- What it has changed ---- */

/*
 * If nobody else has touched the handle since it was acquired, a release must find it held. What is
 * lost while the acquisition returns may be told before it has.
 */
static void judge_change(handle_state *h, const op *o, const handle_state *then, int result)
{
    int before = then->changes;
    bool alone = then->users == 1 && h->users == 1 && h->changes == before + 1;
    if (o->kind == OP_ACQUIRE && result == PAWL_OK && alone && h->lost == then->lost) {
        h->sure = h->changes;
        h->lost_before = h->lost;
        h->gone_since = 0;
    }
    bool nested = R->program->handle[h - R->handles].reentrant; /* then a detach is refused */
    bool releases = o->kind == OP_RELEASE || (o->kind == OP_DETACH && !nested);
    bool closing = R->clients[client_of((int)(h - R->handles))].closing; /* its callbacks hear so */
    if (releases && alone && R->steady && !closing && h->sure == before && before > 0 &&
        result != PAWL_OK)
        fail("not held", "%s of what was acquired ended with %s", op_name(o->kind),
             pawl_err_name(result));
}

static bool may_change(unsigned kind)
{
    return kind == OP_ACQUIRE || kind == OP_START || kind == OP_RELEASE ||
           kind == OP_RELEASE_WAIT || kind == OP_RELEASE_START || kind == OP_DETACH ||
           kind == OP_FREE || kind == OP_LOOK || kind == OP_RELEASE_LOOK;
}

static bool gives_back(const handle_state *h, unsigned kind, int result)
{
    bool asks = kind == OP_RELEASE || kind == OP_RELEASE_WAIT || kind == OP_DETACH;
    if (!asks || h->starting > 0 || R->program->handle[h - R->handles].reentrant) return false;
    return result == PAWL_OK || result == PAWL_ERR_LOST;
}

int run_op_handle(const op *o)
{
    handle_state *h = handle_enter(o->target);
    if (!h) return PAWL_OK;
    handle_state before = *h;
    h->changes += may_change(o->kind);
    int result = on_handle(o);
    if (may_change(o->kind) && !h->freed) judge_change(h, o, &before, result);
    if (h->users == 1 && h->changes == before.changes + 1 && gives_back(h, o->kind, result))
        h->ended_at = S->steps;
    handle_leave(h);
    return result;
}
