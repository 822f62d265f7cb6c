/* SPDX-License-Identifier: MIT */
/* Tokens: 128 random bits and a counter, never twice, not even across a fork (law 5, law 9). */
#ifndef PAWL_RUNTIME_TOKEN_H
#define PAWL_RUNTIME_TOKEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAWL__POOL_BYTES 512

/* A supply of random bytes, so that a token rarely costs a system call. One thread at a time. */
typedef struct pawl__pool {
    unsigned char bytes[PAWL__POOL_BYTES];
    size_t left;      /* of bytes, counted from the end */
    uint32_t counter; /* of tokens */
    uint64_t process; /* the process that filled it, by pawl__process_mark */
} pawl__pool;

/* Takes random bytes; false when the system has none. */
bool pawl__pool_take(pawl__pool *pool, void *ret_bytes, size_t count);

/* Writes PAWL_TOKEN_LEN hex digits and a NUL; false when the system has no random bytes. */
bool pawl__token_draw(pawl__pool *pool, char *ret_text);

/* Whether text is a token: 40 lowercase hex digits. */
bool pawl__token_ok(const char *text);

#endif
