/* SPDX-License-Identifier: MIT */
/*
 * pawl/store.h - the store contract, for people who add a store.
 *
 * A store keeps the truth about locks: who holds a name until when, who waits,
 * which fence comes next. It runs no policy: when to ask, renew, give up or
 * report a loss is the engine's business.
 *
 * The rules, each tested by the conformance suite (proof/tests/conformance):
 *
 *  1. Asynchronous. submit() never blocks and never calls the host
 *     from inside itself. Blocking work runs on a thread of the store's own; for the exceptions
 *     see work_inline and may_block in the host.
 *  2. Every request is answered exactly once, by its answer_by at the latest;
 *     with PAWL_UNKNOWN when the store may have acted and no reply came (law 4).
 *     A connection on which a request timed out is closed, so that its late
 *     reply is never read as another's.
 *  3. Idempotent by token. ACQUIRE with a token that already holds grants again,
 *     with the same fence and a full ttl, if what it holds covers what it asks for: the same mode
 *     or a stronger one (pawl_mode_covers), and as many units. Else it fails with PAWL_ERR_MODE and
 *     changes nothing: only CHANGE changes a mode. ACQUIRE with a token that already waits keeps
 *     its place. RENEW and RELEASE compare the whole token, atomically (law 5), and RENEW never
 *     re-creates what is gone. Where a lease lives in the session of the client that took it, that
 *     client alone can keep it: RENEW and ACQUIRE of another one fail with PAWL_ERR_UNSUPPORTED,
 *     unless it was taken with PAWL_ASK_DETACHED; closing the client ends it.
 *  4. Requests of one store object take effect in the order of submit() while
 *     the link stays up. So a RELEASE that follows an ACQUIRE with the same
 *     token undoes it, whatever became of the ACQUIRE.
 *  5. Expiry is computed by the store's clock only. The ttl in a grant counts
 *     from a moment not before the request was submitted.
 *     A lock whose lease ran out goes to its first waiter with the next request for the name,
 *     whoever sends it (law 7), or earlier. INSPECT, PUBLISH and READ do not do that.
 *  6. fence = max(last + 1, store's clock in µs), drawn in the very operation
 *     that grants (law 3). Because of the clock it grows even if the store has forgotten the last
 *     one. A store that counts all its changes, in one order for all its servers, may take that
 *     number instead, if it keeps its word as long as it lives.
 *  7. Pushes are hints (law 7): they may be lost, late or doubled.
 *  8. A place in the queue ends pawl_place_span(ttl) after the latest ACQUIRE that took or kept
 *     it. Waiters refresh it each ttl/3, as holders renew their lease, so one refresh may be lost.
 *     A hand-off extends nothing: the new lease ends when the place would have ended. The first
 *     RENEW or ACQUIRE with its token gives it a full ttl. So a client that froze in the queue
 *     delays nobody for longer than its place lives.
 *  9. Modes. The table of pawl_mode says who may hold beside whom. One queue per name, in strict
 *     order of arrival: from its head the store grants as long as the head fits beside the
 *     holders, and stops at the first that does not. A new request is granted at once only if
 *     nobody waits and it fits. So a waiting writer stops later readers, one release may lead to
 *     many grants, and a request for many permits is not starved by requests for one. Each holder
 *     has a lease, a fence and an expiry of its own. A name is of one kind (lock, or semaphore of
 *     one capacity) while anybody holds it or waits for it; a request of another kind or capacity
 *     fails with PAWL_ERR_KIND or _CAPACITY and changes nothing.
 * 10. CHANGE gives a holder another mode. UPDATE to EXCLUSIVE is an upgrade: it waits ahead of the
 *     whole queue, and is granted, with a new fence, when nobody else holds; meanwhile the holder
 *     keeps UPDATE. EXCLUSIVE to UPDATE or SHARED, and UPDATE to SHARED, are downgrades: they are
 *     done at once, the fence stays, and the waiters that fit now are granted. A CHANGE to the mode
 *     that the holder has takes back an upgrade that waits. All others fail with PAWL_ERR_MODE.
 *     A CHANGE that is answered with GRANTED, QUEUED or BUSY has extended the lease as RENEW does.
 *     `change` counts a lease's changes: a number smaller than the store has seen came late and
 *     changes nothing (PAWL_NOT_OWNER); the same number again is the same change.
 * 11. A permit is one of the slots 0 .. capacity-1. A grant takes the lowest that are free and
 *     says which. The fences of one slot grow like those of a lock.
 * 12. A value beside a name, for stores with pawl_caps.values. PUBLISH with the token of a holder,
 *     in any mode, replaces the value: the store keeps `value` with that holder's fence and label
 *     and with the time of its wall clock. With any other token it changes nothing
 *     (PAWL_NOT_OWNER). The value outlives the lease: it stays for keep_ms. READ tells it to
 *     anybody, with the store's clock. `publication` counts what is published under one lease, and
 *     the store remembers the largest number as long as the lease. A PUBLISH whose number is not
 *     larger came late, or again: what it says has been stored, or replaced, already. It changes
 *     nothing, not even how long the value stays, and the answer is CONFIRMED. With PAWL_ASK_WATCH
 *     the store pushes PAWL_PUSH_NEWS to the client that asked, at each PUBLISH in the next ttl_ms
 *     that changes something; asking again extends that time. At most PAWL_WATCHERS_MAX clients
 *     watch one name. Neither verb grants, extends or hands on anything.
 * 13. BREAK leaves a note: the broken token and its fence, the `owner` of the request (the one who
 *     broke it), and the time. The note lives as long as the broken lease would have, at least
 *     PAWL_BROKEN_KEEP_MS; the PAWL_BROKEN_MAX newest of a name are kept. INSPECT and LIST tell the
 *     latest of a name in broken_by, _ms and _fence. NOT_OWNER for a RENEW or CHANGE whose token
 *     was broken has that label as its message, if there was one. Notes are for people: they may be
 *     lost, decide nothing, and a name that has nothing else is not listed.
 *
 * 14. A store that cannot keep a rule says so in its caps, and refuses what it does not have with
 *     PAWL_ERR_UNSUPPORTED and one line. Without `fair` it has no queue: a free name goes to the
 *     client that asks first, QUEUED has position -1, a place is known only to the client that has
 *     it, no holder is told that somebody waits, and reports show no waiters. There is no hand-off
 *     then: the store looks again and again at the names that its client waits for, and pushes
 *     RECHECK when one seems to be free. Without `push` a waiter is not told of its turn. Without
 *     `list` there is no LIST, without `notes` no rule 13, without `values` no rule 12. A lease
 *     ends at most linger_ms after its ttl, and a place at most linger_ms after its span, and never
 *     before; reports may show remaining times that are longer by as much.
 *
 * Threads: the host calls a store from one thread at a time (the one that
 * drives the client's loop), and a store calls the host only from callbacks of
 * host->base, that is, from that same thread.
 */
