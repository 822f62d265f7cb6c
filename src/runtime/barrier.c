/* SPDX-License-Identifier: MIT */
/*
 * Barrier (docs/composed.md). Each party holds one permit of a semaphore that has one for each
 * party: while it has its lease, it is there and alive. The value beside the name NAME.gate tells
 * what became of the rounds,
 *
 *     pawl barrier 1 GENERATION OPENED ENDED
 *
 * and only the holder of the exclusive lock of that name writes it. GENERATION is the number of
 * rounds that have opened. ENDED is the largest fence of a permit whose round is over; OPENED is
 * that of the latest round that has opened. So a party compares its own fence: if it is not above
 * OPENED, the party has passed; else, if it is not above ENDED, its round is broken; else its round
 * is the present one. A later round cannot open while a party of an earlier one still has its
 * permit, because there are not enough permits.
 *
 * The holders are read before the value: a party that sees another one gone then also sees whether
 * the barrier had opened before that.
 */
#include "pawl/composed.h"

#include "../base/instant.h"
#include "job.h"
#include "options.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WORD          "pawl barrier 1 "
#define GATE          ".gate"
#define KEEP_MS       INT64_C(2592000000) /* 30 days */
#define WATCH_MS      60000               /* how long the store tells us of news */
/* How often we look without a hint: a hint may be lost (law 7), and dead parties send none. */
#define LOOK_FIRST_MS 1000
#define LOOK_MAX_MS   5000
#define AFTER_END_MS  20  /* after the end of a lease */
#define GIVE_UP_MS    500 /* how long who gives up tries to tell the others */

#define WAITS 1 /* a value that is not a result */

_Static_assert(PAWL_BARRIER_PARTIES_MAX <= PAWL_HOLDERS_SHOWN_MAX, "all holders are told");

typedef struct rounds {
    uint64_t generation, opened, ended;
} rounds;

struct pawl_barrier {
    pawl__job job; /* first */
    pawl_lock *permit, *gate;
    uint32_t parties;
    uint64_t fence;      /* of our permit */
    uint64_t generation; /* of the round that we passed last */
    rounds rounds;       /* as they were read last */
    bool knows_rounds;   /* in this call */
    bool is_in_gate;     /* it holds the exclusive lock */
    bool asks_again;     /* the latest question had no answer */
    bool gives_up;
    int why;  /* why it gives up */
    int says; /* the result, when the record is published */
    int64_t look_ms;
    int64_t first_end_ms; /* until another party's lease ends; -1: none does */
    size_t here_count, seen_count;
    uint64_t *seen;  /* fences of the parties that were there at the last look */
    uint64_t here[]; /* the same at this look */
};

static pawl_barrier *barrier_of(pawl__flow *flow)
{
    return (pawl_barrier *)flow;
}

/* ---- Who is there ---------------------------------------------------------------------- */

static void see(pawl__flow *flow, const pawl_info *info)
{
    pawl_barrier *b = barrier_of(flow);
    for (size_t i = 0; i < info->holders_shown && b->here_count < b->parties; i++) {
        const pawl_holder_info *holder = &info->holders[i];
        b->here[b->here_count++] = holder->fence;
        bool is_first = b->first_end_ms < 0 || holder->remaining_ms < b->first_end_ms;
        if (holder->fence != b->fence && holder->remaining_ms >= 0 && is_first)
            b->first_end_ms = holder->remaining_ms;
    }
}

static bool is_here(const pawl_barrier *b, uint64_t fence)
{
    for (size_t i = 0; i < b->here_count; i++)
        if (b->here[i] == fence) return true;
    return false;
}

static bool all_are_here(const pawl_barrier *b)
{
    size_t count = 0;
    for (size_t i = 0; i < b->here_count; i++) count += b->here[i] > b->rounds.ended;
    return count == b->parties;
}

static bool somebody_has_gone(const pawl_barrier *b)
{
    for (size_t i = 0; i < b->seen_count; i++)
        if (b->seen[i] > b->rounds.ended && !is_here(b, b->seen[i])) return true;
    return false;
}

static void remember(pawl_barrier *b)
{
    memcpy(b->seen, b->here, b->here_count * sizeof b->here[0]);
    b->seen_count = b->here_count;
}

/* ---- The record ------------------------------------------------------------------------ */

