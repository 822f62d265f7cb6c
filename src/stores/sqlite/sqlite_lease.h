/* SPDX-License-Identifier: MIT */
/* What happens to a lock: the decisions for ACQUIRE, RENEW, RELEASE, BREAK and CHANGE. */
#ifndef PAWL_SQLITE_LEASE_H
#define PAWL_SQLITE_LEASE_H

#include "sqlite_rows.h"
#include "sqlite_watch.h"

/* A fence would reach the ceiling: roll back, raise the ceiling, start again. Not an SQLite result.
 */
#define PAWL__SQLITE_NEEDS_CEILING (1 << 20)

/* A letter to send once the transaction is committed. */
typedef struct pawl__mail {
    char to[PAWL__CLIENT_ID_LEN + 1];
    pawl__letter letter;
} pawl__mail;

#define PAWL__OUTBOX_MAX 4096 /* one release may grant to a thousand; more are dropped */

typedef struct pawl__outbox {
    pawl__mail *mails; /* malloc'ed */
    size_t count, room;
} pawl__outbox;

/* Room for one more; NULL: there is none, and the hint is lost (law 7). */
pawl__mail *pawl__outbox_add(pawl__outbox *outbox);

/* A reply that is being made. */
typedef struct pawl__answer {
    pawl_outcome outcome;
    uint64_t fence;
    int64_t position, holder_ms;
    bool waiting;
    pawl__slots slots;        /* GRANTED, CONFIRMED of permits */
    pawl__sqlite_fault fault; /* FAILED, UNKNOWN: why. BUSY: message is the holder's label */
    /* For a waiter: whom to watch, the one before us or in our way; and more of them, malloc'ed. */
    pawl__watch_mark watch;
    pawl__watch_mark *more_watches;
    size_t more_count;
    pawl_value value; /* REPORTED to a READ */
} pawl__answer;

/*
 * Carries out one request inside the open write transaction. client_id is ours. *ret_answer is
 * zeroed, or what an earlier try left there; pawl__answer_done frees its parts. Returns an SQLite
 * result or PAWL__SQLITE_NEEDS_CEILING; anything but SQLITE_OK: roll back.
 */
int pawl__lease_carry_out(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          pawl__outbox *outbox, pawl__answer *ret_answer);

void pawl__answer_done(pawl__answer *answer);

/*
 * A letter could not be delivered: if the holder of the name is dead or expired, hands the lock to
 * the next waiter. Results as above.
 */
int pawl__lease_reap(pawl__sqlite_db *db, pawl__name name, pawl__outbox *outbox);

/* Whether the lease or the place in the row is alive at `now`. The first one is not for rows with
 * `many`. */
bool pawl__lock_is_live(pawl__sqlite_db *db, const pawl__lock_row *lock, int64_t now);
bool pawl__hold_is_live(pawl__sqlite_db *db, const pawl__hold_row *holder, int64_t now);
bool pawl__wait_is_live(pawl__sqlite_db *db, const pawl__wait_row *waiter, int64_t now);

#endif
