/* SPDX-License-Identifier: MIT */
/*
 * News wait here until Python fetches them. Each lock has one teller, which is queued once whatever
 * it has to say; so to queue it needs no memory and cannot fail, and a slow reader costs no more
 * than the tellers that there are. Doubt, and its end, replace each other: the latest is true.
 */
#include "native.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 256 /* more than a reader of logs will miss */

struct pawlpy_teller {
    pawlpy_inbox *inbox;
    uint64_t id;
    pawlpy_teller *next;
    bool queued;
    unsigned kinds; /* bit (1 << kind): it waits to be told */
    int done, upgraded, said, doubt, lost;
    int64_t remaining_ms;
    char message[PAWL_MESSAGE_MAX]; /* of the loss, else of the doubt */
};

typedef struct line {
    struct line *next;
    int severity;
    char text[];
} line;

struct pawlpy_inbox {
    pthread_mutex_t mutex;
    pthread_cond_t news;
    pawlpy_teller *first, **last;
    line *first_line, **last_line;
    int lines;
    bool ended;
};

/* ---- Made and freed ------------------------------------------------------------------------- */

pawlpy_inbox *pawlpy_inbox_new(void)
{
    pawlpy_inbox *inbox = calloc(1, sizeof *inbox);
    if (!inbox) return NULL;
    pthread_mutex_init(&inbox->mutex, NULL);
    pthread_cond_init(&inbox->news, NULL);
    inbox->last = &inbox->first;
    inbox->last_line = &inbox->first_line;
    return inbox;
}

void pawlpy_inbox_free(pawlpy_inbox *inbox)
{
    if (!inbox) return;
    for (line *l = inbox->first_line, *next; l; l = next) {
        next = l->next;
        free(l);
    }
    pthread_mutex_destroy(&inbox->mutex);
    pthread_cond_destroy(&inbox->news);
    free(inbox);
}

pawlpy_teller *pawlpy_teller_new(pawlpy_inbox *inbox, uint64_t id)
{
    pawlpy_teller *teller = calloc(1, sizeof *teller);
    if (teller) *teller = (pawlpy_teller){.inbox = inbox, .id = id};
    return teller;
}

/* Out of the queue; mutex held. */
static void unqueue(pawlpy_inbox *inbox, pawlpy_teller *teller)
{
    for (pawlpy_teller **at = &inbox->first; *at; at = &(*at)->next) {
        if (*at != teller) continue;
        *at = teller->next;
        if (inbox->last == &teller->next) inbox->last = at;
        teller->queued = false;
        return;
    }
}

void pawlpy_teller_free(pawlpy_teller *teller)
{
    if (!teller) return;
    pawlpy_inbox *inbox = teller->inbox;
    pthread_mutex_lock(&inbox->mutex);
    if (teller->queued) unqueue(inbox, teller);
    pthread_mutex_unlock(&inbox->mutex);
    free(teller);
}

/* ---- Told -------------------------------------------------------------------------------------
 */

/* Mutex held. */
static void tell(pawlpy_teller *teller, int kind)
{
    pawlpy_inbox *inbox = teller->inbox;
    teller->kinds |= 1u << kind;
    if (!teller->queued) {
        teller->queued = true;
        teller->next = NULL;
        *inbox->last = teller;
        inbox->last = &teller->next;
    }
    pthread_cond_signal(&inbox->news);
}

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlpy_teller *teller = userdata;
    pthread_mutex_t *mutex = &teller->inbox->mutex;
    pthread_mutex_lock(mutex);
    teller->done = err;
    tell(teller, PAWLPY_DONE);
    pthread_mutex_unlock(mutex);
}

static void on_upgraded(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlpy_teller *teller = userdata;
    pthread_mutex_lock(&teller->inbox->mutex);
    teller->upgraded = err;
    tell(teller, PAWLPY_UPGRADED);
    pthread_mutex_unlock(&teller->inbox->mutex);
}

static void on_said(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlpy_teller *teller = userdata;
    pthread_mutex_lock(&teller->inbox->mutex);
    teller->said = err;
    tell(teller, PAWLPY_SAID);
    pthread_mutex_unlock(&teller->inbox->mutex);
}

void pawlpy_teller_lock(pawlpy_teller *teller)
{
    pthread_mutex_lock(&teller->inbox->mutex);
}

void pawlpy_teller_unlock(pawlpy_teller *teller)
{
    pthread_mutex_unlock(&teller->inbox->mutex);
}

