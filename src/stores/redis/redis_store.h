/* SPDX-License-Identifier: MIT */
/*
 * The Redis store from inside.
 *
 *   redis_store.c    the contract's operations
 *   redis_link.h     the link and the requests under way on it, without I/O
 *   redis_guard.h    what the server may have forgotten in a restart
 *   redis_io.c       its I/O: connections, look-up of names, timers of the loop
 *   redis_conn.c     one connection; redis_transport.h: what carries its bytes
 *   redis_operation.c, redis_list.c, redis_doctor.c: operations of several commands
 *   redis_exam.h     what DOCTOR asks and what the answers mean: redis_findings.c, redis_bugs.c
 *   redis_clock.c    the wall clock, for DOCTOR alone
 */
#ifndef PAWL_REDIS_STORE_H
#define PAWL_REDIS_STORE_H

#include "redis_link.h"

#include <event2/event.h>
#include <event2/event_struct.h>

#define PAWL__REDIS_STEP_TIMEOUT_MS 5000  /* one command of LIST or DOCTOR */
#define PAWL__REDIS_SCAN_COUNT      "500" /* keys per SCAN: well under a millisecond */

/* ---- redis_io.c ------------------------------------------------------------------- */

/* Gives the store its wire. 0, or an error, with a line in reterr_message unless it is NO_MEMORY.
 */
PAWL_MUST_USE int pawl__redis_io_open(pawl_store *store, char *reterr_message);
/* Describes how the connection is protected; "": it is not. */
void pawl__redis_io_describe(pawl_store *store, char *ret_text, size_t room);
/* How many seconds the server's certificate is still good for. False: it shows none. */
bool pawl__redis_io_cert_left(pawl_store *store, int64_t *ret_left_s);
/* Closes everything and frees it. */
void pawl__redis_io_close(pawl_store *store);
/* Tries for a while to write the rest of the commands; called last before close. */
void pawl__redis_io_drain(pawl_store *store);
/* In a forked child: closes its copies of the sockets; structs that contain events stay. */
void pawl__redis_io_forget(pawl_store *store);

/* ---- redis_operation.c, redis_list.c, redis_doctor.c ------------------------------ */

/* False when out of memory or the link is down. */
PAWL_MUST_USE bool pawl__redis_list(pawl_store *store, const pawl_request *request);
PAWL_MUST_USE bool pawl__redis_doctor(pawl_store *store, const pawl_request *request);

/* An operation of several commands: it ends at its answer_by, but its commands may still be under
 * way. */
typedef struct pawl__redis_operation pawl__redis_operation;
struct pawl__redis_operation {
    pawl__link in_list;
    pawl_store *store;
    struct event timer;
    uint64_t id;
    unsigned due;  /* commands without a reply */
    bool over;     /* answered; freed when nothing is due */
    bool no_timer; /* no memory for the timer: it ends at the next turn of the loop */
    void (*release)(pawl__redis_operation *operation);
};

void pawl__redis_operation_begin(pawl__redis_operation *operation, pawl_store *store,
                                 const pawl_request *request,
                                 void (*release)(pawl__redis_operation *operation));
/* Answers, unless it is over. */
void pawl__redis_operation_end(pawl__redis_operation *operation, pawl_outcome outcome, pawl_err err,
                               const char *message);
/* One of its commands has its reply, or will never get it: frees the operation if it is over and
 * nothing is due. */
void pawl__redis_operation_free_if_over(pawl__redis_operation *operation);
/* At close: drops all; nobody is told. */
void pawl__redis_operations_drop(pawl_store *store);

/* ---- redis_clock.c ---------------------------------------------------------------- */

/* This machine's wall clock in us since 1970, to show how far the server's differs. */
int64_t pawl__redis_wall_us(void);

#endif
