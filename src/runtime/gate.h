/* SPDX-License-Identifier: MIT */
/*
 * The gate of a client: its mutex, who owns the loop, and threads that sleep and are woken.
 *
 * Engine, store and event loop know no threads. They belong to the *loop owner*, one thread at
 * a time: a caller that waits, or the client's own thread. This floor decides who that is. It
 * knows nothing of locks, engines and stores: what the owner does is a table of functions.
 *
 * A caller that must wait takes the loop itself when it is free, and keeps it until its own wait
 * is over: then nothing crosses threads. Where nobody waits for the store, but callers for each
 * other, none of them keeps it: who gives the lock back owns the loop for that moment, and wakes
 * the next one itself. The client's own thread owns the loop when no caller does: for renewals,
 * pushes and asynchronous operations.
 *
 * Locking, also on the floors above:
 *
 *   [m]     guarded by the gate's mutex
 *   [loop]  belongs to the thread that owns the loop
 *   [once]  set before the client is published, constant afterwards
 *   atomic  readable by anybody
 *
 * The mutex is held for short stretches only, never across the store, the engine, a callback or a
 * system call that may block. Each function below says what it wants: "mutex held" means before
 * and after, and that it may be let go in between.
 *
 * Why no wake-up is lost:
 *  - Whoever asks for something does so under the mutex. If the owner is asleep in the event
 *    loop (`asleep`, set under the mutex after it has seen that nothing is asked), it is woken
 *    by wake_fd. If nobody owns the loop, the asking thread takes it.
 *  - Whoever gives up the loop passes it on: to those who want it before all others, else to one
 *    caller that waits if the store is waited for, else to the client's thread if that would
 *    look too late by itself.
 *  - A caller that was woken to own the loop and finds its wait over passes the loop on again.
 *  - A caller that would sleep in the loop while this client holds leases hands it over to the
 *    client's thread (handed_over) and sleeps beside it: nothing that keeps its thread keeps a
 *    renewal. The thread stays as long as callers wait for the store.
 *  - The client's thread either owns the loop or sleeps until thread_looks_at. It takes the
 *    loop back when no caller has owned it for the length of one such sleep.
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
    PAWL__REST_SPIN,      /* looks what has happened, and lets others have the processor */
    PAWL__REST_LOOK       /* looks what has happened, and goes on */
} pawl__rest;

/* What may be waited for, as bits. */
enum {
    PAWL__AWAITS_TURN = 0x1,    /* somebody: something was asked that work has not seen */
    PAWL__AWAITS_STORE = 0x2,   /* a caller: what the store will say */
    PAWL__AWAITS_RENEWAL = 0x4, /* nobody, but there are leases that need renewals */
    PAWL__AWAITS_RELEASE = 0x8, /* the store has to be told of a release, or to confirm it */
    PAWL__AWAITS_REST = 0x10    /* anything is still to be told to or heard from the store */
};

