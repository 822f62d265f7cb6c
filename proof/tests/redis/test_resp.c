/* SPDX-License-Identifier: MIT */
/* The stream of a server's answers: RESP2 and RESP3, whole, in pieces and broken. */
#define _GNU_SOURCE
#include "stores/redis/redis_proto.h"
#include "stores/redis/redis_reader.h"
#include "stores/redis/redis_scripts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The stream ------------------------------------------------------------------- */

static void a_stream_may_come_byte_by_byte(void **state)
{
    static const char wire[] = "+OK\r\n:-5\r\n$3\r\na\0b\r\n*2\r\n*2\r\n:1\r\n$-1\r\n-ERR no\r\n";
    pawl__redis_reader *reader = pawl__redis_reader_new();
    const pawl__redis_value *value = NULL;
    int count = 0;
    (void)state;
    for (size_t i = 0; i < sizeof(wire) - 1; i++) {
        assert_true(pawl__redis_reader_feed(reader, wire + i, 1));
        if (pawl__redis_reader_next(reader, &value) == PAWL__REDIS_READ_MORE) continue;
        switch (count++) {
        case 0:
            assert_true(value->type == PAWL__REDIS_STATUS && value->text.len == 2);
            break;
        case 1:
            assert_true(value->type == PAWL__REDIS_INTEGER && value->integer == -5);
            break;
        case 2:
            assert_true(value->type == PAWL__REDIS_STRING && value->text.len == 3);
            assert_memory_equal(value->text.data, "a\0b", 4);
            break;
        case 3:
            assert_true(value->type == PAWL__REDIS_ARRAY && value->count == 2);
            assert_true(value->items[0].count == 2 && value->items[0].items[0].integer == 1);
            assert_int_equal(value->items[0].items[1].type, PAWL__REDIS_NIL);
            assert_int_equal(value->items[1].type, PAWL__REDIS_ERROR);
            assert_string_equal(value->items[1].text.data, "ERR no");
            break;
        }
    }
    assert_int_equal(count, 4);
    pawl__redis_reader_free(reader);
}

/* What a map, a set and the rest become, in one piece and byte by byte. */
static void resp3_becomes_the_same_few_types(void **state)
{
    static const char wire[] =
        "|1\r\n+ttl\r\n:3\r\n%2\r\n+a\r\n:1\r\n+b\r\n|1\r\n+x\r\n*0\r\n~1\r\n_\r\n"
        "=7\r\ntxt:a\nb\r\n#t\r\n#f\r\n,-1.5e3\r\n(12345678901234567890\r\n"
        "!6\r\nERR no\r\n>3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$2\r\nhi\r\n"
        ":-9223372036854775808\r\n%0\r\n~0\r\n$0\r\n\r\n";
    static const struct {
        pawl__redis_type type;
        const char *text;
        int64_t integer;
        size_t count;
    } expected[] = {
        {PAWL__REDIS_ARRAY, "", 0, 4},           {PAWL__REDIS_STRING, "a\nb", 0, 0},
        {PAWL__REDIS_INTEGER, "", 1, 0},         {PAWL__REDIS_INTEGER, "", 0, 0},
        {PAWL__REDIS_STRING, "-1.5e3", 0, 0},    {PAWL__REDIS_STRING, "12345678901234567890", 0, 0},
        {PAWL__REDIS_ERROR, "ERR no", 0, 0},     {PAWL__REDIS_PUSH, "", 0, 3},
        {PAWL__REDIS_INTEGER, "", INT64_MIN, 0}, {PAWL__REDIS_ARRAY, "", 0, 0},
        {PAWL__REDIS_ARRAY, "", 0, 0},           {PAWL__REDIS_STRING, "", 0, 0},
    };
    (void)state;
    for (size_t step = 1; step < sizeof(wire); step += sizeof(wire) - 2) {
        pawl__redis_reader *reader = pawl__redis_reader_new();
        const pawl__redis_value *value = NULL;
        size_t count = 0;
        for (size_t i = 0; i < sizeof(wire) - 1; i += step) {
            assert_true(pawl__redis_reader_feed(reader, wire + i, step));
            while (pawl__redis_reader_next(reader, &value) == PAWL__REDIS_READ_VALUE) {
                assert_int_equal(value->type, expected[count].type);
                assert_string_equal(value->text.data, expected[count].text);
                assert_true(value->integer == expected[count].integer);
                assert_int_equal(value->count, expected[count].count);
                if (count == 0) { /* the attributes are left out */
                    assert_string_equal(value->items[2].text.data, "b");
                    assert_int_equal(value->items[3].count, 1);
                    assert_int_equal(value->items[3].items[0].type, PAWL__REDIS_NIL);
                }
                count++;
            }
        }
        assert_int_equal(count, sizeof(expected) / sizeof(expected[0]));
        pawl__redis_reader_free(reader);
    }
}

