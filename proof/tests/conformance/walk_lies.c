/* SPDX-License-Identifier: MIT */
/* Each lie is one way to break the contract. A walk that does not find it is worth nothing. */
#define _GNU_SOURCE
#include "walk.h"

#include <string.h>

/* ---- Answers that are not so ---------------------------------------------------------- */

static void queued_is_granted(walk_name *name, walk_ask *ask)
{
    if (ask->seen.reply.outcome != PAWL_QUEUED) return;
    ask->seen.reply.outcome = PAWL_GRANTED;
    ask->seen.reply.fence = name->fence + 1;
}

static void fence_repeats(walk_name *name, walk_ask *ask)
{
    if (ask->seen.reply.outcome == PAWL_GRANTED && name->fence_before)
        ask->seen.reply.fence = name->fence_before;
}

static void fence_from_nowhere(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.reply.outcome == PAWL_GRANTED) ask->seen.reply.fence += 1000000000;
}

static void lost_is_confirmed(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb != PAWL_VERB_RENEW || ask->seen.reply.outcome != PAWL_NOT_OWNER) return;
    if (!name->fence) return;
    ask->seen.reply.outcome = PAWL_CONFIRMED;
    ask->seen.reply.fence = name->fence;
}

static void nobody_waits(walk_name *name, walk_ask *ask)
{
    (void)name;
    ask->seen.reply.waiting = false;
}

static void everybody_is_first(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.reply.outcome == PAWL_QUEUED) ask->seen.reply.position = 0;
}

static void holder_stays_longer(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.reply.holder_ms > 0) ask->seen.reply.holder_ms += 20;
}

static void stranger_releases(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.verb == PAWL_VERB_RELEASE) ask->seen.reply.outcome = PAWL_RELEASED;
}

/* ---- Requests that are carried out otherwise -------------------------------------- */

static void lease_is_short(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.verb == PAWL_VERB_ACQUIRE && ask->seen.ttl_ms < 1000)
        ask->seen.ttl_ms -= ask->seen.ttl_ms / 5;
}

static void lease_is_long(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.verb == PAWL_VERB_ACQUIRE && ask->seen.ttl_ms < 1000)
        ask->seen.ttl_ms += ask->seen.ttl_ms / 5;
}

static void renewal_does_not_extend(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.verb == PAWL_VERB_RENEW) ask->seen.ttl_ms = PAWL_TTL_MIN_MS;
}

static void detached_is_forgotten(walk_name *name, walk_ask *ask)
{
    (void)name;
    ask->seen.flags &= ~PAWL_ASK_DETACHED;
}

static void asking_once_is_queueing(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.verb == PAWL_VERB_ACQUIRE) ask->seen.flags |= PAWL_ASK_QUEUE;
}

static void breaks_whatever_fence(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb == PAWL_VERB_BREAK) ask->seen.fence = name->fence;
}

static pawl_outcome release_unseen(walk_name *name, client *c, int token)
{
    return walk_ask_unseen(
        name, &(walk_ask){.client = c, .seen = {.verb = PAWL_VERB_RELEASE, .token = token}});
}

/* A release frees whoever holds. */
static void release_of_anybody_frees(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb != PAWL_VERB_RELEASE) return;
    walk_ask_unseen(
        name, &(walk_ask){.client = ask->client,
                          .seen = {.verb = PAWL_VERB_BREAK, .token = -1, .fence = name->fence}});
}

static void refresh_loses_place(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb == PAWL_VERB_ACQUIRE && name->waits[ask->seen.token])
        release_unseen(name, ask->client, ask->seen.token);
}

/* The last to come is served first: all others go behind it. */
static void queue_is_lifo(walk_name *name, walk_ask *ask)
{
    if (ask->seen.reply.outcome != PAWL_QUEUED) return;
    for (int token = 0; token < CONTRACT_TOKENS; token++) {
        if (token == ask->seen.token || !name->waits[token]) continue;
        if (release_unseen(name, ask->client, token) != PAWL_LEFT) continue;
        walk_ask again = name->queued[token];
        again.client = ask->client;
        walk_ask_unseen(name, &again);
    }
}

static void waiter_is_forgotten(walk_name *name, walk_ask *ask)
{
    if (ask->seen.reply.outcome == PAWL_QUEUED) release_unseen(name, ask->client, ask->seen.token);
}

/* ---- Values --------------------------------------------------------------------------- */

static void value_is_the_one_before(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb == PAWL_VERB_READ && ask->seen.value == name->value)
        ask->seen.value = name->value_before;
}

