/* SPDX-License-Identifier: MIT */
/*
 * Election (docs/composed.md): the holder of the lock leads. The value beside it is
 *
 *     pawl leads 1 NEWLINE VALUE     by the leader
 *     pawl leads 0 NEWLINE           by a leader that resigns
 *
 * and it is valid as long as the lease with its fence lasts.
 */
#include "pawl/composed.h"

#include "../base/instant.h"
#include "flow.h"
#include "visit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define LEADS       "pawl leads 1\n"
#define RESIGNED    "pawl leads 0\n"
#define WORD_LEN    (sizeof(LEADS) - 1)
#define KEEP_MS     INT64_C(2592000000) /* 30 days */
#define FAREWELL_MS 60000

_Static_assert(WORD_LEN + PAWL_LEADER_VALUE_MAX <= PAWL_STORED_MAX, "every value fits");

/* ---- What a leader says ---------------------------------------------------------------- */

typedef struct speech {
    pawl__flow flow;   /* first */
    pawl_done_fn done; /* NULL: the caller waits */
    void *userdata;
} speech;

static pawl__step proclaim_next(pawl__flow *flow, int err)
{
    if (flow->state++ == 0) return PAWL__STEP_PUBLISH;
    if (pawl__flow_says_again(flow, err)) return PAWL__STEP_PUBLISH;
    return pawl__flow_end(flow, pawl__flow_said(flow, err));
}

/* Telling the observers is only a service, so its failure does not matter: the result is that of
 * the release. */
static pawl__step resign_next(pawl__flow *flow, int err)
{
    switch (flow->state++) {
    case 0:
        return PAWL__STEP_PUBLISH;
    case 1:
        return PAWL__STEP_RELEASE;
    }
    return pawl__flow_end(flow, err);
}

static void over(pawl__flow *flow)
{
    speech *s = (speech *)flow;
    s->done(flow->lock, flow->result, s->userdata);
    free(s);
}

/* Takes the mutex, because the loop owner writes the state. */
static int why_not_held(const pawl_lock *lock)
{
    pthread_mutex_t *mutex = &lock->home->gate->mutex;
    pthread_mutex_lock(mutex);
    bool idle = lock->state == PAWL__LOCK_IDLE, closing = lock->home->gate->closing;
    pthread_mutex_unlock(mutex);
    if (closing) return PAWL_ERR_CLOSED;
    return idle ? PAWL_ERR_NOT_HELD : PAWL_ERR_LOST;
}

/* 0 and *ret_speech, or why nothing can be published. */
static int prepare(pawl_lock *lock, const void *value, size_t value_len, int64_t wait_ms,
                   speech **ret_speech)
{
    if (!lock || wait_ms < PAWL_WAIT_FOREVER || (!value && value_len)) return PAWL_ERR_ARGUMENT;
    if (pawl__lock_is_forked(lock)) return PAWL_ERR_FORKED;
    if (value_len > PAWL_LEADER_VALUE_MAX) return PAWL_ERR_VALUE;
    if (!pawl_lock_is_held(lock)) return why_not_held(lock);
    speech *s = calloc(1, sizeof *s);
    if (!s) return PAWL_ERR_NO_MEMORY;
    s->flow.lock = lock;
    s->flow.next = proclaim_next;
    s->flow.keep_ms = KEEP_MS;
    s->flow.value_len = WORD_LEN + value_len;
    memcpy(s->flow.value, LEADS, WORD_LEN);
    if (value_len) memcpy(s->flow.value + WORD_LEN, value, value_len);
    *ret_speech = s;
    return PAWL_OK;
}

static int prepare_farewell(pawl_lock *lock, int64_t wait_ms, speech **ret_speech)
{
    int err = prepare(lock, NULL, 0, wait_ms, ret_speech);
    if (err) return err;
    pawl__flow *flow = &(*ret_speech)->flow;
    memcpy(flow->value, RESIGNED, WORD_LEN);
    flow->keep_ms = FAREWELL_MS;
    flow->next = resign_next;
    return PAWL_OK;
}

static int say(speech *s, int64_t wait_ms)
{
    int err = pawl__flow_run(&s->flow, wait_ms);
    free(s);
    return err;
}

static int say_start(speech *s, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    s->done = done;
    s->userdata = userdata;
    int err = pawl__flow_start(&s->flow, wait_ms, over);
    if (err) free(s);
    return err;
}

