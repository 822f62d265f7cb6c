/* SPDX-License-Identifier: MIT */
#include "algorithm.h"
#include "composed.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <pawl/composed.h>
#include <pawl/pawl.h>

#define AGAIN_MAX          5 /* others may come between */
#define CONNECT_TIMEOUT_MS 1000
#define CLOSE_TIMEOUT_MS   1000
#define PAUSE_NS           (20 * TORTURE_MS)

#define CLIENTS  2    /* of one process; they exclude each other */
#define QUERY_MS 1000 /* of calls that only look, or break */

static pawl_client *clients[CLIENTS];
static pawl_lock *handles[TORTURE_LOCKS_MAX][TORTURE_VARIANTS]; /* NULL: there is none so */
static pawl_lock *locks[TORTURE_LOCKS_MAX];                     /* the one that is used now */
static torture_kind kinds[TORTURE_LOCKS_MAX];
static int client_of[TORTURE_LOCKS_MAX];      /* of all handles of the lock */
static bool is_detachable[TORTURE_LOCKS_MAX]; /* its lease outlives this process */
static pawl_token parted[TORTURE_LOCKS_MAX];
static torture_told tell;

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    if (event->kind != PAWL_EVENT_LOST) return;
    ptrdiff_t place = (pawl_lock **)userdata - &handles[0][0];
    tell((int)(place / TORTURE_VARIANTS), pawl_lock_fence(lock), event->err);
}

static void give_up_process(const char *what, int err)
{
    torture_say("%s: %s [%s]", what, pawl_err_text(err), pawl_err_name(err));
    _exit(TORTURE_SYSTEM);
}

/* Errors that our faults cause, and that pass. */
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

/* In what way a handle wants its name: a mode, or a number of permits. */
static void want(pawl_lock_opts *opts, int lock, int variant)
{
    if (kinds[lock] == TORTURE_MODES) opts->mode = (pawl_mode)variant;
    if (kinds[lock] != TORTURE_PERMITS) return;
    opts->mode = PAWL_MODE_PERMIT;
    opts->capacity = TORTURE_CAPACITY;
    opts->units = (uint32_t)variant + 1;
}

static void open_handle(int lock, int variant, pawl_lock_opts opts)
{
    char name[NAME_ROOM];
    pawl_lock **handle = &handles[lock][variant];
    size_t len = name_lock(lock, name);
    opts.event_userdata = handle;
    want(&opts, lock, variant);
    for (int err; (err = pawl_lock_new(clients[client_of[lock]], name, len, &opts, handle));) {
        if (!passes(err)) give_up_process(name, err);
        torture_sleep_ns(PAUSE_NS);
    }
}

/* Short and long leases meet on one name; some processes keep what they have released. */
static void open_lock(const torture_board *board, torture_rng *rng, int i)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    kinds[i] = board->kinds[i];
    client_of[i] = (int)torture_between(rng, 0, CLIENTS - 1);
    is_detachable[i] = torture_chance(rng, 25) && kinds[i] == TORTURE_EXCLUSIVE;
    opts.flags = is_detachable[i] ? PAWL_LOCK_DETACHED : 0;
    rival_ttl_ms = board->ttl_ms;
    opts.ttl_ms = board->ttl_ms << torture_between(rng, 0, 2) >> 1;
    opts.retain_ms = torture_chance(rng, 25) ? torture_between(rng, 10, board->ttl_ms) : 0;
    if (is_detachable[i] || kinds[i] == TORTURE_PERMITS) opts.retain_ms = 0;
    opts.on_event = on_event;
    int variants = kinds[i] == TORTURE_EXCLUSIVE ? 1 : TORTURE_VARIANTS;
    if (kinds[i] == TORTURE_MODES && board->modes_stay) variants = PAWL_MODE_SHARED + 1;
    for (int variant = 0; variant < variants; variant++) open_handle(i, variant, opts);
    locks[i] = handles[i][0];
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
    torture_composed_open(clients[0], board, rng);
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
    torture_composed_close();
    for (int i = 0; i < TORTURE_LOCKS_MAX * TORTURE_VARIANTS; i++) {
        pawl_lock **handle = &handles[i / TORTURE_VARIANTS][i % TORTURE_VARIANTS];
        *handle = pawl_lock_free(*handle);
    }
    for (int i = 0; i < CLIENTS; i++) clients[i] = pawl_client_close(clients[i]);
}

/* ---- Modes and permits ----------------------------------------------------------------------- */

