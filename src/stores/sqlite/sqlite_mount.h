/* SPDX-License-Identifier: MIT */
/* The mount of a path, and small files of the kernel. */
#ifndef PAWL_SQLITE_MOUNT_H
#define PAWL_SQLITE_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * The number of the mount on which the last part of `path` lies; a symbolic link there is not
 * followed. -1 with errno if it is unknown. Takes and releases no lock of the file.
 */
int64_t pawl__sqlite_mount_of(const char *path);

/* Reads a small file into text, with a NUL; its length, or -1 with errno. */
ssize_t pawl__sqlite_read_file(const char *path, char *text, size_t room);

/* Whether that mount shows the file `root` of a filesystem of that type. False if it is unknown. */
bool pawl__sqlite_mount_shows(int64_t mount, const char *type, const char *root);

#endif
