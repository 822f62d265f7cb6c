/* SPDX-License-Identifier: MIT */
/*
 * Acquisitions: they connect a caller's view of a lock with the engine's.
 *
 * An acquisition lasts from the call of acquire to the last callback. A handle has one at a time
 * (lock->acquisition) from the call of acquire until the lock is given back; older ones may live on
 * beside it until the engine has forgotten them and their callbacks have run. So a handle can be
 * acquired again at once after a release, and a freed handle's callbacks still find their memory.
 *
 * Exactly once (law 6): when a call ends, its completion is told and removed, so it cannot be told
 * again. A loss is told only if the acquisition has not been let go, and it lets it go.
 *
 * Locking: by the marks of gate.h. "Mutex held" means before and after the function; the loop owner
 * calls [loop] functions.
 */
#ifndef PAWL_RUNTIME_ACQUISITION_H
#define PAWL_RUNTIME_ACQUISITION_H

#include "held.h"
#include "pump.h"
#include "token_shown.h"

/* What a caller asks of the engine, in the order in which the engine is told. */
enum {
    PAWL__ASK_WANT = 0x1,
    PAWL__ASK_CHANGE = 0x2,
    PAWL__ASK_CANCEL = 0x4,
    PAWL__ASK_LEND = 0x8,
    PAWL__ASK_RELEASE = 0x10,
    PAWL__ASK_DETACH = 0x20,
    PAWL__ASK_ANEW = PAWL__ASK_CHANGE /* of a handle on several names, which changes part by part */
};

/* Callbacks that wait to run, in the order in which they run. */
enum {
    PAWL__CALL_ACQUIRED = 0x1,
    PAWL__CALL_CHANGED = 0x2,
    PAWL__CALL_DOUBT = 0x4,
    PAWL__CALL_HELD = 0x8,
    PAWL__CALL_YIELD = 0x10,
    PAWL__CALL_LOST = 0x20,
    PAWL__CALL_RELEASED = 0x40,
    PAWL__CALL_EVENTS = 0x3c
};

/*
 * Who hears of the end of an acquisition, an upgrade or a release, and what is needed until then.
 * Either a thread that waits and has this on its stack, or a callback; then it is malloc'ed. [m]
 * (What lies there for a callback may have a thread that waits for a moment first.)
 */
typedef struct pawl__completion {
    struct pawl__completion *next; /* a release may begin before a callback has run */
    pawl__waiter *waiter;          /* NULL: the callback */
    pawl_done_fn done;
    void *userdata;
    /* Instead of both, for a part of a handle on several names. The loop owner calls it, mutex
     * held. */
    void (*on_end)(struct pawl__completion *completion, int err);
    int16_t err;           /* once it is over */
    uint8_t call;          /* what ends: PAWL__CALL_ACQUIRED, _CHANGED or _RELEASED */
    bool over;             /* the callback waits to run */
    int64_t begun_at;      /* ACQUIRED, for the trace; 0: nobody reads it */
    pawl__waiting waiting; /* [loop] ACQUIRED, CHANGED */
} pawl__completion;

/* The acquisitions that read, or have read, through one lease: see readers.c. [m] */
typedef struct pawl__reading {
    uint32_t refs;
    struct pawl__acquisition *stays; /* its lease keeps the loans of the others; NULL: none */
} pawl__reading;

/* It is kept small, because a client may hold 100 000 locks. */
typedef struct pawl__acquisition {
    pawl__want want; /* [loop] */
    /* All below: [m]. */
    pawl__link in_all; /* of the client, while in use */
    pawl__link in_asked;
    pawl__link in_calls;
    pawl__completion *completions;
    pawl__reading *reading; /* SHARED: with whom it shares a lease; NULL: nobody has come yet */
    int16_t event_err;      /* for the callback */
    uint8_t asked;          /* PAWL__ASK_... that the loop owner has not seen */
    uint8_t calls;          /* PAWL__CALL_... */
    /* Not bits, because they are read without the mutex, at times when nobody writes them. */
    bool is_spare;         /* [once] it lies in a pawl__spare_acquisition */
    bool was_retained;     /* let go while it was retained: the time since the put-back counts */
    bool known : 1;        /* the engine knows it, or will soon: want must stay where it is */
    bool let_go : 1;       /* released, detached, lost or freed: nobody holds it */
    bool abandoned : 1;    /* the handle was freed while it waited */
    bool await_store : 1;  /* the release wants the store's word */
    bool ends_lease : 1;   /* the release ends the lease: nobody else gets it, or keeps it */
    uint8_t change_to : 2; /* the mode that was asked for last */
    bool upgrades : 1;     /* an upgrade waits */
    bool wanted : 1;       /* somebody else waits, or it is in doubt: it is no longer lent */
    bool waited : 1;       /* it waited in the store's queue before it was granted */
    bool running : 1;      /* a callback of it runs now */
    bool telling : 1;      /* the loop owner tells the engine what was asked */
    bool on_stack : 1;     /* one of completions lies on the stack of the thread that waits */
} pawl__acquisition;