static bool take_record(const pawl_value *value, rounds *ret_rounds)
{
    if (strncmp(value->bytes, WORD, strlen(WORD)) != 0) return false;
    return sscanf(value->bytes + strlen(WORD), "%" SCNu64 " %" SCNu64 " %" SCNu64,
                  &ret_rounds->generation, &ret_rounds->opened, &ret_rounds->ended) == 3;
}

/* WAITS, or the result. */
static int judge(pawl_barrier *b)
{
    const pawl_value *value = &b->job.flow.heard.value;
    rounds before = b->rounds, now = {0};
    if (value->fence && !take_record(value, &now)) return PAWL_ERR_KIND;
    bool knew = b->knows_rounds;
    b->rounds = now;
    b->knows_rounds = true;
    if (!pawl_lock_is_held(b->permit) || !is_here(b, b->fence))
        return pawl__flow_why_lost(b->permit);
    bool forgotten = knew && (now.generation < before.generation || now.ended < before.ended);
    if (forgotten) return PAWL_ERR_BROKEN;
    if (b->fence > now.ended) return WAITS;
    if (b->fence > now.opened) return PAWL_ERR_BROKEN;
    b->generation = now.generation;
    return PAWL_OK;
}

/* Makes the record that ends the present round: it opens, or it is broken. */
static void make_record(pawl_barrier *b, bool opens)
{
    pawl__flow *flow = &b->job.flow;
    rounds next = b->rounds;
    for (size_t i = 0; i < b->here_count; i++)
        if (b->here[i] > next.ended) next.ended = b->here[i];
    if (opens) {
        next.generation++;
        next.opened = next.ended;
    }
    int len = snprintf(flow->value, sizeof flow->value, WORD "%" PRIu64 " %" PRIu64 " %" PRIu64,
                       next.generation, next.opened, next.ended);
    flow->value_len = (size_t)len;
    flow->keep_ms = KEEP_MS;
}

/* ---- The steps ------------------------------------------------------------------------- */

enum { ARRIVES, ARRIVED, INSPECTED, READ, ENTERED, SAID, AWAITS, AWAITED, LEAVES, LEFT };

static pawl__step of_permit(pawl_barrier *b, pawl__step step, int state)
{
    b->job.flow.lock = b->permit;
    b->job.flow.state = state;
    return step;
}

static pawl__step of_gate(pawl_barrier *b, pawl__step step, int state)
{
    b->job.flow.lock = b->gate;
    b->job.flow.state = state;
    return step;
}

static pawl__step look(pawl_barrier *b)
{
    b->here_count = 0;
    b->first_end_ms = -1;
    return of_permit(b, PAWL__STEP_INSPECT, INSPECTED);
}

/* Ends with the result; first releases what it holds. */
static pawl__step leave(pawl_barrier *b, int result)
{
    b->job.flow.result = result;
    if (!b->is_in_gate) return of_permit(b, PAWL__STEP_RELEASE, LEFT);
    b->is_in_gate = false;
    return of_gate(b, PAWL__STEP_RELEASE, LEAVES);
}

/* A question without an answer is asked once more; after that the store counts as away. */
static pawl__step ask_again(pawl_barrier *b, int err)
{
    b->asks_again = !b->asks_again && pawl__flow_may_ask_again(err);
    return b->asks_again ? look(b) : leave(b, err);
}

static pawl__step say(pawl_barrier *b, int result)
{
    b->says = result;
    make_record(b, result == PAWL_OK);
    return of_gate(b, PAWL__STEP_PUBLISH, SAID);
}

/* Gives up, and tells the others. A party that has not seen us yet does not miss us: so we wait for
 * the gate, and only if the store is away are the others left to find out themselves. */
static pawl__step give_up(pawl_barrier *b, int why)
{
    b->gives_up = true;
    b->why = why;
    b->job.flow.hasty = false;
    b->job.flow.until = pawl__instant_add(pawl__now(), pawl__ms_to_ns(GIVE_UP_MS));
    return of_gate(b, PAWL__STEP_ACQUIRE, ENTERED);
}

