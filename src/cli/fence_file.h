/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_FENCE_FILE_H
#define PAWL_CLI_FENCE_FILE_H

#include <stdint.h>

/*
 * Writes the fence in decimal and a newline, in one piece: a reader sees the old file
 * or the new one. 0, or an exit code after one line.
 */
int cli_fence_file_write(const char *path, uint64_t fence);

#endif
