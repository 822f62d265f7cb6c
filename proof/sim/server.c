/* SPDX-License-Identifier: MIT */
/* The server's process around the model: sessions, subscribers, death and return. */
#include "../../src/base/mutant.h"
#include "checks/check.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WALL_AT_START INT64_C(1700000000000000000) /* ns since 1970 */
#define REPEATS_MAX   12  /* of the requests about one token, three at most under way */
#define SNAPSHOT      100 /* per thousand: commands after which the stale copy catches up */

int64_t sim_server_now_us(const sim *s)
{
    return sim_clock_read(&s->server.wall, s->t) / SIM_US;
}

/* ---- Sessions --------------------------------------------------------------- */

uint32_t sim_session_begin(sim *s, int conn, uint32_t epoch)
{
    uint32_t serial = ++s->session_serial;
    s->sessions[serial % SIM_SESSIONS_MAX] =
        (sim_session){.alive = true, .conn = conn, .epoch = epoch, .serial = serial};
    return serial;
}

static sim_session *find_session(sim *s, uint32_t serial)
{
    sim_session *session = &s->sessions[serial % SIM_SESSIONS_MAX];
    return session->alive && session->serial == serial ? session : NULL;
}

void sim_session_end(sim *s, uint32_t serial)
{
    sim_session *session = find_session(s, serial);
    if (session) session->alive = false;
}

/* ---- PUBLISH ---------------------------------------------------------------- */

static void say_array(model_reply *reply, const char *const *words, size_t count)
{
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = reply->items};
    reply->text_len = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = strlen(words[i]);
        char *at = memcpy(reply->text + reply->text_len, words[i], len + 1);
        reply->text_len += len + 1;
        reply->items[reply->value.count++] =
            (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {at, len}};
    }
}

static void tell(sim *s, const sim_session *session, sim_word word, const char *payload)
{
    const char *const words[] = {"message", session->channel, payload};
    sim_message *m = sim_message_new(s, word);
    say_array(&m->reply, words, 3);
    m->reply.value.type = PAWL__REDIS_PUSH;
    sim_send_down(s, session->conn, session->epoch, m);
}

/* A subscriber whose connection has silently died counts as one that is there. */
static int subscribed(void *ctx, const char *channel)
{
    const sim *s = ctx;
    int count = PAWL_MUTANT(monitor_taken_for_waiter) && s->config.monitor;
    for (int i = 0; i < SIM_SESSIONS_MAX; i++) {
        const sim_session *session = &s->sessions[i];
        count += session->alive && session->subscribed && strcmp(session->channel, channel) == 0;
    }
    return count;
}

static void publish(void *ctx, const char *channel, const char *payload)
{
    sim *s = ctx;
    int heard = 0;
    for (int i = 0; i < SIM_SESSIONS_MAX; i++) {
        sim_session *session = &s->sessions[i];
        if (!session->alive || !session->subscribed) continue;
        if (strcmp(session->channel, channel) != 0) continue;
        tell(s, session, SIM_WORD_PUSH, payload);
        SIM_NOTE(s, -1, "publishes \"%s\" to client %d", payload, session->conn);
        heard++;
    }
    seen_published(s, payload, heard);
    if (payload[0] == 'g' || payload[0] == 'p') {
        if (heard) SIM_REACHED(s, handed_off);
        if (!heard) SIM_NOTE(s, -1, "publishes \"%s\": nobody hears it", payload);
    }
}

static void held(void *ctx, const model_lock *lock, const model_hold *hold, model_news news)
{
    seen_held(ctx, lock, hold, news);
}

void sim_server_boot(sim *s)
{
    sim_server *server = &s->server;
    model_redis_init(&server->model);
    model_redis_init(&server->stale);
    server->model.ctx = s;
    server->model.publish = publish;
    server->model.subscribed = subscribed;
    server->model.held = held;
    server->random = sim_rng_make(s->config.seed, 0, SIM_RNG_SERVER);
    server->wall.reads = WALL_AT_START + sim_below(&server->random, 1000000000);
    server->wall.rate_ppm = sim_between(&server->random, -9000, 9000);
    server->up = true;
}

/* ---- Commands --------------------------------------------------------------- */

