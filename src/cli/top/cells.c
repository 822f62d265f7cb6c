/* SPDX-License-Identifier: MIT */
/* "?": unknown. "-": there is none. */
#include "top.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "../duration.h"
#include "../holder.h"
#include "../message.h"
#include "../session.h"

const char *const top_tab_names[TOP_TABS] = {"held", "waiting", "hot", "lost"};
const char *const top_sort_names[TOP_SORTS] = {"name", "age", "left", "waiting", "changes"};

static void span_text(int64_t ms, char *ret_text, size_t size)
{
    char text[CLI_DURATION_TEXT];
    snprintf(ret_text, size, "%s", cli_duration_text(ms < 0 ? 0 : ms, text));
}

static void name_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    snprintf(ret_text, size, "%s", line->shown);
}

static void label_into(const char *label, const char *without, char *ret_text, size_t size)
{
    char *safe = cli_escape(label, strlen(label));
    snprintf(ret_text, size, "%s", *safe ? safe : without);
    free(safe);
}

static void holder_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    const cli_watch_row *row = line->row;
    if (!row->held)
        snprintf(ret_text, size, "(free)");
    else
        label_into(row->owner, row->foreign ? "(not pawl)" : "?", ret_text, size);
}

static void mode_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    const cli_watch_row *row = line->row;
    const char *word = cli_mode_word(row->mode);
    if (!row->held)
        snprintf(ret_text, size, "-");
    else if (row->units)
        snprintf(ret_text, size, "%s %" PRIu32 "/%" PRIu32, word, row->units, row->capacity);
    else if (row->holder_count > 1)
        snprintf(ret_text, size, "%s x%zu", word, row->holder_count);
    else
        snprintf(ret_text, size, "%s", word);
}

static void age_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    const cli_watch_row *row = line->row;
    if (!row->held || row->since_s < 0)
        snprintf(ret_text, size, "%s", row->held ? "?" : "-");
    else
        span_text(((int64_t)time(NULL) - row->since_s) * 1000, ret_text, size);
}

static void left_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    const cli_watch_row *row = line->row;
    if (!row->held || row->remaining_ms < 0)
        snprintf(ret_text, size, "%s", row->held ? "never" : "-");
    else
        span_text(row->remaining_ms, ret_text, size);
}

static void waiting_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    snprintf(ret_text, size, "%zu", line->row->waiter_count);
}

static void oldest_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    const cli_watch_row *row = line->row;
    if (row->wait_ms < 0)
        snprintf(ret_text, size, "%s", row->waiter_count ? "?" : "-");
    else
        span_text(row->wait_ms, ret_text, size);
}

static void changes_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    snprintf(ret_text, size, "%" PRIu64, line->changes);
}

static void loss_fence_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    snprintf(ret_text, size, "%" PRIu64, line->loss->fence);
}

static void loss_age_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    span_text(cli_now_ms() - line->loss->at_ms, ret_text, size);
}

static void loss_by_cell(const top *t, const top_line *line, char *ret_text, size_t size)
{
    (void)t;
    label_into(line->loss->by, "?", ret_text, size);
}

const top_column top_columns[TOP_TABS][TOP_COLUMNS_MAX] = {
    [TOP_HELD] = {{"KEY", 0, name_cell},
                  {"MODE", 12, mode_cell},
                  {"HOLDER", 24, holder_cell},
                  {"FOR", 8, age_cell},
                  {"LEFT", 8, left_cell}},
    [TOP_WAITING] = {{"KEY", 0, name_cell},
                     {"WAITING", 8, waiting_cell},
                     {"OLDEST", 8, oldest_cell},
                     {"HOLDER", 24, holder_cell},
                     {"LEFT", 8, left_cell}},
    [TOP_HOT] = {{"KEY", 0, name_cell},
                 {"CHANGES", 8, changes_cell},
                 {"WAITING", 8, waiting_cell},
                 {"HOLDER", 24, holder_cell},
                 {"FOR", 8, age_cell}},
    [TOP_LOST] = {{"KEY", 0, name_cell},
                  {"FENCE", 18, loss_fence_cell},
                  {"AGO", 8, loss_age_cell},
                  {"BROKEN BY", 24, loss_by_cell}},
};
