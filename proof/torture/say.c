/* SPDX-License-Identifier: MIT */
#include "torture.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

void torture_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fputs("pawl torture: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
}

void torture_sleep_ns(int64_t span_ns)
{
    struct timespec left = {.tv_sec = span_ns / 1000000000, .tv_nsec = span_ns % 1000000000};
    while (span_ns > 0 && clock_nanosleep(CLOCK_MONOTONIC, 0, &left, &left) == EINTR) continue;
}

const char *torture_path(char *ret_path, const char *dir, const char *name)
{
    snprintf(ret_path, TORTURE_FILE_MAX, "%.*s/%s", TORTURE_PATH_MAX, dir, name);
    return ret_path;
}
