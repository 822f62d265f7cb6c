/* SPDX-License-Identifier: MIT */
/* One run: how it begins, goes on and ends. */
#define _GNU_SOURCE /* MAP_ANONYMOUS */
#include "sim.h"

#include <stdlib.h>
#include <sys/mman.h>

#define EVENTS_MAX 3000000 /* a run that goes on for longer spins */

static sim *running; /* for the engine's own alarm; one run at a time */

static void engine_broken(const char *what)
{
    if (running) sim_fail(running, "engine", "%s", what);
}

/* ---- What happens ----------------------------------------------------------- */

/* A stopped program reads nothing: everything waits until it goes on. */
static bool put_off(sim *s, sim_event *event, int client, int64_t skew)
{
    const sim_client *c = &s->clients[client];
    if (!c->alive || c->paused_until <= s->t) return false;
    event->at = c->paused_until + skew;
    sim_queue_put(&s->queue, *event);
    return true;
}

static void to_client(sim *s, sim_event *event)
{
    sim_message *m = event->message;
    int number = m->conn;
    sim_conn *conn = &s->conns[m->conn];
    if (put_off(s, event, number, conn->resume_skew)) return;
    if (conn->epoch == m->epoch && conn->taken_down != m->rank) { /* an earlier one waits */
        event->at = s->t + SIM_US;
        sim_queue_put(&s->queue, *event);
        return;
    }
    if (conn->epoch == m->epoch) conn->taken_down++;
    if (conn->epoch == m->epoch && conn->state == SIM_OPEN && s->clients[number].alive)
        sim_link_heard(s, &s->clients[number], m);
    sim_message_free(s, m);
    sim_client_after_event(s, &s->clients[number]);
}

static void engine_timer(sim *s, sim_event *event)
{
    sim_client *client = &s->clients[event->a];
    if (event->generation != client->timer_generation || !client->alive) return;
    if (put_off(s, event, event->a, 0)) return;
    client->timer_at = PAWL__NEVER;
    pawl__event time = {.kind = PAWL__EV_TIME};
    sim_client_step(s, client, &time);
    seen_time_told(s, client);
    sim_client_after_event(s, client);
}

static void caller_event(sim *s, sim_event *event)
{
    sim_caller *caller = &s->callers[event->a];
    if (event->generation != caller->generation) return;
    if (put_off(s, event, caller->client, 0)) return;
    sim_caller_tick(s, caller);
    sim_client_after_event(s, &s->clients[caller->client]);
}

static void connected(sim *s, int number, uint32_t epoch)
{
    bool ok = s->server.up;
    if (sim_conn_connected(s, number, epoch, ok)) sim_link_connected(s, &s->clients[number], ok);
}

static void connection_event(sim *s, sim_event *event)
{
    int client = event->a;
    if (put_off(s, event, client, 0) || !s->clients[client].alive) return;
    if (event->kind == SIM_EV_CONNECTED)
        connected(s, event->a, event->generation);
    else if (s->conns[event->a].epoch == event->generation)
        sim_link_closed(s, &s->clients[client]);
    sim_client_after_event(s, &s->clients[client]);
}

static void link_timer(sim *s, sim_event *event)
{
    sim_client *client = &s->clients[event->a];
    if (!client->alive || event->generation != client->link.generation) return;
    if (put_off(s, event, event->a, 0)) return;
    sim_link_timer(s, client);
    sim_client_after_event(s, client);
}

static void boot(sim *s, sim_client *client)
{
    sim_client_boot(s, client);
    sim_callers_boot(s, client);
}

static void begin_drain(sim *s)
{
    s->phase = SIM_DRAINING;
    sim_at(s, s->t + sim_patience(s), SIM_EV_END, 0, 0);
}

static void happen(sim *s, sim_event *event)
{
    switch (event->kind) {
    case SIM_EV_ENGINE_TIMER:
        engine_timer(s, event);
        return;
    case SIM_EV_LINK_TIMER:
        link_timer(s, event);
        return;
    case SIM_EV_CALLER:
        caller_event(s, event);
        return;
    case SIM_EV_TO_SERVER:
        if (sim_message_arrives(s, event->message)) sim_server_hear(s, event->message);
        return;
    case SIM_EV_TO_CLIENT:
        to_client(s, event);
        return;
    case SIM_EV_CONNECTED:
    case SIM_EV_CLOSED:
        connection_event(s, event);
        return;
    case SIM_EV_SESSION_END:
        sim_session_end(s, event->generation);
        return;
    case SIM_EV_SERVER_TURN:
        if (event->generation == s->server.incarnation) sim_server_turn(s);
        return;
    case SIM_EV_SERVER_UP:
        if (event->generation == s->server.incarnation) sim_server_back(s);
        return;
    case SIM_EV_BOOT:
        if (!s->clients[event->a].alive) boot(s, &s->clients[event->a]);
        return;
    case SIM_EV_FAULT:
        sim_fault_begin(s, event->a);
        return;
    case SIM_EV_FAULT_END:
        sim_fault_end(s, event->a);
        return;
    case SIM_EV_HEAL:
        SIM_NOTE(s, -2, "all faults are over");
        s->phase = SIM_CALM;
        sim_heal(s);
        return;
    case SIM_EV_DRAIN:
        begin_drain(s);
        return;
    case SIM_EV_END:
        s->phase = SIM_OVER;
        return;
    }
}

