/* SPDX-License-Identifier: MIT */
/*
 * pawl/pawl.h - a distributed lock over the store that you already run.
 *
 * Read this first:
 *
 *  - A lock can be lost while your code runs: your process was stopped for
 *    longer than the ttl, the store was away until the deadline, somebody broke
 *    it. pawl tells you at your own deadline, before the store could give the
 *    lock away (pawl_lock_is_held, PAWL_EVENT_LOST). It cannot stop your code.
 *  - So a lock alone protects efficiency. For correctness pass the fence to the
 *    resource, and let the resource refuse a smaller one than it has seen.
 *  - A child of fork() holds nothing: in it every call returns PAWL_ERR_FORKED.
 *  - Clocks need not agree. Their rates may differ by less than the margin (10 %).
 *
 * Ownership: what comes through a ret_ argument is yours to free; what a
 * function returns as a const pointer is borrowed from the object. A ret_
 * argument is untouched on failure.
 *
 * Every operation completes exactly once, also when it is canceled, timed out
 * or closed. A loss is signalled once, with its reason.
 *
 * Threads: all functions may be called from any thread, and one client or lock
 * handle from several, unless a function says otherwise. A signal handler may call
 * pawl_lock_is_held and pawl_lock_remaining_ms only. So may a handler of pthread_atfork in
 * the parent: there every other function returns PAWL_ERR_STATE or does nothing.
 *
 * A thread may stop inside a call of pawl: in a handler of its signals, or because it gets no
 * processor. If it works for the client at that moment, other calls of this client may return late,
 * by as long as it stands still. While the client holds a lease, the client's own thread does the
 * work, and a caller does it for 0.2 ms at a time only. So renewals wait for a caller only if it
 * stops within such a moment. A loss is told in time in any case, by another thread. (With
 * PAWL_CALLBACKS_WAIT pawl has no other thread that could tell it.)
 *
 * pthread_cancel ends a thread when its call of pawl has returned, not within it: to end a wait,
 * use pawl_lock_cancel.
 *
 * Ownership of a lock is the handle, not the thread: two handles on one name
 * exclude each other, also within a thread; a handle may be released by another
 * thread than the one that acquired it.
 */
#ifndef PAWL_PAWL_H
#define PAWL_PAWL_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

#define PAWL_VERSION_MAJOR 0
#define PAWL_VERSION_MINOR 2
#define PAWL_VERSION_PATCH 0
#define PAWL_VERSION       "0.2.0"

/* The version of the library in use, "0.2.0". Static. Since 0.1. */
PAWL_API const char *pawl_version(void);

typedef struct pawl_client pawl_client; /* one store, one connection, any number of locks */
typedef struct pawl_lock pawl_lock;     /* a handle on one name */

/* ---- Client --------------------------------------------------------------- */

typedef enum pawl_callbacks {
    PAWL_CALLBACKS_THREAD = 0, /* on a thread of their own, started when it is first needed */
    PAWL_CALLBACKS_DISPATCH,   /* callbacks run inside pawl_client_dispatch() */
    PAWL_CALLBACKS_WAIT        /* callbacks and renewals run inside pawl_client_wait(): no thread */
} pawl_callbacks;

/* Receives what pawl notices by itself: one line, without secrets or control characters. */
typedef void (*pawl_log_fn)(pawl_client *client, pawl_severity severity, const char *line,
                            void *userdata);

/* Receives what a client notices as typed events: pawl/trace.h. */
struct pawl_trace;
typedef void (*pawl_trace_fn)(pawl_client *client, const struct pawl_trace *event, void *userdata);

struct pawl_metrics; /* pawl/metrics.h */

