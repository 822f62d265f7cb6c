/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* asprintf */
#include "fence_file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"

int cli_fence_file_write(const char *path, uint64_t fence)
{
    char *draft = NULL;
    if (asprintf(&draft, "%s.%d.tmp", path, (int)getpid()) < 0) return CLI_EXIT_SYSTEM;
    FILE *file = fopen(draft, "we");
    bool fine = file && fprintf(file, "%" PRIu64 "\n", fence) > 0;
    if (file && fclose(file) != 0) fine = false;
    if (fine && rename(draft, path) == 0) {
        free(draft);
        return 0;
    }
    char *safe = cli_escape(path, strlen(path));
    cli_error("cannot write the fence file %s: %s", safe, strerror(errno));
    if (file) unlink(draft);
    free(safe);
    free(draft);
    return CLI_EXIT_CANNOT_WRITE;
}
