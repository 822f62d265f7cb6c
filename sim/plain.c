/* SPDX-License-Identifier: MIT */
/*
 * Lock clients without an engine, to show that the world finds what is wrong with them.
 *
 *   tutorial  SET key "token" EX ttl NX; if it is taken, again after 0..99 ms; DEL to
 *             unlock; no renewal, no deadline
 *   setnx     the same with a token of its own, PX, compare-and-delete and a deadline
 *             counted from the sending; still no renewal, no queue, no fence
 */
#include "checks/check.h"

#include <inttypes.h>
#include <string.h>

#define RETRY_MAX_MS 100

static void send(sim *s, const sim_caller *caller, const char *const *words, size_t count)
{
    const sim_client *client = &s->clients[caller->client];
    sim_message *m = sim_message_new(s, SIM_WORD_COMMAND);
    m->argc = count;
    for (size_t i = 0; i < count; i++)
        m->argv[i] = sim_message_keep(m, (pawl__redis_bytes){words[i], strlen(words[i])});
    m->verb = strcmp(words[0], "SET") == 0 ? PAWL_VERB_ACQUIRE : PAWL_VERB_RELEASE;
    m->token = caller->token;
    sim_send_up(s, client->number * SIM_CONNS + SIM_COMMANDS, m);
}

static void again_later(sim *s, sim_caller *caller)
{
    int64_t pause_us = sim_below(&caller->random, RETRY_MAX_MS * 1000);
    sim_at(s, s->t + pause_us * SIM_US, SIM_EV_CALLER, caller->number, ++caller->generation);
}

void sim_plain_want(sim *s, sim_caller *caller)
{
    caller->token = sim_token_draw(s, caller->client, caller->plain_token);
    if (s->config.algorithm == SIM_TUTORIAL)
        snprintf(caller->plain_token, sizeof caller->plain_token, "token");
    sim_plain_tick(s, caller);
}

void sim_plain_tick(sim *s, sim_caller *caller)
{
    sim_client *client = &s->clients[caller->client];
    char key[64], ttl[24];
    if (client->link.state != SIM_LINK_UP) {
        again_later(s, caller);
        return;
    }
    bool tutorial = s->config.algorithm == SIM_TUTORIAL;
    int64_t ttl_ms = s->config.ttl_ms, ttl_s = (ttl_ms + 999) / 1000;
    snprintf(key, sizeof key, "%s%s", PAWL__REDIS_PREFIX_DEFAULT, sim_names[caller->name]);
    snprintf(ttl, sizeof ttl, "%" PRId64, tutorial ? ttl_s : ttl_ms);
    caller->plain_sent_at = sim_client_now(s, client);
    const char *words[] = {"SET", key, caller->plain_token, tutorial ? "EX" : "PX", ttl, "NX"};
    send(s, caller, words, 6);
}

void sim_plain_release(sim *s, sim_caller *caller)
{
    const sim_client *client = &s->clients[caller->client];
    char key[64];
    snprintf(key, sizeof key, "%s%s", PAWL__REDIS_PREFIX_DEFAULT, sim_names[caller->name]);
    if (client->link.state == SIM_LINK_UP) {
        const char *words[] = {s->config.algorithm == SIM_TUTORIAL ? "DEL" : "CAD", key,
                               caller->plain_token};
        send(s, caller, words, s->config.algorithm == SIM_TUTORIAL ? 2 : 3);
    }
    sim_caller_released(s, caller, PAWL_OK);
}

void sim_plain_heard(sim *s, sim_client *client, sim_message *m)
{
    if (m->verb != PAWL_VERB_ACQUIRE) return;
    for (int i = 0; i < s->caller_count; i++) {
        sim_caller *caller = &s->callers[i];
        if (caller->client != client->number || caller->token != m->token) continue;
        if (caller->state != SIM_CALLER_WAITING) continue;
        if (m->reply.value.type != PAWL__REDIS_STATUS) {
            again_later(s, caller);
            continue;
        }
        int64_t deadline = PAWL__NEVER;
        if (s->config.algorithm == SIM_SETNX)
            deadline = caller->plain_sent_at + s->config.ttl_ms * SIM_MS * 9 / 10 - 7 * SIM_MS;
        sim_caller_granted(s, caller, 0, caller->token, deadline);
    }
}

/* Whoever asked does not know what became of it, and asks again. */
void sim_plain_closed(sim *s, sim_client *client)
{
    int first = client->number * s->config.callers;
    for (int i = first; i < first + s->config.callers; i++)
        if (s->callers[i].state == SIM_CALLER_WAITING) again_later(s, &s->callers[i]);
}
