/* SPDX-License-Identifier: MIT */
/*
 * The store object and what passes between its two threads.
 *
 *   the host's loop                        the worker
 *   submit, flush  -- queue of tasks -->   one transaction per batch
 *   callbacks     <-- list of notes ----   replies, rows, pushes, link, warnings
 *
 * A task belongs to the queue, then to the worker, and comes back in its REPLY
 * note; a note belongs to the loop once it is posted. The eventfd says that notes wait.
 *
 * For a host that wants it the worker begins without a thread (sqlite_inline.c). For one that
 * allows it the loop's thread does the worker's work while that rests (sqlite_lend.c).
 */
#ifndef PAWL_SQLITE_STORE_H
#define PAWL_SQLITE_STORE_H

#include "../../base/instant.h"
#include "../../base/list.h"
#include "../../base/table.h"
#include "sqlite_value.h"
#include "sqlite_watch.h"

#include <pthread.h>
#include <stdatomic.h>

#define PAWL__TASKS_MAX      65536                   /* outstanding requests of one store object */
#define PAWL__RETRY_FIRST_NS (100 * PAWL__NS_PER_MS) /* after a failure to open */
#define PAWL__BATCH_MAX      32 /* requests in one transaction: others need the file, too */

/*
 * Timers stay in the loop's heap from open to close, so setting one needs no memory. When there is
 * nothing to wait for they are set to this time.
 */
#define PAWL__REST_S 86400

struct event;

typedef struct pawl__task pawl__task;

typedef enum pawl__note_kind {
    PAWL__NOTE_REPLY = 0, /* task, which contains the note */
    PAWL__NOTE_ROW,       /* task, info */
    PAWL__NOTE_FINDING,   /* task, finding */
    PAWL__NOTE_PUSH,      /* letter, from us to ourselves */
    PAWL__NOTE_UP,        /* instant_release, pid_ns */
    PAWL__NOTE_DOWN,      /* fault */
    PAWL__NOTE_INBOX,     /* inbox_fd: bound, or bound again */
    PAWL__NOTE_WARN       /* fault.message */
} pawl__note_kind;

typedef struct pawl__note {
    pawl__link link;
    pawl__note_kind kind;
    pawl__task *task;
    int inbox_fd;
    bool instant_release;
    int64_t pid_ns;
    union {
        pawl_info info; /* pointers into this block */
        pawl_finding finding;
        pawl__letter letter;
        pawl__sqlite_fault fault;
    } u;
} pawl__note;

struct pawl__task {
    pawl_request request; /* its strings point behind this struct */
    int64_t answer_by;    /* local instant at which the loop answers */
    int64_t
        give_up_at; /* a little before: the worker stops trying, certain of having done nothing */
    pawl__answer answer;
    char *value_room;          /* for what a READ finds */
    pawl__note reply_note;     /* so that an answer needs no memory */
    pawl__letter early;        /* a GRANT that came before the reply; name_len 0: none */
    pawl__link in_queue;       /* pending, queue or batch */
    pawl__link in_outstanding; /* the loop's: all that are not answered */
    bool taken;                /* the worker has it; under the mutex once it is queued */
    bool refused;              /* the loop's: the worker never sees it */
    bool answered;             /* the loop's: answered because time was over; ignore the result */
};

#define PAWL__REFUSED_MAX 256  /* in a turn of the loop; more wait for the engine's time limit */
#define PAWL__LATE_MAX    4096 /* letters kept for receivers that read too slowly */

typedef struct pawl__late_mail {
    pawl__link link;
    pawl__mail mail;
    int tries_left;
} pawl__late_mail;

