/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_WHOLE_FILE_H
#define PAWL_CLI_WHOLE_FILE_H

#include <stdbool.h>
#include <stddef.h>

/* Writes the file in one piece: a reader sees the old file or the new one. errno says why not. */
bool cli_whole_file_write(const char *path, const char *text, size_t len);

#endif
