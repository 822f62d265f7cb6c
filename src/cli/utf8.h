/* SPDX-License-Identifier: MIT */
#ifndef PAWL_CLI_UTF8_H
#define PAWL_CLI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The length and the code point of the character at the start of bytes; 0 if it is not valid. */
size_t cli_utf8_next(const char *bytes, size_t len, uint32_t *ret_c);

bool cli_utf8_valid(const char *bytes, size_t len);

/* How many characters, for aligning columns. */
size_t cli_utf8_count(const char *text);

#endif
