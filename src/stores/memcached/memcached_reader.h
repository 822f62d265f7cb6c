/* SPDX-License-Identifier: MIT */
/*
 * What the server says, piece by piece: bytes go in as they come, answers come out when they are
 * complete. It allocates nothing. A value that is too long to be pawl's is skipped; only its length
 * is told.
 */
#ifndef PAWL_MEMCACHED_READER_H
#define PAWL_MEMCACHED_READER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PAWL__MEMCACHED_LINE_MAX  2048 /* about the server's own limit of a line */
#define PAWL__MEMCACHED_VALUE_MAX 2048 /* pawl's own values are at most half as long */

typedef enum pawl__memcached_code {
    PAWL__MEMCACHED_HD = 0, /* done */
    PAWL__MEMCACHED_VA,     /* a value */
    PAWL__MEMCACHED_EN,     /* there is no such item */
    PAWL__MEMCACHED_NS,     /* not stored */
    PAWL__MEMCACHED_EX,     /* the item is another one by now */
    PAWL__MEMCACHED_NF,     /* not found */
    PAWL__MEMCACHED_STORED, /* a login was right */
    PAWL__MEMCACHED_STAT,   /* one of several lines: text has the name and the value */
    PAWL__MEMCACHED_END,    /* of such lines */
    PAWL__MEMCACHED_CLIENT_ERROR,
    PAWL__MEMCACHED_SERVER_ERROR,
    PAWL__MEMCACHED_ERROR /* it does not know the command */
} pawl__memcached_code;

/* Borrowed until the reader is fed or asked again. */
typedef struct pawl__memcached_answer {
    pawl__memcached_code code;
    const char *text;  /* what stands behind the code, NUL-terminated */
    const char *value; /* VA; NULL: it is longer than any of pawl's */
    size_t value_len;
    bool has_cas, has_ttl;
    uint64_t cas;
    int64_t ttl_s; /* -1: it does not end */
} pawl__memcached_answer;

typedef struct pawl__memcached_reader {
    char bytes[PAWL__MEMCACHED_LINE_MAX + PAWL__MEMCACHED_VALUE_MAX + 4];
    size_t used, taken; /* of bytes; those before `taken` belong to the answer that was told */
    size_t pass_over;   /* bytes to come that nobody wants */
    bool in_value;      /* the line of `pending` was read, its value is skipped */
    pawl__memcached_answer pending;
} pawl__memcached_reader;

void pawl__memcached_reader_init(pawl__memcached_reader *reader);
/* Room for the next bytes; at most *ret_room of them may be written. Then pass their number to
 * _fed. */
char *pawl__memcached_reader_room(pawl__memcached_reader *reader, size_t *ret_room);
void pawl__memcached_reader_fed(pawl__memcached_reader *reader, size_t count);

typedef enum pawl__memcached_read {
    PAWL__MEMCACHED_MORE = 0, /* nothing is complete */
    PAWL__MEMCACHED_ANSWER,
    PAWL__MEMCACHED_NONSENSE /* this is not the meta protocol; ignore all that follows */
} pawl__memcached_read;

pawl__memcached_read pawl__memcached_reader_next(pawl__memcached_reader *reader,
                                                 pawl__memcached_answer *ret_answer);

#endif
