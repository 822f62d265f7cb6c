/* SPDX-License-Identifier: MIT */
/* What happens in the host's loop: notes of the worker, letters of others, time limits. */
#define _GNU_SOURCE
#include "sqlite_store.h"

#include "../../base/instant.h"

#include <errno.h>
#include <event2/event.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LETTERS_PER_TURN 64 /* others want the loop, too */

/* ---- Answers ------------------------------------------------------------------- */

static void push(pawl_store *store, const pawl__letter *letter)
{
    pawl__letter_room room;
    pawl_push said = pawl__letter_push(letter, &room);
    if (said.kind == PAWL_PUSH_GRANT) pawl__watches_clear(&store->watches, room.token);
    store->host->push(store->host, &said);
}

/* Requests that may be answered with a place in a queue. */
static bool may_queue(const pawl__task *task)
{
    return task->request.verb == PAWL_VERB_ACQUIRE || task->request.verb == PAWL_VERB_CHANGE;
}

/* A letter of another process may arrive before the worker's reply to our own request. */
static bool hold_until_reply(pawl_store *store, const pawl__letter *letter)
{
    if (letter->kind != PAWL_PUSH_GRANT) return false;
    for (pawl__link *at = store->outstanding.next; at != &store->outstanding; at = at->next) {
        pawl__task *task = pawl__container(at, pawl__task, in_outstanding);
        if (!may_queue(task) || !task->request.token) continue;
        if (memcmp(task->request.token, letter->token, PAWL_TOKEN_LEN) != 0) continue;
        task->early = *letter;
        return true;
    }
    return false;
}

static void on_letter(pawl_store *store, const pawl__letter *letter)
{
    if (!hold_until_reply(store, letter)) push(store, letter);
}

static void on_waiting_changed(pawl_store *store, const pawl__task *task)
{
    const pawl_request *request = &task->request;
    if (!request->token) return;
    if (!may_queue(task) && request->verb != PAWL_VERB_RELEASE) return;
    if (task->answer.outcome == PAWL_FAILED || task->answer.outcome == PAWL_UNKNOWN) return;
    /* A holder that is granted what it has may still wait for an upgrade. */
    if (task->answer.outcome != PAWL_QUEUED && task->answer.watch.live <= 0) {
        pawl__watches_clear(&store->watches, request->token);
        return;
    }
    pawl__watch_place place = {.token = request->token,
                               .name = request->name,
                               .name_len = request->name_len,
                               .position = task->answer.position,
                               .own_pid_ns = store->pid_ns};
    pawl__watches_set(&store->watches, &place, &task->answer.watch);
    if (task->answer.more_count > 0)
        pawl__watches_add(&store->watches, &place, task->answer.more_watches,
                          task->answer.more_count);
}

/* Exactly once per task (law 6). */
static void answer(pawl_store *store, pawl__task *task)
{
    if (task->answered) return;
    task->answered = true;
    pawl__list_remove(&task->in_outstanding);
    store->outstanding_count--;
    const pawl__answer *a = &task->answer;
    uint16_t slots[PAWL_CAPACITY_MAX];
    size_t slot_count = 0;
    if (task->request.mode == PAWL_MODE_PERMIT && a->outcome == PAWL_GRANTED)
        slot_count = pawl__slots_list(&a->slots, slots);
    pawl_reply reply = {
        .id = task->request.id,
        .outcome = a->outcome,
        .fence = a->fence,
        .position = a->position,
        .holder_ms = a->holder_ms,
        .waiting = a->waiting,
        .slots = slot_count > 0 ? slots : NULL,
        .slot_count = slot_count,
        .err = a->fault.err,
        .message = a->fault.message[0] ? a->fault.message : NULL,
        .value = a->outcome == PAWL_REPORTED && a->value.bytes ? &a->value : NULL,
    };
    store->host->reply(store->host, &reply);
}

/* A grant that came before the reply to the ACQUIRE follows it, unless the reply said the same. */
static void follow_with_early_push(pawl_store *store, const pawl__task *task, pawl_outcome said)
{
    if (task->early.name_len && said != PAWL_GRANTED) push(store, &task->early);
}

/*
 * The worker has it and its word comes too late: a change may be made (law 4). What the worker
 * has written into it so far is the worker's, and is not looked at.
 */
