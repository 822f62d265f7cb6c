/* SPDX-License-Identifier: MIT */
/*
 * pawl/types.h - the words that callers (pawl.h) and stores (store.h) share:
 * errors, tokens, reports about locks.
 *
 * Durations are int64_t milliseconds and end in _ms. Instants are int64_t
 * nanoseconds of the client's clock and end in _ns or _at.
 */
#ifndef PAWL_TYPES_H
#define PAWL_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define PAWL_API      __attribute__((visibility("default")))
#define PAWL_MUST_USE __attribute__((warn_unused_result))
#else
#define PAWL_API
#define PAWL_MUST_USE
#endif

/* ---- Bounds (law 8: everything has a named bound) ---------------------- */

#define PAWL_NAME_MAX       512      /* bytes of a lock's name, NUL not counted */
#define PAWL_OWNER_MAX      255      /* bytes of an owner label */
#define PAWL_TTL_MIN_MS     10       /* less may be over after one delay by the scheduler */
#define PAWL_TTL_MAX_MS     86400000 /* 24 h: a crashed holder must not block for longer */
#define PAWL_TTL_DEFAULT_MS 30000    /* usual among libraries that renew by themselves */
#define PAWL_MESSAGE_MAX    512      /* bytes of an error message, NUL counted */

#define PAWL_CAPACITY_MAX 1024 /* permits of one semaphore */
#define PAWL_NAMES_MAX    64   /* names of one handle */
/* Acquisitions of one handle at a time; if there are more, a release is missing. */
#define PAWL_REENTRY_MAX  10000

/* A wait_ms without limit. */
#define PAWL_WAIT_FOREVER (-1)

/* ---- Errors ------------------------------------------------------------- */

/*
 * Classes say what to do:
 *   BUSY      somebody else holds it: wait, or come back later
 *   RETRY     the store cannot serve now: try again later
 *   LOST      you do not hold it (any more): stop using the resource
 *   UNKNOWN   it may or may not have been done: ask, or let the lease run out
 *   USAGE     the call is wrong: change the program
 *   DENIED    the store refuses, somebody must change its set-up
 *   CANCELED  you asked for it
 *   INTERNAL  pawl or the system failed: every lease is reported lost
 */
typedef enum pawl_err_class {
    PAWL_CLASS_OK = 0,
    PAWL_CLASS_BUSY,
    PAWL_CLASS_RETRY,
    PAWL_CLASS_LOST,
    PAWL_CLASS_UNKNOWN,
    PAWL_CLASS_USAGE,
    PAWL_CLASS_DENIED,
    PAWL_CLASS_CANCELED,
    PAWL_CLASS_INTERNAL
} pawl_err_class;

