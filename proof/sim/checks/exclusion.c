/* SPDX-License-Identifier: MIT */
/*
 * Law 1: at no instant do two callers hold one name, each by its own clock. Judged in true
 * time. A hold is exempt once the world has broken an assumption since the store last
 * confirmed it (state lost, clock stepped forward): until the store confirms it again.
 *
 * Stronger, and so quicker to bite: whoever holds by its own clock is the holder at the
 * store; and at each grant and extension the local deadline lies before the store's.
 */
#include "check.h"

#include <string.h>

void check_overlap(sim *s, const sim_caller *caller)
{
    for (int i = 0; i < s->caller_count; i++) {
        const sim_caller *other = &s->callers[i];
        if (other == caller || other->name != caller->name || !seen_is_live(s, other)) continue;
        bool promised = seen_is_owed(s, caller) && seen_is_owed(s, other);
        /* Inside one client no clock and no store is an excuse. */
        if (other->client == caller->client && s->config.algorithm == SIM_PAWL) promised = true;
        if (!promised) continue;
        sim_fail(s, "exclusion", "callers %d (client %d) and %d (client %d) both hold \"%s\"",
                 caller->number, caller->client, other->number, other->client,
                 sim_names[caller->name]);
        return;
    }
}

static const model_lock *lock_of(sim *s, int name)
{
    char key[64];
    int len = snprintf(key, sizeof key, "%s%s", PAWL__REDIS_PREFIX_DEFAULT, sim_names[name]);
    s->server.model.now_us = sim_server_now_us(s);
    return model_redis_find(&s->server.model, key, (size_t)len);
}

void check_truth(sim *s, int name)
{
    if (s->config.algorithm != SIM_PAWL) return;
    const model_lock *lock = NULL;
    for (int i = 0; i < s->caller_count; i++) {
        const sim_caller *caller = &s->callers[i];
        if (caller->name != name || !seen_is_live(s, caller)) continue;
        if (!seen_is_owed(s, caller)) continue;
        if (!lock) lock = lock_of(s, name);
        if (lock && lock->held && sim_token_number(s, lock->token) == caller->token) continue;
        sim_fail(s, "held-is-held",
                 "caller %d (client %d) holds \"%s\" by its own clock, at the store %s",
                 caller->number, caller->client, sim_names[name],
                 lock && lock->held ? "somebody else does" : "nobody does");
        return;
    }
}

void check_margin(sim *s, const sim_caller *caller)
{
    if (!seen_is_owed(s, caller)) return;
    const model_lock *lock = lock_of(s, caller->name);
    if (!lock || !lock->held || sim_token_number(s, lock->token) != caller->token) return;
    const sim_client *client = &s->clients[caller->client];
    int64_t end = sim_clock_when(&client->clock, caller->deadline);
    if (end == PAWL__NEVER || sim_clock_read(&s->server.wall, end) / SIM_MS > lock->held_until)
        sim_fail(s, "deadline",
                 "caller %d (client %d): its deadline lies %.3f ms behind the "
                 "store's expiry",
                 caller->number, client->number,
                 end == PAWL__NEVER
                     ? 1e9
                     : (double)(sim_clock_read(&s->server.wall, end) - lock->held_until * SIM_MS) /
                           1e6);
}

/* For lock clients without an engine: whose key is it, and who deletes it? */
void seen_plain_executed(sim *s, const sim_message *m)
{
    const pawl__redis_value *value = &m->reply.value;
    if (m->token < 0 || m->argc < 2) return;
    int number = 0;
    for (int i = 0; i < s->config.names; i++)
        if (strcmp(m->argv[1].data + strlen(PAWL__REDIS_PREFIX_DEFAULT), sim_names[i]) == 0)
            number = i;
    seen_name *name = &s->seen.names[number];
    if (m->verb == PAWL_VERB_ACQUIRE) {
        if (value->type != PAWL__REDIS_STATUS) return;
        name->plain_owner = m->token;
        s->seen.tokens[m->token].held_at = s->t;
        return;
    }
    bool deleted = value->type == PAWL__REDIS_INTEGER && value->integer;
    if (deleted && name->plain_owner != m->token && name->broken_at == SEEN_LONG_AGO)
        sim_fail(s, "foreign-unlock", "client %d (token %d) deleted the lock of token %d", m->conn,
                 m->token, name->plain_owner);
}
