/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strdup */
#include "top.h"

#include <stdlib.h>
#include <string.h>

#include "../message.h"

void top_forget_lines(top *t)
{
    for (size_t i = 0; i < t->line_count; i++) free(t->lines[i].shown);
    free(t->lines);
    t->lines = NULL;
    t->line_count = 0;
}

/* ---- Which ------------------------------------------------------------------------------ */

static bool belongs(const cli_watch_row *row, top_tab tab, uint64_t changes)
{
    switch (tab) {
    case TOP_HELD:
        return row->held;
    case TOP_WAITING:
        return row->waiter_count > 0;
    case TOP_HOT:
        return changes > 0;
    default:
        return false;
    }
}

int64_t top_tab_count(const top *t, top_tab tab)
{
    int64_t count = 0;
    if (tab == TOP_LOST) return (int64_t)t->loss_count;
    if (t->now.err) return -1;
    for (size_t i = 0; i < t->now.count; i++) {
        const cli_watch_row *row = &t->now.rows[i];
        count += belongs(row, tab, tab == TOP_HOT ? top_changes(t, row) : 0);
    }
    return count;
}

/* The filter is a part of the name, or of the holder's label. */
static bool passes(const top *t, const char *shown, const char *label)
{
    if (!t->filter[0] || strstr(shown, t->filter)) return true;
    char *safe = cli_escape(label, strlen(label));
    bool found = strstr(safe, t->filter) != NULL;
    free(safe);
    return found;
}

static void add(top *t, top_line line)
{
    const char *name = line.loss ? line.loss->name : line.row->name;
    size_t name_len = line.loss ? line.loss->name_len : line.row->name_len;
    line.shown = cli_escape(name, name_len);
    if (passes(t, line.shown, line.loss ? line.loss->by : line.row->owner))
        t->lines[t->line_count++] = line;
    else
        free(line.shown);
}

static void collect(top *t)
{
    size_t most = t->tab == TOP_LOST ? t->loss_count : t->now.count;
    t->lines = most ? calloc(most, sizeof *t->lines) : NULL;
    t->line_count = 0;
    if (!t->lines) return;
    for (size_t i = most; t->tab == TOP_LOST && i > 0; i--)
        add(t, (top_line){.loss = &t->losses[i - 1]});
    for (size_t i = 0; t->tab != TOP_LOST && i < most; i++) {
        const cli_watch_row *row = &t->now.rows[i];
        uint64_t changes = top_changes(t, row);
        if (belongs(row, t->tab, changes)) add(t, (top_line){.row = row, .changes = changes});
    }
}

/* ---- In which order --------------------------------------------------------------------- */

#define LATEST INT64_MAX /* unknown values and leases without end come last */

/* The smaller one comes first. */
static int64_t rank(const top_line *line, top_sort sort)
{
    const cli_watch_row *row = line->row;
    switch (sort) {
    case TOP_BY_AGE:
        return row->since_s < 0 ? LATEST : row->since_s;
    case TOP_BY_LEFT:
        return row->held && row->remaining_ms >= 0 ? row->remaining_ms : LATEST;
    case TOP_BY_WAITING:
        return -(int64_t)row->waiter_count;
    case TOP_BY_CHANGES:
        return -(int64_t)line->changes;
    default:
        return 0;
    }
}

static int compare(const top_line *a, const top_line *b, top_sort sort)
{
    int64_t left = rank(a, sort), right = rank(b, sort);
    if (left != right) return left < right ? -1 : 1;
    return cli_watch_order(a->row, b->row);
}

static int by_name(const void *a, const void *b)
{
    return compare(a, b, TOP_BY_NAME);
}

static int by_age(const void *a, const void *b)
{
    return compare(a, b, TOP_BY_AGE);
}

static int by_left(const void *a, const void *b)
{
    return compare(a, b, TOP_BY_LEFT);
}

static int by_waiting(const void *a, const void *b)
{
    return compare(a, b, TOP_BY_WAITING);
}

static int by_changes(const void *a, const void *b)
{
    return compare(a, b, TOP_BY_CHANGES);
}

static int (*const orders[TOP_SORTS])(const void *, const void *) = {by_name, by_age, by_left,
                                                                     by_waiting, by_changes};

/* ---- The selection ---------------------------------------------------------------------- */

const top_line *top_selected(const top *t)
{
    return t->selected < t->line_count ? &t->lines[t->selected] : NULL;
}

void top_select(top *t, size_t line)
{
    t->selected = t->line_count && line >= t->line_count ? t->line_count - 1 : line;
    if (!t->line_count) t->selected = 0;
    free(t->selected_name);
    const top_line *now = top_selected(t);
    t->selected_name = now ? strdup(now->shown) : NULL;
}

void top_arrange(top *t)
{
    top_forget_lines(t);
    collect(t);
    if (t->tab != TOP_LOST && t->line_count)
        qsort(t->lines, t->line_count, sizeof *t->lines, orders[t->sorts[t->tab]]);
    if (t->now.err && t->tab != TOP_LOST) return; /* the lock may be there when the store is back */
    size_t at = t->selected;
    for (size_t i = 0; t->selected_name && i < t->line_count; i++)
        if (strcmp(t->lines[i].shown, t->selected_name) == 0) at = i;
    top_select(t, at);
}
