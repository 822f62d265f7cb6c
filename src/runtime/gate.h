/* SPDX-License-Identifier: MIT */
/*
 * The gate of a client: its mutex, who owns the loop, and threads that sleep and are woken.
 *
 * Engine, store and event loop know no threads. They belong to the *loop owner*, one thread at a
 * time: a caller that waits, or the client's own thread. This floor decides which thread that is.
 * It knows nothing of locks, engines and stores: what the owner does is given as a table of
 * functions.
 *
 * A caller that must wait takes the loop itself when it is free, and keeps it until its own wait is
 * over: then nothing crosses threads. If callers wait only for each other and not for the store,
 * none of them keeps the loop: the caller that releases the lock owns the loop for that moment, and
 * wakes the next caller itself. The client's own thread owns the loop when no caller does: for
 * renewals, pushes and asynchronous operations.
 *
 * Locking, also on the floors above:
 *
 *   [m]     guarded by the gate's mutex
 *   [loop]  belongs to the thread that owns the loop
 *   [once]  set before the client is published, constant afterwards
 *   atomic  readable by anybody
 *
 * The mutex is held for short stretches only, never across the store, the engine, a callback or a
 * system call that may block. Each function below says what it needs: "mutex held" means before and
 * after the call; it may be released in between.
 *
 * Why no wake-up is lost:
 *  - A thread asks for something only with the mutex held. If the owner sleeps in the event loop
 *    (`asleep`, set with the mutex held after it has seen that nothing is asked), wake_fd wakes it.
 *    If nobody owns the loop, the asking thread takes it.
 *  - The thread that gives up the loop passes it on: first to close, exit and fork, if they want
 *    it; else to one waiting caller, if somebody waits for the store; else to the client's thread,
 *    if that would wake up too late by itself.
 *  - If a caller is woken to own the loop and its wait is already over, it passes the loop on.
 *  - While this client holds leases, a caller does not sleep in the loop: it hands the loop over to
 *    the client's thread (handed_over) and sleeps outside. So renewals do not depend on a caller's
 *    thread. The client's thread keeps the loop as long as callers wait for the store.
 *  - The thread of the callbacks may own the loop, too (gate_calls.c). It leaves the loop as soon
 *    as there is something to run: whoever queues that wakes it, wherever it sleeps.
 *  - The client's thread either owns the loop or sleeps until thread_looks_at. It takes the loop
 *    back when no caller has owned it during one such sleep.
 */
#ifndef PAWL_RUNTIME_GATE_H
#define PAWL_RUNTIME_GATE_H

#include "../base/list.h"
#include "process.h"
#include "spin.h"
#include "waiter.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* How the owner rests when nothing is left to do. */
typedef enum pawl__rest {
    PAWL__REST_SLEEP = 0, /* until something happens */
    PAWL__REST_SPIN,      /* looks what has happened, and yields the processor */
    PAWL__REST_LOOK       /* looks what has happened, and goes on */
} pawl__rest;

/* What somebody may wait for, as bits. */
enum {
    PAWL__AWAITS_TURN = 0x1,    /* somebody waits: work has not seen what was asked */
    PAWL__AWAITS_STORE = 0x2,   /* a caller waits for an answer of the store */
    PAWL__AWAITS_RENEWAL = 0x4, /* nobody waits, but there are leases that need renewals */
    PAWL__AWAITS_RELEASE = 0x8, /* a release must still be sent to the store, or confirmed */
    PAWL__AWAITS_REST = 0x10    /* something must still be sent to the store, or answered by it */
};

