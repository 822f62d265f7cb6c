/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "file_lock.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"
#include "pawl/types.h"
#include "session.h"

#define OPEN_TRIES 100   /* others may create and remove the file meanwhile */
#define TICK_US    20000 /* how late the end of a wait may be noticed, at worst */

/* ---- Opening --------------------------------------------------------------------- */

static int say_failed(const char *what, const char *path, int why)
{
    char *safe = cli_escape(path, strlen(path));
    cli_error("%s %s: %s", what, safe,
              why == ELOOP ? "a symbolic link that leads nowhere: create the file first"
                           : strerror(why));
    free(safe);
    if (why == EROFS || why == ENOSPC || why == EDQUOT) return CLI_EXIT_CANNOT_WRITE;
    return why == EMFILE || why == ENFILE || why == ENOMEM ? CLI_EXIT_SYSTEM : CLI_EXIT_NO_INPUT;
}

/*
 * For reading only, and an existing file is never opened with O_CREAT. So no file of somebody else
 * is changed, and another user's file in a sticky directory can be locked
 * (fs.protected_regular refuses O_CREAT). O_EXCL does not follow a symbolic link that leads
 * nowhere: nobody can make us create a file elsewhere. O_NONBLOCK: a FIFO does not hang us.
 */
static int open_or_create(const char *path)
{
    for (int i = 0; i < OPEN_TRIES; i++) {
        int fd = open(path, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
        if (fd >= 0 || errno != ENOENT) return fd;
        fd = open(path, O_RDONLY | O_NOCTTY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd >= 0 || errno != EEXIST) return fd;
    }
    errno = ELOOP; /* a symbolic link that leads nowhere */
    return -1;
}

/* Whether path still means the file that is open: it may have been removed while we waited. */
static bool is_current(int fd, const char *path)
{
    struct stat ours, now;
    if (fstat(fd, &ours) != 0 || stat(path, &now) != 0) return false;
    return ours.st_dev == now.st_dev && ours.st_ino == now.st_ino;
}

/* ---- A lock that we hold already ------------------------------------------------------ */

/* Whether descriptor `number` has an flock: the kernel lists them in its fdinfo. */
static bool carries_lock(const char *number)
{
    char path[300], line[256];
    snprintf(path, sizeof path, "/proc/self/fdinfo/%s", number);
    FILE *file = fopen(path, "re");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        found = strncmp(line, "lock:", 5) == 0 && strstr(line, " FLOCK ");
    }
    if (file) fclose(file);
    return found;
}

/* Whether a descriptor that we inherited holds the lock: then nobody could ever release it. */
static bool is_held_by_ourselves(int fd)
{
    struct stat wanted, other;
    DIR *dir = fstat(fd, &wanted) == 0 ? opendir("/proc/self/fd") : NULL;
    bool found = false;
    for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
        int number = (int)strtol(entry->d_name, NULL, 10);
        if (number == fd || fstat(number, &other) != 0) continue;
        found = other.st_dev == wanted.st_dev && other.st_ino == wanted.st_ino &&
                carries_lock(entry->d_name);
    }
    if (dir) closedir(dir);
    return found;
}

/* ---- Waiting ---------------------------------------------------------------------- */

static void on_tick(int number)
{
    (void)number; /* it is enough that flock(2) is interrupted */
}

static struct itimerval timer_at(int64_t until_ms)
{
    int64_t left = until_ms - cli_now_ms();
    if (left < 1) left = 1;
    return (struct itimerval){
        .it_value = {left / 1000, left % 1000 * 1000},
        .it_interval = {0, TICK_US}, /* repeated: the first may come before flock(2) */
    };
}

/* Waits in the kernel's queue, where locks are given in order of arrival. 0 or an errno. */
static int wait_until(int fd, int kind, int64_t until_ms)
{
    struct sigaction tick = {.sa_handler = on_tick}, before;
    struct itimerval timer = timer_at(until_ms), none = {{0, 0}, {0, 0}};
    sigset_t alarm, mask;
    sigemptyset(&alarm);
    sigaddset(&alarm, SIGALRM);
    sigaction(SIGALRM, &tick, &before);
    sigprocmask(SIG_UNBLOCK, &alarm, &mask);
    setitimer(ITIMER_REAL, &timer, NULL);
    int why;
    do why = flock(fd, kind) == 0 ? 0 : errno;
    while (why == EINTR && cli_now_ms() < until_ms);
    setitimer(ITIMER_REAL, &none, NULL);
    sigprocmask(SIG_SETMASK, &mask, NULL);
    sigaction(SIGALRM, &before, NULL);
    return why;
}

static int wait_in_kernel(int fd, int kind, int64_t wait_ms, int64_t until_ms)
{
    int why = flock(fd, kind | LOCK_NB) == 0 ? 0 : errno;
    if (why != EWOULDBLOCK || wait_ms == 0) return why;
    if (is_held_by_ourselves(fd)) return EDEADLK;
    if (wait_ms != PAWL_WAIT_FOREVER) return wait_until(fd, kind, until_ms);
    do why = flock(fd, kind) == 0 ? 0 : errno;
    while (why == EINTR);
    return why;
}

/* On NFS the kernel uses fcntl(2) locks, which need a descriptor that can write. */
static int reopen_for_writing(const char *path, int *fd)
{
    int writable = open(path, O_RDWR | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
    if (writable < 0) return errno;
    close(*fd);
    *fd = writable;
    return 0;
}

static int lock_fd(const char *path, int *fd, int kind, int64_t wait_ms, int64_t until_ms)
{
    int why = wait_in_kernel(*fd, kind, wait_ms, until_ms);
    if (why != EBADF && why != EIO) return why;
    why = reopen_for_writing(path, fd);
    return why ? why : wait_in_kernel(*fd, kind, wait_ms, until_ms);
}

static int not_locked(const char *path, int why, int busy_code)
{
    if (why == EWOULDBLOCK || why == EINTR) {
        char *shown = cli_escape(path, strlen(path));
        cli_info("%s: busy", shown);
        free(shown);
        return busy_code;
    }
    if (why != EDEADLK) return say_failed("cannot lock", path, why);
    char *safe = cli_escape(path, strlen(path));
    cli_error("%s: already held by an ancestor of this process, whose descriptor it has: waiting "
              "would never end",
              safe);
    free(safe);
    return busy_code;
}

int cli_file_lock_take(const char *path, bool shared, bool inherit, int64_t wait_ms, int busy_code,
                       cli_file_lock *ret_lock)
{
    int64_t until_ms = wait_ms > 0 ? cli_now_ms() + wait_ms : 0;
    int kind = shared ? LOCK_SH : LOCK_EX;
    ret_lock->fd = -1;
    for (;;) {
        int fd = open_or_create(path);
        if (fd < 0) return say_failed("cannot open lock file", path, errno);
        int64_t left = wait_ms > 0 ? until_ms - cli_now_ms() : wait_ms;
        int why = lock_fd(path, &fd, kind, wait_ms > 0 && left < 0 ? 0 : left, until_ms);
        if (!why && is_current(fd, path)) {
            left = wait_ms > 0 ? until_ms - cli_now_ms() : wait_ms;
            if (wait_ms > 0 && left < 0) left = 0;
            if (inherit) fcntl(fd, F_SETFD, 0);
            *ret_lock = (cli_file_lock){fd, left};
            return 0;
        }
        close(fd);
        if (why) return not_locked(path, why, busy_code);
    }
}