typedef struct pawl_open_opts {
    size_t size;              /* set by pawl_open_opts_init */
    const char *owner;        /* readable label of its locks, at most PAWL_OWNER_MAX bytes, no
                                 control characters; NULL: "user@host pid program", and
                                 " trace=ID" where TRACEPARENT names a trace */
    int64_t store_timeout_ms; /* how long a call waits for a store that does not answer, from the
                                 call's begin or from the moment at which the store went away;
                                 then it returns PAWL_ERR_UNAVAILABLE or the store's reason.
                                 PAWL_WAIT_FOREVER: only the call's own wait_ms ends it.
                                 Default 5000 */
    int64_t close_timeout_ms; /* pawl_client_close waits at most this long for its
                                 releases to be confirmed. Default 1000 */
    pawl_callbacks callbacks; /* where callbacks run. Default PAWL_CALLBACKS_THREAD */
    pawl_log_fn log;          /* default NULL: silence */
    void *log_userdata;
    pawl_trace_fn trace; /* default NULL: nobody listens */
    void *trace_userdata;
    uint64_t
        trace_kinds; /* PAWL_TRACE_BIT(kind) of each kind that `trace` hears; 0: all. Default 0 */
    struct pawl_metrics *metrics; /* what the client does is counted there. Default NULL */
} pawl_open_opts;

/*
 * Sets the defaults. A macro passes the caller's size, so that the struct can
 * grow: fields that this program does not know keep their default. Since 0.1.
 */
PAWL_API void pawl_open_opts_init_sized(pawl_open_opts *opts, size_t size);
#define pawl_open_opts_init(o) pawl_open_opts_init_sized((o), sizeof(pawl_open_opts))

/*
 * Opens a client on the store at url:
 *
 *   memory:                         in this process, shared by clients of the same memory:NAME;
 *                                   the log says that it does not lock out other processes
 *   sqlite:/path/locks.db           one machine; "sqlite:" alone: the default file
 *   redis://[user:password@]host[:port][/db][?prefix=pawl:]
 *                                   password instead: ?password_file=, $PAWL_REDIS_PASSWORD
 *   rediss://...                    the same over TLS; ?tls_ca=, tls_cert=, tls_key=, tls_name=,
 *                                   tls_verify=none
 *   redis+unix:///path/sock[?db=N]
 *   postgres://[user[:password]@]host[:port]/database
 *                                   and any parameter of libpq, as ?sslmode=verify-full
 *   mysql://[user[:password]@]host[:port]/database
 *                                   MariaDB or MySQL; ?password_file=, socket=, ssl=verify
 *
 * Every option is explained in pawl(1).
 *
 * url NULL: $PAWL_STORE, or "sqlite:" if that is unset or empty. "" is refused: a setting that
 * somebody forgot must not lock this machine alone. Does not wait for the store: the first
 * acquisition does. opts NULL: defaults.
 *
 * Errors: PAWL_ERR_URL, _SCHEME, _OPTION, _OWNER, _ARGUMENT, _UNSUPPORTED (unknown
 * option struct tail), _NO_MEMORY, _SYSTEM, and what the store finds at once
 * (_CORRUPT, _VERSION, _NETWORK_FS, _PERMISSION ..., _FORKED: this process was forked while SQLite
 * was in use, see docs/guarantees.md). reterr_message, if not NULL, has PAWL_MESSAGE_MAX bytes and
 * receives one line that says what and where; "" on success. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_client_open(const char *url, const pawl_open_opts *opts,
                                            pawl_client **ret_client, char *reterr_message);

/*
 * Releases every held lock, leaves every queue, completes every waiting call
 * with PAWL_ERR_CLOSED, waits at most close_timeout_ms for the store to confirm, and
 * frees the client. It also waits for a callback that runs, and for calls of other threads,
 * which end with PAWL_ERR_CLOSED: after the return nobody uses the client. So it must not be called
 * from a callback. NULL is allowed. Always returns NULL. In a forked child it only frees memory.
 *
 * Lock handles stay valid until they are freed; all calls on them return PAWL_ERR_CLOSED. While
 * one of them is left, calls on the client return PAWL_ERR_CLOSED as well. Keep one lock handle if
 * another thread may still call. Since 0.1.
 */
PAWL_API pawl_client *pawl_client_close(pawl_client *client);