/* name, number, class, text: one list makes the enum, the names and the texts. */
#define PAWL_ERR_LIST(X)                                                                           \
    X(BUSY, -1, BUSY, "somebody else holds the lock")                                              \
    X(TIMEOUT, -2, BUSY, "the lock stayed busy for the whole wait")                                \
    X(LOST, -3, LOST, "the lock was lost")                                                         \
    X(NOT_HELD, -4, LOST, "the lock is not held")                                                  \
    X(UNKNOWN, -5, UNKNOWN, "the store did not answer: it may or may not have been done")          \
    X(UNAVAILABLE, -6, RETRY, "the store cannot be reached")                                       \
    X(LOADING, -7, RETRY, "the store is still loading its data")                                   \
    X(STORE_BUSY, -8, RETRY, "the store is busy")                                                  \
    X(READONLY, -9, RETRY, "the store is read-only")                                               \
    X(STORE_FULL, -10, RETRY, "the store has no room left")                                        \
    X(AUTH, -11, DENIED, "the store refused the user or password")                                 \
    X(PERMISSION, -12, DENIED, "the store denies a permission that pawl needs")                    \
    X(WRONG_TYPE, -13, DENIED, "the name belongs to something that is not a lock")                 \
    X(CORRUPT, -14, DENIED, "the store's data is damaged")                                         \
    X(VERSION, -15, DENIED, "the store was written by, or is, a version that does not fit")        \
    X(NETWORK_FS, -16, DENIED, "the file lies on a network filesystem")                            \
    X(PROTOCOL, -17, DENIED, "the store answered something that is not its protocol")              \
    X(URL, -18, USAGE, "the store's URL is malformed")                                             \
    X(SCHEME, -19, USAGE, "no store has this URL scheme")                                          \
    X(OPTION, -20, USAGE, "unknown or malformed option")                                           \
    X(NAME, -21, USAGE, "a lock's name has 1 to 512 bytes and no NUL")                             \
    X(TTL, -22, USAGE, "a ttl lies between 10 ms and 24 h")                                        \
    X(ARGUMENT, -23, USAGE, "an argument is wrong")                                                \
    X(STATE, -24, USAGE, "the handle is not in a state that allows this call")                     \
    X(UNSUPPORTED, -25, USAGE, "this store or version cannot do that")                             \
    X(FORKED, -26, USAGE, "this process is a fork of the one that opened the client")              \
    X(CLOSED, -27, CANCELED, "the client was closed")                                              \
    X(CANCELED, -28, CANCELED, "the caller canceled")                                              \
    X(NO_MEMORY, -29, INTERNAL, "out of memory")                                                   \
    X(SYSTEM, -30, INTERNAL, "the operating system refused")                                       \
    X(FENCE, -31, INTERNAL, "the store handed out a fence that did not grow")                      \
    X(INTERNAL, -32, INTERNAL, "an invariant of pawl is broken")                                   \
    X(OWNER, -33, USAGE, "an owner label has at most 255 bytes and no control characters")         \
    X(TLS, -34, DENIED,                                                                            \
      "no encrypted connection: a certificate was refused, or one side has no TLS")                \
    X(KIND, -35, USAGE, "the name is in use as another kind of lock")                              \
    X(CAPACITY, -36, USAGE, "the semaphore is in use with another capacity")                       \
    X(UNITS, -37, USAGE, "a semaphore has 1 to 1024 permits; a request takes 1 to all of them")    \
    X(MODE, -38, USAGE,                                                                            \
      "a lock held in this mode cannot change to that one: to write later, take it in mode "       \
      "update")                                                                                    \
    X(REENTRY, -39, USAGE,                                                                         \
      "the handle was acquired 10000 times and not released: a release is missing")                \
    X(NAMES, -40, USAGE, "a handle has 1 to 64 names, and each of them once")                      \
    X(DONE, -50, BUSY, "it has been done in this period already")                                  \
    X(VALUE, -51, USAGE, "a leader's value has at most 4096 bytes")                                \
    X(BROKEN, -52, LOST, "the latch or barrier is broken: a party has left, or it was forgotten")  \
    X(COUNT, -53, USAGE, "the latch or barrier is in use with another count")                      \
    X(PARTIES, -54, USAGE,                                                                         \
      "a barrier has 1 to 1000 parties; a latch counts from 1 to 1000000, by 1 to all of them")

typedef enum pawl_err {
    PAWL_OK = 0,
#define PAWL_ERR_ENUM(name, number, cls, text) PAWL_ERR_##name = (number),
    PAWL_ERR_LIST(PAWL_ERR_ENUM)
#undef PAWL_ERR_ENUM
        PAWL_ERR_FORCE_INT = -0x7fffffff
} pawl_err;

/*
 * The text, the name ("PAWL_ERR_BUSY") and the class of an error. Never NULL;
 * static strings. Any thread. Numbers that are no error: "unknown error",
 * PAWL_CLASS_INTERNAL. Since 0.1.
 */
PAWL_API const char *pawl_err_text(int err);
PAWL_API const char *pawl_err_name(int err);
PAWL_API pawl_err_class pawl_err_class_of(int err);

/* ---- Tokens --------------------------------------------------------------- */

/*
 * The owner's proof: 128 random bits and a 32-bit counter in lowercase hex,
 * new for every lease. It is a secret: whoever knows it can release the lock.
 */
#define PAWL_TOKEN_LEN 40
typedef struct pawl_token {
    char text[PAWL_TOKEN_LEN + 1];
} pawl_token;

/* ---- Modes ---------------------------------------------------------------- */

/*
 * What may be held beside what, on one name:
 *
 *   asked        beside shared   update   exclusive   permits
 *   shared             yes        yes       no           -
 *   update             yes        no        no           -
 *   exclusive          no         no        no           -
 *   permit             -          -         -         while units fit the capacity
 *
 * "-": a name is a lock or a semaphore as long as anybody holds it or waits for it; the other
 * kind is refused with PAWL_ERR_KIND.
 */
typedef enum pawl_mode {
    PAWL_MODE_EXCLUSIVE = 0, /* alone: for a writer */
    PAWL_MODE_SHARED,        /* beside others: for readers */
    PAWL_MODE_UPDATE,        /* one beside readers: reads now and may write later */
    PAWL_MODE_PERMIT,        /* some of the permits of a semaphore */
    PAWL_MODE_FORCE_INT = 0x7fffffff
} pawl_mode;

