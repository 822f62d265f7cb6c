/* SPDX-License-Identifier: MIT */
#include "complete.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Answers ------------------------------------------------------------------------------ */

static bool begins_with(const char *text, const char *beginning)
{
    return strncmp(text, beginning, strlen(beginning)) == 0;
}

void cli_complete_offer(const char *asked, const char *word, const char *help)
{
    if (begins_with(word, asked)) printf("%s%s%s\n", word, help ? "\t" : "", help ? help : "");
}

/* Each word of "a|b" or "a,b", behind what stands before it: "--on-lost=", or "fence,". */
static void offer_each(const char *asked, const char *before, size_t before_len, const char *words,
                       const char *dashes, const char *help)
{
    while (words && *words) {
        char word[256];
        size_t len = strcspn(words, "|,");
        int used = snprintf(word, sizeof word, "%.*s%s%.*s", (int)before_len, before, dashes,
                            (int)len, words);
        if (used > 0 && (size_t)used < sizeof word) cli_complete_offer(asked, word, help);
        words += len;
        if (*words) words++;
    }
}

static bool has_name_of(const cli_option *table, const cli_option *option)
{
    if (!table) return false;
    bool has_letter = option->letter && cli_option_of_letter(table, option->letter);
    return has_letter ||
           (option->names && cli_option_of_name(table, option->names, strcspn(option->names, "|")));
}

void cli_complete_options(const char *asked, const cli_option *table, const cli_option *hidden_by)
{
    for (const cli_option *o = cli_option_row(table); o; o = cli_option_row(o + 1)) {
        if (!o->help || o->value == CLI_VALUE_REFUSED || has_name_of(hidden_by, o)) continue;
        char letter[3] = {'-', o->letter, '\0'};
        if (o->letter) cli_complete_offer(asked, letter, o->help);
        offer_each(asked, "", 0, o->names, "--", o->help);
    }
}

static void offer_signals(const char *asked, const char *before, size_t before_len)
{
    for (int number = 1; number < SIGRTMIN; number++) {
        const char *name = cli_signal_name(number);
        if (*name != '?') offer_each(asked, before, before_len, name, "", NULL);
    }
}

/* `before_len` bytes of the word stand before the argument: those of "--yield=". */
static void offer_arguments(const cli_option *option, const char *word, size_t before_len)
{
    const char *what = option->argument;
    if (option->value == CLI_VALUE_SIGNAL) {
        offer_signals(word, word, before_len);
    } else if (option->choices) {
        const char *comma =
            option->value == CLI_VALUE_TEXT ? strrchr(word + before_len, ',') : NULL;
        if (comma) before_len = (size_t)(comma + 1 - word);
        offer_each(word, word, before_len, option->choices, "", NULL);
    } else if (strcmp(what, "FILE") == 0 || strcmp(what, "PATH") == 0) {
        puts(":files");
    }
}

/* ---- Reading a line ------------------------------------------------------------------------- */

static bool is_option(const char *word)
{
    return word[0] == '-' && word[1] != '\0';
}

static const cli_option *find_name(const cli_line *line, const char *name, size_t len)
{
    const cli_option *option = line->own ? cli_option_of_name(line->own, name, len) : NULL;
    return option ? option : cli_option_of_name(cli_common_options, name, len);
}

static const cli_option *find_letter(const cli_line *line, char letter)
{
    const cli_option *option = line->own ? cli_option_of_letter(line->own, letter) : NULL;
    return option ? option : cli_option_of_letter(cli_common_options, letter);
}

/* The option that the word ends with, if that has an argument; *ret_attached: it stands there. */
static const cli_option *with_argument(const cli_line *line, const char *word, bool *ret_attached)
{
    *ret_attached = false;
    if (word[1] == '-') {
        size_t len = strcspn(word + 2, "=");
        const cli_option *option = find_name(line, word + 2, len);
        *ret_attached = word[2 + len] == '=';
        return option && option->argument ? option : NULL;
    }
    for (const char *letter = word + 1; *letter; letter++) {
        const cli_option *option = find_letter(line, *letter);
        *ret_attached = letter[1] != '\0';
        if (option && option->argument) return option;
    }
    return NULL;
}

void cli_complete_skip_options(cli_line *line)
{
    while (line->at < line->last && !line->ended && is_option(line->words[line->at])) {
        const char *word = line->words[line->at++];
        if (strcmp(word, "--") == 0) {
            line->ended = true;
            return;
        }
        bool attached;
        const cli_option *option = with_argument(line, word, &attached);
        if (option && option->value == CLI_VALUE_WORDS && option->letter == 'k')
            line->has_key = true;
        if (!option || attached) continue;
        if (line->at == line->last)
            line->wants = option;
        else
            line->at++;
    }
}

bool cli_complete_option(const cli_line *line)
{
    const char *word = line->words[line->last];
    if (line->wants) {
        offer_arguments(line->wants, word, 0);
        return true;
    }
    if (line->ended || word[0] != '-') return false;
    size_t len = strcspn(word, "=");
    const cli_option *option =
        word[1] == '-' && word[len] == '=' ? find_name(line, word + 2, len - 2) : NULL;
    if (option && option->argument) {
        offer_arguments(option, word, len + 1);
        return true;
    }
    if (line->own) cli_complete_options(word, line->own, NULL);
    cli_complete_options(word, cli_common_options, line->own);
    return true;
}

/* ---- A command ------------------------------------------------------------------------------- */

/* KEY, and then somebody else's command. */
static void complete_before_command(const cli_command *command, cli_line *line, int before)
{
    bool needs_key = !line->has_key;
    if (needs_key && line->at == line->last) {
        cli_complete_option(line);
        return;
    }
    if (needs_key) line->at++;
    bool goes_on = needs_key && command->goes_on_behind && !line->ended;
    if (goes_on) cli_complete_skip_options(line);
    if (needs_key && !goes_on && line->at < line->last && strcmp(line->words[line->at], "--") == 0)
        line->at++;
    bool may_be_option = line->at == line->last && (goes_on || !needs_key);
    if (line->wants || (may_be_option && line->words[line->last][0] == '-')) {
        if (cli_complete_option(line)) return;
    }
    printf(":command %d\n", before + line->at);
}

bool cli_complete_is_asked(int argc, char **argv)
{
    return argc > 2 && begins_with(argv[1], CLI_COMPLETE_ASKED);
}

void cli_complete(const cli_command *command, char *const *words)
{
    int before = (int)strtol(words[0] + strlen(CLI_COMPLETE_ASKED), NULL, 10);
    cli_line line = {.own = command->options, .words = words + 1};
    while (line.words[line.last + 1]) line.last++;
    cli_complete_skip_options(&line);
    if (command->stops_at_operand) {
        complete_before_command(command, &line, before);
        return;
    }
    bool is_first = line.at == line.last;
    while (line.at < line.last && !line.wants) {
        line.at++;
        cli_complete_skip_options(&line);
    }
    if (cli_complete_option(&line) || !is_first || !command->choices) return;
    offer_each(words[1 + line.last], "", 0, command->choices, "", NULL);
}
