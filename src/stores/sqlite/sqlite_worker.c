/* SPDX-License-Identifier: MIT */
/*
 * The worker: opens the database, carries out what the queue holds, sends letters.
 *
 * Writing requests that wait together share a transaction, so that eight
 * releases cost one commit; each is still decided for itself, and if one fails, all are
 * rolled back and done again one by one. Reading requests run alone, in their turn.
 */
#define _GNU_SOURCE
#include "sqlite_store.h"

#include "../../base/instant.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RETRY_MAX_NS  (5000 * PAWL__NS_PER_MS)
#define LATE_NS       (2 * PAWL__NS_PER_MS) /* between tries to deliver a letter */
#define NOTE_RETRY_NS (10 * PAWL__NS_PER_MS)
#define CEILING_TRIES 3
#define LENT_BUSY_NS  (200 * PAWL__NS_PER_US)

/* ---- Writing ------------------------------------------------------------------- */

static void answer_with_fault(pawl_store *store, pawl__link *batch, pawl_outcome outcome,
                              const pawl__sqlite_fault *fault)
{
    pawl__link *at;
    while ((at = pawl__list_first(batch))) {
        pawl__task *task = pawl__container(at, pawl__task, in_queue);
        pawl__list_remove(at);
        pawl__sqlite_fail_task(task, outcome, fault->err, fault->message);
        pawl__sqlite_post_reply(store, task);
    }
}

static void fail_batch(pawl_store *store, pawl__link *batch, pawl_outcome outcome, int rc)
{
    pawl__sqlite_fault fault;
    pawl__sqlite_fault_of(&store->worker.db, rc, &fault);
    answer_with_fault(store, batch, outcome, &fault);
}

static void note_leases(pawl_store *store, const pawl__link *batch)
{
    for (const pawl__link *at = batch->next; at != batch; at = at->next) {
        pawl__sqlite_note_lease(store, pawl__container(at, const pawl__task, in_queue));
    }
}

static void reply_batch(pawl_store *store, pawl__link *batch)
{
    pawl__link *at;
    while ((at = pawl__list_first(batch))) {
        pawl__list_remove(at);
        pawl__sqlite_post_reply(store, pawl__container(at, pawl__task, in_queue));
    }
}

/* Ends the tasks whose time is over; the others may try again. Whether any is left. */
static bool drop_overdue(pawl_store *store, pawl__link *batch)
{
    int64_t now = pawl__sqlite_clock_local();
    pawl__link overdue, *next;
    pawl__list_init(&overdue);
    for (pawl__link *at = batch->next; at != batch; at = next) {
        next = at->next;
        if (pawl__container(at, pawl__task, in_queue)->give_up_at > now) continue;
        pawl__list_remove(at);
        pawl__list_append(&overdue, at);
    }
    fail_batch(store, &overdue, PAWL_FAILED, SQLITE_BUSY);
    return !pawl__list_empty(batch);
}

static int64_t earliest(const pawl__link *batch)
{
    int64_t at = PAWL__NEVER;
    for (const pawl__link *i = batch->next; i != batch; i = i->next) {
        at = pawl__instant_min(at, pawl__container(i, pawl__task, in_queue)->give_up_at);
    }
    return at;
}

static int carry_out(pawl_store *store, pawl__task *task)
{
    pawl__worker *worker = &store->worker;
    if (pawl__value_is_asked(&task->request))
        return pawl__value_carry_out(&worker->db, &task->request, store->client_id, &worker->outbox,
                                     task->value_room, &task->answer);
    return pawl__lease_carry_out(&worker->db, &task->request, store->client_id, &worker->outbox,
                                 &task->answer);
}

static int carry_out_all(pawl_store *store, const pawl__link *batch)
{
    int rc = SQLITE_OK;
    bool queued = false, gives_back = true;
    store->worker.outbox.count = 0;
    for (const pawl__link *at = batch->next; at != batch && rc == SQLITE_OK; at = at->next) {
        pawl__task *task = pawl__container(at, pawl__task, in_queue);
        rc = carry_out(store, task);
        queued |= task->answer.outcome == PAWL_QUEUED || task->request.verb == PAWL_VERB_READ;
        gives_back &= task->request.verb == PAWL_VERB_RELEASE;
    }
    store->worker.db.gives_back = gives_back;
    if (rc == SQLITE_OK && queued)
        pawl__sqlite_need_inbox(store); /* the grant may come with the commit */
    return rc;
}

