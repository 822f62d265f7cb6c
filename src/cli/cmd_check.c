/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "holder.h"
#include "json.h"
#include "lease.h"
#include "message.h"
#include "store.h"

typedef struct check_opts {
    cli_common common;
    const char *token;
    uint64_t fence;
    bool json;
} check_opts;

#define AT(field) offsetof(check_opts, field)

static const cli_option check_options[] = {
    {CLI_VALUE_TEXT, 0, "token", "TOKEN", AT(token), .help = "the proof; default $PAWL_TOKEN"},
    {CLI_VALUE_FENCE, 0, "fence", "N", AT(fence),
     .help = "check by fence instead; default $PAWL_FENCE where there is no token"},
    {CLI_VALUE_FLAG, 0, "json", NULL, AT(json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

typedef struct asked {
    uint64_t fence;
    bool holds;
    int64_t remaining_ms;
} asked;

static bool on_info(const pawl_info *info, void *userdata)
{
    asked *about = userdata;
    about->holds = cli_holder_of_fence(info, about->fence, &about->remaining_ms);
    return true;
}

static int check_by_fence(pawl_client *client, const char *key, uint64_t fence, int64_t wait_ms,
                          int64_t *ret_remaining_ms)
{
    asked about = {.fence = fence};
    int err = pawl_inspect(client, key, strlen(key), wait_ms, on_info, &about);
    if (err) return err;
    if (!about.holds) return PAWL_ERR_LOST;
    *ret_remaining_ms = about.remaining_ms;
    return PAWL_OK;
}

static int check(const check_opts *opts, const cli_lease *lease, pawl_client *client)
{
    int64_t remaining_ms = 0, wait_ms = opts->common.store_timeout_ms;
    int err = opts->fence ? check_by_fence(client, lease->key, opts->fence, wait_ms, &remaining_ms)
                          : pawl_token_check(client, lease->key, strlen(lease->key), lease->token,
                                             wait_ms, &remaining_ms);
    if (err) return cli_lease_fail(client, "check", lease, err);
    if (!opts->json) {
        cli_print("%" PRId64 "\n", remaining_ms);
        return cli_finish_output(CLI_EXIT_OK);
    }
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", lease->key, strlen(lease->key));
    json_object_set_new(object, "remaining_ms", json_integer(remaining_ms));
    cli_json_print(object);
    return cli_finish_output(CLI_EXIT_OK);
}

static int check_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    check_opts opts = {.common = *globals};
    cli_args rest;
    cli_lease lease;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    code = cli_lease_find(self, &rest, opts.token, false, &lease);
    if (code) return code;

    const char *fence = cli_lease_variable(lease.key, "PAWL_FENCE");
    if (!lease.token && !opts.fence && fence) opts.fence = strtoull(fence, NULL, 10);
    if (!lease.token && !opts.fence) {
        return cli_usage_error(self, "a token or a fence is wanted: --token, PAWL_TOKEN, --fence");
    }
    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = check(&opts, &lease, client);
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_check = {
    .verb = "check",
    .operands = "[KEY]",
    .summary = "does this token or fence still hold? print the remaining ms",
    .page = "Exit code 0: the store says that it holds now; 76: it does not. Inside pawl run no\n"
            "argument is needed: check before each dangerous step. The answer is old when you\n"
            "read it; only a resource that compares fences is safe.",
    .options = check_options,
    .main = check_main,
};
