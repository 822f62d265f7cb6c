/* SPDX-License-Identifier: MIT */
/* The store's entry points: open, submit, flush, close, forget. */
#define _GNU_SOURCE
#include "sqlite_store.h"

#include "../../base/instant.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define GIVE_UP_EARLY_NS (10 * PAWL__NS_PER_MS) /* for the way back from the worker */

/* ---- Options ------------------------------------------------------------------- */

static int parse_mode(const char *value, mode_t *ret_mode)
{
    char *end;
    unsigned long mode = strtoul(value, &end, 8);
    if (!value[0] || *end || mode > 0666 || (mode & 0600) != 0600 || (mode & 0111)) return -1;
    *ret_mode = (mode_t)mode;
    return 0;
}

static int read_options(const pawl_url *url, mode_t *ret_mode, char *reterr_message)
{
    for (size_t i = 0; i < url->option_count; i++) {
        const pawl_url_option *option = &url->options[i];
        if (strcmp(option->key, "mode") != 0) {
            pawl__sqlite_say(reterr_message, "sqlite has no option %s (it has: mode)", option->key);
            return PAWL_ERR_OPTION;
        }
        if (parse_mode(option->value ? option->value : "", ret_mode) == 0) continue;
        pawl__sqlite_say(reterr_message,
                         "option mode=%s: an octal file mode such as 0660 or 0666 is due",
                         option->value ? option->value : "");
        return PAWL_ERR_OPTION;
    }
    return 0;
}

/* ---- Opening ------------------------------------------------------------------- */

static void on_death(void *ctx, const char *name, size_t name_len)
{
    pawl_store *store = ctx;
    pawl_push push = {.kind = PAWL_PUSH_RECHECK, .name = name, .name_len = name_len};
    store->host->push(store->host, &push);
}

static int make_events(pawl_store *store)
{
    struct event_base *base = store->host->base;
    store->notes_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (store->notes_fd < 0) return -1;
    store->notes_event =
        event_new(base, store->notes_fd, EV_READ | EV_PERSIST, pawl__sqlite_on_notes, store);
    store->deadline_event =
        event_new(base, -1, EV_TIMEOUT | EV_PERSIST, pawl__sqlite_on_deadline, store);
    if (!store->notes_event || !store->deadline_event) return -1;
    if (!pawl__sqlite_rest_deadline(store)) return -1;
    if (!pawl__watches_init(&store->watches, base, &store->worker.db.live, on_death, store)) {
        return -1;
    }
    return event_add(store->notes_event, NULL);
}

static void init_sync(pawl_store *store)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&store->wake, &attr);
    pthread_condattr_destroy(&attr);
    pthread_mutex_init(&store->mutex, NULL);
}

static pawl_store *store_new(pawl_host *host)
{
    pawl_store *store = calloc(1, sizeof(*store));
    if (!store) return NULL;
    store->host = host;
    snprintf(store->client_id, sizeof(store->client_id), "%s", host->client_id);
    store->notes_fd = store->inbox_fd = -1;
    store->deadline_at = PAWL__NEVER;
    store->down = (pawl__sqlite_fault){.err = PAWL_ERR_UNAVAILABLE,
                                       .message = "the database is being opened"};
    store->caps = (pawl_caps){
        .size = sizeof(pawl_caps),
        .fence = PAWL_FENCE_DURABLE,
        .fair = true,
        .push = true,
        .list = true,
        .notes = true,
        .instant_release = true,
        .modes = 1u << PAWL_MODE_EXCLUSIVE | 1u << PAWL_MODE_SHARED | 1u << PAWL_MODE_UPDATE |
                 1u << PAWL_MODE_PERMIT,
        .values = true,
    };
    pawl__list_init(&store->pending);
    pawl__list_init(&store->outstanding);
    pawl__list_init(&store->queue);
    pawl__list_init(&store->notes);
    pawl__list_init(&store->worker.late);
    store->worker.retry_ns = PAWL__RETRY_FIRST_NS;
    init_sync(store);
    pawl__sqlite_db_init(&store->worker.db, &store->stop);
    return store;
}

