/* SPDX-License-Identifier: MIT */
/*
 * The door of the library: the one pair that public functions pass through which need the
 * client's mutex. (What is answered by atomics alone does not: pawl_lock_is_held and what a
 * retained lease serves.)
 *
 * A thread inside is a *visitor*. It is not canceled, and what the client is made of stays
 * until it has left: pawl_client_close waits for all visitors that came before it. Who enters
 * later finds `closing`, and touches nothing else. So no call can meet parts that are gone.
 *
 * The last touch of a visitor is the post, or the subtraction before it if others are inside.
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
/* Leaves and lets go of the mutex. */
void pawl__leave(pawl__visit *visit);
/* The same for a thread that has let go of it before. */
void pawl__leave_unlocked(pawl__visit *visit);
/* The same, and drops a reference to the client. */
void pawl__leave_and_put(pawl__visit *visit);
/* The same for a thread whose callback forked: this is the child, and nothing is held (law 9). */
void pawl__leave_in_child(pawl__visit *visit);
/* Close: waits until all who entered before `closing` was set have left. Mutex not held. */
void pawl__visitors_await(pawl_client *client);

#endif
