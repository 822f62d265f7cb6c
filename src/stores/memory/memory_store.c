/* SPDX-License-Identifier: MIT */
/*
 * The glue between the model and the clients' loops.
 *
 * A request takes effect inside submit(), under the space's mutex; what it says
 * to whom becomes a letter in that client's box. A client empties its box from
 * its own loop, outside the mutex: woken by its eventfd when another client
 * wrote, by flush() when it was itself.
 */
#define _GNU_SOURCE
#include "memory_store.h"

#include "memory_clock.h"
#include "memory_mail.h"
#include "memory_space.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Letters kept for replies: so many requests are answered even if there is no memory. */
#define SPARE_LETTERS 32

struct pawl_store {
    pawl_host *host;
    pawl__space *space;
    struct event *event; /* of the eventfd; made active by flush() too */
    int wake_fd;
    pawl__link box;    /* letters; under the space's mutex */
    bool woken;        /* wake_fd has been written and not yet read; under the mutex */
    pawl__link spares; /* empty reply letters; this client's thread only */
    unsigned spare_count;
    bool unflushed; /* a letter of our own may wait in the box */
    bool *closed;   /* set while letters are being delivered: tells the loop to stop */
};

static const pawl_caps caps_all = {.size = sizeof(pawl_caps),
                                   .fence = PAWL_FENCE_BEST_EFFORT,
                                   .fair = true,
                                   .push = true,
                                   .list = true,
                                   .instant_release = true,
                                   .modes = 1u << PAWL_MODE_EXCLUSIVE | 1u << PAWL_MODE_SHARED |
                                            1u << PAWL_MODE_UPDATE | 1u << PAWL_MODE_PERMIT,
                                   .values = true,
                                   .notes = true};

/* ---- Letters ---------------------------------------------------------------------- */

static void wake(pawl_store *store)
{
    if (store->woken) return;
    store->woken = true;
    const uint64_t one = 1;
    /* It fails only when the counter is full, and then it is readable anyway. */
    if (write(store->wake_fd, &one, sizeof(one)) < 0) return;
}

static void put_spare(pawl_store *store, pawl__letter *letter)
{
    if (letter && store->spare_count < SPARE_LETTERS) {
        pawl__list_append(&store->spares, &letter->in_box);
        store->spare_count++;
        return;
    }
    free(letter);
}

static pawl__letter *take_reply_letter(pawl_store *store, uint32_t slots)
{
    if (!store->spare_count || slots > PAWL__LETTER_SLOTS) return pawl__letter_for_reply(slots);
    pawl__letter *letter = pawl__container(pawl__list_first(&store->spares), pawl__letter, in_box);
    pawl__list_remove(&letter->in_box);
    store->spare_count--;
    return letter;
}

static void free_letters(pawl__link *box)
{
    for (pawl__link *first; (first = pawl__list_first(box));) {
        pawl__list_remove(first);
        free(pawl__container(first, pawl__letter, in_box));
    }
}

static void take_box(pawl_store *store, pawl__link *ret_box)
{
    pawl__list_init(ret_box);
    pthread_mutex_lock(&store->space->mutex);
    store->woken = false;
    for (pawl__link *first; (first = pawl__list_first(&store->box));) {
        pawl__list_remove(first);
        pawl__list_append(ret_box, first);
    }
    pthread_mutex_unlock(&store->space->mutex);
}

static void deliver(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    uint64_t count;
    pawl__link box;
    bool closed = false;
    (void)what;
    if (read(fd, &count, sizeof(count)) < 0) count = 0; /* flush() made the event active */
    store->unflushed = false;
    take_box(store, &box);
    store->closed = &closed;
    while (!closed && !pawl__list_empty(&box)) {
        pawl__letter *letter = pawl__container(box.next, pawl__letter, in_box);
        pawl__list_remove(&letter->in_box);
        pawl__letter_deliver(letter, store->host);
        if (!closed && letter->kind == PAWL__LETTER_REPLY)
            put_spare(store, letter);
        else
            free(letter);
    }
    if (closed)
        free_letters(&box);
    else
        store->closed = NULL;
}

