/* SPDX-License-Identifier: MIT */
/*
 * Connections. Inside one, order is kept, each way; nothing is lost or doubled, as TCP
 * promises. If a client gave its connection up, its requests may still be executed
 * whenever they arrive, and nobody gets the reply.
 */
#include "sim.h"

#include <stdlib.h>
#include <string.h>

#define EXECUTED_AFTER_ALL 600 /* per thousand: requests of a closed connection that arrive */

sim_message *sim_message_new(sim *s, sim_word word)
{
    sim_message *m = s->free_messages;
    if (m)
        s->free_messages = m->next;
    else
        m = malloc(sizeof *m);
    if (!m) abort();
    m->word = word;
    m->token = -1;
    m->argc = 0;
    m->room_len = 0;
    return m;
}

void sim_message_free(sim *s, sim_message *message)
{
    message->next = s->free_messages;
    s->free_messages = message;
}

pawl__redis_bytes sim_message_keep(sim_message *message, pawl__redis_bytes bytes)
{
    if (message->room_len + bytes.len + 1 > sizeof message->room) abort();
    char *at = memcpy(message->room + message->room_len, bytes.data, bytes.len);
    at[bytes.len] = '\0';
    message->room_len += bytes.len + 1;
    return (pawl__redis_bytes){.data = at, .len = bytes.len};
}

static int64_t later(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

static int64_t draw_delay(sim *s, const sim_conn *conn, sim_rng *rng)
{
    const sim_config *c = &s->config;
    int64_t us = sim_between(rng, c->delay_min_us, c->delay_max_us);
    bool tail = sim_chance(rng, c->tail_per_thousand);
    int64_t tail_us = sim_below(rng, c->ttl_ms * 1000);
    if (s->phase == SIM_FAULTS && tail) us += tail_us;
    if (s->t < conn->slow_until) us += conn->slow_by / SIM_US;
    return us * SIM_US;
}

static void schedule(sim *s, sim_event_kind kind, int64_t at, sim_message *message)
{
    sim_queue_put(&s->queue, (sim_event){.at = at,
                                         .kind = kind,
                                         .a = message->conn,
                                         .generation = message->epoch,
                                         .message = message});
}

/* ---- Sessions: the server's ends ---------------------------------------------------------------
 */

static uint32_t begin_session(sim *s, int conn, uint32_t epoch)
{
    uint32_t serial = ++s->session_serial;
    s->sessions[serial % SIM_SESSIONS_MAX] = (sim_session){
        .alive = true, .conn = conn, .epoch = epoch, .serial = serial, .run = s->server.run};
    return serial;
}

sim_session *sim_session_find(sim *s, uint32_t serial)
{
    sim_session *session = &s->sessions[serial % SIM_SESSIONS_MAX];
    return session->alive && session->serial == serial ? session : NULL;
}

void sim_session_end(sim *s, uint32_t serial)
{
    sim_session *session = sim_session_find(s, serial);
    if (session) session->alive = false;
}

/* ---- Opening and closing ---------------------------------------------------- */

void sim_conn_open(sim *s, int number)
{
    sim_conn *conn = &s->conns[number];
    conn->epoch++;
    conn->state = SIM_CONNECTING;
    conn->dead = false;
    conn->said_down = conn->taken_down = 0;
    conn->last_up = conn->last_down = s->t;
    int64_t at = later(s->t, later(conn->hold_up, conn->hold_down));
    sim_at(s, at + 2 * draw_delay(s, conn, &conn->up), SIM_EV_CONNECTED, number, conn->epoch);
}

bool sim_conn_connected(sim *s, int number, uint32_t epoch, bool ok)
{
    sim_conn *conn = &s->conns[number];
    if (conn->epoch != epoch || conn->state != SIM_CONNECTING) return false;
    conn->state = ok ? SIM_OPEN : SIM_CLOSED;
    if (ok) conn->session = begin_session(s, number, epoch);
    if (ok) conn->run = s->server.run;
    return true;
}

void sim_conn_close(sim *s, int number)
{
    sim_conn *conn = &s->conns[number];
    if (conn->state == SIM_CLOSED) return;
    if (conn->state == SIM_OPEN) {
        /* The server learns of it after everything that was sent; perhaps late. */
        int64_t at = later(later(conn->last_up, conn->hold_up), s->t);
        at += draw_delay(s, conn, &conn->up);
        if (conn->dead) at += SIM_MS * s->config.ttl_ms * 2;
        sim_at(s, at, SIM_EV_SESSION_END, (int)(conn->session % SIM_SESSIONS_MAX), conn->session);
    }
    conn->state = SIM_CLOSED;
    conn->epoch++;
}

void sim_conn_reset(sim *s, int number)
{
    sim_conn *conn = &s->conns[number];
    if (conn->state != SIM_OPEN) return;
    sim_session_end(s, conn->session);
    conn->dead = true;
    sim_at(s, s->t + draw_delay(s, conn, &conn->down), SIM_EV_CLOSED, number, conn->epoch);
}

/* ---- Messages --------------------------------------------------------------- */

void sim_send_up(sim *s, int number, sim_message *message)
{
    sim_conn *conn = &s->conns[number];
    message->conn = number;
    message->epoch = conn->epoch;
    message->session = conn->session;
    message->run = conn->run;
    int64_t at = s->t + draw_delay(s, conn, &conn->up);
    conn->last_up = at = later(later(at, conn->hold_up), conn->last_up);
    if (conn->dead) {
        sim_message_free(s, message);
        return;
    }
    schedule(s, SIM_EV_TO_SERVER, at, message);
}

void sim_send_down(sim *s, int number, uint32_t epoch, sim_message *message)
{
    sim_conn *conn = &s->conns[number];
    message->conn = number;
    message->epoch = epoch;
    bool lost =
        conn->epoch != epoch || conn->dead || (message->word == SIM_WORD_PUSH && conn->lossy);
    int64_t at = s->t + draw_delay(s, conn, &conn->down);
    if (lost) {
        sim_message_free(s, message);
        return;
    }
    conn->last_down = at = later(later(at, conn->hold_down), conn->last_down);
    message->rank = conn->said_down++;
    schedule(s, SIM_EV_TO_CLIENT, at, message);
}

/*
 * Whether a message that arrives is executed. If its connection is closed, chance decides; but no
 * server reads what was said to another one.
 */
static bool still_counts(sim *s, const sim_message *message)
{
    sim_conn *conn = &s->conns[message->conn];
    if (conn->epoch == message->epoch) return !conn->dead;
    if (message->is_guard) return message->run == s->server.run; /* before what it announces */
    bool by_chance = message->token >= 0 && sim_chance(&conn->up, EXECUTED_AFTER_ALL);
    return by_chance && message->run == s->server.run;
}

bool sim_message_arrives(sim *s, sim_message *message)
{
    if (s->server.up && still_counts(s, message)) return true;
    sim_message_free(s, message);
    return false;
}