typedef enum attempt {
    DONE = 0,
    NOT_DONE,  /* rolled back: *ret_rc says why */
    UNCERTAIN, /* the commit itself failed on the way to the disk */
} attempt;

static attempt try_batch(pawl_store *store, const pawl__link *batch, int *ret_rc)
{
    pawl__sqlite_db *db = &store->worker.db;
    db->busy_until = earliest(batch);
    *ret_rc = pawl__sqlite_begin_write(db);
    if (*ret_rc != SQLITE_OK) return NOT_DONE;
    *ret_rc = carry_out_all(store, batch);
    if (*ret_rc != SQLITE_OK) {
        pawl__sqlite_rollback(db);
        return NOT_DONE;
    }
    *ret_rc = pawl__sqlite_commit(db);
    if (*ret_rc == SQLITE_OK) return DONE;
    return (*ret_rc & 0xFF) == SQLITE_IOERR ? UNCERTAIN : NOT_DONE;
}

/* The letters leave first: those who get them wait longest. */
static void finish_batch(pawl_store *store, pawl__link *batch)
{
    pawl__letter gone;
    bool gone_found = pawl__sqlite_send_outbox(store, &gone);
    note_leases(store, batch);
    reply_batch(store, batch);
    if (gone_found) pawl__sqlite_reap(store, &gone);
}

static int write_batch(pawl_store *store, pawl__link *batch);

static void write_one_by_one(pawl_store *store, pawl__link *batch)
{
    pawl__link one, *at;
    while ((at = pawl__list_first(batch))) {
        pawl__list_init(&one);
        pawl__list_remove(at);
        pawl__list_append(&one, at);
        (void)write_batch(store, &one);
    }
}

/* A fork that waits gets in between two tries. */
static void pause_for_fork(void)
{
    pawl__sqlite_gate_leave();
    pawl__sqlite_gate_enter();
}

/* Answers every task of the batch; without a thread not if it is busy. The last SQLite result. */
static int write_batch(pawl_store *store, pawl__link *batch)
{
    pawl__sqlite_db *db = &store->worker.db;
    int rc = SQLITE_OK, ceiling_tries = 0;
    bool made_room = false;
    while (drop_overdue(store, batch)) {
        switch (try_batch(store, batch, &rc)) {
        case DONE:
            finish_batch(store, batch);
            return SQLITE_OK;
        case UNCERTAIN:
            fail_batch(store, batch, PAWL_UNKNOWN, rc);
            return rc;
        case NOT_DONE:
            break;
        }
        if (rc == PAWL__SQLITE_NEEDS_CEILING) {
            rc = pawl__sqlite_raise_ceiling(db, db->fence_wanted);
            if (rc == SQLITE_OK && ++ceiling_tries <= CEILING_TRIES) continue;
        }
        if ((rc & 0xFF) == SQLITE_FULL && !made_room) {
            made_room = true;
            if (pawl__sqlite_make_room(db)) continue;
        }
        if ((rc & 0xFF) == SQLITE_BUSY && pawl__sqlite_is_inline(store)) return rc; /* kept */
        if ((rc & 0xFF) == SQLITE_BUSY && !atomic_load(&store->stop)) {
            pause_for_fork();
            continue;
        }
        if (batch->next->next != batch) {
            write_one_by_one(store, batch);
            return rc;
        }
        fail_batch(store, batch, PAWL_FAILED, rc);
        return rc;
    }
    return rc;
}

/* ---- The link ------------------------------------------------------------------ */

/* For notes that must arrive: waits for memory, but never in the loop's own thread. */
static pawl__note *note_surely(pawl_store *store, pawl__note_kind kind)
{
    pawl__note *note;
    while (!(note = pawl__sqlite_note_new(kind, 0)) && !atomic_load(&store->stop)) {
        if (pawl__sqlite_is_inline(store)) return NULL;
        struct timespec t = {.tv_nsec = NOTE_RETRY_NS};
        nanosleep(&t, NULL);
    }
    return note;
}

/* false: there is no memory to say that it is up, so it counts as down. */
static bool link_up(pawl_store *store)
{
    pawl__note *note = note_surely(store, PAWL__NOTE_UP);
    if (!note) return false;
    pawl__sqlite_expect_letters(store);
    note->instant_release = store->worker.db.live.fd >= 0;
    note->pid_ns = store->worker.db.pid_ns;
    store->worker.told.err = PAWL_OK;
    store->worker.retry_ns = PAWL__RETRY_FIRST_NS;
    pawl__sqlite_post(store, note);
    return true;
}

