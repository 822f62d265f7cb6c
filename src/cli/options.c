/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* sigabbrev_np */
#include "options.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "duration.h"
#include "message.h"
#include "nearest.h"

const cli_option cli_common_options[] = {
    {CLI_VALUE_TEXT, 'S', "store", "URL", offsetof(cli_common, store),
     .help = "a URL, or @FILE with one in it (default $PAWL_STORE, else sqlite:)"},
    {CLI_VALUE_TEXT, 0, "config", "FILE", offsetof(cli_common, config),
     .help = "the store of a Beego application: its app.conf (or $PAWL_CONFIG)"},
    {CLI_VALUE_SPAN, 0, "store-timeout", "D", offsetof(cli_common, store_timeout_ms),
     .choices = "forever",
     .help = "give up on a store that is away for so long (default 5s); forever: never"},
    {CLI_VALUE_TEXT, 0, "owner", "LABEL", offsetof(cli_common, owner),
     .help = "how others see us in ls and show"},
    {CLI_VALUE_FLAG, 'q', "quiet", NULL, offsetof(cli_common, quiet),
     .help = "say nothing but errors of usage and set-up"},
    {CLI_VALUE_FLAG, 'v', "verbose", NULL, offsetof(cli_common, verbose),
     .help = "say what happens, on stderr"},
    {CLI_VALUE_FLAG, 'h', "help", NULL, offsetof(cli_common, help), .help = "this page"},
    CLI_OPTIONS_END,
};

/* ---- Looking up ------------------------------------------------------------ */

/* Copies the index-th of "a|b|c"; false when there are fewer. */
static bool nth_word(const char *words, int index, char ret_word[CLI_WORD_MAX])
{
    for (; words && index > 0; index--) {
        words = strchr(words, '|');
        if (words) words++;
    }
    if (!words) return false;
    size_t len = strcspn(words, "|");
    snprintf(ret_word, CLI_WORD_MAX, "%.*s", (int)len, words);
    return true;
}

static int index_of_word(const char *words, const char *word, size_t len)
{
    char candidate[CLI_WORD_MAX];
    for (int i = 0; nth_word(words, i, candidate); i++) {
        if (strlen(candidate) == len && memcmp(candidate, word, len) == 0) return i;
    }
    return -1;
}

const cli_option *cli_option_row(const cli_option *at)
{
    while (at && at->value == CLI_VALUE_END) at = at->more;
    return at;
}

const cli_option *cli_option_of_letter(const cli_option *table, char letter)
{
    for (const cli_option *o = cli_option_row(table); o; o = cli_option_row(o + 1)) {
        if (o->letter == letter) return o;
    }
    return NULL;
}

const cli_option *cli_option_of_name(const cli_option *table, const char *name, size_t len)
{
    for (const cli_option *o = cli_option_row(table); o; o = cli_option_row(o + 1)) {
        if (index_of_word(o->names, name, len) >= 0) return o;
    }
    return NULL;
}

static bool takes_argument(const cli_option *option)
{
    return option->argument != NULL;
}

static void try_names(cli_nearest *nearest, const cli_option *table)
{
    char name[CLI_WORD_MAX];
    for (const cli_option *o = cli_option_row(table); o; o = cli_option_row(o + 1)) {
        for (int i = 0; nth_word(o->names, i, name); i++) cli_nearest_try(nearest, name);
    }
}

/* ---- Values ---------------------------------------------------------------------- */

static bool parse_integer(const char *text, int64_t min, int64_t max, int64_t *ret_number)
{
    char *end = NULL;
    if (!(*text >= '0' && *text <= '9') && *text != '-') return false;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno != 0 || *end != '\0' || number < min || number > max) return false;
    *ret_number = number;
    return true;
}

static bool parse_fence(const char *text, uint64_t *ret_fence)
{
    char *end = NULL;
    if (!(*text >= '0' && *text <= '9')) return false;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 10);
    if (errno != 0 || *end != '\0' || number > INT64_MAX) return false;
    *ret_fence = number;
    return true;
}

static bool add_word(cli_words *words, const char *word)
{
    if (words->count == CLI_WORDS_MAX) return false;
    words->items[words->count++] = word;
    return true;
}

