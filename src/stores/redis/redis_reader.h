/* SPDX-License-Identifier: MIT */
/*
 * From bytes to values: hiredis' parser, building our trees in one arena that is
 * used again for each reply. RESP2; anything else is a broken stream.
 */
#ifndef PAWL_REDIS_READER_H
#define PAWL_REDIS_READER_H

#include "redis_proto.h"

/* Bounds of one reply; a SCAN or INSPECT of ours stays far below. Depth: hiredis' 7. */
#define PAWL__REDIS_REPLY_BYTES_MAX (16u << 20)
#define PAWL__REDIS_REPLY_ITEMS_MAX (1u << 17)

typedef struct pawl__redis_reader pawl__redis_reader;

typedef enum pawl__redis_read {
    PAWL__REDIS_READ_MORE = 0, /* no whole reply yet */
    PAWL__REDIS_READ_VALUE,
    PAWL__REDIS_READ_BROKEN /* not RESP, or beyond a bound; nothing more can be read */
} pawl__redis_read;

pawl__redis_reader *pawl__redis_reader_new(void); /* NULL when out of memory */
void pawl__redis_reader_free(pawl__redis_reader *reader);

/* False when out of memory. */
PAWL_MUST_USE bool pawl__redis_reader_feed(pawl__redis_reader *reader, const char *data,
                                           size_t len);

/* The next reply; it lives until the next call. */
pawl__redis_read pawl__redis_reader_next(pawl__redis_reader *reader,
                                         const pawl__redis_value **ret_value);

/* Why it is broken: one line. */
const char *pawl__redis_reader_trouble(const pawl__redis_reader *reader);

#endif