typedef enum pawl__lock_state {
    PAWL__LOCK_IDLE = 0,
    PAWL__LOCK_ACQUIRING,
    PAWL__LOCK_HELD,
    PAWL__LOCK_LOST
} pawl__lock_state;

/* Of a handle on several names: see several.c. [once] */
typedef struct pawl__several {
    size_t count;
    uint8_t at[PAWL_NAMES_MAX];       /* index in `parts` of the i-th name that the caller gave */
    pawl_lock *parts[PAWL_NAMES_MAX]; /* in byte order of their names */
} pawl__several;

/* What only few handles need: for events, retention, permits, or a client that is traced. */
typedef struct pawl__extras {
    pawl_event_fn on_event; /* [once] */
    void *event_userdata;   /* [once] */
    char *event_message;    /* [m] for the event of message_of; NULL: the text of the err */
    const pawl__acquisition *message_of; /* [m] */
    pawl__several *several;              /* [once] NULL: it has one name */
    pawl_lock *whole;                    /* [m] of a part: its handle; NULL once that is freed */
    bool reentrant;                      /* [once] */
    uint16_t nested; /* [m] acquisitions after the first that are not released; see reentry.c */
    uint16_t units, capacity; /* [once] of permits; else 0 */
    _Atomic uint16_t *slots;  /* `units` of them, of the latest acquisition */
    /* For a client whose holds are traced; see holds.c. */
    bool traced;                 /* [once] */
    bool loan_told;              /* [m] RETAINED has been told, RECALLED has not */
    _Atomic int64_t held_since;  /* the instant at which the hold began */
    _Atomic uint64_t uses;       /* how often the handle took the lock during the loan */
    pawl_metrics *metrics;       /* [once] a reference of its own: it outlives the client's */
    pawl__class_metrics *counts; /* [once] lies in metrics; NULL: nothing is counted */
    int32_t retain_ms;           /* [once] */
    bool retains; /* [once] what follows is for handles with retain_ms; see retention.c */
    _Atomic int64_t put_back_at; /* when it was released last */
    pawl__acquisition *lent;     /* [loop] the acquisition whose timer runs */
    pawl__timer timer;           /* [loop] in acquisitions->timers */
} pawl__extras;

/* Of one client. */
typedef struct pawl__acquisitions {
    /* [once] */
    pawl__gate *gate;
    pawl__calls *calls;
    pawl__trace *trace;
    pawl__pump *pump;
    pawl__messages *messages;
    /* [m] */
    pawl__link all;    /* in use */
    pawl__link asked;  /* with news for the loop owner */
    uint32_t refs;     /* the client itself and its handles: the client's memory */
    bool has_retained; /* some handle has had a retain_ms */
    /* [loop] */
    pawl__heap timers; /* ends of retention */
} pawl__acquisitions;

struct pawl_lock {
    pawl__acquisitions *home;       /* [once] the client's, counted */
    pawl__held held;                /* atomic */
    pawl__extras *extras;           /* [once] NULL: neither */
    pawl__acquisition *acquisition; /* [m] ACQUIRING, HELD, LOST: the present one */
    _Atomic uint64_t fence;         /* of the present or latest acquisition */
    pawl__token_shown token;        /* atomic */
    uint32_t refs;                  /* [m] the handle itself and its acquisitions in use */
    uint8_t state;                  /* [m] pawl__lock_state */
    bool freed : 1;                 /* [m] by the user */
    bool first_in_use : 1;          /* [m] */
    bool cancels : 1;               /* [m] the next acquisition is canceled when it begins */
    _Atomic uint8_t mode;           /* of the present or latest acquisition: pawl_mode */
    /* The first acquisition needs no allocation. Name, label, ttl and flags in its want belong to
     * the handle and are valid even when it is not in use [once]. */
    pawl__acquisition first;
    char name[]; /* [once] and the label */
};

