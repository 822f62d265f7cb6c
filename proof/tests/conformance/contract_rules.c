/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "contract_rules.h"

#include "../support/check.h"

#include <string.h>

#define MS INT64_C(1000000)

int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

bool attempt_choose(attempt *a)
{
    if (a->taken == a->known) {
        CHECK(a->known < ATTEMPT_CHOICES);
        a->choices[a->known++] = false;
    }
    return a->choices[a->taken++];
}

void attempt_expect(attempt *a, bool so)
{
    if (!so) a->impossible = true;
}

bool attempt_has_come(attempt *a, range *instant, range *moment)
{
    if (instant->hi <= moment->lo) return true;
    if (instant->lo > moment->hi) return false;
    if (attempt_choose(a)) {
        moment->lo = larger(moment->lo, instant->lo);
        instant->hi = smaller(instant->hi, moment->hi);
        return true;
    }
    instant->lo = larger(instant->lo, moment->lo + 1);
    moment->hi = smaller(moment->hi, instant->hi - 1);
    return false;
}

/* The store said that `instant` was `ms` away; it may round either way, and where leases linger by
 * as much. */
static void is_away(attempt *a, range *instant, int64_t ms)
{
    int64_t off_ns = a->of->store.grain_ns + a->of->store.linger_ns;
    instant->lo = larger(instant->lo, a->t.lo + (ms - 1) * MS - off_ns);
    instant->hi = smaller(instant->hi, a->t.hi + (ms + 1) * MS + off_ns);
    attempt_expect(a, instant->lo <= instant->hi);
}