/* What only the worker touches. */
typedef struct pawl__worker {
    pawl__sqlite_db db;
    bool open;
    pawl__outbox outbox;
    pawl__link late; /* pawl__late_mail */
    size_t late_count;
    bool inbox_unbound;      /* the database is open, but there is no inbox yet */
    pawl__table unheard;     /* leases that were granted or confirmed without an inbox, by token */
    int64_t unbound_until;   /* latest time for that; NEVER: nothing has been asked yet */
    int64_t checked_at;      /* when the inbox was last checked */
    pawl__sqlite_fault told; /* the failure of the last DOWN; err 0: none since it was up */
    int64_t retry_ns;        /* pause before the next try to open */
} pawl__worker;

struct pawl_store {
    pawl_host *host;
    char client_id[PAWL__CLIENT_ID_LEN + 1];
    char path[PATH_MAX]; /* as in the URL; "": the default file */
    mode_t mode;         /* option mode; 0: 0660 less the umask */
    pawl_caps caps;

    /* The loop's. */
    struct event *notes_event, *inbox_event, *deadline_event;
    struct event *thread_event; /* when the worker gets its thread; NULL: it has it */
    unsigned granted;           /* granted by the worker without a thread, and not released */
    int inbox_fd;
    int64_t pid_ns;
    bool up;
    pawl__sqlite_fault down; /* why, while not up */
    pawl__link pending;      /* submitted, not flushed */
    pawl__link outstanding;
    size_t outstanding_count;
    int64_t deadline_at;                 /* the time of deadline_event; PAWL__NEVER: none */
    uint64_t refused[PAWL__REFUSED_MAX]; /* ids of requests for which there was no memory */
    size_t refused_count;
    pawl__watches watches;

    /* Both threads', under the mutex. */
    pthread_mutex_t mutex;
    pthread_cond_t wake;
    pawl__link queue; /* tasks */
    pawl__link notes;
    bool worker_waits; /* until the notes are taken */
    bool working;      /* the worker has tasks in hand */
    bool resting;      /* the worker waits for tasks */
    bool lent;         /* what is the worker's is the loop's: the worker goes on resting */
    bool wanted;       /* the worker has something to do, and lends nothing before */
    bool closing;      /* finish the queue, then end */
    atomic_bool stop;  /* end now */
    int notes_fd;      /* eventfd */

    pthread_t thread;
    pawl__worker worker;
    pawl_store *next_forgotten; /* in a forked child */
};

/* ---- Tasks and notes (sqlite_notes.c) -------------------------------------------- */

/* Whether the request changes anything. */
bool pawl__sqlite_is_write(const pawl__task *task);
void pawl__sqlite_task_free(pawl__task *task);
void pawl__sqlite_fail_task(pawl__task *task, pawl_outcome outcome, pawl_err err,
                            const char *message);

/* A zeroed note; NULL when out of memory. */
pawl__note *pawl__sqlite_note_new(pawl__note_kind kind, size_t extra);
/* Posts a note to the loop; takes it over. */
void pawl__sqlite_post(pawl_store *store, pawl__note *note);
/* Answers by a note, with the contents of task->answer. */
void pawl__sqlite_post_reply(pawl_store *store, pawl__task *task);
/* Mutex held. Puts tasks that were not carried out back to the head of the queue. */
void pawl__sqlite_put_back(pawl_store *store, pawl__link *batch);
/* Waits until the loop has taken the notes: a long report must not pile up in memory. */
void pawl__sqlite_wait_until_taken(pawl_store *store);

/* ---- The worker (sqlite_worker.c) ---------------------------------------------- */

void *pawl__sqlite_worker_main(void *store);

/* The worker's steps, called by the thread that does its work. false: the database is not open. */
bool pawl__sqlite_worker_open(pawl_store *store);
bool pawl__sqlite_worker_serve(pawl_store *store, pawl__link *batch);
/* Mutex held: takes tasks that can be carried out together, in the order of the queue. */
void pawl__sqlite_worker_take(pawl_store *store, pawl__link *batch);
/*
 * The same as serving, for writes, by the loop's thread to which the worker's things are lent. It
 * waits for nobody. false: nothing was done, and the worker must do it.
 */
