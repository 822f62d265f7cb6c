/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "message.h"
#include "no_fork.h"
#include "pawl/metrics.h"
#include "run.h"
#include "run_options.h"
#include "run_require.h"

#define AT(field) offsetof(run_opts, field)

static const cli_option run_options[] = {
    {CLI_VALUE_FIXED, 'n', "nb|nonblock", NULL, AT(wait_ms), .min = 0,
     .help = "do not wait for a busy lock"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait at most so long; 0 is -n"},
    CLI_OPTION_CONFLICT_CODE(AT(busy_code), "the lock stays busy"),
    {CLI_VALUE_WORDS, 'k', "key", "KEY", AT(keys),
     .help = "instead of KEY; several times: all of them, or none"},
    {CLI_VALUE_FIXED, 'x', "exclusive", NULL, AT(mode), .min = PAWL_MODE_EXCLUSIVE,
     .help = "one holder at a time (the default); also -e"},
    {CLI_VALUE_FIXED, 'e', NULL, NULL, AT(mode), .min = PAWL_MODE_EXCLUSIVE, .help = NULL},
    {CLI_VALUE_FIXED, 's', "shared", NULL, AT(mode), .min = PAWL_MODE_SHARED,
     .help = "beside other shared holders: for commands that read"},
    {CLI_VALUE_FIXED, 'U', "update", NULL, AT(mode), .min = PAWL_MODE_UPDATE,
     .help = "beside shared holders, but only one such"},
    {CLI_VALUE_NUMBER, 'N', "slots", "N", AT(slots), .min = 1, .max = PAWL_CAPACITY_MAX,
     .help = "a semaphore: N may hold KEY at once; PAWL_SLOT says which of them we are"},
    {CLI_VALUE_NUMBER, 0, "units", "U", AT(units), .min = 1, .max = PAWL_CAPACITY_MAX,
     .help = "with -N: take U of its slots (default 1)"},
    {CLI_VALUE_FLAG, 0, "reentrant", NULL, AT(reentrant),
     .help = "inside a run of the same KEY: run under its lock, token and fence"},
    {CLI_VALUE_FLAG, 'F', "no-fork", NULL, AT(no_fork),
     .help = "the command takes the place of this process; pawl goes on beside it"},
    {CLI_VALUE_REFUSED, 'u', "unlock", NULL, 0,
     .help = "run releases by itself; to release by token: pawl release KEY"},
    CLI_OPTIONS_GO_ON(run_command_options),
};

static const char run_page[] =
    "KEY is locked while COMMAND runs. The command gets our stdin, stdout and stderr; pawl\n"
    "writes nothing to stdout, and to stderr only when something is wrong. Options end at\n"
    "KEY: what follows belongs to COMMAND.\n\n"
    "If the lease cannot be renewed, the command gets SIGTERM --grace before the lock could\n"
    "be given away, and SIGKILL 100ms before (a tenth of the ttl if that is below 1s); if the\n"
    "store says that the lock is not ours, SIGTERM at once. If pawl itself is killed or\n"
    "stopped, a small process beside it, the guardian, stops the command in time. What pawl\n"
    "cannot do: stop what belongs to another user (sudo), if pawl is not root. So let what\n"
    "you protect refuse a smaller PAWL_FENCE than it has seen.\n\n"
    "Environment of the command: PAWL_KEY, PAWL_FENCE, PAWL_TOKEN (a secret; --no-token),\n"
    "PAWL_MODE, PAWL_SLOT and PAWL_SLOTS (with -N), PAWL_TTL_MS, PAWL_OWNER, PAWL_STORE\n"
    "(without a password: put a URL with one into a file and give -S @FILE), PAWL_HELD\n"
    "(locks held around it), with several -k also PAWL_KEY_1, PAWL_FENCE_1, PAWL_TOKEN_1,\n"
    "PAWL_KEY_2 and so on, and PAWL_FD, a pipe\n"
    "with the lines \"held MS\", \"doubt\", \"lost\", \"yield\"; its end means that pawl is "
    "gone.\n\n"
    "LIST of --require: " RUN_REQUIRE_WORDS "\n\n"
    "The lock is released when COMMAND itself ends, whatever it left running in the\n"
    "background; see --hold-descendants.\n\n"
    "With -F COMMAND gets the number of this process, and pawl and the guardian stand beside\n"
    "it. Then the exit status is COMMAND's own, also when the lock was lost.\n\n"
    "  pawl run nightly -- ./backup.sh\n"
    "  pawl run -n -E 0 hourly ./report      # already running: fine\n"
    "  pawl run -w 10s deploy -c 'git pull && make install'";

/* -N makes a semaphore of KEY; it has no modes of its own. */
static int take_mode(const cli_command *self, run_opts *opts)
{
    if (opts->units && !opts->slots) return cli_usage_error(self, "--units needs -N");
    if (!opts->slots) return 0;
    if (opts->mode != PAWL_MODE_EXCLUSIVE)
        return cli_usage_error(self, "-N and -s or -U exclude each other");
    if (!opts->units) opts->units = 1;
    if (opts->units > opts->slots)
        return cli_usage_error(self, "--units %d: there are only %d slots (-N)", (int)opts->units,
                               (int)opts->slots);
    opts->mode = PAWL_MODE_PERMIT;
    return 0;
}

/* A KEY that comes twice among those of -k; NULL: none does. */
static const char *key_twice(const cli_words *keys)
{
    for (int i = 1; i < keys->count; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(keys->items[i], keys->items[k]) == 0) return keys->items[i];
    return NULL;
}

static int check_words(const cli_command *self, const run_opts *opts, const char *key)
{
    int code = opts->keys.count ? 0 : cli_key_check(self->verb, key);
    for (int i = 0; !code && i < opts->keys.count; i++)
        code = cli_key_check(self->verb, opts->keys.items[i]);
    const char *twice = key_twice(&opts->keys);
    if (!code && twice) code = cli_usage_error(self, "-k %s: it is given twice", twice);
    const char *misfit = opts->no_fork ? run_no_fork_misfit(opts) : NULL;
    if (!code && misfit) code = cli_usage_error(self, "%s", misfit);
    if (!code && opts->reentrant && opts->keys.count > 1)
        code = cli_usage_error(self, "--reentrant joins a lock of one KEY, not of several");
    return code;
}

static int run_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    run_opts opts = run_opts_default;
    opts.common = *globals;
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (opts.keys.count == 0 && rest.count == 0)
        return cli_usage_error(self, "a KEY is wanted: pawl run KEY COMMAND");

    char *shell_argv[4];
    char *const *command = NULL;
    int skip = opts.keys.count ? 0 : 1;
    const char *key = opts.keys.count ? opts.keys.items[0] : rest.items[0];
    code =
        run_take_command(self, &opts, rest.items + skip, rest.count - skip, shell_argv, &command);
    if (!code) code = take_mode(self, &opts);
    if (!code) code = check_words(self, &opts, key);
    run_plan plan;
    if (!code) code = run_options_finish(self, &opts, &plan);
    if (code) return code;
    code = opts.no_fork ? run_execute_no_fork(&opts, &plan, key, command)
                        : run_execute(&opts, &plan, key, command);
    pawl_metrics_free(opts.common.metrics);
    return code;
}

const cli_command cli_cmd_run = {
    .verb = "run",
    .operands = "{KEY | -k KEY...} {[--] COMMAND [ARG...] | -c STR}",
    .summary = "run a command under a lock",
    .page = run_page,
    .options = run_options,
    .stops_at_operand = true,
    .main = run_main,
};
