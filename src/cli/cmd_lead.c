/* SPDX-License-Identifier: MIT */
/* lead: a command that runs while we lead; and who leads. */
#define _GNU_SOURCE
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "command.h"
#include "duration.h"
#include "exit_codes.h"
#include "message.h"
#include "notify.h"
#include "pawl/metrics.h"
#include "run.h"
#include "run_options.h"

#define AT(field) offsetof(run_opts, field)

#define BACK_OFF_FIRST_MS 100
#define BACK_OFF_MAX_MS   30000
#define LONG_TERM_MS      10000 /* after a term of this length the back-off begins anew */

/* In the order of the option's words. */
enum { RESTART_ALWAYS, RESTART_ON_FAILURE, RESTART_NEVER };

static const cli_option lead_options[] = {
    {CLI_VALUE_TEXT, 0, "value", "STR", AT(value),
     .help = "what others are told while we lead: an address, say; up to 4096 bytes"},
    {CLI_VALUE_CHOICE, 0, "restart", "WHEN", AT(restart), .choices = "always|on-failure|never",
     .help = "when COMMAND ends, queue again: always (default), on-failure, never"},
    {CLI_VALUE_FLAG, 0, "who", NULL, AT(shows_leader), .help = "run nothing: say who leads"},
    {CLI_VALUE_FLAG, 0, "observe", NULL, AT(observes),
     .help = "run nothing: say who leads, and again whenever that changes"},
    CLI_OPTIONS_GO_ON(run_command_options),
};

/* ---- Who leads --------------------------------------------------------------------------- */

/* One line: "leads OWNER fence N: VALUE", "nobody leads", "unknown: why". */
static void print_leader(const pawl_leader *leader, void *userdata)
{
    (void)userdata;
    if (leader->err) {
        cli_print("unknown: %s\n", pawl_err_text(leader->err));
    } else if (!leader->leads) {
        cli_print("nobody leads\n");
    } else {
        const char *label = *leader->owner ? leader->owner : "somebody unknown";
        char *owner = cli_escape(label, strlen(label));
        char *value = cli_escape(leader->value ? leader->value : "", leader->value_len);
        cli_print("leads %s, fence %" PRIu64 "%s%s\n", owner, leader->fence,
                  leader->value_len ? ": " : "", value);
        free(owner);
        free(value);
    }
    fflush(stdout);
}

static int observe(const cli_command *self, pawl_client *client, const char *key)
{
    pawl_observer *observer = NULL;
    int err = pawl_election_observe(client, key, strlen(key), print_leader, NULL, &observer);
    while (!err && !ferror(stdout)) {
        int ran = pawl_client_wait(client, -1, PAWL_WAIT_FOREVER);
        if (ran < 0) err = ran;
    }
    pawl_observer_stop(observer);
    return err ? cli_fail(client, self->verb, key, err) : cli_finish_output(CLI_EXIT_OK);
}

static int look(const cli_command *self, const run_opts *opts, const char *key)
{
    pawl_client *client = NULL;
    int code = cli_client_open_simple(&opts->common, &client);
    if (!code && opts->observes) {
        code = observe(self, client, key);
    } else if (!code) {
        int err =
            pawl_election_leader(client, key, strlen(key), CLI_NOT_WAITING, print_leader, NULL);
        code = err ? cli_fail(client, self->verb, key, err) : cli_finish_output(CLI_EXIT_OK);
    }
    pawl_client_close(client);
    return code;
}

/* ---- Terms ------------------------------------------------------------------------------- */

static bool passes(int code)
{
    return code == CLI_EXIT_UNAVAILABLE || code == CLI_EXIT_UNKNOWN || code == CLI_EXIT_LOST;
}

static bool goes_on(const run_opts *opts, const run_end *end, int code)
{
    if (end->by_signal) return false;
    if (end->lost) return opts->restart != RESTART_NEVER;
    if (!end->ended) return passes(code); /* not started: wait only if that may pass */
    return opts->restart == RESTART_ALWAYS || (opts->restart == RESTART_ON_FAILURE && code != 0);
}

/* The signal that ended it, or 0. Signals are blocked between two terms, too. */
static int pause_for(int64_t span_ms)
{
    sigset_t ending;
    sigemptyset(&ending);
    for (const int *number = cli_ending_signals; *number; number++) sigaddset(&ending, *number);
    uint32_t random = 0;
    if (getrandom(&random, sizeof random, 0) < 0) random = 0;
    span_ms = span_ms / 2 + (int64_t)(random % (uint32_t)(span_ms / 2 + 1)); /* not all at once */
    int64_t until_ms = cli_now_ms() + span_ms;
    for (int64_t left_ms; (left_ms = until_ms - cli_now_ms()) > 0;) {
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        int number = sigtimedwait(&ending, NULL, &left);
        if (number > 0) return number;
    }
    return 0;
}

