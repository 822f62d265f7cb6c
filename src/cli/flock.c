/* SPDX-License-Identifier: MIT */
/*
 * pawl-flock: flock(1)'s grammar for its file form, so that a script needs one alias.
 *
 * The file is always locked as flock(1) locks it: by the kernel, so for all users of this
 * machine, whatever store each of them has. If a store is named, the lock called by the file's
 * absolute path is held there as well: that is for the other machines.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "command.h"
#include "exit_codes.h"
#include "file_lock.h"
#include "message.h"
#include "no_fork.h"
#include "plain_run.h"
#include "run.h"

#define AT(field) offsetof(run_opts, field)

static const cli_option flock_options[] = {
    {CLI_VALUE_FIXED, 's', "shared", NULL, AT(mode), .min = PAWL_MODE_SHARED,
     .help = "beside other shared holders"},
    {CLI_VALUE_FIXED, 'x', "exclusive", NULL, AT(mode), .min = PAWL_MODE_EXCLUSIVE,
     .help = "one holder (the default)"},
    {CLI_VALUE_FIXED, 'e', NULL, NULL, AT(mode), .min = PAWL_MODE_EXCLUSIVE, .help = NULL},
    {CLI_VALUE_FIXED, 'n', "nb|nonblock", NULL, AT(wait_ms), .min = 0, .help = "do not wait"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "S", AT(wait_ms), .help = "wait at most S seconds"},
    {CLI_VALUE_NUMBER, 'E', "conflict-exit-code", "N", AT(busy_code), .max = 255,
     .help = "exit code when the lock stays busy (default 1)"},
    {CLI_VALUE_FLAG, 'o', "close", NULL, AT(close_fds),
     .help = "do not pass the lock's descriptor (and PAWL_FD) to the command"},
    {CLI_VALUE_TEXT, 'c', "command", "STR", AT(shell_command),
     .help = "run STR by $SHELL -c (also after the path)"},
    {CLI_VALUE_FLAG, 'F', "no-fork", NULL, AT(no_fork),
     .help = "the command takes the place of this process"},
    {CLI_VALUE_REFUSED, 'u', "unlock", NULL, 0,
     .help = "there is no descriptor to unlock: see pawl hold"},
    CLI_OPTIONS_END,
};

static void print_help(void)
{
    printf("pawl-flock: flock's grammar and lock; with a store, pawl's lock for all machines\n\n"
           "usage: pawl-flock [OPTIONS] PATH COMMAND [ARG...]\n"
           "       pawl-flock [OPTIONS] PATH -c STR\n\n");
    cli_options_print(flock_options);
    cli_options_print(cli_common_options);
    printf(
        "\nThe file is locked as flock(1) does it, for all users of this machine. If a store is\n"
        "named (-S, --config, $PAWL_STORE, $PAWL_CONFIG), its absolute path is locked there,\n"
        "too, for all machines. Instead of the descriptor form, flock 9: pawl hold KEY.\n");
}

static int usage(const char *line)
{
    cli_error("%s", line);
    return CLI_EXIT_USAGE;
}

static bool is_number(const char *text)
{
    return *text && strspn(text, "0123456789") == strlen(text);
}

/* Absolute, without symbolic links; the last component need not exist. NULL: errno. */
static char *canonical(const char *path)
{
    char *whole = realpath(path, NULL);
    if (whole || errno != ENOENT) return whole;

    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    if (!*last) return NULL;
    char *folder = slash ? strndup(path, (size_t)(slash - path) + 1) : strdup(".");
    char *real = folder ? realpath(folder, NULL) : NULL;
    char *joined = NULL;
    if (real && asprintf(&joined, "%s/%s", strcmp(real, "/") ? real : "", last) < 0) joined = NULL;
    free(folder);
    free(real);
    return joined;
}

