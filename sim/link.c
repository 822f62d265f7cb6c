/* SPDX-License-Identifier: MIT */
/*
 * What src/stores/redis does between the engine and the sockets, on simulated ones: two
 * connections that live and die together, a probe before the link is up, requests under
 * way in order, their time-outs, NOSCRIPT, back-off. What is said and what it means is the
 * real redis_proto.c; the rules here are those of redis_link.c and redis_store.c.
 */
#include "../src/base/mutant.h"
#include "../src/stores/redis/redis_scripts.h"
#include "checks/check.h"

#include <stdlib.h>
#include <string.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define CONNECT_MS     1000

static void plan(sim *s, sim_client *client, int64_t delay_ms)
{
    client->link.timer_at = sim_client_now(s, client) + delay_ms * SIM_MS;
    sim_link_arm(s, client);
}

/* ---- Going down ------------------------------------------------------------- */

static void reply_to(sim *s, sim_client *client, const pawl_reply *reply)
{
    pawl__event event = {.kind = PAWL__EV_REPLY, .reply = reply};
    sim_client_step(s, client, &event);
}

static void abandon(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    while (link->count) {
        const sim_asked *asked = &link->asked[link->head];
        pawl_reply reply = {.id = asked->request.id,
                            .outcome = PAWL_UNKNOWN,
                            .position = -1,
                            .holder_ms = -1,
                            .err = PAWL_ERR_UNKNOWN,
                            .message = "no reply"};
        if (asked->request.verb == PAWL_VERB_ACQUIRE) SIM_REACHED(s, unknown_ask);
        if (asked->request.verb == PAWL_VERB_RELEASE) SIM_REACHED(s, unknown_release);
        link->head = (link->head + 1) % SIM_ASKED_MAX;
        link->count--;
        reply_to(s, client, &reply);
    }
}

static void wait_for_next_attempt(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    link->state = SIM_LINK_WAITING;
    plan(s, client, pawl__random_jitter(&link->random.state, link->backoff_ms));
    link->backoff_ms *= 2;
    if (link->backoff_ms > BACKOFF_MAX_MS) link->backoff_ms = BACKOFF_MAX_MS;
}

static void go_down(sim *s, sim_client *client, const char *why)
{
    sim_link *link = &client->link;
    if (link->state == SIM_LINK_WAITING) return;
    bool was_up = link->state == SIM_LINK_UP;
    SIM_NOTE(s, client->number, "link down: %s", why);
    for (int i = 0; i < SIM_CONNS; i++) sim_conn_close(s, client->number * SIM_CONNS + i);
    link->state = SIM_LINK_WAITING;
    if (s->config.algorithm != SIM_PAWL) {
        wait_for_next_attempt(s, client);
        sim_plain_closed(s, client);
        return;
    }
    abandon(s, client);
    int64_t span = client->seen_now - link->up_since;
    if (was_up && span >= BACKOFF_MAX_MS * SIM_MS) link->backoff_ms = BACKOFF_MIN_MS;
    wait_for_next_attempt(s, client);
    pawl__event event = {.kind = PAWL__EV_LINK, .err = PAWL_ERR_UNAVAILABLE, .message = why};
    sim_client_step(s, client, &event);
}

void sim_link_closed(sim *s, sim_client *client)
{
    go_down(s, client, "a connection was closed");
}

/* ---- Coming up -------------------------------------------------------------- */

static void attempt(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    link->state = SIM_LINK_GREETING;
    link->subscribed = link->probed = link->heard = false;
    for (int i = 0; i < SIM_CONNS; i++) {
        link->connected[i] = false;
        sim_conn_open(s, client->number * SIM_CONNS + i);
    }
    plan(s, client, CONNECT_MS);
}

void sim_link_start(sim *s, sim_client *client)
{
    sim_rng random = sim_rng_make(s->config.seed, (unsigned)client->number, SIM_RNG_LINK);
    uint32_t generation = client->link.generation;
    if (client->incarnation > 1) random = client->link.random;
    client->link = (sim_link){.generation = generation + 1,
                              .backoff_ms = BACKOFF_MIN_MS,
                              .random = random,
                              .armed_at = PAWL__NEVER};
    attempt(s, client);
}

static void say(sim *s, sim_client *client, int which, sim_word word)
{
    sim_message *m = sim_message_new(s, word);
    sim_message_keep(m, (pawl__redis_bytes){client->space.inbox, client->space.inbox_len});
    sim_send_up(s, client->number * SIM_CONNS + which, m);
}

