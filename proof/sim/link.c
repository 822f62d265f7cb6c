/* SPDX-License-Identifier: MIT */
/*
 * The wire of the real link (src/stores/redis/redis_wire.h) over the simulated network, and
 * the host that the link tells. What is said when, and what a broken connection or a refusal
 * means, is decided in redis_link.c and redis_request.c, as in the library.
 */
#include "../../src/stores/redis/redis_scripts.h"
#include "sim.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS    1000
#define GATHERED_PART 50 /* of a ttl: for how long what is asked may wait to travel together */

static sim *current; /* for callbacks without a context; one run at a time */
static sim_client *running;

static void enter(sim *s, sim_client *client)
{
    current = s;
    running = client;
}

static sim_client *client_of(const pawl_store *store)
{
    return store->io;
}

/* ---- The host ----------------------------------------------------------------- */

static int64_t host_now(void)
{
    return sim_client_now(current, running);
}

static sim_client *client_of_host(pawl_host *host)
{
    return pawl__container(host, sim_client, link.host);
}

static void tell(sim_client *client, const pawl__event *event)
{
    client->link.told(current, client, event);
}

/* Two requests about one lease are told apart by the upper half of their ids. */
static sim_asked *asked_of(sim_client *client, uint64_t id)
{
    return &client->link.asked[((id >> 32) * 61 + (uint32_t)id) % SIM_ASKED_MAX];
}

static void note_unknown(sim *s, const sim_asked *asked)
{
    if (asked->verb == PAWL_VERB_ACQUIRE) SIM_REACHED(s, unknown_ask);
    if (asked->verb == PAWL_VERB_RELEASE) SIM_REACHED(s, unknown_release);
}

static void host_reply(pawl_host *host, const pawl_reply *reply)
{
    sim_client *client = client_of_host(host);
    const sim_asked *asked = asked_of(client, reply->id);
    if (reply->err == PAWL_ERR_PROTOCOL) {
        sim_fail(current, "protocol", "client %d: a reply was not understood: %s", client->number,
                 reply->message ? reply->message : "");
        return;
    }
    if (reply->id >= SIM_VALUE_ID) {
        current->told->answered(current, client, reply);
        return;
    }
    if (reply->outcome == PAWL_UNKNOWN) note_unknown(current, asked);
    seen_answered(current, asked->token, asked->verb, reply);
    pawl__event event = {.kind = PAWL__EV_REPLY, .reply = reply};
    tell(client, &event);
}

static void host_push(pawl_host *host, const pawl_push *push)
{
    pawl__event event = {.kind = PAWL__EV_PUSH, .push = push};
    SIM_NOTE(current, client_of_host(host)->number, "is told: %d \"%.*s\"", (int)push->kind,
             (int)push->name_len, push->name);
    seen_pushed(current, client_of_host(host)->number);
    tell(client_of_host(host), &event);
}

static void host_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    sim_client *client = client_of_host(host);
    client->link.up = up;
    if (up) client->up_at = current->t;
    SIM_NOTE(current, client->number, "link %s%s", up ? "up" : "down: ", message);
    if (current->config.algorithm != SIM_PAWL) return;
    pawl__event event = {.kind = PAWL__EV_LINK, .up = up, .err = err, .message = message};
    tell(client, &event);
}

static void host_warn(pawl_host *host, const char *message)
{
    sim_client *client = client_of_host(host);
    SIM_NOTE(current, client->number, "warns: %s", message);
    if (strncmp(message, "out of memory", 13) == 0) sim_fail(current, "memory", "%s", message);
    if (strstr(message, "clock was set"))
        seen_step_told(current, client, client->link.store.watch.step_us);
}

static void host_guarded(pawl_host *host, int64_t left_ms)
{
    const sim_client *client = client_of_host(host);
    SIM_NOTE(current, client->number, "the guard lasts for %" PRId64 " ms", left_ms);
    seen_guarded(current, left_ms);
}

