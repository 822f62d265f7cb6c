/* SPDX-License-Identifier: MIT */
/* Beego's INI dialect: what a text means, and where a malformed line is wrong. */
#define _GNU_SOURCE /* setenv */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "beego/config/cache_json.h"
#include "beego/config/ini.h"
#include "beego/config/text.h"
#include "pawl/types.h"
#include "temp_dir.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static pawl__ini *parse(const char *text)
{
    pawl__ini *ini = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    int err = pawl__ini_parse("a.conf", text, strlen(text), &ini, message);
    if (err) print_error("%s\n", message);
    assert_int_equal(err, PAWL_OK);
    return ini;
}

static void meaning_of_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text, *section, *key, *value; /* value NULL: there is no such key */
    } cases[] = {
        {"a=1", "default", "a", "1"},
        {"  a \t=  1 2  ", "default", "a", "1 2"},
        {"A.B-c=1\r\n", "default", "a.b-c", "1"},
        {"a=", "default", "a", ""},
        {"a==b=c", "default", "a", "=b=c"},
        {"a=1\na=2", "default", "a", "2"},
        {"a=1\nA=2", "default", "a", "2"},
        {"#a=1", "default", "a", NULL},
        {"  ;a=1", "default", "a", NULL},
        {"a=1 # not a comment", "default", "a", "1 # not a comment"},
        {"a=1;2", "default", "a", "1;2"},
        {"a=\"1\"", "default", "a", "1"},
        {"a=\" 1 \"", "default", "a", " 1 "},
        {"a=\"\"\"1\"\"", "default", "a", "1"},
        {"a=\"", "default", "a", ""},
        {"a=\"1", "default", "a", "1"},
        {"a=1\"", "default", "a", "1\""},
        {"a='1'", "default", "a", "'1'"},
        {"a=\"1\"2\"", "default", "a", "1\"2"},
        {"[S]\na=1", "s", "a", "1"},
        {"[S]\na=1", "default", "a", NULL},
        {"[ S ]\na=1", " s ", "a", "1"},
        {"[a=b]\nc=1", "a=b", "c", "1"},
        {"[]\na=1", "", "a", "1"},
        {"[s]\n[default]\na=1", "default", "a", "1"},
        {"[s]\na=1\n[t]\n[S]\nb=2", "s", "b", "2"},
        {"a=1\n[s]\na=2", "default", "a", "1"},
        {"\xEF\xBB\xBF"
         "a=1",
         "default", "a", "1"},
        {"\xE3\x80\x80"
         "a\xC2\xA0=\xE3\x80\x80"
         "1\xE3\x80\x80",
         "default", "a", "1"},
        {"\xC3\x84=1", "default", "\xC3\xA4", "1"},
        {"\xE5\x90\x8D=\xE5\x80\xBC", "default", "\xE5\x90\x8D", "\xE5\x80\xBC"},
        {"a=\xB2\xE2", "default", "a", "\xB2\xE2"}, /* GBK passes through in a value */
        {"a=\\n\\t", "default", "a", "\\n\\t"},
        {"include=1", "default", "include", "1"},
        {"includes = 1", "default", "includes", "1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        pawl__ini *ini = parse(cases[i].text);
        const pawl__ini_entry *entry = pawl__ini_find(ini, cases[i].section, cases[i].key);
        if (!entry != !cases[i].value || (entry && strcmp(entry->value, cases[i].value) != 0))
            fail_msg("\"%s\" gave %s", cases[i].text, entry ? entry->value : "(nothing)");
        pawl__ini_free(ini);
    }
}

