/* SPDX-License-Identifier: MIT */
/*
 * Law 7: turns come in order of arrival among those that live; every waiter has a timer
 * behind its push; a lease that nobody here uses is not kept while others wait; a busy
 * client passes its lease on within its budget only.
 *
 * A waiter is there if no fault has touched it since the store last told it that it
 * waits, and its place stands. A waiter that is not there may be passed over; but it
 * keeps its place until that runs out, so once it is back it must not be passed over any more.
 */
#include "check.h"

#include "../../../src/engine/lease.h"

#include <string.h>

void check_turn(sim *s, int number, int token)
{
    const seen_name *name = &s->seen.names[number];
    const seen_token *chosen = &s->seen.tokens[token];
    bool waited = chosen->first_at != SEEN_LONG_AGO;
    for (size_t i = 0; i < name->waiting_count; i++) {
        const seen_token *other = &s->seen.tokens[name->waiting[i]];
        bool came_first = !waited || other->arrived_at < chosen->first_at;
        if (name->waiting[i] == token || !came_first) continue;
        if (name->waiting[i] == s->seen.asker && s->seen.asks_only) continue;
        if (other->capacity != chosen->capacity) continue; /* of another kind than the name is */
        if (!seen_is_there(s, name->waiting[i], other->asked_at)) continue;
        sim_fail(s, "fifo", "\"%s\": token %d (client %d) overtook token %d (client %d)",
                 sim_names[number], token, s->seen.tokens[token].client, name->waiting[i],
                 s->seen.tokens[name->waiting[i]].client);
        return;
    }
}

static bool is_waiting(const pawl__lease *lease)
{
    return lease->state == PAWL__LEASE_REQUESTING || lease->state == PAWL__LEASE_QUEUED ||
           lease->state == PAWL__LEASE_UNKNOWN;
}

/* A place and a lease are confirmed at each third of the ttl, so one lost answer does no harm. */
static void check_interval(sim *s, const sim_client *client, const pawl__lease *lease)
{
    bool tended = is_waiting(lease) || pawl__lease_is_tended(lease);
    if (!tended || lease->err || lease->state == PAWL__LEASE_UNKNOWN) return;
    int64_t due = pawl__instant_add(lease->base_at, pawl__ms_to_ns(lease->ttl_ms) / 3);
    int64_t soon = pawl__instant_add(client->engine->now, 5 * SIM_MS);
    if (lease->next_at > due && lease->next_at > soon)
        sim_fail(s, "forgotten", "client %d: a place or a lease that is not confirmed in time",
                 client->number);
}

void check_forgotten(sim *s, const sim_client *client)
{
    const pawl__engine *e = client->engine;
    if (!e->link_up) return;
    for (size_t i = 0; i < e->lease_room; i++) {
        const pawl__lease *lease = e->leases[i];
        if (lease && lease->dead_grants) SIM_REACHED(s, dead_grant);
        if (!lease || lease->request || lease->send) continue;
        int64_t latest = pawl__instant_add(e->now, pawl__ms_to_ns(lease->ttl_ms));
        check_interval(s, client, lease);
        if (is_waiting(lease) && lease->next_at > latest)
            sim_fail(s, "forgotten", "client %d: a waiter without a timer behind its push",
                     client->number);
        bool failing = lease->err && lease->next_at != PAWL__NEVER;
        if (lease->state == PAWL__LEASE_HELD && !failing &&
            lease->next_at >= pawl__lease_deadline(lease))
            sim_fail(s, "forgotten",
                     "client %d: a held lease without a renewal before its "
                     "deadline",
                     client->number);
    }
}

/* Of the waiters that no fault excuses, the one that has waited longest; or -1. */
static int patient_head(const sim *s, int name)
{
    const seen_name *queue = &s->seen.names[name];
    int head = -1;
    for (size_t i = 0; i < queue->waiting_count; i++) {
        int token = queue->waiting[i];
        if (!seen_is_there(s, token, s->seen.tokens[token].arrived_at)) continue;
        if (head < 0 || s->seen.tokens[token].arrived_at < s->seen.tokens[head].arrived_at)
            head = token;
    }
    return head;
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*
 * By now a holder must have heard of a waiter that came at `arrived`: pushed, or with a
 * renewal after the last disturbance. A lost push is no excuse: renewals tell too.
 */
static bool should_know(const sim *s, int client, int64_t arrived, int64_t ttl_ms)
{
    const sim_client *c = &s->clients[client];
    if (s->server.paused_until > arrived || s->server.slow_by) return false;
    if (c->closing || !c->link.up || s->config.tail_per_thousand) return false;
    if (s->conns[client].dead) return false;
    arrived = later(later(arrived, c->up_at), c->touched_at);
    int64_t bound = ttl_ms * SIM_MS / 2 + 8 * s->config.delay_max_us * SIM_US + 2 * SIM_MS;
    return s->t > arrived + bound;
}

void check_hoarding(sim *s, const sim_client *client)
{
    const pawl__engine *e = client->engine;
    for (size_t i = 0; i < e->lease_room; i++) {
        const pawl__lease *lease = e->leases[i];
        if (!lease || lease->state != PAWL__LEASE_IDLE) continue;
        if (lease->yield)
            sim_fail(s, "hoarding", "client %d keeps a lease that it was asked to yield",
                     client->number);
        int token = sim_token_of_lease(s, lease);
        int name = s->seen.tokens[token].name;
        int head = name < 0 ? -1 : patient_head(s, name);
        if (head < 0 || !seen_is_promised(s, name, token)) continue;
        int64_t arrived = s->seen.tokens[head].arrived_at;
        if (should_know(s, client->number, arrived, lease->ttl_ms))
            sim_fail(s, "hoarding", "client %d keeps an unused lease of \"%s\", client %d waits",
                     client->number, sim_names[name], s->seen.tokens[head].client);
    }
}

void check_passing(sim *s, const sim_caller *caller)
{
    const sim_client *client = &s->clients[caller->client];
    const pawl__engine *e = client->engine;
    seen_token *token = &s->seen.tokens[caller->token];
    if (token->told_at == s->t) return; /* readers who waited here come in together */
    SIM_REACHED(s, passed_locally);
    if (caller->want.mode == PAWL_MODE_SHARED) SIM_REACHED(s, joined);
    if (token->yield_at >= 0) {
        int64_t span = client->seen_now - token->yield_at;
        if (++token->passes > (int)e->opts.share_count_max || span > e->opts.share_ms_max * SIM_MS)
            sim_fail(s, "budget",
                     "client %d passes a lease on locally: %d times, %.3f ms after "
                     "it was asked to yield",
                     client->number, token->passes, (double)span / 1e6);
        return;
    }
    int head = patient_head(s, caller->name);
    if (head < 0 || !seen_is_promised(s, caller->name, caller->token)) return;
    /* From the later instant of the two: the store can tell only a holder that it knows. */
    if (should_know(s, caller->client, s->seen.tokens[head].arrived_at, caller->want.lease->ttl_ms))
        sim_fail(s, "budget",
                 "client %d passes a lease on locally, and does not know that "
                 "client %d waits",
                 client->number, s->seen.tokens[head].client);
}
