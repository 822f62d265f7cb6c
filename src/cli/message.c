/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "message.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

const char *cli_program = "pawl";

static cli_loudness loudness_now = CLI_NORMAL;
static bool never_block;

void cli_set_loudness(cli_loudness loudness)
{
    loudness_now = loudness;
}

bool cli_is_verbose(void)
{
    return loudness_now == CLI_VERBOSE;
}

void cli_messages_never_block(void)
{
    never_block = true;
}

static void say(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

/*
 * One write(2) for each line, so that lines of several processes do not mix. Nothing is
 * allocated: the guardian speaks, too, and was forked perhaps beside a thread that had malloc's
 * lock.
 */
static void say(const char *format, va_list args)
{
    char raw[2048], clean[4096], line[sizeof clean + 32];
    if (vsnprintf(raw, sizeof raw, format, args) < 0) return;
    cli_clean_into(raw, clean, sizeof clean);
    snprintf(line, sizeof line - 1, "%s: %s", cli_program, clean);

    size_t len = strlen(line);
    line[len++] = '\n';
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (never_block && (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT))) return;
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* an error could not be told to anybody */
}

void cli_error(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void cli_warn(const char *format, ...)
{
    if (loudness_now == CLI_QUIET) return;
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}

void cli_info(const char *format, ...)
{
    if (loudness_now != CLI_VERBOSE) return;
    va_list args;
    va_start(args, format);
    say(format, args);
    va_end(args);
}
