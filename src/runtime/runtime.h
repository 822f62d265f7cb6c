/* SPDX-License-Identifier: MIT */
/* The insides of a client, shared by the upper floors. The marks of its members: see gate.h. */
#ifndef PAWL_RUNTIME_RUNTIME_H
#define PAWL_RUNTIME_RUNTIME_H

#include "../base/instant.h"
#include "../base/list.h"
#include "../engine/engine.h"
#include "calls.h"
#include "clock.h"
#include "fork.h"
#include "gate.h"
#include "options.h"
#include "pawl/pawl.h"
#include "token.h"
#include "url.h"

#include <semaphore.h>
#include <stdatomic.h>

/* pawl_lock_is_held is async-signal-safe, and the deadline of a lock is 64 bits (law 2). */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "pawl needs 64-bit atomics without locks");

struct event;
struct event_base;

/* ---- A claim: one acquisition, from the first wish to the last callback --------------------- */

/* What a caller asks of the engine, in the order in which it is told. */
enum {
    PAWL__ASK_WANT = 0x1,
    PAWL__ASK_CANCEL = 0x2,
    PAWL__ASK_LEND = 0x4,
    PAWL__ASK_RELEASE = 0x8,
    PAWL__ASK_DETACH = 0x10
};

/* Callbacks that wait to run, in the order in which they run. */
enum {
    PAWL__CALL_ACQUIRED = 0x1,
    PAWL__CALL_DOUBT = 0x2,
    PAWL__CALL_HELD = 0x4,
    PAWL__CALL_YIELD = 0x8,
    PAWL__CALL_LOST = 0x10,
    PAWL__CALL_RELEASED = 0x20,
    PAWL__CALL_EVENTS = 0x1e
};

/*
 * Who is to hear of the end of an acquisition or a release, and what is needed until then:
 * a thread that sleeps, with this on its stack; or a callback, and then it is malloc'ed. [m]
 */
typedef struct pawl__await {
    struct pawl__await *next; /* of the same claim: a release may begin before a callback has run */
    pawl__waiter *waiter;     /* NULL: the callback */
    pawl_done_fn done;
    void *userdata;
    int16_t err;           /* once it is over */
    uint8_t call;          /* PAWL__CALL_ACQUIRED or _RELEASED: of what */
    bool over;             /* the callback waits to run */
    pawl__waiting waiting; /* [loop] ACQUIRED */
} pawl__await;

/* As small as it can be while the lock is held: 100 000 of them lie in one client. */
typedef struct pawl__claim {
    pawl__want want; /* [loop] */
    /* All below: [m]. */
    pawl__link in_claims; /* of the client, while in use */
    pawl__link in_asked;
    pawl__link in_calls;
    pawl__await *awaits;
    int16_t event_err; /* for the callback */
    uint8_t asked;     /* PAWL__ASK_... that the driver has not seen */
    uint8_t calls;     /* PAWL__CALL_... */
    /* No bits: they are read without the mutex, when nobody writes them. */
    bool is_spare;        /* [once] it is in a pawl__spare_claim */
    bool was_cached;      /* let go while nobody held it: the time in the cache counts */
    bool known : 1;       /* to the engine, or about to be: want must stay where it is */
    bool let_go : 1;      /* released, detached, lost or freed: nobody holds it */
    bool abandoned : 1;   /* the handle was freed while it waited */
    bool await_store : 1; /* the release wants the store's word */
    bool wanted : 1;      /* somebody else waits, or it is in doubt: it is not lent any more */
    bool waited : 1;      /* it stood in the store's queue before it was granted */
    bool running : 1;     /* a callback of it runs now */
    bool telling : 1;     /* the driver tells the engine what was asked */
    bool slept_on : 1;    /* the first of awaits lies on the stack of the thread that sleeps */
} pawl__claim;

/* ---- A lock handle -------------------------------------------------------------------------- */

typedef enum pawl__lock_state {
    PAWL__LOCK_IDLE = 0,
    PAWL__LOCK_ACQUIRING,
    PAWL__LOCK_HELD,
    PAWL__LOCK_LOST
} pawl__lock_state;

/*
 * held_until is the local deadline while the lock is held; cached.c tells what its
 * lowest bit and a negative value mean. These two are no deadline. EXPIRED: somebody
 * saw the deadline pass, and no extension undoes that (laws 2 and 5).
 */
