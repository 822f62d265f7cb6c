/* SPDX-License-Identifier: MIT */
/* Instants at their boundaries, timers in order, the name table against a naive list, errors. */
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/capacity.h"
#include "base/heap.h"
#include "base/hex.h"
#include "base/instant.h"
#include "base/line.h"
#include "base/list.h"
#include "base/random.h"
#include "base/table.h"
#include "pawl/types.h"

static void sums_clamp(void **state)
{
    (void)state;
    assert_int_equal(pawl__instant_add(PAWL__NEVER, 1), PAWL__NEVER);
    assert_int_equal(pawl__instant_add(PAWL__NEVER - 1, 1), PAWL__NEVER);
    assert_int_equal(pawl__instant_add(PAWL__NEVER - 1, 2), PAWL__NEVER);
    assert_int_equal(pawl__instant_add(5, 7), 12);
    assert_int_equal(pawl__ms_to_ns(INT64_MAX), PAWL__NEVER);
    assert_int_equal(pawl__ms_to_ns(86400000), INT64_C(86400000000000));
}

static void remaining_is_rounded_down(void **state)
{
    (void)state;
    assert_int_equal(pawl__ms_until(10, 10), 0);
    assert_int_equal(pawl__ms_until(11, 10), 0);
    assert_int_equal(pawl__ms_until(0, PAWL__NS_PER_MS - 1), 0);
    assert_int_equal(pawl__ms_until(0, PAWL__NS_PER_MS), 1);
}

static void every_byte_has_its_two_digits(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 256; i++) {
        char expected[3], text[3];
        uint8_t byte = (uint8_t)~i;
        snprintf(expected, sizeof expected, "%02x", i);
        pawl__hex_pack(expected, &byte, 1);
        assert_int_equal(byte, i);
        pawl__hex_unpack(&byte, 1, text);
        assert_string_equal(text, expected);
    }
}

static void timers_fire_by_instant_then_by_order_of_setting(void **state)
{
    (void)state;
    enum { COUNT = 500 };
    pawl__heap heap = {.order = UINT32_MAX - COUNT / 2}; /* it wraps around */
    pawl__timer timers[COUNT] = {0};
    uint64_t random = 1;
    assert_true(pawl__heap_reserve(&heap, COUNT));
    for (int i = 0; i < COUNT; i++)
        pawl__heap_set(&heap, &timers[i], (int64_t)(pawl__random_next(&random) % 50));
    for (int i = 0; i < COUNT; i += 3) pawl__heap_clear(&heap, &timers[i]);
    for (int i = 1; i < COUNT; i += 3)
        pawl__heap_set(&heap, &timers[i], (int64_t)(pawl__random_next(&random) % 50));
    int64_t at = -1;
    uint32_t order = 0;
    size_t fired = 0;
    for (pawl__timer *t; (t = pawl__heap_first(&heap)); fired++) {
        assert_true(t->at > at || (t->at == at && (int32_t)(t->order - order) > 0));
        at = t->at;
        order = t->order;
        pawl__heap_clear(&heap, t);
        assert_false(pawl__timer_is_set(t));
    }
    assert_int_equal(fired, COUNT - (COUNT + 2) / 3);
    pawl__heap_done(&heap);
}

/* Its author's own figures, to the last digit: what a seed shows is the same everywhere. */
static void random_numbers_are_those_of_splitmix64(void **state)
{
    (void)state;
    uint64_t random = 0;
    assert_int_equal(pawl__random_next(&random), UINT64_C(0xe220a8397b1dcdaf));
    assert_int_equal(pawl__random_next(&random), UINT64_C(0x6e789e6aa1b965f4));
    assert_int_equal(pawl__random_next(&random), UINT64_C(0x06c45d188009454f));
}

/* From 75 to 125 % of it, both ends included and nothing beyond. */
static void jitter_keeps_its_bounds(void **state)
{
    (void)state;
    static const struct {
        int64_t span, least, most;
    } cases[] = {{1, 1, 1}, {2, 2, 3}, {4, 3, 5}, {8, 6, 10}, {10, 8, 13}};
    uint64_t random = 1;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t least = INT64_MAX, most = INT64_MIN;
        for (int n = 0; n < 1000; n++) {
            int64_t drawn = pawl__random_jitter(&random, cases[i].span);
            if (drawn < least) least = drawn;
            if (drawn > most) most = drawn;
        }
        assert_int_equal(least, cases[i].least);
        assert_int_equal(most, cases[i].most);
    }
}

static void fill_and_free(void)
{
    static pawl__entry entries[1000];
    static char keys[1000][8];
    pawl__table table = {.seed = 42};
    for (int i = 0; i < 1000; i++) {
        int len = snprintf(keys[i], sizeof keys[i], "%d", i);
        assert_true(pawl__table_add(&table, &entries[i], keys[i], (size_t)len));
    }
    pawl__table_done(&table);
}

/* A sanitizer's malloc counts nothing here; it finds what leaks by itself. */
static void table_leaves_no_memory_behind(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) fill_and_free(); /* what malloc keeps at hand counts as used */
    size_t before = mallinfo2().uordblks;
    fill_and_free();
    assert_int_equal(mallinfo2().uordblks, before);
}

