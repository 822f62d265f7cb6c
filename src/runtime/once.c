/* SPDX-License-Identifier: MIT */
/*
 * Once (docs/composed.md): a lock, and beside it a value that tells how the latest run went:
 *
 *     pawl once 1 BEGAN_US OUTCOME
 *
 * BEGAN_US is the store's clock when the run had the lock. The store adds who wrote it and when.
 */
#include "pawl/composed.h"

#include "../base/instant.h"
#include "job.h"
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD         "pawl once 1 "
#define KEEP_MIN_MS  INT64_C(604800000) /* a week, so that people can look at the latest run */
#define KEEP_PERIODS 3

struct pawl_once {
    pawl__job job; /* first */
    int64_t every_ms;
    bool keeps_failures;
    bool succeeds;    /* what pawl_once_end says */
    int64_t began_us; /* of the run that has begun */
    pawl_once_info info;
};

static pawl_once *once_of(pawl__flow *flow)
{
    return (pawl_once *)flow;
}

/* ---- The record ------------------------------------------------------------------------ */

/* A store's clock may show a time before 1970: rounds down in that case, too. */
static int64_t period_of(const pawl_once *once, int64_t us)
{
    int64_t every_us = once->every_ms * 1000;
    return us / every_us - (us % every_us < 0);
}

static bool take_record(const pawl_value *value, pawl_once_info *info)
{
    int outcome, end = 0;
    if (strncmp(value->bytes, WORD, strlen(WORD)) != 0) return false;
    int count =
        sscanf(value->bytes + strlen(WORD), "%" SCNd64 " %d%n", &info->began_us, &outcome, &end);
    if (count != 2 || outcome < PAWL_ONCE_SUCCEEDED || outcome > PAWL_ONCE_FAILED_KEPT)
        return false;
    info->outcome = (pawl_once_outcome)outcome;
    return true;
}

/* 0, or PAWL_ERR_KIND: the value belongs to something else. */
static int take_value(pawl_once *once)
{
    const pawl_value *value = &once->job.flow.heard.value;
    pawl_once_info info = {.size = sizeof info, .now_us = value->now_us, .due = true};
    info.next_us = (period_of(once, info.now_us) + 1) * once->every_ms * 1000;
    if (value->fence) {
        if (!take_record(value, &info)) return PAWL_ERR_KIND;
        info.ended_us = value->at_us;
        info.fence = value->fence;
        snprintf(info.owner, sizeof info.owner, "%s", value->owner);
        bool counts = info.outcome != PAWL_ONCE_FAILED;
        info.due = !counts || period_of(once, info.began_us) < period_of(once, info.now_us);
    }
    once->info = info;
    return PAWL_OK;
}

static void make_record(pawl_once *once)
{
    pawl__flow *flow = &once->job.flow;
    pawl_once_outcome failed = once->keeps_failures ? PAWL_ONCE_FAILED_KEPT : PAWL_ONCE_FAILED;
    int len = snprintf(flow->value, sizeof flow->value, WORD "%" PRId64 " %d", once->began_us,
                       once->succeeds ? PAWL_ONCE_SUCCEEDED : failed);
    flow->value_len = (size_t)len;
    flow->keep_ms = once->every_ms * KEEP_PERIODS;
    if (flow->keep_ms < KEEP_MIN_MS) flow->keep_ms = KEEP_MIN_MS;
    if (flow->keep_ms > PAWL_KEEP_MAX_MS) flow->keep_ms = PAWL_KEEP_MAX_MS;
}

/* ---- The steps ------------------------------------------------------------------------- */

/* Releases first; then ends with the result. */
static pawl__step give_up(pawl__flow *flow, int result)
{
    flow->result = result;
    flow->state = 9;
    return PAWL__STEP_RELEASE;
}

static pawl__step begin_next(pawl__flow *flow, int err)
{
    pawl_once *once = once_of(flow);
    switch (flow->state++) {
    case 0: /* a late call takes no lock, so it delays nobody */
        return PAWL__STEP_READ;
    case 1:
        if (!err) err = take_value(once);
        if (!err && pawl__job_is_left(&once->job)) err = PAWL_ERR_CANCELED;
        if (!err && !once->info.due) err = PAWL_ERR_DONE;
        return err ? pawl__flow_end(flow, err) : PAWL__STEP_ACQUIRE;
    case 2: /* a grant that was over; but a run that was begun before is for pawl_once_end */
        if (err == PAWL_ERR_LOST && !once->began_us) return give_up(flow, err);
        return err ? pawl__flow_end(flow, err) : PAWL__STEP_READ;
    case 3:
        if (!err) err = take_value(once);
        if (!err && pawl__job_is_left(&once->job)) err = PAWL_ERR_CANCELED;
        if (!err && !once->info.due) err = PAWL_ERR_DONE;
        if (err) return give_up(flow, err);
        once->began_us = once->info.now_us;
        return pawl_lock_is_held(flow->lock) ? pawl__flow_end(flow, PAWL_OK)
                                             : give_up(flow, pawl__flow_why_lost(flow->lock));
    }
    return PAWL__STEP_END; /* all is released: return the result */
}

