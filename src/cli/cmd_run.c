/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include <inttypes.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "message.h"
#include "metrics_file.h"
#include "run.h"
#include "run_require.h"

#define AT(field) offsetof(run_opts, field)

static const cli_option run_options[] = {
    {CLI_VALUE_FIXED, 'n', "nb|nonblock", NULL, AT(wait_ms), .min = 0,
     .help = "do not wait for a busy lock"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait at most so long; 0 is -n"},
    {CLI_VALUE_NUMBER, 'E', "conflict-exit-code", "N", AT(busy_code), .max = 255,
     .help = "exit code when the lock stays busy (default 75)"},
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
    {CLI_VALUE_TEXT, 'c', "command", "STR", AT(shell_command),
     .help = "run STR by $SHELL -c (also after KEY)"},
    {CLI_VALUE_FLAG, 'o', "close", NULL, AT(close_fds),
     .help = "do not pass PAWL_FD to the command"},
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms),
     .help = "length of the lease, renewed at a third of it (default 30s)"},
    {CLI_VALUE_SPAN, 'g', "grace", "D", AT(grace_ms),
     .help = "TERM so long before the lock is lost (default 5s, at most ttl/4)"},
    {CLI_VALUE_SPAN, 0, "at-least", "D", AT(at_least_ms),
     .help = "keep the lock so long even if the command ends sooner"},
    {CLI_VALUE_CHOICE, 0, "on-lost", "ACTION", AT(on_lost), .choices = "term|kill|notify|ignore",
     .help = "what happens to the command: term (default), kill, notify, ignore"},
    {CLI_VALUE_SIGNAL, 0, "yield", "SIG", AT(yield_signal),
     .help = "send SIG to the command when somebody waits for the lock"},
    {CLI_VALUE_FLAG, 0, "hold-descendants", NULL, AT(hold_descendants),
     .help = "hold until the last process that the command started has ended"},
    {CLI_VALUE_FLAG, 0, "foreground", NULL, AT(foreground),
     .help = "on a terminal, too, give the command its own process group"},
    {CLI_VALUE_TEXT, 0, "fence-file", "PATH", AT(fence_file),
     .help = "write the fence to PATH before the command starts"},
    {CLI_VALUE_TEXT, 0, "metrics", "PATH", AT(metrics_file),
     .help = "write metrics for Prometheus to PATH while it is held and at the end"},
    {CLI_VALUE_TEXT, 0, "metrics-class", "PATTERN", AT(metrics_class),
     .help = "the label class of these metrics, if KEY fits (default other)"},
    {CLI_VALUE_NUMBER, 0, "json-events", "FD", AT(json_fd), .max = 65535,
     .help = "write one JSON line for each event to this open descriptor"},
    {CLI_VALUE_NUMBER, 0, "lost-exit-code", "N", AT(lost_code), .max = 255,
     .help = "exit code when the lock was lost (default 76)"},
    {CLI_VALUE_FLAG, 0, "no-token", NULL, AT(no_token),
     .help = "do not show the token to the command"},
    {CLI_VALUE_FLAG, 0, "reentrant", NULL, AT(reentrant),
     .help = "inside a run of the same KEY: run under its lock, token and fence"},
    {CLI_VALUE_TEXT, 0, "require", "LIST", AT(require),
     .help = "refuse a store that does not promise all of LIST"},
    {CLI_VALUE_REFUSED, 'F', "no-fork", NULL, 0,
     .help = "not there yet: pawl has to stay, to renew the lock and to stop the command in time"},
    {CLI_VALUE_REFUSED, 'u', "unlock", NULL, 0,
     .help = "run releases by itself; to release by token: pawl release KEY"},
    CLI_OPTIONS_END,
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
    "  pawl run nightly -- ./backup.sh\n"
    "  pawl run -n -E 0 hourly ./report      # already running: fine\n"
    "  pawl run -w 10s deploy -c 'git pull && make install'";

/* Options stand before KEY; an option after it is a slip that would become a command. */
int run_take_command(const cli_command *self, run_opts *opts, char **after, int count,
                     char *shell_argv[4], char *const **ret_argv)
{
    bool flock_habit = count > 0 && !opts->shell_command &&
                       (!strcmp(after[0], "-c") || !strcmp(after[0], "--command"));
    if (flock_habit && count != 2) return cli_usage_error(self, "-c needs exactly one argument");
    if (flock_habit) opts->shell_command = after[1];
    if (opts->shell_command) {
        if (!flock_habit && count > 0) {
            return cli_usage_error(self, "-c and a command of its own exclude each other");
        }
        run_shell_argv(opts->shell_command, shell_argv);
        *ret_argv = shell_argv;
        return 0;
    }
    if (count > 0 && strcmp(after[0], "--") == 0) {
        after++;
        count--;
    } else if (count > 0 && after[0][0] == '-') {
        return cli_usage_error(
            self, "options stand before KEY; a command like %s needs -- before it", after[0]);
    }
    if (count == 0) {
        return cli_usage_error(self,
                               "a command is wanted after KEY; to hold without one: pawl hold");
    }
    *ret_argv = after;
    return 0;
}

bool run_take_more_options(const cli_command *self, run_opts *opts, cli_args *rest, int *ret_code)
{
    bool more = rest->count > 1 && rest->items[1][0] == '-' && strcmp(rest->items[1], "--") != 0;
    if (!more) return true;
    cli_args behind;
    char *key = rest->items[0];
    if (!cli_command_parse(self, rest->count, rest->items, &opts->common, &behind, ret_code))
        return false;
    rest->items = behind.items - 1; /* in front of what is left stands what was parsed */
    rest->items[0] = key;
    rest->count = behind.count + 1;
    return true;
}

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

static int check_keys(const cli_command *self, const run_opts *opts, const char *key)
{
    int code = opts->keys.count ? 0 : cli_key_check(self->verb, key);
    for (int i = 0; !code && i < opts->keys.count; i++)
        code = cli_key_check(self->verb, opts->keys.items[i]);
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
    if (!code) code = check_keys(self, &opts, key);
    if (!code) code = cli_ttl_check(self->verb, opts.ttl_ms);
    if (code) return code;

    const char *unknown = opts.require ? run_require_unknown(opts.require) : NULL;
    if (unknown)
        return cli_usage_error(self, "--require: no such promise: %s; there are " RUN_REQUIRE_WORDS,
                               unknown);

    run_plan plan;
    char why[300];
    if (!run_plan_make(opts.ttl_ms, opts.grace_ms, &plan, why, sizeof why)) {
        return cli_usage_error(self, "%s", why);
    }
    if (opts.metrics_file) code = cli_metrics_open(opts.metrics_class, &opts.common.metrics);
    if (!code) code = run_execute(&opts, &plan, key, command);
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
