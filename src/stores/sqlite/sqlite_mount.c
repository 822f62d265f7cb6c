/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

ssize_t pawl__sqlite_read_file(const char *path, char *text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return -1;
    ssize_t n = read(fd, text, room - 1);
    int saved = errno;
    close(fd);
    errno = saved;
    if (n >= 0) text[n] = '\0';
    return n;
}

/* Since Linux 3.15; statx tells it only since 5.8. */
static int64_t mount_of_descriptor(int fd)
{
    static const char field[] = "mnt_id:";
    char path[64], text[512];
    long long number;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    if (pawl__sqlite_read_file(path, text, sizeof(text)) < 0) return -1;
    const char *line = strstr(text, field);
    if (line && sscanf(line + sizeof(field) - 1, "%lld", &number) == 1) return number;
    errno = ENOSYS;
    return -1;
}

int64_t pawl__sqlite_mount_of(const char *path)
{
    /* To close a descriptor that was opened for its path alone drops no POSIX lock. */
    int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0) return -1;
    int64_t mount = mount_of_descriptor(fd);
    int saved = errno;
    close(fd);
    errno = saved;
    return mount;
}
