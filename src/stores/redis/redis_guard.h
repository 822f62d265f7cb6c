/* SPDX-License-Identifier: MIT */
/*
 * The restart guard (docs/protocol.md): a server that may have forgotten locks grants nothing
 * until their holders' leases have run out.
 *
 * scripts/guard.lua tells for how long, once for each connection. During that time the store calls
 * the variants of its scripts that grant nothing new. So the guard costs nothing while there is
 * nothing to guard against.
 */
#ifndef PAWL_REDIS_GUARD_H
#define PAWL_REDIS_GUARD_H

#include "redis_proto.h"

#define PAWL__REDIS_GUARD_MS_MIN     10
#define PAWL__REDIS_GUARD_MS_MAX     PAWL_TTL_MAX_MS
#define PAWL__REDIS_GUARD_MS_DEFAULT PAWL_TTL_DEFAULT_MS
#define PAWL__REDIS_RUN_MAX          64 /* bytes of a run_id; Redis' has 40 */

typedef enum pawl__redis_guard_mode {
    PAWL__REDIS_GUARD_AUTO = 0, /* if an earlier run is known, and INFO may be read */
    PAWL__REDIS_GUARD_OFF,
    PAWL__REDIS_GUARD_ON /* an empty server counts as one that has lost everything */
} pawl__redis_guard_mode;

typedef struct pawl__redis_guarding {
    bool known;                        /* guard.lua has answered on this connection */
    bool active;                       /* nothing new is granted */
    bool blind;                        /* the server does not tell its run_id */
    char run[PAWL__REDIS_RUN_MAX + 1]; /* run_id of the server that was seen last; "": none yet */
    int64_t until;                     /* instant at which the server is asked again */
    int64_t announced;                 /* instant: longer leases may last until then */
    char why[PAWL_MESSAGE_MAX];        /* it is blind */
} pawl__redis_guarding;

/* A new connection: nothing is known of it. */
void pawl__redis_guard_begin(pawl_store *store);
bool pawl__redis_guard_is_off(const pawl_store *store);

/* The command that calls guard.lua; longer_ms is the ttl of a lease that is longer than the span.
 */
typedef struct pawl__redis_guard_words {
    pawl__redis_bytes argv[8];
    char key[PAWL__REDIS_GUARD_KEY_MAX + 1], span[24], longer[24];
} pawl__redis_guard_words;
void pawl__redis_guard_encode(const pawl_store *store, bool by_hash, int64_t longer_ms,
                              pawl__redis_guard_words *ret_words);
/* Takes its answer. Not PAWL_OK: the link is of no use; ret_message says why. */
pawl_err pawl__redis_guard_answered(pawl_store *store, const pawl__redis_value *value,
                                    char ret_message[PAWL_MESSAGE_MAX]);

/* The link came up: the timer of the link is the guard's from now on. */
void pawl__redis_guard_up(pawl_store *store);

/* Whether the ttl is longer than the guard can protect, so that the lease must not be asked for. */
bool pawl__redis_guard_refuses(const pawl_store *store, const pawl_request *request);
/* The line of such a refusal. */
void pawl__redis_guard_say_refusal(const pawl_store *store, char ret_message[PAWL_MESSAGE_MAX]);
/* Whether the server must first be told of the request, because its lease is longer than the span.
 */
bool pawl__redis_guard_must_announce(pawl_store *store, const pawl_request *request);
/* The script to call instead of this one. */
pawl__redis_script pawl__redis_guard_variant(const pawl_store *store, pawl__redis_script script);
/* Completes an answer: if it was not granted, adds how long the guard lasts, and why if no holder
 * is named. room is for the reply's message. */
void pawl__redis_guard_explain(const pawl_store *store, pawl__redis_script script,
                               pawl_reply *reply, char room[PAWL_MESSAGE_MAX]);
/* ms for which nothing is granted; 0: it is not active. */
int64_t pawl__redis_guard_left_ms(const pawl_store *store);

#endif
