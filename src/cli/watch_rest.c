/* SPDX-License-Identifier: MIT */
#include "watch_rest.h"

#define TIMES 9

int64_t cli_watch_rest(int64_t took_ms, int64_t interval_ms, bool failed)
{
    if (failed) return took_ms > interval_ms ? took_ms : interval_ms;
    int64_t wanted = interval_ms - took_ms, least = TIMES * took_ms;
    return wanted > least ? wanted : least;
}