static void link_down(pawl_store *store, const pawl__sqlite_fault *fault)
{
    pawl__sqlite_db *db = &store->worker.db;
    pawl__sqlite_inbox_unbind(&db->inbox, store->client_id);
    pawl__sqlite_db_close(db); /* but not our byte: we may hold leases, and we live (law 1) */
    pawl__sqlite_drop_letters(&store->worker);
    pawl__sqlite_fault *told = &store->worker.told;
    if (told->err == fault->err && strcmp(told->message, fault->message) == 0) return;
    pawl__note *note = note_surely(store, PAWL__NOTE_DOWN);
    if (!note) return;
    /* The loop hears of the loss of an open file, and of the first try to open it that fails. */
    if (!store->worker.open) *told = *fault;
    note->u.fault = *fault;
    pawl__sqlite_post(store, note);
}

/* Sleeps until the time has passed. false: the store is closed. */
static bool pause_before_retry(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    int64_t span = worker->retry_ns;
    if (worker->db.refused_until > 0) { /* then it may be used: not much later */
        int64_t left = worker->db.refused_until - pawl__sqlite_clock_now(&worker->db.clock);
        span = pawl__instant_min(span, left > 0 ? left + PAWL__NS_PER_MS : PAWL__NS_PER_MS);
    }
    struct timespec until = pawl__sqlite_clock_after(span);
    worker->retry_ns = pawl__instant_min(worker->retry_ns * 2, RETRY_MAX_NS);
    pthread_mutex_lock(&store->mutex);
    store->working = false;
    while (!store->closing &&
           pthread_cond_timedwait(&store->wake, &store->mutex, &until) != ETIMEDOUT) {
    }
    bool more = !store->closing;
    pthread_mutex_unlock(&store->mutex);
    return more;
}

/* Whether such an error means that the connection to the file is of no more use. */
static bool breaks_link(int rc)
{
    if (rc == PAWL__SQLITE_OTHER_BOOT || rc == PAWL__SQLITE_REPLACED) return true;
    switch (rc & 0xFF) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
    case SQLITE_CANTOPEN:
    case SQLITE_IOERR:
    case SQLITE_READONLY:
    case SQLITE_MISUSE:
    case SQLITE_PROTOCOL:
        return true;
    }
    return false;
}

/* ---- The queue ----------------------------------------------------------------- */

/* The writes at the head of the queue, or the one read there. */
void pawl__sqlite_worker_take(pawl_store *store, pawl__link *batch)
{
    for (int count = 0; count < PAWL__BATCH_MAX && !pawl__list_empty(&store->queue); count++) {
        pawl__link *at = pawl__list_first(&store->queue);
        pawl__task *task = pawl__container(at, pawl__task, in_queue);
        if (count > 0 && !pawl__sqlite_is_write(task)) return;
        pawl__list_remove(at);
        pawl__list_append(batch, at);
        task->taken = true;
        if (!pawl__sqlite_is_write(task)) return;
    }
}

bool pawl__sqlite_worker_is_due(pawl_store *store)
{
    const pawl__worker *worker = &store->worker;
    return !worker->open || worker->late_count > 0 || pawl__sqlite_is_inbox_due(store) ||
           pawl__sqlite_is_checkpoint_due(&worker->db);
}

/* Under the mutex: sleeps until somebody wakes it. Whether the time for letters has come. */
static bool rest(pawl_store *store)
{
    const pawl__worker *worker = &store->worker;
    if (worker->late_count == 0 && !worker->inbox_unbound) {
        pthread_cond_wait(&store->wake, &store->mutex);
        return false;
    }
    struct timespec until =
        pawl__sqlite_clock_after(worker->late_count > 0 ? LATE_NS : PAWL__UNBOUND_NS);
    return pthread_cond_timedwait(&store->wake, &store->mutex, &until) == ETIMEDOUT;
}

static bool may_rest(const pawl_store *store)
{
    bool at_end = store->closing && store->worker.late_count == 0;
    return pawl__list_empty(&store->queue) && !store->wanted && !at_end;
}

/* Under the mutex: until a request comes, the end is near, or letters are to be sent again. */
static void wait_for_work(pawl_store *store)
{
    bool is_time = false;
    store->resting = true;
    while (store->lent || (!is_time && may_rest(store))) {
        if (!store->lent) {
            is_time = rest(store);
            continue;
        }
        store->wanted = true;
        pthread_cond_wait(&store->wake, &store->mutex);
    }
    store->resting = store->wanted = false;
}

