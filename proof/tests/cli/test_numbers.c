/* SPDX-License-Identifier: MIT */
/* Durations as people write and read them, the times of a run that follow from its ttl, and how
 * often a store is looked at. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/duration.h"
#include "cli/run_plan.h"
#include "cli/watch_rest.h"

static void what_is_written_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t ms;
    } cases[] = {
        {"10", 10000},
        {"0.5", 500},
        {".5", 500},
        {"5.", 5000},
        {"250ms", 250},
        {"3s", 3000},
        {"1.5m", 90000},
        {"2h", 7200000},
        {"1d", 86400000},
        {"0.5d", 43200000},
        {"365d", INT64_C(31536000000)},
        {"0", 0},
        {"0ms", 0},
        {"0.000", 0},
        {"0.0001", 1},
        {"0.00000009", 1},
        {"1.2345678s", 1234},
        {"0.25h", 900000},
        {"8760h", INT64_C(31536000000)},
        {"31536000", INT64_C(31536000000)},
        {"1.999ms", 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms = -7;
        const char *why = "";
        assert_true(cli_duration_parse(cases[i].text, &ms, &why));
        assert_int_equal(ms, cases[i].ms);
    }
}

static void what_is_no_duration_is_refused_with_its_reason(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "optional unit"},       {".", "optional unit"},
        {"s", "optional unit"},      {"1w", "optional unit"},
        {"1 s", "optional unit"},    {"1..5", "optional unit"},
        {"-1", "negative"},          {"8761h", "a year"},
        {"31536001", "a year"},      {"525601m", "a year"},
        {"31536000001ms", "a year"}, {"99999999999999999999999999", "a year"},
        {"366d", "a year"},          {"315360000000ms", "a year"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t ms;
        const char *why = "";
        assert_false(cli_duration_parse(cases[i].text, &ms, &why));
        assert_non_null(strstr(why, cases[i].why));
    }
}

static void durations_are_printed_for_people(void **state)
{
    static const struct {
        int64_t ms;
        const char *text, *exact;
    } cases[] = {
        {0, "0ms", "0ms"},           {1, "1ms", "1ms"},         {999, "999ms", "999ms"},
        {1000, "1.0s", "1s"},        {1599, "1.5s", "1599ms"},  {59999, "59.9s", "59999ms"},
        {60000, "1m00s", "1m"},      {90000, "1m30s", "90s"},   {3599999, "59m59s", "3599999ms"},
        {3600000, "1h00m", "1h"},    {5400000, "1h30m", "90m"}, {108000000, "30h00m", "30h"},
        {172800000, "48h00m", "2d"}, {1900, "1.9s", "1900ms"},
    };
    char room[CLI_DURATION_TEXT];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_string_equal(cli_duration_text(cases[i].ms, room), cases[i].text);
        assert_string_equal(cli_duration_exact(cases[i].ms, room), cases[i].exact);
    }
    assert_string_equal(cli_duration_text(-1, room), "never");
}

static void a_plan_follows_from_the_ttl(void **state)
{
    static const struct {
        int64_t ttl_ms, asked_ms, grace_ms, lead_ms, start_ms;
    } cases[] = {
        {30000, -1, 5000, 100, 6000},
        {30000, 15998, 15998, 100, 16998},
        {30000, 0, 100, 100, 1100},
        {20000, -1, 5000, 100, 6000},
        {1000, -1, 250, 100, 352},
        {1000, 462, 462, 100, 564},
        {999, -1, 249, 99, 349},
        {200, -1, 50, 20, 72},
        {60, -1, 15, 6, 23},
        {50, -1, 12, 5, 18},
        {15, -1, 1, 1, 3},
        {86400000, -1, 5000, 100, 6000},
    };
    char why[256];
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        run_plan plan = {0};
        assert_true(run_plan_make(cases[i].ttl_ms, cases[i].asked_ms, &plan, why, sizeof why));
        assert_int_equal(plan.ttl_ms, cases[i].ttl_ms);
        assert_int_equal(plan.grace_ms, cases[i].grace_ms);
        assert_int_equal(plan.lead_ms, cases[i].lead_ms);
        assert_int_equal(plan.start_ms, cases[i].start_ms);
    }
}

static void a_plan_that_does_not_fit_says_what_does(void **state)
{
    run_plan plan;
    char why[256];
    (void)state;
    assert_false(run_plan_make(30000, 15999, &plan, why, sizeof why));
    assert_string_equal(why, "--grace 15999ms does not fit into --ttl 30s: renewal after 10s + "
                             "grace 15999ms + answers 2 x 500ms + margin 3002ms = 30001ms; "
                             "take --grace 15998ms or --ttl 30101ms");
    assert_true(run_plan_make(60, 24, &plan, why, sizeof why));
    assert_false(run_plan_make(60, 25, &plan, why, sizeof why)); /* the margin is 6 + 2 */
    assert_false(run_plan_make(1000, 463, &plan, why, sizeof why));
    assert_non_null(strstr(why, "take --grace 462ms or --ttl 996ms")); /* the least one that fits */
    assert_true(run_plan_make(996, 463, &plan, why, sizeof why));
    assert_false(run_plan_make(14, -1, &plan, why, sizeof why));
    assert_string_equal(why, "--ttl 14ms leaves no time to stop a command: take 15ms or more");
}