/*
 * The file descriptor that is readable while callbacks wait for
 * pawl_client_dispatch: for poll, epoll, libuv, libevent, asyncio, Go. Owned by
 * the client. -1 unless opened with PAWL_CALLBACKS_DISPATCH. Since 0.1.
 */
PAWL_API int pawl_client_fd(const pawl_client *client);

/*
 * Runs the callbacks that wait, at most PAWL_DISPATCH_MAX of them, and returns
 * how many ran; 0 if none waited. Never blocks. Callbacks may call anything but
 * pawl_client_close. Callbacks of a client run one at a time: the result is 0 while another thread
 * runs one. Errors: PAWL_ERR_STATE without PAWL_CALLBACKS_DISPATCH, _CLOSED, _FORKED. Since 0.1.
 */
PAWL_API int pawl_client_dispatch(pawl_client *client);
#define PAWL_DISPATCH_MAX 256 /* one turn must not starve the caller's loop */

/*
 * For programs that have a loop and want no threads: a client that was opened with
 * PAWL_CALLBACKS_WAIT starts none. This function does the work that a thread would do, until
 * callbacks wait, `fd` is readable (-1: none is watched; an epoll descriptor stands for many), or
 * wait_ms have passed (0: it does what can be done at once, PAWL_WAIT_FOREVER allowed). Then it
 * runs the callbacks, at most PAWL_DISPATCH_MAX of them, and returns how many ran.
 *
 * Leases are renewed only while a thread is in this or another waiting function: call it
 * again within a third of the ttl. A lease that was not renewed in time is lost, and
 * pawl_lock_is_held says so. Errors: PAWL_ERR_STATE (opened otherwise, called from a
 * callback, or another thread is in it), _ARGUMENT (also a descriptor that cannot be
 * waited for, as that of a plain file), _CLOSED, _FORKED, _SYSTEM. Since 0.1.
 */
PAWL_API int pawl_client_wait(pawl_client *client, int fd, int64_t wait_ms);

/*
 * Copies one line about the latest trouble of this client (what, where, what to
 * do) into ret_message, which has PAWL_MESSAGE_MAX bytes; "" if there was none. Since 0.1.
 */
PAWL_API void pawl_client_message(const pawl_client *client, char *ret_message);

/*
 * Copies one line that says why a call on this client ended with err into ret_message, which has
 * PAWL_MESSAGE_MAX bytes. If err came from the store, the line has the store's own words and its
 * address; else it is pawl_err_text(err). It contains no secrets. Since 0.1.
 */
PAWL_API void pawl_client_reason(const pawl_client *client, int err, char *ret_message);

/* The client's label as others see it. Borrowed. Since 0.1. */
PAWL_API const char *pawl_client_owner(const pawl_client *client);

/* The store's URL without its password. Borrowed. Since 0.1. */
PAWL_API const char *pawl_client_url(const pawl_client *client);

/*
 * Waits until the store answers, at most wait_ms, and says what it promises. A macro passes the
 * caller's size, as for pawl_open_opts_init; ret_caps->size says how much was filled in. Errors:
 * PAWL_ERR_UNAVAILABLE and the store's reason (_AUTH, ...), _FORKED, _CLOSED, _STATE (inside a
 * handler of fork), _ARGUMENT. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_client_caps_sized(pawl_client *client, int64_t wait_ms,
                                                  pawl_caps *ret_caps, size_t size);
#define pawl_client_caps(client, wait_ms, ret_caps)                                                \
    pawl_client_caps_sized((client), (wait_ms), (ret_caps), sizeof(pawl_caps))

/* ---- Lock ------------------------------------------------------------------- */

typedef enum pawl_event_kind {
    PAWL_EVENT_DOUBT = 1, /* a renewal is overdue: still held, until the deadline */
    PAWL_EVENT_HELD,      /* a renewal was confirmed after doubt */
    PAWL_EVENT_LOST,      /* lost; comes once for each acquisition, err says why */
    PAWL_EVENT_YIELD      /* somebody else waits for it: release soon if you can */
} pawl_event_kind;