static void store_free(pawl_store *store)
{
    pawl__watches_done(&store->watches);
    pawl__sqlite_inline_end(store);
    if (store->notes_event) event_free(store->notes_event);
    if (store->inbox_event) event_free(store->inbox_event);
    if (store->deadline_event) event_free(store->deadline_event);
    if (store->notes_fd >= 0) close(store->notes_fd);
    if (store->inbox_fd >= 0) close(store->inbox_fd);
    pthread_cond_destroy(&store->wake);
    pthread_mutex_destroy(&store->mutex);
    free(store->worker.outbox.mails);
    free(store);
}

static int begin_work(pawl_store *store)
{
    const pawl_host *host = store->host;
    bool asks = host->size > offsetof(pawl_host, work_inline) && host->work_inline;
    return asks ? pawl__sqlite_inline_begin(store) : pawl__sqlite_worker_start(store);
}

static int sqlite_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store,
                       char *reterr_message)
{
    int rc = pawl__sqlite_gate_open(pawl__sqlite_db_abandon, reterr_message);
    if (rc != 0) return rc;
    rc = PAWL_ERR_NO_MEMORY;
    pawl_store *store = store_new(host);
    if (!store) {
        pawl__sqlite_say(reterr_message, "out of memory");
        return rc;
    }
    rc = pawl__sqlite_path_of_url(url, store->path, reterr_message);
    if (rc == 0) rc = read_options(url, &store->mode, reterr_message);
    if (rc == 0 && (make_events(store) < 0 || begin_work(store) < 0)) {
        rc = PAWL_ERR_SYSTEM;
        pawl__sqlite_say(reterr_message, "cannot start the worker of the sqlite store");
    }
    if (rc != 0) {
        store_free(store);
        return rc;
    }
    *ret_store = store;
    return 0;
}

/* ---- Requests ------------------------------------------------------------------ */

static char *put_string(char **room, const char *text, size_t len)
{
    char *at = *room;
    memcpy(at, text, len);
    at[len] = '\0';
    *room += len + 1;
    return at;
}

static pawl__task *task_new(const pawl_request *request)
{
    size_t token_len = request->token ? strlen(request->token) : 0;
    size_t owner_len = request->owner ? strlen(request->owner) : 0;
    pawl__task *task = calloc(1, sizeof(*task) + request->name_len + token_len + owner_len +
                                     request->value_len + 4 + pawl__value_room(request));
    if (!task) return NULL;
    char *room = (char *)(task + 1);
    task->request = *request;
    task->request.name = put_string(&room, request->name ? request->name : "", request->name_len);
    task->request.owner = put_string(&room, request->owner ? request->owner : "", owner_len);
    if (request->token) task->request.token = put_string(&room, request->token, token_len);
    task->request.value =
        put_string(&room, request->value ? request->value : "", request->value_len);
    task->value_room = room;
    return task;
}

static const char *refusal(const pawl_store *store, const pawl_request *request, pawl_err *ret_err)
{
    *ret_err = store->down.err;
    if (!store->up) return store->down.message;
    *ret_err = PAWL_ERR_STORE_BUSY;
    if (store->outstanding_count >= PAWL__TASKS_MAX) return "too many requests are outstanding";
    *ret_err = PAWL_ERR_UNSUPPORTED;
    if ((unsigned)request->mode > PAWL_MODE_PERMIT) return "sqlite knows no such mode";
    return NULL;
}

static void sqlite_submit(pawl_store *store, const pawl_request *request)
{
    pawl_err err;
    pawl__task *task = task_new(request);
    if (!task) {
        pawl__sqlite_refuse(store, request->id);
        return;
    }
    const char *why = refusal(store, request, &err);
    if (request->token && strlen(request->token) != PAWL_TOKEN_LEN) {
        err = PAWL_ERR_ARGUMENT;
        why = "a token has 40 characters";
    }
    int64_t span = request->answer_by - store->host->now();
    if (span < 0) span = 0;
    task->answer_by = pawl__instant_add(pawl__sqlite_clock_local(), span);
    task->give_up_at = task->answer_by - pawl__instant_min(span / 8, GIVE_UP_EARLY_NS);
    pawl__list_append(&store->outstanding, &task->in_outstanding);
    store->outstanding_count++;
    if (why) {
        task->taken = task->refused = true;
        pawl__sqlite_fail_task(task, PAWL_FAILED, err, why);
        pawl__sqlite_post_reply(store, task);
        return;
    }
    pawl__sqlite_arm_deadline(store, task);
    pawl__list_append(&store->pending, &task->in_queue);
}

