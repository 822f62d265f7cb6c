/* SPDX-License-Identifier: MIT */
/*
 * The restart guard (docs/protocol.md): a server that may have forgotten locks grants nothing
 * until their holders' leases have run out.
 *
 * scripts/guard.lua says for how long, once for each connection; while that lasts the store
 * calls the variants of its scripts that grant nothing new. So there is no command and no
 * instruction more while there is nothing to guard against.
 */
#ifndef PAWL_REDIS_GUARD_H
#define PAWL_REDIS_GUARD_H

#include "redis_proto.h"

#define PAWL__REDIS_GUARD_MS_MIN     10
#define PAWL__REDIS_GUARD_MS_MAX     PAWL_TTL_MAX_MS
#define PAWL__REDIS_GUARD_MS_DEFAULT PAWL_TTL_DEFAULT_MS
#define PAWL__REDIS_RUN_MAX          64 /* bytes of a run_id; Redis' has 40 */

typedef enum pawl__redis_guard_mode {
    PAWL__REDIS_GUARD_AUTO = 0, /* where an earlier run is known of, and INFO may be read */
    PAWL__REDIS_GUARD_OFF,
    PAWL__REDIS_GUARD_ON /* an empty server is one that has lost everything */
} pawl__redis_guard_mode;

typedef struct pawl__redis_guarding {
    bool known;                        /* this connection has its answer */
    bool active;                       /* nothing new is granted */
    bool blind;                        /* the server does not tell its run_id */
    char run[PAWL__REDIS_RUN_MAX + 1]; /* of the server that was seen last; "": none yet */
    int64_t until;                     /* instant: then the server is asked again */
    int64_t announced;                 /* instant: until then leases may last that are longer */
    char why[PAWL_MESSAGE_MAX];        /* it is blind */
} pawl__redis_guarding;

/* A new connection: nothing is known of it. */
void pawl__redis_guard_begin(pawl_store *store);
bool pawl__redis_guard_is_off(const pawl_store *store);

/* The words that ask guard.lua; longer_ms is the ttl of a lease that is longer than the span. */
typedef struct pawl__redis_guard_words {
    pawl__redis_bytes argv[8];
    char key[PAWL__REDIS_GUARD_KEY_MAX + 1], span[24], longer[24];
} pawl__redis_guard_words;
void pawl__redis_guard_encode(const pawl_store *store, bool by_hash, int64_t longer_ms,
                              pawl__redis_guard_words *ret_words);
/* What it says. Not PAWL_OK: the link is of no use, as ret_message says. */
pawl_err pawl__redis_guard_answered(pawl_store *store, const pawl__redis_value *value,
                                    char ret_message[PAWL_MESSAGE_MAX]);

/* The link came up: the timer of the link is the guard's from now on. */
void pawl__redis_guard_up(pawl_store *store);

/* Whether a lease of this ttl is longer than the guard reckons with, and must not be asked for. */
bool pawl__redis_guard_refuses(const pawl_store *store, const pawl_request *request);
/* Which line such a refusal has. */
void pawl__redis_guard_say_refusal(const pawl_store *store, char ret_message[PAWL_MESSAGE_MAX]);
/* Whether the server has to be told of it first, because its lease is longer than the span. */
bool pawl__redis_guard_must_announce(pawl_store *store, const pawl_request *request);
/* The script to call instead of this one. */
pawl__redis_script pawl__redis_guard_variant(const pawl_store *store, pawl__redis_script script);
/* After an answer: who was not granted hears for how long the guard lasts, and who is told of no
 * holder hears why. room is the reply's. */
void pawl__redis_guard_explain(const pawl_store *store, pawl__redis_script script,
                               pawl_reply *reply, char room[PAWL_MESSAGE_MAX]);
/* ms for which nothing is granted; 0: it is not active. */
int64_t pawl__redis_guard_left_ms(const pawl_store *store);

#endif
