/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strdup */
#include "watch.h"

#include <stdlib.h>
#include <string.h>

#include "holder.h"
#include "session.h"
#include "watch_rest.h"

/* ---- One look ------------------------------------------------------------------------ */

static bool has_room(cli_watch *watch)
{
    if (watch->count < watch->room) return true;
    size_t room = watch->room ? watch->room * 2 : 64;
    cli_watch_row *rows = realloc(watch->rows, room * sizeof *rows);
    if (!rows) return false;
    watch->rows = rows;
    watch->room = room;
    return true;
}

static void free_row(cli_watch_row *row)
{
    free(row->name);
    free(row->owner);
    free(row->broken_by);
}

static char *copy_bytes(const char *bytes, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy) return NULL;
    memcpy(copy, bytes, len);
    copy[len] = '\0';
    return copy;
}

/* The longest wait among the waiters that the store shows, which are the first of the queue. */
static int64_t longest_wait(const pawl_info *info)
{
    int64_t longest = -1;
    for (size_t i = 0; i < info->waiters_shown; i++)
        if (info->waiters[i].age_ms > longest) longest = info->waiters[i].age_ms;
    return longest;
}

static uint32_t units_of(const pawl_info *info)
{
    uint32_t units = 0;
    if (info->holders_shown != info->holder_count) return 0;
    for (size_t i = 0; i < info->holders_shown; i++) units += info->holders[i].units;
    return units;
}

bool cli_watch_keep(const pawl_info *info, cli_watch *watch)
{
    watch->err = has_room(watch) ? PAWL_OK : PAWL_ERR_NO_MEMORY;
    if (watch->err) return false;
    cli_watch_row *row = &watch->rows[watch->count++];
    *row = (cli_watch_row){
        .name = copy_bytes(info->name, info->name_len),
        .name_len = info->name_len,
        .owner = strdup(info->held ? info->owner : ""),
        .held = info->held,
        .foreign = info->foreign,
        .mode = info->mode,
        .capacity = info->capacity,
        .units = units_of(info),
        .holder_count = info->held ? info->holder_count : 0,
        .waiter_count = info->waiter_count,
        .remaining_ms = info->remaining_ms,
        .wait_ms = longest_wait(info),
        .since_s = cli_holder_since_s(info),
        .fence = info->fence,
        .broken_by = info->broken_by ? strdup(info->broken_by) : NULL,
        .broken_ms = info->broken_ms,
        .broken_fence = info->broken_fence,
    };
    bool whole = row->name && row->owner && (row->broken_by || !info->broken_by);
    if (!whole) watch->err = PAWL_ERR_NO_MEMORY;
    return whole;
}

typedef struct looking {
    cli_watch *watch;
    pawl_info_fn fn; /* NULL: nobody, or it has seen enough */
    void *userdata;
} looking;

static bool see(const pawl_info *info, void *userdata)
{
    looking *l = userdata;
    if (l->fn && !l->fn(info, l->userdata)) l->fn = NULL;
    return cli_watch_keep(info, l->watch);
}

static void forget(cli_watch *watch)
{
    for (size_t i = 0; i < watch->count; i++) free_row(&watch->rows[i]);
    free(watch->rows);
    watch->rows = NULL;
    watch->count = watch->room = 0;
}

void cli_watch_look_with(pawl_client *client, const char *prefix, pawl_info_fn fn, void *userdata,
                         cli_watch *ret_watch)
{
    looking l = {.watch = ret_watch, .fn = fn, .userdata = userdata};
    *ret_watch = (cli_watch){.rows = NULL};
    int64_t began = cli_now_ms();
    int err = pawl_list(client, prefix, strlen(prefix), CLI_NOT_WAITING, see, &l);
    if (!err) err = ret_watch->err;
    ret_watch->err = err;
    ret_watch->at_ms = cli_now_ms();
    ret_watch->took_ms = ret_watch->at_ms - began;
    if (err) {
        pawl_client_reason(client, err, ret_watch->reason);
        forget(ret_watch);
        return;
    }
    if (ret_watch->count)
        qsort(ret_watch->rows, ret_watch->count, sizeof *ret_watch->rows, cli_watch_order);
}

void cli_watch_look(pawl_client *client, const char *prefix, cli_watch *ret_watch)
{
    cli_watch_look_with(client, prefix, NULL, NULL, ret_watch);
}

void cli_watch_done(cli_watch *watch)
{
    forget(watch);
}

int64_t cli_watch_next(const cli_watch *watch, int64_t interval_ms)
{
    return watch->at_ms + cli_watch_rest(watch->took_ms, interval_ms, watch->err != 0);
}

/* ---- Two looks ----------------------------------------------------------------------- */

int cli_watch_order(const void *a, const void *b)
{
    const cli_watch_row *left = a, *right = b;
    size_t shorter = left->name_len < right->name_len ? left->name_len : right->name_len;
    int order = memcmp(left->name, right->name, shorter);
    if (order) return order;
    return (left->name_len > right->name_len) - (left->name_len < right->name_len);
}

const cli_watch_row *cli_watch_find(const cli_watch *watch, const cli_watch_row *like)
{
    if (!watch->count) return NULL;
    return bsearch(like, watch->rows, watch->count, sizeof *watch->rows, cli_watch_order);
}

static bool knows(const cli_watch *watch)
{
    return watch->at_ms && !watch->err;
}

bool cli_watch_has_changed(const cli_watch_row *row, const cli_watch *before)
{
    if (!row->held || !knows(before)) return false;
    const cli_watch_row *old = cli_watch_find(before, row);
    return !old || !old->held || old->fence != row->fence;
}

void cli_watch_sum(const cli_watch *now, const cli_watch *before, cli_watch_sums *ret_sums)
{
    bool compares = knows(before);
    *ret_sums = (cli_watch_sums){.oldest_wait_ms = -1, .changed = compares ? 0 : -1};
    for (size_t i = 0; i < now->count; i++) {
        const cli_watch_row *row = &now->rows[i];
        ret_sums->held += row->held;
        ret_sums->holders += row->holder_count;
        ret_sums->waiting += row->waiter_count;
        ret_sums->queues += row->waiter_count > 0;
        if (row->wait_ms > ret_sums->oldest_wait_ms) ret_sums->oldest_wait_ms = row->wait_ms;
        if (compares) ret_sums->changed += cli_watch_has_changed(row, before);
    }
}