/* What the floors above do for the owner. Mutex held, loop owned where it says so. */
typedef struct pawl__gate_ops {
    /* Does all that was asked: nothing is when it returns. Owner. */
    void (*work)(void *ctx);
    /* Rests in the event loop, at the latest until `until`. Owner. */
    void (*rest)(void *ctx, int64_t until, pawl__rest how);
    /* When work is due although nothing is asked and nothing happens. Nobody else owns the loop. */
    int64_t (*due)(const void *ctx);
    /* Whether any of PAWL__AWAITS_... is. Nobody else owns the loop. */
    bool (*awaited)(const void *ctx, unsigned kinds);
    /* Tells what the clock shows, without touching what the owner has: it does not come back. */
    void (*overdue)(void *ctx);
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
    bool owned;                 /* somebody owns the loop */
    bool asleep;                /* the owner is, or is about to be, asleep in it */
    bool handed_over;           /* a caller has left the loop to the client's thread */
    bool has_served;            /* since the loop has this owner, a caller's wait is over */
    bool cycling;               /* the latest acquisition came right after a release */
    bool hears_at_once;         /* some handle has wanted to hear of pushes at once */
    int64_t released_at;        /* the latest release that nobody waited for; 0: another came */
    int64_t thread_looks_at;    /* when the client's thread looks by itself; 0: it is awake */
    uint32_t owner_wanted;      /* close, exit and fork want the loop before all others */
    uint64_t takes;             /* how often callers have taken it */
    pthread_cond_t owner_cond;  /* for those of owner_wanted */
    pthread_cond_t thread_cond; /* for the client's thread */
    pawl__link waiters;         /* callers that sleep; any may be called to own the loop */
    pawl__link served;          /* [loop] those whose wait is over, to be woken as the turn ends */
    bool serving;               /* completions are those of a turn: see served */
    int64_t looked_at;      /* when callers that own the loop for a moment have looked for pushes */
    uint32_t async_pending; /* asynchronous operations that are not complete */
    bool
        release_alone; /* [loop] a release is under way and nothing else leaves, see gate_flush.c */
    pawl__spin spin;   /* [loop] */
    bool closing;      /* no call begins any more */
    bool exiting;      /* the process ends: what is asked leaves at once, nothing is kept */
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
/* The client's thread ends, and those who want the loop look again. Mutex held. */
void pawl__gate_stop(pawl__gate *gate);
void pawl__gate_join_thread(pawl__gate *gate);
void pawl__gate_destroy(pawl__gate *gate);

/* ---- Waiting -------------------------------------------------------------------------------- */

/*
 * Waits until the waiter is complete or `until` has come, and owns the loop if need be. Mutex
 * held before, and not after: whose wait is over needs nothing that it guards.
 */
void pawl__gate_wait(pawl__gate *gate, pawl__waiter *waiter, int64_t until);
/* Ends its wait, and wakes it; while `serving`, as the turn ends. Mutex held. */
void pawl__gate_complete(pawl__gate *gate, pawl__waiter *waiter, int err);
/* Wakes those that are left in served. Owner, mutex or not. */
void pawl__gate_rouse(pawl__gate *gate);
/* Takes the mutex; false: not until `until`. A thread may hold it under its own signal handler. */
bool pawl__gate_lock_in_time(pawl__gate *gate, int64_t until);

/* ---- Owning the loop, mutex held ------------------------------------------------------------- */

/* Takes the loop before all others, at the latest at `until`. */
bool pawl__gate_take(pawl__gate *gate, int64_t until);
/* Takes it to work for all, after those who take it before all others; false: closing. */
bool pawl__gate_take_unless_closing(pawl__gate *gate);
void pawl__gate_give(pawl__gate *gate);
/* Works until the waiter is complete, `until` has come, or somebody else wants the loop; rests at
   least once. Owner. */
void pawl__gate_run_for(pawl__gate *gate, const pawl__waiter *waiter, int64_t until);
/* Works until nothing more is to be told to or heard from the store, or `until`. Owner. */
void pawl__gate_run_to_rest(pawl__gate *gate, int64_t until);
/* The process ends: what was asked leaves, and has time to arrive. Owner. */
void pawl__gate_drain(pawl__gate *gate, int64_t until);

/* ---- Something was asked (gate_flush.c), mutex held ------------------------------------------ */

/* Makes sure that it leaves now. */
void pawl__gate_flush_now(pawl__gate *gate);
/* The same, but it may wait a moment for the next request to leave with. */
void pawl__gate_flush_later(pawl__gate *gate);
/* The same for the release of a lock that is or was waited for. */
void pawl__gate_flush_release(pawl__gate *gate);
/* An acquisition begins. */
void pawl__gate_note_acquire(pawl__gate *gate);

/* ---- Answers, owner, mutex or not ------------------------------------------------------------ */

/* A request has left. */
void pawl__gate_sent(pawl__gate *gate);
/* It has been answered, or never will be. */
void pawl__gate_answered(pawl__gate *gate);

/* ---- Fork: mutex not held before the freeze and after the thaw ------------------------------- */

/* Catches the client at a quiet moment: then the loop is owned and the mutex held. */
void pawl__gate_freeze(pawl__gate *gate, int64_t until);
/* Whether it was caught, until the thaw; and in the child ever after. */
static inline bool pawl__gate_is_quiet(const pawl__gate *gate)
{
    return atomic_load(&gate->quiet_at_fork);
}
void pawl__gate_thaw(pawl__gate *gate);

#endif
