/* SPDX-License-Identifier: MIT */
/*
 * Acquisitions: where a caller's view of a lock and the engine's meet.
 *
 * An acquisition lasts from the first wish to the last callback. A handle has one at a time
 * (lock->acquisition) from the call of acquire until the lock is given back; older ones may live
 * on beside it until the engine has forgotten them and their callbacks have run. So a handle can
 * be acquired again at once after a release, and a freed handle's callbacks still find their
 * memory.
 *
 * Exactly once (law 6): each end is told to its completion, and a second time there is none; a
 * loss is told when the acquisition is not let go yet, and lets it go.
 *
 * Locking: by the marks of gate.h. What is said about a function: "mutex held" is before and
 * after; [loop] functions are called by the loop owner.
 */
#ifndef PAWL_RUNTIME_ACQUISITION_H
#define PAWL_RUNTIME_ACQUISITION_H

#include "held.h"
#include "pump.h"

/* What a caller asks of the engine, in the order in which it is told. */
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
 * Who is to hear of the end of an acquisition, an upgrade or a release, and what is needed until
 * then: a thread that waits, with this on its stack; or a callback, and then it is malloc'ed. [m]
 */
typedef struct pawl__completion {
    struct pawl__completion *next; /* a release may begin before a callback has run */
    pawl__waiter *waiter;          /* NULL: the callback */
    pawl_done_fn done;
    void *userdata;
    /* Instead of both: of a part of a handle on several names. Mutex held, by the loop owner. */
    void (*on_end)(struct pawl__completion *completion, int err);
    int16_t err;           /* once it is over */
    uint8_t call;          /* PAWL__CALL_ACQUIRED, _CHANGED or _RELEASED: of what */
    bool over;             /* the callback waits to run */
    int64_t begun_at;      /* ACQUIRED, for the trace; 0: nobody reads it */
    pawl__waiting waiting; /* [loop] ACQUIRED, CHANGED */
} pawl__completion;

/* As small as it can be while the lock is held: 100 000 of them lie in one client. */
typedef struct pawl__acquisition {
    pawl__want want; /* [loop] */
    /* All below: [m]. */
    pawl__link in_all; /* of the client, while in use */
    pawl__link in_asked;
    pawl__link in_calls;
    pawl__completion *completions;
    int16_t event_err; /* for the callback */
    uint8_t asked;     /* PAWL__ASK_... that the loop owner has not seen */
    uint8_t calls;     /* PAWL__CALL_... */
    /* No bits: they are read without the mutex, when nobody writes them. */
    bool is_spare;         /* [once] it is in a pawl__spare_acquisition */
    bool was_retained;     /* let go while nobody held it: the time since then counts */
    bool known : 1;        /* to the engine, or about to be: want must stay where it is */
    bool let_go : 1;       /* released, detached, lost or freed: nobody holds it */
    bool abandoned : 1;    /* the handle was freed while it waited */
    bool await_store : 1;  /* the release wants the store's word */
    uint8_t change_to : 2; /* the mode that was asked for last */
    bool upgrades : 1;     /* an upgrade waits */
    bool wanted : 1;       /* somebody else waits, or it is in doubt: it is not lent any more */
    bool waited : 1;       /* it stood in the store's queue before it was granted */
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
    uint8_t at[PAWL_NAMES_MAX];       /* of the name that the caller gave so, in parts */
    pawl_lock *parts[PAWL_NAMES_MAX]; /* in byte order of their names */
} pawl__several;

/* What few handles have: events, retention, permits, a client that is traced. */
typedef struct pawl__extras {
    pawl_event_fn on_event; /* [once] */
    void *event_userdata;   /* [once] */
    char *event_message;    /* [m] with the event of message_of; NULL: the err's text */
    const pawl__acquisition *message_of; /* [m] */
    pawl__several *several;              /* [once] NULL: it has one name */
    pawl_lock *whole;                    /* [m] of a part: its handle; NULL once that is freed */
    bool reentrant;                      /* [once] */
    uint16_t nested; /* [m] acquisitions beside the first, not released yet; see reentry.c */
    uint16_t units, capacity; /* [once] of permits; else 0 */
    _Atomic uint16_t *slots;  /* `units` of them, of the latest acquisition */
    /* Of a client whose holds are traced; see holds.c. */
    bool traced;                 /* [once] */
    bool loan_told;              /* [m] RETAINED was told, and not RECALLED */
    _Atomic int64_t held_since;  /* the instant at which the hold began */
    _Atomic uint64_t uses;       /* of the loan: how often the handle took it */
    pawl_metrics *metrics;       /* [once] a reference of its own: it outlives the client's */
    pawl__class_metrics *counts; /* [once] in metrics; NULL: nobody counts */
    bool retains; /* [once] the rest is of a handle with retain_ms; see retention.c */
    _Atomic int64_t put_back_at; /* when it was released last */
    pawl__acquisition *lent;     /* [loop] the one whose timer runs */
    pawl__timer timer;           /* [loop] in acquisitions->timers */
} pawl__extras;

