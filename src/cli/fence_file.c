/* SPDX-License-Identifier: MIT */
#include "fence_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "message.h"
#include "whole_file.h"

int cli_fence_file_write(const char *path, uint64_t fence)
{
    char text[24];
    int len = snprintf(text, sizeof text, "%" PRIu64 "\n", fence);
    if (cli_whole_file_write(path, text, (size_t)len)) return 0;
    int why = errno;
    char *safe = cli_escape(path, strlen(path));
    cli_error("cannot write the fence file %s: %s", safe, cli_whole_file_reason(why));
    free(safe);
    return CLI_EXIT_CANNOT_WRITE;
}