void pawlpy_teller_tell(pawlpy_teller *teller, int kind)
{
    tell(teller, kind);
}

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    (void)lock;
    pawlpy_teller *teller = userdata;
    pthread_mutex_lock(&teller->inbox->mutex);
    if (event->kind == PAWL_EVENT_DOUBT || event->kind == PAWL_EVENT_HELD)
        teller->kinds &= ~(1u << PAWL_EVENT_DOUBT | 1u << PAWL_EVENT_HELD);
    if (event->kind == PAWL_EVENT_LOST) teller->lost = event->err;
    if (event->kind == PAWL_EVENT_DOUBT) teller->doubt = event->err;
    if (event->kind == PAWL_EVENT_LOST || event->kind == PAWL_EVENT_DOUBT)
        snprintf(teller->message, sizeof teller->message, "%s", event->message);
    teller->remaining_ms = event->remaining_ms;
    tell(teller, event->kind);
    pthread_mutex_unlock(&teller->inbox->mutex);
}

static void on_log(pawl_client *client, pawl_severity severity, const char *text, void *userdata)
{
    (void)client;
    pawlpy_inbox *inbox = userdata;
    size_t size = strlen(text) + 1;
    pthread_mutex_lock(&inbox->mutex);
    line *l = inbox->lines < LINES_MAX ? malloc(sizeof *l + size) : NULL;
    if (l) {
        *l = (line){.severity = (int)severity};
        memcpy(l->text, text, size);
        *inbox->last_line = l;
        inbox->last_line = &l->next;
        inbox->lines++;
        pthread_cond_signal(&inbox->news);
    }
    pthread_mutex_unlock(&inbox->mutex);
}

/* ---- Fetched ----------------------------------------------------------------------------------
 */

/* In the order in which they make sense together; mutex held. */
static const int order[] = {PAWLPY_UPGRADED,  PAWLPY_SAID,     PAWLPY_LEADER,    PAWLPY_DONE,
                            PAWL_EVENT_DOUBT, PAWL_EVENT_HELD, PAWL_EVENT_YIELD, PAWL_EVENT_LOST};

static bool take_kind(pawlpy_teller *teller, int kind, pawlpy_news *ret_news)
{
    if (!(teller->kinds & 1u << kind)) return false;
    teller->kinds &= ~(1u << kind);
    ret_news->id = teller->id;
    ret_news->kind = kind;
    ret_news->remaining_ms = teller->remaining_ms;
    ret_news->message[0] = '\0';
    bool is_bad = kind == PAWL_EVENT_LOST || kind == PAWL_EVENT_DOUBT;
    if (is_bad) memcpy(ret_news->message, teller->message, sizeof teller->message);
    ret_news->err = kind == PAWLPY_DONE        ? teller->done
                    : kind == PAWLPY_UPGRADED  ? teller->upgraded
                    : kind == PAWLPY_SAID      ? teller->said
                    : kind == PAWL_EVENT_LOST  ? teller->lost
                    : kind == PAWL_EVENT_DOUBT ? teller->doubt
                                               : 0;
    return true;
}

static int take_all_of(pawlpy_teller *teller, pawlpy_news *ret_news, int max)
{
    int n = 0;
    for (size_t i = 0; i < sizeof order / sizeof order[0] && n < max; i++)
        n += take_kind(teller, order[i], &ret_news[n]);
    return n;
}

static void take_line(pawlpy_inbox *inbox, pawlpy_news *ret_news)
{
    line *l = inbox->first_line;
    inbox->first_line = l->next;
    if (!l->next) inbox->last_line = &inbox->first_line;
    inbox->lines--;
    *ret_news = (pawlpy_news){.kind = PAWLPY_LOG, .err = l->severity};
    snprintf(ret_news->message, sizeof ret_news->message, "%s", l->text);
    free(l);
}

int pawlpy_inbox_take(pawlpy_inbox *inbox, pawlpy_news *ret_news, int max)
{
    int n = 0;
    pthread_mutex_lock(&inbox->mutex);
    while (inbox->first_line && n < max) take_line(inbox, &ret_news[n++]);
    while (inbox->first && n < max) {
        pawlpy_teller *teller = inbox->first;
        n += take_all_of(teller, ret_news + n, max - n);
        if (!teller->kinds) unqueue(inbox, teller);
    }
    pthread_mutex_unlock(&inbox->mutex);
    return n;
}

int pawlpy_inbox_wait(pawlpy_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    while (!inbox->first && !inbox->first_line && !inbox->ended)
        pthread_cond_wait(&inbox->news, &inbox->mutex);
    bool news = inbox->first || inbox->first_line;
    pthread_mutex_unlock(&inbox->mutex);
    return news ? 0 : -1;
}

void pawlpy_inbox_end(pawlpy_inbox *inbox)
{
    pthread_mutex_lock(&inbox->mutex);
    inbox->ended = true;
    pthread_cond_broadcast(&inbox->news);
    pthread_mutex_unlock(&inbox->mutex);
}

