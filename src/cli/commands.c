/* SPDX-License-Identifier: MIT */
/* The table of commands: each is named here and in meson.build, and lives in its own file. */
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "message.h"
#include "nearest.h"

const cli_command *const cli_commands[] = {
    &cli_cmd_run,
    &cli_cmd_once,
    &cli_cmd_lead,
    &cli_cmd_latch,
    &cli_cmd_barrier,
    &cli_cmd_acquire,
    &cli_cmd_renew,
    &cli_cmd_release,
    &cli_cmd_check,
    &cli_cmd_hold,
    &cli_cmd_wait,
    &cli_cmd_ls,
    &cli_cmd_show,
    &cli_cmd_stat,
    &cli_cmd_break,
    &cli_cmd_doctor,
    &cli_cmd_schema,
    &cli_cmd_bench,
    &cli_cmd_torture,
    &cli_cmd_top,
    &cli_cmd_serve,
    &cli_cmd_completion,
    NULL,
};

const cli_other_verb cli_other_verbs[] = {
    {"help", "this list; pawl help COMMAND: its page"},
    {"version", "the version of the library"},
    {NULL, NULL},
};

const cli_command *cli_command_lookup(const char *verb)
{
    for (int i = 0; cli_commands[i]; i++) {
        if (strcmp(cli_commands[i]->verb, verb) == 0) return cli_commands[i];
    }
    return NULL;
}

const cli_command *cli_command_find(const char *verb)
{
    const cli_command *command = cli_command_lookup(verb);
    if (command) return command;

    if (strpbrk(verb, ":@")) { /* it may contain a password, so it is not quoted */
        cli_error("a command is wanted; a store's URL stands after -S, or in PAWL_STORE");
        return NULL;
    }
    cli_nearest nearest = cli_nearest_to(verb);
    for (int i = 0; cli_commands[i]; i++) cli_nearest_try(&nearest, cli_commands[i]->verb);
    for (int i = 0; cli_other_verbs[i].verb; i++)
        cli_nearest_try(&nearest, cli_other_verbs[i].verb);
    char *safe = cli_escape(verb, strlen(verb));
    if (nearest.found[0]) {
        cli_error("there is no command \"%.40s\"; did you mean %s", safe, nearest.found);
    } else {
        cli_error("there is no command \"%.40s\"; see pawl help", safe);
    }
    free(safe);
    return NULL;
}
