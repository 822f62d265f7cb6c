/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "json.h"
#include "message.h"
#include "session.h"

typedef struct acquire_opts {
    cli_common common;
    int64_t wait_ms;
    int64_t busy_code;
    int64_t ttl_ms;
    bool shell;
    bool json;
} acquire_opts;

#define AT(field) offsetof(acquire_opts, field)

static const cli_option acquire_options[] = {
    {CLI_VALUE_FIXED, 'n', "nb|nonblock", NULL, AT(wait_ms), .min = 0,
     .help = "do not wait for a busy lock"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait at most so long; 0 is -n"},
    CLI_OPTION_CONFLICT_CODE(AT(busy_code), "the lock stays busy"),
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms),
     .help = "length of the lease; nobody renews it but pawl renew (default 30s)"},
    {CLI_VALUE_FLAG, 0, "sh", NULL, AT(shell), .help = "print assignments for a shell's eval"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

/* In single quotes nothing is special but the single quote itself. */
static void print_quoted(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'') {
            fputs("'\\''", stdout);
            continue;
        }
        putchar(*text);
    }
    putchar('\'');
}

static void print_lease(const acquire_opts *opts, const cli_session *session)
{
    pawl_token token;
    uint64_t fence = pawl_lock_fence(session->lock);
    pawl_lock_token(session->lock, &token);

    if (opts->json) {
        json_t *object = json_object();
        cli_json_set_bytes(object, "key", session->key, strlen(session->key));
        json_object_set_new(object, "token", json_string(token.text));
        json_object_set_new(object, "fence", json_integer((json_int_t)fence));
        json_object_set_new(object, "ttl_ms", json_integer(opts->ttl_ms));
        cli_json_print(object);
        return;
    }
    if (opts->shell) {
        fputs("PAWL_KEY=", stdout);
        print_quoted(session->key);
        printf("; PAWL_TOKEN=%s; PAWL_FENCE=%" PRIu64 "; export PAWL_KEY PAWL_TOKEN PAWL_FENCE\n",
               token.text, fence);
        return;
    }
    printf("token %s\nfence %" PRIu64 "\n", token.text, fence);
}

/*
 * The lease is left behind only once its token has been told: if nobody can read
 * it (a full disk, a closed pipe), nobody could release it.
 */
static int leave_lease(const acquire_opts *opts, cli_session *session)
{
    print_lease(opts, session);
    int code = cli_finish_output(CLI_EXIT_OK);
    if (code) {
        (void)cli_session_release(session);
        return code;
    }
    int err = pawl_lock_detach(session->lock);
    return err ? cli_fail(session->client, "acquire", session->key, err) : CLI_EXIT_OK;
}

static int acquire_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    acquire_opts opts = {
        .common = *globals,
        .wait_ms = PAWL_WAIT_FOREVER,
        .busy_code = CLI_EXIT_BUSY,
        .ttl_ms = PAWL_TTL_DEFAULT_MS,
    };
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (!code) code = cli_ttl_check(self->verb, opts.ttl_ms);
    if (code) return code;

    pawl_lock_opts lock_opts;
    pawl_lock_opts_init(&lock_opts);
    lock_opts.ttl_ms = opts.ttl_ms;
    lock_opts.flags = PAWL_LOCK_DETACHED;

    cli_session session;
    code = cli_session_open(&session, &opts.common, cli_ending_signals, key, &lock_opts);
    bool held =
        !code && cli_session_acquire(&session, opts.wait_ms, (int)opts.busy_code, true, &code);
    if (held) code = leave_lease(&opts, &session);
    cli_session_close(&session);
    return code;
}

static const char acquire_page[] =
    "Takes the lock and leaves it: the lease stays at the store after pawl has ended, until\n"
    "pawl release, or until --ttl has passed without pawl renew. The token is the proof of\n"
    "ownership: who knows it can renew and release.\n\n"
    "  eval \"$(pawl acquire -t 10m --sh deploy)\" && ... ; pawl release";

const cli_command cli_cmd_acquire = {
    .verb = "acquire",
    .operands = "KEY",
    .summary = "take a lock and leave it; print its token and fence",
    .page = acquire_page,
    .options = acquire_options,
    .main = acquire_main,
};
