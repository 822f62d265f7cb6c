/* SPDX-License-Identifier: MIT */
/*
 * What the link of a store does when it is down: whether its host hears of it, and how long it
 * waits before it tries again. Pure: whoever calls tells the host and sets the timer.
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
    /* The failed attempt that the host was told last: the same again is no news. */
    bool told;
    pawl_err told_err;
    char told_message[PAWL_MESSAGE_MAX];
} pawl__retry;

void pawl__retry_init(pawl__retry *retry);

/* The link is up: whatever happens next is news. */
void pawl__retry_up(pawl__retry *retry);

/* It was up for so long and is down now. Only who stayed up for a while begins anew. */
void pawl__retry_lost(pawl__retry *retry, int64_t up_ns);

/*
 * How long to wait before the next attempt, in ms. It doubles each time, and differs by a quarter
 * from client to client. What only a person can change is asked for slowly.
 */
int64_t pawl__retry_pause(pawl__retry *retry, pawl_err err, uint64_t *random);

/*
 * Whether the host is to be told. A link that broke is news, and so is the first attempt that
 * failed, and one that failed in another way; the same again is not.
 */
bool pawl__retry_is_news(pawl__retry *retry, bool was_up, pawl_err err, const char *message);

/* Only a person can change it: a password, a right, an option. */
bool pawl__retry_is_refusal(pawl_err err);

#endif
