/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>
/* cmocka wants the four above first */
#include <cmocka.h>

static pid_t case_thread;

void check_cases_run_here(void)
{
    case_thread = gettid();
}

void check_failed(const char *file, int line, const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "%s:%d: ", file, line);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    if (gettid() == case_thread) fail();
    abort(); /* another thread, or the child of a fork: not cmocka's business */
}

void skip_case(const char *format, ...)
{
    va_list args;
    printf("SKIP: ");
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
    putchar('\n');
    skip();
    abort();
}
