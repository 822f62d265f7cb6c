/* SPDX-License-Identifier: MIT */
/*
 * What the callbacks of a claim say: the end of an acquisition or a release, and events. A claim
 * holds them as bits, and runs them in the order of the bits.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <stdlib.h>

void pawl__claim_call(pawl__claim *claim, uint8_t call)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    if (call & PAWL__CALL_EVENTS && (!lock->extras || !lock->extras->on_event || lock->freed))
        return;
    claim->calls |= call;
    if (!pawl__link_linked(&claim->in_calls))
        pawl__calls_add(&lock->client->calls, &claim->in_calls);
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

static bool run_event(pawl__calls *calls, pawl__claim *claim, uint8_t call)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    if (lock->freed) return true;
    pawl__extras *extras = lock->extras;
    bool has_reason = call == PAWL__CALL_DOUBT || call == PAWL__CALL_LOST;
    char *message = has_reason && extras->message_of == claim ? extras->event_message : NULL;
    if (message) extras->event_message = NULL;
    pawl_err err = has_reason ? (pawl_err)claim->event_err : PAWL_OK;
    pawl_event event = {.size = sizeof event,
                        .kind = kind_of(call),
                        .err = err,
                        .message = message ? message : (err ? pawl_err_text(err) : "")};
    if (call != PAWL__CALL_LOST) event.remaining_ms = pawl_lock_remaining_ms(lock);
    pawl__calls_begin(calls, lock);
    extras->on_event(lock, &event, extras->event_userdata);
    free(message);
    return pawl__calls_end(calls);
}

static bool run_done(pawl__calls *calls, pawl__claim *claim, uint8_t call)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    pawl__await *await = pawl__claim_take_over(claim, call);
    pawl__calls_begin(calls, lock);
    await->done(lock, await->err, await->userdata);
    free(await);
    return pawl__calls_end(calls);
}

static bool run_call(pawl__calls *calls, pawl__claim *claim, uint8_t call)
{
    return call & PAWL__CALL_EVENTS ? run_event(calls, claim, call) : run_done(calls, claim, call);
}

bool pawl__claim_run_call(pawl__calls *calls, pawl__claim *claim)
{
    uint8_t call = (uint8_t)(claim->calls & -claim->calls); /* the lowest: the earliest */
    claim->calls &= (uint8_t)~call;
    if (!claim->calls) pawl__list_remove(&claim->in_calls);
    if (!call) return true;
    claim->running = true;
    if (!run_call(calls, claim, call)) return false;
    claim->running = false;
    pawl__claim_settle(claim);
    return true;
}