#define PAWL__NOT_HELD 0
#define PAWL__EXPIRED  (-1)

/* What few handles have: events and a cache. */
typedef struct pawl__extras {
    pawl_event_fn on_event;        /* [once] */
    void *event_userdata;          /* [once] */
    char *event_message;           /* [m] goes with the event of message_of; NULL: the err's text */
    const pawl__claim *message_of; /* [m] */
    bool retains;                  /* [once] the rest is of a handle with retain_ms; see cached.c */
    _Atomic int64_t put_back_at;   /* when it was released last */
    pawl__claim *lent;             /* [loop] the claim whose timer runs */
    pawl__timer timer;             /* [loop] in client->cache_timers */
} pawl__extras;

#define PAWL__TOKEN_WORDS (PAWL_TOKEN_LEN / 8) /* of four bytes, each of two digits */

struct pawl_lock {
    pawl_client *client;            /* counted */
    _Atomic int64_t held_until;     /* see above */
    pawl__extras *extras;           /* [once] NULL: neither */
    pawl__claim *claim;             /* [m] ACQUIRING, HELD, LOST: the claim in question */
    _Atomic uint64_t fence;         /* of the present or latest acquisition */
    _Atomic uint32_t token_version; /* odd while the token is being written */
    _Atomic uint32_t token[PAWL__TOKEN_WORDS];
    uint32_t refs;     /* [m] the handle itself and its claims in use */
    int32_t retain_ms; /* [once] */
    uint8_t state;     /* [m] pawl__lock_state */
    bool freed;        /* [m] by the user */
    bool first_in_use; /* [m] */
    /* The claim that needs no allocation. What its want says of name, label, ttl and flags is
       the handle's, in use or not [once]. */
    pawl__claim first;
    char name[]; /* [once] and the label */
};

/* A claim of a handle whose first one has not ended yet. */
typedef struct pawl__spare_claim {
    pawl__claim claim;
    pawl_lock *lock;
} pawl__spare_claim;

/* Counted in lock->refs while the claim is in use. */
static inline pawl_lock *pawl__claim_lock(const pawl__claim *claim)
{
    if (claim->is_spare) return pawl__container(claim, pawl__spare_claim, claim)->lock;
    return pawl__container(claim, pawl_lock, first);
}

/* ---- A question to the store that the engine has no part in --------------------------------- */

typedef struct pawl__row {
    pawl__link in_rows;
    union {
        pawl_info info;
        pawl_finding finding;
    };
} pawl__row;

typedef struct pawl__query pawl__query;

/* What an answer means: 0, or the error with a line for people. */
typedef int pawl__judge(const pawl__query *query, const char **ret_text);

struct pawl__query {
    pawl__link in_queries; /* [m] in client->queries; then [loop] in waiting or asking */
    pawl_request request;  /* id and answer_by are set when it is submitted */
    int64_t until;         /* the caller's patience */
    int64_t link_until;    /* how long it waits for the link */
    bool wants_caps;       /* nothing is asked: the link's coming up is the answer */
    pawl_caps *ret_caps;   /* [loop] */
    pawl__link rows;       /* [loop], then the caller's */
    bool no_memory;        /* [loop] a row could not be kept */
    pawl__judge *judge;    /* NULL: an answer is a success */
    pawl_outcome outcome;
    uint64_t fence;
    char message[PAWL_MESSAGE_MAX];
    pawl__waiter waiter;
};

/* ---- A client ------------------------------------------------------------------------------- */

struct pawl_client {
    pawl_host host; /* [once]; first, so that a host is its client */
    pawl__gate gate;
    pawl__link in_watched;     /* fork.c's */
    uint32_t refs;             /* [m] the client itself and its handles: its memory */
    _Atomic uint32_t visitors; /* threads in public calls: its parts; see visit.c */
    sem_t visitors_left;

    pawl__waiter *in_wait; /* [m] of the thread in pawl_client_wait */
    pawl__link asked;      /* [m] claims with news for the driver */
    pawl__link queries;    /* [m] queries that the driver has not seen */
    pawl__link claims;     /* [m] all in use */
    bool has_caches;       /* [m] some handle has had a retain_ms */
    bool broken;           /* [m] shut down by a failure (law 10) */
    int break_err;         /* [m] */

