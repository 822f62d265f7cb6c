/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "sqlite_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
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

/* "36 35 98:0 /root /mountpoint options [more ...] - type source options" */
static bool line_shows(const char *line, int64_t mount, const char *type, const char *root)
{
    long long number;
    int at = 0;
    if (sscanf(line, "%lld %*s %*s %n", &number, &at) != 1 || at == 0 || number != mount)
        return false;
    const char *end = strstr(line + at, " - ");
    size_t root_len = strlen(root), type_len = strlen(type);
    return end && strncmp(line + at, root, root_len) == 0 && line[at + (int)root_len] == ' ' &&
           strncmp(end + 3, type, type_len) == 0 && end[3 + type_len] == ' ';
}

bool pawl__sqlite_mount_shows(int64_t mount, const char *type, const char *root)
{
    char *line = NULL;
    size_t room = 0;
    bool shows = false;
    FILE *mounts = fopen("/proc/self/mountinfo", "re");
    while (mounts && !shows && getline(&line, &room, mounts) > 0)
        shows = line_shows(line, mount, type, root);
    free(line);
    if (mounts) fclose(mounts);
    return shows;
}
