/* SPDX-License-Identifier: MIT */
/*
 * Goal: the page of the metrics is right to the letter: each number beside its own name, each bound
 * where it belongs. Method: a clientless object whose counts are set to numbers that all differ;
 * argv[1] is the page as it was read through by somebody. With --write it is written anew.
 */
#define _GNU_SOURCE /* fmemopen */
#include "runtime/metrics.h"
#include "runtime/trace.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const char *wanted_page;

/* ---- A page --------------------------------------------------------------------------------- */

static bool to_file(const char *text, size_t len, void *userdata)
{
    return fwrite(text, 1, len, userdata) == len;
}

static void count_errors(_Atomic uint64_t *counts, uint64_t first)
{
    counts[0] = first;
    counts[-PAWL_ERR_BUSY] = first + 1;
    counts[-PAWL_ERR_NOT_HELD] = first + 2;
    counts[-PAWL_ERR_LOST] = first + 3;
}

static void count_histogram(pawl__histogram *histogram, uint64_t first)
{
    for (size_t i = 0; i <= PAWL__METRICS_BUCKETS; i++) histogram->counts[i] = first + i;
    histogram->sum = first * 1000001;
}

static void count_class(pawl__class_metrics *counts, uint64_t first)
{
    count_errors(counts->acquisitions, first + 10);
    count_errors(counts->losses, first + 20);
    counts->released = first + 31;
    counts->detached = first + 32;
    counts->retained = first + 33;
    counts->doubts = first + 34;
    counts->held = (int64_t)first + 35;
    counts->waiting = (int64_t)first + 36;
    count_histogram(&counts->wait, first + 40);
    count_histogram(&counts->hold, first + 60);
    count_histogram(&counts->margin, first + 80);
}

static pawl_metrics *counted(void)
{
    static const char *const classes[] = {"order:*", "a\"b\\"};
    pawl_metrics *m = NULL;
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = classes;
    opts.class_count = 2;
    assert_int_equal(pawl_metrics_new(&opts, &m), PAWL_OK);
    for (size_t c = 0; c <= 2; c++) count_class(&m->classes[c], 1000 * (c + 1));
    for (size_t i = 0; i < PAWL_VERB_COUNT; i++) m->requests[i] = 101 + i;
    for (size_t i = 0; i <= PAWL_UNKNOWN; i++) m->replies[i] = 201 + i;
    for (size_t i = 0; i < 3; i++) m->clients[i] = (int64_t)(301 + i);
    m->hand_offs = 401;
    m->reconnects = 402;
    m->drift_ns = 403;
    m->broken = 404;
    m->guards = 405;
    m->guard_until = 1; /* it is long over */
    count_histogram(&m->round_trip, 501);
    return m;
}

static void test_the_page_to_the_letter(void **state)
{
    (void)state;
    static char page[256 * 1024], wanted[sizeof page];
    FILE *file = fopen(wanted_page, "r");
    assert_non_null(file);
    wanted[fread(wanted, 1, sizeof wanted - 1, file)] = '\0';
    fclose(file);
    file = fmemopen(page, sizeof page, "w");
    assert_non_null(file);
    pawl_metrics *m = counted();
    assert_int_equal(pawl_metrics_write(m, to_file, file), PAWL_OK);
    assert_int_equal(fclose(file), 0);
    pawl_metrics_free(m);
    for (const char *got = page, *line = wanted; *got || *line;) { /* names the line that differs */
        int got_len = (int)strcspn(got, "\n"), line_len = (int)strcspn(line, "\n");
        if (got_len != line_len || memcmp(got, line, (size_t)got_len) != 0)
            fail_msg("\"%.*s\", not \"%.*s\"", got_len, got, line_len, line);
        got += got_len + (got[got_len] == '\n');
        line += line_len + (line[line_len] == '\n');
    }
    assert_string_equal(page, wanted);
}

/* ---- What counts ---------------------------------------------------------------------------- */

static pawl_metrics *m;
static pawl__link_state link_state;

static void tell(pawl_trace event)
{
    if (!event.name) event.name = "x";
    pawl__metrics_count(m, &event, &link_state);
}

