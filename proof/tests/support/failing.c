/* SPDX-License-Identifier: MIT */
/*
 * A definition in the program comes before those of all shared libraries, so these are what
 * everybody calls; the real ones come next in the search order. A sanitizer's must be called by
 * their other name, as it calls these before it is able to search. Built without its checks,
 * which do not work yet at that time.
 */
#define _GNU_SOURCE
#include "failing.h"

#include "check.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

/* Object pointers that hold functions, as dlsym's must; glibc's transparent unions. */
#pragma GCC diagnostic ignored "-Wpedantic"

/* ---- Counting --------------------------------------------------------------------- */

static atomic_int armed;
static atomic_uint fail_at, counted;
static atomic_bool for_ever_on;
static _Atomic(const char *) victim = "";

void failing_arm(failing_what what, unsigned n, bool for_ever)
{
    atomic_store(&armed, FAILING_NOTHING);
    atomic_store(&fail_at, n);
    atomic_store(&for_ever_on, for_ever);
    atomic_store(&counted, 0);
    atomic_store(&victim, "");
    atomic_store(&armed, (int)what);
}

unsigned failing_disarm(void)
{
    atomic_store(&armed, FAILING_NOTHING);
    return atomic_load(&counted);
}

const char *failing_victim(void)
{
    return atomic_load(&victim);
}

static _Thread_local bool starts_thread; /* a sanitizer is at work */

static bool fails(failing_what what, const char *name)
{
    if (atomic_load(&armed) != (int)what || starts_thread || failing_is_spared()) return false;
    unsigned n = atomic_fetch_add(&counted, 1) + 1, at = atomic_load(&fail_at);
    bool now = n == at || (n > at && atomic_load(&for_ever_on));
    if (now && !*atomic_load(&victim)) atomic_store(&victim, name);
    return now;
}

/* Whether this call fails; then errno says why. interruptible 0: no signal ends it early. */
static bool call_fails(const char *name, int error, bool interruptible)
{
    if (fails(FAILING_CALLS, name)) {
        errno = error;
        return true;
    }
    if (interruptible && fails(FAILING_SIGNALS, name)) {
        errno = EINTR;
        return true;
    }
    return false;
}

#define DECLARE_REAL(name)                                                                         \
    static _Atomic(void *) name##_real;                                                            \
    extern __typeof__(name) __interceptor_##name __attribute__((weak));
#define REAL(name) ((__typeof__(&name))next_of(&name##_real, &__interceptor_##name, #name))

static void *next_of(_Atomic(void *) *slot, void *sanitizers, const char *name)
{
    void *found = atomic_load(slot);
    if (found) return found;
    found = sanitizers ? sanitizers : dlsym(RTLD_NEXT, name);
    if (!found) abort();
    atomic_store(slot, found);
    return found;
}

/* ---- Memory ----------------------------------------------------------------------- */

/* The code of a library that is spared. */
static atomic_uintptr_t spared_from, spared_to;

static int find_library(struct dl_phdr_info *info, size_t size, void *part)
{
    (void)size;
    if (!strstr(info->dlpi_name, part)) return 0;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *segment = &info->dlpi_phdr[i];
        if (segment->p_type != PT_LOAD || !(segment->p_flags & PF_X)) continue;
        atomic_store(&spared_from, info->dlpi_addr + segment->p_vaddr);
        atomic_store(&spared_to, info->dlpi_addr + segment->p_vaddr + segment->p_memsz);
        return 1;
    }
    return 0;
}

void failing_spare_library(const char *part)
{
    if (!dl_iterate_phdr(find_library, (void *)(uintptr_t)part))
        FAIL_TEST("no library %s is loaded", part);
}

static bool memory_fails(const char *name, const void *caller)
{
    uintptr_t at = (uintptr_t)caller;
    if (at >= atomic_load(&spared_from) && at < atomic_load(&spared_to)) return false;
    return fails(FAILING_MEMORY, name);
}

