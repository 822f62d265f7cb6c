/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "driver.h"

int64_t bench_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

int64_t bench_cpu_ns(void)
{
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    int64_t us = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * INT64_C(1000000) +
                 used.ru_utime.tv_usec + used.ru_stime.tv_usec;
    return us * 1000;
}

void bench_sleep_until(int64_t ns)
{
    struct timespec at = {.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL)) continue;
}

_Noreturn void bench_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("bench: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    _exit(1); /* no exit handlers: other clients still run */
}

void bench_say_and_wait(const char *word)
{
    puts(word);
    fflush(stdout);
    for (int c = getchar(); c != '\n' && c != EOF;) c = getchar();
}

void bench_wait_for_go(void)
{
    bench_say_and_wait("ready");
}

void bench_wait_for_end(void)
{
    fflush(stdout);
    while (getchar() != EOF) continue;
}

void bench_host_port(const char *url, char ret_host[256], int *ret_port)
{
    if (sscanf(url, "redis://%255[^:/]:%d", ret_host, ret_port) != 2) {
        bench_die("%s is not redis://HOST:PORT", url);
    }
}

void bench_token(char ret_token[41])
{
    unsigned char bytes[20];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes) bench_die("no randomness");
    for (size_t i = 0; i < sizeof bytes; i++) {
        snprintf(ret_token + 2 * i, 3, "%02x", bytes[i]);
    }
}
