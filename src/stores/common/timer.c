/* SPDX-License-Identifier: MIT */
#include "timer.h"

#include "../../base/instant.h"

#define REST_S 86400 /* a timer that is not set goes off so rarely, and finds nothing to do */

bool pawl__timer_add(struct event *timer, struct event_base *base, event_callback_fn due, void *arg)
{
    static const struct timeval long_ahead = {.tv_sec = REST_S};
    return event_assign(timer, base, -1, EV_PERSIST, due, arg) == 0 &&
           event_add(timer, &long_ahead) == 0;
}

void pawl__timer_set(struct event *timer, int64_t delay_ns)
{
    struct timeval delay = {.tv_sec = REST_S};
    if (delay_ns != PAWL__NEVER) {
        int64_t us = delay_ns <= 0 ? 0 : (delay_ns + 999) / 1000;
        delay = (struct timeval){.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    }
    (void)event_add(timer, &delay);
}