/* ---- What the model says beside its reply ----------------------------------------------- */

typedef struct outlet {
    pawl_store *store;
    uint64_t request;
    bool row_lost;
} outlet;

static void on_push(void *ctx, void *client, const pawl_push *push)
{
    pawl_store *to = client;
    pawl__letter *letter = pawl__letter_push(push);
    if (!letter) return; /* rule 7: a push is a hint */
    pawl__list_append(&to->box, &letter->in_box);
    if (to != ((outlet *)ctx)->store) wake(to);
}

static void on_row(void *ctx, const pawl_info *info)
{
    outlet *out = ctx;
    pawl__letter *letter = pawl__letter_row(out->request, info);
    if (letter)
        pawl__list_append(&out->store->box, &letter->in_box);
    else
        out->row_lost = true;
}

static bool put_finding(pawl_store *store, uint64_t id, const pawl_finding *finding)
{
    pawl__letter *letter = pawl__letter_plain(PAWL__LETTER_FINDING);
    if (!letter) return false;
    letter->id = id;
    letter->u.finding = *finding;
    pawl__list_append(&store->box, &letter->in_box);
    return true;
}

static void examine(pawl_store *store, const pawl_request *request, pawl_reply *ret_reply)
{
    static const pawl_finding scope = {.size = sizeof(pawl_finding),
                                       .severity = PAWL_SEVERITY_NOTE,
                                       .topic = "scope",
                                       .text = "the locks exclude only clients of this process",
                                       .advice =
                                           "use sqlite: for one machine, redis:// for several"};
    bool told = put_finding(store, request->id, &scope);
    *ret_reply = (pawl_reply){.id = request->id,
                              .outcome = told ? PAWL_REPORTED : PAWL_FAILED,
                              .err = told ? PAWL_OK : PAWL_ERR_NO_MEMORY};
}

/* ---- The contract's slots ------------------------------------------------------------------ */

static pawl__memory_time time_of(const pawl_store *store)
{
    return (pawl__memory_time){.now = store->host->now(), .wall_us = pawl__memory_wall_us()};
}

static void apply(pawl_store *store, const pawl_request *request, pawl_reply *ret_reply)
{
    outlet mine = {.store = store, .request = request->id};
    pawl__memory_out out = {.ctx = &mine, .push = on_push, .row = on_row};
    pawl__memory_time time = time_of(store);
    if (request->verb == PAWL_VERB_DOCTOR) {
        examine(store, request, ret_reply);
        return;
    }
    pawl__memory_apply(store->space->model, &time, store, request, &out, ret_reply);
    if (!mine.row_lost) return;
    ret_reply->outcome = PAWL_FAILED;
    ret_reply->err = PAWL_ERR_NO_MEMORY;
}

static void memory_submit(pawl_store *store, const pawl_request *request)
{
    pawl_reply reply;
    bool reads = request->verb == PAWL_VERB_READ;
    pawl__letter *letter = reads ? pawl__letter_for_value() : NULL;
    bool poor = reads && !letter; /* its answer would not fit */
    if (!letter) letter = take_reply_letter(store, request->units);
    if (!letter) return; /* no memory and no spare: leases end at their deadlines (law 10) */
    pthread_mutex_lock(&store->space->mutex);
    if (poor)
        reply = (pawl_reply){.id = request->id, .outcome = PAWL_FAILED, .err = PAWL_ERR_NO_MEMORY};
    else
        apply(store, request, &reply);
    pawl__letter_fill_reply(letter, &reply);
    pawl__list_append(&store->box, &letter->in_box);
    pthread_mutex_unlock(&store->space->mutex);
    store->unflushed = true;
}