static void variables_stand_for_whole_values(void **state)
{
    (void)state;
    static const struct {
        const char *text, *value;
    } cases[] = {
        {"a=${PAWL_T_SET}", "from env"},
        {"a=\"${PAWL_T_SET}\"", "from env"},
        {"a=${PAWL_T_SET||x}", "from env"},
        {"a=${PAWL_T_UNSET}", ""},
        {"a=${PAWL_T_UNSET||}", ""},
        {"a=${PAWL_T_UNSET||a b}", "a b"},
        {"a=${PAWL_T_EMPTY||x}", "x"},
        {"a=${PAWL_T_UNSET||redis://h:1/0}", "redis://h:1/0"},
        {"a=${PAWL_T_UNSET||a||b}", "a||b"},
        {"a=${PAWL_T_UNSET||${PAWL_T_SET}}", "${PAWL_T_SET}"},
        {"a=${PAWL_T_UNSET|x}", ""},
        {"a=${PAWL_T_UNSET|}", ""},
        {"a=${PAWL_T_SET}b}", "from env"},
        {"a=${}", ""},
        {"a=${||x}", "x"},
        {"a=x${PAWL_T_SET}", "x${PAWL_T_SET}"},
        {"a=${PAWL_T_SET}x", "${PAWL_T_SET}x"},
        {"a=$PAWL_T_SET", "$PAWL_T_SET"},
        {"a=${", "${"},
        {"a=$}", "$}"},
    };
    setenv("PAWL_T_SET", "from env", 1);
    setenv("PAWL_T_EMPTY", "", 1);
    unsetenv("PAWL_T_UNSET");
    for (size_t i = 0; i < COUNT(cases); i++) {
        pawl__ini *ini = parse(cases[i].text);
        assert_string_equal(pawl__ini_find(ini, "default", "a")->value, cases[i].value);
        pawl__ini_free(ini);
    }
}

static void malformed_lines_say_where_and_what(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"a", "a.conf:1: expected key = value"},
        {"\n# c\r\n\nhello world\n", "a.conf:4: expected key = value"},
        {"a=1\n=2", "a.conf:2: expected a key before the ="},
        {"[s", "a.conf:1: expected ] at the end"},
        {"[s] # c", "a.conf:1: expected ] at the end"},
        {"[s] # a=b", "a.conf:1: expected ] at the end"},
        {"a::b=1", "a.conf:1: expected a key without ::"},
        {"a\xB2\xE2=1", "a.conf:1: expected a key in UTF-8"},
        {"[\xB2\xE2]", "a.conf:1: expected a section's name in UTF-8"},
        {"include", "a.conf:1: expected include \"file\""},
        {"include a b", "a.conf:1: expected include \"file\""},
        {"include \"\"", "a.conf:1: expected include \"file\""},
        {"includefoo", "a.conf:1: expected key = value"},
        {"include nowhere.conf", "a.conf:1: cannot read nowhere.conf: No such file"},
        {"]", "a.conf:1: expected key = value"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        pawl__ini *ini = NULL;
        char message[PAWL_MESSAGE_MAX] = "";
        int err = pawl__ini_parse("a.conf", cases[i].text, strlen(cases[i].text), &ini, message);
        if (err >= 0 || ini || strncmp(message, cases[i].message, strlen(cases[i].message)) != 0)
            fail_msg("\"%s\": %d, \"%s\", expected \"%s\"", cases[i].text, err, message,
                     cases[i].message);
    }
}

static void a_secret_on_a_malformed_line_is_not_repeated(void **state)
{
    (void)state;
    pawl__ini *ini = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    const char *text = "password hunter2";
    assert_int_equal(pawl__ini_parse("a.conf", text, strlen(text), &ini, message), PAWL_ERR_OPTION);
    assert_null(strstr(message, "hunter2"));
}

static void a_nul_is_refused_but_not_in_comments(void **state)
{
    (void)state;
    pawl__ini *ini = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    assert_int_equal(pawl__ini_parse("a.conf", "a=\0b", 4, &ini, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "a.conf:1: expected text"));
    assert_int_equal(pawl__ini_parse("a.conf", "#\0\na=1", 6, &ini, message), PAWL_OK);
    pawl__ini_free(ini);
}

/* ---- include ---------------------------------------------------------------------------- */

typedef struct {
    char *dir;
    char path[PAWL_MESSAGE_MAX];
} files;

static const char *path_of(files *f, const char *name)
{
    snprintf(f->path, sizeof f->path, "%s/%s", f->dir, name);
    return f->path;
}

