/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into pawl: says so when the guardian allocates. It was forked perhaps beside a thread
 * that had malloc's mutex, and would wait for it for ever, beside a command that it is to stop.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *block, size_t size);

static bool is_guardian;

static void complain(void)
{
    static const char line[] = "the guardian allocates\n";
    if (!is_guardian) return;
    ssize_t told = write(STDERR_FILENO, line, sizeof line - 1);
    (void)told;
}

void *malloc(size_t size)
{
    complain();
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    complain();
    return __libc_calloc(count, size);
}

void *realloc(void *block, size_t size)
{
    complain();
    return __libc_realloc(block, size);
}

/* The guardian gives itself its name as one of the first things that it does. */
int prctl(int option, ...)
{
    int (*real)(int, ...);
    va_list args;
    va_start(args, option);
    unsigned long value = va_arg(args, unsigned long);
    va_end(args);
    *(void **)&real = dlsym(RTLD_NEXT, "prctl");
    int done = real(option, value, 0UL, 0UL, 0UL);
    if (option == PR_SET_NAME) is_guardian = strcmp((const char *)value, "lock-guardian") == 0;
    return done;
}
