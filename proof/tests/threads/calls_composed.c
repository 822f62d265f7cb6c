/* SPDX-License-Identifier: MIT */
/*
 * What is made of locks: once, election, latch, barrier. Each call makes its own handle on a name
 * that several users share, goes the whole way, and frees it: so clients close, threads stand
 * still and the store loses answers at each step of it.
 */
#define _GNU_SOURCE
#include "calls.h"

#include "pawl/composed.h"

#include <stdio.h>
#include <string.h>

#define SHORT_MS 300

static void judge(const char *what, int err)
{
    static const int never[] = {PAWL_ERR_ARGUMENT, PAWL_ERR_FORKED, PAWL_ERR_INTERNAL,
                                PAWL_ERR_KIND,     PAWL_ERR_FENCE,  PAWL_ERR_SYSTEM,
                                PAWL_ERR_STATE,    PAWL_ERR_COUNT,  PAWL_ERR_UNSUPPORTED};
    for (size_t i = 0; i < sizeof never / sizeof never[0]; i++)
        if (err == never[i] && R->exclusive)
            fail("error", "%s ended with %s", what, pawl_err_name(err));
}

static int limited(int ms)
{
    return ms < 0 ? SHORT_MS : ms;
}

/* ---- What is held of a composed name: one at a time ---- */

static bool is_held_now(const pawl_lock *lock)
{
    S->quiet++;
    bool held = pawl_lock_is_held(lock);
    S->quiet--;
    return held;
}

void hold_alone(const pawl_lock **holders, const pawl_lock *lock)
{
    int room = 0;
    for (int i = 0; i < USERS_MAX; i++) {
        if (!holders[i]) room = i;
        if (holders[i] && R->exclusive && is_held_now(lock) && is_held_now(holders[i]))
            fail("exclusion", "two users hold a composed lock");
    }
    holders[room] = lock;
    sched_wait("works", holders, run_never, NULL, S->now + 3 * MS);
    holders[room] = NULL;
}

/* ---- Once ---- */

static int once(pawl_client *c, int ms)
{
    pawl_once_opts opts;
    pawl_once_info info = {.size = sizeof info};
    pawl_once *job;
    int64_t period;
    pawl_once_opts_init(&opts);
    opts.every_ms = PAWL_ONCE_EVERY_MIN_MS;
    pawl_lock_opts lease;
    pawl_lock_opts_init(&lease);
    lease.ttl_ms = SHORT_MS;
    opts.lock = &lease;
    int err = pawl_once_new(c, "c", 1, &opts, &job);
    if (err) return err;
    err = pawl_once_begin(job, limited(ms));
    judge("once", err);
    pawl_once_last(job, &info);
    law_once_begun(err, info.now_us, opts.every_ms, &period);
    if (!err) {
        hold_alone(R->once, pawl_once_lock(job));
        law_once_ends(ms != 0);
        int end_err = pawl_once_end(job, ms != 0, SHORT_MS);
        judge("the end of once", end_err);
        law_once_ended(end_err, ms != 0, period);
    } else {
        judge("a look at once", pawl_once_look(job, limited(ms)));
    }
    pawl_once_free(job);
    return err;
}

/* ---- Election ---- */

static void see_leader(const pawl_leader *leader, void *userdata)
{
    int at = (int)(intptr_t)userdata;
    if (R->observer[at].stopped) fail("callback after close", "an observer is told after its end");
    if (leader->value && strnlen(leader->value, leader->value_len + 1) != leader->value_len)
        fail("value", "the value of a leader is torn");
    if (leader->leads)
        law_leader(leader->fence, leader->value, R->observer[at].over, &R->observer[at].latest);
    R->observer[at].callbacks++;
    sched_wait("hears of a leader", R, run_never, NULL, S->now + 2 * MS);
    R->observer[at].callbacks--;
}

static int lead(pawl_client *c, int ms)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = SHORT_MS;
    int err = pawl_lock_new(c, "d", 1, &opts, &lock);
    if (err) return err;
    err = pawl_lock_acquire(lock, limited(ms));
    judge("a candidate", err);
    if (!err) {
        char value[24];
        uint64_t fence = pawl_lock_fence(lock);
        int len = snprintf(value, sizeof value, "%llu", (unsigned long long)fence);
        judge("what a leader says", pawl_election_proclaim(lock, value, (size_t)len, limited(ms)));
        hold_alone(R->leaders, lock);
        int end_err = pawl_election_resign(lock, SHORT_MS);
        judge("a leader's end", end_err);
        law_resigned(end_err, fence);
    }
    pawl_lock_free(lock);
    return err;
}

static int observe(pawl_client *c, int ms)
{
    pawl_observer *observer;
    int at = S->current;
    void *me = (void *)(intptr_t)at;
    R->observer[at].stopped = false;
    R->observer[at].over = law_resigned_so_far();
    R->observer[at].latest = 0;
    if (ms == 0) return pawl_election_leader(c, "d", 1, SHORT_MS, see_leader, me);
    int err = pawl_election_observe(c, "d", 1, see_leader, me, &observer);
    if (err) return err;
    sched_wait("observes", R, run_never, NULL, S->now + limited(ms) * MS);
    pawl_observer_stop(observer);
    if (R->observer[at].callbacks)
        fail("callback after close", "an observer was stopped, and hears on");
    R->observer[at].stopped = true;
    return PAWL_OK;
}

/* ---- Latch and barrier ---- */

#define CANCELS_MS 5 /* who waits so long first cancels another one that waits */

static int cancel_latch(void *latch)
{
    return pawl_latch_cancel(latch);
}

static int cancel_barrier(void *barrier)
{
    return pawl_barrier_cancel(barrier);
}

