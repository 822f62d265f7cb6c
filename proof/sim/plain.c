/* SPDX-License-Identifier: MIT */
/*
 * Lock clients without an engine, to show that the simulator finds what is wrong with them.
 *
 *   tutorial  SET key "token" EX ttl NX; if it is taken, again after 0..99 ms; DEL to
 *             unlock; no renewal, no deadline
 *   setnx     the same with a token of its own, PX, compare-and-delete and a deadline
 *             counted from the sending; still no renewal, no queue, no fence
 */
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define RETRY_MAX_MS 100

static void again_later(sim *s, sim_caller *caller)
{
    int64_t pause_us = sim_below(&caller->random, RETRY_MAX_MS * 1000);
    sim_at(s, s->t + pause_us * SIM_US, SIM_EV_CALLER, caller->number, ++caller->generation);
}

/* value NULL: there will be no answer. */
static void heard(sim *s, sim_client *client, int token, const pawl__redis_value *value)
{
    for (int i = 0; i < s->caller_count; i++) {
        sim_caller *caller = &s->callers[i];
        if (caller->client != client->number || caller->token != token) continue;
        if (caller->state != SIM_CALLER_WAITING) continue;
        if (!value || value->type != PAWL__REDIS_STATUS) {
            again_later(s, caller);
            continue;
        }
        int64_t deadline = PAWL__NEVER;
        if (s->config.algorithm == SIM_SETNX)
            deadline = caller->plain_sent_at + s->config.ttl_ms * SIM_MS * 9 / 10 - 7 * SIM_MS;
        sim_grant grant = {0, "", caller->token, deadline, 0};
        s->told->granted(s, caller, &grant);
    }
}

typedef struct said {
    pawl__redis_pending pending;
    pawl_verb verb;
    int token;
} said;

static void drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, said, pending));
}

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value)
{
    sim_client *client = store->io;
    const said *what = pawl__container(pending, said, pending);
    if (what->verb == PAWL_VERB_ACQUIRE) heard(client->sim, client, what->token, value);
    drop(pending);
}

/* The caller does not know whether it was done, and asks again. */
static void unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message)
{
    sim_client *client = store->io;
    const said *what = pawl__container(pending, said, pending);
    (void)maybe_done, (void)err, (void)message;
    if (what->verb == PAWL_VERB_ACQUIRE) heard(client->sim, client, what->token, NULL);
    drop(pending);
}

static void send(sim *s, const sim_caller *caller, const char *const *words, size_t count)
{
    sim_client *client = &s->clients[caller->client];
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX];
    said *what = malloc(sizeof *what);
    if (!what) abort();
    *what = (said){.pending = {.answer_by = PAWL__NEVER,
                               .answered = answered,
                               .unanswered = unanswered,
                               .drop = drop},
                   .token = caller->token};
    for (size_t i = 0; i < count; i++) argv[i] = (pawl__redis_bytes){words[i], strlen(words[i])};
    what->verb = strcmp(words[0], "SET") == 0 ? PAWL_VERB_ACQUIRE : PAWL_VERB_RELEASE;
    client->link.plain_verb = what->verb;
    client->link.plain_token = caller->token;
    if (!pawl__redis_send(&client->link.store, argv, count, &what->pending)) abort();
    client->link.plain_token = -1;
    sim_link_flush(s, client);
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
    if (!sim_link_is_up(client)) {
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
    if (sim_link_is_up(client)) {
        const char *words[] = {s->config.algorithm == SIM_TUTORIAL ? "DEL" : "CAD", key,
                               caller->plain_token};
        send(s, caller, words, s->config.algorithm == SIM_TUTORIAL ? 2 : 3);
    }
    s->told->released(s, caller, PAWL_OK);
}