bool pawl__sqlite_worker_serve_lent(pawl_store *store, pawl__link *batch);
/* Mutex held. Whether it has something to do that nobody asked for. */
bool pawl__sqlite_worker_is_due(pawl_store *store);
/* Its end. */
void pawl__sqlite_worker_done(pawl_store *store);
/* Starts its thread. 0 or -1. */
int pawl__sqlite_worker_start(pawl_store *store);

/* ---- Letters and the inbox (sqlite_letters.c) ------------------------------------- */

#define PAWL__UNBOUND_NS (20 * PAWL__NS_PER_MS) /* short-lived programs need no inbox */

/*
 * Sends the letters of the committed transaction. Returns whether a grant could not be delivered:
 * then *ret_gone is its letter (of several the first; those behind the others watch them and ask).
 */
bool pawl__sqlite_send_outbox(pawl_store *store, pawl__letter *ret_gone);
/* Hands on what the letter granted, until a receiver is found. */
void pawl__sqlite_reap(pawl_store *store, pawl__letter *gone);
/* Sends again to receivers that read too slowly. */
void pawl__sqlite_send_late_mail(pawl__worker *worker);
/* Drops all letters that wait. */
void pawl__sqlite_drop_letters(pawl__worker *worker);

/* From now on others may write to us, unless this user may only look, and so holds nothing. */
void pawl__sqlite_expect_letters(pawl_store *store);
/* After the commit: there may be news of the lease before we have an inbox. */
void pawl__sqlite_note_lease(pawl_store *store, const pawl__task *task);
/* Makes the inbox, unless there is one, and looks for earlier news. */
void pawl__sqlite_need_inbox(pawl_store *store);
/* Whether it must be made now, although there was no quiet moment. */
bool pawl__sqlite_is_inbox_due(pawl_store *store);
/* Makes it again if somebody has removed it. */
void pawl__sqlite_check_inbox(pawl_store *store);

/* ---- Without a thread (sqlite_inline.c) ------------------------------------------ */

/* Whether the worker has no thread: then the loop's thread does its work. */
static inline bool pawl__sqlite_is_inline(const pawl_store *store)
{
    return store->thread_event != NULL;
}
/* The work begins in the next turn of the loop. 0 or -1. */
int pawl__sqlite_inline_begin(pawl_store *store);
/* Opens the database in the loop's first turn. */
void pawl__sqlite_inline_open(pawl_store *store);
/* Carries out what is queued, or gives the worker its thread. */
void pawl__sqlite_inline_flush(pawl_store *store);
/* Takes note of an answer, which decides whether the worker still needs no thread. */
void pawl__sqlite_inline_answered(pawl_store *store, const pawl__task *task);
/* Frees the event when it is no longer needed, or in a child. */
void pawl__sqlite_inline_end(pawl_store *store);

/* ---- Lent to the loop's thread (sqlite_lend.c) ------------------------------------ */

/* Carries out what is queued, if the worker rests. false: the worker must be told. */
bool pawl__sqlite_lend_flush(pawl_store *store);

/* ---- Reports (sqlite_report.c) ------------------------------------------------- */

/* INSPECT, LIST, DOCTOR: posts rows and findings, fills the task's answer. An SQLite result. */
int pawl__sqlite_report(pawl_store *store, pawl__task *task);

/* ---- Callbacks of the loop (sqlite_loop.c) ------------------------------------- */

void pawl__sqlite_on_notes(int fd, short what, void *store);
void pawl__sqlite_on_inbox(int fd, short what, void *store);
void pawl__sqlite_on_deadline(int fd, short what, void *store);

/* Answers at the next turn of the loop that there was no memory; needs none itself. */
void pawl__sqlite_refuse(pawl_store *store, uint64_t id);

/* Puts the deadline's timer into the loop's heap, unset; false when out of memory. */
bool pawl__sqlite_rest_deadline(pawl_store *store);
/* Remembers that the task must be answered by its instant. */
void pawl__sqlite_arm_deadline(pawl_store *store, const pawl__task *task);

#endif
