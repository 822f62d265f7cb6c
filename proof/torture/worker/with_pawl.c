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

#define CLIENTS  2    /* of one process; they are strangers to each other */
#define QUERY_MS 1000 /* of calls that only look, or break */

static pawl_client *clients[CLIENTS];
static pawl_lock *locks[TORTURE_LOCKS_MAX];
static int client_of[TORTURE_LOCKS_MAX];      /* of the lock's handle */
static bool is_detachable[TORTURE_LOCKS_MAX]; /* its lease outlives this process */
static pawl_token parted[TORTURE_LOCKS_MAX];
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

#define NAME_ROOM 32

static size_t name_lock(int i, char ret_name[NAME_ROOM])
{
    return (size_t)snprintf(ret_name, NAME_ROOM, "torture-%d", i);
}

static int64_t rival_ttl_ms;

/* Short and long leases meet on one name; some processes keep what they have released. */
static void open_lock(const torture_board *board, torture_rng *rng, int i)
{
    char name[NAME_ROOM];
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    client_of[i] = (int)torture_between(rng, 0, CLIENTS - 1);
    is_detachable[i] = torture_chance(rng, 25);
    opts.flags = is_detachable[i] ? PAWL_LOCK_DETACHED : 0;
    rival_ttl_ms = board->ttl_ms;
    opts.ttl_ms = board->ttl_ms << torture_between(rng, 0, 2) >> 1;
    opts.retain_ms = torture_chance(rng, 25) ? torture_between(rng, 10, board->ttl_ms) : 0;
    if (is_detachable[i]) opts.retain_ms = 0;
    opts.on_event = on_event;
    opts.event_userdata = &locks[i];
    size_t len = name_lock(i, name);
    pawl_client *client = clients[client_of[i]];
    for (int err; (err = pawl_lock_new(client, name, len, &opts, &locks[i]));) {
        if (!passes(err)) give_up_process(name, err);
        torture_sleep_ns(PAUSE_NS);
    }
}

/* A store that is full or busy at the moment may refuse a new client; it is asked again. */
static void open_client(pawl_client **ret_client)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = CONNECT_TIMEOUT_MS;
    opts.close_timeout_ms = CLOSE_TIMEOUT_MS;
    for (int err; (err = pawl_client_open(NULL, &opts, ret_client, message));) {
        if (!passes(err)) give_up_process(message, err);
        torture_sleep_ns(PAUSE_NS);
    }
}

static void open_all(const torture_board *board, torture_rng *rng, torture_told told)
{
    tell = told;
    for (int i = 0; i < CLIENTS; i++) open_client(&clients[i]);
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
    for (int i = 0; i < CLIENTS; i++) clients[i] = pawl_client_close(clients[i]);
}

/* ---- What goes on without the handle, and beside it ------------------------------------------ */

static bool may_part(int lock)
{
    return is_detachable[lock];
}

static int part(int lock)
{
    pawl_lock_token(locks[lock], &parted[lock]);
    return pawl_lock_detach(locks[lock]);
}

static int release_parted(int lock, int64_t word_ms)
{
    char name[NAME_ROOM];
    size_t len = name_lock(lock, name);
    return pawl_token_release(clients[0], name, len, parted[lock].text, word_ms);
}

static bool on_info(const pawl_info *info, void *userdata)
{
    *(uint64_t *)userdata = info->held ? info->fence : 0;
    return true;
}

static uint64_t see(int lock)
{
    char name[NAME_ROOM];
    uint64_t held = 0;
    size_t len = name_lock(lock, name);
    return pawl_inspect(clients[0], name, len, QUERY_MS, on_info, &held) == PAWL_OK ? held : 0;
}

static int break_it(int lock, uint64_t held)
{
    char name[NAME_ROOM];
    size_t len = name_lock(lock, name);
    return pawl_break(clients[0], name, len, held, QUERY_MS);
}

static int rival(int lock)
{
    char name[NAME_ROOM];
    pawl_lock *other = NULL;
    size_t len = name_lock(lock, name);
    pawl_client *stranger = clients[(client_of[lock] + 1) % CLIENTS];
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = rival_ttl_ms; /* a longer one would be none that a guard reckons with */
    int err = pawl_lock_new(stranger, name, len, &opts, &other);
    if (!err) err = pawl_lock_acquire(other, 0);
    pawl_lock_free(other);
    return err;
}

static int child(int lock)
{
    if (pawl_lock_is_held(locks[lock])) return 1;
    if (pawl_lock_remaining_ms(locks[lock])) return 2;
    if (pawl_lock_acquire(locks[lock], 0) != PAWL_ERR_FORKED) return 3;
    if (pawl_lock_release(locks[lock]) != PAWL_ERR_FORKED) return 4;
    return 0;
}

const torture_algorithm torture_pawl = {
    .open = open_all,
    .acquire = acquire,
    .is_held = is_held,
    .remaining_ms = remaining_ms,
    .fence = fence,
    .release = release,
    .close = close_all,
    .may_part = may_part,
    .part = part,
    .release_parted = release_parted,
    .see = see,
    .break_it = break_it,
    .rival = rival,
    .child = child,
};
