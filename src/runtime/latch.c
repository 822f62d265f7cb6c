/* SPDX-License-Identifier: MIT */
/*
 * Latch (docs/composed.md): the value beside a name says how many counts are left,
 *
 *     pawl latch 1 COUNT LEFT
 *
 * and is changed under the exclusive lock of that name. No value: nobody has counted yet.
 */
#include "pawl/composed.h"

#include "../base/instant.h"
#include "job.h"
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD          "pawl latch 1 "
#define WATCH_MS      60000 /* how long the store tells us of news */
/* How often we look without a hint, which may be lost (law 7). The pauses grow. */
#define LOOK_FIRST_MS 1000
#define LOOK_MAX_MS   20000

#define NEVER_SEEN UINT32_MAX

struct pawl_latch {
    pawl__job job; /* first */
    uint32_t count;
    int64_t keep_ms;
    uint32_t by;   /* what pawl_latch_count_down subtracts */
    uint32_t left; /* what was found last, or NEVER_SEEN */
    int64_t look_ms;
    bool asks_again; /* the latest question had no answer */
};

static pawl_latch *latch_of(pawl__flow *flow)
{
    return (pawl_latch *)flow;
}

/* ---- The record ------------------------------------------------------------------------ */

static int take_record(const pawl_value *value, uint32_t *ret_count, uint32_t *ret_left)
{
    if (strncmp(value->bytes, WORD, strlen(WORD)) != 0) return PAWL_ERR_KIND;
    int count = sscanf(value->bytes + strlen(WORD), "%" SCNu32 " %" SCNu32, ret_count, ret_left);
    return count == 2 && *ret_left <= *ret_count ? PAWL_OK : PAWL_ERR_KIND;
}

/* A latch only counts down. If more is left than before, the store has forgotten it, or it has
 * ended and begun again. */
static int take_value(pawl_latch *latch)
{
    const pawl_value *value = &latch->job.flow.heard.value;
    uint32_t count = latch->count, left = latch->count;
    int err = value->fence ? take_record(value, &count, &left) : PAWL_OK;
    if (err) return err;
    if (count != latch->count) return PAWL_ERR_COUNT;
    bool went_up = latch->left < left;
    latch->left = went_up ? NEVER_SEEN : left; /* the next call begins with the present value */
    return went_up ? PAWL_ERR_BROKEN : PAWL_OK;
}

static void make_record(pawl_latch *latch)
{
    pawl__flow *flow = &latch->job.flow;
    uint32_t left = latch->left > latch->by ? latch->left - latch->by : 0;
    int len =
        snprintf(flow->value, sizeof flow->value, WORD "%" PRIu32 " %" PRIu32, latch->count, left);
    flow->value_len = (size_t)len;
    flow->keep_ms = latch->keep_ms;
}

/* ---- The steps ------------------------------------------------------------------------- */

static pawl__step give_up(pawl__flow *flow, int result)
{
    flow->result = result;
    flow->state = 9;
    return PAWL__STEP_RELEASE;
}

static pawl__step say(pawl_latch *latch)
{
    make_record(latch);
    return PAWL__STEP_PUBLISH;
}

static pawl__step count_next(pawl__flow *flow, int err)
{
    pawl_latch *latch = latch_of(flow);
    switch (flow->state++) {
    case 0:
        return PAWL__STEP_ACQUIRE;
    case 1:
        if (err == PAWL_ERR_LOST) return give_up(flow, err); /* a grant that was over */
        return err ? pawl__flow_end(flow, err) : PAWL__STEP_READ;
    case 2:
        if (!err) err = take_value(latch);
        if (!err && pawl__job_is_left(&latch->job)) err = PAWL_ERR_CANCELED;
        return err ? give_up(flow, err) : say(latch);
    case 3:
        if (pawl__flow_says_again(flow, err)) {
            flow->state = 3;
            return PAWL__STEP_PUBLISH;
        }
        err = pawl__flow_said(flow, err);
        if (!err) latch->left = latch->left > latch->by ? latch->left - latch->by : 0;
        return give_up(flow, err);
    }
    return PAWL__STEP_END; /* all is released: return the result */
}

/* A question without an answer is asked once more; after that the store counts as away. */
static bool asks_again(pawl_latch *latch, int err)
{
    latch->asks_again = !latch->asks_again && pawl__flow_may_ask_again(err);
    return latch->asks_again;
}

static pawl__step await(pawl_latch *latch)
{
    pawl__flow *flow = &latch->job.flow;
    int64_t now = pawl__now();
    if (flow->hasty) return pawl__flow_end(flow, PAWL_ERR_BUSY);
    if (now >= flow->until) return pawl__flow_end(flow, PAWL_ERR_TIMEOUT);
    flow->await_until = pawl__instant_add(now, pawl__ms_to_ns(latch->look_ms));
    latch->look_ms = latch->look_ms < LOOK_MAX_MS / 2 ? latch->look_ms * 2 : LOOK_MAX_MS;
    flow->state = 0;
    return PAWL__STEP_AWAIT;
}

