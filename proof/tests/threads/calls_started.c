/* SPDX-License-Identifier: MIT */
/*
 * The asynchronous calls of what is made of locks: once, election, latch, barrier. Each makes its
 * own handle; what the program wrote for the callback says who frees it: the callback itself, the
 * user while the call is under way, or the user when it is over. Each is told once, after a free as
 * well, and soon.
 */
#define _GNU_SOURCE
#include "calls.h"

#include "pawl/composed.h"

#include <stdio.h>
#include <string.h>

#define SHORT_MS   300
#define LONG_MS    5000 /* of what is freed long before */
#define GIVE_UP_MS 500  /* for so long who gives up at a barrier may try to tell the others */
#define PATIENCE   100  /* rounds of 50 ms: longer than any of these calls may take */

static const char *const names[] = {[STARTED_ONCE] = "k",
                                    [STARTED_LEADER] = "l",
                                    [STARTED_LATCH] = "m",
                                    [STARTED_BARRIER] = "n",
                                    [STARTED_GATHERING] = "o"};

static void free_it(started_call *s)
{
    s->freed_at = S->now;
    s->is_freed = true;
    if (s->kind == STARTED_ONCE) pawl_once_free(s->handle);
    if (s->kind == STARTED_LATCH) pawl_latch_free(s->handle);
    if (s->kind == STARTED_BARRIER || s->kind == STARTED_GATHERING) pawl_barrier_free(s->handle);
    if (s->kind == STARTED_LEADER) pawl_lock_free(s->handle);
}

/* ---- What it is told ------------------------------------------------------------------- */

static void judge(const started_call *s, int err)
{
    static const int never[] = {PAWL_ERR_ARGUMENT, PAWL_ERR_FORKED, PAWL_ERR_INTERNAL,
                                PAWL_ERR_KIND,     PAWL_ERR_FENCE,  PAWL_ERR_SYSTEM,
                                PAWL_ERR_STATE,    PAWL_ERR_COUNT,  PAWL_ERR_UNSUPPORTED};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (err == never[i] && R->exclusive)
            fail("error", "what was started on %s ended with %s", names[s->kind],
                 pawl_err_name(err));
    if (err == PAWL_ERR_CANCELED && !s->is_freed)
        fail("canceled", "what was started on %s was canceled, and nobody had freed it",
             names[s->kind]);
}

/* By its own limit, and soon after it was freed. */
static void judge_time(const started_call *s)
{
    bool own = R->program->client[s->client].callbacks == PAWL_CALLBACKS_THREAD;
    if (!R->timely || !own || R->stalled != s->stalled) return;
    int64_t since = s->is_freed ? s->freed_at : s->since + s->wait_ms * MS;
    if (S->now - since - (S->jumps - s->jumps) > (GIVE_UP_MS + 100) * MS)
        fail("late", "what was started on %s was told %lld ms after %s", names[s->kind],
             (long long)((S->now - since) / MS), s->is_freed ? "its free" : "its time");
}

/* Its end is told by a thread that may be busy with other callbacks: who hears of others then is
 * judged only if callbacks run by themselves. */
static void note_gathering(const started_call *s)
{
    gathering mine = {.name = names[s->kind],
                      .since = s->since,
                      .end = S->now,
                      .wait_ms = s->wait_ms,
                      .result = s->err};
    int64_t was_there = (s->freed_at - s->since) / MS;
    if (s->is_freed && was_there < mine.wait_ms) mine.wait_ms = (int)was_there;
    gathering_over(&mine, R->program->client[s->client].callbacks == PAWL_CALLBACKS_THREAD);
}

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    started_call *s = userdata;
    bool shows_lock = s->kind == STARTED_ONCE || s->kind == STARTED_LEADER;
    run_callback_begins(s->client);
    trace(true, "done(%s, %d)", names[s->kind], err);
    if (++s->times > 1) fail("told twice", "what was started on %s ended twice", names[s->kind]);
    if (!lock == shows_lock) fail("callback", "a callback has the wrong lock");
    judge(s, err);
    judge_time(s);
    s->err = err;
    if (s->kind == STARTED_GATHERING) note_gathering(s);
    bool frees = s->frees_itself && !s->is_freed;
    if (frees) free_it(s);
    order_release(s);
    run_callback_ends(s->client);
    s->is_over = true; /* from here on it may be freed by its user */
}