#define PAWL__TOKEN_WORDS (PAWL_TOKEN_LEN / 8) /* of four bytes, each of two digits */

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
    pawl__acquisition *acquisition; /* [m] ACQUIRING, HELD, LOST: the one in question */
    _Atomic uint64_t fence;         /* of the present or latest acquisition */
    _Atomic uint32_t token_version; /* odd while the token is being written */
    _Atomic uint32_t token[PAWL__TOKEN_WORDS];
    uint32_t refs;        /* [m] the handle itself and its acquisitions in use */
    int32_t retain_ms;    /* [once] */
    uint8_t state;        /* [m] pawl__lock_state */
    bool freed;           /* [m] by the user */
    bool first_in_use;    /* [m] */
    _Atomic uint8_t mode; /* of the present or latest acquisition: pawl_mode */
    /* The one that needs no allocation. What its want says of name, label, ttl and flags is
       the handle's, in use or not [once]. */
    pawl__acquisition first;
    char name[]; /* [once] and the label */
};

/* One of a handle whose first one has not ended yet. */
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

/* One part in a round. [m] */
typedef struct pawl__part {
    pawl__completion acquired, released; /* the first members: see several.c */
    pawl__acquisition *asked;            /* whose acquired is open */
    pawl__acquisition *let_go;           /* whose released is open */
    struct pawl__round *round;
    int16_t err;   /* of its latest acquisition */
    bool in_doubt; /* its renewal is overdue */
} pawl__part;

