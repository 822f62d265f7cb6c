/* SPDX-License-Identifier: MIT */
/* What passes between the two threads: tasks and notes. */
#define _GNU_SOURCE
#include "sqlite_store.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* ---- Tasks --------------------------------------------------------------------- */

bool pawl__sqlite_is_write(const pawl__task *task)
{
    switch (task->request.verb) {
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_RENEW:
    case PAWL_VERB_RELEASE:
    case PAWL_VERB_BREAK:
    case PAWL_VERB_CHANGE:
    case PAWL_VERB_PUBLISH:
        return true;
    case PAWL_VERB_READ:
        return (task->request.flags & PAWL_ASK_WATCH) != 0;
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
        return false;
    }
    return false;
}

void pawl__sqlite_task_free(pawl__task *task)
{
    pawl__answer_done(&task->answer);
    free(task);
}

void pawl__sqlite_fail_task(pawl__task *task, pawl_outcome outcome, pawl_err err,
                            const char *message)
{
    task->answer.outcome = outcome;
    task->answer.fault.err = err;
    snprintf(task->answer.fault.message, sizeof(task->answer.fault.message), "%s", message);
}

void pawl__sqlite_put_back(pawl_store *store, pawl__link *batch)
{
    while (!pawl__list_empty(batch)) {
        pawl__link *last = batch->prev;
        pawl__list_remove(last);
        pawl__list_prepend(&store->queue, last);
        pawl__container(last, pawl__task, in_queue)->taken = false;
    }
}

/* ---- Notes --------------------------------------------------------------------- */

pawl__note *pawl__sqlite_note_new(pawl__note_kind kind, size_t extra)
{
    pawl__note *note = calloc(1, sizeof(*note) + extra);
    if (!note) return NULL;
    note->kind = kind;
    note->inbox_fd = -1;
    return note;
}

void pawl__sqlite_post(pawl_store *store, pawl__note *note)
{
    const uint64_t one = 1;
    pthread_mutex_lock(&store->mutex);
    bool first = pawl__list_empty(&store->notes);
    bool is_loop = pawl__sqlite_is_inline(store) || store->lent;
    pawl__list_append(&store->notes, &note->link);
    pthread_mutex_unlock(&store->mutex);
    if (!first) return;
    if (is_loop) {
        event_active(store->notes_event, EV_TIMEOUT, 0);
        return;
    }
    (void)!write(store->notes_fd, &one, sizeof(one));
}

void pawl__sqlite_wait_until_taken(pawl_store *store)
{
    /* The loop may be about to fork. It has the gate's mutex then, and may ask for ours before it
     * gives it back: so nobody asks for the gate with ours. */
    pawl__sqlite_gate_leave();
    pthread_mutex_lock(&store->mutex);
    store->worker_waits = true;
    while (!pawl__list_empty(&store->notes) && !store->closing) {
        pthread_cond_wait(&store->wake, &store->mutex);
    }
    store->worker_waits = false;
    pthread_mutex_unlock(&store->mutex);
    pawl__sqlite_gate_enter();
}

void pawl__sqlite_post_reply(pawl_store *store, pawl__task *task)
{
    task->reply_note.kind = PAWL__NOTE_REPLY;
    task->reply_note.task = task;
    pawl__sqlite_post(store, &task->reply_note);
}
