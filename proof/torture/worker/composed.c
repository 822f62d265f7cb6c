/* SPDX-License-Identifier: MIT */
#include "composed.h"

#include "diary.h"

#include <inttypes.h>
#include <stdio.h>

#include <pawl/composed.h>

#define END_MS 500 /* of the word how a run went */

static pawl_client *client;
static pawl_once *job;
static pawl_latch *latch;
static uint64_t latch_number; /* of the handle */
static pawl_barrier *barrier;
static bool keeps_failures; /* a run that failed counts as well */
static int64_t ttl_ms;

/* ---- Made and freed -------------------------------------------------------------------- */

void torture_composed_open(pawl_client *of, const torture_board *board, torture_rng *rng)
{
    client = of;
    ttl_ms = board->ttl_ms;
    keeps_failures = torture_chance(rng, 50);
}

void torture_composed_close(void)
{
    job = pawl_once_free(job);
    latch = pawl_latch_free(latch);
    barrier = pawl_barrier_free(barrier);
}

/* Without memory there is none, and the next time it is tried again. */
static pawl_once *the_job(void)
{
    static const char name[] = "torture-job";
    pawl_once_opts opts;
    pawl_lock_opts of_lock;
    if (job) return job;
    pawl_lock_opts_init(&of_lock);
    of_lock.ttl_ms = ttl_ms;
    pawl_once_opts_init(&opts);
    opts.every_ms = ttl_ms;
    opts.flags = keeps_failures ? PAWL_ONCE_KEEP_ON_FAILURE : 0;
    opts.lock = &of_lock;
    return pawl_once_new(client, name, sizeof name - 1, &opts, &job) ? NULL : job;
}

/* A latch opens once, so there are many. The handle remembers what it has seen of the latest. */
static pawl_latch *the_latch(uint64_t number)
{
    char name[48];
    pawl_latch_opts opts;
    if (latch && latch_number == number) return latch;
    latch = pawl_latch_free(latch);
    int len = snprintf(name, sizeof name, "torture-latch-%" PRIu64, number);
    pawl_latch_opts_init(&opts);
    opts.count = TORTURE_COUNT;
    opts.ttl_ms = ttl_ms;
    latch_number = number;
    return pawl_latch_new(client, name, (size_t)len, &opts, &latch) ? NULL : latch;
}

static pawl_barrier *the_barrier(void)
{
    static const char name[] = "torture-barrier";
    pawl_barrier_opts opts;
    if (barrier) return barrier;
    pawl_barrier_opts_init(&opts);
    opts.parties = TORTURE_PARTIES;
    opts.ttl_ms = ttl_ms;
    return pawl_barrier_new(client, name, sizeof name - 1, &opts, &barrier) ? NULL : barrier;
}

/* ---- Once ------------------------------------------------------------------------------ */

/* The period in which the latest look was made. */
static uint64_t period_of(const pawl_once *once)
{
    pawl_once_info info;
    pawl_once_last(once, &info);
    return (uint64_t)(info.next_us / (ttl_ms * 1000) - 1);
}

/* Most runs are short; some take longer than a lease, and are renewed. */
static void run(pawl_once *once, torture_rng *rng)
{
    int64_t most_ms = torture_chance(rng, 10) ? 2 * ttl_ms : ttl_ms / 10;
    bool success = torture_chance(rng, 60);
    torture_sleep_ns(torture_between(rng, 0, most_ms) * TORTURE_MS);
    torture_log(TORTURE_ENDING, TORTURE_JOB, success || keeps_failures, END_MS);
    torture_log(TORTURE_ENDED, TORTURE_JOB, 0, pawl_once_end(once, success, END_MS));
}

static void play_once(torture_rng *rng)
{
    pawl_once *once = the_job();
    int64_t wait_ms = torture_chance(rng, 30) ? 0 : ttl_ms;
    if (!once) return;
    torture_log(TORTURE_JOB_BEGINS, TORTURE_JOB, 0, wait_ms);
    int err = pawl_once_begin(once, wait_ms);
    int64_t at = torture_now();
    bool looked = !err || err == PAWL_ERR_DONE;
    torture_log_at(at, TORTURE_RUN, TORTURE_JOB, looked ? period_of(once) : 0, err);
    if (!err) run(once, rng);
}

/* ---- Latch ----------------------------------------------------------------------------- */

/* Whether the handle knows from this call how many are to come. */
static bool was_told(int err)
{
    return !err || err == PAWL_ERR_TIMEOUT || err == PAWL_ERR_BUSY;
}

/* Who sees it open begins the next one. */
static void note_left(torture_board *board, uint64_t number, int64_t at)
{
    uint32_t left = pawl_latch_left(latch);
    torture_log_at(at, TORTURE_LEFT, TORTURE_LATCH, number, left);
    if (left == 0) atomic_compare_exchange_strong(&board->latch, &number, number + 1);
}

static void count(torture_board *board, uint64_t number)
{
    torture_log(TORTURE_COUNT_BEGINS, TORTURE_LATCH, number, ttl_ms);
    int err = pawl_latch_count_down(latch, 1, ttl_ms);
    int64_t at = torture_now();
    if (!err) note_left(board, number, at);
    torture_log_at(at, TORTURE_COUNTED, TORTURE_LATCH, number, err);
}

static void await(torture_board *board, uint64_t number, int64_t wait_ms)
{
    torture_log(TORTURE_AWAIT, TORTURE_LATCH, number, wait_ms);
    int err = pawl_latch_wait(latch, wait_ms);
    int64_t at = torture_now();
    if (was_told(err)) note_left(board, number, at);
    torture_log_at(at, TORTURE_AWAITED, TORTURE_LATCH, number, err);
}

/* Now and then looks back at the one before: it stays open. */
static void play_latch(torture_board *board, torture_rng *rng)
{
    uint64_t number = atomic_load(&board->latch);
    bool looks_back = number > 0 && torture_chance(rng, 10);
    if (!the_latch(number - looks_back)) return;
    if (!looks_back && torture_chance(rng, 60))
        count(board, number);
    else
        await(board, number - looks_back, torture_chance(rng, 50) ? 0 : ttl_ms);
}

/* ---- Barrier --------------------------------------------------------------------------- */

static void play_barrier(torture_rng *rng)
{
    int64_t wait_ms = torture_chance(rng, 10) ? 0 : torture_between(rng, ttl_ms / 4, ttl_ms);
    if (!the_barrier()) return;
    torture_log(TORTURE_MEET, TORTURE_BARRIER, 0, wait_ms);
    int err = pawl_barrier_wait(barrier, wait_ms);
    int64_t at = torture_now();
    torture_log_at(at, TORTURE_MET, TORTURE_BARRIER, err ? 0 : pawl_barrier_generation(barrier),
                   err);
}

void torture_composed_play(torture_board *board, torture_rng *rng)
{
    int64_t lot = torture_between(rng, 0, 2);
    if (lot == 0) play_once(rng);
    if (lot == 1) play_latch(board, rng);
    if (lot == 2) play_barrier(rng);
}
