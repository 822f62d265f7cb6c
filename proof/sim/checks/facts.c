/* SPDX-License-Identifier: MIT */
/* What several checkers ask: who holds, what the store promised, whom no fault has touched. */
#include "check.h"

bool seen_is_live(sim *s, const sim_caller *caller)
{
    if (caller->state != SIM_CALLER_HOLDING) return false;
    return sim_clock_read(&s->clients[caller->client].clock, s->t) < caller->deadline;
}

bool seen_is_promised(const sim *s, int name, int token)
{
    if (s->seen.drifted || token < 0) return false;
    return s->seen.tokens[token].held_at > s->seen.names[name].broken_at;
}

/* A caller that was told before such a fault may have another grant than the store has. */
bool seen_is_owed(const sim *s, const sim_caller *caller)
{
    if (!seen_is_promised(s, caller->name, caller->token)) return false;
    if (s->config.algorithm != SIM_PAWL) return true;
    return caller->fence == s->seen.tokens[caller->token].fence ||
           caller->fence > s->seen.names[caller->name].broken_fence;
}

bool seen_is_guarded(const sim *s, const sim_caller *caller)
{
    const seen_name *name = &s->seen.names[caller->name];
    if (s->seen.drifted || caller->token < 0) return false;
    const seen_token *token = &s->seen.tokens[caller->token];
    if (token->held_at <= name->unguarded_at) return false;
    if (s->config.algorithm != SIM_PAWL) return true;
    return caller->fence == token->fence || caller->fence > name->unguarded_fence;
}

bool seen_is_calm(const sim *s, int client, int64_t since)
{
    const sim_client *c = &s->clients[client];
    if (!c->alive || c->closing || c->paused_until > s->t) return false;
    if (s->conns[client].dead) return false;
    return c->link.up && c->up_at <= since && c->touched_at < since;
}

bool seen_is_there(const sim *s, int number, int64_t since)
{
    const seen_token *token = &s->seen.tokens[number];
    if (s->clients[token->client].incarnation != token->incarnation) return false;
    if (token->till_ms <= sim_server_now_us(s) / 1000 + 1) return false;
    return seen_is_calm(s, token->client, since);
}
