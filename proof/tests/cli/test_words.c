/* SPDX-License-Identifier: MIT */
/* The nearest word to what was typed, the parts of a holder's label, instants, UTF-8, the exit code
 * of each error, and paths that stay the same elsewhere. */
#define _DEFAULT_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/exit_codes.h"
#include "cli/holder.h"
#include "cli/nearest.h"
#include "cli/store_absolute.h"
#include "cli/utf8.h"

/* ---- Did you mean ... ------------------------------------------------------------------------ */

/* How far it is at most: the candidate is looked at as if nothing were too far. */
static size_t edits_of(const char *word, const char *candidate)
{
    cli_nearest nearest = {.word = word, .edits = 100};
    cli_nearest_try(&nearest, candidate);
    return nearest.edits;
}

/* The word at the very beginning of what may be read: whoever looks before it is ended. */
static const char *at_the_edge(const char *word)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *two = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(two, MAP_FAILED);
    assert_int_equal(mprotect(two, page, PROT_NONE), 0);
    return strcpy(two + page, word);
}

static void nothing_before_a_word_is_read(void **state)
{
    (void)state;
    assert_int_equal(edits_of(at_the_edge("hodl"), at_the_edge("hold")), 1);
}

static void edits_are_counted(void **state)
{
    static const struct {
        const char *word, *candidate;
        size_t edits;
    } cases[] = {
        {"", "", 0},
        {"", "run", 3},
        {"ls", "", 2},
        {"ls", "ls", 0},
        {"ls", "lsx", 1},            /* one more */
        {"xls", "ls", 1},            /* one less */
        {"la", "ls", 1},             /* another */
        {"sl", "ls", 1},             /* two that are swapped */
        {"rnu", "run", 1},           /* at the end */
        {"hodl", "hold", 1},         /* and behind others */
        {"slsl", "lsls", 2},         /* twice */
        {"ca", "abc", 3},            /* a swap is not edited again */
        {"relaese", "release", 1},   /* in the middle */
        {"kitten", "sitting", 3},    /* of each kind */
        {"brek", "break", 1},        /* left out */
        {"breaak", "break", 1},      /* doubled */
        {"aab", "aba", 1},           /* letters that repeat */
        {"abcdef", "fedcba", 5},     /* only the middle is a swap */
        {"shwo", "show", 1},         /* no beginning of it */
        {"sho", "show", 1},          /* its beginning: one edit whatever is left out */
        {"com", "completion", 1},    /* the same */
        {"co", "completion", 8},     /* too short to be called a beginning */
        {"completions", "compl", 6}, /* it begins, but is the longer one */
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_int_equal(edits_of(cases[i].word, cases[i].candidate), cases[i].edits);
}

static void what_is_longer_than_any_word_is_near_to_none(void **state)
{
    char longest[CLI_WORD_MAX + 1], longer[CLI_WORD_MAX + 2];
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[CLI_WORD_MAX] = '\0';
    memset(longer, 'x', sizeof longer);
    longer[CLI_WORD_MAX + 1] = '\0';
    assert_int_equal(edits_of(longest, "xy"), CLI_WORD_MAX - 1);
    assert_int_equal(edits_of("xy", longest), CLI_WORD_MAX - 1);
    assert_int_equal(edits_of(longer, "xy"), 100);
    assert_int_equal(edits_of("xy", longer), 100);
}

static const char *found(const char *word, const char *one, const char *other)
{
    static cli_nearest nearest;
    nearest = cli_nearest_to(word);
    cli_nearest_try(&nearest, one);
    cli_nearest_try(&nearest, other);
    return nearest.found;
}

static void the_nearest_word_is_named_and_no_far_one(void **state)
{
    (void)state;
    assert_string_equal(found("hodl", "hold", "held"), "hold");
    assert_string_equal(found("hodl", "held", "hold"), "hold");
    assert_string_equal(found("lo", "ls", "la"), "ls"); /* of two as near the first */
    assert_string_equal(found("zz", "ls", "la"), "");   /* one edit of two letters, not two */
    assert_string_equal(found("abc", "axy", "xyz"), "axy");
    assert_string_equal(found("abc", "xyz", "uvw"), "");
    assert_string_equal(found("relxyse", "zzzzzzz", "release"), "release");
    assert_string_equal(found("abcdef", "abcxyz", "uvwxyz"), "abcxyz"); /* three of six */
    assert_string_equal(found("abcdef", "abwxyz", "uvwxyz"), "");       /* four are too many */
}

/* ---- Who holds it ---------------------------------------------------------------------------- */

static void is_part(const char *part, size_t len, const char *expected)
{
    assert_int_equal(len, strlen(expected));
    assert_memory_equal(part, expected, len);
}

#define ID "0123456789abcdef0123456789abcdef"

static void a_label_has_its_parts(void **state)
{
    static const struct {
        const char *label, *user, *host, *program, *trace;
        long pid;
    } cases[] = {
        {"ann@web1 4711 backup.sh", "ann", "web1", "backup.sh", NULL, 4711},
        {"a@b 1 c", "a", "b", "c", NULL, 1},
        {"a@b 2147483647 c d", "a", "b", "c d", NULL, 2147483647},
        {"a@b@c 1 d", "a", "b@c", "d", NULL, 1},
        {"a@b 1 c trace=" ID, "a", "b", "c", ID, 1},
        {"a@b 1 c d trace=" ID, "a", "b", "c d", ID, 1},
        {"a@b 1  trace=" ID, "a", "b", "", ID, 1},           /* a program without a name */
        {"a@b 1 trace=" ID, "a", "b", "trace=" ID, NULL, 1}, /* it is the program itself */
        {"a@b 1 c trace=0123456789abcdeg0123456789abcdef", "a", "b",
         "c trace=0123456789abcdeg0123456789abcdef", NULL, 1},
        {"a@b 1 c trace=0" ID, "a", "b", "c trace=0" ID, NULL, 1},
        {"a@b 1 c track=" ID, "a", "b", "c track=" ID, NULL, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        cli_holder holder;
        assert_true(cli_holder_parse(cases[i].label, &holder));
        is_part(holder.user, holder.user_len, cases[i].user);
        is_part(holder.host, holder.host_len, cases[i].host);
        is_part(holder.program, holder.program_len, cases[i].program);
        assert_int_equal(holder.pid, cases[i].pid);
        if (cases[i].trace)
            assert_string_equal(holder.trace, cases[i].trace);
        else
            assert_null(holder.trace);
    }
}

static void a_label_that_was_chosen_has_none(void **state)
{
    static const char *const labels[] = {
        "",
        "ann",
        "@web1 1 c",
        "ann@ 1 c",
        "ann@web1",
        "ann@web1 1",
        "ann@web1 1 ",
        "ann@web1 x c",
        "ann@web1  c",
        "ann@web1 1x c",
        "an n@web1 1 c",
        "ann@web1 12345678901 c",
    };
    cli_holder holder;
    (void)state;
    for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
        assert_false(cli_holder_parse(labels[i], &holder));
}

static void an_instant_is_one_that_a_fence_can_be(void **state)
{
    pawl_info info = {.held = true, .fence = UINT64_C(1577836800) * 1000000 + 999999};
    char text[CLI_UTC_TEXT];
    int64_t now = (int64_t)time(NULL);
    (void)state;
    assert_int_equal(cli_holder_since_s(&info), 1577836800);
    assert_true(cli_holder_since(&info, text));
    assert_string_equal(text, "2020-01-01T00:00:00Z");
    info.fence = UINT64_C(1577836800) * 1000000 - 1; /* before there was any pawl */
    assert_int_equal(cli_holder_since_s(&info), -1);
    assert_false(cli_holder_since(&info, text));
    info.fence = (uint64_t)(now + 30) * 1000000; /* the store's clock may be ahead by so much */
    assert_int_equal(cli_holder_since_s(&info), now + 30);
    info.fence = (uint64_t)(now + 86400) * 1000000;
    assert_int_equal(cli_holder_since_s(&info), -1);
    info.fence = (uint64_t)now * 1000000;
    info.foreign = true;
    assert_int_equal(cli_holder_since_s(&info), -1);
    info.foreign = info.held = false;
    assert_int_equal(cli_holder_since_s(&info), -1);
    assert_true(cli_utc_text(0, text));
    assert_string_equal(text, "1970-01-01T00:00:00Z");
    assert_true(cli_utc_text(1795888496, text));
    assert_string_equal(text, "2026-11-28T17:54:56Z");
}

static void each_mode_has_its_word(void **state)
{
    (void)state;
    assert_string_equal(cli_mode_word(PAWL_MODE_EXCLUSIVE), "exclusive");
    assert_string_equal(cli_mode_word(PAWL_MODE_SHARED), "shared");
    assert_string_equal(cli_mode_word(PAWL_MODE_UPDATE), "update");
    assert_string_equal(cli_mode_word(PAWL_MODE_PERMIT), "permit");
    assert_string_equal(cli_mode_word((pawl_mode)(PAWL_MODE_PERMIT + 1)), "unknown");
}

/* ---- UTF-8 ----------------------------------------------------------------------------------- */

static void the_ends_of_each_width_are_characters(void **state)
{
    static const struct {
        const char *bytes;
        size_t width;
        uint32_t c;
    } cases[] = {
        {"a", 1, 'a'},
        {"\x7f", 1, 0x7f},
        {"\xc2\x80", 2, 0x80},
        {"\xdf\xbf", 2, 0x7ff},
        {"\xe0\xa0\x80", 3, 0x800},
        {"\xed\x9f\xbf", 3, 0xd7ff}, /* before the surrogates */
        {"\xee\x80\x80", 3, 0xe000}, /* behind them */
        {"\xef\xbf\xbf", 3, 0xffff},
        {"\xf0\x90\x80\x80", 4, 0x10000},
        {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint32_t c = 7;
        size_t len = strlen(cases[i].bytes);
        assert_int_equal(cli_utf8_next(cases[i].bytes, len, &c), cases[i].width);
        assert_int_equal(c, cases[i].c);
        assert_int_equal(len, cases[i].width);
        assert_int_equal(cli_utf8_next(cases[i].bytes, len - 1, &c), 0); /* cut */
        assert_true(cli_utf8_valid(cases[i].bytes, len));
        assert_int_equal(cli_utf8_count(cases[i].bytes), 1);
    }
    uint32_t c = 7;
    assert_int_equal(cli_utf8_next("\0", 1, &c), 1); /* a NUL is a character */
    assert_int_equal(c, 0);
    assert_int_equal(cli_utf8_next("ab", 2, &c), 1); /* one of two */
}

static void what_is_no_character_is_none(void **state)
{
    static const char *const cases[] = {
        "\xa5\x80",
        "\xf8\x90\x80\x80",
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf", /* shorter would do */
        "\xe0\x9f\xbf",
        "\xf0\x8f\xbf\xbf",
        "\xed\xa0\x80", /* half of a pair, and the other */
        "\xed\xbf\xbf",
        "\xf4\x90\x80\x80", /* beyond the last */
        "\xf5\x80\x80\x80",
        "\xff\x80\x80\x80",
        "\xc2"
        "a",
        "\xe1\x80"
        "a",
        "\xe1"
        "a\x80",
        "\xf1\x80\x80"
        "a",
        "\xc2\xc0",
    };
    uint32_t c;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(cli_utf8_next(cases[i], strlen(cases[i]), &c), 0);
        assert_false(cli_utf8_valid(cases[i], strlen(cases[i])));
    }
}

static void a_text_is_valid_as_a_whole(void **state)
{
    (void)state;
    assert_true(cli_utf8_valid("", 0));
    assert_true(cli_utf8_valid("a\xc3\xa4\xe2\x82\xac!", 7));
    assert_false(cli_utf8_valid("a\xc3\xa4\xe2\x82", 5));
    assert_false(cli_utf8_valid("ab\xff", 3));
    assert_false(
        cli_utf8_valid("a\xc3\xa4\xe2\x82\xac!", 5)); /* what lies behind it is not looked at */
    assert_int_equal(cli_utf8_count(""), 0);
    assert_int_equal(cli_utf8_count("a\xc3\xa4\xe2\x82\xac!"), 4);
}

/* ---- The exit code of each error ---------------------------------------------------------------
 */

/* What scripts compare with: numbers, in the order of the list of errors. */
static const struct {
    int err, code;
} exits[] = {
    {PAWL_OK, 0},
    {PAWL_ERR_BUSY, 75},
    {PAWL_ERR_TIMEOUT, 75},
    {PAWL_ERR_LOST, 76},
    {PAWL_ERR_NOT_HELD, 76},
    {PAWL_ERR_UNKNOWN, 74},
    {PAWL_ERR_UNAVAILABLE, 69},
    {PAWL_ERR_LOADING, 69},
    {PAWL_ERR_STORE_BUSY, 69},
    {PAWL_ERR_READONLY, 73},
    {PAWL_ERR_STORE_FULL, 73},
    {PAWL_ERR_AUTH, 77},
    {PAWL_ERR_PERMISSION, 77},
    {PAWL_ERR_WRONG_TYPE, 65},
    {PAWL_ERR_CORRUPT, 65},
    {PAWL_ERR_VERSION, 78},
    {PAWL_ERR_NETWORK_FS, 72},
    {PAWL_ERR_PROTOCOL, 78},
    {PAWL_ERR_URL, 78},
    {PAWL_ERR_SCHEME, 78},
    {PAWL_ERR_OPTION, 78},
    {PAWL_ERR_NAME, 64},
    {PAWL_ERR_TTL, 64},
    {PAWL_ERR_ARGUMENT, 64},
    {PAWL_ERR_STATE, 70},
    {PAWL_ERR_UNSUPPORTED, 78},
    {PAWL_ERR_FORKED, 70},
    {PAWL_ERR_CLOSED, 70},
    {PAWL_ERR_CANCELED, 70},
    {PAWL_ERR_NO_MEMORY, 71},
    {PAWL_ERR_SYSTEM, 71},
    {PAWL_ERR_FENCE, 70},
    {PAWL_ERR_INTERNAL, 70},
    {PAWL_ERR_OWNER, 64},
    {PAWL_ERR_TLS, 77},
    {PAWL_ERR_KIND, 78},
    {PAWL_ERR_CAPACITY, 78},
    {PAWL_ERR_UNITS, 64},
    {PAWL_ERR_MODE, 64},
    {PAWL_ERR_REENTRY, 64},
    {PAWL_ERR_NAMES, 64},
    {PAWL_ERR_DONE, 75},
    {PAWL_ERR_VALUE, 64},
    {PAWL_ERR_BROKEN, 76},
    {PAWL_ERR_COUNT, 78},
    {PAWL_ERR_PARTIES, 64},
    {-12345, 70},
};

static void each_error_has_its_exit_code(void **state)
{
    size_t count = sizeof exits / sizeof exits[0], known = 0;
    (void)state;
#define COUNT(name, number, cls, text) known++;
    PAWL_ERR_LIST(COUNT)
#undef COUNT
    assert_int_equal(count, known + 2); /* PAWL_OK, and what no error is */
    for (size_t i = 0; i < count; i++)
        assert_int_equal(cli_exit_of_err(exits[i].err), exits[i].code);
    assert_int_equal(CLI_EXIT_NO_INPUT, 66);
    assert_int_equal(CLI_EXIT_CANNOT_EXECUTE, 126);
    assert_int_equal(CLI_EXIT_NOT_FOUND, 127);
    assert_int_equal(CLI_EXIT_SIGNAL_BASE, 128);
}

static void the_help_about_exit_codes_has_an_end(void **state)
{
    int count = 0;
    (void)state;
    while (cli_exit_help(count)) count++;
    assert_int_equal(count, 15);
    assert_null(cli_exit_help(-1));
    assert_memory_equal(cli_exit_help(0), "0 ", 2);
    assert_memory_equal(cli_exit_help(count - 1), "128+n ", 6);
}

/* ---- Paths ------------------------------------------------------------------------------------
 */

static void a_relative_store_becomes_absolute_and_nothing_else(void **state)
{
    static const char file[] = "/some dir/é/conf";
    static const struct {
        const char *given, *base, *becomes;
    } cases[] = {
        {"@store", file, "@/some dir/é/store"},
        {"@a/b", "/top", "@/a/b"},
        {"@/absolute", file, "@/absolute"},
        {"@", file, "@"},
        {"@store", "no slash", "@store"},
        {"sqlite:x.db", file, "sqlite:/some%20dir/%C3%A9/x.db"},
        {"SQLite:x.db?a=b", "/top", "sqlite:/x.db?a=b"},
        {"sqlite:a/b c", "/-._~/A0/x", "sqlite:/-._~/A0/a/b c"},
        {"sqlite:/x.db", file, "sqlite:/x.db"},
        {"sqlite:", file, "sqlite:"},
        {"sqlite:?a=b", file, "sqlite:?a=b"},
        {"sqlite", file, "sqlite"},
        {"redis://h/x", file, "redis://h/x"},
        {"relative", file, "relative"},
        {"", file, ""},
    };
    char buf[200];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        size_t len = strlen(cases[i].becomes);
        assert_true(cli_store_absolute(cases[i].given, cases[i].base, buf, sizeof buf));
        assert_string_equal(buf, cases[i].becomes);
        assert_true(cli_store_absolute(cases[i].given, cases[i].base, buf, len + 1));
        assert_string_equal(buf, cases[i].becomes);
        buf[len] = '#';
        assert_false(cli_store_absolute(cases[i].given, cases[i].base, buf, len));
        assert_int_equal(buf[len], '#'); /* behind the room that there is */
    }
}

static void a_path_counts_from_the_working_directory(void **state)
{
    char buf[4200];
    (void)state;
    assert_int_equal(chdir("/usr/bin"), 0);
    assert_true(cli_path_absolute("a b", buf, sizeof buf));
    assert_string_equal(buf, "/usr/bin/a b");
    assert_true(cli_store_absolute("@x", NULL, buf, sizeof buf));
    assert_string_equal(buf, "@/usr/bin/x");
    assert_true(cli_path_absolute("/etc/x", buf, sizeof buf));
    assert_string_equal(buf, "/etc/x");
    assert_false(cli_path_absolute("/etc/x", buf, 6));
    assert_false(cli_path_absolute("a b", buf, 12));
    assert_int_equal(chdir("/"), 0);
    assert_true(cli_path_absolute("x", buf, sizeof buf));
    assert_string_equal(buf, "/x");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edits_are_counted),
        cmocka_unit_test(what_is_longer_than_any_word_is_near_to_none),
        cmocka_unit_test(nothing_before_a_word_is_read),
        cmocka_unit_test(the_nearest_word_is_named_and_no_far_one),
        cmocka_unit_test(a_label_has_its_parts),
        cmocka_unit_test(a_label_that_was_chosen_has_none),
        cmocka_unit_test(an_instant_is_one_that_a_fence_can_be),
        cmocka_unit_test(each_mode_has_its_word),
        cmocka_unit_test(the_ends_of_each_width_are_characters),
        cmocka_unit_test(what_is_no_character_is_none),
        cmocka_unit_test(a_text_is_valid_as_a_whole),
        cmocka_unit_test(each_error_has_its_exit_code),
        cmocka_unit_test(the_help_about_exit_codes_has_an_end),
        cmocka_unit_test(a_relative_store_becomes_absolute_and_nothing_else),
        cmocka_unit_test(a_path_counts_from_the_working_directory),
    };
    return cmocka_run_group_tests_name("cli: words", tests, NULL, NULL);
}
