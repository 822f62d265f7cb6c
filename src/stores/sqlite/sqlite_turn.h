/* SPDX-License-Identifier: MIT */
/*
 * Carrying out one request; only for the files that are named below. Each calls those above it;
 * sqlite_lease.c, which has the verbs, calls all.
 *
 * Each function runs inside one BEGIN IMMEDIATE transaction: nobody else writes meanwhile, so
 * "read, decide in C, write" is atomic, and `now`, read after the transaction began, only grows
 * from one transaction to the next. All return an SQLite result or PAWL__SQLITE_NEEDS_CEILING.
 *
 * Who holds. An exclusive holder is in the row of `lock`, and no other row is used for it. As soon
 * as a name is granted in another mode, or a holder changes its mode, the row of `lock` has an
 * empty token and the holders are in `hold`, until nobody is left there.
 *
 * A lease is alive while its row exists, its expiry has not come and its holder's byte of the live
 * file is locked. The same is true for a place in the queue. Any request that finds a dead one
 * removes it.
 *
 * Who watches whom. The answer tells a waiter whom to watch (sqlite_watch.c): the one directly
 * before it in the queue or, if it is the first, the latest of the holders in its way. In a FIFO
 * queue the one before me also becomes the latest holder before me, so the watch stays right when
 * the queue moves on. It becomes wrong when a waiter or the latest holder leaves without having
 * died; then the first waiter gets a RECHECK. The first waiter for a semaphore watches all holders,
 * because the death of any of them may free what it needs.
 */
#ifndef PAWL_SQLITE_TURN_H
#define PAWL_SQLITE_TURN_H

#include "../../base/instant.h"
#include "sqlite_lease.h"

#define PAWL__DEAD_DROP_MAX 1000 /* dead waiters, or holders, cleared by one request */

/* The request and what all steps of it need. */
typedef struct pawl__turn {
    pawl__sqlite_db *db;
    const pawl_request *request; /* NULL: nobody asks */
    const char *client_id;
    pawl__outbox *outbox;
    pawl__name name;
    int64_t now;
} pawl__turn;

/* The state of the name, before and after this request. */
typedef struct pawl__group {
    pawl__lock_row lock; /* held: by the owner in the row, or by those in `hold` */
    bool row_held;       /* what the row in the file says */
    bool is_smaller;     /* somebody in `hold` left, or no longer waits for an upgrade */
    uint64_t left;       /* the latest fence that need not be watched now: its watchers must ask */
    bool first_known;
    pawl__wait_row first; /* the first waiter, once it is known */
} pawl__group;

static inline bool pawl__same_token(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0; /* the whole token (law 5) */
}

/* Whether the token is the requester's, which learns from the answer what it waits for and whom to
 * watch. */
static inline bool pawl__is_asker(const pawl__turn *t, const char *token)
{
    if (!t->request) return false;
    bool may_wait = t->request->verb == PAWL_VERB_ACQUIRE || t->request->verb == PAWL_VERB_CHANGE;
    return may_wait && pawl__same_token(t->request->token, token);
}

static inline int64_t pawl__expiry(const pawl__turn *t, int64_t ttl_ns)
{
    return pawl__instant_add(t->now, ttl_ns);
}

/* ---- sqlite_turn.c: what every step needs --------------------------------------------- */

/* Adds a letter, which is sent when the transaction is committed; slots may be NULL. */
void pawl__turn_tell(const pawl__turn *t, const char *client, pawl_push_kind kind,
                     const char *token, uint64_t fence, const pawl__slots *slots);
/* The same, with a RECHECK for the owner. */
void pawl__turn_recheck(const pawl__turn *t, const pawl__owner *owner);

/* The requester as an owner in a row; tied to this process unless the request is detached. */
void pawl__fill_asker(const pawl__turn *t, pawl__owner *ret_owner);
/* The lease counts from now. If it is ours and has lost its tie, it is tied again. */
void pawl__extend(const pawl__turn *t, pawl__hold_row *holder);

/* ---- sqlite_queue.c: those who wait ------------------------------------------------- */

/* Puts the first waiter into g->first. Dead places are deleted. */
int pawl__queue_first(const pawl__turn *t, pawl__group *g);
/* Removes a waiter that has had its turn. */
int pawl__queue_drop(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter);
/* Removes a waiter that has not had its turn: the watch of the next waiter is void. */
int pawl__queue_leave(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter);
/* ---- sqlite_grant.c: who may hold beside whom --------------------------------------- */

