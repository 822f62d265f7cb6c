/* SPDX-License-Identifier: MIT */
/*
 * What Python cannot do by itself. Nothing in here takes the GIL: a callback of libpawl leaves its
 * news in C, and a thread of Python's fetches them. So no thread of pawl ever waits for Python,
 * neither at a fork nor at the end of the interpreter.
 */
#ifndef PAWL_PYTHON_NATIVE_H
#define PAWL_PYTHON_NATIVE_H

#include <pawl/composed.h>
#include <pawl/pawl.h>
#include <stdint.h>

#if PAWL_VERSION_MAJOR == 0 && PAWL_VERSION_MINOR < 2
#error                                                                                             \
    "this binding needs libpawl 0.2 or newer: install it, or take an older version of the package"
#endif

/* ---- Options, by value (inbox.c) ------------------------------------------------------------ */

#define PAWLPY_DEFAULT INT64_MIN /* libpawl's own value */

typedef struct pawlpy_open_opts {
    const char *owner;        /* NULL: the default */
    int64_t store_timeout_ms; /* or PAWLPY_DEFAULT, as all times */
    int64_t close_timeout_ms;
    int dispatch; /* callbacks run in pawl_client_dispatch, else on libpawl's thread */
    int logs;     /* lines of the log go to the inbox */
} pawlpy_open_opts;

typedef struct pawlpy_lock_opts {
    int64_t ttl_ms;
    int64_t retain_ms;
    const char *owner; /* NULL: the client's */
    int detached;
    int reentrant;
    int mode;          /* a pawl_mode */
    uint32_t capacity; /* of a semaphore, as the next one: else 0 */
    uint32_t units;
} pawlpy_lock_opts;

/* ---- The main thread's first try (guard.c) --------------------------------------------------- */

/*
 * pawl_lock_acquire(lock, 0), for the main thread. Python runs handlers of signals on the main
 * thread, and not before a call of C has returned: so a try that the store does not answer at
 * once ends with PAWL_ERR_CANCELED after 0.05 to 0.1 s.
 */
int pawlpy_try(pawl_lock *lock);

/* ---- A wait that a signal interrupts (wait.c) --------------------------------------------------
 */

#define PAWLPY_NOT_YET 1

typedef struct pawlpy_wait pawlpy_wait; /* one asynchronous call of libpawl, and its end */

