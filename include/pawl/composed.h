/* SPDX-License-Identifier: MIT */
/*
 * pawl/composed.h - what is built on locks: a job that runs once in a period, the election
 * of a leader, a latch that opens when enough have come, a barrier that all pass together.
 *
 * What pawl.h says of ownership, threads, fork and waiting holds here as well. docs/composed.md
 * says how this is built and what it promises. It needs a store with pawl_caps.values; with others
 * the calls return PAWL_ERR_UNSUPPORTED.
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
 * A run whose process dies in between does not count: another one may run when the lease is over.
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
                                   exclusive, not re-entrant and not retained. Default NULL */
} pawl_once_opts;

/* Sets the defaults; see pawl_open_opts_init. Since 0.2. */
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
    bool due;         /* no run of this period counts: pawl_once_begin would allow one */
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
 * Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_once_new(pawl_client *client, const char *name, size_t name_len,
                                         const pawl_once_opts *opts, pawl_once **ret_once);

/*
 * Gives back the lock if it is held: such a run does not count. Cancels what waits (its done
 * callback still comes, once) and frees the handle. NULL is allowed. Always returns NULL. Do not
 * call it while another thread uses the handle. Since 0.2.
 */
PAWL_API pawl_once *pawl_once_free(pawl_once *once);

/*
 * Waits at most wait_ms for whoever runs the job now, as pawl_lock_acquire. 0: run it. After
 * any error nothing is held: PAWL_ERR_DONE (a run of this period counts; pawl_once_last tells
 * which), _BUSY and _TIMEOUT (somebody runs it: whether it will count is not known yet), _KIND
 * (the value beside the name belongs to something else), _UNSUPPORTED, _STATE (the run has begun
 * already, or a call of this handle is under way), and those of pawl_lock_acquire. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_once_begin(pawl_once *once, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. done is given the
 * lock of pawl_once_lock. Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_once_begin_start(pawl_once *once, int64_t wait_ms,
                                                 pawl_done_fn done, void *userdata);

/*
 * Says how the run went, and gives the lock back. 0: the store knows it. PAWL_ERR_LOST: the lock
 * had been lost, the store was not told, and another run may have begun. PAWL_ERR_UNKNOWN: the
 * store did not answer for wait_ms, or until the lease was over or the client was closed: if a
 * success has not reached it, the job will run again in this period. The message is repeated until
 * the store answers; it counts once. _NOT_HELD: it was not begun. _STATE, _CLOSED, _FORKED,
 * _ARGUMENT, store errors. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_once_end(pawl_once *once, bool success, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_once_end_start(pawl_once *once, bool success, int64_t wait_ms,
                                               pawl_done_fn done, void *userdata);

/*
 * What the latest pawl_once_begin or pawl_once_look of this handle found; all 0 before. No I/O.
 * Not while a call of the handle is under way. A macro passes the caller's size. Since 0.2.
 */
PAWL_API void pawl_once_last_sized(const pawl_once *once, pawl_once_info *ret_info, size_t size);
#define pawl_once_last(once, ret_info)                                                             \
    pawl_once_last_sized((once), (ret_info), sizeof(pawl_once_info))

/*
 * Asks the store how the latest run went, without the lock; pawl_once_last tells. Waits at most
 * wait_ms. Errors: _STATE (a call of this handle is under way), _KIND, _UNSUPPORTED, _UNAVAILABLE,
 * _UNKNOWN, _CLOSED, _FORKED, _ARGUMENT, store errors. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_once_look(pawl_once *once, int64_t wait_ms);

/* The lock of the run: look at it before each step that cannot be undone (pawl_lock_is_held),
   and pass on its fence. Do not acquire or release it. After pawl_lock_detach the lease runs out by
   itself; until then pawl_once_end may still say how the run went. Borrowed. Since 0.2. */
PAWL_API pawl_lock *pawl_once_lock(const pawl_once *once);

/* ---- Election -------------------------------------------------------------------------------- */

/*
 * The leader is the holder of the exclusive lock of a name. A candidate calls pawl_lock_acquire;
 * candidates lead in order of arrival. What pawl.h says about the loss of a lock holds for the loss
 * of the lead. An election adds two things: a value by which the leader is known, and observers
 * that are told of changes.
 * Use exclusive locks alone: what a reader of the name proclaims is not refused, and a name that is
 * held in another mode is told to have a leader.
 */

