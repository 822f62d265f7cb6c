/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_gate.h"

#include "pawl/types.h"
#include "sqlite_clock.h"
#include "sqlite_live.h"

#include "../../base/instant.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FORK_WAIT_NS                                                                               \
    (250 * PAWL__NS_PER_MS) /* a transaction lasts 0.1 ms, a wait for a disk 50                    \
                             */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed; /* by the monotonic clock */
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* Under the mutex. */
static int inside;
static atomic_bool closed; /* a fork is under way */
static pawl__link visitors = {&visitors, &visitors};
static pawl__link copies = {&copies, &copies}; /* of the parent's visitors */
static pid_t process;                          /* of the parent: in a child getpid() differs */
static int cancel_state;                       /* of the thread that forks */
static int sentinel = -1; /* a file of ours alone; see pawl__sqlite_gate_has_inherited */
static struct stat sentinel_stat;
static bool unclean; /* a parent's thread was inside at the fork: we cannot use SQLite */

static void init_changed(void)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* ---- fork ------------------------------------------------------------------------------------ */

/* A thread that is canceled in this wait would leave the gate shut for ever. */
static void before_fork(void)
{
    struct timespec until = pawl__sqlite_clock_after(FORK_WAIT_NS);
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&mutex);
    atomic_store(&closed, true);
    while (inside > 0 && pthread_cond_timedwait(&changed, &mutex, &until) == 0)
        atomic_store(&closed, true); /* another thread's fork may have opened it */
    cancel_state = state;
}

static void end_fork(void)
{
    int state = cancel_state;
    atomic_store(&closed, false);
    pthread_mutex_unlock(&mutex);
    pthread_setcancelstate(state, NULL);
}

static void after_in_parent(void)
{
    pthread_cond_broadcast(&changed); /* they go on once the mutex is free */
    end_fork();
}

static void after_in_child(void)
{
    if (inside > 0) unclean = true;
    inside = 0;
    for (pawl__link *at; (at = pawl__list_first(&visitors));) {
        pawl__list_remove(at);
        pawl__list_append(&copies, at);
    }
    process = getpid();
    init_changed(); /* those who waited for it were the parent's threads */
    end_fork();
}

/* Handlers run in reverse order: those of the live files run when nobody is inside any more. */
static void start(void)
{
    pawl__sqlite_live_start();
    init_changed();
    process = getpid();
    sentinel = memfd_create("pawl", MFD_CLOEXEC);
    if (sentinel >= 0 && fstat(sentinel, &sentinel_stat) < 0) sentinel = -1;
    pthread_atfork(before_fork, after_in_parent, after_in_child);
}

/* The sentinel is one of the numbers. */
bool pawl__sqlite_gate_has_inherited(void)
{
    struct stat st;
    return sentinel >= 0 && fstat(sentinel, &st) == 0 && st.st_dev == sentinel_stat.st_dev &&
           st.st_ino == sentinel_stat.st_ino;
}

/* ---- In and out ------------------------------------------------------------------------------ */

void pawl__sqlite_gate_enter(void)
{
    pthread_mutex_lock(&mutex);
    while (atomic_load(&closed)) pthread_cond_wait(&changed, &mutex);
    inside++;
    pthread_mutex_unlock(&mutex);
}

bool pawl__sqlite_gate_try_enter(void)
{
    if (pthread_mutex_trylock(&mutex) != 0) return false;
    bool is_open = !atomic_load(&closed);
    if (is_open) inside++;
    pthread_mutex_unlock(&mutex);
    return is_open;
}

void pawl__sqlite_gate_leave(void)
{
    pthread_mutex_lock(&mutex);
    if (--inside == 0 && atomic_load(&closed)) pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

bool pawl__sqlite_gate_is_wanted(void)
{
    return atomic_load(&closed);
}

static pawl__sqlite_file index_of_others(pawl__sqlite_file file)
{
    for (pawl__link *at = visitors.next; at != &visitors; at = at->next) {
        const pawl__sqlite_visitor *other = pawl__container(at, pawl__sqlite_visitor, in_gate);
        if (other->index.ino && other->file.ino == file.ino && other->file.dev == file.dev)
            return other->index;
    }
    return (pawl__sqlite_file){0};
}

void pawl__sqlite_gate_add(pawl__sqlite_visitor *visitor, pawl__sqlite_file file)
{
    pthread_mutex_lock(&mutex);
    visitor->file = file;
    visitor->index = index_of_others(file);
    if (!pawl__link_linked(&visitor->in_gate)) pawl__list_append(&visitors, &visitor->in_gate);
    pthread_mutex_unlock(&mutex);
}

void pawl__sqlite_gate_note_index(pawl__sqlite_visitor *visitor, pawl__sqlite_file index)
{
    pthread_mutex_lock(&mutex);
    pawl__sqlite_file noted = index_of_others(visitor->file);
    visitor->index = noted.ino ? noted : index;
    pthread_mutex_unlock(&mutex);
}

void pawl__sqlite_gate_remove(pawl__sqlite_visitor *visitor)
{
    pthread_mutex_lock(&mutex);
    if (pawl__link_linked(&visitor->in_gate)) pawl__list_remove(&visitor->in_gate);
    pthread_mutex_unlock(&mutex);
}

int pawl__sqlite_gate_open(pawl__sqlite_abandon abandon, char *reterr_message)
{
    pthread_once(&once, start);
    if (process != getpid() || unclean) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX,
                 "this process is a fork of one that was using SQLite at that moment: SQLite "
                 "cannot be used in it before exec");
        return PAWL_ERR_FORKED;
    }
    pthread_mutex_lock(&mutex);
    if (!pawl__list_empty(&copies) && !pawl__sqlite_gate_has_inherited()) {
        pthread_mutex_unlock(&mutex);
        snprintf(reterr_message, PAWL_MESSAGE_MAX,
                 "this process is a fork of one that was using SQLite, and has closed the "
                 "descriptors that it inherited: SQLite cannot be used in it before exec");
        return PAWL_ERR_FORKED;
    }
    for (pawl__link *at; (at = pawl__list_first(&copies));) {
        pawl__list_remove(at);
        abandon(pawl__container(at, pawl__sqlite_visitor, in_gate));
    }
    pthread_mutex_unlock(&mutex);
    return PAWL_OK;
}
