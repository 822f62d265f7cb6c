/* SPDX-License-Identifier: MIT */
/*
 * pawl/composed.h - what is built on locks: a job that runs once in a period, and the
 * election of a leader.
 *
 * What pawl.h says of ownership, threads, fork and waiting holds here as well. How it is built,
 * and what it promises: docs/composed.md. It needs a store with pawl_caps.values; others answer
 * PAWL_ERR_UNSUPPORTED.
 */
#ifndef PAWL_COMPOSED_H
#define PAWL_COMPOSED_H

#include "pawl.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Once ------------------------------------------------------------------------------------ */

/*
 * At most one successful run of a job in each period, among all who name it. Periods are
 * counted by the store's clock: period number = time since 1970 / every_ms, so a period of
 * 24 h begins at midnight UTC. A run belongs to the period in which it began.
 *
 *     pawl_once_begin    0: it is ours to run, and we hold the lock of that name meanwhile
 *                        PAWL_ERR_DONE: it has been done in this period
 *     ...the job; it must stop when the lock is lost, as under any lock...
 *     pawl_once_end      says how it went, and gives the lock back
 *
 * Who dies in between has done nothing: another one may run when its lease is over.
 */
typedef struct pawl_once pawl_once;

#define PAWL_ONCE_EVERY_MIN_MS 100
#define PAWL_ONCE_EVERY_MAX_MS INT64_C(31622400000) /* 366 days */

/* A run that failed counts as well: nobody runs again in its period. */
#define PAWL_ONCE_KEEP_ON_FAILURE 0x1u

typedef struct pawl_once_opts {
    size_t size;                /* set by pawl_once_opts_init */
    int64_t every_ms;           /* length of a period, PAWL_ONCE_EVERY_MIN_MS.._MAX_MS. No default:
                                   0 is refused with PAWL_ERR_ARGUMENT */
    uint64_t flags;             /* PAWL_ONCE_... Default 0 */
    const pawl_lock_opts *lock; /* of the lock that is held meanwhile; copied. It must be
                                   exclusive, not detached and not retained. Default NULL */
} pawl_once_opts;

/* Sets the defaults; see pawl_open_opts_init. Since 0.1. */
PAWL_API void pawl_once_opts_init_sized(pawl_once_opts *opts, size_t size);
#define pawl_once_opts_init(o) pawl_once_opts_init_sized((o), sizeof(pawl_once_opts))

/* How the latest run that has ended went. */
typedef enum pawl_once_outcome {
    PAWL_ONCE_NEVER = 0, /* nothing is known: it never ran, or so long ago that it was forgotten */
    PAWL_ONCE_SUCCEEDED,
    PAWL_ONCE_FAILED,     /* it gave its period back */
    PAWL_ONCE_FAILED_KEPT /* with PAWL_ONCE_KEEP_ON_FAILURE */
} pawl_once_outcome;

typedef struct pawl_once_info {
    size_t size;
    pawl_once_outcome outcome;
    bool due;         /* no run of this period counts: pawl_once_begin would let one run */
    int64_t began_us; /* when it began, µs since 1970 by the store's clock; 0 if NEVER */
    int64_t ended_us; /* when it said how it went; 0 if NEVER */
    int64_t now_us;   /* the store's clock */
    int64_t next_us;  /* when the next period begins */
    uint64_t fence;   /* of its lease; 0 if NEVER */
    char owner[PAWL_OWNER_MAX + 1]; /* its label; "" if NEVER. Others have chosen it: escape it */
} pawl_once_info;

/*
 * Makes a handle on a job; no I/O. name as in pawl_lock_new: let nothing else use that name.
 * Errors: PAWL_ERR_ARGUMENT (every_ms, or a lock that is none of those), and as pawl_lock_new.
 * Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_once_new(pawl_client *client, const char *name, size_t name_len,
                                         const pawl_once_opts *opts, pawl_once **ret_once);

/*
 * Gives back what is held, as a run that failed without a word; cancels what waits (its done
 * callback still comes, once); frees the handle. NULL is allowed. Always returns NULL. Do
 * not call it while another thread uses the handle. Since 0.1.
 */
PAWL_API pawl_once *pawl_once_free(pawl_once *once);

/*
 * Waits at most wait_ms for whoever runs the job now, as pawl_lock_acquire. 0: run it. After
 * any error nothing is held: PAWL_ERR_DONE (a run of this period counts; pawl_once_last tells
 * which), _BUSY and _TIMEOUT (somebody runs it: whether it will count is not known yet), _KIND
 * (the value beside the name is none of a once), _UNSUPPORTED, _STATE (begun, or a call of this
 * handle is under way), and those of pawl_lock_acquire. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_once_begin(pawl_once *once, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. The lock that it
   is given is that of pawl_once_lock. Since 0.1. */
PAWL_API PAWL_MUST_USE int pawl_once_begin_start(pawl_once *once, int64_t wait_ms,
                                                 pawl_done_fn done, void *userdata);

/*
 * Says how the run went, and gives the lock back. 0: the store has it. PAWL_ERR_LOST: the lock
 * had been lost, nothing was said, and another one may have run or may run now.
 * PAWL_ERR_UNKNOWN: the store did not answer for wait_ms, or until the lease was over: if it
 * has not heard of a success, the job will run again in this period. While it does not answer
 * it is asked again; that counts once. _NOT_HELD: it was not begun. _STATE, _CLOSED, _FORKED,
 * _ARGUMENT, store errors. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_once_end(pawl_once *once, bool success, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. Since 0.1. */