typedef struct pawl_event {
    size_t size;
    pawl_event_kind kind;
    pawl_err err;         /* DOUBT, LOST: why */
    int64_t remaining_ms; /* until the local deadline; 0 when lost */
    const char *message;  /* one line for people; "" if there is none */
} pawl_event;

typedef void (*pawl_event_fn)(pawl_lock *lock, const pawl_event *event, void *userdata);

/* The end of an asynchronous acquisition or release: err 0 or why not. */
typedef void (*pawl_done_fn)(pawl_lock *lock, int err, void *userdata);

/*
 * The lease is not tied to this process: when the process ends or closes the client, the lease
 * stays at the store until its ttl is over or somebody releases it by its token. While
 * the handle holds it, it is renewed like any other. For a lock that one process takes and another
 * one keeps: acquire with this flag, pass on the token, then call pawl_lock_detach.
 */
#define PAWL_LOCK_DETACHED 0x1u

/*
 * The handle counts: acquiring it while it is held succeeds at once, from whatever thread, and
 * only the last release gives the lock back. So a function that takes the lock can call another
 * one that takes it, too, if both have the handle. Two handles exclude each other as always.
 * At most PAWL_REENTRY_MAX acquisitions (PAWL_ERR_REENTRY). After a loss each release returns
 * PAWL_ERR_LOST, and the last one makes the handle free for a new acquisition. Release once for
 * each acquisition that succeeded, and not for one that ended with PAWL_ERR_LOST. pawl_lock_free
 * gives everything back. While one acquisition waits, another one returns PAWL_ERR_STATE.
 */
#define PAWL_LOCK_REENTRANT 0x2u

typedef struct pawl_lock_opts {
    size_t size;            /* set by pawl_lock_opts_init */
    int64_t ttl_ms;         /* lease length, PAWL_TTL_MIN_MS..PAWL_TTL_MAX_MS. Default 30 s. Renewed
                               at a third of it, in the background, until released */
    int64_t retain_ms;      /* keep the lease this long after a release, for the next acquisition
                               by this client, until another client waits for it, or this one wants
                               it in a mode that has no room beside it; at the latest until exit()
                               or the client's close. Who tries with wait_ms 0 is told BUSY
                               meanwhile: it does not wait. Default 0 */
    const char *owner;      /* label of this lock as others see it; copied; NULL: the client's */
    unsigned flags;         /* PAWL_LOCK_... */
    pawl_event_fn on_event; /* may be NULL */
    void *event_userdata;
    pawl_mode mode;    /* what is acquired: see pawl_mode. Default PAWL_MODE_EXCLUSIVE */
    uint32_t capacity; /* PERMIT: permits of the semaphore, 1..PAWL_CAPACITY_MAX; all its users
                          name the same. Else 0. Default 0 */
    uint32_t units;    /* PERMIT: how many of them one acquisition takes, 1..capacity. Default 1 */
    uint32_t unused;   /* 0 */
} pawl_lock_opts;

/* Sets the defaults; see pawl_open_opts_init. Since 0.1. */
PAWL_API void pawl_lock_opts_init_sized(pawl_lock_opts *opts, size_t size);
#define pawl_lock_opts_init(o) pawl_lock_opts_init_sized((o), sizeof(pawl_lock_opts))

/*
 * Makes a handle on a name; no I/O. name has name_len bytes, 1..PAWL_NAME_MAX,
 * no NUL among them; it is copied. opts NULL: defaults. Errors: PAWL_ERR_NAME,
 * _TTL, _OWNER, _UNITS, _ARGUMENT, _UNSUPPORTED, _NO_MEMORY, _CLOSED, _FORKED. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_new(pawl_client *client, const char *name, size_t name_len,
                                         const pawl_lock_opts *opts, pawl_lock **ret_lock);

/*
 * Releases if held, cancels if waiting (its done callback still comes, once),
 * and frees the handle. NULL is allowed. Always returns NULL. May be called
 * from the handle's own callbacks. Called from elsewhere it waits until no callback of
 * the handle runs: after the return the data that on_event uses may be freed. By then such a
 * callback acquires nothing (PAWL_ERR_STATE). Do not call it while another thread uses the handle.
 * Since 0.1.
 */
