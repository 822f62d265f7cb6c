/* SPDX-License-Identifier: MIT */
/* Output for programs: one object on one line. */
#ifndef PAWL_CLI_JSON_H
#define PAWL_CLI_JSON_H

#include <jansson.h>
#include <stddef.h>

#include "pawl/types.h"

/*
 * Sets field `key` to bytes that need not be UTF-8. What JSON cannot carry is
 * escaped as on a terminal, and `key`_hex holds the exact bytes.
 */
void cli_json_set_bytes(json_t *object, const char *key, const char *bytes, size_t len);

/* The fields that ls and show share. */
json_t *cli_json_of_info(const pawl_info *info);

/* "ok", "note", "warning", "error". Static. */
const char *cli_severity_word(pawl_severity severity);
json_t *cli_json_of_finding(const pawl_finding *finding);

/* Prints the object and a newline on stdout, and frees it. */
void cli_json_print(json_t *object);

#endif
