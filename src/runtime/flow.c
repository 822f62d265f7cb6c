/* SPDX-License-Identifier: MIT */
#include "flow.h"

#include "../base/instant.h"

#include <stdio.h>
#include <string.h>

/* How long a question waits for the store if the client's store_timeout_ms is unlimited; the job's
 * own limit counts as well. */
#define QUESTION_WAIT_MS 5000
#define TRIES_MAX        100 /* of one PUBLISH; each waits while the store is away */

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

/* A refusal does not tell what became of an earlier try without an answer. */
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

/* A wait stays a wait when the questions before it took all the time: it ends with TIMEOUT, not
 * BUSY. */
static int64_t acquire_wait(const pawl__flow *flow)
{
    int64_t left = left_ms(flow->until);
    return left == 0 && !flow->hasty ? 1 : left;
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

/*
 * Who publishes has the lease alone: it ends with the release, and is neither passed on inside the
 * client nor retained. By the fence of its lease a value is known to be the leader's. Each
 * publication of a lease has a larger number than the one before, and keeps it when it is sent
 * again: so one that is executed late undoes nothing.
 */
static void have_lease_alone(pawl__flow *flow)
{
    pawl_lock *lock = flow->lock;
    pthread_mutex_t *mutex = &lock->home->gate->mutex;
    pthread_mutex_lock(mutex);
    pawl__acquisition *a = lock->acquisition;
    if (flow->tries == 0) flow->publication = ++pawl__lock_client(lock)->queries.publications;
    if (lock->state == PAWL__LOCK_HELD && pawl__held_pin(&lock->held)) /* and it is not lent */
        a->wanted = a->ends_lease = true;
    pthread_mutex_unlock(mutex);
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
    have_lease_alone(flow);
    pawl_lock_token(flow->lock, &flow->token);
    query->heard = NULL;
    query->request.verb = PAWL_VERB_PUBLISH;
    query->request.flags = 0;
    query->request.token = flow->token.text;
    query->request.value = flow->value;
    query->request.value_len = flow->value_len;
    query->request.keep_ms = flow->keep_ms;
    query->request.publication = flow->publication;
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

int pawl__flow_why_lost(const pawl_lock *lock)
{
    pawl__gate *gate = lock->home->gate;
    pthread_mutex_lock(&gate->mutex);
    bool closing = gate->closing;
    pthread_mutex_unlock(&gate->mutex);
    return closing ? PAWL_ERR_CLOSED : PAWL_ERR_LOST;
}

/* Who closes does not wait for the answer: what the store has been asked it may have done. */
static int judge_publish(const pawl__flow *flow, int err)
{
    bool was_asked = flow->query.request.id != 0;
    if (err == PAWL_ERR_CLOSED && was_asked) return PAWL_ERR_UNKNOWN;
    if (err) return err;
    return flow->query.outcome == PAWL_CONFIRMED ? PAWL_OK : pawl__flow_why_lost(flow->lock);
}

/* Whose answer is no error may still say no. */
static int judge(pawl__flow *flow, int err)
{
    if (!err && flow->asked == PAWL__STEP_INSPECT) see_holder(flow);
    if (flow->asked == PAWL__STEP_INSPECT) pawl__query_free_rows(&flow->query);
    return flow->asked == PAWL__STEP_PUBLISH ? judge_publish(flow, err) : err;
}

void pawl__flow_wake(pawl_client *client, const char *name)
{
    pawl__query poke = {.is_news = true, .request = {.name = name, .name_len = strlen(name)}};
    (void)pawl__query_put(client, &poke, PAWL_WAIT_FOREVER);
}

/* ---- The driver that sleeps ------------------------------------------------------------ */

static int carry_out(pawl__flow *flow, pawl__step step)
{
    if (step == PAWL__STEP_ACQUIRE) return pawl_lock_acquire(flow->lock, acquire_wait(flow));
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

/* 0: a callback continues the flow. */
static int start(pawl__flow *flow, pawl__step step)
{
    if (step == PAWL__STEP_ACQUIRE)
        return pawl_lock_acquire_start(flow->lock, acquire_wait(flow), on_acquired, flow);
    make_question(flow, step);
    flow->query.done = on_answered;
    flow->query.ctx = flow;
    flow->query.of = flow->lock;
    return pawl__query_start(pawl__lock_client(flow->lock), &flow->query,
                             question_wait(flow, step));
}

/* false: the flow has ended. true: a callback continues it, perhaps already now. */
static bool advance(pawl__flow *flow, int err)
{
    for (pawl__step step; (step = flow->next(flow, err)) != PAWL__STEP_END;) {
        if (step == PAWL__STEP_RELEASE) {
            err = pawl_lock_release(flow->lock);
            continue;
        }
        err = start(flow, step);
        if (!err) return true;
        flow->not_begun = err;
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
    if (advance(flow, PAWL_OK)) return PAWL_OK;
    return flow->result ? flow->result : flow->not_begun; /* nobody is told: 0 would promise it */
}