/* ---- The wire: the connection ---------------------------------------------------- */

static int resolve(pawl_store *store)
{
    client_of(store)->link.resolving = true;
    return 0;
}

static int open_connection(pawl_store *store, size_t address)
{
    sim_client *client = client_of(store);
    (void)address;
    client->link.side = (sim_side){.open = true};
    sim_conn_open(current, client->number);
    return 0;
}

static pawl__redis_stage stage(const pawl_store *store)
{
    return client_of(store)->link.side.connected ? PAWL__REDIS_CONNECTED : PAWL__REDIS_CONNECTING;
}

static bool is_script(const pawl__redis_bytes *argv)
{
    return argv[0].len >= 4 && memcmp(argv[0].data, "EVAL", 4) == 0;
}

/* For the checkers: what a script call is about. */
static void label(sim *s, sim_message *m)
{
    static const pawl_verb verbs[PAWL__REDIS_SCRIPTS] = {
        [PAWL__REDIS_ACQUIRE] = PAWL_VERB_ACQUIRE,
        [PAWL__REDIS_RENEW] = PAWL_VERB_RENEW,
        [PAWL__REDIS_RELEASE] = PAWL_VERB_RELEASE,
        [PAWL__REDIS_INSPECT] = PAWL_VERB_INSPECT,
        [PAWL__REDIS_BREAK] = PAWL_VERB_BREAK,
        [PAWL__REDIS_ACQUIRE_MANY] = PAWL_VERB_ACQUIRE,
        [PAWL__REDIS_CHANGE] = PAWL_VERB_CHANGE,
        [PAWL__REDIS_PROBE] = PAWL_VERB_DOCTOR,
        [PAWL__REDIS_PUBLISH] = PAWL_VERB_PUBLISH,
        [PAWL__REDIS_READ] = PAWL_VERB_READ,
        [PAWL__REDIS_GUARD] = PAWL_VERB_DOCTOR,
        [PAWL__REDIS_ACQUIRE_TOGETHER] = PAWL_VERB_ACQUIRE,
        [PAWL__REDIS_RELEASE_TOGETHER] = PAWL_VERB_RELEASE};
    for (int i = 0; i < PAWL__REDIS_SCRIPTS; i++) {
        const pawl__redis_script_text *script = &pawl__redis_scripts[i];
        if (m->argv[1].data != script->sha1 && m->argv[1].data != script->body) continue;
        pawl__redis_script base;
        m->guarded = model_is_guarded((pawl__redis_script)i, &base);
        m->verb = verbs[base];
        m->is_guard = base == PAWL__REDIS_GUARD;
        m->together = verbs[base] != PAWL_VERB_DOCTOR && base >= PAWL__REDIS_ACQUIRE_TOGETHER;
    }
    if (m->together) return; /* it has several tokens */
    size_t first = 3 + (size_t)(m->argv[2].data[0] - '0');
    if (first < m->argc && m->argv[first].len == PAWL_TOKEN_LEN)
        m->token = sim_token_number(s, m->argv[first].data);
}

static bool append(pawl_store *store, const pawl__redis_bytes *argv, size_t argc, uint64_t *ret_end)
{
    sim_client *client = client_of(store);
    sim_side *to = &client->link.side;
    if (!to->open) return false;
    sim_message *m = sim_message_new(current, SIM_WORD_COMMAND);
    m->argc = argc;
    m->next = NULL;
    m->guarded = m->is_guard = m->together = false;
    m->verb = client->link.plain_verb;
    m->token = client->link.plain_token;
    size_t fixed = is_script(argv) ? 2 : 1; /* words and scripts are constants */
    for (size_t i = 0; i < argc; i++)
        m->argv[i] = i < fixed ? argv[i] : sim_message_keep(m, argv[i]);
    if (is_script(argv)) label(current, m);
    if (to->last)
        to->last->next = m;
    else
        to->first = m;
    to->last = m;
    *ret_end = to->appended += SIM_COMMAND_BYTES;
    return true;
}