static void a_delay_lengthens_the_lease_and_not_the_run(void **state)
{
    run_plan plan;
    char why[256];
    (void)state;
    assert_true(run_plan_make(30000, -1, &plan, why, sizeof why));
    assert_true(run_plan_add_delay(&plan, 15000, why, sizeof why));
    assert_int_equal(plan.ttl_ms, 45000);
    assert_int_equal(plan.delay_ms, 15000);
    assert_int_equal(plan.grace_ms, 5000);
    assert_true(run_plan_make(30000, -1, &plan, why, sizeof why));
    assert_false(run_plan_add_delay(&plan, 26000, why, sizeof why));
    assert_string_equal(why,
                        "--lock-delay 26s is too long for --ttl 30s and --grace 5s: a lease that "
                        "lasts for both is renewed after 18667ms; take --lock-delay "
                        "25380ms or a longer --ttl");
    assert_true(run_plan_add_delay(&plan, 25380, why, sizeof why));
    assert_true(run_plan_make(30000, 15998, &plan, why, sizeof why)); /* the grace takes it all */
    assert_false(run_plan_add_delay(&plan, 1, why, sizeof why));
    assert_non_null(strstr(why, "take --lock-delay 0ms or"));
    assert_true(run_plan_make(2000, -1, &plan, why, sizeof why));
    int64_t start_ms = plan.start_ms;
    assert_true(run_plan_add_delay(&plan, 100, why, sizeof why));
    assert_int_equal(plan.start_ms, start_ms + 2 * 5); /* two answers, a twentieth of it each */
}

static void looking_takes_at_most_a_tenth_of_the_time(void **state)
{
    (void)state;
    assert_int_equal(cli_watch_rest(2, 1000, false), 998);
    assert_int_equal(cli_watch_rest(100, 1000, false), 900);
    assert_int_equal(cli_watch_rest(101, 1000, false), 909);
    assert_int_equal(cli_watch_rest(5000, 1000, false), 45000);
    assert_int_equal(cli_watch_rest(0, 100, false), 100);
    assert_int_equal(cli_watch_rest(5000, 1000, true), 5000);
    assert_int_equal(cli_watch_rest(2, 1000, true), 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_written_is_read),
        cmocka_unit_test(what_is_no_duration_is_refused_with_its_reason),
        cmocka_unit_test(durations_are_printed_for_people),
        cmocka_unit_test(a_plan_follows_from_the_ttl),
        cmocka_unit_test(a_plan_that_does_not_fit_says_what_does),
        cmocka_unit_test(a_delay_lengthens_the_lease_and_not_the_run),
        cmocka_unit_test(looking_takes_at_most_a_tenth_of_the_time),
    };
    return cmocka_run_group_tests_name("cli: numbers", tests, NULL, NULL);
}