#define PAWL_LEADER_VALUE_MAX 4096 /* bytes */

/*
 * The leader, which holds `lock`, makes its value known, for example an address. The value replaces
 * the one before, and observers are told at once. It is known as long as the leader leads; after 30
 * days it must be proclaimed again. From then on the lease ends with the next release: it is
 * neither retained nor passed on to another candidate of the same client. 0: the store has it.
 * PAWL_ERR_VALUE: it is too long. PAWL_ERR_LOST: the lock had been lost. PAWL_ERR_UNKNOWN: the
 * store did not answer for wait_ms, or until the lease was over or the client was closed; until
 * then it is asked again. _NOT_HELD, _UNSUPPORTED, _CLOSED, _FORKED, _ARGUMENT, store errors. Since
 * 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_election_proclaim(pawl_lock *lock, const void *value,
                                                  size_t value_len, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. The lock must not be
   freed before that; the value is copied. Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_election_proclaim_start(pawl_lock *lock, const void *value,
                                                        size_t value_len, int64_t wait_ms,
                                                        pawl_done_fn done, void *userdata);

/*
 * Ends the lead: tells the observers, then releases the lock. After a mere release observers learn
 * of it later. The lock is released in any case; the result is that of the release, as
 * pawl_lock_release has it, or PAWL_ERR_NOT_HELD, _CLOSED, _FORKED, _ARGUMENT. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_election_resign(pawl_lock *lock, int64_t wait_ms);

/* The same without waiting; see pawl_election_proclaim_start. An error is that the observers cannot
   be told: the lock is released all the same. Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_election_resign_start(pawl_lock *lock, int64_t wait_ms,
                                                      pawl_done_fn done, void *userdata);

/* What is known of the leader. All pointers live as long as the callback. Labels and values are
   bytes that others have chosen: escape them before you show them. */
typedef struct pawl_leader {
    size_t size;
    int err;              /* 0, or why nothing is known now: then all else is 0 */
    bool leads;           /* somebody leads */
    const char *owner;    /* its label; "" if nobody leads */
    uint64_t fence;       /* of its lease */
    int64_t remaining_ms; /* until the lease ends, unless it is renewed; -1: never */
    const char *value;    /* what it has proclaimed, NUL-terminated; NULL: nothing yet */
    size_t value_len;
} pawl_leader;

typedef void (*pawl_leader_fn)(const pawl_leader *leader, void *userdata);

/*
 * Who leads now. The callback runs once, on the calling thread, before the function returns 0; not
 * after an error: _NAME, _KIND (the value beside the name belongs to something else), _UNSUPPORTED,
 * _UNAVAILABLE, _UNKNOWN, _CLOSED, _FORKED, _ARGUMENT, store errors. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_election_leader(pawl_client *client, const char *name,
                                                size_t name_len, int64_t wait_ms, pawl_leader_fn fn,
                                                void *userdata);

typedef struct pawl_observer pawl_observer;

/*
 * Follows the leader. fn is called where callbacks run: first with what is known now, then whenever
 * that changes (another leader, another value, nobody). A proclamation or a resignation is told
 * within a round trip. A leader that ends without a word is noticed when its lease is over. When
 * the store cannot be asked, fn is called once with err. Errors: as pawl_lock_new, _SYSTEM,
 * _UNSUPPORTED. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_election_observe(pawl_client *client, const char *name,
                                                 size_t name_len, pawl_leader_fn fn, void *userdata,
                                                 pawl_observer **ret_observer);

/*
 * Ends it: after the return fn is not called any more, unless it is called from fn itself. Each
 * observer is stopped once, also after the close of its client. NULL is allowed. Always
 * returns NULL. Since 0.2.
 */
PAWL_API pawl_observer *pawl_observer_stop(pawl_observer *observer);

/* ---- Latch ----------------------------------------------------------------------------------- */

/*
 * A latch of N opens when it has been counted down N times, no matter by whom. Then those who wait
 * go on, and those who come later do not wait. It opens once: for the next time use another name.
 * The store keeps it for keep_ms after the latest count; then it is as new.
 *
 * The latch does not know who has counted: a program that counts, dies and is started again counts
 * twice. If a program dies before it counts, the others keep waiting: let them wait with a limit.
 */
