/* SPDX-License-Identifier: MIT */
/*
 * One request, carried out: for those files only that are named below. Each calls those that
 * stand above it; sqlite_lease.c, which has the verbs, calls all.
 *
 * Each function runs inside one BEGIN IMMEDIATE transaction: nobody else writes meanwhile, so
 * "read, decide in C, write" is atomic, and `now`, read after the transaction began, only grows
 * from one transaction to the next. All return an SQLite result or PAWL__SQLITE_NEEDS_CEILING.
 *
 * Who holds. One that holds alone stands in the row of `lock`, and nothing else is touched for it.
 * As soon as a name is granted in another mode, or a holder changes its mode, the row of `lock`
 * has an empty token and those who hold stand in `hold`, until nobody is left there.
 *
 * A lease stands while its row is there, its expiry has not come and its holder's byte of the live
 * file is taken. A place in the queue stands likewise. What does not stand is cleared by whoever
 * comes across it.
 *
 * Who watches whom. A waiter is told in the answer whom to watch (sqlite_watch.c): the one that
 * stands directly before it in the queue, or, if it is the first, a holder that stands in its way,
 * the latest of them. In a FIFO queue the one before me is also the latest who holds before me, so
 * the watch stays right when the queue moves on. Where it does not stay right, the one who waits
 * first gets a RECHECK: a waiter or the latest holder left without having died. Of a semaphore the
 * first one watches all holders, for the death of any may be what it waits for.
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

/* The name, as this request finds it and leaves it. */
typedef struct pawl__group {
    pawl__lock_row lock; /* held: by who stands there, or by those in `hold` */
    bool row_held;       /* what the row in the file says */
    bool is_smaller;     /* somebody in `hold` left, or waits no more to be upgraded */
    uint64_t left;       /* the latest fence of those that are watched no more: who did must ask */
    bool first_known;
    pawl__wait_row first; /* who waits first, once it is known */
} pawl__group;

static inline bool pawl__same_token(const char *a, const char *b)
{
    return a && b && strcmp(a, b) == 0; /* the whole token (law 5) */
}

/* Whether it learns by the answer what it waits for, and whom to watch. */
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

/* To be sent when the transaction is committed; slots may be NULL. */
void pawl__turn_tell(const pawl__turn *t, const char *client, pawl_push_kind kind,
                     const char *token, uint64_t fence, const pawl__slots *slots);
/* Ask again, whatever you know. */
void pawl__turn_recheck(const pawl__turn *t, const pawl__owner *owner);

/* The asker, as it stands in rows; tied to this process unless the request is detached. */
void pawl__fill_asker(const pawl__turn *t, pawl__owner *ret_owner);
/* The lease counts from now. Our own one that lost its tie is tied again. */
void pawl__extend(const pawl__turn *t, pawl__hold_row *holder);

/* ---- sqlite_queue.c: those who wait ------------------------------------------------- */

/* Who waits first, into g->first. Places that do not stand are deleted. */
int pawl__queue_first(const pawl__turn *t, pawl__group *g);
/* It has had its turn. */
int pawl__queue_drop(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter);
/* It goes without having had its turn: its successor's watch is void. */
int pawl__queue_leave(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter);
/* ---- sqlite_grant.c: who may hold beside whom --------------------------------------- */

/* Reads the row; leases that ran out end; whoever may come in comes in. */
int pawl__group_begin(const pawl__turn *t, pawl__group *ret_group);
/* From the head of the queue all come in who fit (rule 9); an upgrade goes before them. */
int pawl__group_let_in(const pawl__turn *t, pawl__group *g);
/* The last step: writes down that nobody is left; tells those whose watch is void. */
int pawl__group_finish(const pawl__turn *t, pawl__group *g);

/* What is wanted: of a permit also how many, and of which capacity. */
typedef struct pawl__wish {
    pawl_mode mode;
    uint32_t units, capacity;
} pawl__wish;

/*
 * Whether it may come in beside those who hold. Those that stand in the way and are dead hold no
 * more; one that lives is *ret_in_way, the latest of them.
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
/* Whether anybody waits, for the name or to be upgraded, but the holder with the token. */
int pawl__group_is_awaited(const pawl__turn *t, pawl__group *g, const char *but, bool *ret_awaited);
/* Those in `hold` that are dead hold no more. */
int pawl__group_drop_dead(const pawl__turn *t, pawl__group *g);

/* Comes in, alone or beside the others; fence and slots are drawn. */
int pawl__group_grant(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder);
/* The holder, who has nobody beside it, has the name exclusively, with a new fence. */
int pawl__group_upgrade(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder);
/* Those who wait first watched this one, or one before it, and must ask whom to watch now. */
void pawl__group_void_watches(pawl__group *g);
/* Holds no more. */
int pawl__group_drop(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder, bool dead);
/* Who holds alone moves to `hold`, where the number of a change has its place. */
int pawl__group_open(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder);

/* ---- sqlite_answer.c ------------------------------------------------------------------- */

int pawl__answer_held(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder,
                      pawl_outcome outcome, pawl__answer *ret_answer);
int pawl__answer_busy(const pawl__turn *t, pawl__group *g, pawl__answer *ret_answer);
int pawl__answer_queued(const pawl__turn *t, const pawl__group *g, int64_t position,
                        pawl__answer *ret_answer);
void pawl__answer_failed(pawl_err err, pawl__answer *ret_answer);
/* Who broke the lease is named, if somebody did (rule 13). */
int pawl__answer_not_owner(const pawl__turn *t, pawl__answer *ret_answer);
static inline pawl__watch_mark pawl__mark_of(const pawl__hold_row *holder)
{
    return (pawl__watch_mark){holder->owner.live, holder->owner.pid, holder->owner.pid_ns};
}
/* Whom the one that waits first shall watch. */
int pawl__answer_watch(const pawl__turn *t, pawl__group *g, const pawl__wish *wish,
                       pawl__answer *ret_answer);

/* ---- sqlite_enter.c ---------------------------------------------------------------------- */

/* The asker waits: it takes a place, or keeps the one that it has (place->found). */
int pawl__queue_enter(const pawl__turn *t, pawl__group *g, pawl__wait_row *place,
                      pawl__answer *ret_answer);
/* Somebody waits who did not: those beside whom this does not fit hear of it. But one of them. */
int pawl__queue_ask_to_yield(const pawl__turn *t, const pawl__group *g, pawl_mode wanted,
                             const char *but);

/* ---- sqlite_change.c ------------------------------------------------------------------ */

/* CHANGE (rule 10). */
int pawl__lease_change(const pawl__turn *t, pawl__answer *ret_answer);

/* ---- sqlite_sweep.c: rows that nobody asks for any more -------------------------------- */

int pawl__sweep_old_rows(const pawl__turn *t);

#endif