static pawl__step await(pawl_barrier *b)
{
    pawl__flow *flow = &b->job.flow;
    int64_t now = pawl__now(), span_ms = b->look_ms;
    if (pawl__job_is_left(&b->job)) return give_up(b, PAWL_ERR_CANCELED);
    if (flow->hasty) return give_up(b, PAWL_ERR_BUSY);
    if (now >= flow->until) return give_up(b, PAWL_ERR_TIMEOUT);
    b->look_ms = b->look_ms < LOOK_MAX_MS / 2 ? b->look_ms * 2 : LOOK_MAX_MS;
    if (b->first_end_ms >= 0 && b->first_end_ms + AFTER_END_MS < span_ms)
        span_ms = b->first_end_ms + AFTER_END_MS;
    flow->await_until = pawl__instant_add(now, pawl__ms_to_ns(span_ms));
    return of_gate(b, PAWL__STEP_AWAIT, AWAITED);
}

/* Leaves the gate and goes on waiting. */
static pawl__step go_out(pawl_barrier *b)
{
    b->is_in_gate = false;
    return of_gate(b, PAWL__STEP_RELEASE, AWAITS);
}

static pawl__step decide(pawl_barrier *b)
{
    int result = judge(b);
    if (result != WAITS) return leave(b, result);
    bool complete = all_are_here(b), broken = somebody_has_gone(b);
    b->asks_again = false;
    if (!broken) remember(b); /* else we would forget who has gone before it is published */
    bool ends = complete || broken || b->gives_up;
    if (!b->is_in_gate) return ends ? of_gate(b, PAWL__STEP_ACQUIRE, ENTERED) : await(b);
    if (complete) return say(b, PAWL_OK);
    return ends ? say(b, b->gives_up ? b->why : PAWL_ERR_BROKEN) : go_out(b);
}

/*
 * What was seen outside the gate may have changed: asks everything again. Who cannot get in in time
 * gives up like any other. A cancel may be meant for an earlier call, and comes once.
 */
static pawl__step entered(pawl_barrier *b, int err)
{
    if (!err) {
        b->is_in_gate = true;
        return look(b);
    }
    if (err == PAWL_ERR_LOST) b->is_in_gate = true; /* a grant that was over is released, too */
    if (err == PAWL_ERR_CANCELED) return give_up(b, b->gives_up ? b->why : err);
    if (b->gives_up) return leave(b, b->why);
    bool is_late = err == PAWL_ERR_TIMEOUT || err == PAWL_ERR_BUSY;
    return is_late ? give_up(b, err) : leave(b, err);
}

static pawl__step said(pawl_barrier *b, int err)
{
    if (pawl__flow_says_again(&b->job.flow, err)) return of_gate(b, PAWL__STEP_PUBLISH, SAID);
    err = pawl__flow_said(&b->job.flow, err);
    bool may_be_open = err == PAWL_ERR_UNKNOWN && b->says == PAWL_OK;
    if (err && b->gives_up) return leave(b, may_be_open ? err : b->why);
    if (err) return go_out(b); /* then it finds out what is true now */
    if (b->says == PAWL_OK) b->generation = b->rounds.generation + 1;
    return leave(b, b->says);
}

static pawl__step arrive(pawl_barrier *b)
{
    b->knows_rounds = b->is_in_gate = b->asks_again = b->gives_up = false;
    b->seen_count = 0;
    b->look_ms = LOOK_FIRST_MS;
    return of_permit(b, PAWL__STEP_ACQUIRE, ARRIVED);
}

static pawl__step arrived(pawl_barrier *b, int err)
{
    if (err == PAWL_ERR_LOST) return leave(b, err); /* a grant that was over */
    if (err) return pawl__flow_end(&b->job.flow, err == PAWL_ERR_CAPACITY ? PAWL_ERR_COUNT : err);
    b->fence = pawl_lock_fence(b->permit);
    return look(b);
}

static pawl__step wait_next(pawl__flow *flow, int err)
{
    pawl_barrier *b = barrier_of(flow);
    switch (flow->state) {
    case ARRIVES:
        return arrive(b);
    case ARRIVED:
        return arrived(b, err);
    case INSPECTED:
        flow->watch_ms = b->is_in_gate ? 0 : WATCH_MS;
        return err ? ask_again(b, err) : of_gate(b, PAWL__STEP_READ, READ);
    case READ:
        return err ? ask_again(b, err) : decide(b);
    case ENTERED:
        return entered(b, err);
    case SAID:
        return said(b, err);
    case AWAITS:
        return await(b);
    case AWAITED:
        return err ? ask_again(b, err) : look(b);
    case LEAVES:
        return of_permit(b, PAWL__STEP_RELEASE, LEFT);
    }
    return PAWL__STEP_END; /* all is released: return the result */
}

/* ---- The calls ------------------------------------------------------------------------- */

