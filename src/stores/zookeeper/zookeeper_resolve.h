/* SPDX-License-Identifier: MIT */
/*
 * The servers' addresses in digits, as libzookeeper takes them: "10.0.0.1:2181,::1:2181". A
 * look-up blocks, sometimes for many seconds, so it runs on a detached thread.
 */
#ifndef PAWL_ZOOKEEPER_RESOLVE_H
#define PAWL_ZOOKEEPER_RESOLVE_H

#include "zookeeper_url.h"

#define PAWL__ZK_ADDRESSES_MAX 2048 /* bytes of the list */

struct event_base;
typedef struct pawl__zk_lookup pawl__zk_lookup;

/* trouble: NULL, or why there is no address of any of them. The lookup is over. */
typedef void (*pawl__zk_lookup_fn)(const char *addresses, const char *trouble, void *ctx);

/* done is called from the loop, once. NULL: no memory, descriptor or thread for it. */
pawl__zk_lookup *pawl__zk_lookup_start(struct event_base *base, const pawl__zk_config *config,
                                       pawl__zk_lookup_fn done, void *ctx);
/* done is not called any more. The thread ends when the resolver lets it. NULL is allowed. */
void pawl__zk_lookup_cancel(pawl__zk_lookup *lookup);
/* In a forked child, where the thread does not exist. NULL is allowed. */
void pawl__zk_lookup_forget(pawl__zk_lookup *lookup);

#endif