PAWL_API PAWL_MUST_USE int pawl_once_end_start(pawl_once *once, bool success, int64_t wait_ms,
                                               pawl_done_fn done, void *userdata);

/*
 * What the latest pawl_once_begin or pawl_once_look of this handle found; all 0 before. No I/O.
 * Not while a call of the handle is under way. A macro passes the caller's size. Since 0.1.
 */
PAWL_API void pawl_once_last_sized(const pawl_once *once, pawl_once_info *ret_info, size_t size);
#define pawl_once_last(once, ret_info)                                                             \
    pawl_once_last_sized((once), (ret_info), sizeof(pawl_once_info))

/*
 * Asks the store how the latest run went, without the lock; pawl_once_last tells. Waits at
 * most wait_ms for somebody else's call of the handle to end: none may be under way (_STATE).
 * Errors: _KIND, _UNSUPPORTED, _UNAVAILABLE, _UNKNOWN, _CLOSED, _FORKED, _ARGUMENT, store
 * errors. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_once_look(pawl_once *once, int64_t wait_ms);

/* The lock of the run: look at it before each step that cannot be undone (pawl_lock_is_held),
   and pass on its fence. Do not acquire or release it. Borrowed. Since 0.1. */
PAWL_API pawl_lock *pawl_once_lock(const pawl_once *once);

/* ---- Election -------------------------------------------------------------------------------- */

/*
 * The leader is who holds the exclusive lock of a name: to campaign is pawl_lock_acquire, in order
 * of arrival, and everything that pawl.h says of a lock that is lost holds for one that leads. What
 * an election has beside that is a value by which the leader is known, and observers who are told.
 */

#define PAWL_LEADER_VALUE_MAX 4096 /* bytes */

/*
 * The leader, who holds `lock`, makes its value known: an address, say. It replaces the one
 * before, and observers are told at once. It is known as long as the leader leads; after 30
 * days it must be proclaimed anew. 0: the store has it. PAWL_ERR_VALUE: it is too long.
 * PAWL_ERR_LOST: the lock had been lost. PAWL_ERR_UNKNOWN: the store did not answer for wait_ms,
 * or until the lease was over; until then it is asked again. _NOT_HELD, _UNSUPPORTED, _CLOSED,
 * _FORKED, _ARGUMENT, store errors. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_election_proclaim(pawl_lock *lock, const void *value,
                                                  size_t value_len, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. The lock must not be
   freed before that; the value is copied. Since 0.1. */
PAWL_API PAWL_MUST_USE int pawl_election_proclaim_start(pawl_lock *lock, const void *value,
                                                        size_t value_len, int64_t wait_ms,
                                                        pawl_done_fn done, void *userdata);

/*
 * Leads no more: tells observers, who would else find out later that a leader has only let go, and
 * releases. The lock is released in any case; the result is that of the release, as
 * pawl_lock_release has it, or PAWL_ERR_NOT_HELD, _CLOSED, _FORKED, _ARGUMENT. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_election_resign(pawl_lock *lock, int64_t wait_ms);

/* The same without waiting; see pawl_election_proclaim_start. Since 0.1. */
PAWL_API PAWL_MUST_USE int pawl_election_resign_start(pawl_lock *lock, int64_t wait_ms,
                                                      pawl_done_fn done, void *userdata);

/* What is known of the leader. All pointers live as long as the callback. Labels and values are
   bytes that others have chosen: escape them before you show them. */
typedef struct pawl_leader {
    size_t size;
    int err;              /* 0, or why nothing is known now: then all else is 0 */
    bool leads;           /* somebody does */
    const char *owner;    /* its label; "" if nobody leads */
    uint64_t fence;       /* of its lease */
    int64_t remaining_ms; /* until the lease ends, unless it is renewed; -1: never */
    const char *value;    /* what it has proclaimed, NUL-terminated; NULL: nothing yet */
    size_t value_len;
} pawl_leader;

typedef void (*pawl_leader_fn)(const pawl_leader *leader, void *userdata);

/*
 * Who leads now. The callback runs once, on the calling thread, before the function returns 0; not
 * after an error: _NAME, _KIND (the value beside the name is none of an election),
 * _UNSUPPORTED, _UNAVAILABLE, _UNKNOWN, _CLOSED, _FORKED, _ARGUMENT, store errors. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_election_leader(pawl_client *client, const char *name,
                                                size_t name_len, int64_t wait_ms, pawl_leader_fn fn,
                                                void *userdata);

typedef struct pawl_observer pawl_observer;

/*
 * Follows the leader: fn is called, in the place of callbacks, with what is known first, and then
 * whenever that changes: another leader, another value, nobody. What is proclaimed or resigned is
 * told within a round trip; the silent end of a leader when its lease is over. While the store
 * cannot be asked, fn is told so once, with err. Errors: as pawl_lock_new, _SYSTEM. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_election_observe(pawl_client *client, const char *name,
                                                 size_t name_len, pawl_leader_fn fn, void *userdata,
                                                 pawl_observer **ret_observer);

/*
 * Ends it: after the return fn is not called any more, unless it is called from fn itself. Each
 * observer is stopped once, also after the close of its client. NULL is allowed. Always
 * returns NULL. Since 0.1.
 */
PAWL_API pawl_observer *pawl_observer_stop(pawl_observer *observer);

#ifdef __cplusplus
}
#endif
#endif
