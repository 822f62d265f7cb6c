/* SPDX-License-Identifier: MIT */
/*
 * Connections. Inside one, order is kept, each way; nothing is lost or doubled, as TCP
 * promises. A connection that its client gave up is another matter: what it had said may
 * still be executed, whenever it arrives, and nobody hears the reply.
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

void sim_connected(sim *s, int number, uint32_t epoch)
{
    sim_conn *conn = &s->conns[number];
    if (conn->epoch != epoch || conn->state != SIM_CONNECTING) return;
    bool ok = s->server.up;
    conn->state = ok ? SIM_OPEN : SIM_CLOSED;
    if (ok) conn->session = sim_session_begin(s, number, epoch);
    sim_link_connected(s, &s->clients[number], ok);
}

void sim_conn_close(sim *s, int number)
{
    sim_conn *conn = &s->conns[number];
    if (conn->state == SIM_CLOSED) return;
    if (conn->state == SIM_OPEN) {
        /* The server learns of it behind everything that was sent; perhaps late. */
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

/* Whether a message that arrives is executed: one of a closed connection perhaps. */
static bool still_counts(sim *s, const sim_message *message)
{
    sim_conn *conn = &s->conns[message->conn];
    if (conn->epoch == message->epoch) return !conn->dead;
    return message->token >= 0 && sim_chance(&conn->up, EXECUTED_AFTER_ALL);
}

void sim_message_arrived(sim *s, sim_message *message)
{
    if (!s->server.up || !still_counts(s, message)) {
        sim_message_free(s, message);
        return;
    }
    sim_server_hear(s, message);
}