int pawl_election_proclaim(pawl_lock *lock, const void *value, size_t value_len, int64_t wait_ms)
{
    speech *s;
    int err = prepare(lock, value, value_len, wait_ms, &s);
    return err ? err : say(s, wait_ms);
}

int pawl_election_proclaim_start(pawl_lock *lock, const void *value, size_t value_len,
                                 int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    speech *s;
    int err = done ? prepare(lock, value, value_len, wait_ms, &s) : PAWL_ERR_ARGUMENT;
    return err ? err : say_start(s, wait_ms, done, userdata);
}

/* The lock is released in any case, also where there is no memory for the word to observers. */
int pawl_election_resign(pawl_lock *lock, int64_t wait_ms)
{
    speech *s;
    int err = prepare_farewell(lock, wait_ms, &s);
    if (err == PAWL_ERR_NO_MEMORY) return pawl_lock_release(lock);
    return err ? err : say(s, wait_ms);
}

int pawl_election_resign_start(pawl_lock *lock, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    speech *s;
    int err = done ? prepare_farewell(lock, wait_ms, &s) : PAWL_ERR_ARGUMENT;
    if (err == PAWL_ERR_NO_MEMORY) (void)pawl_lock_release(lock);
    return err ? err : say_start(s, wait_ms, done, userdata);
}

/* ---- What is known of the leader ------------------------------------------------------- */

static bool begins(const pawl_value *value, const char *word)
{
    return value->len >= WORD_LEN && memcmp(value->bytes, word, WORD_LEN) == 0;
}

/* Fills in the leader from a READ and the INSPECT after it. 0, or PAWL_ERR_KIND. */
static int know(const pawl__flow *flow, pawl_leader *ret_leader)
{
    const pawl_value *value = &flow->heard.value;
    const pawl__holder_seen *holder = &flow->holder;
    bool resigned = value->fence && begins(value, RESIGNED);
    bool speaks = value->fence && begins(value, LEADS);
    if (value->fence && !resigned && !speaks) return PAWL_ERR_KIND;
    *ret_leader = (pawl_leader){.size = sizeof *ret_leader, .owner = ""};
    bool is_its = value->fence == holder->fence;
    if (!holder->held || (resigned && is_its)) return PAWL_OK;
    ret_leader->leads = true;
    ret_leader->owner = holder->owner;
    ret_leader->fence = holder->fence;
    ret_leader->remaining_ms = holder->remaining_ms;
    if (!speaks || !is_its) return PAWL_OK;
    ret_leader->value = value->bytes + WORD_LEN;
    ret_leader->value_len = value->len - WORD_LEN;
    return PAWL_OK;
}

static pawl__step leader_next(pawl__flow *flow, int err)
{
    if (err) return pawl__flow_end(flow, err);
    switch (flow->state++) {
    case 0:
        return PAWL__STEP_READ;
    case 1:
        return PAWL__STEP_INSPECT;
    }
    return pawl__flow_end(flow, PAWL_OK);
}

