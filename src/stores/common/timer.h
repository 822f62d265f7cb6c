/* SPDX-License-Identifier: MIT */
/*
 * Timers that stay in the loop's heap from open to close. Only adding one needs memory, so setting
 * one cannot fail.
 */
#ifndef PAWL_STORES_TIMER_H
#define PAWL_STORES_TIMER_H

#include "pawl/store.h"

#include <event2/event.h>
#include <event2/event_struct.h>

/* Puts a timer into the loop's heap; it does not go off until it is set. False: no memory. */
PAWL_MUST_USE bool pawl__timer_add(struct event *timer, struct event_base *base,
                                   event_callback_fn due, void *arg);
/* It goes off after so long; PAWL__NEVER: not until it is set again. */
void pawl__timer_set(struct event *timer, int64_t delay_ns);

#endif