static void answer_without_result(pawl_store *store, pawl__task *task, pawl_err err,
                                  const char *message)
{
    task->answered = true;
    pawl__list_remove(&task->in_outstanding);
    store->outstanding_count--;
    pawl_reply reply = {
        .id = task->request.id,
        .outcome = pawl__sqlite_is_write(task) ? PAWL_UNKNOWN : PAWL_FAILED,
        .position = -1,
        .holder_ms = -1,
        .err = err,
        .message = message,
    };
    store->host->reply(store->host, &reply);
    follow_with_early_push(store, task, reply.outcome);
}

static void on_reply(pawl_store *store, pawl__task *task)
{
    bool in_time = !task->answered;
    answer(store, task);
    if (pawl__sqlite_is_inline(store)) pawl__sqlite_inline_answered(store, task);
    if (in_time) {
        on_waiting_changed(store, task);
        follow_with_early_push(store, task, task->answer.outcome);
    }
    pawl__sqlite_task_free(task);
}

/* ---- Refusals ------------------------------------------------------------------ */

void pawl__sqlite_refuse(pawl_store *store, uint64_t id)
{
    if (store->refused_count < PAWL__REFUSED_MAX) store->refused[store->refused_count++] = id;
    event_active(store->notes_event, EV_READ, 0);
}

static void give_refusals(pawl_store *store)
{
    while (store->refused_count > 0) {
        pawl_reply reply = {.id = store->refused[--store->refused_count],
                            .outcome = PAWL_FAILED,
                            .position = -1,
                            .holder_ms = -1,
                            .err = PAWL_ERR_NO_MEMORY};
        store->host->reply(store->host, &reply);
    }
}

/* ---- The link ------------------------------------------------------------------ */

static void set_inbox(pawl_store *store, int fd)
{
    if (store->inbox_event) event_free(store->inbox_event);
    store->inbox_event = NULL;
    if (store->inbox_fd >= 0) close(store->inbox_fd);
    store->inbox_fd = fd;
    store->watches.no_pushes = fd < 0;
    if (fd < 0) return;
    store->inbox_event =
        event_new(store->host->base, fd, EV_READ | EV_PERSIST, pawl__sqlite_on_inbox, store);
    if (store->inbox_event && event_add(store->inbox_event, NULL) == 0) return;
    store->watches.no_pushes = true;
}

/* Everything is answered before the link is said to be down. */
static void fail_all(pawl_store *store, const pawl__sqlite_fault *fault)
{
    pawl__link *at;
    give_refusals(store);
    pthread_mutex_lock(&store->mutex);
    while ((at = pawl__list_first(&store->queue))) {
        pawl__list_remove(at);
        pawl__list_append(&store->pending, at);
    }
    pthread_mutex_unlock(&store->mutex);
    while ((at = pawl__list_first(&store->pending))) {
        pawl__task *task = pawl__container(at, pawl__task, in_queue);
        pawl__list_remove(at);
        pawl__sqlite_fail_task(task, PAWL_FAILED, fault->err, fault->message);
        answer(store, task);
        pawl__sqlite_task_free(task);
    }
    while ((at = pawl__list_first(&store->outstanding))) {
        pawl__task *task = pawl__container(at, pawl__task, in_outstanding);
        if (task->refused)
            answer(store, task); /* its note comes behind this one */
        else /* the worker is faster than its word: it is up again, and at work */
            answer_without_result(store, task, fault->err, fault->message);
    }
}

static void on_up(pawl_store *store, const pawl__note *note)
{
    store->pid_ns = note->pid_ns;
    store->caps.instant_release = note->instant_release;
    store->up = true;
    store->host->link(store->host, true, PAWL_OK, "");
}

static void say_down(pawl_host *host, const pawl__sqlite_fault *fault)
{
    bool can = host->size > offsetof(pawl_host, link_final) && host->link_final;
    if (fault->final && can)
        host->link_final(host, fault->err, fault->message);
    else
        host->link(host, false, fault->err, fault->message);
}

static void on_down(pawl_store *store, const pawl__note *note)
{
    set_inbox(store, -1);
    store->up = false;
    store->down = note->u.fault;
    fail_all(store, &note->u.fault);
    say_down(store->host, &note->u.fault);
}

/* ---- Notes --------------------------------------------------------------------- */