/* For a handle whose first acquisition has not ended yet. */
typedef struct pawl__spare_acquisition {
    pawl__acquisition acquisition;
    pawl_lock *lock;
} pawl__spare_acquisition;

/* Counted in lock->refs while the acquisition is in use. */
static inline pawl_lock *pawl__acquisition_lock(const pawl__acquisition *a)
{
    if (a->is_spare) return pawl__container(a, pawl__spare_acquisition, acquisition)->lock;
    return pawl__container(a, pawl_lock, first);
}

/* One part of a handle on several names, in a round. [m] */
typedef struct pawl__part {
    pawl__completion acquired, released; /* the first members: see several.c */
    pawl__acquisition *asked;            /* whose acquired is open */
    pawl__acquisition *let_go;           /* whose released is open */
    struct pawl__round *round;
    int16_t err;   /* of its latest acquisition */
    bool in_doubt; /* its renewal is overdue */
} pawl__part;

/* The acquisition of a handle on several names. The engine knows only the acquisitions of its
 * parts. [m] */
typedef struct pawl__round {
    pawl__spare_acquisition spare;
    int64_t wait_until; /* of all parts together */
    uint16_t asked;     /* number of parts whose acquisition has not ended */
    uint16_t releasing; /* number of parts whose release has not ended */
    int16_t in_queue;   /* the part that was asked for in its queue; -1: none yet */
    int16_t err;        /* why the acquisition ends; 0: it does not */
    int16_t release_err;
    bool anew; /* a part that was already held was lost: start again */
    pawl__part parts[];
} pawl__round;

static inline bool pawl__lock_is_several(const pawl_lock *lock)
{
    return lock->extras && lock->extras->several;
}
static inline bool pawl__lock_is_part(const pawl_lock *lock)
{
    return lock->extras && lock->extras->whole;
}

static inline pawl__acquisition *pawl__acquisition_of(pawl__link *in_all)
{
    return pawl__container(in_all, pawl__acquisition, in_all);
}

/* ---- acquisition.c: life and completions; mutex held ------------------------------------------
 */

void pawl__acquisitions_init(pawl__acquisitions *home, pawl__gate *gate, pawl__calls *calls,
                             pawl__trace *trace, pawl__pump *pump, pawl__messages *messages);
/* A new one; NULL: out of memory. */
pawl__acquisition *pawl__acquisition_new(pawl_lock *lock);
/* Frees it if nobody needs it any more: not the engine, the calls or the handle. The lock may be
   gone afterwards. */
void pawl__acquisition_free_unused(pawl__acquisition *a);
/* NULL is allowed. */
void pawl__extras_free(pawl__extras *extras);
/* Drops a reference; the caller has a reference to the client as well. */
void pawl__lock_put(pawl_lock *lock);
/* lock.c; mutex not held: cancels the acquisition that waits, or else the next one when it begins;
   and takes that back. */
void pawl__lock_cancel_soon(pawl_lock *lock);
void pawl__lock_cancel_no_more(pawl_lock *lock);
/* What a wait_ms of the API means to the engine: 0, an instant, or never. */
int64_t pawl__wait_until(int64_t wait_ms);
/* Makes one that ends with a callback; NULL: out of memory. */
pawl__completion *pawl__complete_by_callback(pawl_done_fn done, void *userdata);
/* From now on the completion hears of the end. */
void pawl__acquisition_add_completion(pawl__acquisition *a, pawl__completion *completion,
                                      uint8_t call);
/* The completion no longer hears of the end. */
void pawl__acquisition_remove_completion(pawl__acquisition *a, const pawl__completion *completion);
/* The thread that waits goes, and the completion's callback hears of the end instead. */
void pawl__acquisition_call_later(pawl__acquisition *a, pawl__completion *completion);
/* Takes the completion of a call that is over from the acquisition; the caller runs and frees it.
 */
pawl__completion *pawl__acquisition_take_over(pawl__acquisition *a, uint8_t call);
/* Whether another completion is over and its callback has not run yet. */
bool pawl__acquisition_has_over(const pawl__acquisition *a, uint8_t call);
/* The completion that has not yet been told of the end of the call; NULL: there is none. */
pawl__completion *pawl__acquisition_find_open(const pawl__acquisition *a, uint8_t call);
/* Cancels grants whose callbacks have not run yet: the handle is freed. */
void pawl__acquisition_cancel_grant(pawl__acquisition *a);
/* Asks the loop owner for `what`, which is passed on to the engine. */
void pawl__acquisition_ask(pawl__acquisition *a, uint8_t what);