static void table_finds_what_was_added(void **state)
{
    (void)state;
    enum { COUNT = 5000 };
    pawl__table table = {.seed = 42};
    pawl__entry *entries = calloc(COUNT, sizeof *entries);
    char(*keys)[16] = calloc(COUNT, sizeof *keys);
    for (int i = 0; i < COUNT; i++) {
        int len = snprintf(keys[i], sizeof keys[i], "k%d", i * 7);
        assert_null(pawl__table_find(&table, keys[i], (size_t)len));
        assert_true(pawl__table_add(&table, &entries[i], keys[i], (size_t)len));
    }
    for (int i = 0; i < COUNT; i += 2) pawl__table_remove(&table, &entries[i]);
    for (int i = 0; i < COUNT; i++)
        assert_ptr_equal(pawl__table_find(&table, keys[i], strlen(keys[i])),
                         i % 2 ? &entries[i] : NULL);
    assert_null(pawl__table_find(&table, "k", 1)); /* a prefix is another key */
    pawl__table_done(&table);
    free(entries);
    free(keys);
}

static void lists_keep_order_and_forget(void **state)
{
    (void)state;
    pawl__link head, a = {0}, b = {0};
    pawl__list_init(&head);
    pawl__list_remove(&a); /* a node outside any list is no trouble */
    pawl__list_append(&head, &a);
    pawl__list_append(&head, &b);
    assert_ptr_equal(pawl__list_first(&head), &a);
    pawl__list_remove(&a);
    assert_false(pawl__link_linked(&a));
    assert_ptr_equal(pawl__list_first(&head), &b);
    pawl__list_remove(&b);
    assert_true(pawl__list_empty(&head));
}

static void a_line_holds_nothing_that_a_terminal_obeys(void **state)
{
    (void)state;
    static const struct {
        const char *text, *mended;
    } cases[] = {
        {"plain \\ text", "plain \\ text"},
        {"gr\xc3\xbcn \xe2\x9c\x93 \xf0\x9f\x94\x92", "gr\xc3\xbcn \xe2\x9c\x93 \xf0\x9f\x94\x92"},
        {"a\nb\x1b[2J\x7f", "a?b?[2J?"},
        {"\xc2\x9b"
         "2J",
         "?2J"}, /* ESC [ of eight bits */
        {"\x9b"
         "2J\xff\xfe",
         "?2J??"}, /* no UTF-8 */
        {"\xe2\x80\xae"
         "a\xe2\x81\xa6",
         "?a?"},                             /* other directions */
        {"\xf3\xa0\x81\x81", "?"},           /* a tag */
        {"end \xe2\x80", "end ??"},          /* cut within a character */
        {"\xc0\x8a \xed\xa0\x80", "?? ???"}, /* overlong, a surrogate */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[64];
        snprintf(text, sizeof text, "%s", cases[i].text);
        pawl__line_mend(text);
        assert_string_equal(text, cases[i].mended);
        pawl__line_mend(text); /* again: nothing changes */
        assert_string_equal(text, cases[i].mended);
    }
}

static void every_error_has_name_text_and_class(void **state)
{
    (void)state;
    int seen[64] = {0};
#define CHECK(name, number, cls, text)                                                             \
    assert_string_equal(pawl_err_name(number), "PAWL_ERR_" #name);                                 \
    assert_true(strlen(pawl_err_text(number)) > 3);                                                \
    assert_int_equal(pawl_err_class_of(number), PAWL_CLASS_##cls);                                 \
    assert_int_equal(seen[-(number)]++, 0);
    PAWL_ERR_LIST(CHECK)
#undef CHECK
    assert_string_equal(pawl_err_text(12345), "unknown error");
    assert_int_equal(pawl_err_class_of(-12345), PAWL_CLASS_INTERNAL);
    assert_int_equal(pawl_err_class_of(PAWL_OK), PAWL_CLASS_OK);
}

static void a_capacity_is_told_with_all_its_digits(void **state)
{
    (void)state;
    char message[PAWL__CAPACITY_MESSAGE_MAX];
    assert_string_equal(
        pawl__capacity_message(0, 10, message),
        "the semaphore is in use with another capacity: it has 0, asked for were 10");
    pawl__capacity_message(UINT32_MAX, UINT32_MAX, message);
    assert_non_null(strstr(message, "it has 4294967295, asked for were 4294967295"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_clamp),
        cmocka_unit_test(remaining_is_rounded_down),
        cmocka_unit_test(every_byte_has_its_two_digits),
        cmocka_unit_test(timers_fire_by_instant_then_by_order_of_setting),
        cmocka_unit_test(random_numbers_are_those_of_splitmix64),
        cmocka_unit_test(jitter_keeps_its_bounds),
        cmocka_unit_test(table_leaves_no_memory_behind),
        cmocka_unit_test(table_finds_what_was_added),
        cmocka_unit_test(lists_keep_order_and_forget),
        cmocka_unit_test(a_line_holds_nothing_that_a_terminal_obeys),
        cmocka_unit_test(every_error_has_name_text_and_class),
        cmocka_unit_test(a_capacity_is_told_with_all_its_digits),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