#ifndef PAWL_STORE_H
#define PAWL_STORE_H

#include "types.h"

#ifdef __cplusplus
extern "C" {
#endif

struct event_base; /* libevent's */

#define PAWL_STORE_ABI 2u

/* The symbol by which a module pawl-store-NAME.so offers its pawl_store_ops. */
#define PAWL_STORE_ENTRY pawl_store_entry

/* ---- Requests ----------------------------------------------------------- */

typedef enum pawl_verb {
    PAWL_VERB_ACQUIRE = 0, /* take, or (PAWL_ASK_QUEUE) queue, or keep my place, or ask again */
    PAWL_VERB_RENEW,       /* extend my lease by ttl_ms from now */
    PAWL_VERB_RELEASE,     /* give up the lease or the place in the queue; hand off */
    PAWL_VERB_INSPECT,     /* one host->row() for the name, then PAWL_REPORTED; with a token: is it
                              mine? */
    PAWL_VERB_LIST,        /* host->row() for each name held or waited for that begins with name */
    PAWL_VERB_BREAK,       /* forced release if the present fence equals `fence` */
    PAWL_VERB_DOCTOR,      /* host->finding() for each finding, then PAWL_REPORTED */
    PAWL_VERB_CHANGE,      /* my lease gets another mode; an upgrade may queue (rule 10) */
    PAWL_VERB_PUBLISH,     /* a holder replaces the value beside the name (rule 12) */
    PAWL_VERB_READ         /* tells the value; with PAWL_ASK_WATCH: announce the next ones, too */
} pawl_verb;

#define PAWL_VERB_COUNT (PAWL_VERB_READ + 1)

/* ACQUIRE, CHANGE: join the queue if the lock is busy. Without it nothing is left at the store
 * then.
 */
#define PAWL_ASK_QUEUE    0x1u
/* ACQUIRE: the lease outlives this process: the store does not tie it to the process's life. */
#define PAWL_ASK_DETACHED 0x2u
/* READ: this client wants to hear of what is published in the next ttl_ms. */
#define PAWL_ASK_WATCH    0x4u
/*
 * ACQUIRE, RELEASE: a hint. The handle on several names that asks for this one asks for others in
 * this turn, too, so the store may carry them out in one step, one after the other (rule 4). Each
 * is answered by itself, as if it had come alone.
 */
#define PAWL_ASK_TOGETHER 0x8u

/* Bounds of rule 12. A store does not look into a value. */
#define PAWL_STORED_MAX   4224 /* bytes of one value: a user's 4096, and what pawl says of them */
#define PAWL_KEEP_MAX_MS  INT64_C(34560000000) /* 400 days */
#define PAWL_WATCHERS_MAX 1000                 /* clients that watch one name */

/* Rule 10: whether a holder may have `to` at once, because it allows others more than `from`. */
static inline bool pawl_mode_is_downgrade(pawl_mode from, pawl_mode to)
{
    if (to == PAWL_MODE_SHARED) return from == PAWL_MODE_EXCLUSIVE || from == PAWL_MODE_UPDATE;
    return to == PAWL_MODE_UPDATE && from == PAWL_MODE_EXCLUSIVE;
}

/* Rule 3: whether a holder in mode `held` has all that mode `asked` would give it. */
static inline bool pawl_mode_covers(pawl_mode held, pawl_mode asked)
{
    return held == asked || pawl_mode_is_downgrade(held, asked);
}

/*
 * Rule 8: how long a place in the queue lives, in the unit of `ttl`. All of pawl's own stores use
 * this function. A script cannot include this header, so a test compares the script with it.
 */
static inline int64_t pawl_place_span(int64_t ttl)
{
    return ttl / 3 * 2;
}

/* Rule 13: for how long a note of a broken lease is kept at least, and how many of a name. */
#define PAWL_BROKEN_KEEP_MS 60000
#define PAWL_BROKEN_MAX     16

/* Borrowed for the call: a store copies what it needs later. */
typedef struct pawl_request {
    uint64_t id; /* echoed in the reply */
    pawl_verb verb;
    pawl_mode mode;
    unsigned flags;
    const char *name; /* name_len bytes, 1..PAWL_NAME_MAX (LIST: 0.. a prefix), NUL-terminated */
    size_t name_len;
    const char
        *token; /* PAWL_TOKEN_LEN characters, NUL-terminated; NULL where the verb needs none */
    const char *owner; /* the requester's label, NUL-terminated; BREAK: of the one who breaks */
    int64_t ttl_ms;
    uint32_t units;    /* PERMIT: how many, 1..capacity; else 0 */
    uint32_t capacity; /* PERMIT: of the semaphore, 1..PAWL_CAPACITY_MAX; else 0 */
    uint32_t change;   /* CHANGE: its number in the life of the lease, from 1 */
    uint64_t fence;    /* BREAK: the fence that the caller saw */
    int64_t answer_by; /* instant of host->now(): answer by then, PAWL_UNKNOWN if need be */
    const char *value; /* PUBLISH: value_len bytes, 0..PAWL_STORED_MAX */
    size_t value_len;
    int64_t keep_ms;      /* PUBLISH: how long it stays, 1..PAWL_KEEP_MAX_MS */
    uint64_t publication; /* PUBLISH: its number in the life of the lease, from 1 */
} pawl_request;

typedef enum pawl_outcome {
    PAWL_GRANTED = 0, /* ACQUIRE, CHANGE: yours; fence, slots, waiting */
    PAWL_QUEUED,      /* ACQUIRE, CHANGE: you wait; position, holder_ms */
    PAWL_BUSY, /* ACQUIRE, CHANGE without PAWL_ASK_QUEUE: held or waited for; holder_ms, holder */
    PAWL_CONFIRMED, /* RENEW: still yours, extended; fence, waiting. PUBLISH: stored (rule 12);
                       fence */
    PAWL_RELEASED,  /* RELEASE: it was yours until now. BREAK: broken */
    PAWL_LEFT,      /* RELEASE: you only waited, and wait no more */
    PAWL_NOT_OWNER, /* RENEW, RELEASE: the token neither holds nor waits. PUBLISH: it does not
                       hold. BREAK: other fence */
    PAWL_REPORTED,  /* INSPECT, LIST, DOCTOR: all rows were given. READ: value */
    PAWL_FAILED,    /* definitely not done: err, message */
    PAWL_UNKNOWN    /* may have been done: err says why the reply is missing, message */
} pawl_outcome;

/* What READ tells. fence 0: nothing was published, or its keep_ms is over. */
typedef struct pawl_value {
    const char *bytes;
    size_t len;
    uint64_t fence;    /* of the lease under which it was published */
    int64_t at_us;     /* when, by the store's wall clock: µs since 1970 */
    int64_t now_us;    /* that clock now, also without a value */
    const char *owner; /* the label of who published it, NUL-terminated */
} pawl_value;

/* Borrowed for the call. */
typedef struct pawl_reply {
    uint64_t id;
    pawl_outcome outcome;
    uint64_t fence;    /* GRANTED, CONFIRMED. QUEUED: the latest one drawn for the name, 0 if
                          unknown: later grants have larger ones, so a push of an old one shows */
    int64_t position;  /* QUEUED: waiters before me; -1 unknown */
    int64_t holder_ms; /* QUEUED, BUSY: the holder's remaining ttl; -1 unknown or never expires */
    bool waiting;      /* GRANTED, CONFIRMED: somebody waits for it */
    const uint16_t *slots; /* GRANTED, PERMIT: as many as there are units, the lowest first */
    size_t slot_count;
    pawl_err err; /* FAILED, UNKNOWN. A number that is no error counts as PAWL_ERR_PROTOCOL */
    const char *message;     /* FAILED, UNKNOWN: one line for people, NULL: pawl_err_text(err).
                                BUSY: the holder's label or NULL. NOT_OWNER: who broke it (rule
                                13) or NULL */
    const pawl_value *value; /* REPORTED to a READ */
} pawl_reply;

/* ---- Pushes: what the store says unasked -------------------------------- */

typedef enum pawl_push_kind {
    PAWL_PUSH_GRANT =
        0,             /* the lock, or its upgrade, was handed to `token`; fence, slots, waiting */
    PAWL_PUSH_YIELD,   /* you hold with `token`, and the first waiter does not fit beside you */
    PAWL_PUSH_RECHECK, /* ask again about the name now, whatever you know; no token. Without a name
                          (name_len 0): about every name, because leases may have ended before their
                          time. Held leases are then in doubt */
    PAWL_PUSH_NEWS     /* you watch the name, and something was published: READ it; no token */
} pawl_push_kind;

/* Borrowed for the call. */
typedef struct pawl_push {
    pawl_push_kind kind;
    const char *name;
    size_t name_len;
    const char *token; /* PAWL_TOKEN_LEN characters; NULL for RECHECK and NEWS */
    uint64_t fence;
    bool waiting;          /* GRANT: others wait behind you */
    const uint16_t *slots; /* GRANT of permits: as in a reply */
    size_t slot_count;
} pawl_push;

/* ---- The store's address ---------------------------------------------------- */

typedef struct pawl_url_option {
    const char *key;
    const char *value;
} pawl_url_option;

#define PAWL_URL_OPTIONS_MAX 32

/*
 * A parsed URL, percent-decoded. Absent parts are NULL, an absent port is -1. Several hosts stand
 * in `host` as they are written, separated by commas, with their ports and brackets: "a:1,[::1]:2";
 * port is -1 then. A store that has one host refuses several.
 */
typedef struct pawl_url {
    const char *scheme;
    const char *user;
    const char *password;
    const char *host; /* IPv6 without brackets */
    int port;
    const char *path;     /* as written, with its leading slash if it has one; "" if absent */
    const char *redacted; /* the whole URL, its password replaced: for messages */
    pawl_url_option options[PAWL_URL_OPTIONS_MAX];
    size_t option_count;
} pawl_url;

/* ---- What the host offers a store --------------------------------------------- */

typedef struct pawl_host pawl_host;
struct pawl_host {
    size_t size;
    struct event_base *base; /* the store's events live here */
    const char *client_id;   /* 32 hex digits, unique to this client object */
    const char *owner;       /* the client's default label */
    int64_t connect_timeout_ms;

    /* Instant of the client's clock, ns. Fresh at each call, never goes back. */
    int64_t (*now)(void);
    /* The answer to a request: exactly one for each. */
    void (*reply)(pawl_host *host, const pawl_reply *reply);
    /* One lock of an INSPECT or LIST; one finding of a DOCTOR. */
    void (*row)(pawl_host *host, uint64_t id, const pawl_info *info);
    void (*finding)(pawl_host *host, uint64_t id, const pawl_finding *finding);
    void (*push)(pawl_host *host, const pawl_push *push);
    /*
     * The link came up (up = true: requests will be tried, pushes will arrive)
     * or went down with err and message. When an attempt to connect fails, down is said again with
     * the newest reason, and callers that do not wait for the store end then. Before the link goes
     * down every outstanding request has been answered. A store whose link is down answers submit()
     * with PAWL_FAILED and goes on trying to connect, with back-off, by itself. The link is that of
     * the whole store. A store of many servers says down when it can reach none of them. For the
     * names of one server that is away it answers PAWL_FAILED with PAWL_ERR_UNAVAILABLE; when that
     * server is back it pushes PAWL_PUSH_RECHECK for each of them that was asked about.
     */
    void (*link)(pawl_host *host, bool up, pawl_err err, const char *message);
    /* A warning for the log hook: one line, no secrets. */
    void (*warn)(pawl_host *host, const char *message);

    /*
     * The host has one thread and wants no other. While this client holds nothing and no request
     * has to wait, the store may do blocking work in flush() and in its callbacks: it delays
     * no renewal.
     */
    bool work_inline;

    /*
     * link(false, err, message) for a reason that waiting will not change, although the class of
     * err is RETRY: a directory that does not exist, a file that is read-only. Callers
     * that have no answer yet are told at once; the store goes on trying. If it is NULL, or
     * lies beyond the host's size, the store calls link() instead.
     */
    void (*link_final)(pawl_host *host, pawl_err err, const char *message);

    /*
     * The store may have forgotten locks, so for left_ms from now on it grants nothing that was not
     * granted before (the restart guard); 0: that is over. For metrics and people: it may be said
     * again and again. If it is NULL, or lies beyond the host's size, nobody is told.
     */
    void (*guarded)(pawl_host *host, int64_t left_ms);

    /*
     * Whether flush(), which asks it, may do blocking work now, if it is as short as one change of
     * the store: this client holds nothing, so no renewal and no report of a loss is delayed, and
     * nobody has asked for something without waiting for it. Unlike with work_inline the store has
     * a thread of its own for all else. If it is NULL, or lies beyond the host's size, it may not.
     */
    bool (*may_block)(const pawl_host *host);
};

/* ---- What a store offers --------------------------------------------------------- */

typedef struct pawl_store pawl_store; /* the store's own */

typedef struct pawl_store_ops {
    unsigned abi;               /* PAWL_STORE_ABI; new members are only appended */
    const char *name;           /* "redis" */
    const char *const *schemes; /* NULL-terminated: "redis", "redis+unix" */
    const char *const *options; /* NULL-terminated: the URL options that it knows */

    /*
     * Required. Checks the URL, allocates, begins to connect; does not wait.
     * The host outlives the store. On failure returns the error and puts one
     * line into reterr_message (PAWL_MESSAGE_MAX bytes).
     */
    int (*open)(pawl_host *host, const pawl_url *url, pawl_store **ret_store, char *reterr_message);
    /* Required. Takes a request; see the rules above. It need not send it before flush(). */
    void (*submit)(pawl_store *store, const pawl_request *request);
    /* Required. The turn ends: everything that was submitted is sent now, in one write. */
    void (*flush)(pawl_store *store);
    /* Required. What it promises; valid once the link has been up. */
    const pawl_caps *(*caps)(pawl_store *store);
    /*
     * Required. Frees everything. Outstanding requests are not answered any
     * more; what was flushed has been sent. Blocks for a moment at most.
     */
    void (*close)(pawl_store *store);
    /*
     * Required. In the child of a fork: frees what is private to this process
     * and sends nothing on connections or files that it shares with its parent (law 9). Only the
     * calling thread exists. The base has been reinitialised: its events can be deleted.
     */
    void (*forget)(pawl_store *store);
} pawl_store_ops;

#ifdef __cplusplus
}
#endif
#endif