/* A full socket takes the first bytes, perhaps half a command. */
static bool takes_another(sim_conn *conn)
{
    if (current->t >= conn->stuffed_until) return true;
    return conn->stuffed_room-- > 0;
}

static void flush(pawl_store *store)
{
    sim_client *client = client_of(store);
    sim_conn *conn = &current->conns[client->number];
    sim_side *from = &client->link.side;
    if (!from->connected) return;
    from->written -= from->written % SIM_COMMAND_BYTES;
    while (from->first && takes_another(conn)) {
        sim_message *m = from->first;
        from->first = m->next;
        from->written += SIM_COMMAND_BYTES;
        sim_send_up(current, client->number, m);
    }
    if (from->first) {
        from->written += conn->stuffed_half;
        SIM_REACHED(current, stuffed);
    } else {
        from->last = NULL;
    }
}

static uint64_t written(const pawl_store *store)
{
    return client_of(store)->link.side.written;
}

static void close_all(pawl_store *store)
{
    sim_client *client = client_of(store);
    sim_side *side = &client->link.side;
    client->link.up = client->link.resolving = false;
    sim_conn_close(current, client->number);
    for (sim_message *m; (m = side->first);) {
        side->first = m->next;
        sim_message_free(current, m);
    }
    *side = (sim_side){.open = false};
}

/* ---- The wire: time ----------------------------------------------------------- */

static void set_timer(pawl_store *store, pawl__redis_timer timer, int64_t delay_us)
{
    sim_client *client = client_of(store);
    int64_t now = sim_clock_read(&client->clock, current->t);
    client->link.timer_at[timer] =
        delay_us == PAWL__REDIS_NO_TIMER ? PAWL__NEVER : now + delay_us * SIM_US;
    sim_link_arm(current, client);
}

static void turn_soon(pawl_store *store)
{
    client_of(store)->link.turn_due = true;
}

static const pawl__redis_wire wire = {.resolve = resolve,
                                      .connect = open_connection,
                                      .stage = stage,
                                      .append = append,
                                      .flush = flush,
                                      .written = written,
                                      .close = close_all,
                                      .set_timer = set_timer,
                                      .turn_soon = turn_soon};

void sim_link_arm(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    int64_t due = PAWL__NEVER;
    for (int i = 0; i < PAWL__REDIS_TIMERS; i++) due = pawl__instant_min(due, link->timer_at[i]);
    due = pawl__instant_min(due, link->flush_at);
    int64_t at = sim_clock_when(&client->clock, due);
    if (at == PAWL__NEVER || at >= link->armed_at) return; /* an earlier one re-arms */
    link->armed_at = at > s->t ? at : s->t;
    sim_at(s, link->armed_at, SIM_EV_LINK_TIMER, client->number, link->generation);
}

void sim_link_timer(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    enter(s, client);
    link->armed_at = PAWL__NEVER;
    for (int i = 0; i < PAWL__REDIS_TIMERS; i++) {
        if (link->timer_at[i] > sim_client_now(s, client)) continue;
        link->timer_at[i] = PAWL__NEVER;
        pawl__redis_timer_due(&link->store, (pawl__redis_timer)i);
    }
    if (link->flush_at <= sim_client_now(s, client)) sim_link_flush(s, client);
    sim_link_arm(s, client);
}

void sim_link_turn(sim *s, sim_client *client)
{
    sim_link *link = &client->link;
    enter(s, client);
    while ((link->turn_due || link->resolving) && !s->failed) {
        bool found = link->resolving;
        link->resolving = false;
        if (found) pawl__redis_found(&link->store, 1, NULL);
        if (!link->turn_due) continue;
        link->turn_due = false;
        pawl__redis_turn(&link->store);
    }
}

/* ---- Life --------------------------------------------------------------------- */

