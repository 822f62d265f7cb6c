/* SPDX-License-Identifier: MIT */
/* What a procedure says is understood whole or not at all: half an answer grants nothing. No
 * server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "stores/common/sql_reply.h"

static pawl__sql_words room;

static bool decodes(const char *text, pawl_reply *ret_reply)
{
    *ret_reply = (pawl_reply){0};
    return pawl__sql_decode(text, &room, ret_reply);
}

static void what_is_cut_is_not_understood(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "",
        "grante",
        "granted",
        "granted 7",
        "granted 7 0",
        "granted 7 0 x",
        "granted 7 0 3,",
        "confirmed",
        "confirmed 7 1",
        "queued",
        "queued 1 200",
        "failed",
        "failed 0",
        "failed x",
        "value",
        "value 7 1 2",
    };
    pawl_reply reply;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (decodes(wrong[i], &reply)) fail_msg("\"%s\" is understood", wrong[i]);
}

static void what_is_whole_is_understood(void **state)
{
    (void)state;
    pawl_reply reply;
    assert_true(decodes("granted 7 1 3,4", &reply));
    assert_int_equal(reply.outcome, PAWL_GRANTED);
    assert_int_equal(reply.fence, 7);
    assert_true(reply.waiting);
    assert_int_equal(reply.slot_count, 2);
    assert_int_equal(reply.slots[1], 4);
    assert_true(decodes("confirmed 8 0 -", &reply));
    assert_false(reply.waiting);
    assert_null(reply.slots);
    assert_true(decodes("queued 1 200 7", &reply));
    assert_int_equal(reply.holder_ms, 200);
    assert_true(decodes("failed 3", &reply));
    assert_int_equal(reply.err, -3);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_is_cut_is_not_understood),
        cmocka_unit_test(what_is_whole_is_understood),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