/* What the floors above do for the owner. Mutex held; "Owner": the caller owns the loop. */
typedef struct pawl__gate_ops {
    /* Does all that was asked; when it returns nothing is left to do. Owner. */
    void (*work)(void *ctx);
    /* Rests in the event loop, at the latest until `until`. Owner. */
    void (*rest)(void *ctx, int64_t until, pawl__rest how);
    /* When work is due although nothing is asked and nothing happens. Nobody else owns the loop. */
    int64_t (*due)(const void *ctx);
    /* Whether any of PAWL__AWAITS_... is. Nobody else owns the loop. */
    bool (*awaited)(const void *ctx, unsigned kinds);
    /* Tells the losses that the clock shows, without touching what belongs to the owner: the owner
     * does not come back. */
    void (*overdue)(void *ctx);
    /* Whether this very thread runs a callback, and calls pawl__gate_own_for_calls when it ends. */
    bool (*comes_back)(const void *ctx);
} pawl__gate_ops;

typedef struct pawl__gate {
    pthread_mutex_t mutex;
    const pawl__gate_ops *ops;  /* [once] */
    void *ctx;                  /* [once] */
    uint64_t process;           /* [once] the mark of the process that made it (law 9) */
    _Atomic bool quiet_at_fork; /* written before a fork, read in the child */
    int wake_fd;                /* [once] wakes the owner that sleeps in the loop */
    bool has_thread;            /* [once] */
    pthread_t thread;           /* [once] */

    /* All [m] but `served` and `spin`. */
    bool owned;              /* somebody owns the loop */
    bool asleep;             /* the owner is, or is about to be, asleep in it */
    bool handed_over;        /* a caller has left the loop to the client's thread */
    bool has_served;         /* a caller's wait has ended, or one has asked for the loop, since the
                                loop has this owner */
    bool hears_at_once;      /* some handle needs to hear of pushes at once */
    int64_t thread_looks_at; /* when the client's thread looks by itself; 0: it is awake; NEVER:
                                when the thread of the callbacks gives up the loop */
    uint32_t owner_wanted;   /* close, exit and fork want the loop before all others */
    uint64_t takes;          /* how often callers have taken it */
    pthread_cond_t owner_cond;  /* for those of owner_wanted */
    pthread_cond_t thread_cond; /* for the client's thread */
    pawl__link waiters;         /* callers that sleep; each may be woken to own the loop */
    pawl__link served; /* [loop] callers whose wait is over; they are woken when the turn ends */
    bool serving;      /* a turn runs, and completed callers go to `served` */
    int64_t looked_at; /* when callers that own the loop for a moment have looked for pushes */
    uint32_t async_pending;  /* asynchronous operations that are not complete */
    bool has_calls_thread;   /* a thread of ours runs callbacks */
    pawl__waiter *for_calls; /* the thread of the callbacks, while it owns the loop */
    bool
        release_alone; /* [loop] a release is under way and nothing else leaves, see gate_flush.c */
    pawl__spin spin;   /* [loop] */
    bool closing;      /* no call begins any more */
    bool exiting;      /* the process ends: requests are sent at once, nothing is kept */
    bool stop;         /* the client's thread shall end */
} pawl__gate;

static inline bool pawl__gate_is_forked(const pawl__gate *gate)
{
    return !pawl__process_is(gate->process);
}

/* ---- Made and freed: mutex not held, nobody else knows it ------------------------------------ */

void pawl__gate_init(pawl__gate *gate, const pawl__gate_ops *ops, void *ctx);
/* The descriptor. 0 or PAWL_ERR_SYSTEM. */
int pawl__gate_open(pawl__gate *gate);
void pawl__gate_close(pawl__gate *gate);
/* The client's thread. 0 or PAWL_ERR_SYSTEM. */
int pawl__gate_start_thread(pawl__gate *gate);
/* Ends the client's thread, and wakes those who want the loop. Mutex held. */
void pawl__gate_stop(pawl__gate *gate);
void pawl__gate_join_thread(pawl__gate *gate);
void pawl__gate_destroy(pawl__gate *gate);

/* ---- Waiting -------------------------------------------------------------------------------- */

/*
 * Waits until the waiter is complete or `until` has come, and owns the loop if need be. Mutex held
 * before, and not after: a caller whose wait is over needs nothing that the mutex guards.
 */
