/* SPDX-License-Identifier: MIT */
/* What comes before a command: how we were called, the options before the verb, the verb. */
#include <malloc.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "complete_line.h"
#include "exit_codes.h"
#include "message.h"
#include "pawl/pawl.h"
#include "stdfds.h"

/* ---- The two commands without a store --------------------------------------- */

static int help_main(int argc, char **argv)
{
    const cli_command *command = NULL;
    if (argc > 1 && !(command = cli_command_find(argv[1]))) return CLI_EXIT_USAGE;
    if (command)
        cli_command_print_page(command);
    else
        cli_overview_print();
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

    if (strcmp(rest.items[0], "complete") == 0)
        return cli_complete_line(rest.items + 1, rest.count - 1);

    const cli_command *command = cli_command_find(rest.items[0]);
    if (!command) return CLI_EXIT_USAGE;
    return command->main(command, &globals, rest.count, rest.items);
}

int main(int argc, char **argv)
{
    mallopt(M_ARENA_MAX, 1); /* there are two threads at most: one heap is enough */
    cli_stdfds_open();
    const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
    const char *name = slash ? slash + 1 : argc > 0 ? argv[0] : "pawl";
    if (strcmp(name, "pawl-flock") != 0) return pawl_main(argc, argv);
    cli_program = "pawl-flock";
    return cli_flock_main(argc, argv);
}
