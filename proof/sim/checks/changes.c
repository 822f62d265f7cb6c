/* SPDX-License-Identifier: MIT */
/*
 * Changes of a mode: each is told once and in time; a late one does nothing; an impossible one is
 * refused; and the store hears of each mode that a client believes.
 */
#include "check.h"

#include "../../../src/engine/lease.h"

#include <string.h>

/* ---- At the store ---------------------------------------------------------------- */

static int64_t number_of_change(const sim_message *m)
{
    const pawl__redis_bytes *arg = &check_args(m)[4];
    int64_t number = 0;
    for (size_t i = 0; i < arg->len; i++) number = number * 10 + (arg->data[i] - '0');
    return number;
}

static int64_t ttl_of(const sim_message *m)
{
    const pawl__redis_bytes *arg = &check_args(m)[1];
    int64_t ttl_ms = 0;
    for (size_t i = 0; i < arg->len; i++) ttl_ms = ttl_ms * 10 + (arg->data[i] - '0');
    return ttl_ms;
}

void check_change_executed(sim *s, const sim_message *m, int says)
{
    seen_token *token = &s->seen.tokens[m->token];
    int64_t number = number_of_change(m), now_ms = sim_server_now_us(s) / 1000;
    bool waits = says == PAWL__REDIS_SAYS_QUEUED;
    if (says == PAWL__REDIS_SAYS_NOT_OWNER) {
        if (number < token->change_seen) SIM_REACHED(s, late_change);
        return;
    }
    token->upgrade_till_ms = waits ? now_ms + model_place_ms(ttl_of(m)) : 0;
    if (waits) SIM_REACHED(s, upgrade_waited);
    bool forgotten = s->seen.names[token->name].broken_at >= token->change_seen_at;
    if (number < token->change_seen && !forgotten)
        sim_fail(s, "late-change", "token %d: change %d was done after change %d", m->token,
                 (int)number, (int)token->change_seen);
    token->change_seen = number;
    token->change_seen_at = s->t;
}

/* ---- Callers ------------------------------------------------------------------------ */

static void must(sim *s, const sim_caller *caller, bool holds, const char *what)
{
    if (!holds) sim_fail(s, "completion", "caller %d: %s", caller->number, what);
}

void seen_changing(sim *s, sim_caller *caller)
{
    must(s, caller, !caller->seen.changing, "wants two changes at once");
    caller->seen.changing = true;
}

static bool is_possible(pawl_mode from, pawl_mode to)
{
    return from == to || (from == PAWL_MODE_UPDATE && to == PAWL_MODE_EXCLUSIVE) ||
           pawl_mode_is_downgrade(from, to);
}

void seen_changed(sim *s, sim_caller *caller, pawl_err err, uint64_t fence)
{
    pawl_mode from = caller->believed, to = caller->changes_to;
    must(s, caller, caller->seen.changing, "told of a change that it did not ask for");
    must(s, caller, err != PAWL_ERR_INTERNAL && err != PAWL_ERR_PROTOCOL, "its change broke");
    must(s, caller, is_possible(from, to) || err, "got a change that cannot be");
    must(s, caller, err != PAWL_ERR_MODE || !is_possible(from, to), "was refused what can be");
    caller->seen.changing = false;
    if (err) return;
    uint64_t before = caller->fence;
    caller->believed = to;
    caller->fence = fence;
    if (from == PAWL_MODE_UPDATE && to == PAWL_MODE_EXCLUSIVE)
        check_upgrade_fence(s, caller, before);
}

void check_upgrade_in_time(sim *s, const sim_caller *caller)
{
    const sim_client *client = &s->clients[caller->client];
    if (!caller->seen.changing) return;
    int64_t until = caller->upgrade.wait_until;
    if (client->closing)
        sim_fail(s, "completion", "caller %d: waits to be upgraded after close", caller->number);
    if (until != 0 && until != PAWL__NEVER && client->seen_now > until)
        sim_fail(s, "completion", "caller %d: waits to be upgraded after its time-out",
                 caller->number);
    if (caller->state != SIM_CALLER_HOLDING)
        sim_fail(s, "completion", "caller %d: holds no more, and waits to be upgraded",
                 caller->number);
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/*
 * The store has the mode that the client believes, or the client is about to tell it, with its next
 * renewal at the latest. So a downgrade lets others in, and an upgrade that was given up blocks
 * nobody.
 */
void check_believed(sim *s, const sim_client *client)
{
    const pawl__engine *e = client->engine;
    for (size_t i = 0; i < e->lease_room; i++) {
        const pawl__lease *lease = e->leases[i];
        if (!lease || !pawl__lease_is_held(lease) || lease->group->mode == PAWL_MODE_PERMIT)
            continue;
        seen_token *token = &s->seen.tokens[sim_token_of_lease(s, lease)];
        if (token->name < 0 || token->look != s->seen.names[token->name].look) continue;
        bool upgrades = pawl__lease_upgrades(lease);
        bool waits = token->upgrade_till_ms > sim_server_now_us(s) / 1000 &&
                     token->change_seen_at > s->seen.names[token->name].broken_at;
        bool same = token->store_mode == check_letter((pawl_mode)lease->mode) && !waits;
        if (same || upgrades) {
            token->differs_since = 0;
            continue;
        }
        if (!token->differs_since) token->differs_since = s->t;
        int64_t since = later(token->differs_since, later(client->up_at, client->touched_at + 1));
        int64_t bound =
            lease->ttl_ms * SIM_MS / 2 + 12 * s->config.delay_max_us * SIM_US + 4 * SIM_MS;
        bool calm = seen_is_calm(s, client->number, since) && !s->config.tail_per_thousand &&
                    !s->server.slow_by && s->server.up && s->server.paused_until <= since;
        if (calm && s->t > since + bound)
            sim_fail(s, "untold", "token %d (client %d) is %c at the store, its client believes %c",
                     sim_token_of_lease(s, lease), client->number, token->store_mode,
                     check_letter((pawl_mode)lease->mode));
    }
}
