/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "json.h"
#include "message.h"
#include "store.h"

typedef struct break_opts {
    cli_common common;
    uint64_t fence;
    bool json;
} break_opts;

#define FENCE_NOT_GIVEN UINT64_MAX /* which no fence is */

static const cli_option break_options[] = {
    {CLI_VALUE_FENCE, 0, "fence", "N", offsetof(break_opts, fence),
     .help = "the fence that pawl show printed"},
    {CLI_VALUE_FLAG, 0, "json", NULL, offsetof(break_opts, json), .help = "print one JSON object"},
    CLI_OPTIONS_END,
};

static int tell_broken(const break_opts *opts, const char *key)
{
    if (!opts->json) return CLI_EXIT_OK;
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", key, strlen(key));
    json_object_set_new(object, "broken", json_true());
    json_object_set_new(object, "fence", json_integer((json_int_t)opts->fence));
    cli_json_print(object);
    return cli_finish_output(CLI_EXIT_OK);
}

static int break_lock(const cli_command *self, const break_opts *opts, pawl_client *client,
                      const char *key)
{
    int err = pawl_break(client, key, strlen(key), opts->fence, CLI_NOT_WAITING);
    if (!err) return tell_broken(opts, key);
    if (err != PAWL_ERR_NOT_HELD) return cli_fail(client, self->verb, key, err);

    char *safe = cli_escape(key, strlen(key));
    cli_error("break %s: it is free, or its fence is not %" PRIu64 " (any more): look again [%s]",
              safe, opts->fence, pawl_err_name(err));
    free(safe);
    return cli_exit_of_err(err);
}

static int break_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    break_opts opts = {.common = *globals, .fence = FENCE_NOT_GIVEN};
    const char *key;
    int code = 0;
    if (!cli_command_parse_key(self, argc, argv, &opts.common, &key, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (code) return code;
    if (opts.fence == FENCE_NOT_GIVEN) {
        return cli_usage_error(self, "--fence N is wanted: look first (pawl show), then break "
                                     "what you saw");
    }

    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = break_lock(self, &opts, client, key);
    pawl_client_close(client);
    return code;
}

const cli_command cli_cmd_break = {
    .verb = "break",
    .operands = "KEY --fence N",
    .summary = "take a lock from its holder",
    .page =
        "For locks whose holder will not come back. A living holder is told who broke it: at "
        "once,\n"
        "or at its next renewal. Until then both may be at work: what\n"
        "the lock protects should refuse smaller fences. The next grant has a larger fence. pawl\n"
        "show tells for a minute at least who did it.",
    .options = break_options,
    .main = break_main,
};
