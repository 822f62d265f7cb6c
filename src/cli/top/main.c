/* SPDX-License-Identifier: MIT */
/* pawl-top: it has the options and the store of the command. */
#include "top.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../command.h"
#include "../exit_codes.h"
#include "../message.h"
#include "../session.h"
#include "../stdfds.h"
#include "../store.h"

#define INTERVAL_MIN_MS     250
#define INTERVAL_DEFAULT_MS 1000
#define REDRAW_MS           1000 /* the age of the picture is shown */

typedef struct top_opts {
    cli_common common;
    int64_t interval_ms;
    bool readonly;
} top_opts;

static const cli_option top_options[] = {
    {CLI_VALUE_SPAN, 'i', "interval", "D", offsetof(top_opts, interval_ms),
     .help = "ask the store each D (default 1s, at least 250ms)"},
    {CLI_VALUE_FLAG, 0, "readonly", NULL, offsetof(top_opts, readonly),
     .help = "nothing can be broken by a key"},
    CLI_OPTIONS_END,
};

static const char top_page[] =
    "Shows the locks whose names begin with PREFIX, in four tabs:\n\n"
    "  1 held      who holds what, for how long, and how much of the lease is left\n"
    "  2 waiting   locks that are waited for\n"
    "  3 hot       how often another holder was seen since pawl top began: at least so often\n"
    "  4 lost      locks that were broken (pawl break), as far as the store remembers\n\n"
    "Keys: 1 to 4, Tab and arrows choose; s sorts by name, age, left, waiting, changes; / filters\n"
    "by a part of a key or holder; Enter shows a lock, Esc goes back; Space stops asking; b "
    "breaks\n"
    "the marked lock, if its fence is typed in; q ends.\n\n"
    "\"?\" is what is not known. Asking takes at most a tenth of the time. For scripts: pawl stat.";

static const cli_command top_command = {
    .verb = "top",
    .operands = "[PREFIX]",
    .summary = "watch the locks of a store on a terminal",
    .page = top_page,
    .options = top_options,
};

/* Sleeps until a key is typed, the next look is due, or the picture is old. */
static void rest(const top *t)
{
    int64_t left = REDRAW_MS;
    if (!t->paused) left = cli_watch_next(&t->now, t->interval_ms) - cli_now_ms();
    if (left > REDRAW_MS) left = REDRAW_MS;
    if (left > 0) pawl_client_wait(t->client, STDIN_FILENO, left);
}

/* Then a wait for keys ends at once, again and again. */
static bool has_terminal(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    return poll(&in, 1, 0) <= 0 || !(in.revents & (POLLHUP | POLLERR | POLLNVAL));
}

/* False: the terminal has gone. */
static bool run(top *t)
{
    top_look(t);
    while (has_terminal()) {
        top_draw(t);
        rest(t);
        top_keys(t);
        if (t->ended) return true;
        bool due = cli_watch_next(&t->now, t->interval_ms) <= cli_now_ms();
        if (!t->paused && due) top_look(t);
    }
    return false;
}

static int watch(const top_opts *opts, pawl_client *client, const char *prefix)
{
    top t = {
        .client = client,
        .prefix = prefix,
        .interval_ms = opts->interval_ms,
        .readonly = opts->readonly,
        .sorts = {TOP_BY_NAME, TOP_BY_WAITING, TOP_BY_CHANGES, TOP_BY_NAME},
    };
    if (!top_screen_open()) {
        cli_error("top: a terminal is wanted, and TERM has to name it; for scripts: pawl stat");
        return CLI_EXIT_USAGE;
    }
    cli_set_loudness(CLI_QUIET); /* the screen says how the store is */
    bool whole = run(&t);
    top_screen_close();
    if (!whole) cli_error("top: the terminal is gone");
    top_forget_details(&t);
    free(t.details);
    free(t.details_name);
    top_forget_lines(&t);
    top_forget(&t);
    free(t.selected_name);
    free(t.break_name);
    return whole ? CLI_EXIT_OK : CLI_EXIT_SYSTEM;
}

int main(int argc, char **argv)
{
    top_opts opts = {.common = CLI_COMMON_DEFAULTS, .interval_ms = INTERVAL_DEFAULT_MS};
    cli_args rest_args;
    int code = 0;
    cli_stdfds_open();
    if (!cli_command_parse(&top_command, argc, argv, &opts.common, &rest_args, &code)) return code;
    if (rest_args.count > 1) return cli_usage_error(&top_command, "at most one PREFIX is wanted");
    if (opts.interval_ms < INTERVAL_MIN_MS)
        return cli_usage_error(&top_command, "--interval: expected at least %dms", INTERVAL_MIN_MS);
    pawl_client *client = NULL;
    code = cli_client_open_simple(&opts.common, &client);
    if (!code) code = watch(&opts, client, rest_args.count ? rest_args.items[0] : "");
    pawl_client_close(client);
    return code;
}
