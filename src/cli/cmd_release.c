/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "claim.h"
#include "exit_codes.h"
#include "json.h"
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

static int release(const release_opts *opts, const cli_claim *claim, pawl_client *client)
{
    int err = pawl_token_release(client, claim->key, strlen(claim->key), claim->token,
                                 opts->common.store_timeout_ms);
    if (err) return cli_claim_fail(client, "release", claim, err);
    if (opts->json) {
        json_t *object = json_object();
        cli_json_set_bytes(object, "key", claim->key, strlen(claim->key));
        json_object_set_new(object, "released", json_true());
        cli_json_print(object);
    }
    return cli_finish_output(CLI_EXIT_OK);
}

static int release_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    release_opts opts = {.common = *globals};
    cli_args rest;
    cli_claim claim;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    code = cli_claim_find(self, &rest, opts.token, true, &claim);
    if (code) return code;

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = release(&opts, &claim, client);
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