/* ---- Waiting for it -------------------------------------------------------------------- */

static bool is_over(const void *arg)
{
    return ((const started_call *)arg)->is_over;
}

/* Callbacks run in a call of the program, or by themselves. */
static void let_callbacks_run(pawl_client *c, const started_call *s)
{
    pawl_callbacks how = R->program->client[s->client].callbacks;
    bool closing = R->clients[s->client].closing; /* then they run in the close */
    if (how == PAWL_CALLBACKS_DISPATCH && !closing) (void)pawl_client_dispatch(c);
    if (how == PAWL_CALLBACKS_WAIT && !closing) (void)pawl_client_wait(c, -1, 5);
    sched_wait("waits for what it started", s, is_over, s, S->now + 50 * MS);
}

static void await(pawl_client *c, const started_call *s)
{
    for (int round = 0; !s->is_over; round++) {
        if (round == PATIENCE) fail("hang", "what was started on %s does not end", names[s->kind]);
        let_callbacks_run(c, s);
    }
    order_acquire(s);
}

/* ---- Starting -------------------------------------------------------------------------- */

/* Another call of the same handle begins. */
static void begin(started_call *s, int wait_ms)
{
    s->times = 0;
    s->is_over = false;
    s->wait_ms = wait_ms;
    s->since = S->now;
    s->jumps = S->jumps;
    s->stalled = stalled_so_far();
    s->is_started = true; /* it may be over before the call returns */
}

static int begun(started_call *s, int err)
{
    if (err && s->times) fail("told twice", "a call failed, and its callback ran");
    s->is_started = err == PAWL_OK;
    if (err) judge(s, err);
    return err;
}

static int make(pawl_client *c, started_call *s)
{
    const char *name = names[s->kind];
    pawl_once_opts once;
    pawl_lock_opts lock;
    pawl_latch_opts latch;
    pawl_barrier_opts barrier;
    switch (s->kind) {
    case STARTED_ONCE:
        pawl_once_opts_init(&once);
        once.every_ms = PAWL_ONCE_EVERY_MIN_MS;
        return pawl_once_new(c, name, 1, &once, (pawl_once **)&s->handle);
    case STARTED_LEADER:
        pawl_lock_opts_init(&lock);
        lock.ttl_ms = SHORT_MS;
        return pawl_lock_new(c, name, 1, &lock, (pawl_lock **)&s->handle);
    case STARTED_LATCH:
        pawl_latch_opts_init(&latch);
        latch.count = 3;
        return pawl_latch_new(c, name, 1, &latch, (pawl_latch **)&s->handle);
    default:
        pawl_barrier_opts_init(&barrier);
        /* There is room for all who come to a gathering, and the last one never comes. */
        barrier.parties = s->kind == STARTED_GATHERING ? USERS_MAX + 1 : 2;
        barrier.ttl_ms = SHORT_MS;
        return pawl_barrier_new(c, name, 1, &barrier, (pawl_barrier **)&s->handle);
    }
}

static int start(started_call *s, int ms)
{
    begin(s, ms);
    switch (s->kind) {
    case STARTED_ONCE:
        return begun(s, pawl_once_begin_start(s->handle, ms, on_done, s));
    case STARTED_LEADER:
        return begun(s, pawl_election_proclaim_start(s->handle, "it is I", 7, ms, on_done, s));
    case STARTED_LATCH:
        if (s->only_waits) return begun(s, pawl_latch_wait_start(s->handle, ms, on_done, s));
        return begun(s, pawl_latch_count_down_start(s->handle, 1, ms, on_done, s));
    default:
        return begun(s, pawl_barrier_wait_start(s->handle, ms, on_done, s));
    }
}

