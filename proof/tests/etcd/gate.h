/* SPDX-License-Identifier: MIT */
/*
 * Between a client and the first member, in the test's own loop: it passes on what both say. A
 * request can be stopped on its way, so that others overtake it; or all of them can.
 */
#ifndef PAWL_TESTS_ETCD_GATE_H
#define PAWL_TESTS_ETCD_GATE_H

#include "rig.h"

typedef struct gate gate;

gate *gate_start(void);
void gate_stop(gate *g);
/* A client whose every word goes through it. */
client *gate_client(gate *g, const char *owner);

/* Stops a request to that path: the first after `skip` others. */
void gate_hold(gate *g, const char *path, unsigned skip);
/* Runs the loop until it has come. */
void gate_await(gate *g);
/* Passes it on, even if the client has given it up, and runs the loop until the server has
 * answered. */
void gate_let_go(gate *g);

#endif