/* false: the end. */
static bool wait_for_batch(pawl_store *store, pawl__link *batch)
{
    pthread_mutex_lock(&store->mutex);
    store->working = store->worker.late_count > 0;
    if (store->closing) pthread_cond_broadcast(&store->wake);
    wait_for_work(store);
    bool more = !store->closing || store->working || !pawl__list_empty(&store->queue);
    if (more && store->worker.open) pawl__sqlite_worker_take(store, batch);
    if (!pawl__list_empty(batch)) store->working = true;
    pthread_mutex_unlock(&store->mutex);
    return more && !atomic_load(&store->stop);
}

static int report(pawl_store *store, pawl__link *batch)
{
    pawl__task *task = pawl__container(pawl__list_first(batch), pawl__task, in_queue);
    pawl__list_remove(&task->in_queue);
    int rc = pawl__sqlite_report(store, task);
    pawl__sqlite_post_reply(store, task);
    return rc;
}

/* A fork that comes while the database is busy is no reason to call it that. */
static bool open_file(pawl_store *store, pawl__sqlite_fault *ret_fault)
{
    pawl__sqlite_db *db = &store->worker.db;
    while (!pawl__sqlite_db_open(db, store->path, store->mode, ret_fault)) {
        if (!db->gave_way || atomic_load(&store->stop)) return false;
        pause_for_fork();
    }
    return true;
}

/*
 * Writes where we may only look: refused, unless this user has got the rights meanwhile. Then the
 * database is opened anew, and *ret_go_on is set. false: it could not be.
 */
static bool refuse_or_reopen(pawl_store *store, pawl__link *batch, bool *ret_go_on)
{
    pawl__sqlite_db *db = &store->worker.db;
    pawl__sqlite_fault fault = {.err = PAWL_OK};
    char message[PAWL_MESSAGE_MAX];
    *ret_go_on = false;
    if (pawl__sqlite_path_check_writable(db->path, message) == 0) {
        pawl__sqlite_db_close(db);
        if (!open_file(store, &fault)) {
            answer_with_fault(store, batch, PAWL_FAILED, &fault);
            link_down(store, &fault);
            return false;
        }
        pawl__sqlite_expect_letters(store);
        *ret_go_on = !db->looks_only;
    }
    if (!*ret_go_on) answer_with_fault(store, batch, PAWL_FAILED, &db->lacks);
    return true;
}

static bool serve(pawl_store *store, pawl__link *batch)
{
    pawl__sqlite_db *db = &store->worker.db;
    pawl__sqlite_fault fault = {.err = PAWL_ERR_UNAVAILABLE};
    bool go_on;
    int rc;
    pawl__sqlite_send_late_mail(&store->worker);
    if (pawl__list_empty(batch)) {
        pawl__sqlite_need_inbox(store);
        pawl__sqlite_checkpoint(db);
        return true;
    }

    pawl__task *first = pawl__container(pawl__list_first(batch), pawl__task, in_queue);
    bool is_blind = !pawl__sqlite_is_write(first) && pawl__sqlite_db_is_blind(db);
    if (is_blind || !pawl__sqlite_db_is_current(db)) {
        pawl__sqlite_say(fault.message, "%s%s was removed or replaced", db->path,
                         is_blind ? "-shm" : "");
        answer_with_fault(store, batch, PAWL_FAILED, &fault);
        link_down(store, &fault);
        return false;
    }
    if (db->looks_only && pawl__sqlite_is_write(first)) {
        bool up = refuse_or_reopen(store, batch, &go_on);
        if (!go_on) return up;
    }
    pawl__sqlite_check_inbox(store);
    if (first->request.verb == PAWL_VERB_DOCTOR || pawl__sqlite_is_inbox_due(store))
        pawl__sqlite_need_inbox(store);
    rc = pawl__sqlite_is_write(first) ? write_batch(store, batch) : report(store, batch);
    /* A transaction that is still open could not be rolled back: closing the file does it. */
    if (breaks_link(rc) || !sqlite3_get_autocommit(db->handle)) {
        pawl__sqlite_fault_of(db, rc, &fault);
        link_down(store, &fault);
        return false;
    }
    if (!pawl__sqlite_is_inline(store)) pawl__sqlite_checkpoint(db);
    return true;
}

