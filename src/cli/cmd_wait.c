/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "exit_codes.h"
#include "json.h"
#include "message.h"
#include "session.h"

/*
 * Looks again and again instead of queueing: a waiter in the queue would take the
 * lock for a moment, draw a fence and turn others away.
 */
#define LOOK_MIN_MS 20
#define LOOK_MAX_MS 200

typedef struct wait_opts {
    cli_common common;
    int64_t wait_ms;
    int64_t busy_code;
    bool held;
    bool json;
} wait_opts;

#define AT(field) offsetof(wait_opts, field)

static const cli_option wait_options[] = {
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait at most so long; 0 only looks"},
    {CLI_VALUE_FIXED, 'n', "nb|nonblock", NULL, AT(wait_ms), .min = 0, .help = "only look"},
    {CLI_VALUE_NUMBER, 'E', "conflict-exit-code", "N", AT(busy_code), .max = 255,
     .help = "exit code when the wait ran out (default 75)"},
    {CLI_VALUE_FLAG, 0, "held", NULL, AT(held), .help = "wait until it is taken instead"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object at the end"},
    CLI_OPTIONS_END,
};

typedef struct view {
    bool held;
    int64_t remaining_ms;
} view;

static bool on_info(const pawl_info *info, void *userdata)
{
    *(view *)userdata = (view){info->held, info->remaining_ms};
    return true;
}

/* Random, so that many who wait do not look in step; not past what can be foreseen. */
static int64_t next_look_ms(const view *seen, int64_t left_ms)
{
    int64_t span = LOOK_MIN_MS + random() % (LOOK_MAX_MS - LOOK_MIN_MS);
    if (seen->held && seen->remaining_ms >= 0 && seen->remaining_ms < span) {
        span = seen->remaining_ms + 1;
    }
    if (left_ms >= 0 && left_ms < span) span = left_ms; /* one last look at the end */
    return span > 0 ? span : 1;
}

/* What was seen last, also if the wait ran out. */
static int tell_seen(const wait_opts *opts, const char *key, bool held)
{
    if (!opts->json) return CLI_EXIT_OK;
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", key, strlen(key));
    json_object_set_new(object, "held", json_boolean(held));
    cli_json_print(object);
    return cli_finish_output(CLI_EXIT_OK);
}

static int wait_for(const cli_command *self, const wait_opts *opts, pawl_client *client,
                    const char *key)
{
    int64_t until = cli_now_ms() + opts->wait_ms;
    for (;;) {
        view seen = {0};
        int err =
            pawl_inspect(client, key, strlen(key), opts->common.store_timeout_ms, on_info, &seen);
        if (err) return cli_fail(client, self->verb, key, err);
        if (seen.held == opts->held) return tell_seen(opts, key, seen.held);

        int64_t left = opts->wait_ms == PAWL_WAIT_FOREVER ? -1 : until - cli_now_ms();
        if (opts->wait_ms != PAWL_WAIT_FOREVER && left <= 0) break;
        int64_t span = next_look_ms(&seen, left);
        struct timespec pause = {.tv_sec = span / 1000, .tv_nsec = span % 1000 * 1000000};
        nanosleep(&pause, NULL);
    }
    char *safe = cli_escape(key, strlen(key));
    cli_warn("%s: still %s", safe, opts->held ? "free" : "held");
    free(safe);
    int told = tell_seen(opts, key, !opts->held);
    return told ? told : (int)opts->busy_code;
}

static int wait_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    wait_opts opts = {.common = *globals, .wait_ms = PAWL_WAIT_FOREVER, .busy_code = CLI_EXIT_BUSY};
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count != 1) return cli_usage_error(self, "one KEY is wanted");
    code = cli_key_check(self->verb, rest.items[0]);
    if (code) return code;

    srandom((unsigned)cli_now_ms());
    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = wait_for(self, &opts, client, rest.items[0]);
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_wait = {
    .verb = "wait",
    .operands = "KEY",
    .summary = "wait until a lock is free, without taking it",
    .page =
        "By the time that you read the answer somebody else may have taken it: to do something\n"
        "under the lock use pawl run.",
    .options = wait_options,
    .main = wait_main,
};
