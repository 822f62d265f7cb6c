/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "run_options.h"

#include <string.h>

#include "exit_codes.h"
#include "message.h"
#include "metrics_endpoint.h"
#include "metrics_file.h"
#include "run_require.h"

#define AT(field) offsetof(run_opts, field)

const cli_option run_command_options[] = {
    {CLI_VALUE_TEXT, 'c', "command", "STR", AT(shell_command),
     .help = "run STR by $SHELL -c (also after KEY)"},
    {CLI_VALUE_FLAG, 'o', "close", NULL, AT(close_fds),
     .help = "do not pass PAWL_FD to the command"},
    {CLI_VALUE_SPAN, 't', "ttl", "D", AT(ttl_ms),
     .help = "length of the lease, renewed long before its end (default 30s)"},
    {CLI_VALUE_SPAN, 'g', "grace", "D", AT(grace_ms),
     .help = "TERM so long before the lock is lost (default 5s, at most ttl/4)"},
    {CLI_VALUE_SPAN, 0, "at-least", "D", AT(at_least_ms),
     .help = "keep the lock so long even if the command ends sooner"},
    {CLI_VALUE_SPAN, 0, "lock-delay", "D", AT(lock_delay_ms),
     .help = "if we die or lose the lock, nobody gets it for so long afterwards"},
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
    {CLI_VALUE_TEXT, 0, "metrics", "FILE|ADDR", AT(metrics_to),
     .help = "metrics for Prometheus: in FILE, or served at ADDR (:9110) until the end"},
    {CLI_VALUE_TEXT, 0, "metrics-class", "PATTERN", AT(metrics_class),
     .help = "the label class of these metrics, if KEY fits (default other)"},
    {CLI_VALUE_NUMBER, 0, "json-events", "FD", AT(json_fd), .max = 65535,
     .help = "write one JSON line for each event to this open descriptor"},
    {CLI_VALUE_NUMBER, 0, "lost-exit-code", "N", AT(lost_code), .max = 255,
     .help = "exit code when the lock was lost (default 76)"},
    {CLI_VALUE_FLAG, 0, "no-token", NULL, AT(no_token),
     .help = "do not show the token to the command"},
    {CLI_VALUE_FLAG, 0, "pass-notify", NULL, AT(pass_notify),
     .help = "systemd: the command, not pawl, says READY=1; it gets NOTIFY_SOCKET"},
    {CLI_VALUE_TEXT, 0, "require", "LIST", AT(require), .choices = RUN_REQUIRE_WORDS,
     .help = "refuse a store that does not promise all of LIST"},
    CLI_OPTIONS_END,
};

/* Options stand before KEY; an option after it would be taken for the command. */
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
    rest->items = behind.items - 1; /* KEY comes before what is left */
    rest->items[0] = key;
    rest->count = behind.count + 1;
    return true;
}

static int check_promises(const cli_command *self, const run_opts *opts)
{
    const char *unknown = opts->require ? run_require_unknown(opts->require) : NULL;
    if (!unknown) return 0;
    return cli_usage_error(self, "--require: no such promise: %s; there are " RUN_REQUIRE_WORDS,
                           unknown);
}

static int check_metrics(const cli_command *self, const run_opts *opts)
{
    const char *word = opts->metrics_to;
    if (!word || cli_endpoint_kind_of(word) != CLI_ENDPOINT_NONSENSE) return 0;
    return cli_usage_error(self,
                           "--metrics %.80s: an address is HOST:PORT with a number as HOST, like "
                           "127.0.0.1:9110 or [::1]:9110, or :9110; a file of that name is ./%.80s",
                           word, word);
}

int run_options_finish(const cli_command *self, run_opts *opts, run_plan *ret_plan)
{
    char why[300];
    int code = cli_ttl_check(self->verb, opts->ttl_ms);
    if (!code) code = check_promises(self, opts);
    if (!code) code = check_metrics(self, opts);
    if (code) return code;
    if (!run_plan_make(opts->ttl_ms, opts->grace_ms, ret_plan, why, sizeof why) ||
        !run_plan_add_delay(ret_plan, opts->lock_delay_ms, why, sizeof why))
        return cli_usage_error(self, "%s", why);
    code = cli_ttl_check(self->verb, ret_plan->ttl_ms);
    if (code) return code;
    return opts->metrics_to ? cli_metrics_open(opts->metrics_class, &opts->common.metrics) : 0;
}
