/* SPDX-License-Identifier: MIT */
/* What went wrong, for the operator: visitors see neither hosts nor files nor users. */
#define _GNU_SOURCE
#include "app.h"

#include <stdio.h>
#include <string.h>

#define ESCAPED_MAX 4 /* bytes of \xNN */

void app_complain(const char *text)
{
    char line[ESCAPED_MAX * PAWL_MESSAGE_MAX + 1];
    size_t used = 0;
    line[0] = '\0';
    for (const char *c = text; *c && used + ESCAPED_MAX < sizeof line; c++) {
        bool printable = *c >= ' ' && *c <= '~';
        used += (size_t)snprintf(line + used, sizeof line - used, printable ? "%c" : "\\x%02x",
                                 (unsigned char)*c);
    }
    fprintf(stderr, "pawl-counter: %s\n", line);
}

/* A visitor that asks again and again must not fill the disk. */
static bool is_news(app_log *log, const char *reason)
{
    int64_t now_us = app_now_us();
    int64_t rest_ms = strcmp(log->reason, reason) == 0 ? SAY_AGAIN_MS : SAY_MS;
    if (log->said_us && now_us - log->said_us < rest_ms * 1000) return false;
    log->said_us = now_us;
    snprintf(log->reason, sizeof log->reason, "%s", reason);
    return true;
}

void app_say(app *a, app_place place, const char *reason)
{
    static const char *const places[PLACES] = {"lock", "counter", "/add", "/counter"};
    char line[PAWL_MESSAGE_MAX];
    if (!is_news(&a->logs[place], reason)) return;
    snprintf(line, sizeof line, "%s: %s", places[place], reason);
    app_complain(line);
}