static void take_note(pawl_store *store, pawl__note *note)
{
    switch (note->kind) {
    case PAWL__NOTE_REPLY:
        on_reply(store, note->task); /* frees the note with it */
        return;
    case PAWL__NOTE_ROW:
        if (note->task->answered) break;
        store->host->row(store->host, note->task->request.id, &note->u.info);
        break;
    case PAWL__NOTE_FINDING:
        if (note->task->answered) break;
        store->host->finding(store->host, note->task->request.id, &note->u.finding);
        break;
    case PAWL__NOTE_PUSH:
        on_letter(store, &note->u.letter);
        break;
    case PAWL__NOTE_UP:
        on_up(store, note);
        break;
    case PAWL__NOTE_DOWN:
        on_down(store, note);
        break;
    case PAWL__NOTE_INBOX:
        set_inbox(store, note->inbox_fd);
        break;
    case PAWL__NOTE_WARN:
        store->host->warn(store->host, note->u.fault.message);
        break;
    }
    free(note);
}

void pawl__sqlite_on_notes(int fd, short what, void *ctx)
{
    pawl_store *store = ctx;
    pawl__link mine, *at;
    uint64_t count;

    if (pawl__sqlite_is_inline(store))
        pawl__sqlite_inline_open(store);
    else if (what & EV_READ)
        (void)!read(fd, &count, sizeof(count));
    give_refusals(store);
    pawl__list_init(&mine);
    pthread_mutex_lock(&store->mutex);
    while ((at = pawl__list_first(&store->notes))) {
        pawl__list_remove(at);
        pawl__list_append(&mine, at);
    }
    if (store->worker_waits) pthread_cond_signal(&store->wake);
    pthread_mutex_unlock(&store->mutex);
    while ((at = pawl__list_first(&mine))) {
        pawl__list_remove(at);
        take_note(store, pawl__container(at, pawl__note, link));
    }
}

/* ---- Letters ------------------------------------------------------------------- */

void pawl__sqlite_on_inbox(int fd, short what, void *ctx)
{
    pawl_store *store = ctx;
    pawl__letter letter;
    (void)what;
    for (int i = 0; i < LETTERS_PER_TURN; i++) {
        ssize_t n = recv(fd, &letter, sizeof(letter), MSG_DONTWAIT | MSG_TRUNC);
        if (n < 0) return;
        if (pawl__letter_is_valid(&letter, (size_t)n)) on_letter(store, &letter);
    }
}

/* ---- Time limits --------------------------------------------------------------- */

bool pawl__sqlite_rest_deadline(pawl_store *store)
{
    static const struct timeval rest = {.tv_sec = PAWL__REST_S};
    store->deadline_at = PAWL__NEVER;
    return event_add(store->deadline_event, &rest) == 0;
}

static void set_deadline(pawl_store *store, int64_t at)
{
    store->deadline_at = at;
    int64_t left_us = (at - pawl__sqlite_clock_local()) / PAWL__NS_PER_US;
    if (left_us < 0) left_us = 0;
    struct timeval t = {.tv_sec = left_us / 1000000, .tv_usec = left_us % 1000000};
    event_add(store->deadline_event, &t);
}

void pawl__sqlite_arm_deadline(pawl_store *store, const pawl__task *task)
{
    if (task->answer_by < store->deadline_at) set_deadline(store, task->answer_by);
}

/* true if the worker has not seen it: then it is certain that nothing was done. */
static bool take_back(pawl_store *store, pawl__task *task)
{
    pthread_mutex_lock(&store->mutex);
    bool untouched = !task->taken;
    if (untouched) pawl__list_remove(&task->in_queue);
    pthread_mutex_unlock(&store->mutex);
    return untouched;
}

static void give_up(pawl_store *store, pawl__task *task)
{
    if (take_back(store, task)) {
        pawl__sqlite_fail_task(task, PAWL_FAILED, PAWL_ERR_STORE_BUSY,
                               "the database was busy for the whole time");
        answer(store, task);
        pawl__sqlite_task_free(task);
        return;
    }
    answer_without_result(store, task, PAWL_ERR_STORE_BUSY, "the database did not finish in time");
}

void pawl__sqlite_on_deadline(int fd, short what, void *ctx)
{
    pawl_store *store = ctx;
    int64_t now = pawl__sqlite_clock_local(), next = PAWL__NEVER;
    pawl__link *following;
    (void)fd;
    (void)what;
    for (pawl__link *at = store->outstanding.next; at != &store->outstanding; at = following) {
        following = at->next;
        pawl__task *task = pawl__container(at, pawl__task, in_outstanding);
        if (task->answer_by <= now) {
            give_up(store, task);
            continue;
        }
        next = pawl__instant_min(next, task->answer_by);
    }
    if (next == PAWL__NEVER)
        (void)pawl__sqlite_rest_deadline(store);
    else
        set_deadline(store, next);
}
