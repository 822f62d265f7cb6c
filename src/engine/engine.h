/* SPDX-License-Identifier: MIT */
/*
 * The engine: everything that a lock client decides, and nothing that it does.
 *
 * It knows no socket, clock, thread or random source. Time comes in with each
 * event; what must be done comes out as actions; pawl__engine_deadline says when it needs to be
 * told that time has passed. The same object file runs in the library and in the simulator.
 *
 *   pawl__engine_step(engine, now, &event);
 *   while (pawl__engine_next(engine, &action)) do(action);
 *   ... sleep until pawl__engine_deadline(engine) or the next event
 *
 * Words: a *want* is one local caller's wish for a name, embedded in the
 * caller's own handle. A *lease* is one token's life at the store. Wants of one
 * name and mode are a *group* and share one lease: readers at the same time, others one after the
 * other. The wants queue here; in the store's queue the client has only one place. Each want for
 * permits has a lease of its own.
 */
#ifndef PAWL_ENGINE_ENGINE_H
#define PAWL_ENGINE_ENGINE_H

#include "../base/heap.h"
#include "../base/instant.h"
#include "../base/list.h"
#include "pawl/trace.h"

typedef struct pawl__engine pawl__engine;
typedef struct pawl__lease pawl__lease;
typedef struct pawl__group pawl__group;

/* ---- A want --------------------------------------------------------------- */

typedef enum pawl__want_state {
    PAWL__WANT_NONE = 0, /* the engine does not know it */
    PAWL__WANT_WAITING,  /* asked for; not decided */
    PAWL__WANT_HOLDING,  /* it has the lease */
    PAWL__WANT_LOST,     /* it had it, and has been told of the loss */
    PAWL__WANT_RELEASING /* given back; the store's word is awaited */
} pawl__want_state;

typedef struct pawl__want pawl__want;

/*
 * What a want needs only while it waits, so that held leases need not carry it along. It belongs to
 * the caller, who may reuse it when GRANTED or REFUSED has been fetched.
 */
typedef struct pawl__waiting {
    int64_t wait_until; /* by the caller: an instant; 0: do not wait; PAWL__NEVER: without limit */
    uint16_t units;     /* PERMIT: how many, 1..capacity */
    uint16_t capacity;  /* PERMIT: of the semaphore */
    bool only_tries;    /* until wait_until it waits for the store's answer, never for the lock */
    /* The engine's. */
    pawl__want *want;
    pawl__group *group;     /* in which it waits; NULL: it holds, and waits to be upgraded */
    int64_t unreachable_at; /* a store that is still silent by then counts as out of reach */
    pawl__link in_queue;    /* among the waiting wants of its name, in order */
    pawl__timer timer;      /* wait_until, or the give-up instant of an unreachable store */
} pawl__waiting;

/* Embedded in the caller's handle. The caller fills the first part before WANT. */
struct pawl__want {
    const char *name;       /* NUL-terminated; outlives the want */
    const char *owner;      /* label; NULL: the engine's; outlives the want */
    pawl__waiting *waiting; /* NULL once the engine has decided; for an upgrade: see CHANGE */
    int32_t ttl_ms;
    int32_t retain_ms;
    uint16_t name_len;
    uint8_t mode;  /* pawl_mode */
    uint8_t flags; /* PAWL_ASK_DETACHED or 0 */
    /* The engine's; zero before the first use, readable for tests and checkers. */
    uint8_t state : 6;    /* pawl__want_state */
    bool listed : 1;      /* among those with actions to fetch */
    bool after_doubt : 1; /* the extension that is to be told ends a doubt */
    uint8_t out;          /* actions that wait to be fetched: a bit for each kind but SEND */
    int8_t err;           /* result that a waiting action will carry (pawl_err) */
    int8_t change_err;    /* the same of CHANGED */
    pawl__want *next_out;
    pawl__lease *lease; /* HOLDING */
};

_Static_assert(PAWL_TTL_MAX_MS <= INT32_MAX, "a ttl fits 32 bits");

/* ---- Events -------------------------------------------------------------------- */

typedef enum pawl__event_kind {
    PAWL__EV_TIME = 0,     /* nothing but the time has passed */
    PAWL__EV_WANT,         /* want: state NONE */
    PAWL__EV_CANCEL,       /* want: give up waiting, also for an upgrade; else ignored */
    PAWL__EV_RELEASE,      /* want: state HOLDING or LOST */
    PAWL__EV_DETACH,       /* want: HOLDING; forget the lease without releasing it */
    PAWL__EV_CHANGE,       /* want: HOLDING; it is to get `mode`. An upgrade needs `waiting`. A
                              downgrade ends an upgrade that waits */
    PAWL__EV_REPLY,        /* the store answered a request */
    PAWL__EV_PUSH,         /* the store spoke unasked */
    PAWL__EV_LINK,         /* the store's link came up or went down */
    PAWL__EV_KEEP_NOTHING, /* the process ends: cached leases are released, none is kept */
    PAWL__EV_CLOSE         /* cancel every waiting want (PAWL_ERR_CLOSED), release every lease */
} pawl__event_kind;

/* Borrowed for the step. */
typedef struct pawl__event {
    pawl__event_kind kind;
    pawl__want *want;        /* WANT, CANCEL, RELEASE, DETACH */
    bool await_store;        /* RELEASE: RELEASED comes with the store's word, not at once */
    bool ends_lease;         /* RELEASE: the lease is neither passed on nor kept */
    pawl_mode mode;          /* CHANGE */
    pawl__waiting *waiting;  /* CHANGE: the engine's until CHANGED has been fetched; NULL: a
                                downgrade whose end nobody wants to hear of */
    const pawl_reply *reply; /* REPLY */
    const pawl_push *push;   /* PUSH */
    bool up;                 /* LINK */
    pawl_err err;            /* LINK down: why */
    bool final;              /* LINK down: waiting does not help, whatever the class of err says */
    const char *message;     /* LINK down: one line */
} pawl__event;

