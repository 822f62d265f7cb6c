/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "contract_rules.h"

#include "../support/check.h"

#include <string.h>

#define MS             INT64_C(1000000)
#define FENCE_SLACK_US 1000000 /* a wall clock may be slewed during a walk */

int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static bool choose(attempt *a)
{
    if (a->taken == a->known) {
        CHECK(a->known < ATTEMPT_CHOICES);
        a->choices[a->known++] = false;
    }
    return a->choices[a->taken++];
}

static void expect_so(attempt *a, bool so)
{
    if (!so) a->impossible = true;
}

/* Has the instant come at that moment? Where both may be, choosing narrows both. */
static bool has_come(attempt *a, range *instant, range *moment)
{
    if (instant->hi <= moment->lo) return true;
    if (instant->lo > moment->hi) return false;
    if (choose(a)) {
        moment->lo = larger(moment->lo, instant->lo);
        instant->hi = smaller(instant->hi, moment->hi);
        return true;
    }
    instant->lo = larger(instant->lo, moment->lo + 1);
    moment->hi = smaller(moment->hi, instant->hi - 1);
    return false;
}

/* The store said that `instant` was `ms` away; it may round either way. */
static void is_away(attempt *a, range *instant, int64_t ms)
{
    instant->lo = larger(instant->lo, a->t.lo + (ms - 1) * MS - a->of->grain_ns);
    instant->hi = smaller(instant->hi, a->t.hi + (ms + 1) * MS + a->of->grain_ns);
    expect_so(a, instant->lo <= instant->hi);
}

static range later(range moment, int64_t span_ns)
{
    return (range){moment.lo + span_ns, moment.hi + span_ns};
}

range earlier_of(range a, range b)
{
    return (range){smaller(a.lo, b.lo), smaller(a.hi, b.hi)};
}

/* ---- The queue ------------------------------------------------------------------------ */

static int place_of(const story *s, int token)
{
    for (int i = 0; i < s->waiting; i++)
        if (s->queue[i].token == token) return i;
    return -1;
}

static void remove_place(story *s, int at)
{
    s->waiting--;
    memmove(&s->queue[at], &s->queue[at + 1], (size_t)(s->waiting - at) * sizeof(s->queue[0]));
}

/* Of the first `count`, those whose place surely stands. */
static int surely_waiting(const story *s, int count, const range *moment)
{
    int sure = 0;
    for (int i = 0; i < count; i++) sure += s->queue[i].until.lo > moment->hi && !s->queue[i].gone;
    return sure;
}

/* ---- Granting ------------------------------------------------------------------------- */

/* Rule 6: it grows, and comes from the clock. */
static void learn_fence(attempt *a, uint64_t fence)
{
    story *s = &a->s;
    if (s->fence) {
        expect_so(a, fence == s->fence);
        return;
    }
    int64_t us = (int64_t)fence;
    expect_so(a, fence > s->last);
    expect_so(a, us > (s->granted.lo + a->of->wall_ns) / 1000 - FENCE_SLACK_US);
    expect_so(a, us < (s->granted.hi + a->of->wall_ns) / 1000 + FENCE_SLACK_US);
    s->fence = s->last = fence;
}

int contract_fence_owner(const contract *c, uint64_t fence)
{
    for (int i = 0; i < c->fence_count; i++)
        if (c->fences[i].fence == fence) return c->fences[i].token;
    return -1;
}

static void drop_holder(attempt *a)
{
    story *s = &a->s;
    if (s->held && contract_fence_owner(a->of, s->fence) < 0) s->unseen[s->holder.token]++;
    s->held = false;
    s->fence = 0;
}

/* `moment`: of the grant; it lasts until `to->until`. */
static void grant(attempt *a, const contract_owner *to, range moment)
{
    story *s = &a->s;
    s->held = true;
    s->holder = *to;
    if (to->gone && a->of->instant_release && !to->detached)
        s->holder.until = earlier_of(s->holder.until, to->gone_at);
    s->fence = 0;
    s->granted = moment;
    s->behind_least = surely_waiting(s, s->waiting, &moment);
    s->behind_most = s->waiting;
}