PAWL_API pawl_lock *pawl_lock_free(pawl_lock *lock);

/*
 * Acquires, waiting at most wait_ms: 0 not at all, PAWL_WAIT_FOREVER without
 * limit. 0 on success: from then on the lease is renewed until it is released
 * or lost. Waiters get their turn in order of arrival at the store.
 *
 * If the store is away, before the call is in its queue or later, the call ends after
 * store_timeout_ms with PAWL_ERR_UNAVAILABLE or the reason of the outage. If wait_ms ends earlier
 * while the store is away, the call ends then, with the same error. With wait_ms 0 it ends so as
 * soon as one attempt to connect has failed. PAWL_ERR_BUSY and _TIMEOUT mean that the store has
 * answered: somebody else has the lock.
 *
 * Errors: PAWL_ERR_BUSY (wait_ms 0), _TIMEOUT, _CANCELED (pawl_lock_cancel),
 * _CLOSED, _STATE (held, unless with PAWL_LOCK_REENTRANT, or acquiring on this handle
 * already), _REENTRY, _LOST (lost before: call pawl_lock_release first), _FORKED, _ARGUMENT,
 * _UNAVAILABLE and what the store reports (_AUTH, _PERMISSION, _WRONG_TYPE, _READONLY ...;
 * _UNSUPPORTED: it does not grant that mode; _KIND, _CAPACITY: the name is in use as something
 * else); pawl_client_reason has the store's words. After any error nothing is held: if the outcome
 * is unknown, pawl releases in the background what may have been granted. Since 0.1. Algorithm:
 * docs/protocol.md; the deadline counts from an instant before the request left.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_acquire(pawl_lock *lock, int64_t wait_ms);

/*
 * The same without waiting for the outcome: done is called once, unless the
 * function itself returns an error (_STATE, _LOST, _FORKED, _CLOSED, _ARGUMENT).
 * Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_acquire_start(pawl_lock *lock, int64_t wait_ms,
                                                   pawl_done_fn done, void *userdata);

/*
 * pawl_lock_acquire_start, which looks for the outcome first. For a program in which waking up
 * costs more than a store that is near takes to answer: one with an event loop, or with goroutines.
 *
 * It looks for look_ms at most, in which the thread may sleep. look_ms 0: it never sleeps. It looks
 * only if no other thread works for the client at that moment, and as long as pawl_lock_acquire
 * looks before it sleeps: at most 0.2 ms, and not at all where answers have been taking longer.
 *
 * If the outcome comes meanwhile, the function returns it: the errors are those of
 * pawl_lock_acquire, and done is not called. Else it returns 0 and *ret_started is true: done is
 * called once, later. *ret_started false: acquired. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_acquire_or_start(pawl_lock *lock, int64_t wait_ms,
                                                      int64_t look_ms, pawl_done_fn done,
                                                      void *userdata, bool *ret_started);

/*
 * Ends a waiting acquisition or upgrade of this handle with PAWL_ERR_CANCELED, unless it
 * has been decided already. Nothing stays behind at the store. Errors:
 * PAWL_ERR_STATE (nothing waits), _FORKED, _CLOSED. Since 0.1.
 */
PAWL_API int pawl_lock_cancel(pawl_lock *lock);

/*
 * Ways to release. They differ in what has happened when they return:
 *
 *   pawl_lock_release        the release is on its way. Use this one, unless you need another
 *   pawl_lock_release_wait   the store has done it. For a release before _exit(), exec or a message
 *                            of your own that says "your turn"; and where the store must say
 *                            whether the lock was held until the end
 *   pawl_lock_release_start  the same as an asynchronous call, for a program with an event loop
 */

/*
 * Releases. Returns when the release is on its way: from then on another client may hold the lock.
 * The request is sent at once. exit() waits up to 250 ms for the store to confirm it. _exit() does
 * not: before it, call pawl_lock_release_wait or close the client.
 *
 * 0: the lock was held until now, by the local deadline. An inner release of a re-entrant handle
 * returns the same and sends nothing; this holds for all three functions. PAWL_ERR_LOST: it had
 * been lost before; the handle can acquire again. PAWL_ERR_NOT_HELD: it was never acquired.
 * _FORKED, _CLOSED. Since 0.1.
 */
