/* SPDX-License-Identifier: MIT */
#include "complete_line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "complete.h"
#include "exit_codes.h"
#include "message.h"

static void offer_commands(const char *asked)
{
    for (int i = 0; cli_commands[i]; i++)
        cli_complete_offer(asked, cli_commands[i]->verb, cli_commands[i]->summary);
}

static int complete_verb(const cli_line *line)
{
    if (cli_complete_option(line)) return cli_finish_output(CLI_EXIT_OK);
    const char *asked = line->words[line->last];
    offer_commands(asked);
    for (const cli_other_verb *other = cli_other_verbs; other->verb; other++)
        cli_complete_offer(asked, other->verb, other->summary);
    return cli_finish_output(CLI_EXIT_OK);
}

/* The command is asked itself: it may be a program of its own. */
static int ask_command(const cli_command *command, const cli_line *line)
{
    cli_common globals = CLI_COMMON_DEFAULTS;
    int before = line->at + 2, count = line->last - line->at;
    char question[sizeof CLI_COMPLETE_ASKED + 12];
    char **argv = calloc((size_t)count + 3, sizeof *argv);
    if (!argv) {
        cli_error("out of memory");
        return CLI_EXIT_SYSTEM;
    }
    snprintf(question, sizeof question, CLI_COMPLETE_ASKED "%d", before);
    argv[0] = line->words[line->at];
    argv[1] = question;
    for (int i = 0; i < count; i++) argv[2 + i] = line->words[line->at + 1 + i];
    int code = command->main(command, &globals, count + 2, argv);
    free(argv);
    return code;
}

int cli_complete_line(char **words, int count)
{
    if (count > 1 && strcmp(words[0], "--") == 0) {
        words++;
        count--;
    }
    if (count < 1) {
        cli_error("complete: a word is wanted; what the shells want is in pawl completion");
        return CLI_EXIT_USAGE;
    }
    cli_line line = {.words = words, .last = count - 1};
    cli_complete_skip_options(&line);
    if (line.wants || line.at == line.last) return complete_verb(&line);
    const char *verb = words[line.at];
    const cli_command *command = cli_command_lookup(verb);
    if (command) return ask_command(command, &line);
    if (strcmp(verb, "help") == 0 && line.at + 1 == line.last) offer_commands(words[line.last]);
    return cli_finish_output(CLI_EXIT_OK);
}