/* Stores the argument; ret_why gets what is wrong with it. */
static bool set_value(const cli_option *option, const char *argument, void *target, char *ret_why,
                      size_t why_size)
{
    void *field = (char *)target + option->offset;
    const char *why = NULL;
    if (!argument) argument = ""; /* a flag has none, and does not read it */

    switch (option->value) {
    case CLI_VALUE_END:
    case CLI_VALUE_REFUSED:
        return true;
    case CLI_VALUE_FLAG:
        *(bool *)field = true;
        return true;
    case CLI_VALUE_FIXED:
        *(int64_t *)field = option->min;
        return true;
    case CLI_VALUE_TEXT:
        *(const char **)field = argument;
        return true;
    case CLI_VALUE_WORDS:
        if (add_word(field, argument)) return true;
        snprintf(ret_why, why_size, "at most %d of them are allowed", CLI_WORDS_MAX);
        return false;
    case CLI_VALUE_SPAN:
        if (option->choices && strcmp(argument, option->choices) == 0) {
            *(int64_t *)field = -1;
            return true;
        }
        if (cli_duration_parse(argument, field, &why)) return true;
        snprintf(ret_why, why_size, "%s", why);
        return false;
    case CLI_VALUE_NUMBER:
        if (parse_integer(argument, option->min, option->max, field)) return true;
        snprintf(ret_why, why_size, "a number from %" PRId64 " to %" PRId64 " is wanted",
                 option->min, option->max);
        return false;
    case CLI_VALUE_FENCE:
        if (parse_fence(argument, field)) return true;
        snprintf(ret_why, why_size, "a fence is a number, as show prints it");
        return false;
    case CLI_VALUE_CHOICE:
        *(int64_t *)field = index_of_word(option->choices, argument, strlen(argument));
        if (*(int64_t *)field >= 0) return true;
        snprintf(ret_why, why_size, "one of %s is wanted", option->choices);
        return false;
    case CLI_VALUE_SIGNAL:
        *(int64_t *)field = cli_signal_of_name(argument);
        if (*(int64_t *)field > 0) return true;
        snprintf(ret_why, why_size, "a signal is wanted, like TERM or USR1");
        return false;
    }
    return false;
}

/* ---- Parsing ----------------------------------------------------------------------- */

typedef struct parser {
    const char *verb;
    const cli_option *own;
    void *target;
    char **argv;
    int argc;
    int at;
} parser;

