/* SPDX-License-Identifier: MIT */
/*
 * What may stand at a place of a command's line, for the shells that complete it. The answers come
 * from the table of the command's options; each is a line on stdout:
 *
 *   WORD            or WORD, a tab, and its help
 *   :files          the name of a file
 *   :command N      word N, counted from "pawl" as 0, begins somebody else's command
 *
 * No answer: anything, which only the user knows.
 */
#ifndef PAWL_CLI_COMPLETE_H
#define PAWL_CLI_COMPLETE_H

#include "command.h"

/*
 * The command is asked by a first argument "--complete=N": what follows it are N words of a line,
 * then the words of the command, the last of which is to be completed. It works for programs of
 * their own (pawl-top), too, which have their tables to themselves.
 */
#define CLI_COMPLETE_ASKED "--complete="

bool cli_complete_is_asked(int argc, char **argv);

/* The answers to that. words[0] is the first argument, a NULL stands at the end. */
void cli_complete(const cli_command *command, char *const *words);

/* One answer, if it begins as `asked` does. */
void cli_complete_offer(const char *asked, const char *word, const char *help);

/* The names of a table's options that begin so, but those that `hidden_by` has, too (NULL: none).
 */
void cli_complete_options(const char *asked, const cli_option *table, const cli_option *hidden_by);

/* What is left of a line behind its first options. */
typedef struct cli_line {
    const cli_option *own; /* besides those of every command */
    char *const *words;
    int last;                /* the word that is asked for */
    int at;                  /* the first word that has not been looked at; at most `last` */
    bool ended;              /* "--" has come: no options any more */
    bool has_key;            /* so has -k */
    const cli_option *wants; /* word `last` is its argument; NULL: it is no argument */
} cli_line;

/* Goes on to the next operand, or to the last word. */
void cli_complete_skip_options(cli_line *line);

/* Answers if the last word is an option or an option's argument. */
bool cli_complete_option(const cli_line *line);

#endif
