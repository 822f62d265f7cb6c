/* SPDX-License-Identifier: MIT */
/* Goal: the store's words are kept for the errors that only the store can explain. */
#include "runtime/messages.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_which_errors_are_the_stores(void **state)
{
    static const int callers[] = {
        PAWL_OK,         PAWL_ERR_BUSY,    PAWL_ERR_TIMEOUT,  PAWL_ERR_LOST,     PAWL_ERR_NOT_HELD,
        PAWL_ERR_SCHEME, PAWL_ERR_NAME,    PAWL_ERR_TTL,      PAWL_ERR_ARGUMENT, PAWL_ERR_STATE,
        PAWL_ERR_FORKED, PAWL_ERR_CLOSED,  PAWL_ERR_CANCELED, PAWL_ERR_OWNER,    PAWL_ERR_UNITS,
        PAWL_ERR_MODE,   PAWL_ERR_REENTRY, PAWL_ERR_NAMES,    PAWL_ERR_DONE,     PAWL_ERR_VALUE,
        PAWL_ERR_BROKEN, PAWL_ERR_COUNT,   PAWL_ERR_PARTIES,
    };
    static const int all[] = {0,
#define NUMBER(name, number, cls, text) number,
                              PAWL_ERR_LIST(NUMBER)
#undef NUMBER
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        bool is_of_store = true;
        for (size_t c = 0; c < sizeof callers / sizeof *callers; c++)
            if (callers[c] == all[i]) is_of_store = false;
        if (pawl__is_of_store(all[i]) != is_of_store) fail_msg("%s", pawl_err_name(all[i]));
    }
}

static void test_words_are_kept_with_their_error(void **state)
{
    (void)state;
    pawl__messages m = {.where = "redis://h"};
    pawl__set_reason(&m, PAWL_ERR_AUTH, "who are\nyou");
    assert_int_equal(m.reason_err, PAWL_ERR_AUTH);
    assert_string_equal(m.reason, "who are?you");
    pawl__set_reason(&m, PAWL_ERR_BUSY, "the caller's business");
    assert_int_equal(m.reason_err, PAWL_ERR_AUTH);
    assert_string_equal(m.reason, "who are?you");
    pawl__set_message(&m, "%d times\n%s", 3, "x");
    assert_string_equal(m.latest, "3 times?x");
}

static void test_lines(void **state)
{
    (void)state;
    char line[PAWL_MESSAGE_MAX], wanted[PAWL_MESSAGE_MAX];
    pawl__messages m = {.where = "redis://h"};
    pawl__say_silence(&m, line);
    assert_string_equal(line, "redis://h has not answered in time");
    assert_int_equal(pawl__say_error(line, PAWL_ERR_SYSTEM, "event loop"), PAWL_ERR_SYSTEM);
    snprintf(wanted, sizeof wanted, "event loop: %s", pawl_err_text(PAWL_ERR_SYSTEM));
    assert_string_equal(line, wanted);
    assert_int_equal(pawl__say_error(line, PAWL_ERR_TTL, NULL), PAWL_ERR_TTL);
    assert_string_equal(line, pawl_err_text(PAWL_ERR_TTL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_errors_are_the_stores),
        cmocka_unit_test(test_words_are_kept_with_their_error),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
