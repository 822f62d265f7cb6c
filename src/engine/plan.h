/* SPDX-License-Identifier: MIT */
/* The times of a lease, all derived from its ttl: pure functions of numbers. */
#ifndef PAWL_ENGINE_PLAN_H
#define PAWL_ENGINE_PLAN_H

#include "../base/instant.h"

/* From the instant before the request left to the local deadline. */
int64_t pawl__plan_span_ns(int64_t ttl_ms);

/*
 * The same for a place in the queue, and for a lease that was handed to it: it ends at the store
 * when the place would have ended, until it is confirmed (rule 8 of pawl/store.h).
 */
int64_t pawl__plan_place_ns(int64_t ttl_ms);

/*
 * If less than this is left of a place, a hand-off is first confirmed by the store and then
 * believed: ttl/4, and at least as long as a confirmation with a slow answer takes.
 */
int64_t pawl__plan_enough_ns(int64_t ttl_ms);

/* From a hand-off to its confirmation, if the lease is held for that long: ttl/12, at most 250 ms.
 */
int64_t pawl__plan_confirm_ns(int64_t ttl_ms);

/* From the confirmed request to the next renewal, or refresh of a place: ttl/3. */
int64_t pawl__plan_renew_ns(int64_t ttl_ms);

/* Between tries of a request that failed: ttl/12, so several fit before the deadline. */
int64_t pawl__plan_retry_ns(int64_t ttl_ms);

/* How long a request may stay unanswered: ttl/6 within 100 ms .. 5 s. */
int64_t pawl__plan_answer_ns(int64_t ttl_ms);

#endif
