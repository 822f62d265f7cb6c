/* SPDX-License-Identifier: MIT */
/*
 * A page of the list: which locks, in which order, and the tree that their names make: all that
 * have the same beginning up to the next ":" are one group. Bounded, however many locks there are.
 */
#define _GNU_SOURCE
#include "serve.h"

#include <stdlib.h>
#include <string.h>

#include "../holder.h"
#include "../json.h"

#define GROUPS_MAX 100

/* ---- Which, and in which order ------------------------------------------------------------ */

static bool begins_with(const cli_watch_row *row, const char *prefix)
{
    return strncmp(row->name, prefix, strlen(prefix)) == 0;
}

static bool passes(const cli_watch_row *row, const serve_view *view)
{
    return begins_with(row, view->prefix) &&
           (!view->search[0] || strcasestr(row->name, view->search) ||
            strcasestr(row->owner, view->search));
}

/* The larger, the higher in the list. */
static int64_t weight(const cli_watch_row *row, serve_sort sort)
{
    switch (sort) {
    case SERVE_BY_WAITING:
        return (int64_t)row->waiter_count;
    case SERVE_BY_AGE:
        return row->wait_ms;
    case SERVE_BY_HELD:
        return row->since_s < 0 ? INT64_MIN : -row->since_s;
    case SERVE_BY_LEFT:
        if (!row->held) return INT64_MIN;
        return row->remaining_ms < 0 ? INT64_MIN + 1 : -row->remaining_ms;
    case SERVE_BY_NAME:
        return 0;
    }
    return 0;
}

static int by_weight(const void *a, const void *b, void *view)
{
    const cli_watch_row *const *left = a, *const *right = b;
    serve_sort sort = ((const serve_view *)view)->sort;
    int64_t mine = weight(*left, sort), other = weight(*right, sort);
    if (mine != other) return mine > other ? -1 : 1;
    return cli_watch_order(*left, *right);
}

/* ---- Groups -------------------------------------------------------------------------------- */

typedef struct group {
    const char *name; /* name_len bytes, with the ":" */
    size_t name_len;
    size_t locks, held, waiting;
} group;

/* The bytes of the name up to the next ":" after the prefix; 0: there is none. */
static size_t group_len(const cli_watch_row *row, const char *prefix)
{
    size_t skip = strlen(prefix);
    const char *colon = memchr(row->name + skip, ':', row->name_len - skip);
    return colon ? (size_t)(colon - row->name) + 1 : 0;
}

static void count_in(group *g, const cli_watch_row *row)
{
    g->locks++;
    g->held += row->held;
    g->waiting += row->waiter_count;
}

/* Rows are in the order of their names, so those of a group stand together. */
static size_t find_groups(const cli_watch_row **rows, size_t count, const char *prefix,
                          group *ret_groups)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        size_t len = group_len(rows[i], prefix);
        if (!len) continue;
        group *last = found ? &ret_groups[found - 1] : NULL;
        if (!last || last->name_len != len || memcmp(last->name, rows[i]->name, len) != 0) {
            last = &ret_groups[found++];
            *last = (group){.name = rows[i]->name, .name_len = len};
        }
        count_in(last, rows[i]);
    }
    return found;
}

static int by_size(const void *a, const void *b)
{
    const group *left = a, *right = b;
    if (left->waiting != right->waiting) return left->waiting > right->waiting ? -1 : 1;
    if (left->locks != right->locks) return left->locks > right->locks ? -1 : 1;
    return left->name < right->name ? -1 : left->name > right->name;
}

static void set_groups(json_t *object, const cli_watch_row **rows, size_t count, const char *prefix)
{
    json_t *list = json_array();
    group *groups = count ? malloc(count * sizeof *groups) : NULL;
    size_t found = groups ? find_groups(rows, count, prefix, groups) : 0;
    if (found) qsort(groups, found, sizeof *groups, by_size);
    for (size_t i = 0; i < found && i < GROUPS_MAX; i++) {
        json_t *one =
            json_pack("{s:I, s:I, s:I}", "locks", (json_int_t)groups[i].locks, "held",
                      (json_int_t)groups[i].held, "waiting", (json_int_t)groups[i].waiting);
        cli_json_set_bytes(one, "prefix", groups[i].name, groups[i].name_len);
        json_array_append_new(list, one);
    }
    json_object_set_new(object, "groups", list);
    json_object_set_new(object, "group_count", json_integer((json_int_t)found));
    free(groups);
}

/* ---- Rows ---------------------------------------------------------------------------------- */

static void set_held(json_t *object, const cli_watch_row *row)
{
    serve_set_who(object, row->owner);
    json_object_set_new(object, "mode", json_string(cli_mode_word(row->mode)));
    json_object_set_new(object, "foreign", json_boolean(row->foreign));
    json_object_set_new(object, "endless", json_boolean(row->remaining_ms < 0));
    json_object_set_new(object, "remaining_ms", serve_number_json(row->remaining_ms));
    json_object_set_new(object, "since_s", serve_number_json(row->since_s));
    json_object_set_new(object, "holders", json_integer((json_int_t)row->holder_count));
    json_object_set_new(object, "units", row->units ? json_integer(row->units) : json_null());
}

static json_t *row_json(const cli_watch_row *row)
{
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", row->name, row->name_len);
    json_object_set_new(object, "held", json_boolean(row->held));
    json_object_set_new(object, "fence", serve_fence_json(row->fence));
    json_object_set_new(object, "waiting", json_integer((json_int_t)row->waiter_count));
    json_object_set_new(object, "wait_ms", serve_number_json(row->wait_ms));
    json_object_set_new(object, "capacity", json_integer(row->capacity));
    if (row->held) set_held(object, row);
    if (row->broken_by)
        cli_json_set_bytes(object, "broken_by", row->broken_by, strlen(row->broken_by));
    return object;
}

void serve_list_set(const serve_picture *picture, const serve_view *view, json_t *object)
{
    json_t *list = json_array();
    size_t found = 0, room = picture->rows.count;
    const cli_watch_row **rows = room ? malloc(room * sizeof(cli_watch_row *)) : NULL;
    for (size_t i = 0; rows && i < room; i++)
        if (passes(&picture->rows.rows[i], view)) rows[found++] = &picture->rows.rows[i];
    set_groups(object, rows, found, view->prefix);
    if (found) qsort_r(rows, found, sizeof(cli_watch_row *), by_weight, (void *)view);
    for (size_t i = view->offset; i < found && i - view->offset < view->limit; i++)
        json_array_append_new(list, row_json(rows[i]));
    free(rows);
    json_object_set_new(object, "total", json_integer((json_int_t)found));
    json_object_set_new(object, "offset", json_integer((json_int_t)view->offset));
    json_object_set_new(object, "rows", list);
}
