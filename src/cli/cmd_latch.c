/* SPDX-License-Identifier: MIT */
/* latch: waits until the count is down to zero; counts down. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "message.h"
#include "pawl/composed.h"
#include "store.h"

typedef struct latch_opts {
    cli_common common;
    int64_t count, wait_ms, busy_code;
    int64_t by;      /* 0: not given */
    int64_t keep_ms; /* -1: not given */
    bool counts, shows_left;
} latch_opts;

#define AT(field) offsetof(latch_opts, field)

static const cli_option latch_options[] = {
    {CLI_VALUE_NUMBER, 0, "count", "N", AT(count), .min = 1, .max = PAWL_LATCH_COUNT_MAX,
     .help = "the latch opens when it was counted down N times; all name the same N"},
    {CLI_VALUE_FLAG, 0, "down", NULL, AT(counts), .help = "count down, and do not wait"},
    {CLI_VALUE_NUMBER, 0, "by", "K", AT(by), .min = 1, .max = PAWL_LATCH_COUNT_MAX,
     .help = "with --down: count K at once (default 1)"},
    {CLI_VALUE_FLAG, 0, "left", NULL, AT(shows_left),
     .help = "neither count nor wait: print how many are still to come"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait at most so long; 0 only looks"},
    {CLI_VALUE_SPAN, 0, "keep", "D", AT(keep_ms),
     .help = "with --down: the store keeps the latch so long after this (default 1d)"},
    CLI_OPTION_CONFLICT_CODE(AT(busy_code), "the wait ran out"),
    CLI_OPTIONS_END,
};

/* 0, or an exit code after one line. */
static int finish(const cli_command *self, const latch_opts *opts, pawl_client *client,
                  const char *key, int err, uint32_t left)
{
    bool waited = !opts->counts && !opts->shows_left;
    if (waited && (err == PAWL_ERR_BUSY || err == PAWL_ERR_TIMEOUT)) {
        char *safe = cli_escape(key, strlen(key));
        cli_warn("%s: %" PRIu32 " are still to come", safe, left);
        free(safe);
        return (int)opts->busy_code;
    }
    if (err) return cli_fail(client, self->verb, key, err);
    if (opts->shows_left) cli_print("%" PRIu32 "\n", left);
    return cli_finish_output(CLI_EXIT_OK);
}

static int carry_out(const cli_command *self, const latch_opts *opts, pawl_client *client,
                     const char *key)
{
    pawl_latch *latch = NULL;
    pawl_latch_opts wanted;
    pawl_latch_opts_init(&wanted);
    wanted.count = (uint32_t)opts->count;
    if (opts->keep_ms >= 0) wanted.keep_ms = opts->keep_ms;
    int err = pawl_latch_new(client, key, strlen(key), &wanted, &latch);
    if (!err && opts->counts)
        err = pawl_latch_count_down(latch, opts->by ? (uint32_t)opts->by : 1, opts->wait_ms);
    else if (!err && opts->shows_left)
        err = pawl_latch_look(latch, opts->common.store_timeout_ms);
    else if (!err)
        err = pawl_latch_wait(latch, opts->wait_ms);
    int code = finish(self, opts, client, key, err, pawl_latch_left(latch));
    pawl_latch_free(latch);
    return code;
}

static int check(const cli_command *self, const latch_opts *opts)
{
    if (!opts->count) return cli_usage_error(self, "--count N is wanted: how often it is counted");
    if (opts->counts && opts->shows_left)
        return cli_usage_error(self, "--down and --left exclude each other");
    if (!opts->counts && (opts->by || opts->keep_ms >= 0))
        return cli_usage_error(self, "%s needs --down", opts->by ? "--by" : "--keep");
    if (opts->keep_ms == 0) return cli_usage_error(self, "--keep: 1ms at least");
    if (opts->by > opts->count)
        return cli_usage_error(self, "--by %d: the latch counts from %d (--count)", (int)opts->by,
                               (int)opts->count);
    return 0;
}

static int latch_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    latch_opts opts = {.common = *globals,
                       .keep_ms = -1,
                       .wait_ms = PAWL_WAIT_FOREVER,
                       .busy_code = CLI_EXIT_BUSY};
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (!code) code = check(self, &opts);
    if (code) return code;
    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = carry_out(self, &opts, client, key);
    pawl_client_close(client);
    return code;
}

static const char latch_page[] =
    "Waits until the latch KEY was counted down N times, by whomever; exits with 0 then, and at\n"
    "once when that has happened before. With --down it counts. A latch opens once: take\n"
    "another KEY for the next time, with a date or a number in it.\n\n"
    "Who counts is not known by name: who counts, dies and is started again counts twice, and\n"
    "one that dies before it counts leaves the others waiting: use -w.\n\n"
    "  pawl latch import-42 --count 3 --down      # by each of three jobs when it is done\n"
    "  pawl latch import-42 --count 3 -w 2h && ./report";

const cli_command cli_cmd_latch = {
    .verb = "latch",
    .operands = "KEY --count N [--down | --left]",
    .summary = "wait until so many have counted down; count down",
    .page = latch_page,
    .options = latch_options,
    .main = latch_main,
};
