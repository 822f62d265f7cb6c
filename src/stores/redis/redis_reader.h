/* SPDX-License-Identifier: MIT */
/*
 * From bytes to values: what a server says in RESP2 or RESP3, in pieces of any size.
 *
 * Two steps. As bytes arrive, a scan looks for the end of the reply, once over each byte, with
 * nothing but counters. When a reply is complete, a tree is made that points into the bytes; a
 * reply that is not an array needs no memory for that.
 *
 * The types of RESP3 become those of redis_proto.h: a map becomes an array of keys and values in
 * turn, and a set an array; big numbers, floating-point numbers and texts with a format become
 * texts; a boolean becomes 0 or 1. Attributes describe the reply that follows them; they are left
 * out.
 */
#ifndef PAWL_REDIS_READER_H
#define PAWL_REDIS_READER_H

#include "redis_proto.h"

/* Bounds of one reply; a SCAN or INSPECT of ours stays far below. */
#define PAWL__REDIS_REPLY_BYTES_MAX (16u << 20)
#define PAWL__REDIS_REPLY_ITEMS_MAX (1u << 17)
#define PAWL__REDIS_REPLY_DEPTH_MAX 8 /* arrays in arrays */

typedef struct pawl__redis_reader pawl__redis_reader;

typedef enum pawl__redis_read {
    PAWL__REDIS_READ_MORE = 0, /* no whole reply yet */
    PAWL__REDIS_READ_VALUE,
    PAWL__REDIS_READ_BROKEN,   /* not RESP, or beyond a bound; nothing more can be read */
    PAWL__REDIS_READ_NO_MEMORY /* the reply is fine, but is not returned */
} pawl__redis_read;

pawl__redis_reader *pawl__redis_reader_new(void); /* NULL when out of memory */
void pawl__redis_reader_free(pawl__redis_reader *reader);

/* Ends the life of the latest value. False when out of memory. */
PAWL_MUST_USE bool pawl__redis_reader_feed(pawl__redis_reader *reader, const char *data,
                                           size_t len);

/* The next reply or push; it lives until the next call of this or of feed. */
pawl__redis_read pawl__redis_reader_next(pawl__redis_reader *reader,
                                         const pawl__redis_value **ret_value);

/* Why it is broken: one line. */
const char *pawl__redis_reader_trouble(const pawl__redis_reader *reader);

#endif
