/* SPDX-License-Identifier: MIT */
/* once: a command that runs at most once in each period, in all of the fleet. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "duration.h"
#include "exit_codes.h"
#include "holder.h"
#include "json.h"
#include "message.h"
#include "pawl/metrics.h"
#include "run.h"
#include "run_options.h"

#define AT(field)       offsetof(run_opts, field)
#define EVERY_NOT_GIVEN (-1)

static const cli_option once_options[] = {
    {CLI_VALUE_SPAN, 0, "every", "D", AT(every_ms),
     .help = "length of a period, by the store's clock: 1h, 1d (begins at midnight UTC)"},
    {CLI_VALUE_FLAG, 0, "keep-on-failure", NULL, AT(keep_on_failure),
     .help = "a run that failed counts, too: nobody runs again in its period"},
    {CLI_VALUE_FLAG, 0, "last", NULL, AT(shows_last),
     .help = "run nothing: say who ran last and when; with --every also whether it is due"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(wait_ms),
     .help = "wait so long for who runs it now, and run it if that fails (default 0)"},
    {CLI_VALUE_NUMBER, 'E', "conflict-exit-code", "N", AT(busy_code), .max = 255,
     .help = "exit code when there is nothing for us to do (default 0)"},
    CLI_OPTIONS_GO_ON(run_command_options),
};

/* ---- --last ----------------------------------------------------------------------------- */

static void print_time(const char *label, int64_t us, int64_t now_us)
{
    char text[CLI_UTC_TEXT], ago[CLI_DURATION_TEXT];
    if (!cli_utc_text(us / 1000000, text)) text[0] = '\0';
    bool past = us <= now_us;
    const char *span = cli_duration_text((past ? now_us - us : us - now_us) / 1000, ago);
    cli_print("%-10s%s, %s%s%s\n", label, text, past ? "" : "in ", span, past ? " ago" : "");
}

/* Fields that depend on the length of the period are shown only if it was given. */
static void print_info(const char *key, const pawl_once_info *info, bool knows_period)
{
    static const char *const words[] = {"never, as far as is known", "succeeded", "failed",
                                        "failed, and counts"};
    char *shown = cli_escape(key, strlen(key)),
         *owner = cli_escape(info->owner, strlen(info->owner));
    cli_print("%-10s%s\n", "key", shown);
    cli_print("%-10s%s\n", "last", words[info->outcome]);
    if (info->outcome != PAWL_ONCE_NEVER) {
        cli_print("%-10s%s\n", "by", owner);
        print_time("began", info->began_us, info->now_us);
        print_time("ended", info->ended_us, info->now_us);
        cli_print("%-10s%" PRIu64 "\n", "fence", info->fence);
    }
    if (knows_period) {
        cli_print("%-10s%s\n", "due", info->due ? "yes" : "no");
        print_time("next", info->next_us, info->now_us);
    }
    free(shown);
    free(owner);
}

static int show_last(const cli_command *self, const run_opts *opts, const char *key)
{
    pawl_client *client = NULL;
    pawl_once *once = NULL;
    pawl_once_opts once_opts;
    pawl_once_opts_init(&once_opts);
    bool knows_period =
        opts->every_ms != EVERY_NOT_GIVEN; /* needed for the next run, not for the last one */
    once_opts.every_ms = knows_period ? opts->every_ms : PAWL_ONCE_EVERY_MIN_MS;
    int code = cli_client_open_simple(&opts->common, &client);
    if (!code) {
        int err = pawl_once_new(client, key, strlen(key), &once_opts, &once);
        if (!err) err = pawl_once_look(once, opts->common.store_timeout_ms);
        pawl_once_info info;
        pawl_once_last(once, &info);
        if (!err) print_info(key, &info, knows_period);
        code = err ? cli_fail(client, self->verb, key, err) : cli_finish_output(CLI_EXIT_OK);
    }
    pawl_once_free(once);
    pawl_client_close(client);
    return code;
}

/* ---- The command ------------------------------------------------------------------------ */

static int check_every(const cli_command *self, const run_opts *opts)
{
    bool is_given = opts->every_ms != EVERY_NOT_GIVEN;
    if (!is_given && opts->shows_last) return 0;
    if (!is_given) return cli_usage_error(self, "--every D is wanted: how long a period is");
    if (opts->every_ms < PAWL_ONCE_EVERY_MIN_MS)
        return cli_usage_error(self, "--every: a period lasts 100ms at least");
    return 0;
}

static int once_run(const cli_command *self, run_opts *opts, const char *key, char **after,
                    int count)
{
    char *shell_argv[4];
    char *const *command = NULL;
    run_plan plan;
    int code = run_take_command(self, opts, after, count, shell_argv, &command);
    if (!code) code = run_options_finish(self, opts, &plan);
    if (code) return code;
    code = run_execute(opts, &plan, key, command);
    pawl_metrics_free(opts->common.metrics);
    return code;
}

static int once_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    run_opts opts = run_opts_default;
    opts.common = *globals;
    opts.wait_ms = 0;
    opts.busy_code = 0;
    opts.every_ms = EVERY_NOT_GIVEN;
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count == 0)
        return cli_usage_error(self, "a KEY is wanted: pawl once KEY --every D -- COMMAND");
    const char *key = rest.items[0];
    if (!run_take_more_options(self, &opts, &rest, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (!code) code = check_every(self, &opts);
    if (code) return code;
    return opts.shows_last ? show_last(self, &opts, key)
                           : once_run(self, &opts, key, rest.items + 1, rest.count - 1);
}

static const char once_page[] =
    "COMMAND runs under the lock KEY, at most once in each period with success, whoever in\n"
    "the fleet calls this: let cron start it everywhere. Periods are counted by the store's\n"
    "clock, from 1970 on: one of 1d begins at midnight UTC. A run belongs to the period in\n"
    "which it began.\n\n"
    "When there is nothing for us to do, because the period has had its run or somebody runs\n"
    "it now, pawl says nothing and exits with 0 (-v says why, -E chooses another code).\n\n"
    "A run that fails, or whose host dies, gives its period back: the next one to call runs\n"
    "it, after the lease is over if the host died. With --keep-on-failure a failure counts.\n"
    "Success is what the store knows of: if it does not answer until the lease is over, pawl\n"
    "says so and exits with 74; then nobody can know whether the job runs again.\n\n"
    "What the options from -c on mean in detail, and the environment of COMMAND: pawl help run.\n\n"
    "  0 * * * *  pawl once hourly --every 1h -- ./report\n"
    "  pawl once nightly --every 1d -w 2h -- ./backup.sh    # if the first one fails, we do it\n"
    "  pawl once nightly --every 1d --last";

const cli_command cli_cmd_once = {
    .verb = "once",
    .operands = "KEY --every D [--] COMMAND [ARG...] | KEY [--every D] --last",
    .summary = "run a command at most once in a period",
    .page = once_page,
    .options = once_options,
    .stops_at_operand = true,
    .goes_on_behind = true,
    .main = once_main,
};
