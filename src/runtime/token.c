/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "token.h"

#include "../base/hex.h"
#include "pawl/types.h"
#include "process.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

static bool fill(pawl__pool *pool)
{
    size_t have = 0;
    while (have < sizeof pool->bytes) {
        ssize_t n = getrandom(pool->bytes + have, sizeof pool->bytes - have, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        have += (size_t)n;
    }
    pool->left = sizeof pool->bytes;
    pool->process = pawl__process_mark();
    return true;
}

bool pawl__pool_take(pawl__pool *pool, void *ret_bytes, size_t count)
{
    /* A child has a copy of the same bytes: they belong to the parent (law 9). */
    bool inherited = pool->process != pawl__process_mark();
    if ((inherited || pool->left < count) && !fill(pool)) return false;
    unsigned char *from = pool->bytes + sizeof pool->bytes - pool->left;
    memcpy(ret_bytes, from, count);
    memset(from, 0, count); /* a secret is kept in one place */
    pool->left -= count;
    return true;
}

bool pawl__token_draw(pawl__pool *pool, char *ret_text)
{
    unsigned char bytes[PAWL_TOKEN_LEN / 2];
    size_t random_len = sizeof bytes - sizeof pool->counter;
    if (!pawl__pool_take(pool, bytes, random_len)) return false;
    uint32_t counter = pool->counter++;
    for (size_t i = 0; i < sizeof counter; i++)
        bytes[random_len + i] = (unsigned char)(counter >> (24 - 8 * i));
    pawl__hex_unpack(bytes, sizeof bytes, ret_text);
    return true;
}

bool pawl__token_ok(const char *text)
{
    return text && strlen(text) == PAWL_TOKEN_LEN &&
           strspn(text, "0123456789abcdef") == PAWL_TOKEN_LEN;
}