static void begin(void)
{
    assert_int_equal(pawl_metrics_new(NULL, &m), PAWL_OK);
    link_state = PAWL__LINK_UNKNOWN;
    pawl__metrics_join(m);
}

static void end(void)
{
    pawl__metrics_leave(m, link_state);
    pawl_metrics_free(m);
}

/* A value at a bound belongs to the bucket below it. */
static void test_buckets_begin_behind_their_bound(void **state)
{
    (void)state;
    begin();
    pawl__class_metrics *c = pawl__metrics_class(m, "x");
    tell((pawl_trace){.kind = PAWL_TRACE_ACQUIRED, .span_ns = -1});
    tell((pawl_trace){.kind = PAWL_TRACE_ACQUIRED, .span_ns = 0});
    assert_int_equal(c->wait.counts[0], 2);
    assert_int_equal(c->wait.sum, 0);
    tell((pawl_trace){.kind = PAWL_TRACE_ACQUIRED, .span_ns = 1000000000});
    assert_int_equal(c->wait.counts[6], 1); /* up to 1 s */
    assert_int_equal(c->wait.sum, 1000000);
    tell((pawl_trace){.kind = PAWL_TRACE_ACQUIRED, .span_ns = 1000000001});
    assert_int_equal(c->wait.counts[7], 1);
    tell((pawl_trace){.kind = PAWL_TRACE_ACQUIRED, .span_ns = INT64_C(601000000000)});
    assert_int_equal(c->wait.counts[11], 1); /* without a bound */
    assert_int_equal(c->acquisitions[0], 5);
    assert_int_equal(c->held, 5);
    assert_int_equal(c->waiting, -5); /* nobody was said to wait */
    end();
}

static void test_the_margin_is_a_part_of_the_ttl(void **state)
{
    (void)state;
    begin();
    pawl__class_metrics *c = pawl__metrics_class(m, "x");
    tell((pawl_trace){.kind = PAWL_TRACE_RENEWED, .ttl_ms = 1000, .span_ns = 550000000});
    assert_int_equal(c->margin.counts[7], 1); /* 0.5 to 0.6 */
    assert_int_equal(c->margin.sum, 550000);
    tell((pawl_trace){.kind = PAWL_TRACE_RENEWED, .ttl_ms = 0, .span_ns = 1});
    assert_int_equal(c->margin.counts[0], 1);
    assert_int_equal(c->margin.sum, 550000);
    end();
}

static void test_errors_have_their_place(void **state)
{
    (void)state;
    begin();
    pawl__class_metrics *c = pawl__metrics_class(m, "x");
    tell((pawl_trace){.kind = PAWL_TRACE_REFUSED, .err = PAWL_ERR_BUSY});
    assert_int_equal(c->acquisitions[-PAWL_ERR_BUSY], 1);
    tell((pawl_trace){.kind = PAWL_TRACE_REFUSED, .err = (pawl_err) - (PAWL__METRICS_ERRORS - 1)});
    tell((pawl_trace){.kind = PAWL_TRACE_REFUSED, .err = (pawl_err)-PAWL__METRICS_ERRORS});
    tell((pawl_trace){.kind = PAWL_TRACE_REFUSED, .err = (pawl_err)1});
    assert_int_equal(c->acquisitions[PAWL__METRICS_ERRORS - 1], 3);
    assert_int_equal(c->losses[0], 0);
    assert_int_equal(c->held, 0);
    tell((pawl_trace){.kind = PAWL_TRACE_LOST, .err = PAWL_ERR_CLOSED, .span_ns = 2000000});
    assert_int_equal(c->losses[-PAWL_ERR_CLOSED], 1);
    assert_int_equal(c->hold.sum, 2000);
    end();
}

