/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_WHOLE_FILE_H
#define PAWL_CLI_WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes the file in one piece: a reader sees the old file or the new one. It takes the place of
 * an ordinary file, or of a link to one; of a device, a pipe and the like: never. errno says why
 * not.
 */
bool cli_whole_file_write(const char *path, const char *text, size_t len);
/* That errno in words. */
const char *cli_whole_file_reason(int why);

#endif