static int lead(run_opts *opts, const run_plan *plan, const char *key, char *const *argv)
{
    char left[CLI_DURATION_TEXT];
    sigset_t inherited; /* each term's command begins with the same */
    sigprocmask(SIG_BLOCK, NULL, &inherited);
    for (int64_t back_off_ms = BACK_OFF_FIRST_MS;;) {
        run_end end = {0};
        int64_t began = cli_now_ms();
        run_opts term = *opts;
        term.ret_end = &end;
        int code = run_execute(&term, plan, key, argv);
        if (!goes_on(opts, &end, code)) {
            cli_notify(CLI_NOTIFY_STOPPING, "does not lead any more");
            return code;
        }
        if (end.held && cli_now_ms() - began > LONG_TERM_MS) back_off_ms = BACK_OFF_FIRST_MS;
        char *shown = cli_escape(key, strlen(key));
        cli_warn("%s: %s (%d); in at most %s it is led again", shown,
                 end.ended ? "the command has ended" : "it is not led", code,
                 cli_duration_text(back_off_ms, left));
        cli_notify(CLI_NOTIFY_STATUS, "pauses before it queues for %s again", shown);
        free(shown);
        int number = pause_for(back_off_ms);
        if (number) return CLI_EXIT_SIGNAL_BASE + number;
        sigprocmask(SIG_SETMASK, &inherited, NULL);
        back_off_ms = back_off_ms * 2 < BACK_OFF_MAX_MS ? back_off_ms * 2 : BACK_OFF_MAX_MS;
    }
}

static int lead_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    run_opts opts = run_opts_default;
    opts.common = *globals;
    opts.leads = true;
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &opts.common, &rest, &code)) return code;
    if (rest.count == 0) return cli_usage_error(self, "a KEY is wanted: pawl lead KEY COMMAND");
    const char *key = rest.items[0];
    if (!run_take_more_options(self, &opts, &rest, &code)) return code;
    code = cli_key_check(self->verb, key);
    if (!code && opts.value && strlen(opts.value) > PAWL_LEADER_VALUE_MAX)
        code = cli_usage_error(self, "--value: at most %d bytes", PAWL_LEADER_VALUE_MAX);
    if (code) return code;
    if ((opts.shows_leader || opts.observes) && rest.count > 1)
        return cli_usage_error(self, "--who and --observe run nothing: no COMMAND is wanted");
    if (opts.shows_leader || opts.observes) return look(self, &opts, key);

    char *shell_argv[4];
    char *const *command = NULL;
    run_plan plan;
    code = run_take_command(self, &opts, rest.items + 1, rest.count - 1, shell_argv, &command);
    if (!code) code = run_options_finish(self, &opts, &plan);
    if (code) return code;
    code = lead(&opts, &plan, key, command);
    pawl_metrics_free(opts.common.metrics);
    return code;
}

static const char lead_page[] =
    "We queue for KEY; COMMAND runs while we hold it, and so lead. It is stopped before the\n"
    "lead could be somebody else's, as with run. When it ends, or the lead is lost, others\n"
    "get their turn, and we queue again, with a pause that grows from 100ms to 30s while\n"
    "terms are shorter than 10s. SIGTERM or ^C ends it for good. What the options from -c on\n"
    "mean in detail, and the environment of COMMAND: pawl help run.\n\n"
    "Others are told who leads, and of --value, as soon as we lead, and that we resign as\n"
    "soon as we do; of a leader that died when its lease is over. --who and --observe say it\n"
    "in a line each: \"leads OWNER, fence N: VALUE\", \"nobody leads\", \"unknown: WHY\".\n\n"
    "  pawl lead scheduler --value 10.0.0.7:80 -- ./scheduler\n"
    "  pawl lead scheduler --who";

const cli_command cli_cmd_lead = {
    .verb = "lead",
    .operands = "KEY [--] COMMAND [ARG...] | KEY --who | KEY --observe",
    .summary = "run a command while we lead; say who leads",
    .page = lead_page,
    .options = lead_options,
    .stops_at_operand = true,
    .goes_on_behind = true,
    .main = lead_main,
};
