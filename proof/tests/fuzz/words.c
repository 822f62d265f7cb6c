/* SPDX-License-Identifier: MIT */
/*
 * The words of a command line: options of every kind, durations, fences, signals; and names of
 * any bytes on their way to a terminal and into JSON.
 *
 *   input: words that end with a NUL each
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "cli/duration.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/options.h"
#include "cli/utf8.h"

#include <fcntl.h>
#include <unistd.h>

#define WORDS_MAX 64

typedef struct target {
    cli_common common; /* first, as in every command */
    bool flag;
    int64_t fixed, span, number, choice, signal;
    const char *text;
    uint64_t fence;
} target;

#define AT(field) offsetof(target, field)

static const cli_option table[] = {
    {CLI_VALUE_FLAG, 'f', "flag|switch", NULL, AT(flag), .help = "a flag"},
    {CLI_VALUE_FIXED, 'n', "fixed", NULL, AT(fixed), .min = 7, .help = "a fixed value"},
    {CLI_VALUE_TEXT, 't', "text", "TEXT", AT(text), .help = "a text"},
    {CLI_VALUE_SPAN, 'w', "wait|timeout", "D", AT(span), .help = "a duration"},
    {CLI_VALUE_NUMBER, 'E', "number", "N", AT(number), .min = -5, .max = 255, .help = "a number"},
    {CLI_VALUE_FENCE, 0, "fence", "N", AT(fence), .help = "a fence"},
    {CLI_VALUE_CHOICE, 0, "on-loss", "WHAT", AT(choice), .choices = "kill|warn|stop",
     .help = "a choice"},
    {CLI_VALUE_SIGNAL, 's', "signal", "SIG", AT(signal), .help = "a signal"},
    {CLI_VALUE_REFUSED, 'u', "unlock", NULL, 0, .help = "not here"},
    CLI_OPTIONS_END,
};

/* What the sanitizers have to say goes to the descriptor that is given here; not without them. */
__attribute__((weak)) void __sanitizer_set_report_fd(void *fd);

static int loud = -1, quiet = -1;

/* Thousands of usage errors a second help nobody: standard error is switched off and on. */
static void prepare_streams(void)
{
    if (quiet >= 0) return;
    loud = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    quiet = open("/dev/null", O_WRONLY | O_CLOEXEC);
    CHECK(loud >= 0 && quiet >= 0);
    if (__sanitizer_set_report_fd) __sanitizer_set_report_fd((void *)(intptr_t)loud);
}

static void switch_stderr(int to)
{
    CHECK(dup2(to, STDERR_FILENO) == STDERR_FILENO);
}

static void check_values(const target *t)
{
    CHECK(t->span >= 0 && t->span <= CLI_DURATION_MAX_MS);
    CHECK(t->common.store_timeout_ms >= 0 && t->common.store_timeout_ms <= CLI_DURATION_MAX_MS);
    CHECK(t->fixed == 0 || t->fixed == 7);
    CHECK(t->number >= -5 && t->number <= 255);
    CHECK(t->choice >= -1 && t->choice <= 2);
    CHECK(t->signal >= 0 && t->signal < 65);
}

static void parse(char **words, int count, bool stop_at_operand)
{
    char *argv[WORDS_MAX + 2] = {"pawl"};
    target t = {.common = CLI_COMMON_DEFAULTS};
    cli_args rest;
    memcpy(argv + 1, words, (size_t)count * sizeof *words);
    switch_stderr(quiet);
    bool fine = cli_options_parse("run", table, stop_at_operand, count + 1, argv, &t, &rest);
    switch_stderr(loud);
    if (!fine) return;
    check_values(&t);
    CHECK(rest.count >= 0 && rest.count <= count && rest.items[rest.count] == NULL);
    for (int i = 0; i < rest.count; i++) CHECK(rest.items[i] != NULL);
}

/* A duration's text, read again, is the same but for what the text leaves out. */
static void check_duration(const char *word)
{
    int64_t ms;
    const char *why = NULL;
    char text[CLI_DURATION_TEXT];
    if (!cli_duration_parse(word, &ms, &why)) {
        CHECK(why && why[0]);
        return;
    }
    CHECK(ms >= 0 && ms <= CLI_DURATION_MAX_MS);
    CHECK(strspn(word, "0.") == strlen(word) || ms > 0 || strpbrk(word, "123456789") == NULL);
    CHECK(strlen(cli_duration_text(ms, text)) < sizeof text);
}

static void check_shown(const char *word, size_t len)
{
    char *safe = cli_escape(word, len);
    CHECK(cli_utf8_valid(safe, strlen(safe)) && strlen(safe) >= len);
    for (const char *p = safe; *p; p++) CHECK((unsigned char)*p >= ' ' && *p != 0x7f);
    free(safe);
    json_t *object = json_object();
    cli_json_set_bytes(object, "key", word, len);
    const json_t *value = json_object_get(object, "key");
    CHECK(json_is_string(value));
    if (cli_utf8_valid(word, len))
        CHECK(json_string_length(value) == len && memcmp(json_string_value(value), word, len) == 0);
    json_decref(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *words[WORDS_MAX];
    int count = 0;
    prepare_streams();
    char *text = fuzz_text((fuzz_input){data, size}), *end = text + size;
    check_shown(text, size < PAWL_NAME_MAX ? size : PAWL_NAME_MAX);
    for (char *word = text; word < end && count < WORDS_MAX; word += strlen(word) + 1) {
        check_duration(word);
        words[count++] = word;
    }
    parse(words, count, false);
    parse(words, count, true);
    free(text);
    return 0;
}