/* ---- begin.c: an acquisition begins, and is taken back from its handle; mutex held ------------
 */

/* wait_until: from pawl__wait_until. Returns 0, or why no acquisition begins. */
int pawl__acquisition_begin(pawl_lock *lock, int64_t wait_until, pawl__completion *completion);
/*
 * Takes the acquisition from the handle: 0, or PAWL_ERR_LOST when it had been lost, or
 * why there is nothing to give back. After 0 and PAWL_ERR_LOST the handle is free for a new
 * acquisition. *ret_a: the acquisition of which the engine must be told; NULL if it knows. how: for
 * the trace.
 */
int pawl__acquisition_take_back(pawl_lock *lock, pawl_trace_kind how, pawl__acquisition **ret_a);

/* ---- ends.c: what callers wait for ends; mutex held -------------------------------------------
 */

void pawl__end_acquire(pawl__acquisitions *home, pawl__acquisition *a, int err,
                       const char *message);
void pawl__end_release(pawl__acquisitions *home, pawl__acquisition *a, int err);
void pawl__end_change(pawl__acquisitions *home, pawl__acquisition *a, int err);
/* For the next event of the handle. */
void pawl__keep_event(pawl__acquisition *a, pawl_err err, const char *message);
/* The message about err; ret_room has PAWL_MESSAGE_MAX bytes. */
const char *pawl__reason(const pawl__acquisitions *home, pawl_err err, const char *message,
                         char *ret_room);
/* Keeps the line of the event as the latest trouble. */
void pawl__keep_trouble(pawl__acquisitions *home, const pawl_trace *event);
/* The handle has lost the lock and is told so. `a` is the present acquisition of its lock. */
void pawl__lose(pawl__acquisition *a, pawl_err err, const char *message);

/* ---- several.c: handles on several names; mutex held ------------------------------------------
 */

/* Asks the parts for what was asked of the whole (PAWL__ASK_...). [loop] */
void pawl__several_tell(pawl__acquisition *a, unsigned wish);
/* What happens to a part that is held. The loop owner calls these; anybody may call _lost. */
void pawl__several_part_lost(const pawl_lock *part, pawl_err err, const char *message);
void pawl__several_part_extended(const pawl_lock *part, bool after_doubt);
void pawl__several_part_in_doubt(const pawl_lock *part, pawl_err err, const char *message);
void pawl__several_part_wanted(const pawl_lock *part);
/* Ends all handles on several names that are left: nobody is told of the ends of their parts. */
void pawl__several_disband_all(pawl__acquisitions *home);

/* ---- reentry.c: handles of PAWL_LOCK_REENTRANT; mutex held ------------------------------------
 */

/* Whether this is an inner acquisition: the handle has the lock already, and *ret_err is the
 * result. false: acquire it like any other handle. */
bool pawl__reentry_enter(pawl_lock *lock, int *ret_err);
/* Whether the release is that of an inner acquisition; *ret_err is the result. false: it is the
 * last release. */
bool pawl__reentry_leave(pawl_lock *lock, int *ret_err);
static inline bool pawl__lock_is_nested(const pawl_lock *lock)
{
    return lock->extras && lock->extras->nested > 0;
}

/* ---- deliver.c: its callbacks; mutex held -----------------------------------------------------
 */

/* Queues a callback; an event only if the handle has on_event. */
void pawl__acquisition_call(pawl__acquisition *a, uint8_t call);
/* The call has succeeded already: queues its callback. */
void pawl__acquisition_complete_at_once(pawl__acquisition *a, pawl__completion *completion,
                                        uint8_t call);
/* For pawl__calls_ops: runs the earliest callback. */
bool pawl__acquisition_run_call(pawl__calls *calls, pawl__acquisition *a);

/* ---- holds.c: for how long a handle has its lock, for the trace --------------------------
 */

/* Whether anybody wants to know how long locks are held: then handles have extras. */
static inline bool pawl__holds_are_traced(const pawl__trace *trace)
{
    return trace->metrics || trace->hook_hears & PAWL__TRACE_HOLDS;
}
static inline bool pawl__lock_is_traced(const pawl_lock *lock)
{
    return lock->extras && lock->extras->traced;
}
/* A hold begins, or ends with an event of this kind; err and message: of a loss. Mutex held. */
void pawl__hold_begins(pawl_lock *lock);
void pawl__hold_tell_end(pawl_lock *lock, pawl_trace_kind kind, pawl_err err, const char *message)
    __attribute__((cold));