DECLARE_REAL(malloc)
DECLARE_REAL(calloc)
DECLARE_REAL(realloc)

void *malloc(size_t size)
{
    if (memory_fails("malloc", __builtin_return_address(0))) {
        errno = ENOMEM;
        return NULL;
    }
    return REAL(malloc)(size);
}

void *calloc(size_t count, size_t size)
{
    if (memory_fails("calloc", __builtin_return_address(0))) {
        errno = ENOMEM;
        return NULL;
    }
    return REAL(calloc)(count, size);
}

void *realloc(void *block, size_t size)
{
    if (memory_fails("realloc", __builtin_return_address(0))) {
        errno = ENOMEM;
        return NULL;
    }
    return REAL(realloc)(block, size);
}

/* ---- System calls ----------------------------------------------------------------- */

#define CALL(type, name, params, args, error, interruptible)                                       \
    DECLARE_REAL(name)                                                                             \
    type name params                                                                               \
    {                                                                                              \
        if (call_fails(#name, error, interruptible)) return (type)-1;                              \
        return REAL(name) args;                                                                    \
    }

CALL(ssize_t, pread64, (int fd, void *data, size_t len, off64_t at), (fd, data, len, at), EIO, true)
CALL(ssize_t, pwrite64, (int fd, const void *data, size_t len, off64_t at), (fd, data, len, at),
     ENOSPC, true)
CALL(int, ftruncate64, (int fd, off64_t len), (fd, len), ENOSPC, false)
CALL(int, fdatasync, (int fd), (fd), EIO, false)
CALL(int, fstat64, (int fd, struct stat64 *st), (fd, st), EACCES, false)
CALL(int, stat64, (const char *path, struct stat64 *st), (path, st), EACCES, false)
CALL(int, lstat64, (const char *path, struct stat64 *st), (path, st), EACCES, false)
CALL(int, fstatat64, (int fd, const char *path, struct stat64 *st, int flags),
     (fd, path, st, flags), EACCES, false)
CALL(int, mkdir, (const char *path, mode_t mode), (path, mode), EACCES, false)
CALL(int, link, (const char *from, const char *to), (from, to), EPERM, false)
CALL(int, unlink, (const char *path), (path), EACCES, false)
CALL(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), EACCES, false)

CALL(int, socket, (int domain, int type, int protocol), (domain, type, protocol), EMFILE, false)
CALL(int, connect, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len), ECONNREFUSED,
     false)
CALL(int, bind, (int fd, const struct sockaddr *to, socklen_t len), (fd, to, len), EADDRINUSE,
     false)
CALL(ssize_t, send, (int fd, const void *data, size_t len, int flags), (fd, data, len, flags),
     ECONNRESET, true)
CALL(ssize_t, sendto,
     (int fd, const void *data, size_t len, int flags, const struct sockaddr *to, socklen_t to_len),
     (fd, data, len, flags, to, to_len), ENOBUFS, true)
CALL(ssize_t, recv, (int fd, void *data, size_t len, int flags), (fd, data, len, flags), ECONNRESET,
     true)
CALL(int, getsockopt, (int fd, int level, int name, void *value, socklen_t *len),
     (fd, level, name, value, len), ENOBUFS, false)

CALL(int, eventfd, (unsigned count, int flags), (count, flags), EMFILE, false)
CALL(int, timerfd_create, (clockid_t id, int flags), (id, flags), EMFILE, false)
CALL(int, epoll_create, (int size), (size), EMFILE, false)
CALL(int, epoll_create1, (int flags), (flags), EMFILE, false)
CALL(int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout), ENOMEM,
     true)
CALL(ssize_t, getrandom, (void *data, size_t len, unsigned flags), (data, len, flags), ENOSYS, true)