PAWL_API int pawl_lock_release(pawl_lock *lock);

/*
 * Releases and waits for the store's answer, at most wait_ms (PAWL_WAIT_FOREVER
 * is allowed: the wait ends with the lease at the latest). 0: the store says that the lock was ours
 * until now. PAWL_ERR_LOST: it was not. PAWL_ERR_UNKNOWN: the store has not answered;
 * pawl goes on trying in the background until the lease has run out. Other errors as
 * in pawl_lock_release. Since 0.1.
 *
 * A loss that any of these functions finds is an event as well, if none has told it. The lock that
 * was held until the call is given back by it: what the store says then is the answer, no event.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_release_wait(pawl_lock *lock, int64_t wait_ms);

/* The same without waiting: done is called once, unless an error is returned. Since 0.1. */
PAWL_API PAWL_MUST_USE int pawl_lock_release_start(pawl_lock *lock, pawl_done_fn done,
                                                   void *userdata);

/*
 * For a program whose end runs no function of exit(), as one in Go: a release that only another
 * thread would send might never leave. If the caller can send the request itself, this is
 * pawl_lock_release: when it returns the request has left, unless the connection is down. If
 * another thread works for the client at that moment, it waits for the store's answer as
 * pawl_lock_release_wait, for look_ms at most; after that it returns 0, *ret_started is true, and
 * done is called once, later. *ret_started false: released. Errors as there. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_release_or_start(pawl_lock *lock, int64_t look_ms,
                                                      pawl_done_fn done, void *userdata,
                                                      bool *ret_started);

/*
 * Leaves the lease to somebody else: stops renewing it and forgets it, without releasing. The lease
 * runs out by itself at the store, unless somebody who has the token renews it (pawl_token_renew).
 * The handle can acquire again. Meant for leases of PAWL_LOCK_DETACHED: a lease without that
 * flag may end with this process (pawl_caps.instant_release).
 * Errors: PAWL_ERR_NOT_HELD, _LOST, _STATE (acquired more than once: PAWL_LOCK_REENTRANT), _FORKED,
 * _CLOSED. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_detach(pawl_lock *lock);

/*
 * Whether it is held now, by this client's clock: no I/O, no mutex; the answer is right
 * even if no thread of pawl has run. False in a forked child. Async-signal-safe.
 * Since 0.1.
 */
PAWL_API bool pawl_lock_is_held(const pawl_lock *lock);

/* The time until the local deadline; 0 when not held. No I/O. Async-signal-safe. Since 0.1. */
PAWL_API int64_t pawl_lock_remaining_ms(const pawl_lock *lock);

/*
 * The fencing token of the present acquisition, or of the latest one after it
 * was lost; 0 before the first. Callers of one client that use one lease, one after the other, have
 * the same fence. No I/O. Since 0.1.
 */
PAWL_API uint64_t pawl_lock_fence(const pawl_lock *lock);

/* The token of the present or latest acquisition; "" before the first. No I/O. Since 0.1. */
PAWL_API void pawl_lock_token(const pawl_lock *lock, pawl_token *ret_token);

/* The name, NUL-terminated. Borrowed. Since 0.1. */
PAWL_API const char *pawl_lock_name(const pawl_lock *lock);

/* ---- Several names ------------------------------------------------------------ */

