/* SPDX-License-Identifier: MIT */
/* The connections of the proxy: a client's end, a server's end, and what is under way. */
#ifndef PAWL_TORTURE_PAIRS_H
#define PAWL_TORTURE_PAIRS_H

#include <event2/event.h>
#include <event2/util.h>
#include <stdbool.h>
#include <stdint.h>

/* Directions: UP from the client to the server. The end that sends has the same number. */
enum { TORTURE_UP = 0, TORTURE_DOWN = 1 };

/* How the network is at the moment, for all connections. */
typedef struct torture_weather {
    int64_t delay_ns;
    bool hold[2], lose[2];
} torture_weather;

typedef struct torture_pairs torture_pairs;

torture_pairs *torture_pairs_new(struct event_base *base, const torture_weather *weather);
/* A client has come: connects it to the socket of this path. */
void torture_pairs_add(torture_pairs *pairs, evutil_socket_t client, const char *backend);
int torture_pairs_count(const torture_pairs *pairs);
/* Sends what may go now; call it when the state of the network has changed. */
void torture_pairs_flow(torture_pairs *pairs);
/* A reset for every client. */
void torture_pairs_cut(torture_pairs *pairs);
/* The end of what the server sends, for every client. */
void torture_pairs_half(torture_pairs *pairs);

#endif
