/* SPDX-License-Identifier: MIT */
/*
 * Goal: each kind of event has its line, with the numbers and words that belong to it, to the
 * letter. Method: events written by hand; nothing runs.
 */
#include "pawl/trace.h"
#include "runtime/trace.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define MS INT64_C(1000000)

static void expect(const pawl_trace *event, const char *wanted)
{
    char line[PAWL_MESSAGE_MAX];
    memset(line, 'x', sizeof line);
    pawl_trace_text(event, line);
    assert_string_equal(line, wanted);
}

#define LINE(wanted, ...) expect(&(pawl_trace){__VA_ARGS__}, (wanted))

static void test_lines_about_a_lock(void **state)
{
    (void)state;
    LINE("lock \"a\": acquiring", .kind = PAWL_TRACE_ACQUIRING, .name = "a");
    LINE("lock \"a\": wanted", .kind = PAWL_TRACE_WANTED, .name = "a");
    LINE("lock \"a\": acquired after 1.500 ms, fence 7", .kind = PAWL_TRACE_ACQUIRED, .name = "a",
         .span_ns = 3 * MS / 2, .fence = 7);
    LINE("lock \"a\": renewed, 2.000 ms were left", .kind = PAWL_TRACE_RENEWED, .name = "a",
         .span_ns = 2 * MS);
    LINE("lock \"a\": renewed, 2.000 ms were left, after doubt", .kind = PAWL_TRACE_RENEWED,
         .name = "a", .span_ns = 2 * MS, .after_doubt = true);
    LINE("lock \"a\": released after 3.000 ms", .kind = PAWL_TRACE_RELEASED, .name = "a",
         .span_ns = 3 * MS);
    LINE("lock \"a\": detached after 3.000 ms", .kind = PAWL_TRACE_DETACHED, .name = "a",
         .span_ns = 3 * MS);
    LINE("lock \"a\": retained after 3.000 ms", .kind = PAWL_TRACE_RETAINED, .name = "a",
         .span_ns = 3 * MS);
    LINE("lock \"a\": recalled after 5 uses", .kind = PAWL_TRACE_RECALLED, .name = "a", .count = 5);
    LINE("lock \"a\": recalled after 5 uses, and held", .kind = PAWL_TRACE_RECALLED, .name = "a",
         .count = 5, .held = true);
    LINE("lock \"a\": the lease was queued, is held", .kind = PAWL_TRACE_LEASE, .name = "a",
         .from = PAWL_LEASE_QUEUED, .to = PAWL_LEASE_HELD);
}

static void test_lines_that_say_why(void **state)
{
    (void)state;
    char wanted[PAWL_MESSAGE_MAX];
    LINE("lock \"a\": held by: joe", .kind = PAWL_TRACE_REFUSED, .name = "a", .err = PAWL_ERR_BUSY,
         .message = "joe");
    LINE("lock \"a\": not acquired: no answer", .kind = PAWL_TRACE_REFUSED, .name = "a",
         .err = PAWL_ERR_TIMEOUT, .message = "no answer");
    snprintf(wanted, sizeof wanted, "lock \"a\": not acquired: %s", pawl_err_text(PAWL_ERR_BUSY));
    LINE(wanted, .kind = PAWL_TRACE_REFUSED, .name = "a", .err = PAWL_ERR_BUSY);
    LINE(wanted, .kind = PAWL_TRACE_REFUSED, .name = "a", .err = PAWL_ERR_BUSY, .message = "");
    LINE("lock \"a\": renewal overdue: down", .kind = PAWL_TRACE_DOUBT, .name = "a",
         .err = PAWL_ERR_UNAVAILABLE, .message = "down");
    LINE("lock \"a\": lost: broken", .kind = PAWL_TRACE_LOST, .name = "a", .err = PAWL_ERR_LOST,
         .message = "broken");
    snprintf(wanted, sizeof wanted, "lock \"a\": lost: %s", pawl_err_text(PAWL_ERR_LOST));
    LINE(wanted, .kind = PAWL_TRACE_LOST, .name = "a", .err = PAWL_ERR_LOST);
}

static void test_lines_about_the_store(void **state)
{
    (void)state;
    char wanted[PAWL_MESSAGE_MAX];
    LINE("request: renew \"a\"", .kind = PAWL_TRACE_REQUEST, .verb = PAWL_VERB_RENEW, .name = "a");
    LINE("reply to acquire: queued after 0.250 ms", .kind = PAWL_TRACE_REPLY,
         .verb = PAWL_VERB_ACQUIRE, .outcome = PAWL_QUEUED, .span_ns = MS / 4, .message = "unread");
    LINE("reply to acquire: queued after 0.000 ms", .kind = PAWL_TRACE_REPLY,
         .verb = PAWL_VERB_ACQUIRE, .outcome = PAWL_QUEUED, .span_ns = 0);
    LINE("reply to release: failed after unknown time: full", .kind = PAWL_TRACE_REPLY,
         .verb = PAWL_VERB_RELEASE, .outcome = PAWL_FAILED, .span_ns = -1,
         .err = PAWL_ERR_UNAVAILABLE, .message = "full");
    snprintf(wanted, sizeof wanted, "reply to release: failed after 1.000 ms: %s",
             pawl_err_text(PAWL_ERR_UNAVAILABLE));
    LINE(wanted, .kind = PAWL_TRACE_REPLY, .verb = PAWL_VERB_RELEASE, .outcome = PAWL_FAILED,
         .span_ns = MS, .err = PAWL_ERR_UNAVAILABLE);
    LINE("push: \"a\": handed to us", .kind = PAWL_TRACE_PUSH, .name = "a",
         .push = PAWL_PUSH_GRANT);
    LINE("push: \"*\": ask again", .kind = PAWL_TRACE_PUSH, .push = PAWL_PUSH_RECHECK);
    LINE("connected to the store", .kind = PAWL_TRACE_LINK, .up = true, .message = "unread");
    LINE("gone", .kind = PAWL_TRACE_LINK, .err = PAWL_ERR_UNAVAILABLE, .message = "gone");
    LINE(pawl_err_text(PAWL_ERR_AUTH), .kind = PAWL_TRACE_LINK, .err = PAWL_ERR_AUTH);
    LINE("restart guard: nothing new is granted for 0.001 ms", .kind = PAWL_TRACE_GUARD,
         .span_ns = 1000);
    LINE("restart guard: nothing new is granted for 0.000 ms", .kind = PAWL_TRACE_GUARD,
         .span_ns = 1);
    LINE("the restart guard has ended", .kind = PAWL_TRACE_GUARD);
}

