/* SPDX-License-Identifier: MIT */
/*
 * What a store does when its link is down: whether it tells its host, and how long it waits before
 * the next attempt. Pure functions: the caller tells the host and sets the timer.
 */
#ifndef PAWL_BASE_RETRY_H
#define PAWL_BASE_RETRY_H

#include "pawl/types.h"

#include <stdbool.h>
#include <stdint.h>

#define PAWL__RETRY_MIN_MS 50
#define PAWL__RETRY_MAX_MS 2000

typedef struct pawl__retry {
    int64_t pause_ms; /* the next one, before jitter */
    /* The failure that the host was told last. The same failure again is not told. */
    bool told;
    pawl_err told_err;
    char told_message[PAWL_MESSAGE_MAX];
} pawl__retry;

void pawl__retry_init(pawl__retry *retry);

/* The start of `random`. It differs in each client, so that clients which lost the same server do
 * not all come back at once. */
uint64_t pawl__retry_seed(int64_t now, const void *store, const char *client_id);

/* The link is up: whatever happens next is news. */
void pawl__retry_up(pawl__retry *retry);

/* The link is down after it was up for up_ns. Pauses start from the shortest again only if it was
 * up for a while. */
void pawl__retry_lost(pawl__retry *retry, int64_t up_ns);

/*
 * How long to wait before the next attempt, in ms. It doubles each time, and varies by a quarter so
 * that clients do not try at the same moment. An error that only a person can mend has long pauses
 * from the start.
 */
int64_t pawl__retry_pause(pawl__retry *retry, pawl_err err, uint64_t *random);

/*
 * Whether the host is to be told. News are: a link that broke, the first attempt that failed, and
 * an attempt that failed in another way than the last one.
 */
bool pawl__retry_is_news(pawl__retry *retry, bool was_up, pawl_err err, const char *message);

/* Only a person can mend this error: a password, a permission, an option. */
bool pawl__retry_is_refusal(pawl_err err);

#endif
