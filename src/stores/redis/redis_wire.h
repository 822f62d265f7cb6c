/* SPDX-License-Identifier: MIT */
/*
 * What the link needs from outside, as a table: a connection to an address, a way to find
 * addresses, two timers. redis_link.c and redis_request.c use only this table and know neither
 * sockets nor a loop, so the simulator runs the same code.
 *
 *   redis_io.c       over libevent and redis_conn.c's connection
 *   proof/sim/link.c       over the simulated network
 *
 * Rules for implementations of the table:
 *   - No function of the table calls the link back. Events are told later, from the loop, by the
 *     functions "told by the wire" of redis_link.h.
 *   - append() only buffers; the bytes leave at flush(), or by themselves when the connection is
 *     made. written() counts the bytes that have left: nobody has received a command whose end is
 *     beyond that count (law 4).
 *   - Timers cannot fail and go off once. Setting a timer replaces its old time.
 */
#ifndef PAWL_REDIS_WIRE_H
#define PAWL_REDIS_WIRE_H

#include "redis_proto.h"

/* How far a connection has come. */
typedef enum pawl__redis_stage {
    PAWL__REDIS_CONNECTING = 0,
    PAWL__REDIS_REACHED, /* the server has accepted it; the transport is not ready yet */
    PAWL__REDIS_CONNECTED
} pawl__redis_stage;

typedef enum pawl__redis_timer {
    PAWL__REDIS_TIMER_LINK = 0, /* the next attempt, or the end of this one */
    PAWL__REDIS_TIMER_ANSWERS,  /* the earliest answer_by */
    PAWL__REDIS_TIMERS
} pawl__redis_timer;

#define PAWL__REDIS_NO_TIMER (-1) /* as a delay: at rest */

typedef struct pawl__redis_wire {
    /* Begins to find the server's addresses; pawl__redis_found() follows. 0 or an errno. */
    int (*resolve)(pawl_store *store);
    /* Begins to connect to one of them. 0 or an errno. */
    int (*connect)(pawl_store *store, size_t address);
    pawl__redis_stage (*stage)(const pawl_store *store);
    /*
     * Buffers a command; *ret_end is its end in the stream of bytes since connect(). False
     * when there is no connection, no memory or no room: nothing was buffered.
     */
    bool (*append)(pawl_store *store, const pawl__redis_bytes *argv, size_t argc,
                   uint64_t *ret_end);
    void (*flush)(pawl_store *store);
    /* Bytes that have left, or may have, since connect(). */
    uint64_t (*written)(const pawl_store *store);
    /* Ends the connection or the search for addresses, if there is one. */
    void (*close)(pawl_store *store);
    /* In delay_us, 0 for at once; PAWL__REDIS_NO_TIMER. */
    void (*set_timer)(pawl_store *store, pawl__redis_timer timer, int64_t delay_us);
    /* pawl__redis_turn() follows, once. */
    void (*turn_soon)(pawl_store *store);
    /*
     * Reads the password again before a greeting, if it comes from a place where it may have
     * changed. False, with a line: it could not be read, and the earlier one stays. NULL: it never
     * changes.
     */
    bool (*renew_password)(pawl_store *store, char *reterr_message);
} pawl__redis_wire;

#endif
