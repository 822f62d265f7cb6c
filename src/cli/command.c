/* SPDX-License-Identifier: MIT */
/* What every command needs: its options, its page, its usage errors, its last flush. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "complete.h"
#include "exit_codes.h"
#include "message.h"

void cli_command_print_page(const cli_command *command)
{
    printf("pawl %s: %s\n\nusage: pawl %s [OPTIONS] %s\n\n", command->verb, command->summary,
           command->verb, command->operands);
    cli_options_print(command->options);
    cli_options_print(cli_common_options);
    if (command->page) printf("\n%s\n", command->page);
}

bool cli_command_parse(const cli_command *self, int argc, char **argv, cli_common *target,
                       cli_args *ret_rest, int *ret_code)
{
    if (cli_complete_is_asked(argc, argv)) {
        cli_complete(self, argv + 1);
        *ret_code = cli_finish_output(CLI_EXIT_OK);
        return false;
    }
    bool fine = cli_options_parse(self->verb, self->options, self->stops_at_operand, argc, argv,
                                  target, ret_rest);
    if (!fine) {
        *ret_code = CLI_EXIT_USAGE;
        return false;
    }
    if (target->help) {
        cli_command_print_page(self);
        *ret_code = cli_finish_output(CLI_EXIT_OK);
        return false;
    }
    cli_set_loudness(target->quiet ? CLI_QUIET : target->verbose ? CLI_VERBOSE : CLI_NORMAL);
    return true;
}

bool cli_command_parse_key(const cli_command *self, int argc, char **argv, cli_common *target,
                           const char **ret_key, int *ret_code)
{
    cli_args rest;
    if (!cli_command_parse(self, argc, argv, target, &rest, ret_code)) return false;
    if (rest.count != 1) {
        *ret_code = cli_usage_error(self, "one KEY is wanted");
        return false;
    }
    *ret_key = rest.items[0];
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