static void a_stream_that_is_not_resp_is_broken(void **state)
{
    static const char *const streams[] = {
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\r\n",
        "*99999999\r\n",
        "*131073\r\n",
        "*-2\r\n",
        "*2147483648\r\n",
        "$-2\r\nx\r\n",
        "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n",
        "%-1\r\n",
        "%65537\r\n",
        ">-1\r\n",
        "*1\r\n>1\r\n:1\r\n",
        "$?\r\n",
        "*?\r\n",
        "$2\r\nab:1\r\n",
        ":+1\r\n",
        ":01\r\n",
        ":9223372036854775808\r\n",
        "#x\r\n",
        "_x\r\n",
        "=3\r\ntxt\r\n",
        "\x80\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        pawl__redis_reader *reader = pawl__redis_reader_new();
        const pawl__redis_value *value;
        assert_true(pawl__redis_reader_feed(reader, streams[i], strlen(streams[i])));
        if (pawl__redis_reader_next(reader, &value) != PAWL__REDIS_READ_BROKEN)
            fail_msg("not broken: %s", streams[i]);
        assert_true(pawl__redis_reader_trouble(reader)[0]);
        pawl__redis_reader_free(reader);
    }
}

static void a_text_without_end_is_not_awaited(void **state)
{
    static char block[1 << 20];
    pawl__redis_reader *reader = pawl__redis_reader_new();
    const pawl__redis_value *value;
    pawl__redis_read got = PAWL__REDIS_READ_MORE;
    size_t fed = 0;
    (void)state;
    assert_true(pawl__redis_reader_feed(reader, "$2147483000\r\n", 13));
    while (got == PAWL__REDIS_READ_MORE && fed < 64u << 20) {
        assert_true(pawl__redis_reader_feed(reader, block, sizeof(block)));
        fed += sizeof(block);
        got = pawl__redis_reader_next(reader, &value);
    }
    assert_int_equal(got, PAWL__REDIS_READ_BROKEN);
    assert_true(fed <= PAWL__REDIS_REPLY_BYTES_MAX + 2 * sizeof(block));
    pawl__redis_reader_free(reader);
}

/* Before there is room for any part. */
static void the_first_array_may_be_empty(void **state)
{
    static const char *const streams[] = {"*0\r\n", "%0\r\n", ">0\r\n", "|0\r\n*0\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof(streams) / sizeof(streams[0]); i++) {
        pawl__redis_reader *reader = pawl__redis_reader_new();
        const pawl__redis_value *value;
        assert_true(pawl__redis_reader_feed(reader, streams[i], strlen(streams[i])));
        assert_int_equal(pawl__redis_reader_next(reader, &value), PAWL__REDIS_READ_VALUE);
        assert_int_equal(value->count, 0);
        assert_null(value->items);
        pawl__redis_reader_free(reader);
    }
}

/* So many parts that their room is not kept for the replies that follow: a leak checker sees
 * whether it is given back. */
static void a_long_array_is_followed_by_others(void **state)
{
    enum { COUNT = 5000 };
    pawl__redis_reader *reader = pawl__redis_reader_new();
    const pawl__redis_value *value;
    (void)state;
    for (int round = 0; round < 3; round++) {
        assert_true(pawl__redis_reader_feed(reader, "*5000\r\n", 7));
        for (int i = 0; i < COUNT; i++) assert_true(pawl__redis_reader_feed(reader, ":7\r\n", 4));
        assert_int_equal(pawl__redis_reader_next(reader, &value), PAWL__REDIS_READ_VALUE);
        assert_int_equal(value->count, COUNT);
        assert_int_equal(value->items[0].integer, 7);
        assert_int_equal(value->items[COUNT - 1].integer, 7);
        assert_true(pawl__redis_reader_feed(reader, "*2\r\n:1\r\n:2\r\n", 12));
        assert_int_equal(pawl__redis_reader_next(reader, &value), PAWL__REDIS_READ_VALUE);
        assert_int_equal(value->count, 2);
        assert_int_equal(value->items[1].integer, 2);
    }
    pawl__redis_reader_free(reader);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_stream_may_come_byte_by_byte),
        cmocka_unit_test(resp3_becomes_the_same_few_types),
        cmocka_unit_test(a_stream_that_is_not_resp_is_broken),
        cmocka_unit_test(a_text_without_end_is_not_awaited),
        cmocka_unit_test(the_first_array_may_be_empty),
        cmocka_unit_test(a_long_array_is_followed_by_others),
    };
    return cmocka_run_group_tests_name("redis resp", cases, NULL, NULL);
}
