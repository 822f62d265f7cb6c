/* SPDX-License-Identifier: MIT */
/* Finds the addresses of host names without blocking the loop: renewals must not wait for DNS. */
#ifndef PAWL_REDIS_RESOLVE_H
#define PAWL_REDIS_RESOLVE_H

#include "pawl/types.h"

#include <sys/socket.h>

#define PAWL__REDIS_ADDRESSES_MAX 16 /* of one name; more are not tried */

struct event_base;

typedef struct pawl__redis_address {
    struct sockaddr_storage address;
    socklen_t len;
} pawl__redis_address;

typedef struct pawl__redis_addresses {
    pawl__redis_address list[PAWL__REDIS_ADDRESSES_MAX];
    size_t count;
} pawl__redis_addresses;

typedef struct pawl__redis_lookup pawl__redis_lookup;

/* trouble: NULL, or why there is no address (static text). The lookup is over. */
typedef void (*pawl__redis_lookup_fn)(const pawl__redis_addresses *found, const char *trouble,
                                      void *ctx);

/* If host is an address in digits: fills in ret_found and returns true. */
bool pawl__redis_parse_address(const char *host, int port, pawl__redis_addresses *ret_found);

/* Begins a lookup on a thread; done is called from the loop, once. NULL with errno on failure. */
pawl__redis_lookup *pawl__redis_lookup_start(struct event_base *base, const char *host, int port,
                                             pawl__redis_lookup_fn done, void *ctx);

/* done is not called any more. The thread ends when the resolver lets it. NULL is allowed. */
void pawl__redis_lookup_cancel(pawl__redis_lookup *lookup);

/* In a forked child, where the thread does not exist. */
void pawl__redis_lookup_forget(pawl__redis_lookup *lookup);

#endif
