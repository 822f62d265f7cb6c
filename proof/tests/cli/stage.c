/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into pawl: before its step number STAGE at the store it gets the signal STAGE_SIGNAL.
 * A step is an answer of a server that is read, or a lock for writing that SQLite takes on a file.
 * What pawl starts takes no part.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

static atomic_long stages_left;
static int its_signal;
static pid_t its_pid;

__attribute__((constructor)) static void begin(void)
{
    const char *stage = getenv("STAGE"), *number = getenv("STAGE_SIGNAL");
    if (!stage || !number) return;
    atomic_store(&stages_left, strtol(stage, NULL, 10));
    its_signal = (int)strtol(number, NULL, 10);
    its_pid = getpid();
    unsetenv("STAGE"); /* of the command that is run, too */
}

static void step(void)
{
    if (getpid() == its_pid && atomic_fetch_sub(&stages_left, 1) == 1) kill(its_pid, its_signal);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    ssize_t (*real)(int, void *, size_t, int);
    *(void **)&real = dlsym(RTLD_NEXT, "recv");
    step();
    return real(fd, buffer, size, flags);
}

/* Where the argument is a number, or there is none, the pointer is passed on as it was found. */
int fcntl64(int fd, int cmd, ...)
{
    int (*real)(int, int, ...);
    va_list rest;
    va_start(rest, cmd);
    void *arg = va_arg(rest, void *);
    va_end(rest);
    *(void **)&real = dlsym(RTLD_NEXT, "fcntl64");
    if (cmd == F_SETLK && ((struct flock *)arg)->l_type == F_WRLCK) step();
    return real(fd, cmd, arg);
}
