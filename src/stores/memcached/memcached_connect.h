/* SPDX-License-Identifier: MIT */
/*
 * Connecting. A look-up of a name blocks, sometimes for many seconds. So one attempt tries all
 * addresses in turn on a detached thread. The attempt struct belongs to both sides; the last one
 * that gives it up frees it. The thread uses nothing else.
 */
#ifndef PAWL_MEMCACHED_CONNECT_H
#define PAWL_MEMCACHED_CONNECT_H

#include "memcached_url.h"

typedef struct pawl__memcached_attempt pawl__memcached_attempt;

/* NULL: no memory, descriptor or thread for it. */
pawl__memcached_attempt *pawl__memcached_attempt_start(const pawl__memcached_config *config,
                                                       int64_t (*now)(void));
/* Readable when the attempt is over. */
int pawl__memcached_attempt_fd(const pawl__memcached_attempt *attempt);
/*
 * It is over: the socket, which is the caller's now and does not block, or -1 with why (at most
 * PAWL_MESSAGE_MAX bytes). Ends the attempt.
 */
int pawl__memcached_attempt_take(pawl__memcached_attempt *attempt, char *reterr_why);
/* Nobody waits for it any more; the thread frees what is left. NULL is allowed. */
void pawl__memcached_attempt_cancel(pawl__memcached_attempt *attempt);
/* In a forked child, where its thread does not exist. NULL is allowed. */
void pawl__memcached_attempt_forget(pawl__memcached_attempt *attempt);

#endif
