/* SPDX-License-Identifier: MIT */
/*
 * Commands that are programs of their own, because most users of pawl do not need them. If the
 * programs are installed, their names work as commands.
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
#include "message.h"

static const cli_option no_options[] = {CLI_OPTIONS_END};

/* The program beside ours, as installed and as built, or else the one in PATH. */
static void become(const char *program, char **argv)
{
    char path[PATH_MAX + 32];
    ssize_t len = readlink("/proc/self/exe", path, PATH_MAX);
    char *slash = len > 0 ? memrchr(path, '/', (size_t)len) : NULL;
    if (slash) {
        snprintf(slash + 1, 32, "%s", program);
        execv(path, argv);
    }
    execvp(program, argv);
}

/* `where`: what brings the program. */
static int go(const cli_command *self, const char *where, char **argv)
{
    char program[32];
    snprintf(program, sizeof program, "pawl-%s", self->verb);
    become(program, argv);
    if (errno == ENOENT) {
        cli_error("%s is a program of its own, %s, and is not installed here (%s)", self->verb,
                  program, where);
        return CLI_EXIT_NOT_FOUND;
    }
    cli_error("%s: %s: %s", self->verb, program, strerror(errno));
    return CLI_EXIT_CANNOT_EXECUTE;
}

/* ---- bench, top, serve
 * ------------------------------------------------------------------------------ */

#define GLOBALS_MAX 12 /* words that options before the verb can be */

/* The options before the verb, as words. Returns how many; `timeout` is room for one of them. */
static int words_of(const cli_common *globals, char *timeout, size_t size, const char **ret_words)
{
    int count = 0;
    const struct {
        const char *name, *value;
    } texts[] = {
        {"--store", globals->store}, {"--config", globals->config}, {"--owner", globals->owner}};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        if (!texts[i].value) continue;
        ret_words[count++] = texts[i].name;
        ret_words[count++] = texts[i].value;
    }
    if (globals->store_timeout_ms != CLI_STORE_TIMEOUT_DEFAULT_MS) {
        bool is_forever = globals->store_timeout_ms < 0;
        snprintf(timeout, size, is_forever ? "forever" : "%lldms",
                 (long long)globals->store_timeout_ms);
        ret_words[count++] = "--store-timeout";
        ret_words[count++] = timeout;
    }
    if (globals->quiet) ret_words[count++] = "-q";
    if (globals->verbose) ret_words[count++] = "-v";
    return count;
}

/* Executes the program, with the options that stood before the verb. */
static int go_with_globals(const cli_command *self, const cli_common *globals, int argc,
                           char **argv)
{
    char timeout[32];
    const char *words[GLOBALS_MAX];
    int count = words_of(globals, timeout, sizeof timeout, words);
    const char **all = calloc((size_t)count + (size_t)argc + 1, sizeof *all);
    if (!all) {
        cli_error("out of memory");
        return CLI_EXIT_SYSTEM;
    }
    all[0] = argv[0];
    for (int i = 0; i < count; i++) all[1 + i] = words[i];
    for (int i = 1; i < argc; i++) all[count + i] = argv[i];
    int code = go(self, "package pawl-tools", (char **)all);
    free(all);
    return code;
}

const cli_command cli_cmd_bench = {
    .verb = "bench",
    .operands = "...",
    .summary = "measure the store: pairs per second, waiting times",
    .page = "Runs pawl-bench with these arguments; its options are in pawl bench --help and in\n"
            "pawl-bench(1).",
    .options = no_options,
    .main = go_with_globals,
};

const cli_command cli_cmd_top = {
    .verb = "top",
    .operands = "...",
    .summary = "watch the locks of a store on a terminal",
    .page = "Runs pawl-top with these arguments; its options and keys are in pawl top --help and\n"
            "in pawl-top(1).",
    .options = no_options,
    .main = go_with_globals,
};

const cli_command cli_cmd_serve = {
    .verb = "serve",
    .operands = "...",
    .summary = "show the locks of a store to browsers",
    .page = "Runs pawl-serve with these arguments; its options are in pawl serve --help and in\n"
            "pawl-serve(1).",
    .options = no_options,
    .main = go_with_globals,
};

/* ---- torture ---------------------------------------------------------------------------- */

static int torture_main(const cli_command *self, const cli_common *globals, int argc, char **argv)
{
    (void)argc;
    if (globals->store || globals->config) {
        return cli_usage_error(self, "it starts servers of its own; --store redis, sqlite or a "
                                     "setup chooses among them");
    }
    return go(self, "make install brings it", argv);
}

const cli_command cli_cmd_torture = {
    .verb = "torture",
    .operands = "...",
    .summary = "hurt real processes and servers, and judge what they were told",
    .page =
        "Runs pawl-torture with these arguments; its options are in pawl torture --help and in\n"
        "pawl-torture(1).",
    .options = no_options,
    .main = torture_main,
};
