/* SPDX-License-Identifier: MIT */
/* pawl torture: a program of its own, because it starts servers and needs their clients. */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_codes.h"
#include "message.h"

#define PROGRAM "pawl-torture"

static const cli_option torture_options[] = {CLI_OPTIONS_END};

/* Becomes the program beside ours, as installed and as built, or else the one in PATH. */
static void become(char **argv)
{
    char path[PATH_MAX + sizeof PROGRAM];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    char *slash = len > 0 ? memrchr(path, '/', (size_t)len) : NULL;
    if (slash) {
        memcpy(slash + 1, PROGRAM, sizeof PROGRAM);
        execv(path, argv);
    }
    execvp(PROGRAM, argv);
}

static int torture_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    (void)argc;
    if (globals->store || globals->config) {
        return cli_usage_error(self, "it starts servers of its own; --store redis, sqlite or a "
                                     "setup chooses among them");
    }
    become(argv);
    cli_error("%s: %s: %s", self->verb, PROGRAM, strerror(errno));
    return errno == ENOENT ? CLI_EXIT_NOT_FOUND : CLI_EXIT_CANNOT_EXECUTE;
}

const cli_command cli_cmd_torture = {
    .verb = "torture",
    .operands = "...",
    .summary = "hurt real processes and servers, and judge what they were told",
    .page =
        "Runs pawl-torture with these arguments; its options are in pawl torture --help and in\n"
        "pawl-torture(1).",
    .options = torture_options,
    .main = torture_main,
};
