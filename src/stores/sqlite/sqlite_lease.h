/* SPDX-License-Identifier: MIT */
/* What happens to a lock: the decisions behind ACQUIRE, RENEW, RELEASE and BREAK. */
#ifndef PAWL_SQLITE_LEASE_H
#define PAWL_SQLITE_LEASE_H

#include "sqlite_rows.h"

/* A fence would reach the ceiling: roll back, raise it, start over. No SQLite result. */
#define PAWL__SQLITE_NEEDS_CEILING (1 << 20)

/* A letter to send once the transaction is committed. */
typedef struct pawl__mail {
    char to[PAWL__CLIENT_ID_LEN + 1];
    pawl__letter letter;
} pawl__mail;

#define PAWL__OUTBOX_MAX 128 /* a batch of 32 requests writes about two each; more are dropped */

typedef struct pawl__outbox {
    pawl__mail *mails; /* room for PAWL__OUTBOX_MAX, made for the first; malloc'ed */
    size_t count;
} pawl__outbox;

/* Room for one more; NULL: there is none, and the hint is lost (law 7). */
pawl__mail *pawl__outbox_add(pawl__outbox *outbox);

/* A reply in the making. */
typedef struct pawl__answer {
    pawl_outcome outcome;
    uint64_t fence;
    int64_t position, holder_ms;
    bool waiting;
    pawl__sqlite_fault fault; /* FAILED, UNKNOWN: why. BUSY: message is the holder's label */
    /* QUEUED: whose death concerns us, the one who stands before us. live <= 0: nobody's. */
    int64_t watch_live, watch_pid, watch_pid_ns;
    pawl_value value; /* REPORTED to a READ */
} pawl__answer;

/*
 * Carries out one request inside the open write transaction. client_id is ours.
 * Returns an SQLite result or PAWL__SQLITE_NEEDS_CEILING; anything but SQLITE_OK: roll back.
 */
int pawl__lease_carry_out(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          pawl__outbox *outbox, pawl__answer *ret_answer);

/*
 * A letter found nobody: if the holder of the name is dead or expired, hands on to the
 * next waiter. Results as above.
 */
int pawl__lease_reap(pawl__sqlite_db *db, pawl__name name, pawl__outbox *outbox);

/* Whether the row's lease, the row's place, stands at `now`. */
bool pawl__lock_is_live(pawl__sqlite_db *db, const pawl__lock_row *lock, int64_t now);
bool pawl__wait_is_live(pawl__sqlite_db *db, const pawl__wait_row *waiter, int64_t now);

#endif
