/* SPDX-License-Identifier: MIT */
#include "token_shown.h"

#include "../base/hex.h"

#include <stdatomic.h>
#include <string.h>

/*
 * A thread that reads any of the new words also sees the odd version, and reads again: each word is
 * stored with release after the version, and loaded with acquire before the version is loaded
 * again.
 */
static void store_words(pawl__token_shown *shown, const uint32_t *words)
{
    uint32_t version = atomic_load_explicit(&shown->version, memory_order_relaxed);
    atomic_store_explicit(&shown->version, version + 1, memory_order_relaxed);
    for (size_t i = 0; i < PAWL__TOKEN_WORDS; i++)
        atomic_store_explicit(&shown->words[i], words[i], memory_order_release);
    atomic_store_explicit(&shown->version, version + 2, memory_order_release);
}

static void load_words(const pawl__token_shown *shown, uint32_t *ret_words)
{
    uint32_t before, after;
    do {
        before = atomic_load_explicit(&shown->version, memory_order_acquire);
        for (size_t i = 0; i < PAWL__TOKEN_WORDS; i++)
            ret_words[i] = atomic_load_explicit(&shown->words[i], memory_order_acquire);
        after = atomic_load_explicit(&shown->version, memory_order_relaxed);
    } while (before != after || before & 1);
}

void pawl__token_show(pawl__token_shown *shown, const char *token)
{
    uint32_t words[PAWL__TOKEN_WORDS];
    uint8_t bytes[sizeof words];
    pawl__hex_pack(token, bytes, sizeof bytes);
    memcpy(words, bytes, sizeof words);
    store_words(shown, words);
}

void pawl__token_show_same(pawl__token_shown *shown, const pawl__token_shown *other)
{
    uint32_t words[PAWL__TOKEN_WORDS];
    load_words(other, words);
    store_words(shown, words);
}

void pawl__token_read(const pawl__token_shown *shown, char *ret_text)
{
    uint32_t words[PAWL__TOKEN_WORDS];
    uint8_t bytes[sizeof words];
    load_words(shown, words);
    memcpy(bytes, words, sizeof bytes);
    pawl__hex_unpack(bytes, sizeof bytes, ret_text);
}
