/* SPDX-License-Identifier: MIT */
/* What went wrong, for the operator: visitors see neither hosts nor files nor users. */
#define _GNU_SOURCE
#include "app.h"

#include <stdio.h>
#include <string.h>

/* A server chose some of these words: no control character of its own reaches a terminal. */
static void make_harmless(char *line)
{
    for (char *c = line; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f) *c = '?';
}

/* A visitor who asks again and again must not fill the disk. */
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
    snprintf(line, sizeof line, "%s", reason);
    make_harmless(line);
    if (is_news(&a->logs[place], line))
        fprintf(stderr, "pawl-counter: %s: %s\n", places[place], line);
}
