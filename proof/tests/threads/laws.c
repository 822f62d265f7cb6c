/* SPDX-License-Identifier: MIT */
/*
 * What users of one once, latch, barrier or election must see of each other. Each call tells
 * what it is about to do and how it ended; instants are steps of the schedule, so of two calls it
 * is known which one had ended before the other began.
 */
#define _GNU_SOURCE
#include "laws.h"

#include "run.h"

#include <stdlib.h>

#define LEFT_BEHIND_MS                                                                             \
    1000 /* longest that a party of a barrier may stay at the store after its end */

static bool is_judged(void)
{
    return R->exclusive && !S->in_child;
}

/* ---- Once: one success in each period ------------------------------------------------------ */

/* Not only the latest: who comes back late may tell of an older one. */
static bool was_done(int64_t period)
{
    for (int i = 0; i < R->laws.done_count; i++)
        if (R->laws.done[i] == period) return true;
    return false;
}

void law_once_begun(int err, int64_t now_us, int64_t every_ms, int64_t *ret_period)
{
    *ret_period = now_us / (every_ms * 1000);
    if (!is_judged()) return;
    if (err == PAWL_ERR_DONE && R->laws.successes == 0)
        fail("once", "it has been done in this period, and nobody has succeeded");
    if (!err && was_done(*ret_period))
        fail("once", "a run begins in a period that has had its run");
}

void law_once_ends(bool success)
{
    R->laws.successes += success;
}

void law_once_ended(int err, bool success, int64_t period)
{
    if (!success || !is_judged()) return;
    if (err && err != PAWL_ERR_UNKNOWN) R->laws.successes--; /* the store was not told */
    if (err) return;
    if (was_done(period)) fail("once", "two runs of one period have succeeded");
    if (R->laws.done_count == DONE_MAX) fail("harness", "too many runs");
    R->laws.done[R->laws.done_count++] = period;
}

/* ---- Latch: what is left is what was not counted ------------------------------------------- */

void law_latch_counts(void)
{
    R->laws.counting++;
}

void law_latch_counted(int err)
{
    R->laws.counting--;
    R->laws.counted += !err;
    R->laws.perhaps_counted += err == PAWL_ERR_UNKNOWN;
}

int law_latch_counted_so_far(void)
{
    return R->laws.counted;
}

void law_latch_left(int count, int left, int counted_before)
{
    int least = count - R->laws.counted - R->laws.perhaps_counted - R->laws.counting;
    int most = count - counted_before;
    if (!is_judged()) return;
    if (left < least)
        fail("latch", "%d of %d are left, though at least %d must be", left, count, least);
    if (left > (most > 0 ? most : 0))
        fail("latch", "%d of %d are left, though %d had been counted", left, count, counted_before);
}

/* ---- Barrier: who passes in one round was there together ----------------------------------- */

int law_barrier_comes(char name, int parties)
{
    int at = R->laws.meeting_count;
    if (at == MEETINGS_MAX) return -1;
    R->laws.meetings[at] = (meeting){.name = name, .parties = parties, .since = S->steps};
    R->laws.meeting_count++;
    return at;
}

static bool met(const meeting *one, const meeting *other)
{
    return (!other->ended || other->ended >= one->since) && other->since <= one->ended;
}

/* It ended without a pass, and its lease may have been at the store for a while. */
static bool may_be_left_behind(const meeting *one, const meeting *other)
{
    if (R->prompt || !other->ended || !other->err) return false;
    return other->ended_at + LEFT_BEHIND_MS * MS >= one->ended_at;
}

/* The number of those that may have been there with it, itself included. */
static int judge_meeting(const meeting *mine)
{
    int there = 1, passed = 1;
    for (int i = 0; i < R->laws.meeting_count; i++) {
        const meeting *other = &R->laws.meetings[i];
        if (other == mine || other->name != mine->name) continue;
        there += met(mine, other) || may_be_left_behind(mine, other);
        if (!other->ended || other->err) continue;
        bool same = other->generation == mine->generation;
        passed += same;
        if (same && !met(mine, other))
            fail("barrier", "two parties passed in round %llu, and never met",
                 (unsigned long long)mine->generation);
        if (other->ended < mine->since && other->generation >= mine->generation)
            fail("barrier", "round %llu is over, and later somebody passes in round %llu",
                 (unsigned long long)other->generation, (unsigned long long)mine->generation);
    }
    if (passed > mine->parties)
        fail("barrier", "%d have passed in round %llu, which has %d parties", passed,
             (unsigned long long)mine->generation, mine->parties);
    return there;
}

