/* SPDX-License-Identifier: MIT */
/* The list of commands, made from the tables. */
#include <stdio.h>

#include "command.h"
#include "exit_codes.h"

void cli_overview_print(void)
{
    printf("pawl: distributed locks over the store that you already run\n\n"
           "usage: pawl [-S URL] COMMAND [OPTIONS] ...\n\n");
    for (int i = 0; cli_commands[i]; i++) {
        printf("  %-11s%s\n", cli_commands[i]->verb, cli_commands[i]->summary);
    }
    for (const cli_other_verb *other = cli_other_verbs; other->verb; other++)
        printf("  %-11s%s\n", other->verb, other->summary);
    printf("\nOptions of every command:\n\n");
    cli_options_print(cli_common_options);
    printf("\nDurations are seconds, or carry a unit: 250ms, 3s, 2m, 1h, 1d.\n\nExit codes:\n\n");
    for (int i = 0; cli_exit_help(i); i++) printf("  %s\n", cli_exit_help(i));
}
