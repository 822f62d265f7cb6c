/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_STORE_ABSOLUTE_H
#define PAWL_CLI_STORE_ABSOLUTE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes a store as the user named it into buf, with a relative path made absolute: a command that
 * changes its directory must still find the same store. "@FILE" and "sqlite:FILE" have a path; all
 * else, and paths that cannot be resolved, are copied. A path is relative to the directory of
 * `base`, the absolute path of a file; NULL: to the working directory. false: it does not fit.
 */
bool cli_store_absolute(const char *given, const char *base, char *buf, size_t size);

/* The same for the path of a file, relative to the working directory. false: it cannot be resolved.
 */
bool cli_path_absolute(const char *path, char *buf, size_t size);

#endif