int pawl_election_leader(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                         pawl_leader_fn fn, void *userdata)
{
    if (!fn || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl__flow *flow = calloc(1, sizeof *flow);
    if (!flow) return PAWL_ERR_NO_MEMORY;
    pawl_leader leader;
    int err = pawl_lock_new(client, name, name_len, NULL, &flow->lock);
    flow->next = leader_next;
    if (!err) err = pawl__flow_run(flow, wait_ms);
    if (!err) err = know(flow, &leader);
    if (!err) fn(&leader, userdata);
    pawl_lock_free(flow->lock);
    free(flow);
    return err;
}

/* ---- Observers ------------------------------------------------------------------------- */

#define WATCH_MS     60000 /* how long the store tells us of news */
#define LOOK_MS      20000 /* how often we look without a hint, which may be lost (law 7) */
#define AFTER_END_MS 20    /* after the end of a lease */
#define RETRY_MS     1000  /* after a store that did not answer */

struct pawl_observer {
    pawl__flow flow; /* first */
    pawl_leader_fn fn;
    void *userdata;
    atomic_int refs; /* the caller and the flow */
    atomic_bool stopped;
    bool told; /* fn was told something; the other members say what */
    int told_err;
    bool told_leads;
    uint64_t told_fence, told_version; /* version: when the value was published; 0: none */
};

static void drop(pawl_observer *o)
{
    if (atomic_fetch_sub(&o->refs, 1) > 1) return;
    pawl_lock_free(o->flow.lock);
    free(o);
}

static void observer_over(pawl__flow *flow)
{
    drop((pawl_observer *)flow);
}

/* Tells fn if something is new. */
static void tell(pawl_observer *o, const pawl_leader *leader)
{
    uint64_t version = leader->value ? (uint64_t)o->flow.heard.value.at_us : 0;
    bool same = o->told && o->told_err == leader->err && o->told_leads == leader->leads &&
                o->told_fence == leader->fence && o->told_version == version;
    if (same || atomic_load(&o->stopped)) return;
    o->told = true;
    o->told_err = leader->err;
    o->told_leads = leader->leads;
    o->told_fence = leader->fence;
    o->told_version = version;
    o->fn(leader, o->userdata);
}

/* Looks at what is known, and returns until when there is nothing to do. */
static int64_t look(pawl_observer *o, int err)
{
    pawl_leader leader = {.size = sizeof leader, .owner = ""};
    if (!err) err = know(&o->flow, &leader);
    if (err) leader.err = err;
    tell(o, &leader);
    if (err) return RETRY_MS;
    bool ends = leader.leads && leader.remaining_ms >= 0;
    int64_t until_end = leader.remaining_ms + AFTER_END_MS;
    return ends && until_end < LOOK_MS ? until_end : LOOK_MS;
}

enum { READS, INSPECTS, LOOKS, WAITS };

static pawl__step observe_next(pawl__flow *flow, int err)
{
    pawl_observer *o = (pawl_observer *)flow;
    if (atomic_load(&o->stopped) || err == PAWL_ERR_CLOSED || err == PAWL_ERR_FORKED)
        return pawl__flow_end(flow, err);
    if (flow->not_begun) { /* it would not be the next time either */
        if (o->told) (void)look(o, err);
        return pawl__flow_end(flow, err);
    }
    if (err && flow->state == INSPECTS) flow->state = LOOKS; /* nothing was read */
    switch (flow->state) {
    case READS:
        flow->state = INSPECTS;
        flow->watch_ms = WATCH_MS;
        return PAWL__STEP_READ;
    case INSPECTS:
        flow->state = LOOKS;
        return PAWL__STEP_INSPECT;
    }
    flow->state = READS;
    flow->await_until = pawl__instant_add(pawl__now(), pawl__ms_to_ns(look(o, err)));
    return atomic_load(&o->stopped) ? pawl__flow_end(flow, PAWL_OK) : PAWL__STEP_AWAIT;
}

int pawl_election_observe(pawl_client *client, const char *name, size_t name_len, pawl_leader_fn fn,
                          void *userdata, pawl_observer **ret_observer)
{
    if (!fn || !ret_observer) return PAWL_ERR_ARGUMENT;
    pawl_observer *o = calloc(1, sizeof *o);
    if (!o) return PAWL_ERR_NO_MEMORY;
    o->fn = fn;
    o->userdata = userdata;
    atomic_init(&o->refs, 2);
    o->flow.next = observe_next;
    int err = pawl_lock_new(client, name, name_len, NULL, &o->flow.lock);
    if (err) {
        free(o);
        return err;
    }
    *ret_observer = o; /* before the first callback can run */
    err = pawl__flow_start(&o->flow, PAWL_WAIT_FOREVER, observer_over);
    if (!err) return PAWL_OK;
    *ret_observer = NULL;
    pawl_lock_free(o->flow.lock);
    free(o);
    return err;
}

/* Waits until no callback of the observer runs, unless this thread is in it. */
static void await_callback(const pawl_observer *o)
{
    pawl__visit visit;
    pawl_client *c = pawl__lock_client(o->flow.lock);
    if (pawl__enter(c, &visit)) return;
    pawl__calls_wait_for(&c->calls, o->flow.lock);
    pawl__leave(&visit);
}

pawl_observer *pawl_observer_stop(pawl_observer *o)
{
    if (!o) return NULL;
    atomic_store(&o->stopped, true);
    if (!pawl__lock_is_forked(o->flow.lock)) {
        /* The flow waits for news: it looks again and finds that it must end. */
        pawl__flow_wake(pawl__lock_client(o->flow.lock), pawl_lock_name(o->flow.lock));
        await_callback(o);
    }
    drop(o);
    return NULL;
}
