/* SPDX-License-Identifier: MIT */
/* The ends of what callers wait for, and losses: each is told once (law 6). */
#define _GNU_SOURCE
#include "acquisition.h"

#include "../base/line.h"

#include <stdlib.h>
#include <string.h>

/* ---- Ends ----------------------------------------------------------------------------------- */

/* Tells the trace of the end of a wait. */
static void tell_end_of_wait(pawl__acquisitions *home, pawl__acquisition *a, int64_t begun_at,
                             int err, const char *message) __attribute__((cold));

static void tell_end_of_wait(pawl__acquisitions *home, pawl__acquisition *a, int64_t begun_at,
                             int err, const char *message)
{
    const pawl_lock *lock = pawl__acquisition_lock(a);
    pawl_trace event = {.kind = err ? PAWL_TRACE_REFUSED : PAWL_TRACE_ACQUIRED,
                        .name = lock->name,
                        .err = (pawl_err)err,
                        .message = message,
                        .fence = err ? 0 : atomic_load(&lock->fence),
                        .ttl_ms = a->want.ttl_ms,
                        .span_ns = pawl__now() - begun_at};
    pawl__trace_tell(home->trace, &event);
}

/* Exactly once (law 6): tells the completion that waits for this end, if there is one. */
static void end_call(pawl__acquisitions *home, pawl__acquisition *a, uint8_t call, int err,
                     const char *message)
{
    pawl__completion *completion = pawl__acquisition_find_open(a, call);
    if (!completion) return;
    if (completion->begun_at) tell_end_of_wait(home, a, completion->begun_at, err, message);
    if (completion->on_end) {
        pawl__acquisition_remove_completion(a, completion);
        completion->on_end(completion, err);
        return;
    }
    if (completion->waiter) {
        pawl__acquisition_remove_completion(a, completion);
        pawl__gate_complete(home->gate, completion->waiter, err);
        return;
    }
    completion->over = true;
    completion->err = (int16_t)err;
    pawl__gate_async_ended(home->gate);
    pawl__acquisition_call(a, call);
}

void pawl__end_acquire(pawl__acquisitions *home, pawl__acquisition *a, int err, const char *message)
{
    end_call(home, a, PAWL__CALL_ACQUIRED, a->abandoned ? PAWL_ERR_CANCELED : err, message);
}

void pawl__end_release(pawl__acquisitions *home, pawl__acquisition *a, int err)
{
    end_call(home, a, PAWL__CALL_RELEASED, err, NULL);
}

void pawl__end_change(pawl__acquisitions *home, pawl__acquisition *a, int err)
{
    a->upgrades = false;
    end_call(home, a, PAWL__CALL_CHANGED, err, NULL);
}

/* ---- What is said --------------------------------------------------------------------------- */

void pawl__keep_event(pawl__acquisition *a, pawl_err err, const char *message)
{
    pawl__extras *extras = pawl__acquisition_lock(a)->extras;
    a->event_err = (int16_t)err;
    if (!extras || !extras->on_event) return;
    free(extras->event_message);
    extras->event_message = message && *message ? strdup(message) : NULL; /* NULL: the err's text */
    if (extras->event_message) pawl__line_mend(extras->event_message);
    extras->message_of = a;
}

/* If the store has never answered, it has given no reason either. */
const char *pawl__reason(const pawl__acquisitions *home, pawl_err err, const char *message,
                         char *ret_room)
{
    if (message && *message) return message;
    if (err != PAWL_ERR_UNAVAILABLE) return pawl_err_text(err);
    pawl__say_silence(home->messages, ret_room);
    return ret_room;
}

/* Keeps the line of the event as the latest trouble. */
void pawl__keep_trouble(pawl__acquisitions *home, const pawl_trace *event)
{
    char line[PAWL_MESSAGE_MAX];
    pawl_trace_text(event, line);
    pawl__set_message(home->messages, "%s", line);
    pawl__set_reason(home->messages, event->err, event->message);
}

void pawl__lose(pawl__acquisition *a, pawl_err err, const char *message)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    a->let_go = true;
    pawl__held_expire(&lock->held);
    lock->state = PAWL__LOCK_LOST;
    pawl__keep_event(a, err, message);
    a->calls &= (uint8_t)~PAWL__CALL_EVENTS; /* older events no longer matter */
    pawl__acquisition_call(a, PAWL__CALL_LOST);
}