typedef struct pawl_latch pawl_latch;

#define PAWL_LATCH_COUNT_MAX   1000000
#define PAWL_LATCH_KEEP_MS     INT64_C(86400000)    /* a day */
#define PAWL_LATCH_KEEP_MAX_MS INT64_C(34560000000) /* 400 days */

typedef struct pawl_latch_opts {
    size_t size;     /* set by pawl_latch_opts_init */
    uint32_t count;  /* 1..PAWL_LATCH_COUNT_MAX; all who use the latch pass the same. No default */
    uint32_t unused; /* 0 */
    int64_t keep_ms; /* 1..PAWL_LATCH_KEEP_MAX_MS. Default PAWL_LATCH_KEEP_MS */
    int64_t ttl_ms;  /* lease of who counts: if it dies meanwhile, for so long nobody else can.
                        PAWL_TTL_MIN_MS.._MAX_MS. Default 30 s. Since 0.2 */
} pawl_latch_opts;

/* Sets the defaults; see pawl_open_opts_init. Since 0.2. */
PAWL_API void pawl_latch_opts_init_sized(pawl_latch_opts *opts, size_t size);
#define pawl_latch_opts_init(o) pawl_latch_opts_init_sized((o), sizeof(pawl_latch_opts))

/*
 * Makes a handle; no I/O. name as in pawl_lock_new: let nothing else use that name. A handle has
 * one call at a time. Errors: PAWL_ERR_PARTIES (count), _ARGUMENT (keep_ms, or no opts), _TTL, and
 * as pawl_lock_new. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_latch_new(pawl_client *client, const char *name, size_t name_len,
                                          const pawl_latch_opts *opts, pawl_latch **ret_latch);

/* Ends what waits (its done callback still comes, once, with PAWL_ERR_CANCELED), and frees the
   handle. NULL is allowed. Always returns NULL. Not while another thread uses it. Since 0.2. */
PAWL_API pawl_latch *pawl_latch_free(pawl_latch *latch);

/*
 * Counts down by 1..count; not below 0. 0: it counts, and pawl_latch_left tells what is left.
 * PAWL_ERR_UNKNOWN: the store did not answer until the lease or wait_ms was over, or the client was
 * closed, so it may or may not count. After any other error nothing was counted: PAWL_ERR_COUNT
 * (the latch has another count), _BROKEN (more is left than when this handle last looked: the store
 * has forgotten the latch, or it has ended and begun again; the next call uses it as it is), _KIND
 * (the value beside the name belongs to something else), _BUSY and _TIMEOUT (others count), _LOST,
 * _STATE, _PARTIES (by), _UNSUPPORTED, _ARGUMENT, _CANCELED, and those of pawl_lock_acquire. Since
 * 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_latch_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms);

/* The same without waiting: done is called once, with lock NULL, unless an error is returned.
   Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_latch_count_down_start(pawl_latch *latch, uint32_t by,
                                                       int64_t wait_ms, pawl_done_fn done,
                                                       void *userdata);

/*
 * Waits until the latch is open. 0: it is. PAWL_ERR_BUSY (wait_ms 0), _TIMEOUT: not yet;
 * pawl_latch_left tells how many are to come. PAWL_ERR_BROKEN, _COUNT, _KIND as above.
 * _UNAVAILABLE, _UNKNOWN: the store cannot be asked. _STATE, _UNSUPPORTED, _ARGUMENT, _CANCELED,
 * _CLOSED, _FORKED, store errors. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_latch_wait(pawl_latch *latch, int64_t wait_ms);

/* The same without waiting: done is called once, with lock NULL, unless an error is returned.
   Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_latch_wait_start(pawl_latch *latch, int64_t wait_ms,
                                                 pawl_done_fn done, void *userdata);

/*
 * Ends the call of this handle that is under way, on another thread or asynchronously: it returns
 * PAWL_ERR_CANCELED, unless it ends by itself at that moment, or has sent its count; what the store
 * has been asked is waited for first. 0: it was told; a call that begins right then may be the one
 * that is told. PAWL_ERR_STATE: none is under way. _FORKED, _ARGUMENT. Does not wait; any thread.
 * Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_latch_cancel(pawl_latch *latch);

/* Asks the store; pawl_latch_left tells. Errors as pawl_latch_wait. Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_latch_look(pawl_latch *latch, int64_t wait_ms);

/* How many are to come, as the latest call of the handle found it; `count` before. No I/O. Not
   while a call is under way. Since 0.2. */
