/* SPDX-License-Identifier: MIT */
#include "algorithm.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pawl/pawl.h>

#define CONNECT_TIMEOUT_MS 1000
#define CLOSE_TIMEOUT_MS   1000
#define PAUSE_NS           (20 * TORTURE_MS)

static pawl_client *client;
static pawl_lock *locks[TORTURE_LOCKS_MAX];
static torture_told tell;

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    if (event->kind != PAWL_EVENT_LOST) return;
    tell((int)((pawl_lock **)userdata - locks), pawl_lock_fence(lock), event->err);
}

static void give_up_process(const char *what, int err)
{
    torture_say("%s: %s [%s]", what, pawl_err_text(err), pawl_err_name(err));
    _exit(TORTURE_SYSTEM);
}

/* Trouble that we are under by intention, and that passes. */
static bool passes(int err)
{
    return pawl_err_class_of(err) == PAWL_CLASS_RETRY || err == PAWL_ERR_NO_MEMORY ||
           err == PAWL_ERR_SYSTEM;
}

/* Short and long leases meet on one name; some processes keep what they have released. */
static void open_lock(const torture_board *board, torture_rng *rng, int i)
{
    char name[32];
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = board->ttl_ms << torture_between(rng, 0, 2) >> 1;
    opts.retain_ms = torture_chance(rng, 25) ? torture_between(rng, 10, board->ttl_ms) : 0;
    opts.on_event = on_event;
    opts.event_userdata = &locks[i];
    snprintf(name, sizeof name, "torture-%d", i);
    for (int err; (err = pawl_lock_new(client, name, strlen(name), &opts, &locks[i]));) {
        if (!passes(err)) give_up_process(name, err);
        torture_sleep_ns(PAUSE_NS);
    }
}

/* A store that is full or busy at the moment may refuse a new client; it is asked again. */
static void open_client(void)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = CONNECT_TIMEOUT_MS;
    opts.close_timeout_ms = CLOSE_TIMEOUT_MS;
    for (int err; (err = pawl_client_open(NULL, &opts, &client, message));) {
        if (!passes(err)) give_up_process(message, err);
        torture_sleep_ns(PAUSE_NS);
    }
}

static void open_all(const torture_board *board, torture_rng *rng, torture_told told)
{
    tell = told;
    open_client();
    for (int i = 0; i < board->locks; i++) open_lock(board, rng, i);
}

/* ---- Acquire ----------------------------------------------------------------------------- */

typedef struct waiting {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool done;
    int err;
} waiting;

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    waiting *w = userdata;
    pthread_mutex_lock(&w->mutex);
    w->err = err;
    w->done = true;
    pthread_cond_signal(&w->changed);
    pthread_mutex_unlock(&w->mutex);
}

static struct timespec after_ms(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + ms * TORTURE_MS;
    t.tv_sec += ns / 1000000000;
    t.tv_nsec = ns % 1000000000;
    return t;
}

static int wait_or_cancel(pawl_lock *lock, waiting *w, int64_t give_up_ms)
{
    struct timespec until = after_ms(give_up_ms);
    pthread_mutex_lock(&w->mutex);
    while (!w->done && pthread_cond_timedwait(&w->changed, &w->mutex, &until) == 0) continue;
    bool tired = !w->done;
    pthread_mutex_unlock(&w->mutex);
    if (tired) pawl_lock_cancel(lock); /* PAWL_ERR_STATE: it has been decided; its end comes */
    pthread_mutex_lock(&w->mutex);
    while (!w->done) pthread_cond_wait(&w->changed, &w->mutex);
    pthread_mutex_unlock(&w->mutex);
    return w->err;
}

static int acquire(int lock, int64_t wait_ms, int64_t give_up_ms)
{
    if (give_up_ms < 0) return pawl_lock_acquire(locks[lock], wait_ms);
    waiting w = {.mutex = PTHREAD_MUTEX_INITIALIZER};
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w.changed, &monotonic);
    int err = pawl_lock_acquire_start(locks[lock], wait_ms, on_done, &w);
    if (!err) err = wait_or_cancel(locks[lock], &w, give_up_ms);
    pthread_cond_destroy(&w.changed);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_destroy(&w.mutex);
    return err;
}

/* ---- The rest -------------------------------------------------------------------------------- */

static bool is_held(int lock)
{
    return pawl_lock_is_held(locks[lock]);
}

static int64_t remaining_ms(int lock)
{
    return pawl_lock_remaining_ms(locks[lock]);
}

static uint64_t fence(int lock)
{
    return pawl_lock_fence(locks[lock]);
}

static int release(int lock, int64_t word_ms)
{
    if (word_ms < 0) return pawl_lock_release(locks[lock]);
    return pawl_lock_release_wait(locks[lock], word_ms);
}

static void close_all(void)
{
    for (int i = 0; i < TORTURE_LOCKS_MAX; i++) locks[i] = pawl_lock_free(locks[i]);
    client = pawl_client_close(client);
}

const torture_algorithm torture_pawl = {
    .open = open_all,
    .acquire = acquire,
    .is_held = is_held,
    .remaining_ms = remaining_ms,
    .fence = fence,
    .release = release,
    .close = close_all,
};
