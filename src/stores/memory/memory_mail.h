/* SPDX-License-Identifier: MIT */
/* What a client of the memory store is told at the next turn of its loop. */
#ifndef PAWL_STORES_MEMORY_MAIL_H
#define PAWL_STORES_MEMORY_MAIL_H

#include "../../base/list.h"
#include "pawl/store.h"

typedef enum pawl__letter_kind {
    PAWL__LETTER_LINK = 0, /* the link is up */
    PAWL__LETTER_REPLY,
    PAWL__LETTER_PUSH,
    PAWL__LETTER_ROW,
    PAWL__LETTER_FINDING
} pawl__letter_kind;

typedef struct pawl__letter {
    pawl__link in_box;
    pawl__letter_kind kind;
    uint64_t id; /* ROW, FINDING */
    union {
        pawl_reply reply;
        pawl_push push;
        pawl_info info;
        pawl_finding finding; /* of static strings */
    } u;
    pawl_value value;               /* REPLY to a READ */
    char token[PAWL_TOKEN_LEN + 1]; /* PUSH */
    _Alignas(uint64_t) char text[]; /* what the pointers above point into */
} pawl__letter;

/* Copies with everything that they point to. NULL when out of memory. */
pawl__letter *pawl__letter_push(const pawl_push *push);
pawl__letter *pawl__letter_row(uint64_t id, const pawl_info *info);
pawl__letter *pawl__letter_plain(pawl__letter_kind kind);

/*
 * Replies must arrive (rule 2), so their letters are allocated before the request takes effect, and
 * filled in afterwards. PAWL__LETTER_SLOTS slots fit into the ordinary one.
 */
#define PAWL__LETTER_SLOTS 32u
pawl__letter *pawl__letter_for_reply(uint32_t slots);
pawl__letter *pawl__letter_for_value(void);
void pawl__letter_fill_reply(pawl__letter *letter, const pawl_reply *reply);

void pawl__letter_deliver(const pawl__letter *letter, pawl_host *host);

#endif
