/* SPDX-License-Identifier: MIT */
#include "duration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Nanoseconds, so that fractions of every unit stay exact; a year fits easily. */
static const struct {
    const char *name;
    int64_t ns;
} units[] = {
    {"", INT64_C(1000000000)},   {"ms", INT64_C(1000000)},      {"s", INT64_C(1000000000)},
    {"m", INT64_C(60000000000)}, {"h", INT64_C(3600000000000)}, {"d", INT64_C(86400000000000)},
};

static int64_t unit_ns(const char *name)
{
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (strcmp(units[i].name, name) == 0) return units[i].ns;
    }
    return 0;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* By hand: strtod would take "inf", "nan", hexadecimal and the locale's comma. */
bool cli_duration_parse(const char *text, int64_t *ret_ms, const char **reterr_why)
{
    const char *p = text;
    int64_t whole = 0, fraction = 0, scale = 1;
    bool digits = false, nonzero = false;

    if (*p == '-') {
        *reterr_why = "a duration cannot be negative";
        return false;
    }
    for (; is_digit(*p); p++) {
        digits = true;
        nonzero |= *p != '0';
        if (whole <= CLI_DURATION_MAX_MS) whole = whole * 10 + (*p - '0');
    }
    if (*p == '.') p++;
    for (bool after_point = p > text && p[-1] == '.'; after_point && is_digit(*p); p++) {
        digits = true;
        nonzero |= *p != '0';
        if (scale == 1000000) continue; /* finer than a wait can be */
        fraction = fraction * 10 + (*p - '0');
        scale *= 10;
    }

    int64_t ns = digits ? unit_ns(p) : 0;
    if (ns == 0) {
        *reterr_why =
            "a duration is a number with an optional unit: 10, 0.5, 250ms, 3s, 2m, 1h, 1d";
        return false;
    }
    if (whole > CLI_DURATION_MAX_MS / (ns / 1000000)) {
        *reterr_why = "a duration is at most a year";
        return false;
    }
    int64_t ms = (whole * ns + fraction * (ns / scale)) / 1000000;
    *ret_ms = ms == 0 && nonzero ? 1 : ms;
    return true;
}

const char *cli_duration_text(int64_t ms, char buf[CLI_DURATION_TEXT])
{
    if (ms < 0) {
        snprintf(buf, CLI_DURATION_TEXT, "never");
        return buf;
    }
    int64_t seconds = ms / 1000;
    if (ms < 1000) {
        snprintf(buf, CLI_DURATION_TEXT, "%" PRId64 "ms", ms);
    } else if (seconds < 60) {
        snprintf(buf, CLI_DURATION_TEXT, "%" PRId64 ".%" PRId64 "s", seconds, ms % 1000 / 100);
    } else if (seconds < 3600) {
        snprintf(buf, CLI_DURATION_TEXT, "%" PRId64 "m%02" PRId64 "s", seconds / 60, seconds % 60);
    } else {
        snprintf(buf, CLI_DURATION_TEXT, "%" PRId64 "h%02" PRId64 "m", seconds / 3600,
                 seconds % 3600 / 60);
    }
    return buf;
}

const char *cli_duration_exact(int64_t ms, char buf[CLI_DURATION_TEXT])
{
    size_t best = 1; /* ms */
    for (size_t i = best + 1; i < sizeof units / sizeof units[0]; i++) {
        if (ms != 0 && ms % (units[i].ns / 1000000) == 0) best = i;
    }
    snprintf(buf, CLI_DURATION_TEXT, "%" PRId64 "%s", ms / (units[best].ns / 1000000),
             units[best].name);
    return buf;
}
