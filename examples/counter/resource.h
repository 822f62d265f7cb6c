/* SPDX-License-Identifier: MIT */
/*
 * The counter that all instances share: a row in SQLite, or a hash in Redis. It
 * keeps, beside its value, the largest fence that it has seen, and refuses smaller ones. Reading
 * with a fence counts as seeing it: otherwise a holder whose lease ran out could still write after
 * its successor has read, and the successor would overwrite that.
 *
 * Calls block; one thread per object.
 */
#ifndef COUNTER_RESOURCE_H
#define COUNTER_RESOURCE_H

#include <stdbool.h>
#include <stdint.h>

#define RESOURCE_MESSAGE_MAX 256

typedef enum resource_result {
    RESOURCE_OK = 0,
    RESOURCE_STALE,   /* a newer holder of the lock has been here: nothing was done */
    RESOURCE_FAILED,  /* nothing was done; message */
    RESOURCE_UNKNOWN, /* of a write: no answer, it may have been done; message */
} resource_result;

typedef struct counter_view {
    int64_t value;
    uint64_t fence; /* of the last holder that was here */
} counter_view;

typedef struct resource resource;

typedef struct resource_ops {
    /* NULL and a message on failure. May connect later, at the first call. */
    resource *(*open)(const char *url, char *ret_message);
    resource_result (*look)(resource *r, counter_view *ret_view, char *ret_message);
    resource_result (*read)(resource *r, uint64_t fence, int64_t *ret_value, char *ret_message);
    resource_result (*write)(resource *r, uint64_t fence, int64_t value, char *ret_message);
    void (*close)(resource *r); /* NULL is allowed */
} resource_ops;

extern const resource_ops resource_sqlite; /* sqlite:PATH */
extern const resource_ops resource_redis;  /* redis://..., redis+unix://... */

/* By the scheme of the URL; NULL: none of the two. */
const resource_ops *resource_for(const char *url);

#endif