/* The acquisition of a handle on several names. The engine does not know it, but its parts'. [m] */
typedef struct pawl__round {
    pawl__spare_acquisition spare;
    int64_t wait_until; /* of all parts together */
    uint16_t asked;     /* parts whose acquisition has not ended */
    uint16_t releasing; /* and whose release */
    int16_t in_queue;   /* the part that was asked for in its queue; -1: none yet */
    int16_t err;        /* why the acquisition ends; 0: it does not */
    int16_t release_err;
    bool anew; /* a part that it had was lost: the acquisition begins from the start */
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
/* Drops a reference; whoever calls has a reference to the client beside the lock's. */
void pawl__lock_put(pawl_lock *lock);
/* What a wait_ms of the API means to the engine: 0, an instant, or never. */
int64_t pawl__wait_until(int64_t wait_ms);
/* One whose callback is to be called; NULL: out of memory. */
pawl__completion *pawl__complete_by_callback(pawl_done_fn done, void *userdata);
/* From now on the completion hears of the end. */
void pawl__acquisition_add_completion(pawl__acquisition *a, pawl__completion *completion,
                                      uint8_t call);
/* It does not want to hear any more. */
void pawl__acquisition_remove_completion(pawl__acquisition *a, const pawl__completion *completion);
/* Of the call that is over, taken from the acquisition, to be run and freed. */
pawl__completion *pawl__acquisition_take_over(pawl__acquisition *a, uint8_t call);
/* Whether one more is over, whose callback is still to come. */
bool pawl__acquisition_has_over(const pawl__acquisition *a, uint8_t call);
/* Who is to hear of the end of the call and has not been told; NULL: nobody, or no more. */
pawl__completion *pawl__acquisition_find_open(const pawl__acquisition *a, uint8_t call);
/* Cancels grants whose callbacks have not run yet: the handle is freed. */
void pawl__acquisition_cancel_grant(pawl__acquisition *a);
/* Puts it into the list of what the loop owner is to be told. */
void pawl__acquisition_ask(pawl__acquisition *a, uint8_t what);

/* ---- begin.c: an acquisition begins, and is taken back from its handle; mutex held ------------
 */

/* wait_until: of pawl__wait_until. 0, or why none begins. */
int pawl__acquisition_begin(pawl_lock *lock, int64_t wait_until, pawl__completion *completion);
/*
 * Takes the acquisition from the handle: 0, or PAWL_ERR_LOST when it had been lost, or
 * why there is nothing to give back. After the first two the handle is free for
 * a new acquisition. *ret_a: for the engine to be told, NULL if it knows. how: for the trace.
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
/* What is said about err; ret_room: PAWL_MESSAGE_MAX bytes. */
const char *pawl__reason(const pawl__acquisitions *home, pawl_err err, const char *message,
                         char *ret_room);
/* The latest trouble is the line of the event. */
void pawl__keep_trouble(pawl__acquisitions *home, const pawl_trace *event);
/* The handle has lost it, and hears of it. It is its lock's. */
void pawl__lose(pawl__acquisition *a, pawl_err err, const char *message);

/* ---- several.c: handles on several names; mutex held ------------------------------------------
 */

/* What was asked of the whole (PAWL__ASK_...) is asked of the parts. [loop] */
void pawl__several_tell(pawl__acquisition *a, unsigned wish);
/* What became of a part that is held: by the loop owner, _lost by anybody. */
void pawl__several_part_lost(const pawl_lock *part, pawl_err err, const char *message);
void pawl__several_part_extended(const pawl_lock *part, bool after_doubt);
void pawl__several_part_in_doubt(const pawl_lock *part, pawl_err err, const char *message);
void pawl__several_part_wanted(const pawl_lock *part);
/* All that are left: nobody hears of their parts' ends any more. */
void pawl__several_disband_all(pawl__acquisitions *home);

/* ---- reentry.c: handles of PAWL_LOCK_REENTRANT; mutex held ------------------------------------
 */

/* Whether the handle has the lock, and it is for that one to say what becomes of the acquisition:
 *ret_err. false: it is acquired like any other. */
bool pawl__reentry_enter(pawl_lock *lock, int *ret_err);
/* Whether the release is that of an inner acquisition: *ret_err. false: it is the last one. */
bool pawl__reentry_leave(pawl_lock *lock, int *ret_err);
static inline bool pawl__lock_is_nested(const pawl_lock *lock)
{
    return lock->extras && lock->extras->nested > 0;
}

/* ---- deliver.c: its callbacks; mutex held -----------------------------------------------------
 */

/* Queues a callback; an event only for a handle that wants to hear of it. */
void pawl__acquisition_call(pawl__acquisition *a, uint8_t call);
/* The call is over already, and well: its callback comes. */
void pawl__acquisition_complete_at_once(pawl__acquisition *a, pawl__completion *completion,
                                        uint8_t call);
/* For pawl__calls_ops: runs the earliest callback. */
bool pawl__acquisition_run_call(pawl__calls *calls, pawl__acquisition *a);

/* ---- holds.c: from when to when a handle has its lock, for the trace --------------------------
 */

/* Whether anybody reads how long locks are held: then handles have extras. */
static inline bool pawl__holds_are_traced(const pawl__trace *trace)
{
    return trace->metrics || trace->hook_hears & PAWL__TRACE_HOLDS;
}
static inline bool pawl__lock_is_traced(const pawl_lock *lock)
{
    return lock->extras && lock->extras->traced;
}
/* A hold begins, or ends by an event of the kind; err, message: of a loss. Mutex held. */
void pawl__hold_begins(pawl_lock *lock);
void pawl__hold_tell_end(pawl_lock *lock, pawl_trace_kind kind, pawl_err err, const char *message)
    __attribute__((cold));
static inline void pawl__hold_ends(pawl_lock *lock, pawl_trace_kind kind, pawl_err err,
                                   const char *message)
{
    if (pawl__lock_is_traced(lock) || pawl__trace_hears(lock->home->trace, kind))
        pawl__hold_tell_end(lock, kind, err, message);
}
/* The handle has it no more: it is given back, or it was lost. Mutex held. */
void pawl__hold_given_up(pawl_lock *lock);
/* The loan begins with the release of a hold that began at `since`; and it ends, held: the handle
   has it. Mutex held. */
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
/* Whether the release was turned into a loan. Mutex held. */
bool pawl__retention_lend(pawl_lock *lock);
/* Ends the loan; if nobody held it the acquisition is to be released. Mutex held. */
void pawl__retention_recall(pawl_lock *lock);
/* Of all handles: every call comes by the mutex from now on. Mutex held. */
void pawl__retention_recall_all(pawl__acquisitions *home);
/* Ends it because somebody else waits or the lease is in doubt: it is not lent again. Mutex held.
 */
void pawl__retention_refuse(pawl__acquisition *a);
/* The timer. [loop], mutex not held, but for _disarm. */
void pawl__retention_arm(pawl__acquisition *a);
void pawl__retention_disarm(pawl__acquisition *a);
void pawl__retention_time(pawl__acquisitions *home, int64_t now);
int64_t pawl__retention_deadline(const pawl__acquisitions *home);
/* What is left of its retention for one that is given back. */
int64_t pawl__retention_left_ms(const pawl__acquisition *a);

/* ---- ask.c: what was asked goes to the engine; [loop], mutex held -----------------------------
 */

/* The mutex is let go meanwhile. */
void pawl__acquisitions_tell(pawl__acquisitions *home);

/* ---- actions.c: what the engine says; [loop] --------------------------------------------------
 */

/* Mutex not held. */
void pawl__acquisitions_act(pawl__acquisitions *home, const pawl__action *action);
/* Tells the losses that the clock shows, without the engine: its owner does not come back.
   Anybody, mutex held. */
void pawl__acquisitions_tell_overdue(pawl__acquisitions *home);
/* The client closes: nobody holds anything. Mutex held. */
void pawl__acquisitions_let_go(pawl__acquisitions *home);
/* Ends all with err (close, law 10); the engine is gone. Mutex held. */
void pawl__acquisitions_end(pawl__acquisitions *home, int err);
/* In the child of a fork: frees all, without a word. */
void pawl__acquisitions_forget(pawl__acquisitions *home);

#endif