/* ---- What comes after it --------------------------------------------------------------- */

static void end_once(pawl_client *c, started_call *s)
{
    if (s->err) return;
    hold_alone(R->once, pawl_once_lock(s->handle));
    begin(s, SHORT_MS);
    if (!begun(s, pawl_once_end_start(s->handle, true, SHORT_MS, on_done, s))) await(c, s);
}

static void end_lead(pawl_client *c, started_call *s)
{
    hold_alone(R->leaders, s->handle);
    begin(s, SHORT_MS);
    if (!begun(s, pawl_election_resign_start(s->handle, SHORT_MS, on_done, s))) await(c, s);
}

static void wait_at_latch(pawl_client *c, started_call *s, int ms)
{
    begin(s, ms);
    if (!begun(s, pawl_latch_wait_start(s->handle, ms, on_done, s))) await(c, s);
    if (!s->err && s->times && pawl_latch_left(s->handle))
        fail("latch", "it is open, and %u are left", pawl_latch_left(s->handle));
}

static void go_on(pawl_client *c, started_call *s, int ms)
{
    if (s->kind == STARTED_ONCE) end_once(c, s);
    if (s->kind == STARTED_LEADER) end_lead(c, s);
    if (s->kind == STARTED_LATCH) wait_at_latch(c, s, ms);
}

/* ---- All of it ------------------------------------------------------------------------- */

static started_call *new_started(started_kind kind, const op *o)
{
    if (R->started_count == RECORDS_MAX) return NULL;
    started_call *s = &R->started[R->started_count++];
    /* A lock is freed when nothing of it is under way; a user gathers once at a time. */
    bool may_free = kind != STARTED_LEADER && kind != STARTED_GATHERING;
    *s = (started_call){.kind = kind, .client = o->target};
    s->frees_itself = may_free && o->then == OP_FREE;
    s->only_waits = o->then == OP_HELD || o->then == OP_RELEASE;
    return s;
}

static bool leaves_early(const started_call *s, const op *o)
{
    return s->kind != STARTED_LEADER && o->then && o->then != OP_FREE;
}

/* The user frees it at some moment while it is under way, or when it is over. */
static void wait_and_free(pawl_client *c, started_call *s, const op *o, int ms)
{
    if (leaves_early(s, o)) {
        int64_t stays_ms = (ms < SHORT_MS ? ms : SHORT_MS) / 2;
        sched_wait("will free what it started", s, is_over, s, S->now + stays_ms * MS);
    } else {
        await(c, s);
        go_on(c, s, ms);
    }
    order_acquire(s);
    free_it(s);
}

int run_op_started(const op *o)
{
    pawl_client *c = R->clients[o->target].client;
    started_call *s = new_started((started_kind)(o->kind - OP_ONCE_START), o);
    int ms = o->ms >= 0 ? o->ms : s && leaves_early(s, o) ? LONG_MS : SHORT_MS;
    int err = s ? make(c, s) : PAWL_ERR_CLOSED;
    if (err) return err;
    /* From here on its own handle keeps the client: that may be closed at any moment. */
    R->clients[o->target].inside[S->current] = false;
    if (s->kind == STARTED_LEADER) err = pawl_lock_acquire(s->handle, ms);
    if (!err) err = start(s, ms);
    if (err)
        free_it(s);
    else if (!s->frees_itself)
        wait_and_free(c, s, o, ms);
    return err;
}

void check_started(void)
{
    for (int i = 0; i < R->started_count; i++) {
        const started_call *s = &R->started[i];
        if (s->is_started && s->times != 1)
            fail("never told", "what was started on %s was told %d times", names[s->kind],
                 s->times);
    }
}
