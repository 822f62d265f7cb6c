/* SPDX-License-Identifier: MIT */
/*
 * What is going to happen, in order of true time. Events of the same instant happen in
 * the order in which they were scheduled; nothing else decides.
 */
#ifndef PAWL_SIM_QUEUE_H
#define PAWL_SIM_QUEUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum sim_event_kind {
    SIM_EV_ENGINE_TIMER = 0, /* a: client */
    SIM_EV_LINK_TIMER,       /* a: client */
    SIM_EV_CALLER,           /* a: caller */
    SIM_EV_TO_SERVER,        /* message */
    SIM_EV_TO_CLIENT,        /* message */
    SIM_EV_CONNECTED,        /* a: connection; generation: epoch */
    SIM_EV_CLOSED,           /* a: connection; generation: epoch */
    SIM_EV_SESSION_END,      /* a: session; generation: its serial */
    SIM_EV_SERVER_TURN,      /* the server is free for the next */
    SIM_EV_SERVER_UP,        /* generation: incarnation of the server */
    SIM_EV_BOOT,             /* a: client; after a crash */
    SIM_EV_FAULT,            /* a: number of the fault */
    SIM_EV_FAULT_END,        /* a: number of the fault */
    SIM_EV_HEAL,
    SIM_EV_DRAIN,
    SIM_EV_END
} sim_event_kind;

struct sim_message;

typedef struct sim_event {
    int64_t at;
    uint64_t order;
    sim_event_kind kind;
    int a;
    uint32_t generation; /* an event of an older generation means nothing any more */
    struct sim_message *message;
} sim_event;

typedef struct sim_queue {
    sim_event *slots;
    size_t count, room;
    uint64_t order;
} sim_queue;

void sim_queue_done(sim_queue *queue);
void sim_queue_put(sim_queue *queue, sim_event event);
bool sim_queue_take(sim_queue *queue, sim_event *ret_event);

#endif