void sim_link_connected(sim *s, sim_client *client, int which, bool ok)
{
    sim_link *link = &client->link;
    if (link->state != SIM_LINK_GREETING) return;
    if (!ok) {
        go_down(s, client, "nobody listens");
        return;
    }
    link->connected[which] = true;
    if (which == SIM_INBOX) say(s, client, SIM_INBOX, SIM_WORD_SUBSCRIBE);
    if (link->subscribed && link->connected[SIM_COMMANDS])
        say(s, client, SIM_COMMANDS, SIM_WORD_PROBE);
}

static void maybe_up(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    if (!link->probed || !link->heard || link->state == SIM_LINK_UP) return;
    link->state = SIM_LINK_UP;
    link->timer_at = PAWL__NEVER;
    client->up_at = s->t;
    link->up_since = sim_client_now(s, client);
    SIM_NOTE(s, client->number, "link up");
    if (s->config.algorithm != SIM_PAWL) return;
    pawl__event event = {.kind = PAWL__EV_LINK, .up = true};
    sim_client_step(s, client, &event);
}

/* ---- Requests --------------------------------------------------------------- */

static void put_command(sim *s, sim_client *client, sim_asked *asked)
{
    pawl__redis_call call;
    sim_message *m = sim_message_new(s, SIM_WORD_COMMAND);
    (void)pawl__redis_encode(&client->space, &asked->request, &call);
    const pawl__redis_script_text *script = &pawl__redis_scripts[call.script];
    const char *text = asked->with_body ? script->body : script->sha1;
    m->argc = pawl__redis_call_argv(&call, (pawl__redis_bytes){text, strlen(text)},
                                    !asked->with_body, m->argv);
    for (size_t i = 2; i < m->argc; i++) m->argv[i] = sim_message_keep(m, m->argv[i]);
    m->verb = asked->request.verb;
    m->token = sim_token_number(s, asked->token);
    asked->script = call.script;
    sim_send_up(s, client->number * SIM_CONNS + SIM_COMMANDS, m);
}

void sim_link_submit(sim *s, sim_client *client, const pawl_request *request)
{
    sim_link *link = &client->link;
    seen_sent(s, client, request);
    if (link->state != SIM_LINK_UP || link->count == SIM_ASKED_MAX) {
        if (link->refused_count == SIM_ASKED_MAX) abort();
        link->refused[link->refused_count++] = (pawl_reply){.id = request->id,
                                                            .outcome = PAWL_FAILED,
                                                            .position = -1,
                                                            .holder_ms = -1,
                                                            .err = PAWL_ERR_UNAVAILABLE};
        return;
    }
    sim_asked *asked = &link->asked[(link->head + link->count++) % SIM_ASKED_MAX];
    *asked = (sim_asked){.request = *request};
    snprintf(asked->name, sizeof asked->name, "%s", request->name);
    memcpy(asked->token, request->token, PAWL_TOKEN_LEN + 1);
    asked->request.name = asked->name;
    asked->request.token = asked->token;
    asked->request.owner = client->owner;
    put_command(s, client, asked);
    sim_link_arm(s, client);
}

void sim_link_turn(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    for (size_t i = 0; i < link->refused_count; i++) {
        pawl_reply reply = link->refused[i];
        link->refused_count--;
        memmove(&link->refused[i], &link->refused[i + 1],
                (link->refused_count - i) * sizeof link->refused[0]);
        i--;
        reply_to(s, client, &reply);
    }
}

/* ---- Answers ---------------------------------------------------------------- */

/* A release of the same token is under way: it must have the last word. */
static bool is_overtaken(const sim_link *link, const sim_asked *asked)
{
    if (asked->request.verb != PAWL_VERB_ACQUIRE) return false;
    for (size_t i = 0; i < link->count; i++) {
        const sim_asked *later = &link->asked[(link->head + i) % SIM_ASKED_MAX];
        if (later->request.verb == PAWL_VERB_RELEASE && strcmp(later->token, asked->token) == 0)
            return true;
    }
    return false;
}

/* The first under way again, by its body. One that was overtaken must not be done any more. */
static bool say_again(sim *s, sim_client *client, const sim_asked *asked)
{
    sim_link *link = &client->link;
    bool overtaken = is_overtaken(link, asked) && !PAWL_MUTANT(noscript_after_release);
    if (asked->with_body || overtaken) return false;
    sim_asked *again = &link->asked[(link->head + link->count++) % SIM_ASKED_MAX];
    sim_asked copy = *asked;
    *again = copy;
    again->with_body = true;
    again->request.name = again->name;
    again->request.token = again->token;
    put_command(s, client, again);
    sim_link_arm(s, client);
    return true;
}