/* When a lease, or a place, of that span ends. */
static range ends(const attempt *a, range moment, int64_t span_ns)
{
    return (range){moment.lo + span_ns, moment.hi + span_ns + a->of->store.linger_ns};
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

/* Of the first `count` waiters, those whose place has certainly not run out. */
static int surely_waiting(const story *s, int count, const range *moment)
{
    int sure = 0;
    for (int i = 0; i < count; i++) sure += s->queue[i].until.lo > moment->hi && !s->queue[i].gone;
    return sure;
}

/* ---- Granting ------------------------------------------------------------------------- */

/* It grows, and comes from the clock. */
void attempt_learn_fence(attempt *a, uint64_t fence)
{
    story *s = &a->s;
    if (s->fence) {
        attempt_expect(a, fence == s->fence);
        return;
    }
    int64_t us = (int64_t)fence;
    attempt_expect(a, fence > s->last);
    attempt_expect(a, us > (s->granted.lo + a->of->wall_ns) / 1000 - a->of->store.fence_us);
    attempt_expect(a, us < (s->granted.hi + a->of->wall_ns) / 1000 + a->of->store.fence_us);
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
    if (to->gone && a->of->store.instant_release && !to->detached)
        s->holder.until = earlier_of(s->holder.until, to->gone_at);
    s->fence = s->published = 0;
    s->granted = moment;
    s->behind_least = surely_waiting(s, s->waiting, &moment);
    s->behind_most = s->waiting;
}

/* Its client is gone, and the store may have noticed: it is passed over, and keeps its place. */
static bool is_passed_over(attempt *a, const contract_owner *waiter, int asker)
{
    return waiter->gone && waiter->token != asker && !a->of->store.instant_release &&
           attempt_choose(a);
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
        bool over = attempt_has_come(a, &next.until, &moment);
        if (over && !(next.token == asker && attempt_choose(a))) {
            remove_place(s, at);
            continue;
        }
        if (is_passed_over(a, &next, asker)) {
            s->queue[at++].until = next.until;
            continue;
        }
        remove_place(s, at);
        /* Rule 8: it ends with the place; who asks at that moment has a whole ttl. */
        if (next.token == asker) next.until = ends(a, moment, next.ttl_ms * MS);
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
    while (s->held && attempt_has_come(a, &s->holder.until, &a->t)) {
        if (!must && s->waiting && attempt_choose(a)) return;
        range moment = {larger(s->holder.until.lo, s->now), a->t.hi};
        attempt_expect(a, moment.lo <= moment.hi);
        if (a->impossible) return;
        moment = hand_on(a, moment, asker);
        a->t.lo = larger(a->t.lo, moment.lo);
    }
    if (must && !s->held && s->waiting) a->t = hand_on(a, a->t, asker); /* who is back by now */
}

/* ---- Answers -------------------------------------------------------------------------- */

static void answer_is(attempt *a, const contract_ask *ask, pawl_outcome outcome)
{
    attempt_expect(a, ask->reply.outcome == outcome);
}

static void waiting_is(attempt *a, bool said, int least, int most)
{
    attempt_expect(a, said ? most > 0 : least == 0);
}

static void answer_is_held(attempt *a, const contract_ask *ask, pawl_outcome outcome)
{
    const story *s = &a->s;
    answer_is(a, ask, outcome);
    attempt_learn_fence(a, ask->reply.fence);
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
    attempt_expect(a, said == -1 || (said >= surely_waiting(&a->s, at, &a->t) && said <= at));
    holder_ms_is(a, &ask->reply);
    if (ask->reply.fence) attempt_learn_fence(a, ask->reply.fence);
}

static void answer_is_busy(attempt *a, const contract_ask *ask)
{
    const char *label = ask->reply.message;
    answer_is(a, ask, PAWL_BUSY);
    attempt_expect(a, !label || strcmp(label, contract_label(a->s.holder.token)) == 0);
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
                         .until = ends(a, a->t, pawl_place_span(ask->ttl_ms * MS)),
                         .since = a->t};
    if (s->held && s->holder.token == ask->token) { /* rule 3: the same fence, a full ttl */
        me.moved = s->holder.moved || s->holder.gone || s->holder.client != ask->client;
        s->holder = me;
        s->holder.until = ends(a, a->t, ask->ttl_ms * MS);
        answer_is_held(a, ask, PAWL_GRANTED);
        return;
    }
    int at = place_of(s, ask->token);
    if (!s->held) { /* then nobody waits who is there */
        me.until = ends(a, a->t, ask->ttl_ms * MS);
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
    if (at >= 0 && attempt_has_come(a, &s->queue[at].until, &a->t) && attempt_choose(a)) {
        remove_place(s, at);
        at = -1;
    }
    if (at >= 0) {
        me.since = s->queue[at].since;
        me.moved =
            a->of->store.all_hear && (s->queue[at].moved || s->queue[at].client != ask->client);
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
    bool before = place_of(&a->s, ask->token) >= 0 && attempt_choose(a);
    let_time_pass(a, true, -1);
    if (before || !a->s.held || a->s.holder.token != ask->token) {
        answer_is(a, ask, PAWL_NOT_OWNER);
        return;
    }
    a->s.holder.ttl_ms = ask->ttl_ms;
    a->s.holder.until = ends(a, a->t, ask->ttl_ms * MS);
    answer_is_held(a, ask, PAWL_CONFIRMED);
}

static void leave(attempt *a, const contract_ask *ask, int at)
{
    bool over = attempt_has_come(a, &a->s.queue[at].until, &a->t);
    remove_place(&a->s, at);
    answer_is(a, ask, over && attempt_choose(a) ? PAWL_NOT_OWNER : PAWL_LEFT);
}

static void release(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    int at = place_of(s, ask->token);
    /* A waiter that leaves when the lock has run out may leave before or after the hand-off. */
    if (at >= 0 && attempt_choose(a)) {
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
    bool same =
        s->held && (s->fence ? s->fence == ask->fence : ask->fence > s->last && attempt_choose(a));
    answer_is(a, ask, same ? PAWL_RELEASED : PAWL_NOT_OWNER);
    if (!same) return;
    attempt_learn_fence(a, ask->fence);
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
    attempt_expect(a, fence == s->last ||
                          (fence > s->last && (s->drew_for_nobody || any_unseen(s) || s->held)));
    s->last = fence;
}

static void holder_is(attempt *a, const contract_ask *ask, const pawl_info *row)
{
    story *s = &a->s;
    attempt_learn_fence(a, row->fence);
    is_away(a, &s->holder.until, row->remaining_ms);
    attempt_expect(a,
                   row->mine == (ask->verb == PAWL_VERB_INSPECT && ask->token == s->holder.token));
    attempt_expect(a, strcmp(row->owner, contract_label(s->holder.token)) == 0);
}

/* The waiters whose place has not run out, in their order, and no others. */
static void waiters_are(attempt *a, const pawl_info *row)
{
    story *s = &a->s;
    size_t n = 0;
    for (int i = 0; i < s->waiting; i++) {
        contract_owner *waiter = &s->queue[i];
        if (attempt_has_come(a, &waiter->until, &a->t)) continue;
        attempt_expect(a, row && n < row->waiters_shown);
        if (a->impossible) return;
        const pawl_waiter_info *said = &row->waiters[n++];
        attempt_expect(a, strcmp(said->owner, contract_label(waiter->token)) == 0);
        is_away(a, &waiter->until, said->place_ms);
        is_away(a, &waiter->since, -said->age_ms);
    }
    attempt_expect(a, n == (row ? row->waiter_count : 0));
}

/* INSPECT, and LIST, which leaves out what is neither held nor waited for. */
static void report(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    const pawl_info *row = ask->row;
    let_time_pass(a, false, -1);
    bool held = s->held && !attempt_has_come(a, &s->holder.until, &a->t);
    answer_is(a, ask, PAWL_REPORTED);
    attempt_expect(a, held == (row && row->held));
    waiters_are(a, row);
    if (a->impossible || !row) return;
    attempt_expect(a, !row->foreign);
    if (held) {
        holder_is(a, ask, row);
        return;
    }
    attempt_expect(a, !row->mine && row->owner[0] == '\0');
    attempt_expect(a, ask->verb == PAWL_VERB_INSPECT || row->waiter_count);
    fence_of_a_free_lock_is(a, row->fence);
}

/* Rule 12: by a holder whose lease lasts, whether or not somebody has come across its end. */
static void publish(attempt *a, const contract_ask *ask)
{
    story *s = &a->s;
    let_time_pass(a, false, -1);
    bool holds =
        s->held && s->holder.token == ask->token && !attempt_has_come(a, &s->holder.until, &a->t);
    answer_is(a, ask, holds ? PAWL_CONFIRMED : PAWL_NOT_OWNER);
    if (!holds) return;
    attempt_learn_fence(a, ask->reply.fence);
    if (ask->number <= s->published) return;
    s->published = ask->number;
    s->value = ask->value;
    s->value_fence = s->fence;
}

static void read_value(attempt *a, const contract_ask *ask)
{
    answer_is(a, ask, PAWL_REPORTED);
    attempt_expect(a, ask->value == a->s.value && ask->value_fence == a->s.value_fence);
}

void attempt_request(attempt *a, const void *request)
{
    const contract_ask *ask = request;
    if (!a->of->store.queues) {
        attempt_without_queue(a, ask);
        a->s.now = larger(a->s.now, a->t.lo);
        return;
    }
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
        return; /* a change beside it may have read the clock before, and be seen only behind it */
    case PAWL_VERB_PUBLISH:
        publish(a, ask);
        break;
    case PAWL_VERB_READ:
        read_value(a, ask);
        return;
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
        attempt_expect(a, owner == n->token);
        return;
    }
    if (s->unseen[n->token] && attempt_choose(a)) {
        s->unseen[n->token]--;
        s->last = n->push->fence > s->last ? n->push->fence : s->last;
        return;
    }
    let_time_pass(a, false, -1);
    bool may_hear = s->holder.client == n->client || (a->of->store.all_hear && s->holder.moved);
    attempt_expect(a, s->held && s->holder.token == n->token && may_hear);
    if (a->impossible) return;
    if (!s->fence && !a->of->store.in_steps)
        waiting_is(a, n->push->waiting, s->behind_least, s->behind_most);
    attempt_learn_fence(a, n->push->fence);
}
