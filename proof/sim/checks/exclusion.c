/* SPDX-License-Identifier: MIT */
/*
 * Law 1: at no instant do two callers hold one name, each by its own clock. Judged in true time. A
 * hold is exempt if a fault has broken an assumption (state lost, clock stepped forward) since the
 * store confirmed it, until the store confirms it again.
 *
 * Two stronger rules, which find mistakes sooner: a caller that holds by its own clock is the
 * holder at the store; and at each grant and extension the local deadline lies before the store's.
 */
#include "check.h"

#include <string.h>

/* Whether two that hold one name exclude each other. */
static bool exclude(const sim_caller *a, const sim_caller *b)
{
    if (a->believed == PAWL_MODE_PERMIT && b->believed == PAWL_MODE_PERMIT)
        return (a->slots & b->slots) != 0;
    return check_excludes(check_letter(a->believed), check_letter(b->believed));
}

/* Inside one client neither a clock nor the store is an excuse. */
static bool are_one_lease(const sim *s, const sim_caller *a, const sim_caller *b)
{
    bool writers = a->want.mode == PAWL_MODE_EXCLUSIVE && b->want.mode == PAWL_MODE_EXCLUSIVE;
    return a->client == b->client && writers && s->config.algorithm == SIM_PAWL;
}

void check_overlap(sim *s, const sim_caller *caller)
{
    for (int i = 0; i < s->caller_count; i++) {
        const sim_caller *other = &s->callers[i];
        if (other == caller || other->name != caller->name || !seen_is_live(s, other)) continue;
        bool promised = seen_is_guarded(s, caller) && seen_is_guarded(s, other);
        if (!promised && !are_one_lease(s, caller, other)) continue;
        if (!exclude(caller, other)) {
            SIM_REACHED(s, read_together);
            continue;
        }
        sim_fail(s, "exclusion",
                 "callers %d (client %d, %c) and %d (client %d, %c) both hold \"%s\"",
                 caller->number, caller->client, check_letter(caller->believed), other->number,
                 other->client, check_letter(other->believed), sim_names[caller->name]);
        return;
    }
}

/* NULL: the store has nothing of it. */
static const seen_token *at_store(const sim *s, int name, int number)
{
    const seen_token *token = &s->seen.tokens[number];
    if (token->name != name || token->look != s->seen.names[name].look) return NULL;
    return token->store_till_ms >= sim_server_now_us(s) / 1000 ? token : NULL;
}

/* The store has given it at least what it believes to have. */
static bool is_covered(const sim_caller *caller, const seen_token *token)
{
    switch (caller->believed) {
    case PAWL_MODE_EXCLUSIVE:
        return token->store_mode == 'x';
    case PAWL_MODE_UPDATE:
        return token->store_mode == 'x' || token->store_mode == 'u';
    case PAWL_MODE_SHARED:
        return token->store_mode != 'p';
    case PAWL_MODE_PERMIT:
        return token->store_mode == 'p' && token->store_slots == caller->slots;
    case PAWL_MODE_FORCE_INT:
        break;
    }
    return false;
}

void check_truth(sim *s, int name)
{
    if (s->config.algorithm != SIM_PAWL || s->seen.names[name].closed) return;
    for (int i = 0; i < s->caller_count; i++) {
        const sim_caller *caller = &s->callers[i];
        if (caller->name != name || !seen_is_live(s, caller)) continue;
        if (!seen_is_owed(s, caller)) continue;
        const seen_token *token = at_store(s, name, caller->token);
        if (token && is_covered(caller, token)) continue;
        sim_fail(s, "held-is-held",
                 "caller %d (client %d, %c) holds \"%s\" by its own clock, at the store %s",
                 caller->number, caller->client, check_letter(caller->believed), sim_names[name],
                 token ? "in another mode" : "it does not");
        return;
    }
}

void check_margin(sim *s, const sim_caller *caller)
{
    if (!seen_is_owed(s, caller)) return;
    const seen_token *token = at_store(s, caller->name, caller->token);
    if (!token) return;
    const sim_client *client = &s->clients[caller->client];
    int64_t end = sim_clock_when(&client->clock, caller->deadline);
    int64_t till_ms = token->store_till_ms;
    if (end == PAWL__NEVER || sim_clock_read(&s->server.wall, end) / SIM_MS > till_ms)
        sim_fail(s, "deadline",
                 "caller %d (client %d): its deadline lies %.3f ms behind the "
                 "store's expiry",
                 caller->number, client->number,
                 end == PAWL__NEVER
                     ? 1e9
                     : (double)(sim_clock_read(&s->server.wall, end) - till_ms * SIM_MS) / 1e6);
}

/* For lock clients without an engine: whose key it is, and who deletes it. */
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
