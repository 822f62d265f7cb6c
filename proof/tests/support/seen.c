/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "seen.h"

#include "check.h"
#include "failing.h"
#include "test_host.h"

#include <string.h>

void *seen_add(seen_list *list, size_t item_size)
{
    failing_spare(1);
    if (list->count == list->room) {
        list->room = list->room ? 2 * list->room : 16;
        list->items = realloc(list->items, list->room * sizeof(void *));
        CHECK(list->items != NULL);
    }
    void *item = calloc(1, item_size);
    CHECK(item != NULL);
    failing_spare(-1);
    return list->items[list->count++] = item;
}

void *seen_at(const seen_list *list, size_t index)
{
    CHECK(index < list->count);
    return list->items[index];
}

void seen_free(seen_list *list, void (*done)(void *item))
{
    for (size_t i = 0; i < list->count; i++) {
        if (done) done(list->items[i]);
        free(list->items[i]);
    }
    free(list->items);
    *list = (seen_list){0};
}

void seen_copy_info(pawl_info *to, const pawl_info *from)
{
    failing_spare(1);
    *to = *from;
    char *name = calloc(1, from->name_len + 1);
    pawl_waiter_info *waiters = calloc(from->waiters_shown + 1, sizeof(*waiters));
    pawl_holder_info *holders = calloc(from->holders_shown + 1, sizeof(*holders));
    CHECK(name && waiters && holders);
    memcpy(name, from->name, from->name_len);
    to->name = name;
    to->owner = strdup(from->owner);
    for (size_t i = 0; i < from->waiters_shown; i++) {
        waiters[i] = from->waiters[i];
        waiters[i].owner = strdup(from->waiters[i].owner);
    }
    for (size_t i = 0; i < from->holders_shown; i++) {
        holders[i] = from->holders[i];
        holders[i].owner = strdup(from->holders[i].owner);
    }
    if (from->broken_by) to->broken_by = strdup(from->broken_by);
    to->waiters = waiters;
    to->holders = holders;
    failing_spare(-1);
}

void seen_free_row(void *row)
{
    pawl_info *info = &((seen_row *)row)->info;
    for (size_t i = 0; i < info->waiters_shown; i++) free((char *)info->waiters[i].owner);
    for (size_t i = 0; i < info->holders_shown; i++) free((char *)info->holders[i].owner);
    free((pawl_waiter_info *)info->waiters);
    free((pawl_holder_info *)info->holders);
    free((char *)info->name);
    free((char *)info->owner);
    free((char *)info->broken_by);
}
