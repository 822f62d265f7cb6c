/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_WATCH_REST_H
#define PAWL_CLI_WATCH_REST_H

#include <stdint.h>

/*
 * How long to rest after a look that took took_ms, if one each interval_ms is wanted: at least
 * nine times as long as it took, so that looking takes at most a tenth of the time.
 */
int64_t cli_watch_rest(int64_t took_ms, int64_t interval_ms);

#endif
