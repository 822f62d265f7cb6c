/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "command.h"
#include "exit_codes.h"

/* The files in src/cli/completion, in the order of `choices`. */
extern const char *const cli_completion_scripts[];

static const cli_option completion_options[] = {CLI_OPTIONS_END};

static const char *const shells[] = {"bash", "zsh", "fish"};
#define SHELLS "bash|zsh|fish"

static int completion_main(const cli_command *self, const cli_common *globals, int argc,
                           char **argv)
{
    cli_common common = *globals;
    cli_args rest;
    int code = 0;
    if (!cli_command_parse(self, argc, argv, &common, &rest, &code)) return code;
    for (size_t i = 0; rest.count == 1 && i < sizeof shells / sizeof *shells; i++) {
        if (strcmp(rest.items[0], shells[i]) != 0) continue;
        fputs(cli_completion_scripts[i], stdout);
        return cli_finish_output(CLI_EXIT_OK);
    }
    return cli_usage_error(self, "a shell is wanted: bash, zsh or fish");
}

static const char completion_page[] =
    "The shell reads it, and TAB completes commands, options with their help, and their words.\n"
    "An installation has put it where bash, zsh and fish look by themselves. Otherwise:\n\n"
    "  source <(pawl completion bash)                             # in ~/.bashrc\n"
    "  source <(pawl completion zsh)                              # in ~/.zshrc, after compinit\n"
    "  pawl completion fish > ~/.config/fish/completions/pawl.fish";

const cli_command cli_cmd_completion = {
    .verb = "completion",
    .operands = "{bash | zsh | fish}",
    .summary = "print the script by which a shell completes pawl",
    .page = completion_page,
    .options = completion_options,
    .choices = SHELLS,
    .main = completion_main,
};
