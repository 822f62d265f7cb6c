/* SPDX-License-Identifier: MIT */
/*
 * A client: the floors of the runtime, from top to bottom, and how public functions enter it.
 *
 *   client lock query_api wait with_lock visit fork   public calls
 *   acquisition begin ends actions ask deliver        what a handle asks for and holds,
 *   reentry several retention holds                   how often, of how many names, how long
 *   query                                             questions that bypass the engine
 *   pump                                              engine, store and loop: one turn
 *   trace metrics                                     events, and who reads them
 *   calls                                             callbacks
 *   gate waiter spin                                  mutex, loop owner, threads that wait
 *   held clock token process thread messages ...      these use no other floor
 *
 * Each floor has a struct, a header and a rule of locking at its head. It includes and calls only
 * its own and lower floors; calls upward go through a table of functions (floors.c).
 */
#ifndef PAWL_RUNTIME_CLIENT_H
#define PAWL_RUNTIME_CLIENT_H

#include "acquisition.h"
#include "query.h"
#include "url.h"

#include <semaphore.h>

struct pawl_client {
    pawl__gate gate;
    pawl__calls calls;
    pawl__trace trace;
    pawl__pump pump;
    pawl__queries queries;
    pawl__acquisitions acquisitions;
    pawl__messages messages;
    pawl__waiter *in_wait;     /* [m] of the thread in pawl_client_wait */
    _Atomic uint32_t visitors; /* threads in public calls, see visit.c */
    sem_t visitors_left;
    pawl__link in_watched;          /* fork.c's */
    pawl_open_opts opts;            /* [once] */
    pawl__address *address;         /* [once] */
    char owner[PAWL_OWNER_MAX + 1]; /* [once] */
    char id[33];                    /* [once] */
};

/* The client in which a handle's acquisitions are. */
static inline pawl_client *pawl__lock_client(const pawl_lock *lock)
{
    return pawl__container(lock->home, pawl_client, acquisitions);
}

static inline bool pawl__client_is_forked(const pawl_client *client)
{
    return pawl__gate_is_forked(&client->gate);
}

static inline bool pawl__lock_is_forked(const pawl_lock *lock)
{
    return pawl__client_is_forked(pawl__lock_client(lock));
}

/* ---- floors.c: calls from a floor to those above ----------------------------------------------
 */

/* All floors, empty; the queries and acquisitions know the pump. */
void pawl__floors_init(pawl_client *client, const pawl_store_ops *store_ops);

/* ---- client_memory.c: how long a client lasts --------------------------------------------------
 */

/* NULL: out of memory. It has one reference. */
pawl_client *pawl__client_new(const pawl_open_opts *opts, pawl__address *address,
                              const pawl_store_ops *store_ops);
/* Frees all but the memory and the mutex, which handles still need. The store is closed. */
void pawl__client_free_parts(pawl_client *client);
/* Drops a reference with the mutex held, and releases the mutex. */
void pawl__client_put_unlock(pawl_client *client);
/* The same in the child of a fork, where nobody else is left. */
void pawl__client_put_in_child(pawl_client *client);

#endif