static void sqlite_flush(pawl_store *store)
{
    pawl__link *at;
    if (pawl__list_empty(&store->pending)) return;
    pthread_mutex_lock(&store->mutex);
    while ((at = pawl__list_first(&store->pending))) {
        pawl__list_remove(at);
        pawl__list_append(&store->queue, at);
    }
    pthread_mutex_unlock(&store->mutex);
    if (pawl__sqlite_is_inline(store))
        pawl__sqlite_inline_flush(store);
    else if (!pawl__sqlite_lend_flush(store))
        pthread_cond_signal(&store->wake); /* the mutex is free: the worker would run into it */
}

static const pawl_caps *sqlite_caps(pawl_store *store)
{
    return &store->caps;
}

/* ---- The end ------------------------------------------------------------------- */

#define CLOSE_WAIT_NS (250 * PAWL__NS_PER_MS) /* for what was flushed: "at most briefly" */

static void free_tasks(pawl__link *head)
{
    pawl__link *at;
    while ((at = pawl__list_first(head))) {
        pawl__list_remove(at);
        pawl__sqlite_task_free(pawl__container(at, pawl__task, in_queue));
    }
}

static void free_notes(pawl__link *head)
{
    pawl__link *at;
    while ((at = pawl__list_first(head))) {
        pawl__note *note = pawl__container(at, pawl__note, link);
        pawl__list_remove(at);
        if (note->kind == PAWL__NOTE_REPLY) {
            pawl__sqlite_task_free(note->task);
            continue;
        }
        if (note->inbox_fd >= 0) close(note->inbox_fd);
        free(note);
    }
}

static void sqlite_close(pawl_store *store)
{
    struct timespec until = pawl__sqlite_clock_after(CLOSE_WAIT_NS);
    pthread_mutex_lock(&store->mutex);
    store->closing = true;
    pthread_cond_broadcast(&store->wake);
    while ((store->working || !pawl__list_empty(&store->queue)) &&
           pthread_cond_timedwait(&store->wake, &store->mutex, &until) == 0) {
    }
    atomic_store(&store->stop, true);
    pthread_cond_broadcast(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    if (pawl__sqlite_is_inline(store))
        pawl__sqlite_worker_done(store);
    else
        pthread_join(store->thread, NULL);
    free_notes(&store->notes);
    free_tasks(&store->queue);
    free_tasks(&store->pending);
    store_free(store);
}

/*
 * In a child the worker does not exist, its mutex may be locked for ever, the
 * database handle is closed by whoever opens the next one (sqlite_gate.h), and base shares its
 * epoll with the parent. What hangs on those stays, reachable, until the child ends.
 */
static pawl_store *forgotten;

static void sqlite_forget(pawl_store *store)
{
    bool has_inherited = pawl__sqlite_gate_has_inherited();
    pawl__watches_forget(&store->watches, has_inherited);
    free_tasks(&store->pending);
    if (has_inherited) {
        if (store->inbox_fd >= 0) close(store->inbox_fd);
        if (store->notes_fd >= 0) close(store->notes_fd);
    }
    store->next_forgotten = forgotten; /* reachable, so that nothing counts as leaked */
    forgotten = store;
}

static const char *const schemes[] = {"sqlite", NULL};
static const char *const options[] = {"mode", NULL};

/* Weak: a program that links several stores statically finds each by its own name. */
extern const pawl_store_ops pawl_store_entry;
PAWL_API __attribute__((weak)) const pawl_store_ops pawl_store_entry = {
    .abi = PAWL_STORE_ABI,
    .name = "sqlite",
    .schemes = schemes,
    .options = options,
    .open = sqlite_open,
    .submit = sqlite_submit,
    .flush = sqlite_flush,
    .caps = sqlite_caps,
    .close = sqlite_close,
    .forget = sqlite_forget,
};
