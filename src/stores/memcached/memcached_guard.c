/* SPDX-License-Identifier: MIT */
/* The guard of memcached_store.h: a server that may have forgotten locks grants nothing. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#define CLOCK_SLACK_MS 2000 /* the writer's clock and the reader's may differ by so much */
#define WORD           "pawl1 guard "

void pawl__memcached_guard_key(const pawl_store *store, pawl__memcached_key *ret_key)
{
    snprintf(ret_key->text, sizeof ret_key->text, "%s%%guard", store->config.prefix);
}

/* The next look shows whether it was written. */
static void planted(pawl_store *store, pawl__memcached_pending *pending,
                    const pawl__memcached_answer *answer)
{
    (void)pending;
    if (answer->code == PAWL__MEMCACHED_ERROR || answer->code == PAWL__MEMCACHED_CLIENT_ERROR)
        pawl__memcached_not_understood(store, answer);
}

/* Added only if it is missing: of several clients that write it, the first one wins. */
static void plant(pawl_store *store)
{
    char command[PAWL__MEMCACHED_KEY_MAX + 40], value[64];
    pawl__memcached_key key;
    if (pawl__link_linked(&store->plant.in_order)) return;
    pawl__memcached_guard_key(store, &key);
    int len = snprintf(value, sizeof value, WORD "%" PRId64, pawl__memcached_server_us(store));
    snprintf(command, sizeof command, "ms %s %d T0 ME", key.text, len);
    store->plant.answered = planted;
    pawl__memcached_send_or_break(store, &store->plant, command, value, (size_t)len);
}

/* When it was written, by the server's clock; false: it is not a guard. */
static bool read_guard(const pawl__memcached_answer *answer, int64_t *ret_us)
{
    size_t word = strlen(WORD);
    uint64_t number;
    if (answer->code != PAWL__MEMCACHED_VA || !answer->value || answer->value_len < word)
        return false;
    if (memcmp(answer->value, WORD, word) != 0 ||
        !pawl__memcached_to_number(answer->value + word, &number) || number > INT64_MAX)
        return false;
    *ret_us = (int64_t)number;
    return true;
}

static void tell_host(pawl_store *store, int64_t left_ms)
{
    pawl_host *host = store->host;
    bool can = host->size > offsetof(pawl_host, guarded) && host->guarded;
    if (!can || (!left_ms && !store->guarded)) return;
    store->guarded = left_ms > 0;
    host->guarded(host, left_ms);
}

static int64_t left_ms_by(pawl_store *store, const pawl__memcached_answer *answer)
{
    int64_t span = store->config.guard_ms + CLOCK_SLACK_MS, written_us;
    if (!read_guard(answer, &written_us)) {
        if (answer->code == PAWL__MEMCACHED_EN) plant(store);
        return span;
    }
    int64_t age_ms = (pawl__memcached_server_us(store) - written_us) / 1000;
    return age_ms >= span ? 0 : pawl__instant_min(span - age_ms, span + CLOCK_SLACK_MS);
}

int64_t pawl__memcached_guard_left_ms(pawl_store *store, const pawl__memcached_answer *answer)
{
    int64_t left_ms = left_ms_by(store, answer);
    tell_host(store, left_ms);
    return left_ms;
}
