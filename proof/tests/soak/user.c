/* SPDX-License-Identifier: MIT */
/* One thread that wants locks in every way there is. */
#define _GNU_SOURCE
#include "soak.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>

#define ANSWER_MS 2000 /* of calls that wait for the store's word */

/* An asynchronous call; lives until the epoch has ended. */
typedef struct ending {
    struct ending *next;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int times, err;
} ending;

/* A handle, and whose it is. */
typedef struct handle {
    believer believer;
    pawl_lock *lock;
    _Atomic int told; /* losses */
} handle;

static _Thread_local pawl_lock *volatile in_use; /* for the signal's handler */

void soak_on_signal(int number)
{
    int before = errno;
    (void)number;
    pawl_lock *lock = in_use;
    if (lock && pawl_lock_is_held(lock) && pawl_lock_remaining_ms(lock) < 0) abort();
    errno = before;
}

/* These errors come from a mistake of the program or of pawl, so they must not come here. */
static void check_err(const char *call, int err)
{
    pawl_err_class class = pawl_err_class_of(err);
    if (class == PAWL_CLASS_USAGE || class == PAWL_CLASS_INTERNAL || class == PAWL_CLASS_DENIED)
        FAIL_TEST("%s says %s", call, pawl_err_name(err));
}

static void pass(int64_t us)
{
    struct timespec span = {.tv_nsec = us * 1000};
    if (us > 0) ppoll(NULL, 0, &span, NULL); /* a signal may end it early */
}

/* ---- Endings -------------------------------------------------------------------------------- */

static void on_end(pawl_lock *lock, int err, void *userdata)
{
    ending *e = userdata;
    (void)lock;
    pthread_mutex_lock(&e->mutex);
    if (++e->times > 1) FAIL_TEST("a call ended %d times", e->times);
    e->err = err;
    pthread_cond_signal(&e->cond);
    pthread_mutex_unlock(&e->mutex);
}

static ending *new_ending(user *u)
{
    ending *e = calloc(1, sizeof *e);
    if (!e) FAIL_TEST("no memory");
    pthread_mutex_init(&e->mutex, NULL);
    pthread_cond_init(&e->cond, NULL);
    e->next = u->endings;
    u->endings = e;
    return e;
}

static void drop_ending(user *u, ending *e)
{
    u->endings = e->next;
    pthread_cond_destroy(&e->cond);
    pthread_mutex_destroy(&e->mutex);
    free(e);
}

static int await_end(ending *e)
{
    pthread_mutex_lock(&e->mutex);
    while (!e->times) pthread_cond_wait(&e->cond, &e->mutex);
    int err = e->err;
    pthread_mutex_unlock(&e->mutex);
    return err;
}

void soak_user_reckon(user *u)
{
    while (u->endings) {
        if (u->endings->times != 1)
            FAIL_TEST("user %d: a call ended %d times", u->number, u->endings->times);
        drop_ending(u, u->endings);
    }
}

/* ---- Handles -------------------------------------------------------------------------------- */

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    handle *h = userdata;
    (void)lock;
    if (event->kind != PAWL_EVENT_LOST) return;
    belief_letgo(&h->believer);
    atomic_fetch_add(&h->told, 1);
    count(FIGURE_losses);
}

static handle *new_handle(user *u)
{
    static const int64_t ttls_ms[] = {60, 150, 400, 5000};
    handle *h = calloc(1, sizeof *h);
    if (!h) FAIL_TEST("no memory");
    int which = draw(u, CLIENTS), name = draw(u, NAMES);
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttls_ms[draw(u, 4)];
    opts.retain_ms = draw(u, 3) == 0 ? draw(u, 50) : 0;
    opts.flags = draw(u, 8) == 0 && opts.ttl_ms < 1000 ? PAWL_LOCK_DETACHED : 0;
    opts.on_event = on_event;
    opts.event_userdata = h;
    fleet *f = &soak_fleets[which];
    pthread_rwlock_rdlock(&f->lock);
    h->believer = (believer){h, name, which, f->generation};
    int err = pawl_lock_new(f->client, soak_names[name], strlen(soak_names[name]), &opts, &h->lock);
    pthread_rwlock_unlock(&f->lock);
    if (err) FAIL_TEST("pawl_lock_new says %s", pawl_err_name(err));
    in_use = h->lock;
    return h;
}

static handle *drop_handle(handle *h)
{
    if (!h) return NULL;
    belief_letgo(&h->believer);
    in_use = NULL;
    pawl_lock_free(h->lock);
    free(h);
    return NULL;
}

/* ---- Acquire -------------------------------------------------------------------------------- */

static int64_t draw_wait(user *u)
{
    int kind = draw(u, 4);
    if (kind == 0) return 0;
    return kind == 1 ? 3000 : 1 + draw(u, 60);
}

static int acquire_async(user *u, handle *h, bool cancel)
{
    ending *e = new_ending(u);
    int err = pawl_lock_acquire_start(h->lock, draw_wait(u), on_end, e);
    if (err) {
        drop_ending(u, e);
        return err;
    }
    if (cancel) {
        pass(draw(u, 20000));
        pawl_lock_cancel(h->lock); /* STATE: it has been decided */
        count(FIGURE_canceled);
    }
    return await_end(e);
}

