/* SPDX-License-Identifier: MIT */
/* flock(2) on one file: the kernel's own lock, without ttl, fence or queue. URL: flock:DIR. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "../driver/driver.h"

static void *flock_connect(const bench_args *args)
{
    if (strncmp(args->url, "flock:", 6) != 0) bench_die("the URL is flock:DIR");
    char *dir = strdup(args->url + 6);
    if (!dir) bench_die("out of memory");
    return dir;
}

static void *flock_lock_new(void *dir, const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s.lock", (const char *)dir, name);
    int *fd = malloc(sizeof *fd);
    if (!fd || (*fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0) {
        bench_die("%s: %s", path, strerror(errno));
    }
    return fd;
}

static void flock_acquire(void *fd)
{
    while (flock(*(int *)fd, LOCK_EX)) {
        if (errno != EINTR) bench_die("flock: %s", strerror(errno));
    }
}

static void flock_release(void *fd)
{
    if (flock(*(int *)fd, LOCK_UN)) bench_die("flock: %s", strerror(errno));
}

static const bench_driver driver = {
    .name = "flock",
    .connect = flock_connect,
    .lock = flock_lock_new,
    .acquire = flock_acquire,
    .release = flock_release,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