/* false: the link is down, and what was taken has been answered. */
bool pawl__sqlite_worker_serve(pawl_store *store, pawl__link *batch)
{
    pawl__sqlite_gate_enter();
    bool open = serve(store, batch);
    pawl__sqlite_gate_leave();
    return open;
}

/* ---- Lent to the loop's thread --------------------------------------------------- */

/*
 * No handler of the program runs in a transaction, where all others would wait for it. Signals that
 * tell of a fault of this very thread are not held back.
 */
static void hold_signals(sigset_t *ret_before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT};
    sigset_t most;
    sigfillset(&most);
    for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++) sigdelset(&most, faults[i]);
    pthread_sigmask(SIG_BLOCK, &most, ret_before);
}

/* Another transaction is over soon. If not, the worker waits for it, and sleeps meanwhile. */
static attempt try_for_a_moment(pawl_store *store, const pawl__link *batch, int *ret_rc)
{
    int64_t until = 0;
    for (;;) {
        attempt end = try_batch(store, batch, ret_rc);
        if (end != NOT_DONE || (*ret_rc & 0xFF) != SQLITE_BUSY) return end;
        int64_t now = pawl__sqlite_clock_local();
        if (until == 0) until = now + LENT_BUSY_NS;
        if (now >= until || pawl__sqlite_gate_is_wanted()) return NOT_DONE;
        sched_yield();
    }
}

/* Whatever fails and was undone is for the worker, which finds the same, and knows what to do. */
static bool serve_lent(pawl_store *store, pawl__link *batch)
{
    pawl__worker *worker = &store->worker;
    pawl__sqlite_fault fault;
    int rc;
    pawl__sqlite_check_inbox(store);
    worker->db.impatient = true;
    attempt end = try_for_a_moment(store, batch, &rc);
    worker->db.impatient = false;
    if (end == DONE) finish_batch(store, batch);
    if (end != UNCERTAIN) return end == DONE;
    fail_batch(store, batch, PAWL_UNKNOWN, rc);
    pawl__sqlite_fault_of(&worker->db, rc, &fault);
    link_down(store, &fault);
    worker->open = false;
    return true;
}

bool pawl__sqlite_worker_serve_lent(pawl_store *store, pawl__link *batch)
{
    sigset_t before;
    if (!pawl__sqlite_gate_try_enter()) return false;
    hold_signals(&before);
    bool done = serve_lent(store, batch);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pawl__sqlite_gate_leave();
    return done;
}

/* ---- The thread -------------------------------------------------------------------- */

static bool open_database(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    pawl__sqlite_fault fault = {.err = PAWL_OK};
    worker->open = open_file(store, &fault);
    if (!worker->open) {
        /* Without a thread it is only the first try. */
        if (!pawl__sqlite_is_inline(store)) link_down(store, &fault);
        return false;
    }
    worker->open = link_up(store);
    if (!worker->open) pawl__sqlite_db_close(&worker->db);
    return worker->open;
}

bool pawl__sqlite_worker_open(pawl_store *store)
{
    pawl__sqlite_gate_enter();
    bool open = open_database(store);
    pawl__sqlite_gate_leave();
    return open;
}

void pawl__sqlite_worker_done(pawl_store *store)
{
    pawl__worker *worker = &store->worker;
    pawl__sqlite_gate_enter();
    pawl__sqlite_drop_letters(worker);
    if (worker->open && !worker->inbox_unbound) {
        pawl__sqlite_inbox_unbind(&worker->db.inbox, store->client_id);
    }
    pawl__sqlite_db_close(&worker->db);
    pawl__sqlite_gate_leave();
    pawl__sqlite_live_close(&worker->db.live);
}

static void *worker_main(void *ctx)
{
    pawl_store *store = ctx;
    pawl__worker *worker = &store->worker;
    pawl__link batch;
    bool more = true;

    pawl__list_init(&batch);
    while (more && !atomic_load(&store->stop)) {
        if (!worker->open && !pawl__sqlite_worker_open(store)) {
            more = pause_before_retry(store);
            continue;
        }
        more = wait_for_batch(store, &batch);
        if (more && worker->open) worker->open = pawl__sqlite_worker_serve(store, &batch);
    }
    reply_batch(store, &batch); /* taken when the end came: freed with the notes */
    pawl__sqlite_worker_done(store);
    return NULL;
}

/* Signals are for the program's own threads. */
int pawl__sqlite_worker_start(pawl_store *store)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&store->thread, NULL, worker_main, store);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : -1;
}
