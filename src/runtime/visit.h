/* SPDX-License-Identifier: MIT */
/*
 * Entering and leaving the library: the pair of functions that every public function calls if it
 * needs the client's mutex. (Functions that only read atomics do not: pawl_lock_is_held, and calls
 * that a retained lease serves.)
 *
 * A thread inside is a *visitor*. It is not canceled, and all parts of the client stay until it has
 * left: pawl_client_close waits for all visitors that came before it. A later visitor finds
 * `closing` set and touches nothing else. So no call can use parts that are freed.
 *
 * A visitor touches the client last when it posts, or, if others are inside, when it subtracts
 * itself.
 */
#ifndef PAWL_RUNTIME_VISIT_H
#define PAWL_RUNTIME_VISIT_H

#include "client.h"

typedef struct pawl__visit {
    pawl_client *client;
    int cancel_state;
} pawl__visit;

/*
 * Takes the mutex; the thread is not canceled until it leaves. Errors, with nothing taken:
 * PAWL_ERR_ARGUMENT (NULL), _FORKED (law 9), _STATE (in a handler of fork).
 */
int pawl__enter(pawl_client *client, pawl__visit *ret_visit);
/* Leaves and releases the mutex. */
void pawl__leave(pawl__visit *visit);
/* The same for a thread that has released the mutex before. */
void pawl__leave_unlocked(pawl__visit *visit);
/* The same, and drops a reference to the client. */
void pawl__leave_and_put(pawl__visit *visit);
/* The same for a thread whose callback forked: this is the child, and nothing is held (law 9). */
void pawl__leave_in_child(pawl__visit *visit);
/* For close: waits until all visitors have left that entered before `closing` was set. Mutex not
 * held. */
void pawl__visitors_await(pawl_client *client);

#endif