    /* [loop] */
    pawl__engine *engine;
    const pawl_store_ops *ops; /* [once] */
    pawl_store *store;
    struct event_base *base;
    struct event *wake_event, *alarm_event;
    pawl__alarm alarm;
    bool unflushed; /* the store has requests that it has not been told to send */
    bool time_due;  /* a deadline has come */
    bool failed;    /* something failed that cannot fail: shut down at the next moment */
    bool link_up;
    pawl_err link_err; /* why it is down */
    bool link_final;   /* and waiting does not heal that */
    char link_message[PAWL_MESSAGE_MAX];
    pawl__link waiting;      /* queries that wait for the link */
    pawl__link asking;       /* queries that the store has */
    uint32_t last_query;     /* of their ids, see query.c; 0 is none */
    pawl__heap cache_timers; /* ends of retention */
    pawl__pool pool;

    pawl__calls calls;

    bool has_caps;                  /* [m] */
    pawl_caps caps;                 /* [m] */
    char message[PAWL_MESSAGE_MAX]; /* [m] the latest trouble */
    char reason[PAWL_MESSAGE_MAX];  /* [m] the store's words about reason_err */
    int reason_err;                 /* [m] the store's latest error */
    pawl_open_opts opts;            /* [once] */
    pawl__address *address;         /* [once] */
    char owner[PAWL_OWNER_MAX + 1]; /* [once] */
    char id[33];                    /* [once] */
};

/* How long one request may take, where an outage may last for ever, too. */
static inline int64_t pawl__client_answer_ms(const pawl_client *client)
{
    int64_t ms = client->opts.store_timeout_ms;
    return ms == PAWL_WAIT_FOREVER ? PAWL__STORE_TIMEOUT_MS : ms;
}

/* ---- client.c ------------------------------------------------------------------------------- */

