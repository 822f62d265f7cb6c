/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_DURATION_H
#define PAWL_CLI_DURATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longest duration that the command line takes: a year. A longer one is probably a mistake. */
#define CLI_DURATION_MAX_MS (INT64_C(365) * 24 * 3600 * 1000)

/*
 * Reads "10", "0.5", "250ms", "3s", "1.5m", "2h", "7d": seconds unless a unit says
 * otherwise. A time above 0 and below a millisecond counts as one millisecond, so that a short wait
 * never becomes no wait. On failure *reterr_why says what is wrong.
 */
bool cli_duration_parse(const char *text, int64_t *ret_ms, const char **reterr_why);

/* "250ms", "1.5s", "2m30s", "3h05m": for people. Returns buf. */
#define CLI_DURATION_TEXT 32
const char *cli_duration_text(int64_t ms, char buf[CLI_DURATION_TEXT]);

/*
 * To the millisecond, in the largest unit that needs no fraction, as it can be written on the
 * command line: "30s", "6500ms", "25h". Returns buf.
 */
const char *cli_duration_exact(int64_t ms, char buf[CLI_DURATION_TEXT]);

#endif
