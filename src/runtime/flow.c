/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include "../base/instant.h"

#include <stdio.h>
#include <string.h>

/* Questions wait for the store as long as the client's store_timeout_ms; if that is for ever, so
   long, or as long as the job. */
#define QUESTION_WAIT_MS 5000
#define TRIES_MAX        100 /* of one PUBLISH: each waits for the store as long as it is away */

bool pawl__flow_may_ask_again(int err)
{
    return err == PAWL_ERR_UNKNOWN || pawl_err_class_of(err) == PAWL_CLASS_RETRY;
}

pawl__step pawl__flow_end(pawl__flow *flow, int result)
{
    flow->result = result;
    return PAWL__STEP_END;
}

bool pawl__flow_says_again(pawl__flow *flow, int err)
{
    if (err == PAWL_ERR_UNKNOWN) flow->in_doubt = true;
    return pawl__flow_may_ask_again(err) && pawl__now() < flow->until &&
           pawl_lock_is_held(flow->lock) && flow->tries++ < TRIES_MAX;
}

/* A refusal tells nothing of an earlier try that had no answer. */
int pawl__flow_said(pawl__flow *flow, int err)
{
    bool unknown = err && (flow->in_doubt || pawl__flow_may_ask_again(err));
    flow->tries = 0;
    flow->in_doubt = false;
    return unknown ? PAWL_ERR_UNKNOWN : err;
}

static int64_t left_ms(int64_t until)
{
    if (until == PAWL__NEVER) return PAWL_WAIT_FOREVER;
    int64_t left = until - pawl__now();
    return left > 0 ? left / PAWL__NS_PER_MS : 0;
}

static void begin(pawl__flow *flow, int64_t wait_ms)
{
    flow->state = flow->tries = 0;
    flow->in_doubt = false;
    flow->until = PAWL__NEVER;
    flow->hasty = wait_ms == 0;
    if (wait_ms >= 0) flow->until = pawl__instant_add(pawl__now(), pawl__ms_to_ns(wait_ms));
}

/* ---- The question of a step ------------------------------------------------------------ */

static int64_t question_wait(const pawl__flow *flow, pawl__step step)
{
    if (step == PAWL__STEP_AWAIT) {
        int64_t left = left_ms(pawl__instant_min(flow->await_until, flow->until));
        return left == 0 ? 1 : left;
    }
    if (flow->hasty) return 0;
    if (pawl__lock_client(flow->lock)->opts.store_timeout_ms >= 0) return PAWL_WAIT_FOREVER;
    int64_t left = left_ms(flow->until);
    return left < QUESTION_WAIT_MS ? QUESTION_WAIT_MS : left;
}

static void make_question(pawl__flow *flow, pawl__step step)
{
    const char *name = pawl_lock_name(flow->lock);
    flow->query = (pawl__query){.request = {.name = name, .name_len = strlen(name)}};
    pawl__query *query = &flow->query;
    flow->asked = step;
    if (step == PAWL__STEP_INSPECT) {
        query->request.verb = PAWL_VERB_INSPECT;
        return;
    }
    query->heard = &flow->heard;
    query->awaits_news = step == PAWL__STEP_AWAIT;
    query->request.verb = PAWL_VERB_READ;
    query->request.flags = flow->watch_ms ? PAWL_ASK_WATCH : 0;
    query->request.ttl_ms = flow->watch_ms;
    if (step != PAWL__STEP_PUBLISH) return;
    pawl_lock_token(flow->lock, &flow->token);
    query->heard = NULL;
    query->request.verb = PAWL_VERB_PUBLISH;
    query->request.flags = 0;
    query->request.token = flow->token.text;
    query->request.value = flow->value;
    query->request.value_len = flow->value_len;
    query->request.keep_ms = flow->keep_ms;
}

static void see_holder(pawl__flow *flow)
{
    pawl__link *first = pawl__list_first(&flow->query.rows);
    flow->holder = (pawl__holder_seen){0};
    if (!first) return;
    const pawl_info *info = &pawl__container(first, pawl__row, in_rows)->info;
    if (flow->see) flow->see(flow, info);
    flow->holder.held = info->held;
    flow->holder.fence = info->fence;
    flow->holder.remaining_ms = info->remaining_ms;
    snprintf(flow->holder.owner, sizeof flow->holder.owner, "%s", info->owner);
}

/* Whose answer is no error may still say no. */
static int judge(pawl__flow *flow, int err)
{
    if (!err && flow->asked == PAWL__STEP_INSPECT) see_holder(flow);
    if (flow->asked == PAWL__STEP_INSPECT) pawl__query_free_rows(&flow->query);
    if (err || flow->asked != PAWL__STEP_PUBLISH) return err;
    return flow->query.outcome == PAWL_CONFIRMED ? PAWL_OK : PAWL_ERR_LOST;
}

void pawl__flow_wake(pawl_client *client, const char *name)
{
    pawl__query poke = {.is_news = true, .request = {.name = name, .name_len = strlen(name)}};
    (void)pawl__query_put(client, &poke, PAWL_WAIT_FOREVER);
}

/* ---- The driver that sleeps ------------------------------------------------------------ */

static int carry_out(pawl__flow *flow, pawl__step step)
{
    if (step == PAWL__STEP_ACQUIRE) return pawl_lock_acquire(flow->lock, left_ms(flow->until));
    if (step == PAWL__STEP_RELEASE) return pawl_lock_release(flow->lock);
    make_question(flow, step);
    int err =
        pawl__query_put(pawl__lock_client(flow->lock), &flow->query, question_wait(flow, step));
    return judge(flow, err);
}

int pawl__flow_run(pawl__flow *flow, int64_t wait_ms)
{
    begin(flow, wait_ms);
    int err = PAWL_OK;
    for (pawl__step step; (step = flow->next(flow, err)) != PAWL__STEP_END;)
        err = carry_out(flow, step);
    return flow->result;
}

/* ---- The driver that is called back ---------------------------------------------------- */

static void go_on(pawl__flow *flow, int err);

static void on_acquired(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    go_on(userdata, err);
}

static void on_answered(pawl__query *query, int err)
{
    pawl__flow *flow = query->ctx;
    go_on(flow, judge(flow, err));
}

/* 0: its callback goes on. */
static int start(pawl__flow *flow, pawl__step step)
{
    if (step == PAWL__STEP_ACQUIRE)
        return pawl_lock_acquire_start(flow->lock, left_ms(flow->until), on_acquired, flow);
    make_question(flow, step);
    flow->query.done = on_answered;
    flow->query.ctx = flow;
    flow->query.of = flow->lock;
    return pawl__query_start(pawl__lock_client(flow->lock), &flow->query,
                             question_wait(flow, step));
}

/* false: the flow has ended. Else a callback goes on with it, perhaps already. */
static bool advance(pawl__flow *flow, int err)
{
    for (pawl__step step; (step = flow->next(flow, err)) != PAWL__STEP_END;) {
        if (step == PAWL__STEP_RELEASE) {
            err = pawl_lock_release(flow->lock);
            continue;
        }
        err = start(flow, step);
        if (!err) return true;
    }
    return false;
}

static void go_on(pawl__flow *flow, int err)
{
    if (!advance(flow, err)) flow->over(flow);
}

int pawl__flow_start(pawl__flow *flow, int64_t wait_ms, void (*over)(pawl__flow *flow))
{
    flow->over = over;
    begin(flow, wait_ms);
    return advance(flow, PAWL_OK) ? PAWL_OK : flow->result;
}