/* Files may fail; an eventfd or a timerfd that is there does not. */
static bool is_file(int fd)
{
    struct stat64 st;
    failing_spare(1);
    bool file = fstat64(fd, &st) == 0 && (st.st_mode & S_IFMT) != 0;
    failing_spare(-1);
    return file;
}

DECLARE_REAL(read)
DECLARE_REAL(write)

ssize_t read(int fd, void *data, size_t len)
{
    if (is_file(fd) && call_fails("read", EIO, true)) return -1;
    return REAL(read)(fd, data, len);
}

ssize_t write(int fd, const void *data, size_t len)
{
    if (is_file(fd) && call_fails("write", ENOSPC, true)) return -1;
    return REAL(write)(fd, data, len);
}

DECLARE_REAL(epoll_ctl)

int epoll_ctl(int fd, int what, int of, struct epoll_event *event)
{
    if (what == EPOLL_CTL_ADD && call_fails("epoll_ctl", ENOSPC, false)) return -1;
    return REAL(epoll_ctl)(fd, what, of, event);
}

DECLARE_REAL(epoll_wait)
DECLARE_REAL(nanosleep)

/* Only a signal ends these two early. */
int epoll_wait(int fd, struct epoll_event *events, int room, int timeout)
{
    if (fails(FAILING_SIGNALS, "epoll_wait")) {
        errno = EINTR;
        return -1;
    }
    return REAL(epoll_wait)(fd, events, room, timeout);
}

int nanosleep(const struct timespec *span, struct timespec *ret_left)
{
    if (fails(FAILING_SIGNALS, "nanosleep")) {
        errno = EINTR;
        return -1;
    }
    return REAL(nanosleep)(span, ret_left);
}

DECLARE_REAL(mmap64)
DECLARE_REAL(pthread_create)

void *mmap64(void *at, size_t len, int protection, int flags, int fd, off64_t offset)
{
    if (call_fails("mmap64", ENOMEM, false)) return MAP_FAILED;
    return REAL(mmap64)(at, len, protection, flags, fd, offset);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*run)(void *), void *arg)
{
    if (call_fails("pthread_create", EAGAIN, false)) return EAGAIN;
    return REAL(pthread_create)(thread, attr, run, arg);
}

DECLARE_REAL(pthread_getattr_np)

/* A sanitizer's first question in a thread, which allocates. */
int pthread_getattr_np(pthread_t thread, pthread_attr_t *ret_attr)
{
    starts_thread = true;
    int err = REAL(pthread_getattr_np)(thread, ret_attr);
    starts_thread = false;
    return err;
}

/* Calls whose last argument is optional. */
#define CALL_MODE(name, params, args, last, error, interruptible)                                  \
    DECLARE_REAL(name)                                                                             \
    int name params                                                                                \
    {                                                                                              \
        va_list rest;                                                                              \
        va_start(rest, last);                                                                      \
        unsigned mode = va_arg(rest, unsigned);                                                    \
        va_end(rest);                                                                              \
        if (call_fails(#name, error, interruptible)) return -1;                                    \
        return REAL(name) args;                                                                    \
    }

CALL_MODE(open64, (const char *path, int flags, ...), (path, flags, mode), flags, EMFILE, true)
CALL_MODE(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), flags,
          EMFILE, true)

DECLARE_REAL(fcntl64)

/*
 * Locks may be refused, but not for ever: SQLite asks 100 times and sleeps in between, 10 s in
 * all, whatever anybody waits for. Giving them back, and the rest, works.
 */
int fcntl64(int fd, int what, ...)
{
    va_list rest;
    va_start(rest, what);
    void *arg = va_arg(rest, void *);
    va_end(rest);
    bool locks =
        (what == F_SETLK || what == F_OFD_SETLK) && ((const struct flock *)arg)->l_type != F_UNLCK;
    if (locks && !atomic_load(&for_ever_on) && call_fails("fcntl64", ENOLCK, false)) return -1;
    return REAL(fcntl64)(fd, what, arg);
}