static pawl__job *job_of(pawl_barrier *b)
{
    return b ? &b->job : NULL;
}

int pawl_barrier_wait(pawl_barrier *b, int64_t wait_ms)
{
    return pawl__job_run(job_of(b), wait_next, wait_ms);
}

int pawl_barrier_wait_start(pawl_barrier *b, int64_t wait_ms, pawl_done_fn done, void *userdata)
{
    return pawl__job_start(job_of(b), wait_next, wait_ms, done, userdata);
}

int pawl_barrier_cancel(pawl_barrier *b)
{
    return pawl__job_cancel(job_of(b));
}

uint64_t pawl_barrier_generation(const pawl_barrier *b)
{
    return b ? b->generation : 0;
}

/* ---- Made and freed -------------------------------------------------------------------- */

static const pawl_barrier_opts defaults = {.size = sizeof(pawl_barrier_opts), .ttl_ms = 30000};
#define OPTS_FIRST_SIZE (offsetof(pawl_barrier_opts, ttl_ms) + sizeof(int64_t))

void pawl_barrier_opts_init_sized(pawl_barrier_opts *opts, size_t size)
{
    pawl__opts_init(opts, size, &defaults, sizeof defaults);
}

static int take_opts(const pawl_barrier_opts *given, pawl_barrier_opts *ret_opts)
{
    if (!given) return PAWL_ERR_ARGUMENT; /* parties has no default */
    *ret_opts = defaults;
    int err = pawl__opts_take(given, OPTS_FIRST_SIZE, ret_opts, sizeof *ret_opts);
    if (err) return err;
    bool fits = ret_opts->parties >= 1 && ret_opts->parties <= PAWL_BARRIER_PARTIES_MAX;
    return fits ? PAWL_OK : PAWL_ERR_PARTIES;
}

/* After the loss of its permit the party looks, and finds the loss. */
static void on_event(pawl_lock *permit, const pawl_event *event, void *userdata)
{
    pawl_barrier *b = userdata;
    if (event->kind == PAWL_EVENT_LOST)
        pawl__flow_wake(pawl__lock_client(permit), pawl_lock_name(b->gate));
}

static void destroy(pawl__job *job)
{
    pawl_barrier *b = (pawl_barrier *)job;
    pawl_lock_free(b->permit); /* before the gate: on_event uses that */
    pawl_lock_free(b->gate);
    free(b);
}

static int make_locks(pawl_barrier *b, pawl_client *client, const char *name, size_t name_len,
                      int64_t ttl_ms)
{
    char gate[PAWL_NAME_MAX + 1];
    pawl_lock_opts opts;
    if (!name || name_len < 1 || name_len > PAWL_BARRIER_NAME_MAX) return PAWL_ERR_NAME;
    memcpy(gate, name, name_len);
    memcpy(gate + name_len, GATE, strlen(GATE));
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttl_ms;
    int err = pawl_lock_new(client, gate, name_len + strlen(GATE), &opts, &b->gate);
    opts.mode = PAWL_MODE_PERMIT;
    opts.capacity = b->parties;
    opts.on_event = on_event;
    opts.event_userdata = b;
    return err ? err : pawl_lock_new(client, name, name_len, &opts, &b->permit);
}

int pawl_barrier_new(pawl_client *client, const char *name, size_t name_len,
                     const pawl_barrier_opts *given, pawl_barrier **ret_barrier)
{
    if (!client || !ret_barrier) return PAWL_ERR_ARGUMENT;
    pawl_barrier_opts opts;
    int err = take_opts(given, &opts);
    if (err) return err;
    pawl_barrier *b = calloc(1, sizeof *b + 2 * opts.parties * sizeof b->here[0]);
    if (!b) return PAWL_ERR_NO_MEMORY;
    b->parties = opts.parties;
    b->seen = b->here + opts.parties;
    err = make_locks(b, client, name, name_len, opts.ttl_ms);
    if (err) {
        destroy(&b->job);
        return err;
    }
    b->job.locks[0] = b->permit;
    b->job.locks[1] = b->gate;
    b->job.watched = pawl_lock_name(b->gate);
    b->job.destroy = destroy;
    b->job.flow.see = see;
    *ret_barrier = b;
    return PAWL_OK;
}

pawl_barrier *pawl_barrier_free(pawl_barrier *b)
{
    if (b) pawl__job_free(&b->job);
    return NULL;
}
