/* SPDX-License-Identifier: MIT */
/*
 * flock(1)'s own lock: the kernel's, on the file itself. It is the same for every user who can
 * open the file, for every name of the file, and for flock(1).
 */
#ifndef PAWL_CLI_FILE_LOCK_H
#define PAWL_CLI_FILE_LOCK_H

#include <stdbool.h>
#include <stdint.h>

typedef struct cli_file_lock {
    int fd;
    int64_t left_ms; /* the rest of the wait; PAWL_WAIT_FOREVER stays as it is */
} cli_file_lock;

/*
 * Opens `path` as flock(1) does (it is created if it is not there) and locks it, waiting at
 * most wait_ms; shared: together with other shared locks. `inherit`: programs that we execute keep
 * the descriptor, and the lock with it. 0 and an fd: locked. Else fd is -1: busy_code (which may be
 * 0), without a line, if it stayed busy; otherwise an exit code, after one line.
 */
int cli_file_lock_take(const char *path, bool shared, bool inherit, int64_t wait_ms, int busy_code,
                       cli_file_lock *ret_lock);

#endif