static int acquire(user *u, handle *h)
{
    int kind = draw(u, 8);
    count(FIGURE_asked);
    if (kind < 5) return pawl_lock_acquire(h->lock, draw_wait(u));
    return acquire_async(u, h, kind == 7);
}

/* Asks, and goes away before the answer. */
static handle *ask_and_drop(user *u, handle *h)
{
    ending *e = new_ending(u);
    count(FIGURE_asked);
    int err = pawl_lock_acquire_start(h->lock, draw_wait(u), on_end, e);
    if (err) drop_ending(u, e);
    pass(draw(u, 3000));
    return drop_handle(h);
}

/* ---- Hold ----------------------------------------------------------------------------------- */

static bool look(handle *h, uint64_t fence)
{
    int64_t before = soak_now();
    count(FIGURE_looks);
    if (!pawl_lock_is_held(h->lock)) return false;
    belief_looked(&h->believer, fence, before + pawl_lock_remaining_ms(h->lock) * NS_PER_MS);
    return true;
}

static void ask_by_token(user *u, handle *h)
{
    fleet *f = &soak_fleets[draw(u, CLIENTS)];
    const char *name = soak_names[h->believer.name];
    pawl_token token;
    pawl_lock_token(h->lock, &token);
    pthread_rwlock_rdlock(&f->lock);
    int err = pawl_token_check(f->client, name, strlen(name), token.text, ANSWER_MS, NULL);
    pthread_rwlock_unlock(&f->lock);
    check_err("pawl_token_check", err);
    count(FIGURE_queries);
}

static void hold(user *u, handle *h, uint64_t fence)
{
    int kind = draw(u, 16), looks = 1 + draw(u, 5);
    int64_t pause_us = kind < 10 ? 0 : kind < 15 ? draw(u, 5000) : 100000;
    if (kind == 14) ask_by_token(u, h);
    if (kind == 13 && draw(u, 4) == 0) soak_fork(u, h->lock);
    for (int i = 0; i < looks && look(h, fence); i++) pass(pause_us);
}

/* ---- Let go --------------------------------------------------------------------------------- */

static int release_async(user *u, handle *h)
{
    ending *e = new_ending(u);
    int err = pawl_lock_release_start(h->lock, on_end, e);
    if (err) {
        drop_ending(u, e);
        return err;
    }
    return await_end(e);
}

static handle *let_go(user *u, handle *h)
{
    int kind = draw(u, 16), err;
    belief_letgo(&h->believer);
    if (kind == 0) return drop_handle(h);
    if (kind == 1) {
        err = pawl_lock_detach(h->lock);
        if (!err) count(FIGURE_detached);
        if (err == PAWL_ERR_LOST) err = pawl_lock_release(h->lock);
    } else if (kind < 6) {
        err = pawl_lock_release_wait(h->lock, draw(u, ANSWER_MS));
    } else if (kind < 8) {
        err = release_async(u, h);
    } else {
        err = pawl_lock_release(h->lock);
    }
    if (err == PAWL_ERR_CLOSED) return drop_handle(h);
    check_err("a release", err);
    return h;
}

/* ---- Looking from outside, breaking --------------------------------------------------------- */

static bool see(const pawl_info *info, void *userdata)
{
    uint64_t *fence = userdata;
    *fence = info->held ? info->fence : 0;
    return true;
}

static void ask_store(user *u)
{
    fleet *f = &soak_fleets[draw(u, CLIENTS)];
    int name = draw(u, NAMES), kind = draw(u, 8);
    const char *text = soak_names[name];
    uint64_t fence = 0;
    pthread_rwlock_rdlock(&f->lock);
    int err = kind == 0 ? pawl_list(f->client, "", 0, ANSWER_MS, see, &fence)
                        : pawl_inspect(f->client, text, strlen(text), ANSWER_MS, see, &fence);
    check_err("looking", err);
    if (!err && kind == 1 && fence) {
        belief_breaks(name, fence);
        err = pawl_break(f->client, text, strlen(text), fence, ANSWER_MS);
        if (!err) count(FIGURE_broken);
    }
    pthread_rwlock_unlock(&f->lock);
    count(FIGURE_queries);
}

/* ---- A round -------------------------------------------------------------------------------- */

static handle *play(user *u, handle *h)
{
    if (draw(u, 64) == 0) ask_store(u);
    if (!h || draw(u, 16) == 0) {
        drop_handle(h);
        h = new_handle(u);
    }
    if (draw(u, 32) == 0) return ask_and_drop(u, h);
    uint64_t before = belief_before(h->believer.name);
    int err = acquire(u, h);
    int64_t at = soak_now();
    if (err) {
        if (err == PAWL_ERR_CLOSED) return drop_handle(h);
        check_err("pawl_lock_acquire", err);
        return h;
    }
    uint64_t fence = pawl_lock_fence(h->lock);
    belief_granted(&h->believer, fence, before, at,
                   at + pawl_lock_remaining_ms(h->lock) * NS_PER_MS);
    count(FIGURE_granted);
    hold(u, h, fence);
    return let_go(u, h);
}

void *soak_user(void *arg)
{
    user *u = arg;
    handle *h = NULL;
    while (!atomic_load(&soak_homewards)) {
        h = play(u, h);
        if (draw(u, 4) == 0) pass(draw(u, 2000));
    }
    drop_handle(h);
    return NULL;
}