/* Counts once, waits, and perhaps counts once more, by what the handle has seen or by what is true.
 */
static int use_latch(pawl_latch *l, int count, int ms)
{
    for (int times = ms == 0 ? 2 : 1; times > 0; times--) {
        law_latch_counts();
        int err = pawl_latch_count_down(l, 1, SHORT_MS);
        judge("a count", err);
        law_latch_counted(err);
    }
    int before = law_latch_counted_so_far();
    law_waits(0, l);
    int err = pawl_latch_wait(l, limited(ms));
    law_waited(0, l, err);
    judge("a wait for a latch", err);
    if (!err && pawl_latch_left(l))
        fail("latch", "it is open, and %u are left", pawl_latch_left(l));
    if (!err) law_latch_left(count, 0, before);
    before = law_latch_counted_so_far();
    int look_err = pawl_latch_look(l, SHORT_MS);
    judge("a look at a latch", look_err);
    if (!look_err) law_latch_left(count, (int)pawl_latch_left(l), before);
    return err;
}

static int latch(pawl_client *c, int ms)
{
    pawl_latch_opts opts;
    pawl_latch *l;
    pawl_latch_opts_init(&opts);
    opts.count = (uint32_t)R->program->users + 1;
    if (ms == CANCELS_MS) law_cancel(0, cancel_latch);
    int err = pawl_latch_new(c, "e", 1, &opts, &l);
    if (err) return err;
    err = use_latch(l, (int)opts.count, ms);
    pawl_latch_free(l);
    return err;
}

/* ret_canceled_at: an instant before which nobody has canceled it; NEVER: nobody did. */
static int wait_at_barrier(pawl_client *c, const char *name, int parties, int ms,
                           int64_t *ret_canceled_at)
{
    pawl_barrier_opts opts;
    pawl_barrier *b;
    pawl_barrier_opts_init(&opts);
    opts.parties = (uint32_t)parties;
    opts.ttl_ms = SHORT_MS;
    if (ms == CANCELS_MS) law_cancel(1, cancel_barrier);
    int err = pawl_barrier_new(c, name, strlen(name), &opts, &b);
    if (err) return err;
    int at = law_barrier_comes(name[0], parties);
    law_waits(1, b);
    err = pawl_barrier_wait(b, ms);
    *ret_canceled_at = law_waited(1, b, err);
    judge("a barrier", err);
    law_barrier_ended(at, err, pawl_barrier_generation(b));
    pawl_barrier_free(b);
    return err;
}

static int barrier(pawl_client *c, int ms)
{
    int64_t canceled_at;
    return wait_at_barrier(c, "f", 2, limited(ms), &canceled_at);
}

/* ---- Who gives up at a barrier tells the others ---- */

#define MEETS_MS 700

/* It was there, and has ended by itself. */
static bool gave_up(const gathering *g)
{
    bool was_freed = g->result == PAWL_ERR_CANCELED; /* perhaps before it had come */
    bool was_there =
        (g->wait_ms == 0 && !was_freed) || g->wait_ms > R->program->habits.late_max_ms + 5;
    return was_there && (g->result == PAWL_ERR_TIMEOUT || g->result == PAWL_ERR_BUSY ||
                         g->result == PAWL_ERR_CANCELED);
}

/*
 * Who was there when another one came that gave up is told, and does not wait for its own next
 * look, which may not even miss that one. What this takes is some answers of the store.
 */
static void check_told_of_others(const gathering *mine)
{
    int64_t late = R->program->habits.late ? R->program->habits.late_max_ms * MS : 0;
    for (int i = 0; i < R->gathering_count; i++) {
        const gathering *other = &R->gatherings[i];
        bool beside =
            strcmp(other->name, mine->name) == 0 && other->since > mine->since + late + 5 * MS;
        if (beside && gave_up(other) && mine->end > other->end + 10 * late + 20 * MS)
            fail("untold", "one gave up at a barrier, and another waited there for %lld ms more",
                 (long long)((mine->end - other->end) / MS));
    }
}

void gathering_over(const gathering *mine, bool is_judged)
{
    if (R->gates_move && is_judged) check_told_of_others(mine);
    if (R->gathering_count < RECORDS_MAX) R->gatherings[R->gathering_count++] = *mine;
}

/* There is room for all who come, also beside those who were there before; of more than two the
 * last one never comes. */
static int gather(pawl_client *c, int ms)
{
    int users = R->program->users;
    gathering mine = {.name = "g", .since = S->now, .wait_ms = ms < 0 ? MEETS_MS : ms};
    int64_t canceled_at;
    mine.result = wait_at_barrier(c, "g", users == 2 ? 2 : users + 1, mine.wait_ms, &canceled_at);
    mine.end = S->now;
    int64_t was_there = (canceled_at - mine.since) / MS;
    if (was_there < mine.wait_ms) mine.wait_ms = (int)was_there;
    gathering_over(&mine, true);
    return mine.result;
}

/* A thread that is canceled inside would leave the handle behind, which the program frees. */
int run_op_composed(const op *o)
{
    pawl_client *c = R->clients[o->target].client;
    bool cancel_off = self()->cancel_off;
    self()->cancel_off = true;
    int err = PAWL_OK;
    if (o->kind == OP_ONCE) err = once(c, o->ms);
    if (o->kind == OP_LEAD) err = lead(c, o->ms);
    if (o->kind == OP_OBSERVE) err = observe(c, o->ms);
    if (o->kind == OP_LATCH) err = latch(c, o->ms);
    if (o->kind == OP_BARRIER) err = barrier(c, o->ms);
    if (o->kind == OP_GATHER) err = gather(c, o->ms);
    if (o->kind >= OP_ONCE_START) err = run_op_started(o);
    self()->cancel_off = cancel_off;
    return err;
}
