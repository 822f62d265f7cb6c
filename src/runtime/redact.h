/* SPDX-License-Identifier: MIT */
/* A URL in the form that messages may show. */
#ifndef PAWL_RUNTIME_REDACT_H
#define PAWL_RUNTIME_REDACT_H

#include <stdbool.h>

/*
 * A copy in which all that could be a password is ***, for free(); NULL: out of memory. The text
 * need not be a valid URL: error messages show invalid ones, and they may hold a password, too.
 */
char *pawl__redact(const char *url);

/* Whether a URL of this scheme is a path, in which an @ means nothing. */
bool pawl__redact_is_path(const char *url);

#endif