static void memory_flush(pawl_store *store)
{
    if (store->unflushed) event_active(store->event, EV_READ, 0);
}

static const pawl_caps *memory_caps(pawl_store *store)
{
    (void)store;
    return &caps_all;
}

static void free_store(pawl_store *store)
{
    free_letters(&store->box);
    free_letters(&store->spares);
    free(store);
}

static void memory_close(pawl_store *store)
{
    outlet mine = {.store = store};
    pawl__memory_out out = {.ctx = &mine, .push = on_push, .row = on_row};
    pawl__memory_time time = time_of(store);
    pthread_mutex_lock(&store->space->mutex);
    pawl__memory_leave(store->space->model, &time, store, &out);
    pthread_mutex_unlock(&store->space->mutex);
    pawl__space_close(store->space);
    event_free(store->event);
    close(store->wake_fd);
    if (store->closed) *store->closed = true;
    free_store(store);
}

/*
 * In the child: the mutex may be locked by a thread that is not here, and the
 * event belongs to a loop that shares its epoll with the parent's. Neither is
 * touched.
 */
static void memory_forget(pawl_store *store)
{
    close(store->wake_fd);
    free_letters(&store->spares);
    free(store);
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int check_url(const pawl_url *url, char *reterr_message)
{
    const char *wrong = NULL;
    if (url->host && *url->host)
        wrong = "memory: has no host, it is memory:NAME";
    else if (url->user || url->password)
        wrong = "memory: has no user and no password";
    else if (strlen(url->path) > PAWL__MEMORY_SPACE_NAME_MAX)
        wrong = "memory:NAME is too long";
    if (!wrong) return PAWL_OK;
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", wrong);
    return PAWL_ERR_URL;
}

static bool fill_spares(pawl_store *store)
{
    while (store->spare_count < SPARE_LETTERS) {
        pawl__letter *letter = pawl__letter_for_reply(0);
        if (!letter) return false;
        put_spare(store, letter);
    }
    return true;
}

/* Registers with the host's loop and leaves the first letter: the link is up. */
static bool join_loop(pawl_store *store)
{
    store->event =
        event_new(store->host->base, store->wake_fd, EV_READ | EV_PERSIST, deliver, store);
    if (!store->event) return false;
    pawl__letter *letter = pawl__letter_plain(PAWL__LETTER_LINK);
    if (!letter || event_add(store->event, NULL) != 0) {
        free(letter);
        event_free(store->event);
        return false;
    }
    pawl__list_append(&store->box, &letter->in_box);
    event_active(store->event, EV_READ, 0);
    return true;
}

static int memory_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                       char *reterr_message)
{
    int err = check_url(url, reterr_message);
    if (err) return err;
    pawl_store *store = calloc(1, sizeof(*store));
    if (!store) goto no_memory;
    store->host = host;
    pawl__list_init(&store->box);
    pawl__list_init(&store->spares);
    store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->wake_fd < 0) {
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "eventfd: %s", strerror(errno));
        free(store);
        return PAWL_ERR_SYSTEM;
    }
    store->space = pawl__space_open(url->path);
    if (!store->space) goto no_space;
    if (!fill_spares(store) || !join_loop(store)) goto no_loop;
    *ret_store = store;
    return PAWL_OK;

no_loop:
    pawl__space_close(store->space);
no_space:
    close(store->wake_fd);
    free_store(store);
no_memory:
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(PAWL_ERR_NO_MEMORY));
    return PAWL_ERR_NO_MEMORY;
}

static const char *const schemes[] = {"memory", NULL};
static const char *const options[] = {NULL};

const pawl_store_ops pawl__memory_ops = {.abi = PAWL_STORE_ABI,
                                         .name = "memory",
                                         .schemes = schemes,
                                         .options = options,
                                         .open = memory_open,
                                         .submit = memory_submit,
                                         .flush = memory_flush,
                                         .caps = memory_caps,
                                         .close = memory_close,
                                         .forget = memory_forget};