/* PATH COMMAND..., PATH -c STR. Fills argv; 0 or an exit code after one line. */
static int take_command(run_opts *opts, cli_args rest, char *shell_argv[4], char *const **ret_argv)
{
    char **after = rest.items + 1;
    int count = rest.count - 1;
    bool shell = count > 0 && (!strcmp(after[0], "-c") || !strcmp(after[0], "--command"));
    if (shell && count != 2) return usage("-c needs exactly one command argument");
    if (shell) opts->shell_command = after[1];
    if (opts->shell_command) {
        run_shell_argv(opts->shell_command, shell_argv);
        *ret_argv = shell_argv;
        return 0;
    }
    if (count == 0 && is_number(rest.items[0])) {
        return usage("a lock on a descriptor cannot leave this machine; instead of flock 9: "
                     "pawl hold KEY, see pawl help hold");
    }
    if (count == 0) return usage("a command is wanted after the path");
    *ret_argv = after;
    return 0;
}

/* With the lock of the store, too: it can be lost, so the command is supervised. */
static int run_on_store(run_opts *opts, const run_plan *plan, const char *path,
                        char *const *command)
{
    char *key = canonical(path);
    if (!key) {
        char *safe = cli_escape(path, strlen(path));
        cli_error("cannot find lock file %s: %s", safe, strerror(errno));
        free(safe);
        return CLI_EXIT_NO_INPUT;
    }
    int code = cli_key_check("path", key);
    if (!code && strncmp(key, "/proc/", 6) == 0)
        code = usage("a path below /proc names nothing that another machine knows: "
                     "give the file's own path");
    if (!code)
        code = opts->no_fork ? run_execute_no_fork(opts, plan, key, command)
                             : run_execute(opts, plan, key, command);
    free(key);
    return code;
}

/* With the kernel's lock alone, which the command inherits if it takes our place. */
static int run_plain(const run_opts *opts, char *const *command)
{
    return opts->no_fork ? cli_plain_become(command) : cli_plain_run(command);
}

/* The kernel's lock first: so only one process of each machine asks the store at a time. */
static int lock_and_run(run_opts *opts, const char *path, char *const *command)
{
    run_plan plan;
    char why[300];
    cli_file_lock lock;
    if (!run_plan_make(opts->ttl_ms, opts->grace_ms, &plan, why, sizeof why)) return usage(why);
    if (opts->no_fork && opts->close_fds)
        return usage("-F and -o exclude each other: nobody would be left who has the lock");
    bool shared = opts->mode == PAWL_MODE_SHARED;
    int code = cli_file_lock_take(path, shared, !opts->close_fds, opts->wait_ms,
                                  (int)opts->busy_code, &lock);
    if (code || lock.fd < 0) return code;
    opts->wait_ms = lock.left_ms;
    code = cli_store_is_named(&opts->common) ? run_on_store(opts, &plan, path, command)
                                             : run_plain(opts, command);
    close(lock.fd);
    return code;
}

static bool asks_version(int argc, char **argv)
{
    return argc > 1 && (!strcmp(argv[1], "-V") || !strcmp(argv[1], "--version"));
}

int cli_flock_main(int argc, char **argv)
{
    run_opts opts = run_opts_default;
    opts.busy_code = 1; /* as flock has it, and without a message */
    opts.say_busy = false;
    cli_args rest;
    if (asks_version(argc, argv)) {
        printf("pawl-flock %s\n", pawl_version());
        return cli_finish_output(CLI_EXIT_OK);
    }
    if (!cli_options_parse(NULL, flock_options, true, argc, argv, &opts, &rest)) {
        return CLI_EXIT_USAGE;
    }
    if (opts.common.help) {
        print_help();
        return cli_finish_output(CLI_EXIT_OK);
    }
    cli_set_loudness(opts.common.quiet     ? CLI_QUIET
                     : opts.common.verbose ? CLI_VERBOSE
                                           : CLI_NORMAL);
    if (rest.count == 0) return usage("a file or directory and a command are wanted");

    char *shell_argv[4];
    char *const *command = NULL;
    int code = take_command(&opts, rest, shell_argv, &command);
    return code ? code : lock_and_run(&opts, rest.items[0], command);
}