/* Reads the row; ends leases that ran out; grants to those who fit. */
int pawl__group_begin(const pawl__turn *t, pawl__group *ret_group);
/* Grants from the head of the queue as long as they fit (rule 9); an upgrade comes first. */
int pawl__group_let_in(const pawl__turn *t, pawl__group *g);
/* The last step: writes that nobody is left; tells those whose watch is void. */
int pawl__group_finish(const pawl__turn *t, pawl__group *g);

/* What is asked for; for permits also how many, and of which capacity. */
typedef struct pawl__wish {
    pawl_mode mode;
    uint32_t units, capacity;
} pawl__wish;

/*
 * Whether it fits beside the holders. Dead holders that are in the way are removed; the latest
 * living one is *ret_in_way.
 */
int pawl__group_fits(const pawl__turn *t, pawl__group *g, const pawl__wish *wish, bool *ret_fits,
                     pawl__hold_row *ret_in_way);
/* The latest holder, but not the one with that token (may be NULL). Dead ones are dropped. */
int pawl__group_latest_but(const pawl__turn *t, pawl__group *g, const char *token,
                           pawl__hold_row *ret_row);
/* The holder with the token. */
int pawl__group_holder(const pawl__turn *t, pawl__group *g, const char *token,
                       pawl__hold_row *ret_row);
/* The one that waits to be upgraded. */
int pawl__group_upgrader(const pawl__turn *t, pawl__group *g, pawl__hold_row *ret_row);
/* Whether anybody except the holder with the token `but` waits, for the name or for an upgrade. */
int pawl__group_is_awaited(const pawl__turn *t, pawl__group *g, const char *but, bool *ret_awaited);
/* Removes dead holders from `hold`. */
int pawl__group_drop_dead(const pawl__turn *t, pawl__group *g);

/* Grants to `holder`, alone or beside others; draws fence and slots. */
int pawl__group_grant(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder);
/* The only holder gets the name exclusively, with a new fence. */
int pawl__group_upgrade(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder);
/* The first waiter watched this holder, or an earlier one, and must ask whom to watch now. */
void pawl__group_void_watches(pawl__group *g);
/* Removes a holder. */
int pawl__group_drop(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder, bool dead);
/* Moves the only holder to `hold`, which has a column for the number of a change. */
int pawl__group_open(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder);

/* ---- sqlite_answer.c ------------------------------------------------------------------- */

int pawl__answer_held(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder,
                      pawl_outcome outcome, pawl__answer *ret_answer);
int pawl__answer_busy(const pawl__turn *t, pawl__group *g, pawl__answer *ret_answer);
int pawl__answer_queued(const pawl__turn *t, const pawl__group *g, int64_t position,
                        pawl__answer *ret_answer);
void pawl__answer_failed(pawl_err err, pawl__answer *ret_answer);
/* Names who broke the lease, if somebody did (rule 13). */
int pawl__answer_not_owner(const pawl__turn *t, pawl__answer *ret_answer);
static inline pawl__watch_mark pawl__mark_of(const pawl__hold_row *holder)
{
    return (pawl__watch_mark){holder->owner.live, holder->owner.pid, holder->owner.pid_ns};
}
/* Tells the first waiter whom to watch. */
int pawl__answer_watch(const pawl__turn *t, pawl__group *g, const pawl__wish *wish,
                       pawl__answer *ret_answer);

/* ---- sqlite_enter.c ---------------------------------------------------------------------- */

/* The requester waits: it takes a place, or keeps the one that it has (place->found). */
int pawl__queue_enter(const pawl__turn *t, pawl__group *g, pawl__wait_row *place,
                      pawl__answer *ret_answer);
/* There is a new waiter: tells the holders beside whom it does not fit, except the one with the
 * token `but`. */
int pawl__queue_ask_to_yield(const pawl__turn *t, const pawl__group *g, pawl_mode wanted,
                             const char *but);

/* ---- sqlite_change.c ------------------------------------------------------------------ */

/* CHANGE (rule 10). */
int pawl__lease_change(const pawl__turn *t, pawl__answer *ret_answer);

/* ---- sqlite_sweep.c: rows that nobody asks for any more -------------------------------- */

int pawl__sweep_old_rows(const pawl__turn *t);

#endif
