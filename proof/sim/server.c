/* SPDX-License-Identifier: MIT */
/* The server's process around the model: subscribers, death and return. */
#include "../../src/base/mutant.h"
#include "../../src/stores/redis/redis_scripts.h"
#include "sim.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define WALL_AT_START INT64_C(1700000000000000000) /* ns since 1970 */
#define REPEATS_MAX   12  /* of the requests about one token, three at most under way */
#define SNAPSHOT      100 /* per thousand: commands after which the stale copy catches up */

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
    for (int i = 0; i < sim_session_count(s); i++) {
        const sim_session *session = &s->sessions[i];
        count += session->alive && session->subscribed && strcmp(session->channel, channel) == 0;
    }
    return count;
}

static void publish(void *ctx, const char *channel, const char *payload)
{
    sim *s = ctx;
    int heard = 0;
    for (int i = 0; i < sim_session_count(s); i++) {
        sim_session *session = &s->sessions[i];
        if (!session->alive || !session->subscribed) continue;
        if (strcmp(session->channel, channel) != 0) continue;
        tell(s, session, SIM_WORD_PUSH, payload);
        SIM_NOTE(s, -1, "publishes \"%s\" to client %d", payload, session->conn);
        heard++;
    }
    seen_published(s, payload, heard);
    if (payload[0] == 'n') check_news(s, channel);
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
    server->refused_token = SEEN_NOBODY;
    server->random = sim_rng_make(s->config.seed, 0, SIM_RNG_SERVER);
    server->halves = sim_rng_make(s->config.seed, 1, SIM_RNG_TOGETHER);
    server->wall.reads = WALL_AT_START + sim_below(&server->random, 1000000000);
    server->wall.rate_ppm = sim_between(&server->random, -9000, 9000);
    server->started_us = server->wall.reads / SIM_US - s->config.age_ms * 1000;
    server->up = true;
}

/* ---- Commands --------------------------------------------------------------- */

