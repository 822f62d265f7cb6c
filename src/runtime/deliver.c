/* SPDX-License-Identifier: MIT */
/*
 * The callbacks of an acquisition: its end, the end of a release, and events. An acquisition stores
 * them as bits, and runs them in the order of the bits.
 */
#define _GNU_SOURCE
#include "../base/instant.h"
#include "acquisition.h"

#include <stdlib.h>

void pawl__acquisition_call(pawl__acquisition *a, uint8_t call)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    if (call & PAWL__CALL_EVENTS && (!lock->extras || !lock->extras->on_event || lock->freed))
        return;
    a->calls |= call;
    if (!pawl__link_linked(&a->in_calls)) pawl__calls_add(lock->home->calls, &a->in_calls);
}

void pawl__acquisition_complete_at_once(pawl__acquisition *a, pawl__completion *completion,
                                        uint8_t call)
{
    pawl__acquisition_add_completion(a, completion, call);
    completion->over = true;
    pawl__acquisition_call(a, call);
}

static pawl_event_kind kind_of(uint8_t call)
{
    switch (call) {
    case PAWL__CALL_DOUBT:
        return PAWL_EVENT_DOUBT;
    case PAWL__CALL_HELD:
        return PAWL_EVENT_HELD;
    case PAWL__CALL_YIELD:
        return PAWL_EVENT_YIELD;
    }
    return PAWL_EVENT_LOST;
}

static bool run_event(pawl__calls *calls, pawl__acquisition *a, uint8_t call)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    if (lock->freed) return true;
    pawl__extras *extras = lock->extras;
    bool has_reason = call == PAWL__CALL_DOUBT || call == PAWL__CALL_LOST;
    char *message = has_reason && extras->message_of == a ? extras->event_message : NULL;
    if (message) extras->event_message = NULL;
    pawl_err err = has_reason ? (pawl_err)a->event_err : PAWL_OK;
    pawl_event event = {.size = sizeof event,
                        .kind = kind_of(call),
                        .err = err,
                        .message = message ? message : (err ? pawl_err_text(err) : "")};
    if (call != PAWL__CALL_LOST)
        event.remaining_ms = pawl__held_left(&lock->held) / PAWL__NS_PER_MS;
    uint64_t process = pawl__calls_begin(calls, lock);
    extras->on_event(lock, &event, extras->event_userdata);
    free(message);
    return pawl__calls_end(calls, process);
}

static bool run_done(pawl__calls *calls, pawl__acquisition *a, uint8_t call)
{
    pawl_lock *lock = pawl__acquisition_lock(a);
    pawl__completion *completion = pawl__acquisition_take_over(a, call);
    if (pawl__acquisition_has_over(a, call)) pawl__acquisition_call(a, call); /* one at a time */
    uint64_t process = pawl__calls_begin(calls, lock);
    completion->done(lock, completion->err, completion->userdata);
    free(completion);
    return pawl__calls_end(calls, process);
}

static bool run_call(pawl__calls *calls, pawl__acquisition *a, uint8_t call)
{
    return call & PAWL__CALL_EVENTS ? run_event(calls, a, call) : run_done(calls, a, call);
}

bool pawl__acquisition_run_call(pawl__calls *calls, pawl__acquisition *a)
{
    uint8_t call = (uint8_t)(a->calls & -a->calls); /* the lowest bit is the earliest */
    a->calls &= (uint8_t)~call;
    if (!a->calls) pawl__list_remove(&a->in_calls);
    if (!call) return true;
    a->running = true;
    if (!run_call(calls, a, call)) return false;
    a->running = false;
    pawl__acquisition_free_unused(a);
    return true;
}