/* They begin the call. 0, or why it has not begun; then *ret_wait is untouched. */
int pawlpy_wait_acquire(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_release(pawl_lock *lock, pawlpy_wait **ret_wait);
int pawlpy_wait_upgrade(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_begin(pawl_once *once, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_end(pawl_once *once, int success, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms,
                         pawlpy_wait **ret_wait);
int pawlpy_wait_resign(pawl_lock *lock, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_latch(pawl_latch *latch, int64_t wait_ms, pawlpy_wait **ret_wait);
int pawlpy_wait_barrier(pawl_barrier *barrier, int64_t wait_ms, pawlpy_wait **ret_wait);
/* The outcome; PAWLPY_NOT_YET after slice_ms, or when a signal came. */
int pawlpy_wait_for(pawlpy_wait *wait, int slice_ms);
/* The caller is done with it, whether the call has ended or not. */
void pawlpy_wait_free(pawlpy_wait *wait);
/*
 * The caller goes although nobody told it the outcome, and frees `wait` (which may be NULL): what
 * waits is canceled, what was granted is released.
 */
void pawlpy_give_up(pawl_lock *lock, pawlpy_wait *wait);
/* The same for an upgrade: what was held stays held. */
void pawlpy_give_up_upgrade(pawl_lock *lock, pawlpy_wait *wait);

/* ---- News of locks and clients (inbox.c) --------------------------------------------------------
 */

typedef struct pawlpy_inbox pawlpy_inbox;
typedef struct pawlpy_teller pawlpy_teller; /* what a lock has to say, until it is fetched */

#define PAWLPY_DONE     8 /* beyond the kinds of pawl_event */
#define PAWLPY_LOG      9
#define PAWLPY_UPGRADED 10
#define PAWLPY_SAID     11 /* a leader has proclaimed */
#define PAWLPY_LEADER   12 /* an observer has news: pawlpy_observer_take */

typedef struct pawlpy_news {
    uint64_t id; /* of the teller; 0 of the log */
    int kind;    /* PAWL_EVENT_..., or one of the two above */
    int err;     /* the outcome, the reason, or the severity of a line */
    int64_t remaining_ms;
    char message[PAWL_MESSAGE_MAX];
} pawlpy_news;

/* NULL: out of memory. */
pawlpy_inbox *pawlpy_inbox_new(void);
/* Nobody tells any more: the client is closed, the tellers are freed. NULL is allowed. */
void pawlpy_inbox_free(pawlpy_inbox *inbox);
/* Fetches at most max of what is there, and tells how many. */
int pawlpy_inbox_take(pawlpy_inbox *inbox, pawlpy_news *ret_news, int max);
/* Sleeps until there is news: 0, or -1 after pawlpy_inbox_end and when there is none. */
int pawlpy_inbox_wait(pawlpy_inbox *inbox);
void pawlpy_inbox_end(pawlpy_inbox *inbox);

pawlpy_teller *pawlpy_teller_new(pawlpy_inbox *inbox, uint64_t id);
/* After the lock was freed, and after the outcome of what it began has come. NULL is allowed. */
void pawlpy_teller_free(pawlpy_teller *teller);

int pawlpy_open(const char *url, const pawlpy_open_opts *given, pawlpy_inbox *inbox,
                pawl_client **ret_client, char *reterr_message);
/* teller NULL: nobody hears of its events. */
int pawlpy_lock_new(pawl_client *client, const char *name, size_t name_len,
                    const pawlpy_lock_opts *given, pawlpy_teller *teller, pawl_lock **ret_lock);
int pawlpy_lock_new_all(pawl_client *client, const char *const *names, size_t count,
                        const pawlpy_lock_opts *given, pawlpy_teller *teller, pawl_lock **ret_lock);
int pawlpy_once_new(pawl_client *client, const char *name, size_t name_len, int64_t every_ms,
                    int keeps_failures, const pawlpy_lock_opts *given, pawlpy_teller *teller,
                    pawl_once **ret_once);
/* The outcome comes to the inbox as PAWLPY_DONE. */
int pawlpy_tell_acquire(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_release(pawl_lock *lock, pawlpy_teller *teller);
/* As PAWLPY_UPGRADED: a release may end beside it. */
int pawlpy_tell_upgrade(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller);

int pawlpy_tell_begin(pawl_once *once, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_end(pawl_once *once, int success, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_latch(pawl_latch *latch, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_barrier(pawl_barrier *barrier, int64_t wait_ms, pawlpy_teller *teller);
int pawlpy_tell_resign(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller);
/* As PAWLPY_SAID. */
int pawlpy_tell_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms,
                         pawlpy_teller *teller);

/* ---- Observers (observer.c) --------------------------------------------------------------------
 */

typedef struct pawlpy_observer pawlpy_observer; /* and the latest that it knows */

typedef struct pawlpy_leader {
    int err, leads, has_value;
    uint64_t fence;
    int64_t remaining_ms;
    char owner[PAWL_OWNER_MAX + 1];
    size_t value_len;
    char value[PAWL_LEADER_VALUE_MAX + 1];
} pawlpy_leader;

/* teller: as for a lock. It is freed after pawlpy_observer_free. */
int pawlpy_observer_new(pawl_client *client, const char *name, size_t name_len,
                        pawlpy_teller *teller, pawlpy_observer **ret_observer);
void pawlpy_observer_take(pawlpy_observer *observer, pawlpy_leader *ret_leader);
/* NULL is allowed. */
void pawlpy_observer_free(pawlpy_observer *observer);
int pawlpy_leader_now(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                      pawlpy_leader *ret_leader);

/* ---- For observer.c (inbox.c) ------------------------------------------------------------------
 */

/* The mutex of the teller's inbox. */
void pawlpy_teller_lock(pawlpy_teller *teller);
void pawlpy_teller_unlock(pawlpy_teller *teller);
/* Mutex held: it has news of that kind. */
void pawlpy_teller_tell(pawlpy_teller *teller, int kind);

int pawlpy_caps(pawl_client *client, int64_t wait_ms, pawl_caps *ret_caps);

#endif
