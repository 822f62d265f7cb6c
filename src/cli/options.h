/* SPDX-License-Identifier: MIT */
/*
 * Options are declared in tables. The parser, the help page and the usage errors use the same
 * table, so they cannot disagree.
 */
#ifndef PAWL_CLI_OPTIONS_H
#define PAWL_CLI_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum cli_value {
    CLI_VALUE_END = 0, /* the last entry of a table */
    CLI_VALUE_FLAG,    /* bool: true */
    CLI_VALUE_FIXED,   /* int64_t: `min`, no argument */
    CLI_VALUE_TEXT,    /* const char *: the argument */
    CLI_VALUE_WORDS,   /* cli_words: the argument, each time that the option comes */
    CLI_VALUE_SPAN,    /* int64_t: a duration in ms; -1: the word of `choices` */
    CLI_VALUE_NUMBER,  /* int64_t: an integer, min..max */
    CLI_VALUE_FENCE,   /* uint64_t: a fence */
    CLI_VALUE_CHOICE,  /* int64_t: index among the words of `choices`, "a|b|c" */
    CLI_VALUE_SIGNAL,  /* int64_t: a signal by name or number */
    CLI_VALUE_REFUSED  /* known, but refused: `help` says why */
} cli_value;

typedef struct cli_option {
    cli_value value;
    char letter;          /* 0: none */
    const char *names;    /* long names, "wait|timeout"; help shows them all */
    const char *argument; /* what help calls the argument, NULL where there is none */
    size_t offset;        /* of the field in the command's options struct */
    int64_t min, max;
    const char *choices;           /* for a text: "a,b,c", of which it is a list */
    const char *help;              /* NULL: hidden */
    const struct cli_option *more; /* in the last row: continue with this table; NULL: the end */
} cli_option;

#define CLI_WORDS_MAX 64
typedef struct cli_words {
    int count;
    const char *items[CLI_WORDS_MAX];
} cli_words;

#define CLI_OPTIONS_END                                                                            \
    {                                                                                              \
        .value = CLI_VALUE_END                                                                     \
    }
/* The end of rows of one's own before rows that several commands share. */
#define CLI_OPTIONS_GO_ON(table)                                                                   \
    {                                                                                              \
        .value = CLI_VALUE_END, .more = (table)                                                    \
    }

/* A row of several commands. `when`: what happened then, in words. */
#define CLI_OPTION_CONFLICT_CODE(offset, when)                                                     \
    {                                                                                              \
        CLI_VALUE_NUMBER, 'E', "conflict-exit-code", "N", offset,                                  \
            .max = 255, .help = "exit code when " when " (default 75)"                             \
    }

/* What every command takes. The first member of each command's options struct. */
typedef struct cli_common {
    const char *store;
    const char *config;
    int64_t store_timeout_ms;
    const char *owner;
    bool quiet;
    bool verbose;
    bool help;
    struct pawl_metrics *metrics; /* not an option: the client's metrics, or NULL */
} cli_common;

#define CLI_STORE_TIMEOUT_DEFAULT_MS 5000
#define CLI_COMMON_DEFAULTS                                                                        \
    {                                                                                              \
        .store_timeout_ms = CLI_STORE_TIMEOUT_DEFAULT_MS                                           \
    }

extern const cli_option cli_common_options[];

/* What is left after the options. */
typedef struct cli_args {
    int count;
    char **items; /* NULL-terminated */
} cli_args;

/*
 * Parses argv[1..] into the struct at target. Operands and options may mix unless
 * stop_at_operand; after "--" everything is an operand. Reorders argv. On a usage
 * error says one line, naming `verb` (if not NULL), and returns false.
 */
bool cli_options_parse(const char *verb, const cli_option *own, bool stop_at_operand, int argc,
                       char **argv, void *target, cli_args *ret_rest);

/*
 * For who looks through a table: the row, or where the table goes on behind its last one; NULL at
 * its end. The next one is cli_option_row(o + 1).
 */
const cli_option *cli_option_row(const cli_option *at);

/* The row of "-x", and that of "--name"; NULL: there is none. */
const cli_option *cli_option_of_letter(const cli_option *table, char letter);
const cli_option *cli_option_of_name(const cli_option *table, const char *name, size_t len);

/* Prints the table for a help page on stdout. */
void cli_options_print(const cli_option *table);

/* "TERM", "SIGTERM", "15": 15; 0 for other words. */
int cli_signal_of_name(const char *name);

/* "TERM"; "?" for other numbers. */
const char *cli_signal_name(int number);

#endif