PAWL_API uint32_t pawl_latch_left(const pawl_latch *latch);

/* ---- Barrier --------------------------------------------------------------------------------- */

/*
 * A barrier of N lets N parties pass together when all of them wait; the next N make the next
 * round. A party that is still on its way out of one round is not counted in the next. Each party
 * has a lease while it waits. If a party dies or gives up, the round is broken, and all who wait in
 * it get PAWL_ERR_BROKEN; those who come after that begin a new round. If another one takes the
 * place of a dead party before anybody has noticed, nothing is broken.
 *
 * A party that passes knows that at one moment all N were there and alive. One of them may have
 * died since, and one that gives up or loses its lease at that very moment may have been counted.
 */
typedef struct pawl_barrier pawl_barrier;

#define PAWL_BARRIER_PARTIES_MAX 1000
#define PAWL_BARRIER_NAME_MAX    (PAWL_NAME_MAX - 5) /* NAME.gate is used, too */

typedef struct pawl_barrier_opts {
    size_t size;      /* set by pawl_barrier_opts_init */
    uint32_t parties; /* 1..PAWL_BARRIER_PARTIES_MAX; all parties pass the same. No default */
    uint32_t unused;  /* 0 */
    int64_t ttl_ms;   /* lease of a party that waits, PAWL_TTL_MIN_MS.._MAX_MS. Default 30 s */
} pawl_barrier_opts;

/* Sets the defaults; see pawl_open_opts_init. Since 0.2. */
PAWL_API void pawl_barrier_opts_init_sized(pawl_barrier_opts *opts, size_t size);
#define pawl_barrier_opts_init(o) pawl_barrier_opts_init_sized((o), sizeof(pawl_barrier_opts))

/*
 * Makes a handle for one party; no I/O. name has at most PAWL_BARRIER_NAME_MAX bytes; let nothing
 * else use that name, nor NAME.gate. A handle has one call at a time. Errors: PAWL_ERR_PARTIES
 * (parties), _ARGUMENT (no opts), and as pawl_lock_new. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_barrier_new(pawl_client *client, const char *name, size_t name_len,
                                            const pawl_barrier_opts *opts,
                                            pawl_barrier **ret_barrier);

/* Ends what waits (its done callback still comes, once, with PAWL_ERR_CANCELED; the others are
   told), and frees the handle. NULL is allowed. Always returns NULL. Not while another thread uses
   it. Since 0.2. */
PAWL_API pawl_barrier *pawl_barrier_free(pawl_barrier *barrier);

/*
 * Waits until all parties of the round are there. 0: they are; pawl_barrier_generation tells which
 * round it was. PAWL_ERR_TIMEOUT, _BUSY (wait_ms 0): they are not, and the others are told that
 * this party has given up, for which it may take half a second more. PAWL_ERR_BROKEN: another one
 * has given up or died, or the store has forgotten the barrier. PAWL_ERR_LOST: our own lease was
 * lost. PAWL_ERR_COUNT: it is in use with another count. _KIND: one of the two names is in use as
 * something else. _UNAVAILABLE, _UNKNOWN: the store cannot be asked. _STATE, _UNSUPPORTED,
 * _ARGUMENT, _CANCELED, and those of pawl_lock_acquire. After any error call it again to take part
 * in another round. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_barrier_wait(pawl_barrier *barrier, int64_t wait_ms);

/* The same without waiting: done is called once, with lock NULL, unless an error is returned.
   Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_barrier_wait_start(pawl_barrier *barrier, int64_t wait_ms,
                                                   pawl_done_fn done, void *userdata);

/*
 * Ends the wait of this handle that is under way, as pawl_latch_cancel: it returns
 * PAWL_ERR_CANCELED, and the others of the round are told that this party has given up; but a round
 * that all have come to opens all the same, and then it returns 0. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_barrier_cancel(pawl_barrier *barrier);

/* The round that this party passed last: 1, 2 and so on, the same for all that passed together; 0:
   none yet. Not while a call is under way. Since 0.2. */
PAWL_API uint64_t pawl_barrier_generation(const pawl_barrier *barrier);

#ifdef __cplusplus
}
#endif
#endif
