/* SPDX-License-Identifier: MIT */
/*
 * The file is written under another name and then renamed, so that nobody reads half of it. Others
 * may be able to write to the directory. So the other name cannot be guessed, and O_EXCL makes sure
 * that it is new and no link; both names are relative to the open directory, wherever it is moved.
 */
#define _GNU_SOURCE
#include "whole_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory of path. -1 with errno. */
static int open_directory(const char *path, const char *name)
{
    if (name == path) return open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char *directory = strndup(path, (size_t)(name - path)); /* with its slash: "/" is one, too */
    if (!directory) return -1;
    int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int why = errno;
    free(directory);
    errno = why;
    return fd;
}

static bool write_all(int fd, const char *text, size_t len)
{
    ssize_t written = write(fd, text, len);
    if (written >= 0 && (size_t)written < len) errno = ENOSPC;
    return written == (ssize_t)len;
}

/* errno says why not. */
static bool write_in(int directory, const char *name, const char *text, size_t len)
{
    uint64_t unguessable;
    char draft[40];
    if (getrandom(&unguessable, sizeof unguessable, 0) != (ssize_t)sizeof unguessable) return false;
    snprintf(draft, sizeof draft, ".pawl-draft-%016" PRIx64, unguessable);
    int fd = openat(directory, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    bool fine = write_all(fd, text, len);
    int why = errno;
    if (close(fd) != 0 && fine) {
        why = errno;
        fine = false;
    }
    if (fine && renameat(directory, draft, directory, name) == 0) return true;
    if (fine) why = errno;
    unlinkat(directory, draft, 0);
    errno = why;
    return false;
}

static bool leads_to_proc(int directory, const char *name)
{
    static const char proc[] = "/proc/";
    char target[sizeof proc];
    ssize_t len = readlinkat(directory, name, target, sizeof target);
    return len >= (ssize_t)sizeof proc - 1 && memcmp(target, proc, sizeof proc - 1) == 0;
}

/*
 * What has this name is replaced, not written to. If root names /dev/null or /dev/stdout, it would
 * be gone for the whole machine.
 */
static bool may_replace(int directory, const char *name)
{
    struct stat status;
    if (fstatat(directory, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return true; /* it is new */
    if (S_ISLNK(status.st_mode)) {
        if (leads_to_proc(directory, name)) return false;
        if (fstatat(directory, name, &status, 0) != 0) return true; /* a link to nothing */
    }
    return S_ISREG(status.st_mode);
}

const char *cli_whole_file_reason(int why)
{
    return why == ENOTSUP ? "it is not an ordinary file, and would be replaced" : strerror(why);
}

bool cli_whole_file_write(const char *path, const char *text, size_t len)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    int directory = open_directory(path, name);
    bool ordinary = directory < 0 || may_replace(directory, name);
    if (!ordinary) errno = ENOTSUP;
    bool fine = directory >= 0 && ordinary && write_in(directory, name, text, len);
    int why = errno;
    if (directory >= 0) close(directory);
    errno = why;
    return fine;
}
