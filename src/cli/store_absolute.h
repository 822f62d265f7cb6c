/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_STORE_ABSOLUTE_H
#define PAWL_CLI_STORE_ABSOLUTE_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Writes a store as the user named it into buf, with a relative path made absolute: a command
 * that changes its directory must not find another store by the same words. "@FILE" and
 * "sqlite:FILE" have a path; all else, and what cannot be resolved, is copied. It counts from
 * the directory of `base`, an absolute path of a file; NULL: from the working directory.
 * false: it does not fit.
 */
bool cli_store_absolute(const char *given, const char *base, char *buf, size_t size);

/* The same for the path of a file, from the working directory. false: it cannot be said. */
bool cli_path_absolute(const char *path, char *buf, size_t size);

#endif