/* ---- What a store can promise ---------------------------------------------- */

typedef enum pawl_fence_kind {
    PAWL_FENCE_NONE = 0,
    PAWL_FENCE_BEST_EFFORT, /* grows unless the store loses memory and its clock goes back */
    PAWL_FENCE_DURABLE      /* grows, whatever crashes */
} pawl_fence_kind;

typedef struct pawl_caps {
    size_t size;
    pawl_fence_kind fence;
    bool fair;            /* waiters are served in order of arrival */
    bool push;            /* the store tells a waiter of its turn; it need not poll */
    bool list;            /* pawl_list works */
    bool instant_release; /* the death of a holder's process frees its locks at once */
    unsigned modes;       /* bit (1 << pawl_mode) for each mode that it grants */
    bool values;          /* it keeps a value beside a name: once, election, latch and barrier */
    bool notes;           /* reports say who broke a lock last */
    int64_t linger_ms;    /* a lock that is not released is free at most this long after its ttl */
} pawl_caps;

/* ---- Reports ---------------------------------------------------------------- */

typedef struct pawl_waiter_info {
    const char *owner; /* readable label */
    int64_t age_ms;    /* how long it has waited */
    int64_t place_ms;  /* its place expires after this unless refreshed */
    pawl_mode mode;    /* what it waits for */
    uint32_t units;    /* permits that it waits for; 0 unless mode is PERMIT */
} pawl_waiter_info;

/* One holder of a name. Several of them have it together in the modes that allow it. */
typedef struct pawl_holder_info {
    const char *owner;    /* readable label; "" if unknown */
    int64_t remaining_ms; /* until its lease expires; -1: never */
    uint64_t fence;       /* 0: none known */
    pawl_mode mode;
    uint32_t units; /* permits that it has; 0 unless mode is PERMIT */
    bool mine;      /* held by the token that the request carried */
} pawl_holder_info;

/*
 * One lock as the store sees it. All pointers live as long as the callback. Names and labels
 * are bytes that others have chosen: escape them before you show them on a terminal or a page.
 */
typedef struct pawl_info {
    size_t size;
    const char *name;
    size_t name_len;
    bool held;
    bool foreign;         /* held by a client that is not pawl (plain SET NX PX) */
    bool mine;            /* held by the token that the request carried; false without one */
    const char *owner;    /* the holder's label; "" if unknown */
    int64_t remaining_ms; /* until the lease expires; -1: never (a foreign key without ttl) */
    uint64_t fence;       /* of the present or the last holder; 0: none known */
    size_t waiter_count;  /* all that wait */
    const pawl_waiter_info *waiters; /* in order of arrival; as many as waiters_shown */
    size_t waiters_shown;            /* at most PAWL_WAITERS_SHOWN_MAX */
    /*
     * Everybody who holds it. The members above tell of the holder whose fence is the largest;
     * remaining_ms is the longest of all: the name may be held until then.
     */
    pawl_mode mode;                  /* of that holder; meaningless while free */
    uint32_t capacity;               /* of the semaphore; 0: it is no semaphore */
    size_t holder_count;             /* all that hold it */
    const pawl_holder_info *holders; /* in order of their fences; as many as holders_shown */
    size_t holders_shown;            /* at most PAWL_HOLDERS_SHOWN_MAX */
    /*
     * Who broke a lease of it last (pawl_break), as long as the store remembers: as long as the
     * broken lease would have lived, at least a minute.
     */
    const char *broken_by; /* its label; NULL: nobody, or the store has forgotten */
    int64_t broken_ms;     /* how long ago; 0 without broken_by */
    uint64_t broken_fence; /* of the lease that was broken; 0 without broken_by */
} pawl_info;

/* A report stays readable and bounded. */
#define PAWL_WAITERS_SHOWN_MAX 1000
#define PAWL_HOLDERS_SHOWN_MAX 1000

/* How bad something is: a doctor's finding, a line of the log. */
typedef enum pawl_severity {
    PAWL_SEVERITY_OK = 0,
    PAWL_SEVERITY_NOTE,
    PAWL_SEVERITY_WARNING,
    PAWL_SEVERITY_ERROR
} pawl_severity;

/* A doctor's finding. All pointers live as long as the callback. */
typedef struct pawl_finding {
    size_t size;
    pawl_severity severity;
    const char *topic;  /* "eviction", "persistence", "clock" ... one word */
    const char *text;   /* one sentence: what was found */
    const char *advice; /* one sentence: what to do; "" if nothing */
} pawl_finding;

#ifdef __cplusplus
}
#endif
#endif
