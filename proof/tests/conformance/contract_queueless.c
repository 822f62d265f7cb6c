/* SPDX-License-Identifier: MIT */
/*
 * The contract of a store without a queue (rule 14): a free name goes to who asks first, places are
 * the client's own, and a lease ends somewhere between its ttl and linger_ms behind that.
 */
#define _GNU_SOURCE
#include "contract_rules.h"

#include "../support/check.h"

#include <string.h>

#define MS        INT64_C(1000000)
#define SURELY_MS 30000 /* a place with a ttl of so much lasts as long as a walk */

/* ---- Places --------------------------------------------------------------------------------- */

static uint32_t place_of(int client, int token)
{
    CHECK(client * CONTRACT_TOKENS + token < 32);
    return UINT32_C(1) << (client * CONTRACT_TOKENS + token);
}

static void leave_place(attempt *a, const contract_ask *ask)
{
    uint32_t place = place_of(ask->client, ask->token);
    a->s.may_wait &= ~place;
    a->s.waits &= ~place;
}

static void take_place(attempt *a, const contract_ask *ask)
{
    uint32_t place = place_of(ask->client, ask->token);
    leave_place(a, ask);
    a->s.may_wait |= place;
    if (ask->ttl_ms >= SURELY_MS) a->s.waits |= place;
}

void contract_forget_client(story *s, int client)
{
    uint32_t all = ((UINT32_C(1) << CONTRACT_TOKENS) - 1) << (client * CONTRACT_TOKENS);
    s->may_wait &= ~all;
    s->waits &= ~all;
}

/* ---- Time ----------------------------------------------------------------------------------- */

static void become_free(attempt *a)
{
    a->s.held = false;
    a->s.fence = 0;
}

static void let_time_pass(attempt *a)
{
    if (a->s.held && attempt_has_come(a, &a->s.holder.until, &a->t)) become_free(a);
}

static range ends_at(const attempt *a, int64_t ttl_ms)
{
    return (range){a->t.lo + ttl_ms * MS, a->t.hi + ttl_ms * MS + a->of->store.linger_ns};
}

/* A remaining time in a second's steps. */
static void ends_in(attempt *a, int64_t ms)
{
    const range *until = &a->s.holder.until;
    int64_t second = 1000;
    attempt_expect(a, ms <= (until->hi - a->t.lo) / MS + second);
    attempt_expect(a, ms >= (until->lo - a->t.hi) / MS - second);
}

/* ---- Verbs ---------------------------------------------------------------------------------- */

static bool holds(const attempt *a, const contract_ask *ask)
{
    return a->s.held && a->s.holder.token == ask->token;
}

static void is_held_by(attempt *a, const contract_ask *ask, pawl_outcome outcome)
{
    a->s.holder = (contract_owner){.token = ask->token,
                                   .client = ask->client,
                                   .ttl_ms = ask->ttl_ms,
                                   .until = ends_at(a, ask->ttl_ms)};
    attempt_expect(a, ask->reply.outcome == outcome && !ask->reply.waiting);
    attempt_learn_fence(a, ask->reply.fence);
}

static void is_kept_out(attempt *a, const contract_ask *ask)
{
    const pawl_reply *reply = &ask->reply;
    bool queues = ask->flags & PAWL_ASK_QUEUE;
    attempt_expect(a, reply->outcome == (queues ? PAWL_QUEUED : PAWL_BUSY));
    attempt_expect(a, !queues || reply->position == -1);
    ends_in(a, reply->holder_ms);
    if (queues && reply->fence) attempt_learn_fence(a, reply->fence);
    if (queues)
        take_place(a, ask);
    else
        leave_place(a, ask);
}

static void acquire(attempt *a, const contract_ask *ask)
{
    if (a->s.held && !holds(a, ask)) {
        is_kept_out(a, ask);
        return;
    }
    if (!a->s.held) {
        a->s.held = true;
        a->s.fence = 0;
        a->s.granted = a->t;
    }
    leave_place(a, ask);
    is_held_by(a, ask, PAWL_GRANTED);
}

static void renew(attempt *a, const contract_ask *ask)
{
    if (holds(a, ask))
        is_held_by(a, ask, PAWL_CONFIRMED);
    else
        attempt_expect(a, ask->reply.outcome == PAWL_NOT_OWNER);
}

static void release(attempt *a, const contract_ask *ask)
{
    uint32_t place = place_of(ask->client, ask->token);
    bool may = a->s.may_wait & place, surely = a->s.waits & place;
    leave_place(a, ask);
    if (holds(a, ask)) {
        attempt_expect(a, ask->reply.outcome == PAWL_RELEASED);
        become_free(a);
        return;
    }
    bool left = ask->reply.outcome == PAWL_LEFT;
    attempt_expect(a, left || ask->reply.outcome == PAWL_NOT_OWNER);
    attempt_expect(a, left ? may : !surely);
}

static void break_it(attempt *a, const contract_ask *ask)
{
    bool same = a->s.held && a->s.fence == ask->fence;
    attempt_expect(a, ask->reply.outcome == (same ? PAWL_RELEASED : PAWL_NOT_OWNER));
    if (same) become_free(a);
}

static void inspect(attempt *a, const contract_ask *ask)
{
    const pawl_info *row = ask->row;
    attempt_expect(a, ask->reply.outcome == PAWL_REPORTED && row);
    if (a->impossible) return;
    attempt_expect(a, row->held == a->s.held && row->waiter_count == 0 && !row->foreign);
    attempt_expect(a, row->mine == holds(a, ask));
    if (!a->s.held) {
        attempt_expect(a, !row->owner[0] && (row->fence == 0 || row->fence == a->s.last));
        return;
    }
    attempt_learn_fence(a, row->fence);
    attempt_expect(a, strcmp(row->owner, contract_label(a->s.holder.token)) == 0);
    ends_in(a, row->remaining_ms);
}

void attempt_without_queue(attempt *a, const contract_ask *ask)
{
    let_time_pass(a);
    switch (ask->verb) {
    case PAWL_VERB_ACQUIRE:
        acquire(a, ask);
        return;
    case PAWL_VERB_RENEW:
        renew(a, ask);
        return;
    case PAWL_VERB_RELEASE:
        release(a, ask);
        return;
    case PAWL_VERB_BREAK:
        break_it(a, ask);
        return;
    case PAWL_VERB_INSPECT:
        inspect(a, ask);
        return;
    default: /* the walk asks for nothing else of such a store */
        attempt_expect(a, false);
    }
}
