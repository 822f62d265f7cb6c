/* SPDX-License-Identifier: MIT */
#include "sql_report.h"

#include "sql_reply.h"

#include <stdlib.h>
#include <string.h>

enum {
    KIND,
    NAME,
    OWNER,
    LEFT_MS,
    AGE_MS,
    FENCE,
    MODE,
    UNITS,
    MINE,
    TOTAL,
    BROKEN_BY,
    BROKEN_MS,
    BROKEN_FENCE
};
enum { OF_NAME, OF_HOLDER, OF_WAITER };

/* ---- Rows ---------------------------------------------------------------------------------- */

typedef struct shown {
    pawl_holder_info *holders;
    pawl_waiter_info *waiters;
    char (*owners)[PAWL_OWNER_MAX + 1];
    size_t room; /* of each */
} shown;

static const char *text(const pawl__sql_table *table, int row, int column)
{
    const char *value = table->text(table->result, row, column);
    return value ? value : "";
}

static int64_t number(const pawl__sql_table *table, int row, int column)
{
    return strtoll(text(table, row, column), NULL, 10);
}

/* Bytes and a NUL; nothing if there are too many, or if it is not hex. */
static size_t unhex(const char *hex, char *ret_text, size_t bytes_max)
{
    size_t len;
    (void)!pawl__sql_parse_hex(hex, ret_text, bytes_max + 1, &len);
    return len;
}

static void show_holder(const pawl__sql_table *table, int row, shown *s, pawl_info *info)
{
    size_t n = info->holders_shown++;
    char *owner = s->owners[n];
    (void)unhex(text(table, row, OWNER), owner, PAWL_OWNER_MAX);
    pawl_holder_info one = {.owner = owner,
                            .remaining_ms = number(table, row, LEFT_MS),
                            .fence = (uint64_t)number(table, row, FENCE),
                            .mode = (pawl_mode)number(table, row, MODE),
                            .units = (uint32_t)number(table, row, UNITS),
                            .mine = strcmp(text(table, row, MINE), "t") == 0};
    s->holders[n] = one;
    if (!info->held || one.remaining_ms > info->remaining_ms) info->remaining_ms = one.remaining_ms;
    info->held = true;
    info->mine |= one.mine;
    info->owner = owner; /* the last one's fence is the largest */
    info->fence = one.fence;
    info->mode = one.mode;
    info->holder_count = (size_t)number(table, row, TOTAL);
}

static void show_waiter(const pawl__sql_table *table, int row, shown *s, pawl_info *info)
{
    size_t n = info->waiters_shown++;
    char *owner = s->owners[info->holders_shown + n];
    (void)unhex(text(table, row, OWNER), owner, PAWL_OWNER_MAX);
    s->waiters[n] = (pawl_waiter_info){.owner = owner,
                                       .age_ms = number(table, row, AGE_MS),
                                       .place_ms = number(table, row, LEFT_MS),
                                       .mode = (pawl_mode)number(table, row, MODE),
                                       .units = (uint32_t)number(table, row, UNITS)};
    info->waiter_count = (size_t)number(table, row, TOTAL);
}

/* The rows of one name, from `first` on; the row behind them. */
static int give_name(pawl_host *host, uint64_t id, const pawl__sql_table *table, int first,
                     shown *s)
{
    char name[PAWL_NAME_MAX + 1], broken_by[PAWL_OWNER_MAX + 1];
    pawl_info info = {.size = sizeof info,
                      .name = name,
                      .name_len = unhex(text(table, first, NAME), name, PAWL_NAME_MAX),
                      .owner = "",
                      .fence = (uint64_t)number(table, first, FENCE),
                      .holders = s->holders,
                      .waiters = s->waiters};
    int row = first + 1, rows = table->rows;
    if (table->text(table->result, first, BROKEN_FENCE)) {
        (void)unhex(text(table, first, BROKEN_BY), broken_by, PAWL_OWNER_MAX);
        info.broken_by = broken_by;
        info.broken_ms = number(table, first, BROKEN_MS);
        info.broken_fence = (uint64_t)number(table, first, BROKEN_FENCE);
    }
    for (; row < rows && number(table, row, KIND) == OF_HOLDER; row++)
        show_holder(table, row, s, &info);
    for (; row < rows && number(table, row, KIND) == OF_WAITER; row++)
        show_waiter(table, row, s, &info);
    if (info.held || info.waiter_count) info.capacity = (uint32_t)number(table, first, UNITS);
    host->row(host, id, &info);
    return row;
}

/* False when out of memory. */
static bool make_room(shown *s, size_t rows)
{
    s->holders = calloc(rows, sizeof *s->holders);
    s->waiters = calloc(rows, sizeof *s->waiters);
    s->owners = calloc(rows, sizeof *s->owners);
    return s->holders && s->waiters && s->owners;
}

int pawl__sql_report(pawl_host *host, uint64_t id, const pawl__sql_table *table,
                     pawl__sql_range *range)
{
    shown s = {0};
    int names = 0;
    if (!make_room(&s, (size_t)table->rows + 1)) names = PAWL__SQL_NO_MEMORY;
    for (int row = 0; row < table->rows && names >= 0; names++) {
        if (number(table, row, KIND) != OF_NAME) {
            names = PAWL__SQL_NO_REPORT;
            break;
        }
        range->from_len = unhex(text(table, row, NAME), range->from, PAWL_NAME_MAX);
        row = give_name(host, id, table, row, &s);
    }
    free(s.holders);
    free(s.waiters);
    free(s.owners);
    return names;
}

/* ---- Ranges -------------------------------------------------------------------------------- */

/* The first string behind all strings with this prefix; there is none behind \xff\xff... */
static void end_of_prefix(pawl__sql_range *r)
{
    memcpy(r->end, r->from, r->from_len);
    r->end_len = r->from_len;
    while (r->end_len > 0 && (unsigned char)r->end[r->end_len - 1] == 0xff) r->end_len--;
    if (r->end_len > 0) r->end[r->end_len - 1] = (char)(r->end[r->end_len - 1] + 1);
}

void pawl__sql_range_of_prefix(pawl__sql_range *ret_range, const char *prefix, size_t len)
{
    ret_range->from_len = len < PAWL_NAME_MAX ? len : PAWL_NAME_MAX;
    memcpy(ret_range->from, prefix, ret_range->from_len);
    end_of_prefix(ret_range);
}
