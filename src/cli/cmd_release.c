/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "exit_codes.h"
#include "json.h"
#include "lease.h"
#include "store.h"

typedef struct release_opts {
    cli_common common;
    const char *token;
    bool json;
} release_opts;

static const cli_option release_options[] = {
    {CLI_VALUE_TEXT, 0, "token", "TOKEN", offsetof(release_opts, token),
     .help = "the proof; default $PAWL_TOKEN"},
    {CLI_VALUE_FLAG, 0, "json", NULL, offsetof(release_opts, json),
     .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

static int release(const release_opts *opts, const cli_lease *lease, pawl_client *client)
{
    int err = pawl_token_release(client, lease->key, strlen(lease->key), lease->token,
                                 opts->common.store_timeout_ms);
    if (err) return cli_lease_fail(client, "release", lease, err);
    if (opts->json) {
        json_t *object = json_object();
        cli_json_set_bytes(object, "key", lease->key, strlen(lease->key));
        json_object_set_new(object, "released", json_true());
        cli_json_print(object);
    }
    return cli_finish_output(CLI_EXIT_OK);
}

static int release_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    release_opts opts = {.common = *globals};
    cli_args rest;
    cli_lease lease;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    code = cli_lease_find(self, &rest, opts.token, true, &lease);
    if (code) return code;

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = release(&opts, &lease, client);
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_release = {
    .verb = "release",
    .operands = "[KEY]",
    .summary = "release a lease by its token",
    .page = "The token is compared at the store; a lock that is somebody else's is never touched\n"
            "(exit code 76). To take a lock from its holder: pawl break.",
    .options = release_options,
    .main = release_main,
};
