/* SPDX-License-Identifier: MIT */
/*
 * The callbacks of a client: a queue of entries that have something to tell, and of notes for the
 * hooks (trace.h), which come first. They run one at a time and without the mutex, so they may call
 * anything. They never run while their thread owns the loop: a callback that takes long, or waits
 * for another lock, must not stop renewals.
 *
 * With PAWL_CALLBACKS_THREAD a thread of its own runs them; it is started when the first callback
 * becomes possible. With PAWL_CALLBACKS_DISPATCH and _WAIT the user's thread runs them.
 *
 * An entry is a link inside its owner's struct, so queueing it cannot fail (law 6). This floor
 * knows neither locks nor what an entry tells: the owner's `run` runs it.
 *
 * Locking: everything here is guarded by one mutex, which the owner passes in [m]. All functions
 * are called with it held unless they say otherwise.
 */
#ifndef PAWL_RUNTIME_CALLS_H
#define PAWL_RUNTIME_CALLS_H

#include "../base/list.h"
#include "pawl/pawl.h"

#include <pthread.h>

/* What the floors above do. */
typedef struct pawl__calls_ops {
    /*
     * Runs one callback of the first entry, between pawl__calls_begin and pawl__calls_end, or none
     * if there is nothing left to tell; takes the entry out of the queue when all is told. false:
     * the callback forked, and this is the child. Mutex held before; after, unless false.
     */
    bool (*run)(pawl_client *client, pawl__link *entry);
    /* The same for the first note. */
    bool (*run_note)(pawl_client *client, pawl__link *note);
    /* The same for the first answer to an asynchronous question. */
    bool (*run_answer)(pawl_client *client, pawl__link *answer);
    /* Something waits, and there is no descriptor that shows it; a thread here may be in `await`.
     * Mutex held. */
    void (*announce)(pawl_client *client);
    /* Nothing waits: our thread may do something else until it is announced. false: it has not.
     * Mutex held before and after. */
    bool (*await)(pawl_client *client);
} pawl__calls_ops;

typedef struct pawl__calls {
    /* [once] */
    const pawl__calls_ops *ops;
    pawl_client *client; /* for ops */
    pthread_mutex_t *mutex;
    uint64_t process; /* the mark of the process that opened the client (law 9) */
    bool has_runner;  /* a thread of ours runs them */
    int dispatch_fd;  /* -1 unless PAWL_CALLBACKS_DISPATCH */
    /* [m] */
    pawl__link entries;
    pawl__link notes;
    pawl__link answers;
    pthread_cond_t added;   /* for our thread */
    pthread_cond_t ended;   /* for those who wait for the end of a callback */
    const void *running_of; /* whose callback runs */
    bool running;           /* a callback runs */
    pthread_t runner;       /* the thread that runs it */
    bool closed;            /* no thread is started any more */
    bool stop;              /* our thread shall end */
    bool thread_started;
    pthread_t thread;
} pawl__calls;

/* opts: of the client. The rest of [once] is set by pawl__calls_open. Mutex not held. */
void pawl__calls_init(pawl__calls *calls, const pawl__calls_ops *ops, pawl_client *client,
                      pthread_mutex_t *mutex, const pawl_open_opts *opts);
/* Makes the descriptor, if there is to be one: 0 or PAWL_ERR_SYSTEM. Mutex not held. */
int pawl__calls_open(pawl__calls *calls);
/* Closes the descriptor; nobody runs anything. Mutex not held. */
void pawl__calls_free_parts(pawl__calls *calls);
void pawl__calls_destroy(pawl__calls *calls);

/* Starts the thread, if callbacks run on one and there is none yet. 0, PAWL_ERR_CLOSED or _SYSTEM.
 */
int pawl__calls_need(pawl__calls *calls);
/* Queues an entry that is in no list. */
void pawl__calls_add(pawl__calls *calls, pawl__link *entry);
/* The same for a note. Whoever adds notes bounds them, and frees those that have not run. */
void pawl__calls_add_note(pawl__calls *calls, pawl__link *note);
/* The same for the answer to a question. */
void pawl__calls_add_answer(pawl__calls *calls, pawl__link *answer);
bool pawl__calls_none(const pawl__calls *calls);

/*
 * Runs the callbacks that wait, at most max, unless one runs already; the mutex is released while
 * they run. Returns how many ran; PAWL_ERR_FORKED: a callback forked, this is the child, and
 * nothing is held.
 */
int pawl__calls_run(pawl__calls *calls, int max);
/*
 * Before and after a callback: the mutex is released in between. of: for pawl__calls_wait_for. Pass
 * the result of begin, the process in which the callback began, to end.
 */
uint64_t pawl__calls_begin(pawl__calls *calls, const void *of);
/*
 * false: the callback forked and this is the child, where nothing may be touched (law 9): the
 * callback may have closed the client there.
 */
bool pawl__calls_end(pawl__calls *calls, uint64_t process);

/* Waits until no callback of `of` runs, unless it is this thread's own. */
void pawl__calls_wait_for(pawl__calls *calls, const void *of);
/* Whether this thread is in a callback. */
bool pawl__calls_is_inside(const pawl__calls *calls);
/* Updates the descriptor, which shows whether callbacks wait. */
void pawl__calls_unannounce(pawl__calls *calls);

/* Ends our thread and waits for it; mutex not held. */
void pawl__calls_join(pawl__calls *calls);
/*
 * The same; then runs what is left, so that every operation is told its end (law 6). Mutex not
 * held. false: a callback has forked, and this is the child, which may touch nothing more (law 9).
 */
bool pawl__calls_finish(pawl__calls *calls);

#endif