/* Its client is gone, and the store may have noticed: it is passed over, and keeps its place. */
static bool is_passed_over(attempt *a, const contract_owner *waiter, int asker)
{
    return waiter->gone && waiter->token != asker && !a->of->instant_release && choose(a);
}

/*
 * The lock goes to the first whose place stands and who is there. A place that ran out is
 * forgotten; it may still count if it is the asker's own. Returns the moment, narrowed.
 */
static range hand_on(attempt *a, range moment, int asker)
{
    story *s = &a->s;
    drop_holder(a);
    for (int at = 0; at < s->waiting;) {
        contract_owner next = s->queue[at];
        bool over = has_come(a, &next.until, &moment);
        if (over && !(next.token == asker && choose(a))) {
            remove_place(s, at);
            continue;
        }
        if (is_passed_over(a, &next, asker)) {
            s->queue[at++].until = next.until;
            continue;
        }
        remove_place(s, at);
        /* Rule 8: it ends with the place; who asks at that moment has a whole ttl. */
        if (next.token == asker) next.until = later(moment, next.ttl_ms * MS);
        grant(a, &next, moment);
        break;
    }
    return moment;
}

/*
 * What has run out by now. Whoever asks hands on (`must`); before that, or by somebody
 * who only looks, it may have been done or not.
 */
static void let_time_pass(attempt *a, bool must, int asker)
{
    story *s = &a->s;
    while (s->held && has_come(a, &s->holder.until, &a->t)) {
        if (!must && s->waiting && choose(a)) return;
        range moment = {larger(s->holder.until.lo, s->now), a->t.hi};
        expect_so(a, moment.lo <= moment.hi);
        if (a->impossible) return;
        moment = hand_on(a, moment, asker);
        a->t.lo = larger(a->t.lo, moment.lo);
    }
    if (must && !s->held && s->waiting) a->t = hand_on(a, a->t, asker); /* who is back by now */
}

/* ---- Answers -------------------------------------------------------------------------- */

static void answer_is(attempt *a, const contract_ask *ask, pawl_outcome outcome)
{
    expect_so(a, ask->reply.outcome == outcome);
}

static void waiting_is(attempt *a, bool said, int least, int most)
{
    expect_so(a, said ? most > 0 : least == 0);
}

static void answer_is_held(attempt *a, const contract_ask *ask, pawl_outcome outcome)
{
    const story *s = &a->s;
    answer_is(a, ask, outcome);
    learn_fence(a, ask->reply.fence);
    waiting_is(a, ask->reply.waiting, surely_waiting(s, s->waiting, &a->t), s->waiting);
}

static void holder_ms_is(attempt *a, const pawl_reply *reply)
{
    if (reply->holder_ms >= 0) is_away(a, &a->s.holder.until, reply->holder_ms);
}

static void answer_is_queued(attempt *a, const contract_ask *ask, int at)
{
    int64_t said = ask->reply.position;
    answer_is(a, ask, PAWL_QUEUED);
    expect_so(a, said == -1 || (said >= surely_waiting(&a->s, at, &a->t) && said <= at));
    holder_ms_is(a, &ask->reply);
    if (ask->reply.fence) learn_fence(a, ask->reply.fence);
}

static void answer_is_busy(attempt *a, const contract_ask *ask)
{
    const char *label = ask->reply.message;
    answer_is(a, ask, PAWL_BUSY);
    expect_so(a, !label || strcmp(label, contract_label(a->s.holder.token)) == 0);
    holder_ms_is(a, &ask->reply);
}

/* ---- Verbs ---------------------------------------------------------------------------- */

static void queue_up(attempt *a, const contract_owner *me)
{
    story *s = &a->s;
    if (!s->waiting && !s->holder.gone && !s->holder.moved) {
        s->yield_to = s->holder.client;
        s->yield_token = s->holder.token;
    }
    CHECK(s->waiting < CONTRACT_TOKENS);
    s->queue[s->waiting++] = *me;
}

