/* SPDX-License-Identifier: MIT */
/*
 * Between a client and the real server, in the test's own loop: it passes on what both say, can
 * do something before a command leaves, and cut, hold or change what comes back.
 */
#ifndef PAWL_TESTS_MEMCACHED_RELAY_H
#define PAWL_TESTS_MEMCACHED_RELAY_H

#include "rig.h"

typedef struct relay relay;

/* Its socket lies beside the server's. */
relay *relay_start(void);
const char *relay_socket(const relay *r);
void relay_stop(relay *r);

/* The connection ends when so many bytes have come back from now on. */
void relay_cut_after(relay *r, size_t bytes);
/* Bytes that have come back since then. */
size_t relay_passed(const relay *r);

/* Called each time when a command that begins so comes by, before it is passed on. */
void relay_before(relay *r, const char *command, void (*act)(void *arg), void *arg);
/* The answer to the next such command is this one; the server gets it nevertheless. */
void relay_answer_instead(relay *r, const char *command, const char *answer);
/* The answer to the next such command is held back for so long, once. */
void relay_hold(relay *r, const char *command, int64_t ms);
/* How many such commands have come by. */
unsigned relay_count(const relay *r);

#endif
