/* SPDX-License-Identifier: MIT */
/* What the model consists of; for memory_model.c and memory_report.c only. */
#ifndef PAWL_STORES_MEMORY_STATE_H
#define PAWL_STORES_MEMORY_STATE_H

#include "../../base/instant.h"
#include "../../base/list.h"
#include "../../base/table.h"
#include "memory_model.h"

/* Whoever holds or waits: one token. */
typedef struct pawl__owner {
    pawl__link in_queue; /* waiters, in order of arrival */
    char token[PAWL_TOKEN_LEN + 1];
    char label[PAWL_OWNER_MAX + 1];
    void *client; /* where pushes go; NULL: nobody is there */
    int64_t ttl_ms;
    int64_t since; /* instant of arrival */
    int64_t until; /* the lease's, or the place's, end */
    bool detached;
} pawl__owner;

/*
 * One name. Between operations:
 *  - holder or waiters exist, or the record does not;
 *  - fence is the holder's, or the last holder's since the record exists.
 */
typedef struct pawl__record {
    pawl__entry entry;
    pawl__link in_all;
    pawl__owner *holder;
    pawl__link waiters;
    size_t waiter_count;
    uint64_t fence;
    size_t name_len;
    char name[];
} pawl__record;

struct pawl__memory {
    pawl__table table;
    pawl__link all;       /* every record; the next to be looked at for garbage first */
    uint64_t fence_floor; /* of every record that is gone */
    int64_t now;          /* never goes back */
};

/* One operation in progress. */
typedef struct pawl__call {
    pawl__memory *memory;
    int64_t now;
    uint64_t wall_us;
    const pawl__memory_out *out;
} pawl__call;

static inline pawl__owner *pawl__owner_of(pawl__link *link)
{
    return pawl__container(link, pawl__owner, in_queue);
}

/* Every live lock and queue as rows, for INSPECT (one name) and LIST (a prefix). Changes nothing.
 */
void pawl__memory_inspect(const pawl__call *call, const pawl_request *request,
                          pawl_reply *ret_reply);
void pawl__memory_list(const pawl__call *call, const pawl_request *request, pawl_reply *ret_reply);

#endif