static void acquire(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    let_time_pass(a, true, ask->token);
    contract_owner me = {.token = ask->token,
                         .client = ask->client,
                         .detached = ask->flags & PAWL_ASK_DETACHED,
                         .ttl_ms = ask->ttl_ms,
                         .until = later(a->t, pawl_place_span(ask->ttl_ms * MS)),
                         .since = a->t};
    if (s->held && s->holder.token == ask->token) { /* rule 3: the same fence, a full ttl */
        me.moved = s->holder.moved || s->holder.gone || s->holder.client != ask->client;
        s->holder = me;
        s->holder.until = later(a->t, ask->ttl_ms * MS);
        answer_is_held(a, ask, PAWL_GRANTED);
        return;
    }
    int at = place_of(s, ask->token);
    if (!s->held) { /* then nobody waits who is there */
        me.until = later(a->t, ask->ttl_ms * MS);
        grant(a, &me, a->t);
        answer_is_held(a, ask, PAWL_GRANTED);
        return;
    }
    if (!(ask->flags & PAWL_ASK_QUEUE)) {
        if (at >= 0) remove_place(s, at);
        answer_is_busy(a, ask);
        return;
    }
    /* A place that ran out may be gone already, or be taken up again. */
    if (at >= 0 && has_come(a, &s->queue[at].until, &a->t) && choose(a)) {
        remove_place(s, at);
        at = -1;
    }
    if (at >= 0) {
        me.since = s->queue[at].since;
        s->queue[at] = me;
    } else {
        at = s->waiting;
        queue_up(a, &me);
    }
    answer_is_queued(a, ask, at);
}

static void renew(attempt *a, const contract_ask *ask)
{
    /* A waiter may be answered before what has run out is handed on, to it perhaps. */
    bool before = place_of(&a->s, ask->token) >= 0 && choose(a);
    let_time_pass(a, true, -1);
    if (before || !a->s.held || a->s.holder.token != ask->token) {
        answer_is(a, ask, PAWL_NOT_OWNER);
        return;
    }
    a->s.holder.ttl_ms = ask->ttl_ms;
    a->s.holder.until = later(a->t, ask->ttl_ms * MS);
    answer_is_held(a, ask, PAWL_CONFIRMED);
}

static void leave(attempt *a, const contract_ask *ask, int at)
{
    bool over = has_come(a, &a->s.queue[at].until, &a->t);
    remove_place(&a->s, at);
    answer_is(a, ask, over && choose(a) ? PAWL_NOT_OWNER : PAWL_LEFT);
}

static void release(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    int at = place_of(s, ask->token);
    /* Who leaves when the lock has run out may do so before or after it is handed on. */
    if (at >= 0 && choose(a)) {
        leave(a, ask, at);
        let_time_pass(a, true, -1);
        return;
    }
    let_time_pass(a, true, -1);
    if (s->held && s->holder.token == ask->token) {
        answer_is(a, ask, PAWL_RELEASED);
        a->t = hand_on(a, a->t, -1);
        return;
    }
    at = place_of(s, ask->token);
    if (at >= 0)
        leave(a, ask, at);
    else
        answer_is(a, ask, PAWL_NOT_OWNER);
}

static void break_it(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    let_time_pass(a, true, -1);
    bool same = s->held && (s->fence ? s->fence == ask->fence : ask->fence > s->last && choose(a));
    answer_is(a, ask, same ? PAWL_RELEASED : PAWL_NOT_OWNER);
    if (!same) return;
    learn_fence(a, ask->fence);
    s->drew_for_nobody = true;
    a->t = hand_on(a, a->t, -1);
}

static bool any_unseen(const story *s)
{
    for (int i = 0; i < CONTRACT_TOKENS; i++)
        if (s->unseen[i]) return true;
    return false;
}

static void fence_of_a_free_lock_is(attempt *a, uint64_t fence)
{
    story *s = &a->s;
    if (fence == 0) return;
    expect_so(a, fence == s->last ||
                     (fence > s->last && (s->drew_for_nobody || any_unseen(s) || s->held)));
    s->last = fence;
}

static void holder_is(attempt *a, const contract_ask *ask, const pawl_info *row)
{
    story *s = &a->s;
    learn_fence(a, row->fence);
    is_away(a, &s->holder.until, row->remaining_ms);
    expect_so(a, row->mine == (ask->verb == PAWL_VERB_INSPECT && ask->token == s->holder.token));
    expect_so(a, strcmp(row->owner, contract_label(s->holder.token)) == 0);
}

