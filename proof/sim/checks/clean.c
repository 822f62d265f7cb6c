/* SPDX-License-Identifier: MIT */
/* Law 4: every key has an expiry, and nothing stays behind. Law 8: messages are bounded. */
#include "check.h"

#include "../../../src/engine/lease.h"

#include <inttypes.h>
#include <string.h>

void check_keys(sim *s, const model_lock *lock)
{
    bool ours = lock->held && (lock->several || sim_token_number(s, lock->token) >= 0);
    if ((ours && lock->held_until == MODEL_NEVER) ||
        (lock->recorded && lock->record_until == MODEL_NEVER) ||
        (lock->place_count && lock->places_until == MODEL_NEVER) ||
        (lock->waiter_count && lock->waiters_until == MODEL_NEVER))
        sim_fail(s, "clean", "a key of \"%s\" has no expiry", lock->key);
}

static bool is_known(const pawl__engine *e, const sim *s, int token)
{
    for (size_t i = 0; i < e->lease_room; i++)
        if (e->leases[i] && sim_token_of_lease(s, e->leases[i]) == token) return true;
    return false;
}

/* Law 4: what the store has of a living client, the client knows, or has released. */
static void check_orphan(sim *s, const sim_client *client, int number)
{
    if (number < 0) return;
    const seen_token *token = &s->seen.tokens[number];
    if (token->client != client->number || token->incarnation != client->incarnation) return;
    if (token->by_late_request || token->detached) return;
    /* A store that went back to an older state may have leases again that were released. */
    if (token->left_at && s->seen.names[token->name].broken_at > token->left_at) return;
    /* A request that is executed after its client left may outlive the tries to release it. */
    if (token->release_at && token->said_at > token->release_at) return;
    if (is_known(client->engine, s, number)) return;
    sim_fail(s, "orphan", "client %d has forgotten token %d, and the store has not", client->number,
             number);
}

void check_orphans(sim *s, const sim_client *client)
{
    if (!client->link.up || s->seen.went_back) return;
    int64_t now_ms = sim_server_now_us(s) / 1000 + s->config.ttl_ms / 8; /* clocks drift */
    for (int i = 0; i < s->config.names; i++) {
        const seen_name *name = &s->seen.names[i];
        for (size_t j = 0; j < name->holder_count && !name->closed; j++) {
            if (s->seen.tokens[name->holders[j]].store_till_ms > now_ms)
                check_orphan(s, client, name->holders[j]);
        }
        for (size_t j = 0; j < name->waiting_count; j++) {
            if (s->seen.tokens[name->waiting[j]].till_ms > now_ms)
                check_orphan(s, client, name->waiting[j]);
        }
    }
}

/* Without faults all is clean at once; with faults the leases of crashed clients run out first. */
void check_nothing_left(sim *s)
{
    bool quiet = s->config.fault_count == 0 && s->config.tail_per_thousand == 0;
    if (!quiet || s->config.detach) return;
    s->server.model.now_us = sim_server_now_us(s);
    for (size_t i = 0; i < s->server.model.count; i++) {
        model_lock *lock = &s->server.model.locks[i];
        model_lock_expire(lock, s->server.model.now_us / 1000);
        if (lock->held || lock->place_count || lock->waiter_count)
            sim_fail(s, "clean", "\"%s\": all was released, the store still has %s", lock->key,
                     lock->held ? "a holder" : "a waiter");
    }
}

void check_cost(sim *s)
{
    if (s->config.fault_count || s->config.tail_per_thousand) return;
    int64_t thirds = s->t / (s->config.ttl_ms * SIM_MS / 6) + 1;
    int64_t bound = 8 * s->seen.wants + 4 * thirds * s->config.clients * s->config.names;
    if ((int64_t)s->totals.commands > bound)
        sim_fail(s, "storm", "%" PRIu64 " commands for %" PRId64 " acquisitions",
                 s->totals.commands, s->seen.wants);
}