/* ---- Actions --------------------------------------------------------------------- */

typedef enum pawl__action_kind {
    PAWL__ACT_SEND = 0, /* submit `request` to the store */
    PAWL__ACT_GRANTED,  /* the want holds: fence, token, deadline */
    PAWL__ACT_REFUSED,  /* the waiting want ends with err; the engine forgets it */
    PAWL__ACT_EXTENDED, /* the holding want's deadline moved; after doubt: doubt is over */
    PAWL__ACT_DOUBT,    /* the holding want's renewal is overdue; err */
    PAWL__ACT_YIELD,    /* the holding want is wanted by others */
    PAWL__ACT_LOST,     /* the holding want was lost; err says why */
    PAWL__ACT_RELEASED, /* the releasing want ends with err (0, LOST, UNKNOWN); forgotten */
    PAWL__ACT_CHANGED   /* a CHANGE with `waiting` ends with err; 0: it has the mode and `fence` */
} pawl__action_kind;

/* Valid until the next step or the next call of pawl__engine_next. */
typedef struct pawl__action {
    pawl__action_kind kind;
    pawl_request request; /* SEND */
    pawl__want *want;     /* all others */
    pawl_err err;
    const char *message;   /* one line, "" if there is none */
    int64_t deadline;      /* GRANTED, EXTENDED: local deadline (law 2), an instant */
    uint64_t fence;        /* GRANTED, CHANGED */
    const uint16_t *slots; /* GRANTED, PERMIT: as many as were asked for, the lowest first */
    size_t slot_count;
    const char *token; /* GRANTED, EXTENDED */
    bool after_doubt;  /* EXTENDED */
} pawl__action;

/* ---- The engine ------------------------------------------------------------------- */

typedef struct pawl__engine_opts {
    const char *owner; /* label of wants without their own; borrowed for the engine's life */
    uint64_t seed;     /* of the jitter */
    /* Writes a fresh token of PAWL_TOKEN_LEN characters and a NUL (law 5: one per lease). */
    void (*draw_token)(void *ctx, char *ret_text);
    void *draw_ctx;
    int64_t unreachable_ms; /* a want that waits ends when the store has been silent for this
                               long; PAWL_WAIT_FOREVER: only its own time ends it */
    /* A lease moves from one state to another; runs inside the step. NULL: not called. */
    void (*moved)(void *ctx, const char *name, pawl_lease_state from, pawl_lease_state to);
    void *moved_ctx;
    uint32_t share_count_max; /* local passes of a lease once somebody else waits */
    int64_t share_ms_max;     /* the same by time */
} pawl__engine_opts;

/* Defaults: 5000 ms, 64 passes, 20 ms. */
void pawl__engine_opts_init(pawl__engine_opts *opts);

/* NULL when out of memory. */
pawl__engine *pawl__engine_new(const pawl__engine_opts *opts);

/*
 * Frees everything; wants still known are forgotten: nobody is told, and their memory is not
 * touched, because in the child of a fork it may be gone (law 9). NULL is allowed; returns NULL.
 */
pawl__engine *pawl__engine_free(pawl__engine *engine);

/*
 * Takes one event at `now`. Time that passed is accounted first: a deadline that
 * has come counts before the news (law 2). now may not go back; an older now is
 * taken as the latest known. Out of memory on WANT: the want is refused with
 * PAWL_ERR_NO_MEMORY. No other event fails without memory.
 */
void pawl__engine_step(pawl__engine *engine, int64_t now, const pawl__event *event);

/* The next action, in the order in which they came up; false when there is none. */
bool pawl__engine_next(pawl__engine *engine, pawl__action *ret_action);

/* When a PAWL__EV_TIME is wanted at the latest; PAWL__NEVER: not at all. */
int64_t pawl__engine_deadline(const pawl__engine *engine);

/* The first want that holds the lease of a name's group of this mode, or NULL; of permits NULL. */
pawl__want *pawl__engine_holder(const pawl__engine *engine, const char *name, size_t name_len,
                                pawl_mode mode);

/* Whether somebody here or elsewhere waits for the lock of a holding want, as far as is known. */
bool pawl__want_is_wanted(const pawl__want *want);

/* The i-th holder that shares the lease of a holding want, itself included; NULL behind the last.
 */
pawl__want *pawl__want_holder_at(const pawl__want *want, uint32_t i);

/* Whether the lease of a holding want waited in the store's queue before it was granted. */
bool pawl__want_had_queued(const pawl__want *want);

/* Whether the store must still be told something, or must still answer (close waits for this). */
bool pawl__engine_busy(const pawl__engine *engine);

/* Whether anybody here waits for an answer of the store; nobody waits for renewals. */
bool pawl__engine_awaits_store(const pawl__engine *engine);

/* Whether it has leases that need renewals: held, in doubt, or cached. */
bool pawl__engine_tends(const pawl__engine *engine);

/* Whether the store must still be told of a release, or must still confirm it. Looks at every
 * lease. */
bool pawl__engine_releases(const pawl__engine *engine);

/* Leases known to the store or perhaps known to it, for tests. */
size_t pawl__engine_lease_count(const pawl__engine *engine);

/* Every invariant, checked; NULL if all hold, else a sentence about the broken one. */
const char *pawl__engine_check(const pawl__engine *engine);

/*
 * Called when an invariant breaks inside a step, before the engine fails closed
 * (law 10: every holding want is LOST with PAWL_ERR_INTERNAL). Tests and the
 * simulator set it to abort.
 */
extern void (*pawl__engine_on_broken)(const char *what);

#endif
