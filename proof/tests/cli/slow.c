/* SPDX-License-Identifier: MIT */
/*
 * Preloaded into pawl: some of its calls take as many milliseconds as the environment says,
 * as on a slow disk. SLOW_RENAME: the fence file; SLOW_EXEC: the command's file;
 * SLOW_SETPGID: the forked process on its way to the command. HELD_RENAME names a fifo: the fence
 * file is on its way until somebody has opened that and closed it again.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int renameat(int from_dir, const char *from, int to_dir, const char *to);

/* Whole, whatever signals come. */
static void take_long(const char *variable)
{
    const char *value = getenv(variable);
    long ms = value ? strtol(value, NULL, 10) : 0;
    struct timespec left = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    while (nanosleep(&left, &left) != 0 && errno == EINTR) {
    }
}

static void wait_at(const char *variable)
{
    char scrap[16];
    const char *path = getenv(variable);
    int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    if (fd < 0) return;
    while (read(fd, scrap, sizeof scrap) > 0) {
    }
    close(fd);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    int (*real)(int, const char *, int, const char *);
    *(void **)&real = dlsym(RTLD_NEXT, "renameat");
    take_long("SLOW_RENAME");
    wait_at("HELD_RENAME");
    return real(from_dir, from, to_dir, to);
}

int execvpe(const char *file, char *const argv[], char *const envp[])
{
    int (*real)(const char *, char *const[], char *const[]);
    *(void **)&real = dlsym(RTLD_NEXT, "execvpe");
    take_long("SLOW_EXEC");
    return real(file, argv, envp);
}

int setpgid(pid_t pid, pid_t group)
{
    int (*real)(pid_t, pid_t);
    *(void **)&real = dlsym(RTLD_NEXT, "setpgid");
    take_long("SLOW_SETPGID");
    return real(pid, group);
}