static bool usage(const parser *p, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Says one line and returns false. */
static bool usage(const parser *p, const char *format, ...)
{
    char line[512];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    cli_error("%s%s%s", p->verb ? p->verb : "", p->verb ? ": " : "", line);
    return false;
}

static bool accept(parser *p, const cli_option *option, const char *shown, const char *argument)
{
    if (option->value == CLI_VALUE_REFUSED) {
        return usage(p, "%s: %s", shown, option->help);
    }
    char why[160];
    if (set_value(option, argument, p->target, why, sizeof why)) return true;
    char *safe = cli_escape(argument ? argument : "", argument ? strlen(argument) : 0);
    usage(p, "%s %s: %s", shown, safe, why);
    free(safe);
    return false;
}

/* The argument of an option: attached, or the next word. NULL after saying that there is none. */
static const char *argument_of(parser *p, const cli_option *option, const char *shown,
                               const char *attached)
{
    if (attached) return attached;
    if (p->at + 1 < p->argc) return p->argv[++p->at];
    usage(p, "%s needs an argument: %s", shown, option->argument);
    return NULL;
}

static bool take_long(parser *p, const char *word)
{
    const char *name = word + 2;
    size_t len = strcspn(name, "=");
    const char *attached = name[len] == '=' ? name + len + 1 : NULL;
    char shown[CLI_WORD_MAX + 2];
    snprintf(shown, sizeof shown, "--%.*s", (int)len, name);

    const cli_option *option = cli_option_of_name(p->own, name, len);
    if (!option) option = cli_option_of_name(cli_common_options, name, len);
    if (!option) {
        cli_nearest nearest = cli_nearest_to(shown + 2);
        try_names(&nearest, p->own);
        try_names(&nearest, cli_common_options);
        char *safe = cli_escape(shown, strlen(shown));
        usage(p, "there is no option %s%s%s", safe, nearest.found[0] ? "; did you mean --" : "",
              nearest.found);
        free(safe);
        return false;
    }
    if (!takes_argument(option)) {
        if (!attached) return accept(p, option, shown, NULL);
        return usage(p, "%s takes no argument", shown);
    }
    if (option->value == CLI_VALUE_REFUSED) return accept(p, option, shown, NULL);
    const char *argument = argument_of(p, option, shown, attached);
    return argument && accept(p, option, shown, argument);
}

/* "-nq", "-w5", "-w 5". */
static bool take_letters(parser *p, const char *word)
{
    for (const char *letter = word + 1; *letter; letter++) {
        char shown[8];
        snprintf(shown, sizeof shown, "-%c", *letter);
        const cli_option *option = cli_option_of_letter(p->own, *letter);
        if (!option) option = cli_option_of_letter(cli_common_options, *letter);
        if (!option) {
            char *safe = cli_escape(shown, strlen(shown));
            usage(p, "there is no option %s; see %s --help", safe, cli_program);
            free(safe);
            return false;
        }
        if (!takes_argument(option) || option->value == CLI_VALUE_REFUSED) {
            if (!accept(p, option, shown, NULL)) return false;
            continue;
        }
        const char *argument = argument_of(p, option, shown, letter[1] ? letter + 1 : NULL);
        return argument && accept(p, option, shown, argument);
    }
    return true;
}

bool cli_options_parse(const char *verb, const cli_option *own, bool stop_at_operand, int argc,
                       char **argv, void *target, cli_args *ret_rest)
{
    parser p = {.verb = verb, .own = own, .target = target, .argv = argv, .argc = argc};
    int operands = 0; /* moved to the front of argv[1..] as they are met */

    for (p.at = 1; p.at < argc; p.at++) {
        char *word = argv[p.at];
        bool option = word[0] == '-' && word[1] != '\0';
        if (option && strcmp(word, "--") == 0) {
            p.at++;
            break;
        }
        if (!option) {
            if (stop_at_operand) break;
            argv[1 + operands++] = word;
            continue;
        }
        bool fine = word[1] == '-' ? take_long(&p, word) : take_letters(&p, word);
        if (!fine) return false;
    }
    for (; p.at < argc; p.at++) argv[1 + operands++] = argv[p.at];
    argv[1 + operands] = NULL; /* argv has argc + 1 places */
    *ret_rest = (cli_args){operands, argv + 1};
    return true;
}

/* ---- Help ------------------------------------------------------------------------------ */

#define HELP_COLUMN 28

void cli_options_print(const cli_option *table)
{
    for (const cli_option *o = cli_option_row(table); o; o = cli_option_row(o + 1)) {
        if (!o->help || o->value == CLI_VALUE_REFUSED) continue;
        char left[120], word[CLI_WORD_MAX];
        int used = o->letter ? snprintf(left, sizeof left, "  -%c", o->letter)
                             : snprintf(left, sizeof left, "    ");
        for (int i = 0; nth_word(o->names, i, word); i++) {
            used += snprintf(left + used, sizeof left - (size_t)used, "%s--%s",
                             i == 0 && !o->letter ? "  " : ", ", word);
        }
        if (o->argument) snprintf(left + used, sizeof left - (size_t)used, " %s", o->argument);
        if (strlen(left) >= HELP_COLUMN) {
            printf("%s\n%*s%s\n", left, HELP_COLUMN, "", o->help);
            continue;
        }
        printf("%-*s%s\n", HELP_COLUMN, left, o->help);
    }
}

/* ---- Signals by name ------------------------------------------------------------------- */

const char *cli_signal_name(int number)
{
    const char *name = sigabbrev_np(number);
    return name ? name : "?";
}

int cli_signal_of_name(const char *name)
{
    int64_t number = 0;
    if (parse_integer(name, 1, NSIG - 1, &number)) return (int)number;
    if (strncasecmp(name, "SIG", 3) == 0) name += 3;
    for (int i = 1; i < NSIG; i++) {
        const char *candidate = sigabbrev_np(i);
        if (candidate && strcasecmp(candidate, name) == 0) return i;
    }
    return 0;
}