static void note_reply(sim *s, const sim_message *m)
{
    static const char *const words[] = {"granted", "queued",    "busy",     "confirmed", "released",
                                        "left",    "not owner", "reported", "no lock",   "value"};
    const pawl__redis_value *v = &m->reply.value;
    const char *verb = m->verb == PAWL_VERB_ACQUIRE   ? "ACQUIRE"
                       : m->verb == PAWL_VERB_RENEW   ? "RENEW"
                       : m->verb == PAWL_VERB_CHANGE  ? "CHANGE"
                       : m->verb == PAWL_VERB_PUBLISH ? "PUBLISH"
                       : m->verb == PAWL_VERB_READ    ? "READ"
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

/* A request whose script is unknown is sent again: at most once by hash, then with the body. */
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

/* The nemesis waits for that moment. */
static void delete_behind_renewal(sim *s, const sim_message *m)
{
    sim_server *server = &s->server;
    bool renewed = m->verb == PAWL_VERB_RENEW && m->token >= 0 &&
                   model_reply_says(&m->reply) == PAWL__REDIS_SAYS_CONFIRMED;
    if (!server->delete_behind_renewal || !renewed) return;
    int name = s->seen.tokens[m->token].name;
    server->delete_behind_renewal = false;
    SIM_NOTE(s, -2, "somebody deletes \"%s\"", sim_names[name]);
    sim_tracked_delete(s, model_redis_find(&server->model, m->argv[3].data, m->argv[3].len), name);
    seen_queue_lost(s, name);
}

/* What was half done is asked for once more, and the server does not even begin. */
static bool is_refused_now(sim *s, const sim_message *m)
{
    if (m->token < 0 || m->token != s->server.refused_token) return false;
    s->server.refused_token = SEEN_NOBODY;
    if (s->phase != SIM_FAULTS) return false;
    SIM_REACHED(s, refused_half_done);
    return true;
}

static void execute_one(sim *s, sim_message *m)
{
    sim_server *server = &s->server;
    sim_tracked_before(s);
    if (s->config.algorithm == SIM_PAWL) seen_arrived(s, m);
    check_value_arrives(s, m);
    model_refusal before = server->model.refusal;
    if (is_refused_now(s, m)) server->model.refusal = MODEL_MISCONF;
    if (is_replica(s, m)) server->model.refusal = MODEL_READONLY;
    model_redis_command(&server->model, sim_server_now_us(s), m->argv, m->argc, &m->reply);
    server->model.refusal = before;
    sim_tracked_after(s, m);
    note_executed(s, m);
    check_repeats(s, m);
    check_value_executed(s, m);
    if (s->config.algorithm == SIM_PAWL)
        seen_executed(s, m);
    else
        seen_plain_executed(s, m);
    delete_behind_renewal(s, m);
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

/* ---- Calls for several names --------------------------------------------------- */

/* What a call is about one of its names, as a call of its own. */
static void cut_part(sim *s, sim_message *part, const sim_message *m, size_t count, size_t i)
{
    static const pawl__redis_script scripts[2][2] = {
        {PAWL__REDIS_RELEASE, PAWL__REDIS_RELEASE_GUARDED},
        {PAWL__REDIS_ACQUIRE, PAWL__REDIS_ACQUIRE_GUARDED}};
    bool acquires = m->verb == PAWL_VERB_ACQUIRE;
    const char *body = pawl__redis_scripts[scripts[acquires][m->guarded]].body;
    const pawl__redis_bytes *keys = &m->argv[3], *rest = keys + PAWL__REDIS_KEYS * count;
    const pawl__redis_bytes *token = &rest[acquires ? 2 + i : i];
    const pawl__redis_bytes words[] = {
        {"EVAL", 4},     {body, strlen(body)}, {"4", 1}, keys[i], keys[2 * count + i],
        keys[count + i], keys[3 * count + i],  *token,   rest[0], rest[1],
        {"0", 1}};
    part->argc = acquires ? 11 : 8;
    memcpy(part->argv, words, part->argc * sizeof words[0]);
    part->conn = m->conn;
    part->epoch = m->epoch;
    part->session = m->session;
    part->run = m->run;
    part->verb = m->verb;
    part->guarded = m->guarded;
    part->is_guard = part->together = false;
    part->token = sim_token_number(s, token->data);
}

/* An error is `-`, and does not end the call. */
static void add_answer(char *text, size_t room, const pawl__redis_value *value)
{
    size_t len = strlen(text);
    if (value->type == PAWL__REDIS_INTEGER)
        snprintf(text + len, room - len, "%" PRId64 "\n", value->integer);
    else
        snprintf(text + len, room - len, "%s\n",
                 value->type == PAWL__REDIS_ERROR ? "-" : value->text.data);
}

/* How a call ends that does not do all that it says. */
typedef enum sim_half {
    HALF_NONE = 0,
    HALF_UNTOLD,    /* one name is done, and the script fails behind that */
    HALF_UNDONE,    /* the script fails before that */
    HALF_BROKEN_OFF /* so does the whole call, behind that name */
} sim_half;

static sim_half draw_half(sim *s)
{
    sim_rng *rng = &s->server.halves;
    bool whole = s->phase != SIM_FAULTS || !sim_chance(rng, s->config.halves);
    return whole ? HALF_NONE : (sim_half)sim_between(rng, HALF_UNTOLD, HALF_BROKEN_OFF);
}

/* Now and then the server is of no use for a moment: the same about that name is refused next. */
static void end_half(sim *s, const sim_message *m, int token, sim_half half)
{
    sim_server *server = &s->server;
    SIM_NOTE(s, -1, "the call of client %d %s with token %d", m->conn,
             half == HALF_BROKEN_OFF ? "breaks off" : "goes wrong", token);
    if (half == HALF_BROKEN_OFF) SIM_REACHED(s, broken_off);
    SIM_REACHED(s, half_done);
    sim_touch(s, m->conn, s->t + 2 * SIM_MS * s->config.ttl_ms);
    if (sim_chance(&server->halves, 500)) server->refused_token = token;
}

/* One after the other, at the same instant. The short way of the scripts for names that are all
 * free, or all held, does the same. */
static void execute_together(sim *s, sim_message *m)
{
    model_redis *model = &s->server.model;
    bool acquires = m->verb == PAWL_VERB_ACQUIRE;
    const unsigned known = model->scripts_known;
    const unsigned bit =
        1u << (acquires ? PAWL__REDIS_ACQUIRE_TOGETHER : PAWL__REDIS_RELEASE_TOGETHER);
    char text[sizeof m->reply.text] = "";
    if (s->config.apart) {
        SIM_REACHED(s, apart);
        say_error(&m->reply, "CROSSSLOT Keys in request don't hash to the same slot");
        return;
    }
    if (is_word(m, "EVALSHA") && !(known & bit)) {
        SIM_REACHED(s, no_script);
        say_error(&m->reply, "NOSCRIPT No matching script. Please use EVAL.");
        return;
    }
    SIM_REACHED(s, together);
    size_t count = (size_t)strtol(m->argv[2].data, NULL, 10) / PAWL__REDIS_KEYS;
    sim_half half = draw_half(s);
    size_t at = half ? (size_t)sim_below(&s->server.halves, (int64_t)count) : count;
    for (size_t i = 0; i < count && !(half == HALF_BROKEN_OFF && i > at); i++) {
        sim_message *part = sim_message_new(s, SIM_WORD_COMMAND);
        cut_part(s, part, m, count, i);
        if (i != at || half != HALF_UNDONE) execute_one(s, part);
        if (i == at) end_half(s, m, part->token, half);
        if (i == at) say_error(&part->reply, "ERR half of it was done");
        add_answer(text, sizeof text, &part->reply.value);
        sim_message_free(s, part);
    }
    model->scripts_known = known | bit;
    if (half == HALF_BROKEN_OFF) {
        say_error(&m->reply, "ERR half of it was done script: f_0, on @user_script:9.");
        return;
    }
    snprintf(m->reply.text, sizeof m->reply.text, "%s", text);
    m->reply.value =
        (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {m->reply.text, strlen(text)}};
}

static void execute(sim *s, sim_message *m)
{
    sim_server *server = &s->server;
    if (!m->together)
        execute_one(s, m);
    else if (server->model.refusal == MODEL_LOADING)
        say_error(&m->reply, "LOADING Redis is loading the dataset in memory");
    else
        execute_together(s, m);
    if (sim_chance(&server->random, SNAPSHOT)) model_redis_copy(&server->stale, &server->model);
    m->word = SIM_WORD_REPLY;
    sim_send_down(s, m->conn, m->epoch, m);
}

/* ---- Greetings ------------------------------------------------------------------ */

/* Its success is a push, in the place of an answer. */
static void subscribe(sim *s, sim_message *m)
{
    sim_session *session = sim_session_find(s, m->session);
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

/* probe.lua: how many heard the message; or why this server is of no use. */
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
    for (int i = 0; i < sim_session_count(s); i++) {
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

/* A run that was told apart by its number; a replica goes on under its own. */
static void ask_guard(sim *s, sim_message *m)
{
    sim_server *server = &s->server;
    model_process *process = &server->model.process;
    const sim_session *session = sim_session_find(s, m->session);
    model_refusal before = server->model.refusal;
    snprintf(process->run, sizeof process->run, "run%d", session ? session->run : server->run);
    process->was_replica = server->was_replica;
    process->uptime_s = sim_server_now_us(s) / 1000000 - server->started_us / 1000000;
    bool had_record = server->model.guard.is_there;
    if (m->argv[m->argc - 1].data[0] != '0') SIM_REACHED(s, longer_announced);
    if (is_replica(s, m)) server->model.refusal = MODEL_READONLY;
    model_redis_command(&server->model, sim_server_now_us(s), m->argv, m->argc, &m->reply);
    server->model.refusal = before;
    if (m->reply.value.type == PAWL__REDIS_STRING) seen_asked_guard(s, m, had_record);
    SIM_NOTE(s, -1, "guard.lua of client %d: %s", m->conn, m->reply.text);
}

static void tell_time(sim *s, sim_message *m)
{
    sim_session *session = sim_session_find(s, m->session);
    char seconds[24], us[8];
    int64_t now_us = sim_server_now_us(s);
    snprintf(seconds, sizeof seconds, "%" PRId64, now_us / 1000000);
    snprintf(us, sizeof us, "%d", (int)(now_us % 1000000));
    const char *const words[] = {seconds, us};
    say_array(&m->reply, words, 2);
    if (session) seen_time_read(s, session);
}

/* Commands about a connection, not about a lock. False: the model has to do it. */
static bool greet(sim *s, sim_message *m)
{
    const char *const facts[] = {"server", "redis", "version",
                                 "7.0.15", "role",  is_replica(s, m) ? "replica" : "master"};
    if (is_word(m, "HELLO"))
        say_array(&m->reply, facts, 6);
    else if (is_word(m, "SUBSCRIBE"))
        subscribe(s, m);
    else if (m->is_guard)
        ask_guard(s, m);
    else if (m->verb == PAWL_VERB_DOCTOR)
        probe(s, m);
    else if (is_word(m, "TIME"))
        tell_time(s, m);
    else if (s->config.algorithm == SIM_PAWL && sim_tracked_command(s, m))
        return true;
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
    for (int i = 0; i < s->config.clients; i++) sim_conn_reset(s, i);
    for (int i = 0; i < sim_session_count(s); i++) s->sessions[i].alive = false;
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
    server->run++;
    server->was_replica = kind == SIM_FAULT_FAILOVER;
    if (kind != SIM_FAULT_RESTART) {
        const model_guard_record *record = &server->model.guard;
        int64_t till_ms = record->till_ms > record->far_ms ? record->till_ms : record->far_ms;
        SIM_REACHED(s, state_lost);
        seen_forgot(s, kind == SIM_FAULT_FAILOVER ? 0 : till_ms); /* its clock is another one */
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
    s->server.began_at = s->t;
    if (!s->server.was_replica) s->server.started_us = sim_server_now_us(s);
    s->server.paused_until = 0;
    SIM_NOTE(s, -1, "is up again");
}

/* A planned failover behind one address: connections stay, and lead to a replica now. */
void sim_server_switch_over(sim *s)
{
    for (int i = 0; i < sim_session_count(s); i++) s->sessions[i].replica = true;
    s->server.run++;
    s->server.began_at = s->t;
    s->server.was_replica = true;
    SIM_REACHED(s, switched_over);
}
