/* SPDX-License-Identifier: MIT */
/*
 * A fuzz target is one function that takes bytes and must come back from all of
 * them: with libFuzzer's main (scripts/fuzz, clang), or with replay.c's, which runs
 * each file of a corpus once and is an ordinary test. A target aborts when a check
 * fails; the sanitizers abort for it when memory is misused.
 *
 * An input is read from the front. What is not there any more reads as zero, so
 * that every input means something.
 */
#ifndef PAWL_TESTS_FUZZ_H
#define PAWL_TESTS_FUZZ_H

#include "../support/check.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct fuzz_input {
    const uint8_t *data;
    size_t left;
} fuzz_input;

static inline uint8_t fuzz_byte(fuzz_input *in)
{
    if (in->left == 0) return 0;
    in->left--;
    return *in->data++;
}

/* 0 .. count - 1 */
static inline unsigned fuzz_below(fuzz_input *in, unsigned count)
{
    return fuzz_byte(in) % count;
}

static inline uint64_t fuzz_number(fuzz_input *in, unsigned bytes)
{
    uint64_t number = 0;
    while (bytes-- > 0) number = number << 8 | fuzz_byte(in);
    return number;
}

/* The next len bytes, or as many as there are. */
static inline fuzz_input fuzz_cut(fuzz_input *in, size_t len)
{
    if (len > in->left) len = in->left;
    fuzz_input piece = {in->data, len};
    in->data += len;
    in->left -= len;
    return piece;
}

/* A copy that ends with a NUL, of exactly that size: reading beyond it is seen. For free(). */
static inline char *fuzz_text(fuzz_input piece)
{
    char *text = malloc(piece.left + 1);
    CHECK(text != NULL);
    if (piece.left) memcpy(text, piece.data, piece.left);
    text[piece.left] = '\0';
    return text;
}

/* A message for people is one line and has an end. */
static inline void fuzz_check_line(const char *message, size_t room)
{
    CHECK(memchr(message, '\0', room) != NULL);
    for (; *message; message++) CHECK((unsigned char)*message >= ' ' && *message != 0x7f);
}

#endif