static void note_reply(sim *s, const sim_message *m)
{
    static const char *const words[] = {"granted", "queued",    "busy",     "confirmed", "released",
                                        "left",    "not owner", "reported", "no lock"};
    const pawl__redis_value *v = &m->reply.value;
    const char *verb = m->verb == PAWL_VERB_ACQUIRE  ? "ACQUIRE"
                       : m->verb == PAWL_VERB_RENEW  ? "RENEW"
                       : m->verb == PAWL_VERB_CHANGE ? "CHANGE"
                                                     : "RELEASE";
    if (m->argc && memcmp(m->argv[0].data, "EVAL", 4) != 0) verb = m->argv[0].data;
    int client = m->conn;
    bool script = m->argc && memcmp(m->argv[0].data, "EVAL", 4) == 0;
    int says = script ? model_reply_says(&m->reply) : -1;
    if (says >= 0)
        sim_note(s, -1, "%s of client %d, token %d: %s%s", verb, client, m->token, words[says],
                 v->type == PAWL__REDIS_STRING ? v->text.data + 1 : "");
    else
        sim_note(s, -1, "%s of client %d, token %d: %s", verb, client, m->token,
                 v->type == PAWL__REDIS_NIL       ? "(nil)"
                 : v->type == PAWL__REDIS_INTEGER ? (v->integer ? "1" : "0")
                                                  : v->text.data);
}

static void note_executed(sim *s, const sim_message *m)
{
    const pawl__redis_value *v = &m->reply.value;
    s->totals.commands++;
    sim_mix(s, (uint64_t)v->type << 32 | (uint64_t)(model_reply_says(&m->reply) + 1));
    if (v->type == PAWL__REDIS_ERROR) {
        if (strncmp(v->text.data, "NOSCRIPT", 8) == 0)
            SIM_REACHED(s, no_script);
        else
            SIM_REACHED(s, refused);
    }
    if (s->conns[m->conn].epoch != m->epoch) SIM_REACHED(s, late_request_executed);
    if (s->trace) note_reply(s, m);
}

static bool is_replica(const sim *s, const sim_message *m)
{
    const sim_session *session = &s->sessions[m->session % SIM_SESSIONS_MAX];
    return s->server.model.refusal == MODEL_READONLY ||
           (session->serial == m->session && session->replica);
}

/* A request whose script is unknown is said again, by hash once more at most, then by body. */
static void check_repeats(sim *s, const sim_message *m)
{
    if (s->config.algorithm != SIM_PAWL || m->token < 0) return;
    seen_token *token = &s->seen.tokens[m->token];
    bool unknown = m->reply.value.type == PAWL__REDIS_ERROR &&
                   strncmp(m->reply.value.text.data, "NOSCRIPT", 8) == 0;
    token->unknown_scripts = unknown ? token->unknown_scripts + 1 : 0;
    if (token->unknown_scripts > REPEATS_MAX)
        sim_fail(s, "spin", "token %d: said %d times without its script", m->token,
                 token->unknown_scripts);
}

static void execute(sim *s, sim_message *m)
{
    sim_server *server = &s->server;
    if (s->config.algorithm == SIM_PAWL) seen_arrived(s, m);
    model_refusal before = server->model.refusal;
    if (is_replica(s, m)) server->model.refusal = MODEL_READONLY;
    model_redis_command(&server->model, sim_server_now_us(s), m->argv, m->argc, &m->reply);
    server->model.refusal = before;
    note_executed(s, m);
    check_repeats(s, m);
    if (s->config.algorithm == SIM_PAWL)
        seen_executed(s, m);
    else
        seen_plain_executed(s, m);
    if (sim_chance(&server->random, SNAPSHOT)) model_redis_copy(&server->stale, &server->model);
    m->word = SIM_WORD_REPLY;
    sim_send_down(s, m->conn, m->epoch, m);
}

static bool is_word(const sim_message *m, const char *word)
{
    return m->argv[0].len == strlen(word) && memcmp(m->argv[0].data, word, m->argv[0].len) == 0;
}

static void say_error(model_reply *reply, const char *text)
{
    snprintf(reply->text, sizeof reply->text, "%s", text);
    reply->value =
        (pawl__redis_value){.type = PAWL__REDIS_ERROR, .text = {reply->text, strlen(reply->text)}};
}

/* Its success is a push, in the place of an answer. */
static void subscribe(sim *s, sim_message *m)
{
    sim_session *session = find_session(s, m->session);
    if (!session) return;
    session->subscribed = true;
    snprintf(session->channel, sizeof session->channel, "%.*s", MODEL_INBOX_MAX - 1,
             m->argv[1].data);
    const char *const words[] = {"subscribe", session->channel};
    say_array(&m->reply, words, 2);
    m->reply.value.type = PAWL__REDIS_PUSH;
    m->reply.items[m->reply.value.count++] =
        (pawl__redis_value){.type = PAWL__REDIS_INTEGER, .integer = 1};
}

