/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* strdup */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "duration.h"
#include "exit_codes.h"
#include "holder.h"
#include "json.h"
#include "message.h"
#include "store.h"
#include "utf8.h"

typedef struct ls_opts {
    cli_common common;
    bool json;
} ls_opts;

static const cli_option ls_options[] = {
    {CLI_VALUE_FLAG, 0, "json", NULL, offsetof(ls_opts, json),
     .help = "print one JSON object on each line"},
    CLI_OPTIONS_END,
};

/* ---- The table: every row is kept until the widths are known ----------------- */

#define COLUMNS 6
static const char *const titles[COLUMNS] = {"KEY", "MODE", "HOLDER", "LEFT", "FENCE", "WAITING"};

typedef struct table {
    char *(*rows)[COLUMNS];
    size_t count, room;
    bool no_memory;
} table;

static bool has_room(table *t)
{
    if (t->count < t->room) return true;
    size_t room = t->room ? t->room * 2 : 64;
    void *rows = realloc(t->rows, room * sizeof *t->rows);
    if (!rows) return false;
    t->rows = rows;
    t->room = room;
    return true;
}

static char *number_text(uint64_t number)
{
    char text[24];
    snprintf(text, sizeof text, "%" PRIu64, number);
    return strdup(text);
}

static char *holder_text(const pawl_info *info)
{
    if (!info->held) return strdup("(free)");
    if (*info->owner) return cli_escape(info->owner, strlen(info->owner));
    return strdup(info->foreign ? "(not pawl)" : "(unknown)");
}

/* "shared x 3": three hold it; "permit 5/8": five of eight slots are taken. */
static char *mode_text(const pawl_info *info)
{
    char text[64];
    const char *word = cli_mode_word(info->mode);
    uint32_t units = 0;
    if (!info->held) return strdup("-");
    for (size_t i = 0; i < info->holders_shown; i++) units += info->holders[i].units;
    if (units > 0 && info->holders_shown == info->holder_count)
        snprintf(text, sizeof text, "%s %" PRIu32 "/%" PRIu32, word, units, info->capacity);
    else if (info->holder_count > 1)
        snprintf(text, sizeof text, "%s x %zu", word, info->holder_count);
    else
        snprintf(text, sizeof text, "%s", word);
    return strdup(text);
}

static bool add_row(const pawl_info *info, void *userdata)
{
    table *t = userdata;
    char left[CLI_DURATION_TEXT];
    t->no_memory = !has_room(t);
    if (t->no_memory) return false;
    char **row = t->rows[t->count++];
    row[0] = cli_escape(info->name, info->name_len);
    row[1] = mode_text(info);
    row[2] = holder_text(info);
    row[3] = strdup(info->held ? cli_duration_text(info->remaining_ms, left) : "-");
    row[4] = number_text(info->fence);
    row[5] = number_text(info->waiter_count);
    return true;
}

static int by_name(const void *a, const void *b)
{
    char *const *left = a, *const *right = b;
    return strcmp(left[0], right[0]);
}

static void print_row(const char *const row[COLUMNS], const size_t widths[COLUMNS])
{
    for (int i = 0; i < COLUMNS; i++) {
        bool last = i == COLUMNS - 1;
        size_t width = cli_utf8_count(row[i]);
        cli_print("%s%*s", row[i], last ? 0 : (int)(widths[i] - width + 2), "");
    }
    cli_print("\n");
}

static void print_table(table *t)
{
    size_t widths[COLUMNS];
    if (t->count == 0) return;
    qsort(t->rows, t->count, sizeof *t->rows, by_name);
    for (int i = 0; i < COLUMNS; i++) widths[i] = strlen(titles[i]);
    for (size_t r = 0; r < t->count; r++) {
        for (int i = 0; i < COLUMNS; i++) {
            size_t width = cli_utf8_count(t->rows[r][i]);
            if (width > widths[i]) widths[i] = width;
        }
    }
    print_row(titles, widths);
    for (size_t r = 0; r < t->count; r++) print_row((const char *const *)t->rows[r], widths);
}

static void free_table(table *t)
{
    for (size_t r = 0; r < t->count; r++) {
        for (int i = 0; i < COLUMNS; i++) free(t->rows[r][i]);
    }
    free(t->rows);
}

/* ---- The command ------------------------------------------------------------------ */

static bool print_json(const pawl_info *info, void *userdata)
{
    (void)userdata;
    cli_json_print(cli_json_of_info(info));
    return !ferror(stdout);
}

static int list(const cli_command *self, const ls_opts *opts, pawl_client *client,
                const char *prefix)
{
    table t = {0};
    int err = pawl_list(client, prefix, strlen(prefix), CLI_NOT_WAITING,
                        opts->json ? print_json : add_row, &t);
    if (!err && t.no_memory) err = PAWL_ERR_NO_MEMORY;
    if (!err) print_table(&t);
    free_table(&t);
    if (err) return cli_fail(client, self->verb, *prefix ? prefix : NULL, err);
    return cli_finish_output(CLI_EXIT_OK);
}

static int ls_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    ls_opts opts = {.common = *globals};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count > 1) return cli_usage_error(self, "at most one PREFIX is wanted");

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = list(self, &opts, client, rest.count ? rest.items[0] : "");
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_ls = {
    .verb = "ls",
    .operands = "[PREFIX]",
    .summary = "list the locks that are held or waited for",
    .page = "Names are escaped for terminals (\\n, \\x1b); --json has the exact ones. MODE says "
            "how many\n"
            "hold it beside each other, and HOLDER who came last; show KEY lists them all.",
    .options = ls_options,
    .main = ls_main,
};