/* ---- Clients and locks that tell
 * ----------------------------------------------------------------- */

int pawlpy_open(const char *url, const pawlpy_open_opts *given, pawlpy_inbox *inbox,
                pawl_client **ret_client, char *reterr_message)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    if (given->dispatch) opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    if (given->owner) opts.owner = given->owner;
    if (given->store_timeout_ms != PAWLPY_DEFAULT) opts.store_timeout_ms = given->store_timeout_ms;
    if (given->close_timeout_ms != PAWLPY_DEFAULT) opts.close_timeout_ms = given->close_timeout_ms;
    if (given->logs) {
        opts.log = on_log;
        opts.log_userdata = inbox;
    }
    return pawl_client_open(url, &opts, ret_client, reterr_message);
}

static pawl_lock_opts opts_of(const pawlpy_lock_opts *given, pawlpy_teller *teller)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    if (given->ttl_ms != PAWLPY_DEFAULT) opts.ttl_ms = given->ttl_ms;
    opts.retain_ms = given->retain_ms;
    opts.owner = given->owner;
    if (given->detached) opts.flags |= PAWL_LOCK_DETACHED;
    if (given->reentrant) opts.flags |= PAWL_LOCK_REENTRANT;
    opts.mode = (pawl_mode)given->mode;
    if (opts.mode == PAWL_MODE_PERMIT) {
        opts.capacity = given->capacity;
        opts.units = given->units;
    }
    if (teller) {
        opts.on_event = on_event;
        opts.event_userdata = teller;
    }
    return opts;
}

int pawlpy_lock_new(pawl_client *client, const char *name, size_t name_len,
                    const pawlpy_lock_opts *given, pawlpy_teller *teller, pawl_lock **ret_lock)
{
    pawl_lock_opts opts = opts_of(given, teller);
    return pawl_lock_new(client, name, name_len, &opts, ret_lock);
}

int pawlpy_lock_new_all(pawl_client *client, const char *const *names, size_t count,
                        const pawlpy_lock_opts *given, pawlpy_teller *teller, pawl_lock **ret_lock)
{
    pawl_lock_opts opts = opts_of(given, teller);
    return pawl_lock_new_all(client, names, count, &opts, ret_lock);
}

int pawlpy_once_new(pawl_client *client, const char *name, size_t name_len, int64_t every_ms,
                    int keeps_failures, const pawlpy_lock_opts *given, pawlpy_teller *teller,
                    pawl_once **ret_once)
{
    pawl_lock_opts lock = opts_of(given, teller);
    pawl_once_opts opts;
    pawl_once_opts_init(&opts);
    opts.every_ms = every_ms;
    if (keeps_failures) opts.flags |= PAWL_ONCE_KEEP_ON_FAILURE;
    opts.lock = &lock;
    return pawl_once_new(client, name, name_len, &opts, ret_once);
}

int pawlpy_tell_acquire(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_lock_acquire_start(lock, wait_ms, on_done, teller);
}

int pawlpy_tell_release(pawl_lock *lock, pawlpy_teller *teller)
{
    return pawl_lock_release_start(lock, on_done, teller);
}

int pawlpy_tell_upgrade(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_lock_upgrade_start(lock, wait_ms, on_upgraded, teller);
}

int pawlpy_tell_begin(pawl_once *once, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_once_begin_start(once, wait_ms, on_done, teller);
}

int pawlpy_tell_end(pawl_once *once, int success, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_once_end_start(once, success, wait_ms, on_done, teller);
}

int pawlpy_tell_count_down(pawl_latch *latch, uint32_t by, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_latch_count_down_start(latch, by, wait_ms, on_done, teller);
}

int pawlpy_tell_latch(pawl_latch *latch, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_latch_wait_start(latch, wait_ms, on_done, teller);
}

int pawlpy_tell_barrier(pawl_barrier *barrier, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_barrier_wait_start(barrier, wait_ms, on_done, teller);
}

int pawlpy_tell_resign(pawl_lock *lock, int64_t wait_ms, pawlpy_teller *teller)
{
    return pawl_election_resign_start(lock, wait_ms, on_done, teller);
}

int pawlpy_tell_proclaim(pawl_lock *lock, const char *value, size_t value_len, int64_t wait_ms,
                         pawlpy_teller *teller)
{
    return pawl_election_proclaim_start(lock, value, value_len, wait_ms, on_said, teller);
}

int pawlpy_caps(pawl_client *client, int64_t wait_ms, pawl_caps *ret_caps)
{
    return pawl_client_caps(client, wait_ms, ret_caps);
}
