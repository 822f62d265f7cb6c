/* SPDX-License-Identifier: MIT */
#include "retry.h"

#include "instant.h"
#include "random.h"

#include <string.h>

void pawl__retry_init(pawl__retry *retry)
{
    *retry = (pawl__retry){.pause_ms = PAWL__RETRY_MIN_MS};
}

uint64_t pawl__retry_seed(int64_t now, const void *store, const char *client_id)
{
    uint64_t seed = (uint64_t)now ^ (uint64_t)(uintptr_t)store;
    for (const char *c = client_id; *c; c++) seed = seed * 31 + (unsigned char)*c;
    return seed;
}

void pawl__retry_up(pawl__retry *retry)
{
    retry->told = false;
}

void pawl__retry_lost(pawl__retry *retry, int64_t up_ns)
{
    if (up_ns >= PAWL__RETRY_MAX_MS * PAWL__NS_PER_MS) retry->pause_ms = PAWL__RETRY_MIN_MS;
}

bool pawl__retry_is_refusal(pawl_err err)
{
    pawl_err_class cls = pawl_err_class_of(err);
    return cls == PAWL_CLASS_DENIED || cls == PAWL_CLASS_USAGE;
}

int64_t pawl__retry_pause(pawl__retry *retry, pawl_err err, uint64_t *random)
{
    if (pawl__retry_is_refusal(err)) retry->pause_ms = PAWL__RETRY_MAX_MS;
    int64_t pause_ms = pawl__random_jitter(random, retry->pause_ms);
    retry->pause_ms *= 2;
    if (retry->pause_ms > PAWL__RETRY_MAX_MS) retry->pause_ms = PAWL__RETRY_MAX_MS;
    return pause_ms;
}

bool pawl__retry_is_news(pawl__retry *retry, bool was_up, pawl_err err, const char *message)
{
    if (retry->told && retry->told_err == err && strcmp(retry->told_message, message) == 0)
        return false;
    retry->told = !was_up;
    retry->told_err = err;
    size_t len = strlen(message);
    if (len >= sizeof retry->told_message) len = sizeof retry->told_message - 1;
    memcpy(retry->told_message, message, len);
    retry->told_message[len] = '\0';
    return true;
}
