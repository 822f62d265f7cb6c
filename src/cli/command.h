/* SPDX-License-Identifier: MIT */
/* A command: its entry in the table, its options, its page, its main. */
#ifndef PAWL_CLI_COMMAND_H
#define PAWL_CLI_COMMAND_H

#include "options.h"

typedef struct cli_command cli_command;
struct cli_command {
    const char *verb;
    const char *operands; /* "KEY [--] COMMAND [ARG...]" */
    const char *summary;  /* one line, for the list of commands */
    const char *page;     /* paragraphs after the options */
    const cli_option *options;
    const char *choices;   /* what the operand is, "a|b"; NULL: a name of the user's own */
    bool stops_at_operand; /* what follows KEY belongs to somebody else's command */
    bool goes_on_behind;   /* but options may stand behind KEY as well */
    /* argv[0] is the verb. `globals` were given before it. Returns the exit code. */
    int (*main)(const cli_command *self, const cli_common *globals, int argc, char **argv);
};

extern const cli_command cli_cmd_run, cli_cmd_acquire, cli_cmd_renew, cli_cmd_release,
    cli_cmd_check, cli_cmd_hold, cli_cmd_wait, cli_cmd_ls, cli_cmd_show, cli_cmd_break,
    cli_cmd_doctor, cli_cmd_schema, cli_cmd_bench, cli_cmd_torture, cli_cmd_once, cli_cmd_lead,
    cli_cmd_latch, cli_cmd_barrier, cli_cmd_stat, cli_cmd_top, cli_cmd_serve, cli_cmd_completion;

/* Every command, in the order of the list; NULL at the end. */
extern const cli_command *const cli_commands[];

/* Words that may stand in place of a command; the last one has no verb. */
typedef struct cli_other_verb {
    const char *verb, *summary;
} cli_other_verb;
extern const cli_other_verb cli_other_verbs[];

/*
 * Parses a command's options into `target`, which begins with a cli_common, and
 * acts on --help, -q and -v. True: go on. False: exit with *ret_code.
 */
bool cli_command_parse(const cli_command *self, int argc, char **argv, cli_common *target,
                       cli_args *ret_rest, int *ret_code);

/* The same for a command whose only operand is a KEY, which is not checked yet. */
bool cli_command_parse_key(const cli_command *self, int argc, char **argv, cli_common *target,
                           const char **ret_key, int *ret_code);

/* One line on stderr that begins with the verb; returns CLI_EXIT_USAGE. */
int cli_usage_error(const cli_command *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* The page of a command, and the list of all commands, on stdout. */
void cli_command_print_page(const cli_command *command);
void cli_overview_print(void);

/* The command of this name or NULL. */
const cli_command *cli_command_lookup(const char *verb);

/* The same, but NULL after one line that names the nearest. */
const cli_command *cli_command_find(const char *verb);

/* pawl-flock: the same lock with flock(1)'s grammar. */
int cli_flock_main(int argc, char **argv);

/* Flushes stdout; a failure (a full disk) turns success into an error. */
int cli_finish_output(int code);

#endif