static void answered(sim *s, sim_client *client, const sim_message *m)
{
    sim_link *link = &client->link;
    char message[PAWL_MESSAGE_MAX];
    pawl_reply reply;
    if (!link->count) return;
    sim_asked asked = link->asked[link->head];
    asked.request.name = asked.name;
    asked.request.token = asked.token;
    link->head = (link->head + 1) % SIM_ASKED_MAX;
    link->count--;
    pawl__redis_verdict verdict =
        pawl__redis_decode(&client->space, &asked.request, pawl__redis_scripts[asked.script].body,
                           &m->reply.value, &reply, message);
    switch (verdict) {
    case PAWL__REDIS_UNKNOWN_SCRIPT:
        if (say_again(s, client, &asked)) return;
        reply.outcome = PAWL_FAILED;
        reply.err = PAWL_ERR_STORE_BUSY;
        break;
    case PAWL__REDIS_DOUBT:
        sim_fail(s, "protocol", "client %d: a reply was not understood: %s", client->number,
                 message);
        return;
    case PAWL__REDIS_RECONNECT:
    case PAWL__REDIS_DECODED:
        break;
    }
    seen_answered(s, &asked.request, &reply);
    reply_to(s, client, &reply);
}

static void pushed(sim *s, sim_client *client, const sim_message *m)
{
    pawl_token room;
    pawl_push push;
    if (!pawl__redis_decode_push(&client->space, (pawl__redis_bytes){m->room, strlen(m->room)},
                                 &room, &push))
        return;
    pawl__event event = {.kind = PAWL__EV_PUSH, .push = &push};
    sim_client_step(s, client, &event);
}

void sim_link_heard(sim *s, sim_client *client, sim_message *m)
{
    sim_link *link = &client->link;
    switch (m->word) {
    case SIM_WORD_REPLY:
        if (s->config.algorithm == SIM_PAWL)
            answered(s, client, m);
        else
            sim_plain_heard(s, client, m);
        return;
    case SIM_WORD_PUSH:
        pushed(s, client, m);
        return;
    case SIM_WORD_SUBSCRIBED:
        link->subscribed = true;
        if (link->connected[SIM_COMMANDS]) say(s, client, SIM_COMMANDS, SIM_WORD_PROBE);
        return;
    case SIM_WORD_PROBED:
        link->probed = true;
        maybe_up(s, client);
        return;
    case SIM_WORD_HEARD:
        link->heard = true;
        maybe_up(s, client);
        return;
    case SIM_WORD_COMMAND:
    case SIM_WORD_SUBSCRIBE:
    case SIM_WORD_PROBE:
        return;
    }
}

/* ---- Time ------------------------------------------------------------------- */

static int64_t due_at(const sim_link *link)
{
    int64_t at = link->timer_at;
    if (link->state != SIM_LINK_UP) return at;
    at = PAWL__NEVER;
    for (size_t i = 0; i < link->count; i++)
        at = pawl__instant_min(at, link->asked[(link->head + i) % SIM_ASKED_MAX].request.answer_by);
    return at;
}

void sim_link_arm(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    int64_t at = sim_clock_when(&client->clock, due_at(link));
    if (at == PAWL__NEVER || at >= link->armed_at) return; /* an earlier one re-arms */
    link->armed_at = at > s->t ? at : s->t;
    sim_at(s, link->armed_at, SIM_EV_LINK_TIMER, client->number, link->generation);
}

void sim_link_timer(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    link->armed_at = PAWL__NEVER;
    if (PAWL_MUTANT(late_reply_read) && link->state == SIM_LINK_UP && link->count &&
        due_at(link) <= sim_client_now(s, client)) {
        sim_asked asked = link->asked[link->head];
        pawl_reply reply = {.id = asked.request.id, .outcome = PAWL_UNKNOWN};
        link->head = (link->head + 1) % SIM_ASKED_MAX;
        link->count--;
        reply_to(s, client, &reply);
    }
    if (due_at(link) <= sim_client_now(s, client)) {
        if (link->state == SIM_LINK_WAITING)
            attempt(s, client);
        else
            go_down(s, client,
                    link->state == SIM_LINK_UP ? "a request was not answered in time"
                                               : "the server did not answer in time");
    }
    sim_link_arm(s, client);
}