static void put(files *f, const char *name, const char *text)
{
    FILE *file = fopen(path_of(f, name), "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static int set_up(void **state)
{
    files *f = calloc(1, sizeof *f);
    f->dir = temp_dir_new("pawl-ini");
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    files *f = *state;
    temp_dir_free(f->dir);
    free(f);
    return 0;
}

static void includes_are_merged_where_they_stand(void **state)
{
    files *f = *state;
    mkdir(path_of(f, "sub"), 0700);
    put(f, "a.conf", "x=1\ny=1\n[s]\nz=1\ninclude \"sub/B.conf\"\nw=1\nx=s\n");
    put(f, "sub/B.conf", "y=2\nINCLUDE c.conf\n[s]\nz=2\nw=2\n");
    put(f, "sub/c.conf", "v=3\n[t]\nu=3\n");
    pawl__ini *ini = NULL;
    char message[PAWL_MESSAGE_MAX];
    assert_int_equal(pawl__ini_load(path_of(f, "a.conf"), &ini, message), PAWL_OK);
    assert_string_equal(pawl__ini_find(ini, "default", "x")->value, "1");
    assert_string_equal(pawl__ini_find(ini, "default", "y")->value, "2");
    assert_string_equal(pawl__ini_find(ini, "default", "v")->value, "3");
    assert_string_equal(pawl__ini_find(ini, "t", "u")->value, "3");
    assert_string_equal(pawl__ini_find(ini, "s", "z")->value, "2");
    /* the section of the including file goes on, and its later lines win */
    assert_string_equal(pawl__ini_find(ini, "s", "w")->value, "1");
    assert_string_equal(pawl__ini_find(ini, "s", "x")->value, "s");
    char where[PAWL_MESSAGE_MAX];
    snprintf(where, sizeof where, "%s/sub/B.conf:1", f->dir);
    assert_string_equal(pawl__ini_find(ini, "default", "y")->where, where);
    pawl__ini_free(ini);
}

static void expect_failure(files *f, const char *name, int expected, const char *part)
{
    pawl__ini *ini = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    int err = pawl__ini_load(path_of(f, name), &ini, message);
    if (err != expected || !strstr(message, part))
        fail_msg("%d \"%s\", expected %d \"%s\"", err, message, expected, part);
}

static void a_file_that_includes_itself_is_refused(void **state)
{
    files *f = *state;
    put(f, "loop.conf", "a=1\ninclude loop.conf\n");
    expect_failure(f, "loop.conf", PAWL_ERR_OPTION, "loop.conf:2: includes are nested deeper");
}

static void a_tree_of_includes_ends(void **state)
{
    files *f = *state;
    /* depth is no bound for this one: 7 levels of 10 includes each would be 10^7 files */
    for (int level = 0; level < 7; level++) {
        char name[16], line[32], text[400] = "";
        snprintf(name, sizeof name, "t%d.conf", level);
        snprintf(line, sizeof line, "include t%d.conf\n", level + 1);
        for (int i = 0; i < 10; i++) strcat(text, line);
        put(f, name, text);
    }
    put(f, "t7.conf", "a=1\n");
    expect_failure(f, "t0.conf", PAWL_ERR_OPTION, "more than 64 files");
}

static void trouble_in_an_included_file_names_that_file(void **state)
{
    files *f = *state;
    put(f, "outer.conf", "include inner.conf");
    put(f, "inner.conf", "\nrubbish\n");
    expect_failure(f, "outer.conf", PAWL_ERR_OPTION, "/inner.conf:2: expected key = value");
    put(f, "outer2.conf", "a=1\ninclude absent.conf");
    expect_failure(f, "outer2.conf", PAWL_ERR_SYSTEM, "/outer2.conf:2: cannot read ");
}

static void files_that_are_no_configuration(void **state)
{
    files *f = *state;
    expect_failure(f, "absent.conf", PAWL_ERR_SYSTEM, "No such file or directory");
    expect_failure(f, ".", PAWL_ERR_SYSTEM, "Is a directory");
    put(f, "large.conf", "");
    FILE *large = fopen(path_of(f, "large.conf"), "we");
    for (int i = 0; i <= PAWL__INI_SIZE_MAX; i++) fputc('#', large);
    fclose(large);
    expect_failure(f, "large.conf", PAWL_ERR_SYSTEM, "larger than 1 MiB");

    pawl__ini *ini = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    assert_int_equal(truncate(path_of(f, "large.conf"), PAWL__INI_SIZE_MAX), 0);
    assert_int_equal(pawl__ini_load(path_of(f, "large.conf"), &ini, message), PAWL_OK);
    pawl__ini_free(ini);
}

/* Any bytes at all: an error or a list, no crash, no endless loop (run under ASan, too). */
static void noise_is_survived(void **state)
{
    (void)state;
    static const char alphabet[] = "a=[]\"#;\n\r ${|}:\xE3\x80\x80\xFF\0include ";
    unsigned seed = 1;
    for (int round = 0; round < 20000; round++) {
        char *text = malloc(40);
        size_t len = 0;
        while (len < 40) {
            seed = seed * 1103515245u + 12345u;
            unsigned pick = seed >> 16;
            if (pick % 41 == 0) break;
            text[len++] = alphabet[pick % (sizeof alphabet - 1)];
        }
        char *exact = malloc(len ? len : 1); /* so that ASan sees an over-read */
        memcpy(exact, text, len);
        free(text);
        pawl__ini *ini = NULL;
        char message[PAWL_MESSAGE_MAX] = "";
        int err = pawl__ini_parse("/nonexistent/a.conf", exact, len, &ini, message);
        assert_true(err ? strncmp(message, "/nonexistent/a.conf:", 20) == 0 : ini != NULL);
        if (!err) pawl__ini_free(ini);
        free(exact);
    }
}

/* ---- Text ------------------------------------------------------------------------------- */

static pawl__span span_of(const char *text)
{
    return (pawl__span){text, strlen(text)};
}

/* The first and the last of each length, and on both sides of the surrogates. */
static void what_is_utf8(void **state)
{
    static const char *const texts[] = {"~",
                                        "\xC2\xA1",
                                        "\xDF\xBF",
                                        "\xE0\xA0\x80",
                                        "\xED\x9F\xBF",
                                        "\xEE\x80\x80",
                                        "\xF0\x90\x80\x80",
                                        "\xF4\x8F\xBF\xBF"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) assert_true(pawl__span_is_utf8(span_of(texts[i])));
}

/* Too long for what it means, a surrogate, too large, cut off, no beginning, no continuation. */
static void what_is_no_utf8(void **state)
{
    static const char *const texts[] = {"\xC0\xA0",         "\xC1\xBF",     "\xE0\x9F\xBF",
                                        "\xF0\x8F\xBF\xBF", "\xED\xA0\x80", "\xED\xBF\xBF",
                                        "\xF4\x90\x80\x80", "\xC2",         "\xE3\x80",
                                        "\xF0\x90\x80",     "\x80",         "\xE3\x80\x7F"};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        char message[PAWL_MESSAGE_MAX];
        assert_false(pawl__span_is_utf8(span_of(texts[i])));
        snprintf(message, sizeof message, "%s", texts[i]);
        pawl__text_mend(message);
        assert_true(message[0] == '?');
        char *lower = pawl__span_lower(span_of(texts[i]));
        assert_string_equal(lower, texts[i]);
        free(lower);
    }
}

static void read_broken_json(void)
{
    static const char *const texts[] = {"{\"conn\":\"a\"", "{\"conn\":\"a\",\"none\":1}", "[]"};
    char message[PAWL_MESSAGE_MAX];
    for (size_t i = 0; i < COUNT(texts); i++) {
        pawl__cache_json *json = NULL;
        assert_int_equal(pawl__cache_json_read("redis", "", texts[i], &json, message),
                         PAWL_ERR_OPTION);
    }
}

/* A sanitizer's malloc counts nothing here; it finds what leaks by itself. */
static void broken_json_leaves_no_memory_behind(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) read_broken_json(); /* what malloc keeps at hand counts as used */
    size_t before = mallinfo2().uordblks;
    read_broken_json();
    assert_int_equal(mallinfo2().uordblks, before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(meaning_of_lines),
        cmocka_unit_test(variables_stand_for_whole_values),
        cmocka_unit_test(malformed_lines_say_where_and_what),
        cmocka_unit_test(a_secret_on_a_malformed_line_is_not_repeated),
        cmocka_unit_test(a_nul_is_refused_but_not_in_comments),
        cmocka_unit_test_setup_teardown(includes_are_merged_where_they_stand, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_includes_itself_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tree_of_includes_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(trouble_in_an_included_file_names_that_file, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(files_that_are_no_configuration, set_up, tear_down),
        cmocka_unit_test(noise_is_survived),
        cmocka_unit_test(what_is_utf8),
        cmocka_unit_test(what_is_no_utf8),
        cmocka_unit_test(broken_json_leaves_no_memory_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
