/* SPDX-License-Identifier: MIT */
/* For a store that closes: a host to which it may say anything, and which tells nobody. */
#ifndef PAWL_STORES_SILENT_HOST_H
#define PAWL_STORES_SILENT_HOST_H

#include "pawl/store.h"

static inline void pawl__silent_reply(pawl_host *host, const pawl_reply *reply)
{
    (void)host, (void)reply;
}

static inline void pawl__silent_row(pawl_host *host, uint64_t id, const pawl_info *info)
{
    (void)host, (void)id, (void)info;
}

static inline void pawl__silent_finding(pawl_host *host, uint64_t id, const pawl_finding *finding)
{
    (void)host, (void)id, (void)finding;
}

static inline void pawl__silent_push(pawl_host *host, const pawl_push *push)
{
    (void)host, (void)push;
}

static inline void pawl__silent_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    (void)host, (void)up, (void)err, (void)message;
}

static inline void pawl__silent_warn(pawl_host *host, const char *message)
{
    (void)host, (void)message;
}

/* It has the clock and the event loop of `host`. */
static inline pawl_host pawl__silent_host(const pawl_host *host)
{
    return (pawl_host){.size = sizeof(pawl_host),
                       .base = host->base,
                       .now = host->now,
                       .reply = pawl__silent_reply,
                       .row = pawl__silent_row,
                       .finding = pawl__silent_finding,
                       .push = pawl__silent_push,
                       .link = pawl__silent_link,
                       .warn = pawl__silent_warn};
}

#endif
