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
#define LOOK_MIN_MS  20
#define LOOK_MAX_MS  200
/* How long the last look, at the end of the wait, waits for an answer. */
#define LAST_LOOK_MS 300

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
    CLI_OPTION_CONFLICT_CODE(AT(busy_code), "the wait ran out"),
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

/* Random, so that many waiters do not look at the same time; not past the next known change. */
static int64_t next_look_ms(const view *seen, int64_t left_ms)
{
    int64_t span = LOOK_MIN_MS + random() % (LOOK_MAX_MS - LOOK_MIN_MS);
    if (seen->held && seen->remaining_ms >= 0 && seen->remaining_ms < span) {
        span = seen->remaining_ms + 1;
    }
    if (left_ms >= 0 && left_ms < span) span = left_ms; /* one last look at the end */
    return span > 0 ? span : 1;
}

/* Prints what was seen last, also if the wait ran out. */
static int tell_seen(const wait_opts *opts, const char *key, bool held)
{
    if (!opts->json) return CLI_EXIT_OK;
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", key, strlen(key));
    json_object_set_new(object, "held", json_boolean(held));
    cli_json_print(object);
    return cli_finish_output(CLI_EXIT_OK);
}

typedef struct looking {
    const wait_opts *opts;
    pawl_client *client;
    const char *key;
    int64_t until;    /* of cli_now_ms(), where the wait has an end */
    int64_t heard_at; /* the store's latest answer, or the beginning */
} looking;

/* -1: without end */
static int64_t left_ms(const looking *l)
{
    if (l->opts->wait_ms == PAWL_WAIT_FOREVER) return PAWL_WAIT_FOREVER;
    int64_t left = l->until - cli_now_ms();
    return left > 0 ? left : 0;
}

/* How long an outage may still last, as for a waiter in a queue (store_timeout_ms). */
static int64_t patience_ms(const looking *l)
{
    if (l->opts->common.store_timeout_ms == PAWL_WAIT_FOREVER) return PAWL_WAIT_FOREVER;
    int64_t left = l->heard_at + l->opts->common.store_timeout_ms - cli_now_ms();
    return left > 0 ? left : 0;
}

static bool is_outage(int err)
{
    pawl_err_class kind = pawl_err_class_of(err);
    return kind == PAWL_CLASS_RETRY || kind == PAWL_CLASS_UNKNOWN;
}

static void pause_ms(int64_t span)
{
    struct timespec pause = {.tv_sec = span / 1000, .tv_nsec = span % 1000 * 1000000};
    nanosleep(&pause, NULL);
}

/* One look. In an outage it looks again until the store's time-out or the wait is over. */
static int look(looking *l, view *ret_seen)
{
    for (;;) {
        int64_t limit = patience_ms(l), left = left_ms(l);
        if (left < LAST_LOOK_MS) left = LAST_LOOK_MS;
        if (l->opts->wait_ms > 0 && (limit < 0 || left < limit)) limit = left;
        if (l->opts->wait_ms == 0) limit = CLI_NOT_WAITING;
        int err = pawl_inspect(l->client, l->key, strlen(l->key), limit, on_info, ret_seen);
        if (!err) l->heard_at = cli_now_ms();
        if (!err || !is_outage(err) || patience_ms(l) == 0 || left_ms(l) == 0) return err;
        pause_ms(LOOK_MIN_MS);
    }
}

static int wait_for(const cli_command *self, looking *l)
{
    const wait_opts *opts = l->opts;
    for (;;) {
        view seen = {0};
        int err = look(l, &seen);
        if (err) return cli_fail(l->client, self->verb, l->key, err);
        if (seen.held == opts->held) return tell_seen(opts, l->key, seen.held);
        int64_t left = left_ms(l);
        if (left == 0) break;
        pause_ms(next_look_ms(&seen, left));
    }
    char *safe = cli_escape(l->key, strlen(l->key));
    cli_warn("%s: still %s", safe, opts->held ? "free" : "held");
    free(safe);
    int told = tell_seen(opts, l->key, !opts->held);
    return told ? told : (int)opts->busy_code;
}

static int wait_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    wait_opts opts = {.common = *globals, .wait_ms = PAWL_WAIT_FOREVER, .busy_code = CLI_EXIT_BUSY};
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (code) return code;

    srandom((unsigned)cli_now_ms());
    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    looking l = {.opts = &opts, .client = client, .key = key, .heard_at = cli_now_ms()};
    l.until = l.heard_at + opts.wait_ms;
    if (!code) code = wait_for(self, &l);
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
