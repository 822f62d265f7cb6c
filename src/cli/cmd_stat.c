/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "command.h"
#include "exit_codes.h"
#include "holder.h"
#include "json.h"
#include "message.h"
#include "session.h"
#include "store.h"
#include "watch.h"

#define INTERVAL_MIN_MS     100
#define INTERVAL_DEFAULT_MS 1000

typedef struct stat_opts {
    cli_common common;
    int64_t interval_ms;
    int64_t count; /* 0: without end */
    bool json;
} stat_opts;

#define AT(field) offsetof(stat_opts, field)

static const cli_option stat_options[] = {
    {CLI_VALUE_SPAN, 'i', "interval", "D", AT(interval_ms),
     .help = "one line each D (default 1s, at least 100ms)"},
    {CLI_VALUE_NUMBER, 'c', "count", "N", AT(count), .min = 1, .max = INT32_MAX,
     .help = "end after N lines (default: go on)"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object on each line"},
    CLI_OPTIONS_END,
};

static const char *now_text(char ret_text[CLI_UTC_TEXT])
{
    return cli_utc_text((int64_t)time(NULL), ret_text) ? ret_text : "?";
}

/* ---- For scripts ---------------------------------------------------------------------- */

static json_t *json_or_null(int64_t number)
{
    return number < 0 ? json_null() : json_integer(number);
}

static void print_json(const cli_watch *now, const cli_watch_sums *sums)
{
    char instant[CLI_UTC_TEXT];
    bool known = now->err == 0;
    json_t *object = json_object();
    json_object_set_new(object, "time", json_string(now_text(instant)));
    json_object_set_new(object, "held", json_or_null(known ? (int64_t)sums->held : -1));
    json_object_set_new(object, "holders", json_or_null(known ? (int64_t)sums->holders : -1));
    json_object_set_new(object, "waiting", json_or_null(known ? (int64_t)sums->waiting : -1));
    json_object_set_new(object, "queues", json_or_null(known ? (int64_t)sums->queues : -1));
    json_object_set_new(object, "changed", json_or_null(known ? sums->changed : -1));
    json_object_set_new(object, "oldest_wait_ms", json_or_null(known ? sums->oldest_wait_ms : -1));
    json_object_set_new(object, "took_ms", json_integer(now->took_ms));
    if (!known) json_object_set_new(object, "error", json_string(now->reason));
    cli_json_print(object);
}

/* "-" where there is none, "?" where nobody knows. */
static const char *number_text(int64_t number, const char *without, char ret_text[24])
{
    if (number < 0) return without;
    snprintf(ret_text, 24, "%" PRId64, number);
    return ret_text;
}

static void print_line(const cli_watch *now, const cli_watch_sums *sums)
{
    char instant[CLI_UTC_TEXT], changed[24], oldest[24];
    now_text(instant);
    if (now->err) {
        cli_print("%-21s %7s %7s %7s %7s %7s %9s %7" PRId64 "  %s\n", instant, "?", "?", "?", "?",
                  "?", "?", now->took_ms, now->reason);
        return;
    }
    const char *without = sums->queues ? "?" : "-";
    cli_print("%-21s %7zu %7zu %7zu %7zu %7s %9s %7" PRId64 "\n", instant, sums->held,
              sums->holders, sums->waiting, sums->queues, number_text(sums->changed, "?", changed),
              number_text(sums->oldest_wait_ms, without, oldest), now->took_ms);
}

/* ---- The command ---------------------------------------------------------------------- */

static void wait_until(pawl_client *client, int64_t instant)
{
    for (int64_t left; (left = instant - cli_now_ms()) > 0;)
        if (pawl_client_wait(client, -1, left) < 0) return; /* this keeps the link up */
}

static int watch(const stat_opts *opts, pawl_client *client, const char *prefix)
{
    cli_watch before = {.err = 0}, now = {.err = 0};
    cli_watch_sums sums;
    int code = 0;
    if (!opts->json)
        cli_print("%-21s %7s %7s %7s %7s %7s %9s %7s\n", "TIME", "HELD", "HOLDERS", "WAITING",
                  "QUEUES", "CHANGED", "OLDEST_MS", "TOOK_MS");
    for (int64_t line = 0; !code && (opts->count == 0 || line < opts->count); line++) {
        if (line) wait_until(client, cli_watch_next(&now, opts->interval_ms));
        cli_watch_done(&before);
        before = now;
        cli_watch_look(client, prefix, &now);
        cli_watch_sum(&now, &before, &sums);
        (opts->json ? print_json : print_line)(&now, &sums);
        code = cli_finish_output(CLI_EXIT_OK);
    }
    if (!code && now.err) code = cli_exit_of_err(now.err);
    cli_watch_done(&before);
    cli_watch_done(&now);
    return code;
}

static int stat_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    stat_opts opts = {.common = *globals, .interval_ms = INTERVAL_DEFAULT_MS};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count > 1) return cli_usage_error(self, "at most one PREFIX is wanted");
    if (opts.interval_ms < INTERVAL_MIN_MS)
        return cli_usage_error(self, "--interval: expected at least %dms", INTERVAL_MIN_MS);

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = watch(&opts, client, rest.count ? rest.items[0] : "");
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_stat = {
    .verb = "stat",
    .operands = "[PREFIX]",
    .summary = "one line a second: how many locks are held and waited for",
    .page =
        "HELD locks with HOLDERS holders; WAITING waiters in QUEUES queues; CHANGED: locks that\n"
        "have another holder than in the line before (more often than that is not seen);\n"
        "OLDEST_MS: how long somebody has waited; TOOK_MS: how long the store took to answer.\n"
        "A line comes later than D if looking would take more than a tenth of the time.\n"
        "\"?\", in JSON null, is what is not known; the reason stands behind it. The exit code\n"
        "tells of the last line.",
    .options = stat_options,
    .main = stat_main,
};