/* Drops a reference with the mutex held, and lets go of the mutex. */
void pawl__client_put_unlock(pawl_client *client);
/* The same in the child of a fork, where nobody else is left. */
void pawl__client_put_in_child(pawl_client *client);
/* Keeps a line as the latest trouble; with the mutex held. */
void pawl__client_say(pawl_client *client, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Keeps the store's words about an error, for pawl_client_reason; with the mutex held. */
void pawl__client_blame(pawl_client *client, int err, const char *reason);
/* The process ends: what was asked leaves, and what is asked from now on. Mutex not held. */
void pawl__client_at_exit(pawl_client *client, int64_t until);
/* One step of the engine, now; loop owned, mutex not held. */
void pawl__client_step(pawl_client *client, const pawl__event *event);

/* ---- visit.c: the one pair that public functions pass through -------------------------------- */

typedef struct pawl__visit {
    pawl_client *client;
    int cancel_state;
} pawl__visit;

/*
 * Takes the mutex; the thread is not canceled until it leaves. Errors, with nothing taken:
 * PAWL_ERR_ARGUMENT (NULL), _FORKED (law 9), _STATE (in a handler of fork).
 */
int pawl__enter(pawl_client *client, pawl__visit *ret_visit);
/* Leaves and lets go of the mutex. */
void pawl__leave(pawl__visit *visit);
/* The same for a thread that has let go of it before. */
void pawl__leave_unlocked(pawl__visit *visit);
/* The same, and drops a reference to the client. */
void pawl__leave_and_put(pawl__visit *visit);
/* Close: waits until all who entered before `closing` was set have left. Mutex not held. */
void pawl__visitors_await(pawl_client *client);

/* ---- turn.c: what a driver does ------------------------------------------------------------- */

extern const pawl__gate_ops pawl__turn_ops; /* ctx: the client */

/* Tells the engine and the store all that was asked; loop owned, mutex held. */
void pawl__turn_work(pawl_client *client);
/* A request for the store, which leaves at the end of the turn; loop owned, mutex not held. */
void pawl__turn_submit(pawl_client *client, const pawl_request *request);
/* An event for the engine, and all that follows from it; loop owned, mutex not held. */
void pawl__turn_feed(pawl_client *client, const pawl__event *event);
/* What the store calls. */
void pawl__host_init(pawl_client *client);

/* ---- claims.c ------------------------------------------------------------------------------- */

/* A claim for a new acquisition; NULL: out of memory. Mutex held. */
pawl__claim *pawl__claim_new(pawl_lock *lock);
/* From now on it hears of the end. Mutex held. */
void pawl__claim_await(pawl__claim *claim, pawl__await *await, uint8_t call);
/* It does not want to hear any more. Mutex held. */
void pawl__claim_unawait(pawl__claim *claim, const pawl__await *await);
/* A grant whose callback has not run yet is none any more: the handle is freed. Mutex held. */
void pawl__claim_unsay(pawl__claim *claim);
/* Of the call that is over, taken from the claim, to be run and freed. Mutex held. */
pawl__await *pawl__claim_take_over(pawl__claim *claim, uint8_t call);
/* Puts it into the driver's list. Mutex held. */
void pawl__claim_ask(pawl__claim *claim, uint8_t what);
/* The engine's actions about wants; loop owned, mutex not held. */
void pawl__claim_act(pawl_client *client, const pawl__action *action);
/* Frees it if nobody needs it any more. Mutex held; the lock may be gone afterwards. */
void pawl__claim_settle(pawl__claim *claim);
/* Tells the losses that the clock shows, without the engine: its driver is stuck. Mutex held. */
void pawl__claims_tell_overdue(pawl_client *client);
/* Ends all claims with err (close, law 10); loop owned, mutex held, the engine is gone. */
void pawl__claims_end(pawl_client *client, int err);
/* Nobody holds the lock any more; tells whether it was held until now, by the clock. */
bool pawl__lock_let_go(pawl_lock *lock);
/* Drops a reference; mutex held, the client has a reference beside the lock's. */
void pawl__lock_put(pawl_lock *lock);

/* ---- cached.c ------------------------------------------------------------------------------- */

static inline bool pawl__cached_is_on(const pawl_lock *lock)
{
    return lock->extras && lock->extras->retains;
}
/* What needs neither the mutex nor the role; false: the ordinary way decides. */
bool pawl__cached_acquire(pawl_lock *lock);
bool pawl__cached_release(pawl_lock *lock);
/* Whether the release was turned into a loan; mutex held. */
bool pawl__cached_lend(pawl_lock *lock);
/* An extension; false: somebody has seen the old deadline pass. */
bool pawl__cached_extend(pawl_lock *lock, int64_t deadline);
/*
 * Ends the loan. If nobody held it the claim is taken from the handle and returned: the
 * engine is to be told. NULL: it is held, or was not lent. Mutex held.
 */
pawl__claim *pawl__cached_recall(pawl_lock *lock);
/* The same, and puts the release into the driver's list. */
void pawl__cached_end(pawl_lock *lock);
/* Of all handles, with the mutex held: every call comes by the mutex from now on. */
void pawl__cached_end_all(pawl_client *client);
/* false: nobody holds it. After true only those with the mutex change held_until, and the clock. */
bool pawl__cached_pin(pawl_lock *lock);
/* Ends it because somebody else waits or the lease is in doubt: the claim is not lent again. */
void pawl__cached_refuse(pawl__claim *claim);
/* The driver's side; loop owned, mutex not held. */
void pawl__cached_arm(pawl_client *client, pawl__claim *claim);
void pawl__cached_disarm(pawl__claim *claim);
void pawl__cached_time(pawl_client *client, int64_t now);
int64_t pawl__cached_deadline(const pawl_client *client);
/* What is left of its retention for a claim that is given back. */
int64_t pawl__cached_retain_ms(const pawl__claim *claim);

/* ---- deliver.c ------------------------------------------------------------------------------ */

/* Queues a callback; an event only for a handle that wants to hear of it. Mutex held. */
void pawl__claim_call(pawl__claim *claim, uint8_t call);
/* For pawl__calls_ops: runs the earliest callback of the claim. */
bool pawl__claim_run_call(pawl__calls *calls, pawl__claim *claim);

/* ---- query.c -------------------------------------------------------------------------------- */

/* The driver's side; loop owned, mutex not held. */
void pawl__queries_take(pawl_client *client, pawl__link *list);
/* The link came up or went down. */
void pawl__queries_link(pawl_client *client);
/* false: the reply is not to a query. */
bool pawl__queries_reply(pawl_client *client, const pawl_reply *reply);
void pawl__queries_row(pawl_client *client, uint64_t id, const pawl_info *info);
void pawl__queries_finding(pawl_client *client, uint64_t id, const pawl_finding *finding);
/* Those that waited too long, for the link or for an answer. */
void pawl__queries_time(pawl_client *client, int64_t now);
int64_t pawl__queries_deadline(const pawl_client *client);
/* Completes all with err; loop owned, mutex held. */
void pawl__queries_end(pawl_client *client, int err);

#endif