static inline void pawl__hold_ends(pawl_lock *lock, pawl_trace_kind kind, pawl_err err,
                                   const char *message)
{
    if (pawl__lock_is_traced(lock) || pawl__trace_hears(lock->home->trace, kind))
        pawl__hold_tell_end(lock, kind, err, message);
}
/* The handle no longer has the lock: it is given back or lost. Mutex held. */
void pawl__hold_given_up(pawl_lock *lock);
/* A loan begins with the release of a hold that began at `since`. A loan ends; held: the handle has
 * the lock at this moment. Mutex held. */
void pawl__hold_is_lent(pawl_lock *lock, int64_t since);
void pawl__hold_is_recalled(pawl_lock *lock, bool held);
/* When the hold began, as far as it is traced. Any thread. */
static inline int64_t pawl__hold_since(const pawl_lock *lock)
{
    return pawl__lock_is_traced(lock)
               ? atomic_load_explicit(&lock->extras->held_since, memory_order_relaxed)
               : 0;
}
/* The retained lease was taken, or put back by a hold that began at `since`. Any thread. */
void pawl__hold_taken(pawl_lock *lock);
void pawl__hold_put_back(pawl_lock *lock, int64_t since);

/* ---- retention.c ------------------------------------------------------------------------------
 */

static inline bool pawl__lock_retains(const pawl_lock *lock)
{
    return lock->extras && lock->extras->retains;
}
/* Whether its lease can be lent: the handle retains leases, or it is a reader. */
static inline bool pawl__lock_lends(const pawl_lock *lock)
{
    return pawl__lock_retains(lock) || lock->first.want.mode == PAWL_MODE_SHARED;
}
/* Whether the client allows the lease of the handle to be lent. */
bool pawl__may_lend(const pawl_lock *lock);
/* Whether the release was turned into a loan. Mutex held. */
bool pawl__retention_lend(pawl_lock *lock);
/* Ends the loan; if nobody held it the acquisition is to be released. Mutex held. */
void pawl__retention_recall(pawl_lock *lock);
/* The same for all handles: from now on every call takes the mutex. Mutex held. */
void pawl__retention_recall_all(pawl__acquisitions *home);
/* Ends it because somebody else waits or the lease is in doubt: it is not lent again. Mutex held.
 */
void pawl__retention_refuse(pawl__acquisition *a);
/* The timer. [loop]; mutex not held, except for _disarm. */
void pawl__retention_arm(pawl__acquisition *a);
void pawl__retention_disarm(pawl__acquisition *a);
void pawl__retention_time(pawl__acquisitions *home, int64_t now);
int64_t pawl__retention_deadline(const pawl__acquisitions *home);
/* How much of the retention is left when the acquisition is given back. */
int64_t pawl__retention_left_ms(const pawl__acquisition *a);

/* ---- readers.c: readers of one client beside each other; mutex held ---------------------------
 */

/* The reader was granted the lock. [loop] */
void pawl__reader_comes(pawl__acquisition *a);
/* Whether the release was turned into a loan. */
bool pawl__reader_lends(pawl_lock *lock);
/* The engine will be told that `a` no longer holds: ends the loans that depend on its lease. [loop]
 */
void pawl__readers_recall(const pawl__acquisition *a);

/* ---- ask.c: tells the engine what was asked; [loop], mutex held -----------------------------
 */

/* The mutex is let go meanwhile. */
void pawl__acquisitions_tell(pawl__acquisitions *home);

/* ---- actions.c: what the engine says; [loop] --------------------------------------------------
 */

/* Mutex not held. */
void pawl__acquisitions_act(pawl__acquisitions *home, const pawl__action *action);
/* Tells the losses that the clock shows, without the engine, because the loop owner does not come
 * back. Any thread, mutex held. */
void pawl__acquisitions_tell_overdue(pawl__acquisitions *home);
/* The client closes: nobody holds anything. Mutex held. */
void pawl__acquisitions_let_go(pawl__acquisitions *home);
/* Ends all with err (close, law 10); the engine is gone. Mutex held. */
void pawl__acquisitions_end(pawl__acquisitions *home, int err);
/* In the child of a fork: frees all, tells nobody. */
void pawl__acquisitions_forget(pawl__acquisitions *home);

#endif
