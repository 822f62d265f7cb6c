/* SPDX-License-Identifier: MIT */
/*
 * The simulator: clients (each a real engine with the real protocol logic of the Redis store), a
 * model of the server, a network between them, callers who want locks, and one owner of time.
 * Floors, the highest first; each calls those below it, and tells those above it by
 * a table (sim_told, sim_link_told):
 *
 *   run.c       makes a run, hands each event to whom it concerns, ends the run
 *   nemesis.c   faults
 *   callers.c   what threads of a program do with locks
 *   speak.c     and with the values beside them
 *   plain.c     lock clients without an engine: the tutorial's, the textbook's
 *   client.c    the host of an engine: steps it, does its actions; crash, pause, close
 *   link.c      the real link of the Redis store, on simulated connections
 *   server.c    subscriptions, the model; crash, pause, failover
 *   tracked.c   CLIENT TRACKING
 *   network.c   connections and sessions: order, delay, silence, reset
 *   checks/     what must never be seen, one file per property
 *   history.c   the timeline
 *   core.c      what all of them know
 */
#ifndef PAWL_SIM_SIM_H
#define PAWL_SIM_SIM_H

#include "checks/check.h"
#include "core.h"

/* ---- run.c ------------------------------------------------------------------ */

/* One run from its beginning to its end. trace may be NULL. */
void sim_run(const sim_config *config, FILE *trace, sim_totals *ret_totals,
             sim_failure *ret_failure, bool *ret_failed, uint64_t *ret_hash);

/* ---- nemesis.c -------------------------------------------------------------- */

void sim_nemesis_plan(sim *s);
void sim_fault_begin(sim *s, int number);
void sim_fault_end(sim *s, int number);
/* All faults are over; broken things are mended. */
void sim_heal(sim *s);

/* ---- callers.c -------------------------------------------------------------- */

void sim_callers_init(sim *s);
void sim_callers_boot(sim *s, sim_client *client);
void sim_caller_tick(sim *s, sim_caller *caller);

/* ---- speak.c ---------------------------------------------------------------- */

/* It may publish a value; may publish another; may read one; is answered; its program is gone. */
void sim_value_granted(sim *s, sim_caller *caller, const char *token);
void sim_value_speak_again(sim *s, sim_caller *caller);
void sim_value_look(sim *s, sim_caller *caller);
void sim_value_answered(sim *s, sim_client *client, const pawl_reply *reply);
void sim_value_ended(sim_caller *caller);

/* ---- plain.c ---------------------------------------------------------------- */

void sim_plain_want(sim *s, sim_caller *caller);
void sim_plain_release(sim *s, sim_caller *caller);
void sim_plain_tick(sim *s, sim_caller *caller);

/* ---- client.c --------------------------------------------------------------- */

void sim_client_boot(sim *s, sim_client *client);
void sim_client_crash(sim *s, sim_client *client, int64_t back_at);
void sim_client_close(sim *s, sim_client *client);
/* A step of its engine, its actions, and the checks. */
void sim_client_step(sim *s, sim_client *client, const pawl__event *event);
/* After whatever let its program run: closing, timers. */
void sim_client_after_event(sim *s, sim_client *client);

/* ---- link.c ----------------------------------------------------------------- */

void sim_link_start(sim *s, sim_client *client, sim_link_told *told);
void sim_link_submit(sim *s, sim_client *client, const pawl_request *request);
static inline bool sim_link_is_up(const sim_client *client)
{
    return client->link.up && !client->link.store.link.broken;
}
/* A question that is not the engine's: sim_value_answered. */
void sim_link_ask(sim *s, sim_client *client, const pawl_request *request);
/* What was submitted leaves. */
void sim_link_flush(sim *s, sim_client *client);
/* At once, or (config.together) after a time in which others may come to travel with it. */
void sim_link_flush_soon(sim *s, sim_client *client);
void sim_link_end(sim *s, sim_client *client);
/* Does what the link put off until its program has nothing else to do. */
void sim_link_turn(sim *s, sim_client *client);
void sim_link_connected(sim *s, sim_client *client, bool ok);
void sim_link_closed(sim *s, sim_client *client);
void sim_link_heard(sim *s, sim_client *client, sim_message *message);
void sim_link_timer(sim *s, sim_client *client);
void sim_link_arm(sim *s, sim_client *client);

/* ---- server.c --------------------------------------------------------------- */

void sim_server_boot(sim *s);
void sim_server_hear(sim *s, sim_message *message);
void sim_server_turn(sim *s);
void sim_server_crash(sim *s, sim_fault_kind kind, int64_t back_at);
void sim_server_back(sim *s);
void sim_server_switch_over(sim *s);

/* ---- tracked.c -------------------------------------------------------------- */

/* Answers what a client says about keys that it watches. False: it is another command. */
bool sim_tracked_command(sim *s, sim_message *message);
/* Around whatever may change a lock key. message: whose command it is; NULL: another hand. */
void sim_tracked_before(sim *s);
void sim_tracked_after(sim *s, const sim_message *message);
/* Another hand deletes a lock key. */
void sim_tracked_delete(sim *s, model_lock *lock, int name);

/* ---- network.c -------------------------------------------------------------- */

sim_message *sim_message_new(sim *s, sim_word word);
void sim_message_free(sim *s, sim_message *message);
/* Copies the bytes into the message's room. */
pawl__redis_bytes sim_message_keep(sim_message *message, pawl__redis_bytes bytes);

void sim_conn_open(sim *s, int conn);
/* From the client's side: what it has said may still arrive, what it is told does not. */
void sim_conn_close(sim *s, int conn);
/* The network resets it: both ends are told. */
void sim_conn_reset(sim *s, int conn);
void sim_send_up(sim *s, int conn, sim_message *message);
void sim_send_down(sim *s, int conn, uint32_t epoch, sim_message *message);
/* The server took the call, or nobody listens. False: nobody waits for that any more. */
bool sim_conn_connected(sim *s, int conn, uint32_t epoch, bool ok);
/* Whether the server hears a message that comes to it; else it is freed. */
bool sim_message_arrives(sim *s, sim_message *message);

/* NULL: it has ended. */
sim_session *sim_session_find(sim *s, uint32_t serial);
void sim_session_end(sim *s, uint32_t serial);

#endif
