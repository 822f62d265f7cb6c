/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "exit_codes.h"
#include "json.h"
#include "lease.h"
#include "store.h"

typedef struct renew_opts {
    cli_common common;
    const char *token;
    int64_t ttl_ms;
    bool json;
} renew_opts;

#define AT(field) offsetof(renew_opts, field)

static const cli_option renew_options[] = {
    {CLI_VALUE_TEXT, 0, "token", "TOKEN", AT(token), .help = "the proof; default $PAWL_TOKEN"},
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms),
     .help = "the lease lasts so long from now (default 30s)"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

static int renew(const renew_opts *opts, const cli_lease *lease, pawl_client *client)
{
    uint64_t fence = 0;
    int err = pawl_token_renew(client, lease->key, strlen(lease->key), lease->token, opts->ttl_ms,
                               opts->common.store_timeout_ms, &fence);
    if (err) return cli_lease_fail(client, "renew", lease, err);
    if (opts->json) {
        json_t *object = json_object();
        cli_json_set_bytes(object, "key", lease->key, strlen(lease->key));
        json_object_set_new(object, "fence", json_integer((json_int_t)fence));
        json_object_set_new(object, "ttl_ms", json_integer(opts->ttl_ms));
        cli_json_print(object);
    }
    return cli_finish_output(CLI_EXIT_OK);
}

static int renew_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    renew_opts opts = {.common = *globals, .ttl_ms = PAWL_TTL_DEFAULT_MS};
    cli_args rest;
    cli_lease lease;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    code = cli_lease_find(self, &rest, opts.token, true, &lease);
    if (!code) code = cli_ttl_check(self->verb, opts.ttl_ms);
    if (code) return code;

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = renew(&opts, &lease, client);
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_renew = {
    .verb = "renew",
    .operands = "[KEY]",
    .summary = "extend a lease by its token",
    .page =
        "Exit code 76: the token does not hold the lock (any more). Nothing brings a lost lock\n"
        "back: acquire it again.",
    .options = renew_options,
    .main = renew_main,
};
