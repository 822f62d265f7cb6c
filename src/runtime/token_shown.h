/* SPDX-License-Identifier: MIT */
/*
 * The token that a handle shows. One thread at a time writes it, any thread may read it, and nobody
 * takes a mutex for that: who reads while it is being written reads again.
 */
#ifndef PAWL_RUNTIME_TOKEN_SHOWN_H
#define PAWL_RUNTIME_TOKEN_SHOWN_H

#include "pawl/types.h"

#include <stdint.h>

#define PAWL__TOKEN_WORDS (PAWL_TOKEN_LEN / 8) /* of four bytes, each of two digits */

typedef struct pawl__token_shown {
    _Atomic uint32_t version; /* odd while it is being written */
    _Atomic uint32_t words[PAWL__TOKEN_WORDS];
} pawl__token_shown;

/* token: PAWL_TOKEN_LEN digits. */
void pawl__token_show(pawl__token_shown *shown, const char *token);
/* The same token as the other one. */
void pawl__token_show_same(pawl__token_shown *shown, const pawl__token_shown *other);
/* Writes PAWL_TOKEN_LEN digits and a NUL. */
void pawl__token_read(const pawl__token_shown *shown, char *ret_text);

#endif