/* Those whose place stands, in their order, and nobody else. */
static void waiters_are(attempt *a, const pawl_info *row)
{
    story *s = &a->s;
    size_t n = 0;
    for (int i = 0; i < s->waiting; i++) {
        contract_owner *waiter = &s->queue[i];
        if (has_come(a, &waiter->until, &a->t)) continue;
        expect_so(a, row && n < row->waiters_shown);
        if (a->impossible) return;
        const pawl_waiter_info *said = &row->waiters[n++];
        expect_so(a, strcmp(said->owner, contract_label(waiter->token)) == 0);
        is_away(a, &waiter->until, said->place_ms);
        is_away(a, &waiter->since, -said->age_ms);
    }
    expect_so(a, n == (row ? row->waiter_count : 0));
}

/* INSPECT, and LIST, which leaves out what is neither held nor waited for. */
static void report(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    const pawl_info *row = ask->row;
    let_time_pass(a, false, -1);
    bool held = s->held && !has_come(a, &s->holder.until, &a->t);
    answer_is(a, ask, PAWL_REPORTED);
    expect_so(a, held == (row && row->held));
    waiters_are(a, row);
    if (a->impossible || !row) return;
    expect_so(a, !row->foreign);
    if (held) {
        holder_is(a, ask, row);
        return;
    }
    expect_so(a, !row->mine && row->owner[0] == '\0');
    expect_so(a, ask->verb == PAWL_VERB_INSPECT || row->waiter_count);
    fence_of_a_free_lock_is(a, row->fence);
}

/* Rule 12: by a holder whose lease lasts, whether or not somebody has come across its end. */
static void publish(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    let_time_pass(a, false, -1);
    bool holds = s->held && s->holder.token == ask->token && !has_come(a, &s->holder.until, &a->t);
    answer_is(a, ask, holds ? PAWL_CONFIRMED : PAWL_NOT_OWNER);
    if (!holds) return;
    learn_fence(a, ask->reply.fence);
    s->value = ask->value;
    s->value_fence = s->fence;
}

static void read_value(attempt *a, const contract_ask *ask)
{
    answer_is(a, ask, PAWL_REPORTED);
    expect_so(a, ask->value == a->s.value && ask->value_fence == a->s.value_fence);
}

void attempt_request(attempt *a, const void *request)
{
    const contract_ask *ask = request;
    switch (ask->verb) {
    case PAWL_VERB_ACQUIRE:
        acquire(a, ask);
        break;
    case PAWL_VERB_RENEW:
        renew(a, ask);
        break;
    case PAWL_VERB_RELEASE:
        release(a, ask);
        break;
    case PAWL_VERB_BREAK:
        break_it(a, ask);
        break;
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
        report(a, ask);
        break;
    case PAWL_VERB_PUBLISH:
        publish(a, ask);
        break;
    case PAWL_VERB_READ:
        read_value(a, ask);
        break;
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_CHANGE: /* the walk asks for no mode but exclusive */
        break;
    }
    a->s.now = larger(a->s.now, a->t.lo);
}

/* ---- Pushes --------------------------------------------------------------------------- */

/* It tells of a grant that was made: just now, or before, should it be late. */
void attempt_news(attempt *a, const void *news)
{
    const contract_news *n = news;
    story *s = &a->s;
    int owner = contract_fence_owner(a->of, n->push->fence);
    if (owner >= 0) {
        expect_so(a, owner == n->token);
        return;
    }
    if (s->unseen[n->token] && choose(a)) {
        s->unseen[n->token]--;
        s->last = n->push->fence > s->last ? n->push->fence : s->last;
        return;
    }
    let_time_pass(a, false, -1);
    expect_so(a, s->held && s->holder.token == n->token && s->holder.client == n->client);
    if (a->impossible) return;
    if (!s->fence) waiting_is(a, n->push->waiting, s->behind_least, s->behind_most);
    learn_fence(a, n->push->fence);
}
