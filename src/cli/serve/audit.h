/* SPDX-License-Identifier: MIT */
/*
 * The log of breaks: who has asked for one, when, whom it was to hit, why, and what came of it.
 * Lines are only ever appended, and each is on the disk before this returns.
 */
#ifndef PAWL_CLI_SERVE_AUDIT_H
#define PAWL_CLI_SERVE_AUDIT_H

#include <jansson.h>
#include <stdbool.h>

/* Creates the file if there is none. False, and errno: it cannot be written. */
bool serve_audit_check(const char *path);

/* Adds the time to the object and appends it as one line. False, and errno: it is not there. */
bool serve_audit_write(const char *path, json_t *line);

#endif