/*
 * Makes a handle on several names, 1..PAWL_NAMES_MAX, all different, each NUL-terminated as in
 * pawl_lock_new: it holds all of them or none. Every call on it means all of them: one wait, one
 * deadline (the earliest), one event. The loss of one is the loss of all, and the others are given
 * back. The options hold for each name.
 *
 * Acquiring asks for all of them at once; where all are free that is one round trip. Else they are
 * acquired in byte order, each in its queue, so handles on several names never wait for each
 * other in a circle. While the handle waits it may hold some of them; if the acquisition fails it
 * holds none. A call with wait_ms 0 may find a name busy because somebody else tries it at the same
 * moment. Programs that already hold a lock while they acquire such a handle can still wait for
 * each other in a circle.
 *
 * pawl_lock_name, _fence, _token and _slots tell of the first name that was given; see
 * pawl_lock_part. pawl_lock_upgrade is PAWL_ERR_UNSUPPORTED. Errors: PAWL_ERR_NAMES (none, too
 * many, or one of them twice), and those of pawl_lock_new. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_new_all(pawl_client *client, const char *const *names,
                                             size_t count, const pawl_lock_opts *opts,
                                             pawl_lock **ret_lock);

/* How many names the handle has. Since 0.2. */
PAWL_API size_t pawl_lock_count(const pawl_lock *lock);

/*
 * One name of a handle, in the order in which they were given: for pawl_lock_name, _fence, _token,
 * _slots, _mode and _remaining_ms. Borrowed, as long as the handle. NULL: `at` is too large. What
 * the part tells is meaningful only while the whole handle is held. Since 0.2.
 */
PAWL_API const pawl_lock *pawl_lock_part(const pawl_lock *lock, size_t at);

/* ---- Modes ------------------------------------------------------------------- */

/*
 * The mode in which the handle holds, or held last; before the first acquisition the one that it
 * will ask for. No I/O. Since 0.2.
 */
PAWL_API pawl_mode pawl_lock_mode(const pawl_lock *lock);

/*
 * The permits of the present or latest acquisition: writes at most `room` slot numbers, the
 * lowest first, and returns how many there are; 0 before the first acquisition, and unless the
 * mode is PERMIT. A slot is one of 0 .. capacity-1; two holders never have the same one, and the
 * fences of a slot grow. No I/O; not while another thread acquires the handle. Since 0.2.
 */
PAWL_API size_t pawl_lock_slots(const pawl_lock *lock, uint16_t *ret_slots, size_t room);

/*
 * From UPDATE to EXCLUSIVE: waits, ahead of the whole queue, until all readers have released, at
 * most wait_ms as in pawl_lock_acquire. 0: it is exclusive, with a new, larger fence; also if it
 * was before. After any error but _LOST the lock is held in UPDATE mode as before: _BUSY (wait_ms
 * 0), _TIMEOUT, _CANCELED (pawl_lock_cancel, or the lock was given back meanwhile), _MODE (it is
 * held SHARED or as permits: take UPDATE to write later), _STATE (an upgrade waits already),
 * _NOT_HELD, _LOST, _CLOSED, _FORKED, _ARGUMENT, store errors. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_upgrade(pawl_lock *lock, int64_t wait_ms);

/* The same without waiting for the outcome: done is called once, unless an error is returned.
   Since 0.2. */
PAWL_API PAWL_MUST_USE int pawl_lock_upgrade_start(pawl_lock *lock, int64_t wait_ms,
                                                   pawl_done_fn done, void *userdata);

/*
 * From EXCLUSIVE to UPDATE or SHARED, and from UPDATE to SHARED. For this handle it takes effect at
 * once; the store is told in the background and then lets in the waiters that fit beside the new
 * mode. The fence stays. An upgrade that waits is canceled. Errors: PAWL_ERR_MODE (any other pair),
 * _NOT_HELD, _LOST, _CLOSED, _FORKED, _ARGUMENT. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_lock_downgrade(pawl_lock *lock, pawl_mode mode);

/* ---- All in one call --------------------------------------------------------- */

/*
 * What runs under the lock. `lock` is borrowed for the call: look at it before each step that
 * cannot be undone (pawl_lock_is_held), and pass its fence on (pawl_lock_fence).
 */
typedef void (*pawl_work_fn)(pawl_lock *lock, void *userdata);

