/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a redis-server: its wall clock is set by a file, which the test writes while the
 * server runs. (The customary library for that takes no program with an allocator of its own.)
 */
#define _GNU_SOURCE
#include "clock_shim.h"

#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static clock_setting *setting(void)
{
    static _Atomic(clock_setting *) known;
    clock_setting *s = known;
    const char *path = getenv(CLOCK_SHIM_FILE);
    if (s || !path) return s;
    int fd = open(path, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *s, PROT_READ, MAP_SHARED, fd, 0);
    if (fd >= 0) close(fd);
    if (at == MAP_FAILED) return NULL;
    known = at;
    return at;
}

static int64_t shown_ns(void)
{
    struct timespec real;
    clock_setting *s = setting();
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &real);
    int64_t now = (int64_t)real.tv_sec * 1000000000 + real.tv_nsec;
    if (!s) return now;
    return now + s->ahead_ns + (now - s->since_ns) / 1000 * s->faster_permille;
}

int clock_gettime(clockid_t clock, struct timespec *ret_time)
{
    if (clock != CLOCK_REALTIME) return (int)syscall(SYS_clock_gettime, clock, ret_time);
    int64_t now = shown_ns();
    *ret_time = (struct timespec){.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
    return 0;
}

int gettimeofday(struct timeval *restrict ret_time, void *restrict zone)
{
    int64_t now = shown_ns();
    (void)zone;
    *ret_time = (struct timeval){.tv_sec = now / 1000000000, .tv_usec = now % 1000000000 / 1000};
    return 0;
}

time_t time(time_t *ret_time)
{
    time_t now = shown_ns() / 1000000000;
    if (ret_time) *ret_time = now;
    return now;
}