static void test_what_the_store_says_has_its_place(void **state)
{
    (void)state;
    begin();
    for (size_t i = 0; i < PAWL_VERB_COUNT; i++) {
        tell((pawl_trace){.kind = PAWL_TRACE_REQUEST, .verb = (pawl_verb)i});
        assert_int_equal(m->requests[i], 1);
    }
    tell((pawl_trace){.kind = PAWL_TRACE_REQUEST, .verb = (pawl_verb)PAWL_VERB_COUNT});
    assert_int_equal(m->replies[0], 0); /* lies behind the last verb */
    for (size_t i = 0; i <= PAWL_UNKNOWN; i++) {
        tell((pawl_trace){.kind = PAWL_TRACE_REPLY, .outcome = (pawl_outcome)i, .span_ns = -1});
        assert_int_equal(m->replies[i], 1);
    }
    assert_int_equal(m->round_trip.counts[0], 0); /* how long it took is not known */
    tell((pawl_trace){.kind = PAWL_TRACE_REPLY, .outcome = PAWL_GRANTED, .span_ns = 0});
    assert_int_equal(m->round_trip.counts[0], 1);
    assert_int_equal(m->hand_offs, 0);
    tell((pawl_trace){.kind = PAWL_TRACE_REPLY, .outcome = (pawl_outcome)(PAWL_UNKNOWN + 1)});
    assert_int_equal(m->hand_offs, 0); /* lies behind the last outcome */
    tell((pawl_trace){.kind = PAWL_TRACE_PUSH, .push = PAWL_PUSH_YIELD});
    assert_int_equal(m->hand_offs, 0);
    tell((pawl_trace){.kind = PAWL_TRACE_PUSH, .push = PAWL_PUSH_GRANT});
    assert_int_equal(m->hand_offs, 1);
    tell((pawl_trace){.kind = PAWL_TRACE_DRIFT, .span_ns = -5});
    assert_int_equal(m->drift_ns, 0); /* a counter does not go back */
    tell((pawl_trace){.kind = PAWL_TRACE_DRIFT, .span_ns = 5});
    assert_int_equal(m->drift_ns, 5);
    tell((pawl_trace){.kind = PAWL_TRACE_BROKEN});
    assert_int_equal(m->broken, 1);
    end();
}

static void test_links(void **state)
{
    (void)state;
    begin();
    tell((pawl_trace){.kind = PAWL_TRACE_LINK, .up = true});
    tell((pawl_trace){.kind = PAWL_TRACE_LINK, .again = true});
    assert_int_equal(m->reconnects, 0);
    assert_int_equal(m->clients[PAWL__LINK_DOWN], 1);
    tell((pawl_trace){.kind = PAWL_TRACE_LINK, .up = true, .again = true});
    assert_int_equal(m->reconnects, 1);
    assert_int_equal(m->clients[PAWL__LINK_UNKNOWN], 0);
    assert_int_equal(m->clients[PAWL__LINK_DOWN], 0);
    assert_int_equal(m->clients[PAWL__LINK_UP], 1);
    pawl__metrics_leave(m, link_state);
    assert_int_equal(m->clients[PAWL__LINK_UP], 0);
    pawl_metrics_free(m);
}

/* The latest end that anybody has told of; a guard that begins when one is over is another one. */
static void test_guards(void **state)
{
    (void)state;
    begin();
    tell((pawl_trace){.kind = PAWL_TRACE_GUARD, .at_ns = 100, .span_ns = 50});
    assert_int_equal(m->guard_until, 150);
    tell((pawl_trace){.kind = PAWL_TRACE_GUARD, .at_ns = 120, .span_ns = 20});
    assert_int_equal(m->guard_until, 150);
    tell((pawl_trace){.kind = PAWL_TRACE_GUARD, .at_ns = 149, .span_ns = 50});
    assert_int_equal(m->guard_until, 199);
    assert_int_equal(m->guards, 1);
    tell((pawl_trace){.kind = PAWL_TRACE_GUARD, .at_ns = 199, .span_ns = 1});
    assert_int_equal(m->guard_until, 200);
    assert_int_equal(m->guards, 2);
    tell((pawl_trace){.kind = PAWL_TRACE_GUARD, .at_ns = 300, .span_ns = 0}); /* it has ended */
    assert_int_equal(m->guards, 2);
    assert_int_equal(m->guard_until, 200);
    end();
}