/*
 * Opens the store at url (NULL: as pawl_client_open), acquires `name` (NUL-terminated) with the
 * default options, waiting at most wait_ms as pawl_lock_acquire, calls work(lock, userdata) once on
 * the calling thread, releases, and closes. For a program that takes one lock now and then; a
 * program that takes many should keep a client.
 *
 * 0: work has run, and the lock was held until it was given back. PAWL_ERR_LOST: work has run,
 * and the lock was lost meanwhile. After any other error work has not run: those of
 * pawl_client_open and pawl_lock_acquire, and PAWL_ERR_ARGUMENT. reterr_message, if not NULL, has
 * PAWL_MESSAGE_MAX bytes and receives one line that says why. Since 0.2.
 */
PAWL_API PAWL_MUST_USE int pawl_with_lock(const char *url, const char *name, int64_t wait_ms,
                                          pawl_work_fn work, void *userdata, char *reterr_message);

/* ---- By token: leases that outlive a process -------------------------------- */

/*
 * These calls and those of the next section wait at most wait_ms, and at most store_timeout_ms for
 * a store that is away. With wait_ms 0 they do not wait for a store that is away: as in an
 * acquisition, they end when the first attempt to connect has failed. A store that can be reached
 * still has its usual time to answer.
 */

/*
 * Extends the lease by ttl_ms from now, if the token still holds it.
 * ret_fence may be NULL. Waits at most wait_ms. Errors: PAWL_ERR_LOST (not the
 * holder), _UNKNOWN, _NAME, _TTL, _ARGUMENT (malformed token), store errors.
 * Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_token_renew(pawl_client *client, const char *name, size_t name_len,
                                            const char *token, int64_t ttl_ms, int64_t wait_ms,
                                            uint64_t *ret_fence);

/* Releases if the token still holds; errors as pawl_token_renew. Since 0.1. */
PAWL_API PAWL_MUST_USE int pawl_token_release(pawl_client *client, const char *name,
                                              size_t name_len, const char *token, int64_t wait_ms);

/*
 * Whether the token holds the lock at the store now, without extending it.
 * ret_remaining_ms may be NULL. Errors: PAWL_ERR_LOST (not the holder), otherwise
 * as pawl_token_renew. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_token_check(pawl_client *client, const char *name, size_t name_len,
                                            const char *token, int64_t wait_ms,
                                            int64_t *ret_remaining_ms);

/* ---- Looking, and breaking --------------------------------------------------- */

/* Called for each lock; returns false to end the report. */
typedef bool (*pawl_info_fn)(const pawl_info *info, void *userdata);

/*
 * Reports one lock, also a free one (held false). The callback runs once, on
 * the calling thread, before the function returns. Errors: _NAME, _UNAVAILABLE,
 * _UNKNOWN, store errors. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_inspect(pawl_client *client, const char *name, size_t name_len,
                                        int64_t wait_ms, pawl_info_fn fn, void *userdata);

/*
 * Reports every lock held or waited for whose name begins with prefix (""
 * for all); not a snapshot. Callbacks run on the calling thread. Errors: as
 * pawl_inspect, _UNSUPPORTED. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_list(pawl_client *client, const char *prefix, size_t prefix_len,
                                     int64_t wait_ms, pawl_info_fn fn, void *userdata);

/*
 * Takes the lock from its holder, if the present fence is still `fence`, which pawl_inspect has
 * shown (for a foreign holder, too). So this never hits a holder that came later. The next grant
 * has a larger fence. The holder is told of its loss and of this client's label; others see the
 * label in pawl_info.broken_by. Errors: PAWL_ERR_NOT_HELD (free, or another fence), store errors.
 * Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_break(pawl_client *client, const char *name, size_t name_len,
                                      uint64_t fence, int64_t wait_ms);

typedef void (*pawl_finding_fn)(const pawl_finding *finding, void *userdata);

/*
 * Examines the store for what endangers locks. Callbacks run on the calling
 * thread. Errors: store errors. Since 0.1.
 */
PAWL_API PAWL_MUST_USE int pawl_doctor(pawl_client *client, int64_t wait_ms, pawl_finding_fn fn,
                                       void *userdata);

#ifdef __cplusplus
}
#endif
#endif
