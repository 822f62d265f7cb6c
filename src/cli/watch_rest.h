/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_WATCH_REST_H
#define PAWL_CLI_WATCH_REST_H

#include <stdbool.h>
#include <stdint.h>

/*
 * How long to pause after a look that took took_ms, if there should be one each interval_ms: at
 * least nine times took_ms, so that looking takes at most a tenth of the time.
 * A look that failed has asked for little, and who watches wants to know soon that the store is
 * back: the rest after it is as long as the look, and not shorter than the interval.
 */
int64_t cli_watch_rest(int64_t took_ms, int64_t interval_ms, bool failed);

#endif