static void test_retained_leases(void **state)
{
    (void)state;
    begin();
    pawl__class_metrics *c = pawl__metrics_class(m, "x");
    pawl__metrics_taken(c);
    assert_int_equal(c->held, 1);
    assert_int_equal(c->waiting, 0);
    assert_int_equal(c->acquisitions[0], 1);
    assert_int_equal(c->wait.counts[0], 1);
    pawl__metrics_put_back(c, 3000000);
    assert_int_equal(c->held, 0);
    assert_int_equal(c->retained, 1);
    assert_int_equal(c->hold.sum, 3000);
    tell((pawl_trace){.kind = PAWL_TRACE_RECALLED, .held = true});
    assert_int_equal(c->held, 0); /* was counted when it was taken */
    end();
}

/* ---- Classes -------------------------------------------------------------------------------- */

static bool fits(const char *pattern, const char *name)
{
    pawl_metrics *one = NULL;
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = &pattern;
    opts.class_count = 1;
    assert_int_equal(pawl_metrics_new(&opts, &one), PAWL_OK);
    bool answer = pawl__metrics_class(one, name) == &one->classes[0];
    pawl_metrics_free(one);
    return answer;
}

static void test_patterns(void **state)
{
    static const struct {
        const char *pattern, *name;
        bool fits;
    } cases[] = {
        {"a", "a", true},         {"a", "b", false},     {"a", "aa", false},
        {"aa", "a", false},       {"?", "a", true},      {"?", "", false},
        {"?", "ab", false},       {"*", "", true},       {"*", "abc", true},
        {"a*", "a", true},        {"a*", "ba", false},   {"*a", "ba", true},
        {"*a", "ab", false},      {"a*b", "ab", true},   {"a*b", "aXbXb", true},
        {"a*b", "aXbX", false},   {"a**b", "aXb", true}, {"*ab*", "aab", true},
        {"*a?b", "aaXaXb", true}, {"a*?", "a", false},   {"a*?", "ab", true},
        {"*a*b", "bab", true},    {"*a*b", "ba", false}, {"~ !", "~ !", true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        if (fits(cases[i].pattern, cases[i].name) != cases[i].fits)
            fail_msg("\"%s\", \"%s\"", cases[i].pattern, cases[i].name);
}

/* The first that fits. */
static void test_the_first_class_counts(void **state)
{
    static const char *const classes[] = {"ab*", "a*"};
    pawl_metrics_opts opts;
    (void)state;
    pawl_metrics_opts_init(&opts);
    opts.classes = classes;
    opts.class_count = 2;
    assert_int_equal(pawl_metrics_new(&opts, &m), PAWL_OK);
    assert_ptr_equal(pawl__metrics_class(m, "abc"), &m->classes[0]);
    assert_ptr_equal(pawl__metrics_class(m, "ac"), &m->classes[1]);
    assert_ptr_equal(pawl__metrics_class(m, "c"), &m->classes[2]);
    pawl_metrics_free(m);
}

static void test_a_pattern_may_be_so_long(void **state)
{
    char longest[PAWL_METRICS_CLASS_MAX + 1];
    (void)state;
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    assert_true(fits(longest, longest));
    longest[sizeof longest - 2] = '\0';
    assert_false(fits(longest, "x"));
}

static void test_options_that_are_refused(void **state)
{
    (void)state;
    pawl_metrics *none = NULL;
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.class_count = 1; /* and no classes */
    assert_int_equal(pawl_metrics_new(&opts, &none), PAWL_ERR_ARGUMENT);
    assert_int_equal(pawl_metrics_new(&opts, NULL), PAWL_ERR_ARGUMENT);
    opts.size = sizeof opts - 1;
    assert_int_equal(pawl_metrics_new(&opts, &none), PAWL_ERR_ARGUMENT);
    assert_null(none);
    assert_null(pawl_metrics_free(NULL));
}

/* Each reader of the page, and each client, has a reference. */
static void test_the_last_one_frees_it(void **state)
{
    (void)state;
    assert_int_equal(pawl_metrics_new(NULL, &m), PAWL_OK);
    assert_int_equal(m->refs, 1);
    assert_ptr_equal(pawl__metrics_hold(m), m);
    pawl__metrics_join(m);
    assert_int_equal(m->refs, 3);
    assert_int_equal(m->clients[PAWL__LINK_UNKNOWN], 1);
    pawl__metrics_leave(m, PAWL__LINK_UNKNOWN);
    assert_int_equal(m->clients[PAWL__LINK_UNKNOWN], 0);
    assert_null(pawl_metrics_free(m));
    assert_int_equal(m->refs, 1);
    pawl_metrics_free(m);
}

static void new_and_free(void)
{
    static const char *const bad[] = {"a", ""};
    pawl_metrics *none = NULL;
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = bad;
    opts.class_count = 2;
    assert_int_equal(pawl_metrics_new(&opts, &none), PAWL_ERR_ARGUMENT);
    assert_null(none);
    assert_int_equal(pawl_metrics_new(NULL, &m), PAWL_OK);
    pawl_metrics_free(pawl__metrics_hold(m));
    pawl_metrics_free(m);
}

/* ASan looks at each test; this looks where nothing else does. */
static void test_nothing_is_left(void **state)
{
    (void)state;
    new_and_free();
    size_t before = mallinfo2().uordblks;
    new_and_free();
    assert_int_equal(mallinfo2().uordblks, before);
}

/* Where the places for requests under way end, those that are still under way move to the front,
 * and each of them keeps its time. */
static void test_the_oldest_request_keeps_its_time(void **state)
{
    (void)state;
    begin();
    pawl__calls calls = {.client = NULL};
    pawl__list_init(&calls.notes);
    pawl__trace trace;
    pawl__trace_init(&trace, &calls, &(pawl_open_opts){.metrics = m});
    for (uint64_t id = 1; id <= PAWL__FLIGHTS_MAX + 1; id++) {
        pawl__trace_request(&trace, &(pawl_request){.id = id, .name = "x"});
        if (id == PAWL__FLIGHTS_MAX)
            pawl__trace_reply(&trace, &(pawl_reply){.id = 1, .outcome = PAWL_GRANTED});
    }
    pawl__trace_reply(&trace, &(pawl_reply){.id = 2, .outcome = PAWL_GRANTED});
    pawl__trace_reply(&trace, &(pawl_reply){.id = 2, .outcome = PAWL_GRANTED}); /* none is left */
    pawl__trace_reply(&trace, &(pawl_reply){.id = PAWL__FLIGHTS_MAX + 1, .outcome = PAWL_GRANTED});
    uint64_t measured = 0;
    for (size_t i = 0; i <= PAWL__METRICS_BUCKETS; i++) measured += m->round_trip.counts[i];
    assert_int_equal(measured, 3);
    pawl__trace_free_parts(&trace);
    end();
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_page_to_the_letter),
        cmocka_unit_test(test_buckets_begin_behind_their_bound),
        cmocka_unit_test(test_the_margin_is_a_part_of_the_ttl),
        cmocka_unit_test(test_errors_have_their_place),
        cmocka_unit_test(test_what_the_store_says_has_its_place),
        cmocka_unit_test(test_links),
        cmocka_unit_test(test_guards),
        cmocka_unit_test(test_retained_leases),
        cmocka_unit_test(test_patterns),
        cmocka_unit_test(test_the_first_class_counts),
        cmocka_unit_test(test_a_pattern_may_be_so_long),
        cmocka_unit_test(test_options_that_are_refused),
        cmocka_unit_test(test_the_last_one_frees_it),
        cmocka_unit_test(test_the_oldest_request_keeps_its_time),
        cmocka_unit_test(test_nothing_is_left),
    };
    if (argc == 3 && strcmp(argv[1], "--write") == 0) {
        FILE *file = fopen(argv[2], "w");
        return !file || pawl_metrics_write(counted(), to_file, file) || fclose(file);
    }
    if (argc != 2) return 1;
    wanted_page = argv[1];
    return cmocka_run_group_tests(tests, NULL, NULL);
}