void pawl__gate_wait(pawl__gate *gate, pawl__waiter *waiter, int64_t until);
/*
 * Owns the loop as long as it would look for answers before it sleeps, and returns then, or when
 * the waiter is complete; at once if the loop is another's. Mutex held.
 */
void pawl__gate_look(pawl__gate *gate, pawl__waiter *waiter);
/* Ends its wait and wakes it; while `serving`, it is woken when the turn ends. Mutex held. */
void pawl__gate_complete(pawl__gate *gate, pawl__waiter *waiter, int err);
/* Wakes those that are left in served. Owner, mutex or not. */
void pawl__gate_rouse(pawl__gate *gate);
/* Takes the mutex; false: it was not free until `until`. A signal handler may have interrupted the
 * very thread that holds it. */
bool pawl__gate_lock_in_time(pawl__gate *gate, int64_t until);

/* ---- Owning the loop, mutex held ------------------------------------------------------------- */

/* Takes the loop before all others, at the latest at `until`. */
bool pawl__gate_take(pawl__gate *gate, int64_t until);
/* Takes it to work for all, after close, exit and fork have had it; false: closing. */
bool pawl__gate_take_unless_closing(pawl__gate *gate);
void pawl__gate_give(pawl__gate *gate);
/* Works until the waiter is complete, `until` has come, or somebody else wants the loop; rests at
   least once. Owner. */
void pawl__gate_run_for(pawl__gate *gate, const pawl__waiter *waiter, int64_t until);
/* Works until nothing must be sent to the store or answered by it, or until `until`. Owner. */
void pawl__gate_run_to_rest(pawl__gate *gate, int64_t until);
/* The process ends: sends what was asked, and gives it time to arrive. Owner. */
void pawl__gate_drain(pawl__gate *gate, int64_t until);

/* The loop is free, and nobody wants it before all others. */
bool pawl__gate_may_own(const pawl__gate *gate);
/*
 * The same, for a caller that would own it for a moment. If another thread owns it, and that is the
 * client's, it gives it up as soon as nobody needs it, so that the next such caller finds it free.
 */
bool pawl__gate_is_free(pawl__gate *gate);

/* ---- The thread of the callbacks (gate_calls.c), mutex held -----------------------------------
 */

/*
 * Nothing is left to run: waits in the loop for the one asynchronous operation that is under way,
 * until there is something to run or somebody else wants the loop. false: it has not owned the
 * loop, which is another's or the client's thread's, and sleeps elsewhere.
 */
bool pawl__gate_own_for_calls(pawl__gate *gate);
/* There is something to run. */
void pawl__gate_call(pawl__gate *gate);
/* An asynchronous operation is complete. */
void pawl__gate_async_ended(pawl__gate *gate);

/* ---- Something was asked (gate_flush.c), mutex held ------------------------------------------ */

/* Makes sure that the request is sent now. */
void pawl__gate_flush_now(pawl__gate *gate);
/* The same for the release of a lock that is or was waited for: it is sent by itself. */
void pawl__gate_flush_release(pawl__gate *gate);

/* ---- Answers, owner, mutex or not ------------------------------------------------------------ */

/* A request was sent. */
void pawl__gate_sent(pawl__gate *gate);
/* It has been answered, or never will be. */
void pawl__gate_answered(pawl__gate *gate);

/* ---- Fork: mutex not held before the freeze and after the thaw ------------------------------- */

/* Brings the client to a quiet moment: then the loop is owned and the mutex held. */
void pawl__gate_freeze(pawl__gate *gate, int64_t until);
/* Whether that succeeded. Valid until the thaw, and always in the child. */
static inline bool pawl__gate_is_quiet(const pawl__gate *gate)
{
    return atomic_load(&gate->quiet_at_fork);
}
void pawl__gate_thaw(pawl__gate *gate);

#endif
