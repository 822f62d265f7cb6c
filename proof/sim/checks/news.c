/* SPDX-License-Identifier: MIT */
/*
 * What the store tells of itself, and what it must not tell: the restart guard is active only where
 * somebody may have been forgotten, no step of the server's clock is invented, and who holds a key
 * that is watched hears at once that it was deleted. What must follow is checked in told.c.
 */
#include "check.h"

#include <inttypes.h>
#include <stdlib.h>

/* ---- The restart guard ------------------------------------------------------------------ */

/*
 * Its age by its own clock, by which the guard counts: the true time may say a hundredth more.
 * INFO tells it in whole seconds, so the guard takes it for up to 2 s younger.
 */
static bool is_young(const sim *s)
{
    int64_t age_us = sim_server_now_us(s) - s->server.started_us;
    return age_us < (sim_guard_ms(&s->config) + 2000) * 1000;
}

/*
 * `on` cannot know whether an empty server that is young has lost something; and one that could not
 * write the record counts as emptied.
 */
static bool may_have_forgotten(const sim *s)
{
    if (s->server.run > 0 || s->seen.unrecorded) return true;
    return s->config.guard == PAWL__REDIS_GUARD_ON && (is_young(s) || s->seen.went_back);
}

void seen_guarded(sim *s, int64_t left_ms)
{
    if (left_ms > 0) SIM_REACHED(s, guarded);
    if (left_ms == 0 && s->server.run > 0) SIM_REACHED(s, guard_over);
}

/*
 * The server is another one, or has lost its newest writes, and the clients have a guard: leases
 * that it forgot exclude all the same, but for those for which the guard does not last. `till_ms`:
 * until when what the server still knows of longer ones makes it last.
 */
void seen_forgot(sim *s, int64_t till_ms)
{
    int64_t now_ms = sim_server_now_us(s) / 1000, span_ms = sim_guard_ms(&s->config);
    int64_t lasts_ms = till_ms > now_ms + span_ms ? till_ms : now_ms + span_ms;
    for (int i = 0; i < s->config.names; i++) {
        seen_name *name = &s->seen.names[i];
        bool covered = s->config.guard != PAWL__REDIS_GUARD_OFF;
        for (size_t j = 0; j < name->holder_count; j++)
            if (s->seen.tokens[name->holders[j]].store_till_ms > lasts_ms) covered = false;
        int64_t unguarded_at = name->unguarded_at;
        uint64_t unguarded_fence = name->unguarded_fence;
        seen_broken(s, i);
        if (!covered) continue;
        name->unguarded_at = unguarded_at;
        name->unguarded_fence = unguarded_fence;
    }
}

/*
 * The first who comes to a server that has lost the guard's record, and has never seen an earlier
 * run, takes it for a new one (docs/protocol.md, "Restart guard").
 */
static void excuse_first_comer(sim *s, const sim_message *m)
{
    const sim_client *client = &s->clients[m->conn];
    bool knew = client->link.store.guard.run[0] != '\0';
    bool stale = s->conns[m->conn].epoch != m->epoch;
    if (s->config.guard != PAWL__REDIS_GUARD_AUTO || (knew && !stale)) return;
    for (int i = 0; i < s->config.names; i++) s->seen.names[i].unguarded_at = s->t;
}

void seen_asked_guard(sim *s, const sim_message *m, bool had_record)
{
    int64_t left_ms = strtoll(m->reply.value.text.data, NULL, 10);
    if (!s->server.model.guard.is_there) s->seen.unrecorded = true;
    if (!had_record) excuse_first_comer(s, m);
    if (left_ms > 0 && !may_have_forgotten(s))
        sim_fail(s, "guarded", "client %d is told of a guard at a server that forgot nothing",
                 m->conn);
}

/* ---- Steps of the server's clock ------------------------------------------------------- */

static bool clocks_are_steady(const sim *s)
{
    const unsigned moved = 1u << SIM_FAULT_SERVER_RATE | 1u << SIM_FAULT_DRIFT |
                           1u << SIM_FAULT_CLOCK_BACK | 1u << SIM_FAULT_CLOCK_FORWARD |
                           1u << SIM_FAULT_FAILOVER | 1u << SIM_FAULT_CLIENT_RATE;
    for (int i = 0; i < s->config.fault_count; i++)
        if (moved & 1u << s->config.faults[i].kind) return false;
    return true;
}

/* Its leases that have ended at the store: it asks about all of them now. */
static void must_hear(sim *s, const sim_client *client)
{
    int64_t now_ms = sim_server_now_us(s) / 1000;
    for (int i = 0; i < s->caller_count; i++) {
        const sim_caller *caller = &s->callers[i];
        if (caller->client != client->number || !seen_is_live(s, caller)) continue;
        const seen_token *token = &s->seen.tokens[caller->token];
        if (token->store_till_ms < now_ms) seen_cut_off(s, caller->token);
    }
}

void seen_step_told(sim *s, sim_client *client, int64_t step_us)
{
    if (clocks_are_steady(s))
        sim_fail(s, "stepped", "client %d sees a step of %" PRId64 " us, and no clock was set",
                 client->number, step_us);
    client->step_due = 0;
    if (step_us <= 0) return;
    SIM_REACHED(s, step_told);
    must_hear(s, client);
}

/* ---- Keys ------------------------------------------------------------------------------------ */

#define WATCHED_TTL_MIN_MS 100 /* shorter ones may be too many in a second to be watched */

/* Whose renewal was confirmed on this connection, and who has heard nothing else since. */
static bool is_watched(const sim *s, int number)
{
    const seen_token *token = &s->seen.tokens[number];
    const sim_client *client = &s->clients[token->client];
    if (!s->config.watch || s->config.ttl_ms < WATCHED_TTL_MIN_MS) return false;
    if (token->incarnation != client->incarnation || !token->renewed_at) return false;
    if (client->link.store.watch.alarms >= PAWL__REDIS_ALARMS_MAX) return false;
    return seen_is_calm(s, token->client, token->renewed_at);
}

void seen_deleted(sim *s, const model_lock *lock)
{
    int number = lock->held && !lock->several ? sim_token_number(s, lock->token) : -1;
    if (number >= 0 && is_watched(s, number)) seen_cut_off(s, number);
}
