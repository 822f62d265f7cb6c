/* SPDX-License-Identifier: MIT */
/*
 * What a server tells of held leases between two renewals (docs/protocol.md, "Watching").
 *
 *   keys    an exclusive holder lets the server track its lock key (CLIENT TRACKING), so that a
 *   deleted lock is noticed in one round trip and not at the next renewal
 *   clock   TIME beside a renewal, compared with our own clock: a step may have ended leases
 *
 * Both are hints: they make the engine ask, and the answer decides. The cost of both is bounded,
 * and a short lease costs nothing, because nothing is sent before its first renewal.
 */
#ifndef PAWL_REDIS_WATCH_H
#define PAWL_REDIS_WATCH_H

#include "redis_proto.h"

typedef enum pawl__redis_watch_mode {
    PAWL__REDIS_WATCH_OFF = 0, /* neither keys nor clock */
    PAWL__REDIS_WATCH_AUTO,    /* from the first renewal on */
    PAWL__REDIS_WATCH_ON       /* from the grant on: two commands more for each acquisition */
} pawl__redis_watch_mode;

#define PAWL__REDIS_WATCHED_PER_S 100 /* keys: a client with thousands relies on renewals */
#define PAWL__REDIS_ALARMS_MAX                                                                     \
    100                                /* without a loss between them: then it costs more than it  \
                                          gives */
#define PAWL__REDIS_CLOCK_PAUSE_MS 250 /* between two questions for the time */
#define PAWL__REDIS_CLOCK_RATE_OFF 20  /* a difference of 1 in so many of a span is no step */

/* One reading of the server's clock: it showed `server_us` at some moment between `sent` and `got`
 * of our clock. */
typedef struct pawl__redis_clock_reading {
    int64_t server_us; /* since 1970; 0: not read */
    int64_t sent, got; /* instants */
} pawl__redis_clock_reading;

/* TIME's answer: {seconds, microseconds}. False: none; a clock beyond the year 30000 is none. */
bool pawl__redis_clock_take(const pawl__redis_value *value, int64_t *ret_us);
/* By how much the server's clock went further from one reading to the next than our own clock
 * allows, in us; below 0 if it went less far. 0: no visible step. */
int64_t pawl__redis_clock_step(const pawl__redis_clock_reading *from,
                               const pawl__redis_clock_reading *to);

typedef struct pawl__redis_watching {
    /* redis_request.c calls these when a request is about to be sent, or was answered. NULL: off.
     */
    void (*asking)(pawl_store *store, const pawl_request *request);
    void (*answered)(pawl_store *store, const pawl_request *request, pawl_outcome outcome);
    bool usable;      /* this server and user can track keys, as far as is known */
    bool tracking;    /* it has been switched on for this connection */
    int64_t second;   /* instant at which the second of `count` began */
    unsigned count;   /* keys that were watched in that second */
    unsigned alarms;  /* alarms since the last one for which a lease was really gone */
    char why[128];    /* why it is not usable */
    bool asking_time; /* a question is under way */
    pawl__redis_clock_reading clock;
    int64_t step_us; /* the latest step that was seen on this connection; 0: none */
} pawl__redis_watching;

/* A new connection, to a server of this version. */
void pawl__redis_watch_begin(pawl_store *store, const char *version);
/* For the doctor: whether the server lets us, before a lock is held. `request`: until when. */
void pawl__redis_watch_try(pawl_store *store, const pawl_request *request);
/* {"invalidate", {key, ...}}, or nil for all keys. */
void pawl__redis_watch_heard(pawl_store *store, const pawl__redis_value *push);
#endif