static void choose(int lock, int variant)
{
    locks[lock] = handles[lock][variant];
}

static int64_t slots(int lock)
{
    uint16_t list[TORTURE_CAPACITY];
    int64_t bits = 0;
    size_t count = pawl_lock_slots(locks[lock], list, TORTURE_CAPACITY);
    for (size_t i = 0; i < count && i < TORTURE_CAPACITY; i++) bits |= INT64_C(1) << list[i];
    return bits;
}

static int raise_to_exclusive(int lock, int64_t wait_ms)
{
    return pawl_lock_upgrade(locks[lock], wait_ms);
}

static int lower(int lock, int mode)
{
    return pawl_lock_downgrade(locks[lock], (pawl_mode)mode);
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
    opts.ttl_ms = rival_ttl_ms; /* the guard does not count on a longer one */
    want(&opts, lock, kinds[lock] == TORTURE_PERMITS ? TORTURE_CAPACITY - 1 : PAWL_MODE_EXCLUSIVE);
    int err = pawl_lock_new(stranger, name, len, &opts, &other);
    if (!err) err = pawl_lock_acquire(other, 0);
    pawl_lock_free(other);
    return err;
}

/* The permit that the handle gets, and gives back with the store's word. -1: none is free; -2: it
 * is not known whether one is. */
static int take_one(pawl_lock *other)
{
    uint16_t slot = 0;
    int err = pawl_lock_acquire(other, 0);
    if (err) return err == PAWL_ERR_BUSY ? -1 : -2;
    (void)pawl_lock_slots(other, &slot, 1);
    return pawl_lock_release_wait(other, QUERY_MS) ? -2 : slot;
}

/* If somebody waits there is none for who does not, whatever is free: that says nothing. */
static torture_again take_again(pawl_lock *other)
{
    int first = take_one(other);
    bool got_higher = false;
    for (int i = 0; first >= 0 && i < AGAIN_MAX; i++) {
        int next = take_one(other);
        if (next == -2) return TORTURE_AGAIN_UNKNOWN;
        if (next >= 0 && next <= first) return TORTURE_AGAIN_FREE;
        got_higher |= next >= 0;
    }
    return got_higher ? TORTURE_AGAIN_NEVER : TORTURE_AGAIN_UNKNOWN;
}

static int again(int lock)
{
    char name[NAME_ROOM];
    pawl_lock *other = NULL;
    size_t len = name_lock(lock, name);
    pawl_client *stranger = clients[(client_of[lock] + 1) % CLIENTS];
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = rival_ttl_ms;
    want(&opts, lock, 0);
    if (pawl_lock_new(stranger, name, len, &opts, &other)) return TORTURE_AGAIN_UNKNOWN;
    int result = take_again(other);
    pawl_lock_free(other);
    return result;
}

/* ---- Values beside names --------------------------------------------------------------------- */

/* False, too, if the store cannot be asked now. */
static bool has_values(void)
{
    pawl_caps caps;
    return pawl_client_caps(clients[0], QUERY_MS, &caps) == PAWL_OK && caps.values;
}

static int say(int lock, int64_t value, int64_t wait_ms)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRId64, value);
    return pawl_election_proclaim(locks[lock], text, (size_t)len, wait_ms);
}

typedef struct heard {
    int64_t value;
    uint64_t fence;
} heard;

static void on_leader(const pawl_leader *leader, void *userdata)
{
    char text[24];
    heard *h = userdata;
    if (!leader->leads || !leader->value_len || leader->value_len >= sizeof text) return;
    memcpy(text, leader->value, leader->value_len);
    text[leader->value_len] = '\0';
    *h = (heard){strtoll(text, NULL, 10), leader->fence};
}

static int listen_to(int lock, int64_t *ret_value, uint64_t *ret_fence)
{
    char name[NAME_ROOM];
    heard h = {0};
    size_t len = name_lock(lock, name);
    int err = pawl_election_leader(clients[0], name, len, QUERY_MS, on_leader, &h);
    *ret_value = h.value;
    *ret_fence = h.fence;
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
    .choose = choose,
    .slots = slots,
    .raise = raise_to_exclusive,
    .lower = lower,
    .may_part = may_part,
    .part = part,
    .release_parted = release_parted,
    .see = see,
    .break_it = break_it,
    .rival = rival,
    .again = again,
    .has_values = has_values,
    .say = say,
    .listen = listen_to,
    .compose = torture_composed_play,
    .child = child,
};
