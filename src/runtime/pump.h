/* SPDX-License-Identifier: MIT */
/*
 * The pump: one engine, one store and one event loop, and one turn of them.
 *
 * In a turn everything that was asked goes to the engine, the engine's requests go to the store in
 * one write, then the owner rests in the loop. The pump does not know who asks: it calls upward
 * through a table.
 *
 * Each event is given to the engine with an instant of its own, read just before. An instant that
 * is too old can only make leases shorter; one that is later than the sending of a request would
 * make them longer (law 2).
 *
 * Locking: the pump belongs to the loop owner [loop], except for what is marked otherwise. The
 * marks are those of gate.h.
 */
#ifndef PAWL_RUNTIME_PUMP_H
#define PAWL_RUNTIME_PUMP_H

#include "../engine/engine.h"
#include "clock.h"
#include "gate.h"
#include "messages.h"
#include "pawl/pawl.h"
#include "token.h"
#include "trace.h"

struct event;
struct event_base;

/* What the floors above do. The loop is owned in all of them except `overdue`. */
typedef struct pawl__pump_ops {
    /* Whether something was asked; and: pass what was asked on to the pump. Mutex held. */
    bool (*is_asked)(const pawl_client *client);
    void (*take_asked)(pawl_client *client);
    /* The engine says something about a want. Mutex not held, as in all that follow. */
    void (*action)(pawl_client *client, const pawl__action *action);
    /* The store answers a request that is not the engine's; false: it is not one of theirs either.
     */
    bool (*reply)(pawl_client *client, const pawl_reply *reply);
    void (*row)(pawl_client *client, uint64_t id, const pawl_info *info);
    void (*finding)(pawl_client *client, uint64_t id, const pawl_finding *finding);
    /* The store says something unasked; false: it is for the engine. */
    bool (*push)(pawl_client *client, const pawl_push *push);
    /* The link came up or went down. */
    void (*link)(pawl_client *client);
    /* Whether somebody waits for the link; when `time` must be called; time has passed. */
    bool (*awaits_link)(const pawl_client *client);
    int64_t (*due)(const pawl_client *client);
    void (*time)(pawl_client *client, int64_t now);
    /* Ends all that is under way with err: the engine is gone. Mutex held. */
    void (*end)(pawl_client *client, int err);
    /* See pawl__gate_ops. Mutex held. */
    void (*overdue)(pawl_client *client);
    bool (*comes_back)(const pawl_client *client);
} pawl__pump_ops;

typedef struct pawl__pump {
    /* [once] */
    pawl_host host; /* what the store calls */
    const pawl__pump_ops *ops;
    pawl_client *client; /* for ops */
    pawl__gate *gate;
    pawl__trace *trace;
    pawl__messages *messages;
    const pawl_store_ops *store_ops;
    int64_t answer_ms; /* how long one request may take, even if store_timeout_ms is unlimited */
    /* [loop] */
    pawl__engine *engine;
    pawl_store *store;
    struct event_base *base;
    struct event *wake_event, *alarm_event;
    pawl__alarm alarm;
    pawl__pool pool; /* of random bytes */
    bool unflushed;  /* requests were submitted, but not flushed yet */
    bool together;   /* what the engine asks now belongs to a handle on several names */
    bool calm;       /* nobody has asked for something without waiting for it */
    bool time_due;   /* a deadline has come */
    bool failed;     /* something failed that must not fail: shut down soon */
    bool link_up;
    bool was_up;       /* at any time before */
    pawl_err link_err; /* why it is down */
    bool link_final;   /* and waiting does not help */
    bool link_tried;   /* and an attempt to connect has failed since it went down */
    char link_message[PAWL_MESSAGE_MAX];
    /* [m] */
    bool broken; /* shut down by a failure (law 10) */
    int break_err;
    bool has_caps;
    pawl_caps caps;
} pawl__pump;

extern const pawl__gate_ops pawl__pump_gate_ops; /* ctx: the pump */

/* ---- Made and freed (pump_open.c): mutex not held, nobody else knows it -----------------------
 */

/* What is not NULL is borrowed for the pump's life. */
void pawl__pump_init(pawl__pump *pump, const pawl__pump_ops *ops, pawl_client *client,
                     const pawl_store_ops *store_ops);
/*
 * Makes loop, engine and store; the descriptor of the gate is open. owner, id: the client's. On an
 * error: one line in message; what was made is freed by pawl__pump_free.
 */
int pawl__pump_open(pawl__pump *pump, const pawl_url *url, const char *owner, const char *id,
                    const pawl_open_opts *opts, char *message);
/* Frees all but the store, which is closed before. Takes half-made pumps. */
void pawl__pump_free(pawl__pump *pump);
/* In the child of a fork: makes sure that store and loop send nothing on what they share with the
 * parent; false: that is impossible, and the pump must stay as it is. */
bool pawl__pump_forget(pawl__pump *pump);

/* ---- Turns: loop owned ----------------------------------------------------------------------- */

/* Tells the engine and the store all that was asked. Mutex held. */
void pawl__pump_work(pawl__pump *pump);
/* An event for the engine, and all that follows from it. Mutex not held. */
void pawl__pump_feed(pawl__pump *pump, const pawl__event *event);
/* Tells the client whose engine runs a step on this thread that an invariant broke (law 10). */
void pawl__pump_say_broken(const char *what);
/* For the engine's options: tells of a lease that moved, see pawl/trace.h. ctx: the pump. */
void pawl__pump_lease_moved(void *ctx, const char *name, pawl_lease_state from,
                            pawl_lease_state to);
/* Submits a request to the store; it is sent at the end of the turn. Mutex not held. */
void pawl__pump_submit(pawl__pump *pump, const pawl_request *request);

/* ---- What the store calls (pump_host.c) -------------------------------------------------------
 */

void pawl__pump_init_host(pawl__pump *pump, const char *owner, const char *id, bool work_inline);

#endif
