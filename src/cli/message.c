/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "message.h"

#include <poll.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_codes.h"
#include "utf8.h"

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

/* One write(2) for each line, so that lines of several processes do not mix. */
static void say(const char *format, va_list args)
{
    char line[2048];
    int used = snprintf(line, sizeof line, "%s: ", cli_program);
    int more = vsnprintf(line + used, sizeof line - (size_t)used - 1, format, args);
    if (more < 0) return;

    size_t len = strlen(line);
    line[len++] = '\n';
    struct pollfd writable = {.fd = STDERR_FILENO, .events = POLLOUT};
    if (never_block && (poll(&writable, 1, 0) != 1 || !(writable.revents & POLLOUT))) return;
    ssize_t written = write(STDERR_FILENO, line, len);
    (void)written; /* there is nobody left to tell */
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

/* Control characters, and those that turn the direction of writing: both can forge a line. */
static bool is_printable(uint32_t c)
{
    if (c < 0x20 || c == 0x7f) return false;
    if (c >= 0x80 && c <= 0x9f) return false;
    if (c == 0x200e || c == 0x200f || c == 0xfeff) return false;
    return !(c >= 0x2028 && c <= 0x202e) && !(c >= 0x2066 && c <= 0x2069);
}

char *cli_escape(const char *bytes, size_t len)
{
    char *text = malloc(len * 4 + 1);
    if (!text) {
        cli_error("out of memory");
        exit(CLI_EXIT_SYSTEM);
    }
    char *out = text;
    for (size_t i = 0; i < len;) {
        uint32_t c = 0;
        size_t width = cli_utf8_next(bytes + i, len - i, &c);
        if (width == 0 || !is_printable(c)) {
            size_t bad = width == 0 ? 1 : width;
            for (size_t end = i + bad; i < end; i++) {
                out += snprintf(out, 5, "\\x%02x", (unsigned char)bytes[i]);
            }
            continue;
        }
        if (c == '\\') *out++ = '\\';
        memcpy(out, bytes + i, width);
        out += width;
        i += width;
    }
    *out = '\0';
    return text;
}