void law_barrier_ended(int at, int err, uint64_t generation)
{
    if (at < 0) return;
    meeting *mine = &R->laws.meetings[at];
    mine->ended = S->steps;
    mine->ended_at = S->now;
    mine->err = err;
    mine->generation = generation;
    if (err || !is_judged()) return;
    int there = judge_meeting(mine);
    if (there < mine->parties)
        fail("barrier", "one passed in round %llu, where %d parties were",
             (unsigned long long)generation, there);
}

/* ---- Election: a value is that of the leader ----------------------------------------------- */

void law_resigned(int err, uint64_t fence)
{
    if (!err && fence > R->laws.resigned) R->laws.resigned = fence;
}

uint64_t law_resigned_so_far(void)
{
    return R->prompt ? R->laws.resigned : 0;
}

void law_leader(uint64_t fence, const char *value, uint64_t over, uint64_t *latest)
{
    if (!is_judged()) return;
    if (value && strtoull(value, NULL, 10) != fence)
        fail("leader", "the leader has fence %llu, and what it is said to proclaim is of %s",
             (unsigned long long)fence, value);
    if (fence <= over)
        fail("leader", "fence %llu leads, and had resigned before", (unsigned long long)fence);
    if (fence < *latest)
        fail("leader", "fence %llu leads, and before it %llu did", (unsigned long long)fence,
             (unsigned long long)*latest);
    *latest = fence;
}

/* ---- Cancel: who waits comes back ---------------------------------------------------------- */

void law_waits(int which, void *handle)
{
    if (R->laws.waits[which].handle || R->laws.waits[which].cancelers) return;
    R->laws.waits[which].handle = handle;
    R->laws.waits[which].canceled_at = 0;
    R->laws.waits[which].canceled_from = NEVER;
    order_release(&R->laws.waits[which]); /* a program passes the handle on under a mutex */
}

static bool nobody_cancels(const void *arg)
{
    return R->laws.waits[*(const int *)arg].cancelers == 0;
}

bool law_somebody_cancels(void)
{
    return R->laws.waits[0].cancelers || R->laws.waits[1].cancelers;
}

/* What a cancel takes is some answers of the store. */
int64_t law_waited(int which, void *handle, int err)
{
    int64_t canceled_at = R->laws.waits[which].canceled_at;
    int64_t canceled_from = R->laws.waits[which].canceled_from;
    int64_t late = R->program->habits.late ? R->program->habits.late_max_ms * MS : 0;
    if (R->laws.waits[which].handle != handle) {
        if (err == PAWL_ERR_CANCELED && is_judged())
            fail("canceled", "a wait was canceled by nobody");
        return NEVER;
    }
    R->laws.waits[which].handle = NULL;
    if (err == PAWL_ERR_CANCELED && !canceled_at && !R->laws.waits[which].cancelers && is_judged())
        fail("canceled", "a wait was canceled by nobody");
    if (canceled_at && R->prompt && S->now > canceled_at + 10 * late + 20 * MS)
        fail("late", "a wait was canceled, and came back %lld ms later",
             (long long)((S->now - canceled_at) / MS));
    sched_wait("waits for who cancels", R, nobody_cancels, &which, NEVER);
    order_acquire(&R->laws.waits[which]);
    return canceled_from;
}

void law_cancel(int which, int (*cancel)(void *handle))
{
    void *handle = R->laws.waits[which].handle;
    if (!handle) return;
    order_acquire(&R->laws.waits[which]);
    R->laws.waits[which].cancelers++;
    if (S->now < R->laws.waits[which].canceled_from) R->laws.waits[which].canceled_from = S->now;
    int err = cancel(handle);
    if (!err && !R->laws.waits[which].canceled_at) R->laws.waits[which].canceled_at = S->now;
    if (err && err != PAWL_ERR_STATE) fail("error", "a cancel ended with %s", pawl_err_name(err));
    order_release(&R->laws.waits[which]);
    R->laws.waits[which].cancelers--;
}