void sim_link_start(sim *s, sim_client *client, sim_link_told *told)
{
    sim_link *link = &client->link;
    sim_rng random = sim_rng_make(s->config.seed, (unsigned)client->number, SIM_RNG_LINK);
    if (client->incarnation > 1) random.state = link->store.link.random;
    *link = (sim_link){.told = told,
                       .generation = link->generation + 1,
                       .plain_token = -1,
                       .armed_at = PAWL__NEVER,
                       .flush_at = PAWL__NEVER,
                       .timer_at = {PAWL__NEVER, PAWL__NEVER}};
    link->host = (pawl_host){.size = sizeof link->host,
                             .client_id = client->id,
                             .owner = client->owner,
                             .connect_timeout_ms = CONNECT_MS,
                             .now = host_now,
                             .reply = host_reply,
                             .push = host_push,
                             .link = host_link,
                             .warn = host_warn,
                             .guarded = host_guarded};
    link->store.wire = &wire;
    link->store.io = client;
    link->store.host = &link->host;
    link->store.config.connect_timeout_ms = CONNECT_MS;
    link->store.config.guard = (pawl__redis_guard_mode)s->config.guard;
    link->store.config.guard_ms = sim_guard_ms(&s->config);
    link->store.config.watch = (pawl__redis_watch_mode)s->config.watch;
    link->store.space = client->space;
    if (!pawl__redis_requests_init(&link->store)) abort();
    enter(s, client);
    pawl__redis_link_init(&link->store, random.state);
}

void sim_link_end(sim *s, sim_client *client)
{
    enter(s, client);
    client->link.generation++;
    close_all(&client->link.store);
    pawl__redis_requests_done(&client->link.store);
}

/* ---- What the client says ----------------------------------------------------- */

void sim_link_submit(sim *s, sim_client *client, const pawl_request *request)
{
    sim_link *link = &client->link;
    enter(s, client);
    seen_sent(s, client, request);
    *asked_of(client, request->id) =
        (sim_asked){.verb = request->verb, .token = sim_token_number(s, request->token)};
    pawl_request asked = *request;
    if (s->config.together) asked.flags |= PAWL_ASK_TOGETHER;
    if (link->up && !link->store.link.broken)
        pawl__redis_ask(&link->store, &asked);
    else
        pawl__redis_refuse(&link->store, request->id, link->store.link.err);
}

void sim_link_ask(sim *s, sim_client *client, const pawl_request *request)
{
    sim_link *link = &client->link;
    enter(s, client);
    pawl__redis_ask(&link->store, request);
}

void sim_link_flush(sim *s, sim_client *client)
{
    enter(s, client);
    client->link.flush_at = PAWL__NEVER;
    if (client->link.up && !client->link.store.link.broken) pawl__redis_flush(&client->link.store);
}

void sim_link_flush_soon(sim *s, sim_client *client)
{
    if (!s->config.together) {
        sim_link_flush(s, client);
        return;
    }
    if (client->link.flush_at != PAWL__NEVER) return;
    client->link.flush_at = sim_client_now(s, client) + s->config.ttl_ms * SIM_MS / GATHERED_PART;
    sim_link_arm(s, client);
}

/* ---- What the network says ---------------------------------------------------- */

void sim_link_connected(sim *s, sim_client *client, bool ok)
{
    sim_link *link = &client->link;
    enter(s, client);
    link->side.connected = ok;
    if (ok)
        flush(&link->store);
    else
        pawl__redis_link_break(&link->store, PAWL_ERR_UNAVAILABLE, "nobody listens");
}

void sim_link_closed(sim *s, sim_client *client)
{
    enter(s, client);
    pawl__redis_link_break(&client->link.store, PAWL_ERR_UNAVAILABLE, "the connection was closed");
}

void sim_link_heard(sim *s, sim_client *client, sim_message *m)
{
    pawl_store *store = &client->link.store;
    enter(s, client);
    if (store->link.broken) return;
    if (pawl__redis_heard(store, &m->reply.value)) pawl__redis_batch_ended(store);
}