/* probe.lua: who heard the word; or why this server is of no use. */
static void probe(sim *s, sim_message *m)
{
    model_redis *model = &s->server.model;
    bool by_hash = is_word(m, "EVALSHA");
    const unsigned bit = 1u << PAWL__REDIS_PROBE;
    const pawl__redis_bytes *args = &m->argv[3 + (m->argv[2].data[0] - '0')];
    const pawl__redis_bytes *inbox = &args[0], *word = &args[1];
    if (model->refusal == MODEL_LOADING) {
        say_error(&m->reply, "LOADING Redis is loading the dataset in memory");
        return;
    }
    if (by_hash && !(model->scripts_known & bit)) {
        say_error(&m->reply, "NOSCRIPT No matching script. Please use EVAL.");
        return;
    }
    model->scripts_known |= bit;
    if (is_replica(s, m)) {
        say_error(&m->reply, "READONLY You can't write against a read only replica.");
        return;
    }
    int64_t heard = 0;
    for (int i = 0; i < SIM_SESSIONS_MAX; i++) {
        const sim_session *session = &s->sessions[i];
        if (!session->alive || !session->subscribed) continue;
        if (strcmp(session->channel, inbox->data) != 0) continue;
        tell(s, session, SIM_WORD_HEARD, word->data);
        heard++;
    }
    say_array(&m->reply, NULL, 0);
    m->reply.items[m->reply.value.count++] =
        (pawl__redis_value){.type = PAWL__REDIS_INTEGER, .integer = heard};
}

/* What concerns a connection and no lock. False: it is for the model. */
static bool greet(sim *s, sim_message *m)
{
    const char *const facts[] = {"server", "redis", "role",
                                 is_replica(s, m) ? "replica" : "master"};
    if (is_word(m, "HELLO"))
        say_array(&m->reply, facts, 4);
    else if (is_word(m, "SUBSCRIBE"))
        subscribe(s, m);
    else if (m->verb == PAWL_VERB_DOCTOR)
        probe(s, m);
    else
        return false;
    return true;
}

static void serve(sim *s, sim_message *m)
{
    if (s->server.slow_by) s->server.free_at = s->t + s->server.slow_by;
    if (!greet(s, m)) {
        execute(s, m);
        return;
    }
    m->word = SIM_WORD_REPLY;
    sim_send_down(s, m->conn, m->epoch, m);
}

static int64_t ready_at(const sim_server *server)
{
    return server->paused_until > server->free_at ? server->paused_until : server->free_at;
}

/* It stands still, or is busy with the ones before: first come, first served. */
static void put_in_line(sim *s, sim_message *m)
{
    sim_server *server = &s->server;
    m->next = NULL;
    if (server->last)
        server->last->next = m;
    else
        server->first = m;
    server->last = m;
    if (server->first == m) sim_at(s, ready_at(server), SIM_EV_SERVER_TURN, 0, server->incarnation);
}

void sim_server_hear(sim *s, sim_message *m)
{
    if (s->server.first || s->t < ready_at(&s->server))
        put_in_line(s, m);
    else
        serve(s, m);
}

void sim_server_turn(sim *s)
{
    sim_server *server = &s->server;
    while (server->first && s->t >= ready_at(server)) {
        sim_message *m = server->first;
        server->first = m->next;
        if (!server->first) server->last = NULL;
        serve(s, m);
    }
    if (server->first) sim_at(s, ready_at(server), SIM_EV_SERVER_TURN, 0, server->incarnation);
}

/* ---- Death and return ------------------------------------------------------- */

static void end_sessions(sim *s)
{
    for (int i = 0; i < SIM_CLIENTS_MAX; i++) sim_conn_reset(s, i);
    for (int i = 0; i < SIM_SESSIONS_MAX; i++) s->sessions[i].alive = false;
}

void sim_server_crash(sim *s, sim_fault_kind kind, int64_t back_at)
{
    sim_server *server = &s->server;
    end_sessions(s);
    server->model.scripts_known = 0;
    SIM_REACHED(s, server_restarted);
    if (kind == SIM_FAULT_LOSE_TAIL || kind == SIM_FAULT_FAILOVER)
        model_redis_copy(&server->model, &server->stale);
    if (kind == SIM_FAULT_LOSE_ALL) model_redis_flush(&server->model);
    if (kind != SIM_FAULT_RESTART) {
        SIM_REACHED(s, state_lost);
        seen_broken(s, -1);
        seen_record_lost(s, -1);
        seen_queue_lost(s, -1);
    }
    server->up = false;
    while (server->first) {
        sim_message *m = server->first;
        server->first = m->next;
        sim_message_free(s, m);
    }
    server->last = NULL;
    server->incarnation++;
    sim_at(s, back_at, SIM_EV_SERVER_UP, 0, server->incarnation);
}

void sim_server_back(sim *s)
{
    s->server.up = true;
    s->server.paused_until = 0;
    SIM_NOTE(s, -1, "is up again");
}

/* A planned failover behind one address: who is connected stays so, to what is a replica now. */
void sim_server_switch_over(sim *s)
{
    for (int i = 0; i < SIM_SESSIONS_MAX; i++) s->sessions[i].replica = true;
    SIM_REACHED(s, switched_over);
}
