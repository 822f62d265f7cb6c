/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that exist only here (eventfd, timerfd, and pipes of a test), clocks, random
 * numbers, modules. In the child of a fork they remember that they are the parent's, too.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "files.h"
#include "snapshot.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define FIRST_FD  1000
#define FILES_MAX 256

typedef enum file_kind { FILE_NONE = 0, FILE_EVENT, FILE_TIMER, FILE_CLOSED } file_kind;

typedef struct file {
    file_kind kind;
    int same_as;     /* the number of what it duplicates, or its own */
    bool inherited;  /* in a child: the parent has it, too */
    uint64_t count;  /* FILE_EVENT */
    int64_t expires; /* FILE_TIMER; NEVER: it is not set */
} file;

static struct files {
    int count;
    file files[FILES_MAX];
    const void *module; /* what a store's module offers */
    unsigned processors;
} * F;

size_t files_size(void)
{
    return sizeof *F;
}

void files_start(void *room)
{
    F = room;
}

void files_keep(void)
{
    snapshot_keep(F, sizeof *F);
}

void files_reset(void)
{
    F->count = 0;
    F->processors = 2;
}

void files_offer_module(const void *ops)
{
    F->module = ops;
}

static int new_file(file_kind kind)
{
    if (F->count == FILES_MAX) fail("harness", "too many descriptors");
    F->files[F->count] = (file){.kind = kind, .same_as = F->count, .expires = NEVER};
    return FIRST_FD + F->count++;
}

static bool is_file(int fd)
{
    return fd >= FIRST_FD && fd < FIRST_FD + FILES_MAX;
}

static file *file_of(int fd, const char *what)
{
    int at = fd - FIRST_FD;
    if (at < 0 || at >= F->count || F->files[at].kind == FILE_CLOSED)
        fail("descriptor", "%s %s a descriptor that is closed", self()->name, what);
    return &F->files[F->files[at].same_as];
}

static bool timer_is_due(const file *f)
{
    return f->expires <= S->now;
}

static bool is_readable(const void *arg)
{
    const file *f = arg;
    return f->kind == FILE_TIMER ? timer_is_due(f) : f->kind == FILE_EVENT && f->count > 0;
}

bool file_is_readable(int fd)
{
    int at = fd - FIRST_FD;
    if (at < 0 || at >= F->count || F->files[at].kind == FILE_CLOSED) return false;
    return is_readable(&F->files[F->files[at].same_as]);
}

int64_t files_next_timer(void)
{
    int64_t at = NEVER;
    for (int i = 0; i < F->count; i++) {
        const file *f = &F->files[i];
        if (f->kind == FILE_TIMER && f->expires > S->now && f->expires < at) at = f->expires;
    }
    int64_t loops = loop_next_timer();
    return loops < at ? loops : at;
}

void files_check_leaks(void)
{
    for (int i = 0; i < F->count; i++)
        if (F->files[i].kind != FILE_CLOSED)
            fail("leak", "descriptor %d is left open", FIRST_FD + i);
}

void files_in_child(void)
{
    for (int i = 0; i < F->count; i++) F->files[i].inherited = true;
}

/* ---- Calls
 * ------------------------------------------------------------------------------------------------
 */

int __wrap_eventfd(unsigned count, int flags);
int __wrap_timerfd_create(int clock, int flags);
int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when,
                           struct itimerspec *old);
ssize_t __wrap_read(int fd, void *to, size_t size);
ssize_t __wrap_write(int fd, const void *from, size_t size);
int __wrap_close(int fd);
int __wrap_fcntl64(int fd, int command, ...);
int __wrap_fstat64(int fd, struct stat *ret);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
ssize_t __real_read(int fd, void *to, size_t size);
ssize_t __real_write(int fd, const void *from, size_t size);
int __real_close(int fd);
int __real_fstat64(int fd, struct stat *ret);

int __wrap_eventfd(unsigned count, int flags)
{
    (void)flags;
    int fd = new_file(FILE_EVENT);
    F->files[fd - FIRST_FD].count = count;
    return fd;
}

int __wrap_timerfd_create(int clock, int flags)
{
    (void)clock;
    (void)flags;
    return new_file(FILE_TIMER);
}

int __wrap_timerfd_settime(int fd, int flags, const struct itimerspec *when, struct itimerspec *old)
{
    (void)old;
    file *f = file_of(fd, "sets");
    sched_point("sets a timer", f, true);
    int64_t span = (int64_t)when->it_value.tv_sec * 1000000000 + when->it_value.tv_nsec;
    f->expires = span == 0 ? NEVER : (flags & TFD_TIMER_ABSTIME ? 0 : S->now) + span;
    return 0;
}

