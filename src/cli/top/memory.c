/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strdup */
#include "top.h"

#include <stdlib.h>
#include <string.h>

#define COUNTS_MAX   100000           /* names that are remembered */
#define FORGOTTEN_MS (10 * 60 * 1000) /* after a name was last seen */

/* ---- Changes ------------------------------------------------------------------------- */

static bool take_name(top_count *count, const cli_watch_row *row)
{
    char *name = malloc(row->name_len + 1);
    if (!name) return false;
    memcpy(name, row->name, row->name_len + 1);
    *count = (top_count){.like = {.name = name, .name_len = row->name_len}};
    return true;
}

/* Both are in order of their names, and so is the result. */
static size_t merge(const top *t, top_count *merged)
{
    const cli_watch *now = &t->now;
    size_t count = 0, old = 0, row = 0;
    while (old < t->count_count || row < now->count) {
        int order = old == t->count_count ? 1
                    : row == now->count   ? -1
                                          : cli_watch_order(&t->counts[old], &now->rows[row]);
        if (order < 0) {
            top_count *known = &t->counts[old++];
            if (known->changes && now->at_ms - known->seen_ms < FORGOTTEN_MS)
                merged[count++] = *known;
            else
                free(known->like.name);
            continue;
        }
        const cli_watch_row *seen = &now->rows[row++];
        if (order == 0)
            merged[count] = t->counts[old++];
        else if (count >= COUNTS_MAX || !take_name(&merged[count], seen))
            continue;
        merged[count].seen_ms = now->at_ms;
        merged[count].changes += cli_watch_has_changed(seen, &t->before);
        count++;
    }
    return count;
}

static void count_changes(top *t)
{
    size_t most = t->count_count + t->now.count;
    top_count *merged = most ? malloc(most * sizeof *merged) : NULL;
    if (!merged) return;
    size_t count = merge(t, merged);
    free(t->counts);
    t->counts = merged;
    t->count_count = count;
}

uint64_t top_changes(const top *t, const cli_watch_row *row)
{
    const top_count *found = NULL;
    if (t->count_count)
        found = bsearch(row, t->counts, t->count_count, sizeof *t->counts, cli_watch_order);
    return found ? found->changes : 0;
}

/* ---- Losses -------------------------------------------------------------------------- */

static bool is_known(const top *t, const char *name, size_t name_len, uint64_t fence)
{
    for (size_t i = 0; i < t->loss_count; i++) {
        const top_loss *loss = &t->losses[i];
        if (loss->fence == fence && loss->name_len == name_len &&
            memcmp(loss->name, name, name_len) == 0)
            return true;
    }
    return false;
}

static void free_loss(top_loss *loss)
{
    free(loss->name);
    free(loss->by);
}

void top_add_loss(top *t, const char *name, size_t name_len, const char *by, uint64_t fence,
                  int64_t at_ms)
{
    if (is_known(t, name, name_len, fence)) return;
    top_loss loss = {.name = malloc(name_len + 1),
                     .name_len = name_len,
                     .by = strdup(by),
                     .fence = fence,
                     .at_ms = at_ms};
    if (!loss.name || !loss.by) {
        free_loss(&loss);
        return;
    }
    memcpy(loss.name, name, name_len);
    loss.name[name_len] = '\0';
    if (t->loss_count == TOP_LOSSES_MAX) {
        free_loss(&t->losses[0]);
        memmove(t->losses, t->losses + 1, (TOP_LOSSES_MAX - 1) * sizeof *t->losses);
        t->loss_count--;
    }
    t->losses[t->loss_count++] = loss;
}

void top_remember(top *t)
{
    count_changes(t);
    for (size_t i = 0; i < t->now.count; i++) {
        const cli_watch_row *row = &t->now.rows[i];
        if (row->broken_by)
            top_add_loss(t, row->name, row->name_len, row->broken_by, row->broken_fence,
                         t->now.at_ms - row->broken_ms);
    }
}

void top_forget(top *t)
{
    for (size_t i = 0; i < t->count_count; i++) free(t->counts[i].like.name);
    free(t->counts);
    for (size_t i = 0; i < t->loss_count; i++) free_loss(&t->losses[i]);
    cli_watch_done(&t->before);
    cli_watch_done(&t->now);
}
