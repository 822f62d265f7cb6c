/* SPDX-License-Identifier: MIT */
#include "test_host.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKENS_MAX 65536

const char *fresh_token(void)
{
    static char tokens[TOKENS_MAX][PAWL_TOKEN_LEN + 1];
    static atomic_uint count;
    unsigned n = atomic_fetch_add(&count, 1);
    if (n >= TOKENS_MAX) abort();
    /* They differ in the last characters only, so that a compare of a prefix is caught. */
    snprintf(tokens[n], sizeof(tokens[n]), "%08x%08x%08x%08x%08x", 0xaaaaaaaau, 0xbbbbbbbbu,
             0xccccccccu, 0xddddddddu, n);
    return tokens[n];
}

static pawl_request request(pawl_verb verb, const char *name)
{
    return (pawl_request){.verb = verb, .name = name, .name_len = strlen(name)};
}

pawl_request ask_acquire(const char *name, const char *token, int64_t ttl_ms)
{
    pawl_request r = request(PAWL_VERB_ACQUIRE, name);
    r.token = token;
    r.ttl_ms = ttl_ms;
    return r;
}

pawl_request ask_queue(const char *name, const char *token, int64_t ttl_ms)
{
    pawl_request r = ask_acquire(name, token, ttl_ms);
    r.flags = PAWL_ASK_QUEUE;
    return r;
}

pawl_request ask_mode(const char *name, const char *token, pawl_mode mode, int64_t ttl_ms,
                      unsigned flags)
{
    pawl_request r = ask_acquire(name, token, ttl_ms);
    r.mode = mode;
    r.flags = flags;
    return r;
}

pawl_request ask_permits(const char *name, const char *token, uint32_t units, uint32_t capacity,
                         int64_t ttl_ms, unsigned flags)
{
    pawl_request r = ask_mode(name, token, PAWL_MODE_PERMIT, ttl_ms, flags);
    r.units = units;
    r.capacity = capacity;
    return r;
}

pawl_request ask_change(const char *name, const char *token, pawl_mode mode, uint32_t change,
                        int64_t ttl_ms, unsigned flags)
{
    pawl_request r = ask_mode(name, token, mode, ttl_ms, flags);
    r.verb = PAWL_VERB_CHANGE;
    r.change = change;
    return r;
}

pawl_request ask_renew(const char *name, const char *token, int64_t ttl_ms)
{
    pawl_request r = request(PAWL_VERB_RENEW, name);
    r.token = token;
    r.ttl_ms = ttl_ms;
    return r;
}

pawl_request ask_release(const char *name, const char *token)
{
    pawl_request r = request(PAWL_VERB_RELEASE, name);
    r.token = token;
    r.ttl_ms = PAWL_TTL_DEFAULT_MS;
    return r;
}

pawl_request ask_inspect(const char *name, const char *token)
{
    pawl_request r = request(PAWL_VERB_INSPECT, name);
    r.token = token;
    return r;
}

/* Each is a new one. */
pawl_request ask_publish(const char *name, const char *token, const char *value)
{
    static atomic_uint_fast64_t publications;
    pawl_request r = request(PAWL_VERB_PUBLISH, name);
    r.token = token;
    r.value = value;
    r.value_len = strlen(value);
    r.keep_ms = 60000;
    r.publication = atomic_fetch_add(&publications, 1) + 1;
    return r;
}

pawl_request ask_read(const char *name, int64_t watch_ms)
{
    pawl_request r = request(PAWL_VERB_READ, name);
    r.flags = watch_ms ? PAWL_ASK_WATCH : 0;
    r.ttl_ms = watch_ms;
    return r;
}

pawl_request ask_list(const char *prefix)
{
    return request(PAWL_VERB_LIST, prefix);
}

pawl_request ask_break(const char *name, uint64_t fence)
{
    pawl_request r = request(PAWL_VERB_BREAK, name);
    r.fence = fence;
    return r;
}

pawl_request ask_doctor(void)
{
    return request(PAWL_VERB_DOCTOR, "");
}