/* Nobody wants, holds or is owed anything: the run may end before its time. */
static bool is_quiet(const sim *s)
{
    if (s->phase < SIM_DRAINING) return false;
    for (int i = 0; i < s->caller_count; i++)
        if (s->callers[i].state != SIM_CALLER_IDLE) return false;
    for (int i = 0; i < s->config.clients; i++)
        if (s->clients[i].engine && pawl__engine_busy(s->clients[i].engine)) return false;
    return true;
}

/* ---- A run ------------------------------------------------------------------ */

static void begin(sim *s)
{
    s->caller_count = s->config.clients * s->config.callers;
    for (int i = 0; i < SIM_NAMES_MAX; i++) {
        s->seen.names[i].broken_at = s->seen.names[i].unguarded_at = SEEN_LONG_AGO;
        s->seen.names[i].plain_owner = -1;
        for (int j = 0; j < 4; j++) s->seen.names[i].told[j].token = SEEN_NOBODY;
    }
    for (unsigned i = 0; i < (unsigned)s->config.clients; i++) {
        s->conns[i].up = sim_rng_make(s->config.seed, i, SIM_RNG_UP);
        s->conns[i].down = sim_rng_make(s->config.seed, i, SIM_RNG_DOWN);
    }
    sim_callers_init(s);
    sim_server_boot(s);
    sim_nemesis_plan(s);
    sim_at(s, s->config.heal_ms * SIM_MS, SIM_EV_HEAL, 0, 0);
    sim_at(s, (s->config.heal_ms + s->config.calm_ms) * SIM_MS, SIM_EV_DRAIN, 0, 0);
    for (int i = 0; i < s->config.clients; i++) {
        s->clients[i].number = i;
        boot(s, &s->clients[i]);
    }
}

static void run(sim *s)
{
    sim_event event;
    while (!s->failed && s->phase != SIM_OVER && sim_queue_take(&s->queue, &event)) {
        s->t = event.at > s->t ? event.at : s->t;
        sim_mix(s, (uint64_t)s->t ^ (uint64_t)event.kind << 56 ^ (uint64_t)event.a << 48);
        happen(s, &event);
        if (++s->totals.events > EVENTS_MAX) sim_fail(s, "storm", "the run does not end");
        if (is_quiet(s)) break;
    }
    if (!s->failed) seen_end(s);
}

static void end(sim *s)
{
    sim_event event;
    for (int i = 0; i < s->config.clients; i++)
        s->clients[i].engine = pawl__engine_free(s->clients[i].engine);
    for (int i = 0; i < s->config.clients; i++)
        if (s->clients[i].alive) sim_link_end(s, &s->clients[i]);
    while (sim_queue_take(&s->queue, &event))
        if (event.message) sim_message_free(s, event.message);
    for (sim_message *m; (m = s->server.first);) {
        s->server.first = m->next;
        sim_message_free(s, m);
    }
    sim_queue_done(&s->queue);
    for (sim_message *m; (m = s->free_messages);) {
        s->free_messages = m->next;
        free(m);
    }
    model_redis_done(&s->server.model);
    model_redis_done(&s->server.stale);
    free(s->seen.tokens);
}

void sim_run(const sim_config *config, FILE *trace, sim_totals *ret_totals,
             sim_failure *ret_failure, bool *ret_failed, uint64_t *ret_hash)
{
    /* There is room for a crowd: what a run does not touch costs nothing. */
    sim *s = mmap(NULL, sizeof *s, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (s == MAP_FAILED) abort();
    s->config = *config;
    s->trace = trace;
    running = s;
    pawl__engine_on_broken = engine_broken;
    begin(s);
    run(s);
    end(s);
    running = NULL;
    *ret_totals = s->totals;
    *ret_failure = s->failure;
    *ret_failed = s->failed;
    *ret_hash = s->hash;
    munmap(s, sizeof *s);
}
