/* SPDX-License-Identifier: MIT */
/* What every part of the simulator calls: schedule, fail, read a clock, draw a token. */
#include "core.h"

#include "../../src/base/mutant.h"
#include "../../src/engine/lease.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *const sim_names[SIM_NAMES_MAX] = {"alpha", "beta", "gamma"};

void sim_at(sim *s, int64_t t, sim_event_kind kind, int a, uint32_t generation)
{
    sim_queue_put(&s->queue, (sim_event){.at = t, .kind = kind, .a = a, .generation = generation});
}

void sim_fail(sim *s, const char *check, const char *format, ...)
{
    va_list args;
    if (s->failed) return;
    s->failed = true;
    s->failure.at = s->t;
    snprintf(s->failure.check, sizeof s->failure.check, "%s", check);
    va_start(args, format);
    vsnprintf(s->failure.text, sizeof s->failure.text, format, args);
    va_end(args);
    SIM_NOTE(s, -2, "VIOLATION (%s) %s", check, s->failure.text);
}

void sim_mix(sim *s, uint64_t value)
{
    s->hash = (s->hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    s->hash ^= s->hash >> 29;
}

/*
 * The leases of dead holders run out after their ttl, and the places of dead waiters; a reconnect
 * waits for up to 2 s; then all waiters have their turns one after the other.
 */
int64_t sim_patience(const sim *s)
{
    const sim_config *c = &s->config;
    int64_t ttl_us = c->ttl_ms * 1000 * (c->mixed_ttl ? 4 : 1);
    int64_t hold_us = c->hold_max_us < c->ttl_ms * 250 ? c->hold_max_us : c->ttl_ms * 250;
    int64_t turn_us = hold_us + 8 * c->delay_max_us + 30000;
    int64_t retry_us = c->algorithm == SIM_PAWL ? 0 : 100 * 100000; /* polling needs luck */
    /* The guard waits for its span, and for a longer lease of an earlier run and its span. */
    int64_t guard_us = c->guard == PAWL__REDIS_GUARD_OFF ? 0 : 4 * ttl_us + 2000000;
    return (4 * ttl_us + guard_us + 8000000 + 3 * s->caller_count * turn_us + retry_us) * SIM_US;
}

/* ---- Clocks ------------------------------------------------------------------- */

void sim_touch(sim *s, int client, int64_t until)
{
    if (s->clients[client].touched_at >= until) return;
    s->clients[client].touched_before = s->clients[client].touched_at;
    s->clients[client].touched_at = until;
}

int64_t sim_client_now(sim *s, sim_client *client)
{
    if (PAWL_MUTANT(now_from_before_pause) && client->paused_until) {
        client->paused_until = 0; /* once */
        return client->seen_now;
    }
    client->seen_now = sim_clock_read(&client->clock, s->t);
    return client->seen_now;
}

int64_t sim_server_now_us(const sim *s)
{
    return sim_clock_read(&s->server.wall, s->t) / SIM_US;
}

/* ---- Tokens: unique, and their number can be read back ---------------------- */

int sim_token_draw(sim *s, int client, char *ret_text)
{
    seen *memory = &s->seen;
    if (memory->token_count == memory->token_room) {
        memory->token_room = memory->token_room ? memory->token_room * 2 : 256;
        memory->tokens = realloc(memory->tokens, memory->token_room * sizeof *memory->tokens);
        if (!memory->tokens) abort();
    }
    int number = (int)memory->token_count++;
    memory->tokens[number] = (seen_token){.client = client,
                                          .incarnation = s->clients[client].incarnation,
                                          .name = -1,
                                          .held_at = SEEN_LONG_AGO,
                                          .first_at = SEEN_LONG_AGO,
                                          .arrived_at = SEEN_LONG_AGO,
                                          .yield_at = -1};
    uint64_t mixed = s->config.seed + (uint64_t)number;
    uint64_t high = pawl__random_next(&mixed), low = pawl__random_next(&mixed);
    snprintf(ret_text, PAWL_TOKEN_LEN + 1, "%016" PRIx64 "%016" PRIx64 "%08x", high, low,
             (unsigned)number);
    return number;
}

int sim_token_number(const sim *s, const char *text)
{
    unsigned number = 0;
    if (strlen(text) != PAWL_TOKEN_LEN) return -1;
    for (const char *c = text + PAWL_TOKEN_LEN - 8; *c; c++)
        number = number * 16 + (unsigned)(*c <= '9' ? *c - '0' : *c - 'a' + 10);
    return number < s->seen.token_count ? (int)number : -1;
}

int sim_token_of_lease(const sim *s, const pawl__lease *lease)
{
    char text[PAWL_TOKEN_LEN + 1];
    pawl__hex_unpack(lease->token, PAWL__TOKEN_BYTES, text);
    return sim_token_number(s, text);
}
