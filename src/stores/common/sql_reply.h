/* SPDX-License-Identifier: MIT */
/*
 * What the procedures of the SQL stores say: one line of text for each request, and one for each
 * push. The words are those of the schema.sql of each store.
 */
#ifndef PAWL_STORES_SQL_REPLY_H
#define PAWL_STORES_SQL_REPLY_H

#include "pawl/store.h"

typedef struct pawl__sql_value {
    char bytes[PAWL_STORED_MAX + 1], owner[PAWL_OWNER_MAX + 1];
    pawl_value value;
} pawl__sql_value;

/* What a reply points to. */
typedef struct pawl__sql_words {
    char kind[16];
    char slots_text[PAWL_CAPACITY_MAX * 5 + 1];
    uint16_t slots[PAWL_CAPACITY_MAX];
    char owner[PAWL_OWNER_MAX + 1];
    pawl__sql_value value;
} pawl__sql_words;

/* Converts hex digits to bytes and a NUL; false: other characters, or too many; then there are no
 * bytes. */
PAWL_MUST_USE bool pawl__sql_parse_hex(const char *text, char *ret_bytes, size_t room,
                                       size_t *ret_len);

/* Fills in *reply, but for its id, from what a procedure says. False: it says nothing that pawl
 * knows. */
PAWL_MUST_USE bool pawl__sql_decode(const char *text, pawl__sql_words *room, pawl_reply *reply);

/* "g FENCE WAITING SLOTS TOKEN NAME" and its like, to the host. What is no push of pawl's is
 * dropped. */
void pawl__sql_hear(pawl_host *host, const char *text);

#endif
