/* SPDX-License-Identifier: MIT */
/*
 * The file is written under another name and then renamed, so that nobody reads half of it.
 * The directory may be open to others: that name cannot be guessed, is new, and is no link
 * (O_EXCL), and both names belong to the directory that was opened, wherever it is moved.
 */
#define _GNU_SOURCE
#include "fence_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"

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

static bool write_number(int fd, uint64_t fence)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64 "\n", fence);
    ssize_t written = write(fd, text, (size_t)len);
    if (written >= 0 && written < len) errno = ENOSPC;
    return written == len;
}

/* errno says why not. */
static bool write_in(int directory, const char *name, uint64_t fence)
{
    uint64_t unguessable;
    char draft[40];
    if (getrandom(&unguessable, sizeof unguessable, 0) != (ssize_t)sizeof unguessable) return false;
    snprintf(draft, sizeof draft, ".pawl-fence-%016" PRIx64, unguessable);
    int fd = openat(directory, draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
    if (fd < 0) return false;
    bool fine = write_number(fd, fence);
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

int cli_fence_file_write(const char *path, uint64_t fence)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    int directory = open_directory(path, name);
    bool fine = directory >= 0 && write_in(directory, name, fence);
    int why = errno;
    if (directory >= 0) close(directory);
    if (fine) return 0;
    char *safe = cli_escape(path, strlen(path));
    cli_error("cannot write the fence file %s: %s", safe, strerror(why));
    free(safe);
    return CLI_EXIT_CANNOT_WRITE;
}
