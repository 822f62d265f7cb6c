/* SPDX-License-Identifier: MIT */
/* The server's words, however they are cut; and values of pawl's own. */
#define _GNU_SOURCE
#include "rig.h"

#include "stores/memcached/memcached_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void feed(pawl__memcached_reader *reader, const char *bytes, size_t len)
{
    size_t room;
    char *to = pawl__memcached_reader_room(reader, &room);
    assert_true(room >= len);
    memcpy(to, bytes, len);
    pawl__memcached_reader_fed(reader, len);
}

static void write_answer(FILE *out, const pawl__memcached_answer *a)
{
    fprintf(out, "%d[%s]", (int)a->code, a->text);
    if (a->code == PAWL__MEMCACHED_VA)
        fprintf(out, "%zu:%s", a->value_len, a->value ? a->value : "-");
    if (a->has_cas) fprintf(out, "c%llu", (unsigned long long)a->cas);
    if (a->has_ttl) fprintf(out, "t%lld", (long long)a->ttl_s);
    fputc(' ', out);
}

/* What the stream means, in pieces of so many bytes. The caller frees it. */
static char *meaning(const char *stream, size_t len, size_t piece)
{
    static pawl__memcached_reader reader;
    pawl__memcached_answer answer;
    char *text = NULL;
    size_t size;
    FILE *out = open_memstream(&text, &size);
    pawl__memcached_reader_init(&reader);
    for (size_t at = 0; at < len; at += piece) {
        feed(&reader, stream + at, len - at < piece ? len - at : piece);
        pawl__memcached_read read;
        while ((read = pawl__memcached_reader_next(&reader, &answer)) == PAWL__MEMCACHED_ANSWER)
            write_answer(out, &answer);
        if (read == PAWL__MEMCACHED_NONSENSE) {
            fputs("nonsense", out);
            break;
        }
    }
    fclose(out);
    return text;
}

static void a_stream_means_the_same_however_it_is_cut(void **state)
{
    static const char stream[] = "HD c17\r\nEN\r\nVA 5 c9 t-1\r\na\r\nbc\r\nNS\r\nEX\r\nNF\r\n"
                                 "VA 0 t30 c18446744073709551615\r\n\r\nSTAT time 17 x\r\nEND\r\n"
                                 "SERVER_ERROR out of memory\r\nHD\r\n";
    (void)state;
    char *whole = meaning(stream, sizeof stream - 1, sizeof stream - 1);
    assert_string_equal(whole,
                        "0[c17]c17 2[] 1[5 c9 t-1]5:a\r\nbcc9t-1 3[] 4[] 5[] "
                        "1[0 t30 c18446744073709551615]0:c18446744073709551615t30 7[time 17 x] 8[] "
                        "10[out of memory] 0[] ");
    for (size_t piece = 1; piece < sizeof stream; piece++) {
        char *cut = meaning(stream, sizeof stream - 1, piece);
        assert_string_equal(cut, whole);
        free(cut);
    }
    free(whole);
}

static void what_is_not_the_protocol_is_noticed(void **state)
{
    static const char *const wrong[] = {"\r\n",
                                        "\n",
                                        "HD\n",
                                        "hd\r\n",
                                        "HDx\r\n",
                                        "VA\r\n",
                                        "VA x\r\n",
                                        "VA 5x\r\n",
                                        "VA -1\r\n",
                                        "VA 99999999999\r\n",
                                        "VA 1 t\r\na\r\n",
                                        "HD cx\r\n",
                                        "HD c18446744073709551616\r\n",
                                        "VA 1 c1 t1\r\nab\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char *said = meaning(wrong[i], strlen(wrong[i]), 1);
        if (strcmp(said, "nonsense") != 0) fail_msg("%zu: %s", i, said);
        free(said);
    }
    char line[PAWL__MEMCACHED_LINE_MAX + 2];
    memset(line, 'x', sizeof line);
    char *said = meaning(line, sizeof line, sizeof line);
    assert_string_equal(said, "nonsense");
    free(said);
}

static void a_value_too_long_to_be_pawls_is_passed_over(void **state)
{
    enum { LEN = 100000 };
    char *stream = malloc(LEN + 100);
    (void)state;
    int head = sprintf(stream, "VA %d t5 c7\r\n", LEN);
    memset(stream + head, 'v', LEN);
    memcpy(stream + head + LEN, "\r\nEN\r\n", 6);
    char *said = meaning(stream, (size_t)head + LEN + 6, 1000);
    assert_string_equal(said, "1[]100000:-c7t5 2[] ");
    free(said);
    free(stream);
}

static void what_is_written_is_read(void **state)
{
    static const char *const names[] = {"a", "with space", "line\nbreak", "\xff\xfe"};
    static const char *const owners[] = {"", "an owner\twith \"words\"", "\n"};
    const char *token = fresh_token();
    (void)state;
    for (int i = 0; i < 12; i++) {
        const char *name = names[i % 4], *owner = owners[i / 4];
        char text[PAWL__MEMCACHED_TEXT_MAX];
        size_t len = pawl__memcached_item_write(text, 4711, token, name, strlen(name), owner);
        pawl__memcached_answer answer = {.code = PAWL__MEMCACHED_VA,
                                         .value = text,
                                         .value_len = len,
                                         .has_ttl = true,
                                         .ttl_s = 3};
        pawl__memcached_item item;
        assert_true(pawl__memcached_item_read(&answer, name, strlen(name), &item));
        assert_int_equal(item.state, PAWL__MEMCACHED_HELD);
        assert_int_equal(item.fence, 4711);
        assert_int_equal(item.left_ms, 3000);
        assert_string_equal(item.token, token);
        assert_string_equal(item.owner, owner);
        answer.value_len--; /* cut short, it is none */
        assert_true(pawl__memcached_item_read(&answer, name, strlen(name), &item));
        assert_int_equal(item.state, PAWL__MEMCACHED_FOREIGN);
    }
}

/* Each name has a key of its own; long ones by their hash. */
static void keys_are_short_and_different(void **state)
{
    static char names[8][PAWL_NAME_MAX + 1];
    pawl__memcached_key keys[8];
    (void)state;
    memset(names[0], 'n', PAWL_NAME_MAX);
    memset(names[1], 'n', PAWL_NAME_MAX - 1);
    memset(names[2], '\n', 100);
    memset(names[3], '\n', 99);
    snprintf(names[4], sizeof names[0], "#0");
    snprintf(names[5], sizeof names[0], "%%230");
    snprintf(names[6], sizeof names[0], "%%guard");
    snprintf(names[7], sizeof names[0], "a b");
    for (int i = 0; i < 8; i++) {
        pawl__memcached_key_make(&keys[i], "pawl:", names[i], strlen(names[i]));
        assert_true(strlen(keys[i].text) <= PAWL__MEMCACHED_KEY_MAX);
        for (const char *c = keys[i].text; *c; c++) assert_in_range(*c, '!', '~');
        for (int k = 0; k < i; k++) assert_string_not_equal(keys[i].text, keys[k].text);
    }
    assert_string_equal(keys[6].text, "pawl:%25guard"); /* not the guard's */
    assert_string_equal(keys[7].text, "pawl:a%20b");
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_stream_means_the_same_however_it_is_cut),
        cmocka_unit_test(what_is_not_the_protocol_is_noticed),
        cmocka_unit_test(a_value_too_long_to_be_pawls_is_passed_over),
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(keys_are_short_and_different),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
