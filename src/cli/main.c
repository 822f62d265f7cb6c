/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
/* The table of commands, and what comes before each of them. */
#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"
#include "message.h"
#include "nearest.h"
#include "pawl/pawl.h"
#include "stdfds.h"

const cli_command *const cli_commands[] = {
    &cli_cmd_run,     &cli_cmd_acquire,
    &cli_cmd_renew,   &cli_cmd_release,
    &cli_cmd_check,   &cli_cmd_hold,
    &cli_cmd_wait,    &cli_cmd_ls,
    &cli_cmd_show,    &cli_cmd_break,
    &cli_cmd_doctor,  &cli_cmd_bench,
    &cli_cmd_torture, NULL,
};

static const cli_command *lookup(const char *verb)
{
    for (int i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->verb, verb) == 0) return cli_commands[i];
    }
    return NULL;
}

const cli_command *cli_command_find(const char *verb)
{
    const cli_command *command = lookup(verb);
    if (command) return command;

    if (strpbrk(verb, ":@")) { /* with a password perhaps: it is not quoted */
        cli_error("a command is wanted; a store's URL stands after -S, or in PAWL_STORE");
        return NULL;
    }
    cli_nearest nearest = cli_nearest_to(verb);
    for (int i = 0; cli_commands[i]; i++) cli_nearest_try(&nearest, cli_commands[i]->verb);
    cli_nearest_try(&nearest, "help");
    cli_nearest_try(&nearest, "version");
    char *safe = cli_escape(verb, strlen(verb));
    if (nearest.found[0]) {
        cli_error("there is no command \"%.40s\"; did you mean %s", safe, nearest.found);
    } else {
        cli_error("there is no command \"%.40s\"; see pawl help", safe);
    }
    free(safe);
    return NULL;
}

bool cli_command_parse(const cli_command *self, int argc, char **argv, cli_common *target,
                       cli_args *ret_rest, int *ret_code)
{
    bool fine = cli_options_parse(self->verb, self->options, self->stops_at_operand, argc, argv,
                                  target, ret_rest);
    if (!fine) {
        *ret_code = CLI_EXIT_USAGE;
        return false;
    }
    if (target->help) {
        cli_help_print(self);
        *ret_code = cli_finish_output(CLI_EXIT_OK);
        return false;
    }
    cli_set_loudness(target->quiet ? CLI_QUIET : target->verbose ? CLI_VERBOSE : CLI_NORMAL);
    return true;
}

int cli_usage_error(const cli_command *self, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    cli_error("%s: %s", self->verb, line);
    return CLI_EXIT_USAGE;
}

int cli_finish_output(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout)) return code;
    cli_error("cannot write to stdout: %s", strerror(errno));
    return code == CLI_EXIT_OK ? CLI_EXIT_CANNOT_WRITE : code;
}

/* ---- The two commands without a store --------------------------------------- */

static int help_main(int argc, char **argv)
{
    const cli_command *command = NULL;
    if (argc > 1 && !(command = cli_command_find(argv[1]))) return CLI_EXIT_USAGE;
    cli_help_print(command);
    return cli_finish_output(CLI_EXIT_OK);
}

static int version_main(void)
{
    printf("pawl %s\n", pawl_version());
    return cli_finish_output(CLI_EXIT_OK);
}

static int pawl_main(int argc, char **argv)
{
    cli_common globals = CLI_COMMON_DEFAULTS;
    cli_args rest;
    static const cli_option no_more[] = {CLI_OPTIONS_END};
    bool asks_version = argc > 1 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-V"));
    if (asks_version) return version_main();
    if (!cli_options_parse(NULL, no_more, true, argc, argv, &globals, &rest)) {
        return CLI_EXIT_USAGE;
    }
    if (globals.help) return help_main(1, argv);
    if (rest.count == 0) {
        cli_error("a command is wanted, like pawl run KEY COMMAND; see pawl help");
        return CLI_EXIT_USAGE;
    }
    if (strcmp(rest.items[0], "help") == 0) return help_main(rest.count, rest.items);
    if (strcmp(rest.items[0], "version") == 0) return version_main();

    const cli_command *command = cli_command_find(rest.items[0]);
    if (!command) return CLI_EXIT_USAGE;
    return command->main(command, &globals, rest.count, rest.items);
}

int main(int argc, char **argv)
{
    mallopt(M_ARENA_MAX, 1); /* two threads at most: a heap for each costs more than it saves */
    cli_stdfds_open();
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "pawl";
    if (strcmp(name, "pawl-flock") != 0) return pawl_main(argc, argv);
    cli_program = "pawl-flock";
    return cli_flock_main(argc, argv);
}