static void test_lines_about_the_client(void **state)
{
    (void)state;
    LINE("the system's two clocks ran apart by -4.000 ms", .kind = PAWL_TRACE_DRIFT,
         .span_ns = -4 * MS);
    LINE("hear", .kind = PAWL_TRACE_NOTE, .message = "hear");
    LINE("", .kind = PAWL_TRACE_NOTE);
    LINE("a bug", .kind = PAWL_TRACE_BROKEN, .message = "a bug");
    pawl_trace_text(&(pawl_trace){.kind = PAWL_TRACE_NOTE}, NULL); /* says nothing to nobody */
    char line[PAWL_MESSAGE_MAX] = "x";
    pawl_trace_text(NULL, line);
    assert_string_equal(line, "");
}

/* A name may contain anything, and be long. */
static void test_names_in_lines(void **state)
{
    (void)state;
    char name[PAWL_NAME_MAX + 1], wanted[PAWL_MESSAGE_MAX];
    LINE("lock \"a??? b~\": wanted", .kind = PAWL_TRACE_WANTED, .name = "a\n\x1f\x7f b~");
    LINE("lock \"\": wanted", .kind = PAWL_TRACE_WANTED);
    memset(name, 'n', PAWL_NAME_MAX);
    name[PAWL_NAME_MAX] = '\0';
    snprintf(wanted, sizeof wanted, "lock \"%.80s\": wanted", name);
    LINE(wanted, .kind = PAWL_TRACE_WANTED, .name = name);
    LINE("a?b", .kind = PAWL_TRACE_NOTE, .message = "a\nb"); /* also where a store says it */
}

static void test_how_grave_it_is(void **state)
{
    (void)state;
    static const pawl_trace_kind warnings[] = {PAWL_TRACE_DOUBT, PAWL_TRACE_LOST, PAWL_TRACE_LINK};
    for (pawl_trace_kind kind = PAWL_TRACE_ACQUIRING; kind <= PAWL_TRACE_GUARD; kind++) {
        pawl_severity wanted = PAWL_SEVERITY_OK;
        for (size_t i = 0; i < sizeof warnings / sizeof *warnings; i++)
            if (warnings[i] == kind) wanted = PAWL_SEVERITY_WARNING;
        if (kind == PAWL_TRACE_BROKEN || kind == PAWL_TRACE_NOTE) wanted = PAWL_SEVERITY_ERROR;
        pawl_trace event = {.kind = kind, .severity = PAWL_SEVERITY_ERROR};
        assert_int_equal(pawl__trace_severity(&event), wanted);
    }
    pawl_trace up = {.kind = PAWL_TRACE_LINK, .up = true};
    assert_int_equal(pawl__trace_severity(&up), PAWL_SEVERITY_NOTE);
}

/* Each has one of its own; other numbers have "?". */
static void test_each_word_is_its_own(void **state)
{
    (void)state;
    for (int i = PAWL_TRACE_ACQUIRING; i <= PAWL_TRACE_GUARD; i++) {
        const char *word = pawl_trace_kind_name((pawl_trace_kind)i);
        assert_string_not_equal(word, "?");
        for (int before = PAWL_TRACE_ACQUIRING; before < i; before++)
            assert_string_not_equal(word, pawl_trace_kind_name((pawl_trace_kind)before));
    }
    assert_string_equal(pawl_trace_kind_name((pawl_trace_kind)0), "?");
    assert_string_equal(pawl_trace_kind_name((pawl_trace_kind)(PAWL_TRACE_GUARD + 1)), "?");
    assert_string_equal(pawl_trace_kind_name((pawl_trace_kind)-1), "?");
    for (int i = 0; i < PAWL_VERB_COUNT; i++)
        assert_string_not_equal(pawl__verb_name((pawl_verb)i), "?");
    assert_string_equal(pawl__verb_name((pawl_verb)PAWL_VERB_COUNT), "?");
    for (int i = 0; i <= PAWL_UNKNOWN; i++)
        assert_string_not_equal(pawl__outcome_name((pawl_outcome)i), "?");
    assert_string_equal(pawl__outcome_name((pawl_outcome)(PAWL_UNKNOWN + 1)), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_about_a_lock),    cmocka_unit_test(test_lines_that_say_why),
        cmocka_unit_test(test_lines_about_the_store), cmocka_unit_test(test_lines_about_the_client),
        cmocka_unit_test(test_names_in_lines),        cmocka_unit_test(test_how_grave_it_is),
        cmocka_unit_test(test_each_word_is_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
