/* SPDX-License-Identifier: MIT */
/* The times of a lease, all derived from its ttl: pure functions of numbers. */
#ifndef PAWL_ENGINE_PLAN_H
#define PAWL_ENGINE_PLAN_H

#include "../base/instant.h"

/* What law 2 takes off the ttl: max(ttl/10, 5 ms) + 2 ms. NTP slews by up to 8.3 %. */
int64_t pawl__plan_margin_ns(int64_t ttl_ms);

/* From the instant before the request left to the local deadline. */
int64_t pawl__plan_span_ns(int64_t ttl_ms);

/* From the confirmed request to the next renewal, or refresh of a place: ttl/3. */
int64_t pawl__plan_renew_ns(int64_t ttl_ms);

/* Between tries of a request that failed: ttl/12, so several fit before the deadline. */
int64_t pawl__plan_retry_ns(int64_t ttl_ms);

/* How long a request may stay unanswered: ttl/6 within 100 ms .. 5 s. */
int64_t pawl__plan_answer_ns(int64_t ttl_ms);

#endif