ssize_t __wrap_read(int fd, void *to, size_t size)
{
    if (!S || !S->running || !is_file(fd)) return __real_read(fd, to, size);
    file *f = file_of(fd, "reads");
    sched_test_cancel();
    sched_point("reads a descriptor", f, true);
    sched_test_cancel();
    if (f->inherited) fail("child", "a child reads its parent's descriptor");
    if (!is_readable(f)) {
        errno = EAGAIN;
        return -1;
    }
    uint64_t count = f->kind == FILE_EVENT ? f->count : 1;
    f->count = 0;
    f->expires = NEVER;
    order_acquire(f);
    memcpy(to, &count, sizeof count);
    return sizeof count;
}

ssize_t __wrap_write(int fd, const void *from, size_t size)
{
    if (!S || !S->running || !is_file(fd)) return __real_write(fd, from, size);
    file *f = file_of(fd, "writes");
    sched_test_cancel();
    sched_point("writes a descriptor", f, true);
    sched_test_cancel();
    file_of(fd, "writes");
    if (f->inherited) fail("child", "a child writes to its parent's descriptor");
    uint64_t count;
    memcpy(&count, from, sizeof count);
    f->count += count;
    order_release(f);
    return (ssize_t)size;
}

int __wrap_close(int fd)
{
    if (!S || !S->running || !is_file(fd)) return __real_close(fd);
    file *f = file_of(fd, "closes");
    sched_point("closes a descriptor", f, true);
    order_acquire(f);
    F->files[fd - FIRST_FD].kind = FILE_CLOSED;
    return 0;
}

int __wrap_fcntl64(int fd, int command, ...)
{
    if (command != F_DUPFD_CLOEXEC) fail("harness", "fcntl %d is not known here", command);
    file *f = file_of(fd, "duplicates");
    int copy = new_file(f->kind);
    F->files[copy - FIRST_FD].same_as = (int)(f - F->files);
    return copy;
}

int __wrap_fstat64(int fd, struct stat *ret)
{
    if (!is_file(fd)) return __real_fstat64(fd, ret);
    memset(ret, 0, sizeof *ret);
    ret->st_mode = S_IFIFO;
    return 0;
}

int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    int64_t until = timeout < 0 ? NEVER : S->now + timeout * MS;
    sched_test_cancel();
    if (count != 1) fail("harness", "poll of %d descriptors is not known here", (int)count);
    file *f = file_of(fds->fd, "polls");
    bool came = sched_wait_interruptible("polls", f, is_readable, f, until);
    sched_test_cancel();
    fds->revents = came ? POLLIN : 0;
    return came;
}

/* ---- Clocks, random numbers, the machine
 * --------------------------------------------------------------------- */

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret);
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags);
int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *ret);
int __real_clock_gettime(clockid_t clock, struct timespec *ret);
ssize_t __real_getrandom(void *to, size_t size, unsigned flags);

int __wrap_clock_gettime(clockid_t clock, struct timespec *ret)
{
    if (!S || !S->running) return __real_clock_gettime(clock, ret);
    if (!S->plan.still_clock && !S->quiet) S->now += 100;
    *ret = (struct timespec){.tv_sec = S->now / 1000000000, .tv_nsec = S->now % 1000000000};
    return 0;
}

/* The draws of a thread do not depend on other threads. */
ssize_t __wrap_getrandom(void *to, size_t size, unsigned flags)
{
    if (!S || !S->running) return __real_getrandom(to, size, flags);
    thread *me = self();
    unsigned char *bytes = to;
    for (size_t i = 0; i < size; i++) {
        me->randoms = me->randoms * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        bytes[i] = (unsigned char)(me->randoms >> 56);
    }
    return (ssize_t)size;
}

int __wrap_sched_getaffinity(pid_t pid, size_t size, cpu_set_t *ret)
{
    (void)pid;
    (void)size;
    CPU_ZERO(ret);
    for (unsigned i = 0; i < F->processors; i++) CPU_SET(i, ret);
    return 0;
}

void files_set_processors(unsigned count)
{
    F->processors = count;
}

/* ---- A module with a store in it
 * ------------------------------------------------------------------------------- */

int __wrap_access(const char *path, int mode);
void *__wrap_dlopen(const char *path, int flags);
void *__wrap_dlsym(void *module, const char *symbol);
int __real_access(const char *path, int mode);
void *__real_dlopen(const char *path, int flags);
void *__real_dlsym(void *module, const char *symbol);

static bool is_module(const char *path)
{
    return F && F->module && path && strstr(path, "pawl-store-hostile.so");
}

int __wrap_access(const char *path, int mode)
{
    return is_module(path) ? 0 : __real_access(path, mode);
}

void *__wrap_dlopen(const char *path, int flags)
{
    return is_module(path) ? (void *)F : __real_dlopen(path, flags);
}

void *__wrap_dlsym(void *module, const char *symbol)
{
    return module == F ? (void *)(uintptr_t)F->module : __real_dlsym(module, symbol);
}
