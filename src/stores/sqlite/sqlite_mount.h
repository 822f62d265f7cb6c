/* SPDX-License-Identifier: MIT */
/* Which mount a name lies on. */
#ifndef PAWL_SQLITE_MOUNT_H
#define PAWL_SQLITE_MOUNT_H

#include <stdint.h>

/*
 * The number of the mount on which the last part of `path` lies; a link there is not followed.
 * -1 with errno if it cannot be told. Takes and drops no lock of the file.
 */
int64_t pawl__sqlite_mount_of(const char *path);

#endif
