/* SPDX-License-Identifier: MIT */
/* Growing lists whose items stay where they are, for what a host has seen. */
#ifndef PAWL_TESTS_SEEN_H
#define PAWL_TESTS_SEEN_H

#include "pawl/types.h"

typedef struct seen_list {
    void **items;
    size_t count, room;
} seen_list;

/* A zeroed item at the end. */
void *seen_add(seen_list *list, size_t item_size);
void *seen_at(const seen_list *list, size_t index);
/* done, unless NULL, frees what an item points to. */
void seen_free(seen_list *list, void (*done)(void *item));

void seen_copy_info(pawl_info *to, const pawl_info *from);
void seen_free_row(void *row);

#endif
