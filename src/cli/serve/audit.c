/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "audit.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define TIME_TEXT 40

/* ---- The file ------------------------------------------------------------------------------ */

/* A new file is there after a crash only if its folder knows it. */
static bool sync_folder(const char *path)
{
    char copy[PATH_MAX];
    if (snprintf(copy, sizeof copy, "%s", path) >= (int)sizeof copy) {
        errno = ENAMETOOLONG;
        return false;
    }
    int folder = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return false;
    bool synced = fsync(folder) == 0;
    int why = errno;
    close(folder);
    errno = why;
    return synced;
}

/* It is opened for each line: whoever has renamed the old one finds a new one. */
static int open_log(const char *path, struct stat *ret_status)
{
    int fd = open(path, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);
    if (fd < 0) return -1;
    int why = fstat(fd, ret_status) != 0 ? errno : S_ISREG(ret_status->st_mode) ? 0 : EINVAL;
    if (!why && ret_status->st_size == 0 && !sync_folder(path)) why = errno;
    if (!why) return fd;
    close(fd);
    errno = why;
    return -1;
}

bool serve_audit_check(const char *path)
{
    struct stat status;
    int fd = open_log(path, &status);
    if (fd < 0) return false;
    close(fd);
    return true;
}

/* ---- Lines --------------------------------------------------------------------------------- */

/* A line that was cut, because the disk was full, must not swallow the next one. */
static bool ends_in_the_middle(int fd, off_t size)
{
    char last;
    return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

static bool write_whole(int fd, const char *text, size_t len)
{
    ssize_t written = write(fd, text, len);
    if (written == (ssize_t)len) return fsync(fd) == 0;
    if (written >= 0) errno = ENOSPC;
    return false;
}

static void set_time(json_t *line)
{
    char seconds[TIME_TEXT / 2], text[TIME_TEXT];
    struct timespec now;
    struct tm parts;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    snprintf(text, sizeof text, "%s.%03ldZ", seconds, now.tv_nsec / 1000000);
    json_object_set_new(line, "at", json_string(text));
}

static char *text_of(json_t *line)
{
    set_time(line);
    char *object = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII), *text = NULL;
    if (object && asprintf(&text, "\n%s\n", object) < 0) text = NULL;
    free(object);
    if (!text) errno = ENOMEM;
    return text;
}

bool serve_audit_write(const char *path, json_t *line)
{
    struct stat status;
    char *text = text_of(line);
    int fd = text ? open_log(path, &status) : -1;
    bool written = false;
    if (fd >= 0) {
        const char *begin = ends_in_the_middle(fd, status.st_size) ? text : text + 1;
        written = write_whole(fd, begin, strlen(begin));
        int why = errno;
        close(fd);
        errno = why;
    }
    int why = errno;
    free(text);
    errno = why;
    return written;
}