static pawl__step wait_next(pawl__flow *flow, int err)
{
    pawl_latch *latch = latch_of(flow);
    if (pawl__job_is_left(&latch->job)) return pawl__flow_end(flow, PAWL_ERR_CANCELED);
    if (err && !asks_again(latch, err)) return pawl__flow_end(flow, err);
    if (flow->state == 0 || err) {
        flow->state = 1;
        return PAWL__STEP_READ;
    }
    latch->asks_again = false;
    err = take_value(latch);
    return err || latch->left == 0 ? pawl__flow_end(flow, err) : await(latch);
}

static pawl__step look_next(pawl__flow *flow, int err)
{
    if (flow->state++ == 0) return PAWL__STEP_READ;
    return pawl__flow_end(flow, err ? err : take_value(latch_of(flow)));
}

/* ---- The calls ------------------------------------------------------------------------- */

static int prepare(pawl_latch *latch, uint32_t by, int64_t watch_ms)
{
    if (!latch) return PAWL_ERR_ARGUMENT;
    if (by < 1 || by > latch->count) return PAWL_ERR_PARTIES;
    if (!pawl__job_is_idle(&latch->job)) return PAWL_ERR_STATE;
    latch->by = by;
    latch->look_ms = LOOK_FIRST_MS;
    latch->asks_again = false;
    latch->job.flow.watch_ms = watch_ms;
    return PAWL_OK;
}

int pawl_latch_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms)
{
    int err = prepare(latch, by, 0);
    return err ? err : pawl__job_run(&latch->job, count_next, wait_ms);
}

int pawl_latch_count_down_start(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawl_done_fn done,
                                void *userdata)
{
    int err = prepare(latch, by, 0);
    return err ? err : pawl__job_start(&latch->job, count_next, wait_ms, done, userdata);
}

int pawl_latch_wait(pawl_latch *latch, int64_t wait_ms)
{
    int err = prepare(latch, 1, wait_ms ? WATCH_MS : 0);
    return err ? err : pawl__job_run(&latch->job, wait_next, wait_ms);
}

int pawl_latch_wait_start(pawl_latch *latch, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    int err = prepare(latch, 1, wait_ms ? WATCH_MS : 0);
    return err ? err : pawl__job_start(&latch->job, wait_next, wait_ms, done, userdata);
}

int pawl_latch_cancel(pawl_latch *latch)
{
    return pawl__job_cancel(latch ? &latch->job : NULL);
}

int pawl_latch_look(pawl_latch *latch, int64_t wait_ms)
{
    int err = prepare(latch, 1, 0);
    return err ? err : pawl__job_run(&latch->job, look_next, wait_ms);
}

uint32_t pawl_latch_left(const pawl_latch *latch)
{
    if (!latch) return 0;
    return latch->left == NEVER_SEEN ? latch->count : latch->left;
}

/* ---- Made and freed -------------------------------------------------------------------- */

static const pawl_latch_opts defaults = {
    .size = sizeof(pawl_latch_opts), .keep_ms = PAWL_LATCH_KEEP_MS, .ttl_ms = 30000};
#define OPTS_FIRST_SIZE (offsetof(pawl_latch_opts, keep_ms) + sizeof(int64_t))

void pawl_latch_opts_init_sized(pawl_latch_opts *opts, size_t size)
{
    pawl__opts_init(opts, size, &defaults, sizeof defaults);
}

static int take_opts(const pawl_latch_opts *given, pawl_latch_opts *ret_opts)
{
    if (!given) return PAWL_ERR_ARGUMENT; /* count has no default */
    *ret_opts = defaults;
    int err = pawl__opts_take(given, OPTS_FIRST_SIZE, ret_opts, sizeof *ret_opts);
    if (err) return err;
    if (ret_opts->count < 1 || ret_opts->count > PAWL_LATCH_COUNT_MAX) return PAWL_ERR_PARTIES;
    bool fits = ret_opts->keep_ms >= 1 && ret_opts->keep_ms <= PAWL_LATCH_KEEP_MAX_MS;
    return fits ? PAWL_OK : PAWL_ERR_ARGUMENT;
}

static void destroy(pawl__job *job)
{
    pawl_lock_free(job->flow.lock);
    free(job);
}

int pawl_latch_new(pawl_client *client, const char *name, size_t name_len,
                   const pawl_latch_opts *given, pawl_latch **ret_latch)
{
    if (!client || !ret_latch) return PAWL_ERR_ARGUMENT;
    pawl_latch_opts opts;
    int err = take_opts(given, &opts);
    if (err) return err;
    pawl_latch *latch = calloc(1, sizeof *latch);
    if (!latch) return PAWL_ERR_NO_MEMORY;
    latch->count = opts.count;
    latch->keep_ms = opts.keep_ms;
    latch->left = NEVER_SEEN;
    pawl_lock_opts of_lock;
    pawl_lock_opts_init(&of_lock);
    of_lock.ttl_ms = opts.ttl_ms;
    err = pawl_lock_new(client, name, name_len, &of_lock, &latch->job.flow.lock);
    if (err) {
        free(latch);
        return err;
    }
    latch->job.locks[0] = latch->job.flow.lock;
    latch->job.watched = pawl_lock_name(latch->job.flow.lock);
    latch->job.destroy = destroy;
    *ret_latch = latch;
    return PAWL_OK;
}

pawl_latch *pawl_latch_free(pawl_latch *latch)
{
    if (latch) pawl__job_free(&latch->job);
    return NULL;
}