static pawl__step end_next(pawl__flow *flow, int err)
{
    pawl_once *once = once_of(flow);
    switch (flow->state) {
    case 0:
        flow->state = 1;
        return PAWL__STEP_PUBLISH;
    case 1:
        if (pawl__flow_says_again(flow, err)) return PAWL__STEP_PUBLISH;
        once->began_us = 0;
        return give_up(flow, pawl__flow_said(flow, err));
    }
    return PAWL__STEP_END;
}

static pawl__step look_next(pawl__flow *flow, int err)
{
    if (flow->state++ == 0) return PAWL__STEP_READ;
    return pawl__flow_end(flow, err ? err : take_value(once_of(flow)));
}

/* ---- The calls ------------------------------------------------------------------------- */

static void destroy(pawl__job *job)
{
    pawl_lock_free(job->flow.lock);
    free(job);
}

static pawl__job *job_of(pawl_once *once)
{
    return once ? &once->job : NULL;
}

int pawl_once_begin(pawl_once *once, int64_t wait_ms)
{
    return pawl__job_run(job_of(once), begin_next, wait_ms);
}

int pawl_once_begin_start(pawl_once *once, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    return pawl__job_start(job_of(once), begin_next, wait_ms, done, userdata);
}

/* 0: the end of the run can be published. */
static int prepare_end(pawl_once *once, bool success)
{
    if (!once) return PAWL_ERR_ARGUMENT;
    if (!pawl__job_is_idle(&once->job)) return PAWL_ERR_STATE;
    if (!once->began_us) return PAWL_ERR_NOT_HELD;
    once->succeeds = success;
    make_record(once);
    return PAWL_OK;
}

int pawl_once_end(pawl_once *once, bool success, int64_t wait_ms)
{
    int err = prepare_end(once, success);
    return err ? err : pawl__job_run(job_of(once), end_next, wait_ms);
}

int pawl_once_end_start(pawl_once *once, bool success, int64_t wait_ms, pawl_done_fn done,
                        void *userdata)
{
    int err = prepare_end(once, success);
    return err ? err : pawl__job_start(job_of(once), end_next, wait_ms, done, userdata);
}

int pawl_once_look(pawl_once *once, int64_t wait_ms)
{
    return pawl__job_run(job_of(once), look_next, wait_ms);
}

void pawl_once_last_sized(const pawl_once *once, pawl_once_info *ret_info, size_t size)
{
    if (!once || !ret_info || size < sizeof(size_t)) return;
    pawl__give_sized(ret_info, size, &once->info, sizeof once->info);
    ret_info->size = size < sizeof once->info ? size : sizeof once->info;
}

pawl_lock *pawl_once_lock(const pawl_once *once)
{
    return once ? once->job.flow.lock : NULL;
}

/* ---- Made and freed -------------------------------------------------------------------- */

static const pawl_once_opts defaults = {.size = sizeof(pawl_once_opts)};
#define OPTS_FIRST_SIZE (offsetof(pawl_once_opts, lock) + sizeof(void *))

void pawl_once_opts_init_sized(pawl_once_opts *opts, size_t size)
{
    pawl__opts_init(opts, size, &defaults, sizeof defaults);
}

static int take_opts(const pawl_once_opts *given, pawl_once_opts *ret_opts)
{
    if (!given) return PAWL_ERR_ARGUMENT; /* every_ms has no default */
    *ret_opts = defaults;
    int err = pawl__opts_take(given, OPTS_FIRST_SIZE, ret_opts, sizeof *ret_opts);
    if (err) return err;
    if (ret_opts->flags & ~(uint64_t)PAWL_ONCE_KEEP_ON_FAILURE) return PAWL_ERR_UNSUPPORTED;
    bool fits = ret_opts->every_ms >= PAWL_ONCE_EVERY_MIN_MS &&
                ret_opts->every_ms <= PAWL_ONCE_EVERY_MAX_MS;
    const pawl_lock_opts *lock = ret_opts->lock;
    if (lock &&
        (lock->mode != PAWL_MODE_EXCLUSIVE || lock->flags & ~PAWL_LOCK_DETACHED || lock->retain_ms))
        return PAWL_ERR_ARGUMENT;
    return fits ? PAWL_OK : PAWL_ERR_ARGUMENT;
}

int pawl_once_new(pawl_client *client, const char *name, size_t name_len,
                  const pawl_once_opts *given, pawl_once **ret_once)
{
    if (!client || !ret_once) return PAWL_ERR_ARGUMENT;
    pawl_once_opts opts;
    int err = take_opts(given, &opts);
    if (err) return err;
    pawl_once *once = calloc(1, sizeof *once);
    if (!once) return PAWL_ERR_NO_MEMORY;
    once->every_ms = opts.every_ms;
    once->keeps_failures = opts.flags & PAWL_ONCE_KEEP_ON_FAILURE;
    err = pawl_lock_new(client, name, name_len, opts.lock, &once->job.flow.lock);
    if (err) {
        free(once);
        return err;
    }
    once->job.locks[0] = once->job.shown = once->job.flow.lock;
    once->job.destroy = destroy;
    *ret_once = once;
    return PAWL_OK;
}

pawl_once *pawl_once_free(pawl_once *once)
{
    if (once) pawl__job_free(&once->job);
    return NULL;
}