static void value_has_another_fence(walk_name *name, walk_ask *ask)
{
    (void)name;
    if (ask->seen.value_fence) ask->seen.value_fence--;
}

static void anybody_publishes(walk_name *name, walk_ask *ask)
{
    int holder = contract_holder(&name->contract);
    if (ask->seen.verb == PAWL_VERB_PUBLISH && holder >= 0) ask->seen.token = holder;
}

static void publishing_extends(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb != PAWL_VERB_PUBLISH) return;
    walk_ask_unseen(name, &(walk_ask){.client = ask->client,
                                      .seen = {.verb = PAWL_VERB_RENEW,
                                               .token = ask->seen.token,
                                               .ttl_ms = LONG_MS + 1000}});
}

static void published_is_forgotten(walk_name *name, walk_ask *ask)
{
    if (ask->seen.verb == PAWL_VERB_PUBLISH) ask->seen.value = name->value;
}

/* ---- Pushes and reports --------------------------------------------------------------- */

static bool grant_is_not_told(pawl_push *push)
{
    return push->kind != PAWL_PUSH_GRANT;
}

static bool grant_is_told_with_another_fence(pawl_push *push)
{
    push->fence++;
    return true;
}

static bool grant_forgets_who_waits(pawl_push *push)
{
    push->waiting = false;
    return true;
}

static bool yield_is_not_told(pawl_push *push)
{
    return push->kind != PAWL_PUSH_YIELD;
}

static void report_is_free(pawl_info *row)
{
    row->held = false;
}

static void report_is_mine(pawl_info *row)
{
    row->mine = row->held;
}

static void report_leaves_out_waiters(pawl_info *row)
{
    row->waiter_count = row->waiters_shown = 0;
}

static void report_shows_more_time(pawl_info *row)
{
    row->remaining_ms += 20;
}

#define LIE(when, f, what)                                                                         \
    {                                                                                              \
        .name = #f, what, .when = f                                                                \
    }

const walk_lie walk_lies[] = {
    LIE(after, queued_is_granted, "who must wait is granted"),
    LIE(after, fence_repeats, "a grant has a fence that was given before"),
    LIE(after, fence_from_nowhere, "a grant has a fence that is not from the clock"),
    LIE(after, lost_is_confirmed, "a renewal of what was lost is confirmed"),
    LIE(after, nobody_waits, "the holder does not learn that somebody waits"),
    LIE(after, everybody_is_first, "each waiter is told that it is the first"),
    LIE(after, holder_stays_longer, "the holder's remaining time is told too long"),
    LIE(after, stranger_releases, "a release is always answered as the owner's"),
    LIE(before, lease_is_short, "leases and places end early"),
    LIE(before, lease_is_long, "leases and places end late"),
    LIE(before, renewal_does_not_extend, "a renewal gives the shortest ttl"),
    LIE(before, detached_is_forgotten, "a detached lease ends with its client"),
    LIE(before, asking_once_is_queueing, "who does not want to wait is queued"),
    LIE(before, breaks_whatever_fence, "a break does not compare the fence"),
    LIE(before, release_of_anybody_frees, "a release by a stranger frees the lock"),
    LIE(before, refresh_loses_place, "who asks again goes to the end of the queue"),
    LIE(after, queue_is_lifo, "the last to come is served first"),
    LIE(after, waiter_is_forgotten, "who was queued has no place"),
    LIE(after, value_is_the_one_before, "a value is told that was replaced"),
    LIE(after, value_has_another_fence, "a value is told with another fence"),
    LIE(before, anybody_publishes, "who does not hold publishes"),
    LIE(before, publishing_extends, "who publishes has its lease renewed"),
    LIE(before, published_is_forgotten, "what is published leaves what was there"),
    LIE(push, grant_is_not_told, "a waiter is not told of its grant"),
    LIE(push, grant_is_told_with_another_fence, "a push has another fence than the grant"),
    LIE(push, grant_forgets_who_waits, "a push does not say that others wait"),
    LIE(push, yield_is_not_told, "the holder is not asked to yield"),
    LIE(row, report_is_free, "a held lock is reported free"),
    LIE(row, report_is_mine, "a lock is reported to be whoever's asks"),
    LIE(row, report_leaves_out_waiters, "a report leaves out who waits"),
    LIE(row, report_shows_more_time, "a report shows more time than there is"),
};
const size_t walk_lie_count = sizeof(walk_lies) / sizeof(walk_lies[0]);
