/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into a server: a wall clock that we can set. The file $PAWL_TORTURE_CLOCK
 * holds how many ns it is ahead; the rig writes it, each reading looks. The monotonic clocks
 * are not changed. Calls of the system only: the allocator asks for the time before main.
 */
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define NS INT64_C(1000000000)

static int64_t ahead_ns(void)
{
    static const _Atomic int64_t *page;
    if (!page) {
        const char *path = getenv("PAWL_TORTURE_CLOCK");
        int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
        void *mapped = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *page, PROT_READ, MAP_SHARED, fd, 0);
        if (fd >= 0) close(fd);
        if (mapped == MAP_FAILED) return 0;
        page = mapped;
    }
    return atomic_load(page);
}

static int64_t wall_ns(void)
{
    struct timespec t;
    syscall(SYS_clock_gettime, CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * NS + t.tv_nsec + ahead_ns();
}

__attribute__((visibility("default"))) int clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) {
        return (int)syscall(SYS_clock_gettime, clock, ret);
    }
    int64_t ns = wall_ns();
    *ret = (struct timespec){.tv_sec = ns / NS, .tv_nsec = ns % NS};
    return 0;
}

__attribute__((visibility("default"))) int gettimeofday(struct timeval *ret, void *zone)
{
    (void)zone;
    int64_t ns = wall_ns();
    *ret = (struct timeval){.tv_sec = ns / NS, .tv_usec = ns % NS / 1000};
    return 0;
}

__attribute__((visibility("default"))) time_t time(time_t *ret)
{
    time_t now = (time_t)(wall_ns() / NS);
    if (ret) *ret = now;
    return now;
}
