/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "stdfds.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "exit_codes.h"

static bool was_closed[3];

void cli_stdfds_open(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (fcntl(fd, F_GETFD) != -1) continue;
        was_closed[fd] = true;
        /* The wrong direction on purpose: using it fails, as if it were closed. */
        int flags = fd == STDIN_FILENO ? O_WRONLY : O_RDONLY;
        if (open("/dev/null", flags) != fd) _exit(CLI_EXIT_SYSTEM);
    }
}

bool cli_stdfds_was_closed(int fd)
{
    return fd >= 0 && fd < 3 && was_closed[fd];
}

void cli_stdfds_restore(void)
{
    for (int fd = 0; fd < 3; fd++) {
        if (was_closed[fd]) close(fd);
    }
}
