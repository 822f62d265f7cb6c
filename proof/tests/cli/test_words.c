/* SPDX-License-Identifier: MIT */
/* The nearest word to what was typed, the parts of a holder's label, instants, and UTF-8. */
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

#include "cli/holder.h"
#include "cli/nearest.h"
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
    };
    return cmocka_run_group_tests_name("cli: words", tests, NULL, NULL);
}
