/* SPDX-License-Identifier: MIT */
/*
 * Goal: each metric counts what its name says, and nothing else moves it; no name of a lock is in
 * the text. Method: a store that does what the test says, so that each thing happens a known number
 * of times; argv[1] is its directory. Which test has seen which metric is written down, and the
 * last one fails for a metric that nobody has seen move. The text itself is checked by Prometheus'
 * own tool, too.
 */
#define _GNU_SOURCE
#include "clock_ahead.h"
#include "pawl/metrics.h"
#include "pawl/trace.h"
#include "scripted.h"
#include "stage.h"
#include "told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* ---- Counting clients ----------------------------------------------------------------------- */

typedef struct scene {
    told t; /* says when something has been counted: it is told after that */
    pawl_metrics *metrics;
    pawl_client *client;
} scene;

static void open_client(scene *s, const char *url)
{
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.trace = told_hear;
    opts.trace_userdata = &s->t;
    opts.metrics = s->metrics;
    if (url)
        CHECK_ERR(pawl_client_open(url, &opts, &s->client, NULL), PAWL_OK);
    else
        s->client = scripted_client(&opts);
}

static void begin_at(scene *s, const char *url)
{
    static const char *const classes[] = {"order:*", "a\"b\\?"};
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = classes;
    opts.class_count = 2;
    CHECK_ERR(pawl_metrics_new(&opts, &s->metrics), PAWL_OK);
    told_init(&s->t);
    open_client(s, url);
}

static void begin(scene *s)
{
    begin_at(s, NULL);
}

static void end(scene *s)
{
    pawl_client_close(s->client);
    pawl_metrics_free(s->metrics);
    told_free(&s->t);
}

/* ---- The text ------------------------------------------------------------------------------- */

typedef struct page {
    size_t len;
    char text[512 * 1024];
} page;

static bool keep(const char *text, size_t len, void *userdata)
{
    page *p = userdata;
    CHECK(p->len + len < sizeof p->text);
    memcpy(p->text + p->len, text, len);
    p->len += len;
    p->text[p->len] = '\0';
    return true;
}

static page *read_page(const scene *s)
{
    static page p;
    p.len = 0;
    CHECK_ERR(pawl_metrics_write(s->metrics, keep, &p), PAWL_OK);
    return &p;
}

/* What tests have seen of a metric; for a histogram of its count, its sum and its buckets. */
typedef struct sight {
    char name[64];
    bool at_zero;
    const char *moved_in; /* the test that saw another value first; NULL: none has */
} sight;

static sight sights[64];

static sight *sight_of(const char *name, size_t len)
{
    size_t i = 0;
    while (sights[i].name[0] &&
           (strlen(sights[i].name) != len || strncmp(sights[i].name, name, len) != 0))
        CHECK(++i < sizeof sights / sizeof sights[0]);
    CHECK(len < sizeof sights[i].name);
    memcpy(sights[i].name, name, len);
    return &sights[i];
}

static void note(const char *test, const char *series, double value)
{
    sight *seen = sight_of(series, strcspn(series, "{"));
    seen->at_zero |= value <= 0;
    if (value > 0 && !seen->moved_in) seen->moved_in = test;
}

/* The value of a series as it is written; -1 if there is none. */
static double value_in(const char *test, const scene *s, const char *series)
{
    size_t len = strlen(series);
    for (const char *line = read_page(s)->text; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, series, len) != 0 || line[len] != ' ') continue;
        note(test, series, atof(line + len));
        return atof(line + len);
    }
    return -1;
}

#define value(scene, series) value_in(__func__, (scene), (series))

#define EXPECT(scene, series, wanted)                                                              \
    do {                                                                                           \
        double got_ = value((scene), (series));                                                    \
        if (got_ < (wanted) || got_ > (wanted))                                                    \
            FAIL_TEST("%s: %s is %g, not %g", __func__, (series), got_, (double)(wanted));         \
    } while (0)

/* ---- Locks ---------------------------------------------------------------------------------- */

static bool is_busy(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_ACQUIRE) return true;
    reply->outcome = PAWL_BUSY;
    reply->message = "somebody";
    return true;
}

static void test_acquisitions_by_result(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "order:1", 60000);
    EXPECT(&s, "pawl_acquisitions_total{class=\"order:*\",result=\"acquired\"}", 0);
    EXPECT(&s, "pawl_acquire_wait_seconds_count{class=\"order:*\"}", 0);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_acquisitions_total{class=\"order:*\",result=\"acquired\"}", 1);
    EXPECT(&s, "pawl_acquisitions_total{class=\"other\",result=\"acquired\"}", 0);
    EXPECT(&s, "pawl_acquire_wait_seconds_count{class=\"order:*\"}", 1);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    script->answers = is_busy;
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_BUSY);
    EXPECT(&s, "pawl_acquisitions_total{class=\"order:*\",result=\"acquired\"}", 1);
    EXPECT(&s, "pawl_acquisitions_total{class=\"order:*\",result=\"busy\"}", 1);
    EXPECT(&s, "pawl_acquire_wait_seconds_count{class=\"order:*\"}",
           1); /* of those that succeeded */
    pawl_lock_free(lock);
    end(&s);
}

static void test_held_and_hold_times(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "x", 60000), *second = lock_new(s.client, "y", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(second, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_held{class=\"other\"}", 2);
    EXPECT(&s, "pawl_hold_seconds_count{class=\"other\"}", 0);
    stage_pass(30);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    EXPECT(&s, "pawl_held{class=\"other\"}", 1);
    EXPECT(&s, "pawl_hold_seconds_count{class=\"other\"}", 1);
    EXPECT(&s, "pawl_hold_seconds_bucket{class=\"other\",le=\"0.025\"}", 0);
    EXPECT(&s, "pawl_hold_seconds_bucket{class=\"other\",le=\"+Inf\"}", 1);
    assert_true(value(&s, "pawl_hold_seconds_sum{class=\"other\"}") >= 0.03);
    CHECK_ERR(pawl_lock_detach(second), PAWL_OK);
    EXPECT(&s, "pawl_held{class=\"other\"}", 0);
    EXPECT(&s, "pawl_releases_total{class=\"other\",lease=\"released\"}", 1);
    EXPECT(&s, "pawl_releases_total{class=\"other\",lease=\"detached\"}", 1);
    pawl_lock_free(second);
    pawl_lock_free(lock);
    end(&s);
}

static void test_calls_that_wait(void **state)
{
    (void)state;
    scene s;
    record r;
    record_init(&r);
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "x", 60000), *second = lock_new(s.client, "x", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(second, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    EXPECT(&s, "pawl_waiting{class=\"other\"}", 1);
    stage_pass(30);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    record_await_done(&r, 1);
    EXPECT(&s, "pawl_waiting{class=\"other\"}", 0);
    /* Not the second one; the first is that quick if the machine is. */
    assert_true(value(&s, "pawl_acquire_wait_seconds_bucket{class=\"other\",le=\"0.025\"}") <= 1);
    EXPECT(&s, "pawl_acquire_wait_seconds_count{class=\"other\"}", 2);
    pawl_lock_free(second);
    pawl_lock_free(lock);
    end(&s);
}

static void test_uses_of_a_retained_lease(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.retain_ms = 60000;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(s.client, "order:2", 7, &opts, &lock), PAWL_OK);
    for (int i = 0; i < 10; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        EXPECT(&s, "pawl_held{class=\"order:*\"}", 1);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        EXPECT(&s, "pawl_held{class=\"order:*\"}", 0);
    }
    EXPECT(&s, "pawl_acquisitions_total{class=\"order:*\",result=\"acquired\"}", 10);
    EXPECT(&s, "pawl_releases_total{class=\"order:*\",lease=\"retained\"}", 10);
    EXPECT(&s, "pawl_acquire_wait_seconds_count{class=\"order:*\"}", 10);
    EXPECT(&s, "pawl_hold_seconds_count{class=\"order:*\"}", 10);
    EXPECT(&s, "pawl_requests_total{verb=\"acquire\"}", 1);
    pawl_lock_free(lock);
    end(&s);
}

/* ---- Renewals, doubt, loss ------------------------------------------------------------------ */

static void test_the_margin_of_renewals(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "x", RENEWED_SOON_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_renewal_margin_ratio_count{class=\"other\"}", 0);
    const pawl_trace *first = told_await(&s.t, PAWL_TRACE_RENEWED, "x", 1);
    double count = value(&s, "pawl_renewal_margin_ratio_count{class=\"other\"}");
    assert_true(count >= 1);
    if (count < 2) { /* else another one has been confirmed meanwhile */
        double left = (double)first->span_ns / (RENEWED_SOON_MS * 1e6);
        double sum = value(&s, "pawl_renewal_margin_ratio_sum{class=\"other\"}");
        assert_true(sum > left - 1e-5 && sum < left + 1e-5);
    }
    EXPECT(&s, "pawl_renewal_margin_ratio_bucket{class=\"other\",le=\"0.9\"}",
           value(&s, "pawl_renewal_margin_ratio_count{class=\"other\"}"));
    pawl_lock_free(lock);
    end(&s);
}

static void test_doubts(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    script->answers = scripted_renewal_fails_once;
    pawl_lock *lock = lock_new(s.client, "x", 2000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_doubts_total{class=\"other\"}", 0);
    told_await(&s.t, PAWL_TRACE_DOUBT, "x", 1);
    EXPECT(&s, "pawl_doubts_total{class=\"other\"}", 1);
    EXPECT(&s, "pawl_replies_total{outcome=\"failed\"}", 1);
    EXPECT(&s, "pawl_held{class=\"other\"}", 1);
    pawl_lock_free(lock);
    end(&s);
}

static void test_losses_by_reason(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    script->answers = scripted_not_the_owner;
    pawl_lock *lock = lock_new(s.client, "x", RENEWED_SOON_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_losses_total{class=\"other\",reason=\"lost\"}", 0);
    told_await(&s.t, PAWL_TRACE_LOST, "x", 1);
    EXPECT(&s, "pawl_losses_total{class=\"other\",reason=\"lost\"}", 1);
    EXPECT(&s, "pawl_held{class=\"other\"}", 0);
    EXPECT(&s, "pawl_hold_seconds_count{class=\"other\"}", 1);
    EXPECT(&s, "pawl_releases_total{class=\"other\",lease=\"released\"}", 0);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    EXPECT(&s, "pawl_losses_total{class=\"other\",reason=\"lost\"}", 1);
    pawl_lock_free(lock);
    end(&s);
}

static void test_what_breaks(void **state)
{
    (void)state;
    scene s;
    begin_at(&s, "fake:insane");
    pawl_lock *lock = lock_new(s.client, "x", RENEWED_SOON_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_broken_total", 0);
    told_await(&s.t, PAWL_TRACE_LOST, "x", 1);
    EXPECT(&s, "pawl_broken_total", 1);
    EXPECT(&s, "pawl_losses_total{class=\"other\",reason=\"internal\"}", 1);
    pawl_lock_free(lock);
    end(&s);
}

/* ---- The store ------------------------------------------------------------------------------ */

static atomic_int step; /* what the store is to do */

static void goes_and_comes(pawl_host *host)
{
    int now = atomic_load(&step);
    if (now == 1) host->link(host, false, PAWL_ERR_UNAVAILABLE, "gone");
    if (now == 2) host->link(host, true, PAWL_OK, NULL);
}

static void test_the_link_and_the_clients(void **state)
{
    (void)state;
    scene s;
    step = 0;
    begin(&s);
    told_await(&s.t, PAWL_TRACE_LINK, NULL, 1);
    EXPECT(&s, "pawl_clients{link=\"up\"}", 1);
    EXPECT(&s, "pawl_clients{link=\"unknown\"}", 0);
    script->ticks = goes_and_comes;
    step = 1;
    told_await(&s.t, PAWL_TRACE_LINK, NULL, 2);
    EXPECT(&s, "pawl_clients{link=\"down\"}", 1);
    EXPECT(&s, "pawl_clients{link=\"up\"}", 0);
    EXPECT(&s, "pawl_reconnects_total", 0);
    step = 2;
    told_await(&s.t, PAWL_TRACE_LINK, NULL, 3);
    EXPECT(&s, "pawl_clients{link=\"up\"}", 1);
    EXPECT(&s, "pawl_clients{link=\"down\"}", 0);
    EXPECT(&s, "pawl_reconnects_total", 1);
    pawl_client_close(s.client);
    EXPECT(&s, "pawl_clients{link=\"up\"}", 0);
    open_client(&s, "fake:silent"); /* it never says a word */
    EXPECT(&s, "pawl_clients{link=\"unknown\"}", 1);
    end(&s);
}

static void test_requests_replies_and_round_trips(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "x", 60000);
    EXPECT(&s, "pawl_requests_total{verb=\"acquire\"}", 0);
    EXPECT(&s, "pawl_replies_total{outcome=\"granted\"}", 0);
    EXPECT(&s, "pawl_round_trip_seconds_count", 0);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_requests_total{verb=\"acquire\"}", 1);
    EXPECT(&s, "pawl_requests_total{verb=\"release\"}", 1);
    EXPECT(&s, "pawl_replies_total{outcome=\"granted\"}", 1);
    EXPECT(&s, "pawl_replies_total{outcome=\"released\"}", 1);
    EXPECT(&s, "pawl_round_trip_seconds_count", 2);
    assert_true(value(&s, "pawl_round_trip_seconds_sum") > 0);
    pawl_lock_free(lock);
    end(&s);
}

static char token[PAWL_TOKEN_LEN + 1];

static bool queues(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_ACQUIRE) return true;
    snprintf(token, sizeof token, "%s", request->token);
    reply->outcome = PAWL_QUEUED;
    reply->fence = 0;
    return true;
}

static void hands_over(pawl_host *host)
{
    pawl_push push = {
        .kind = PAWL_PUSH_GRANT, .name = "x", .name_len = 1, .token = token, .fence = 99};
    if (token[0] && atomic_fetch_add(&step, 1) == 0) host->push(host, &push);
}

static void test_hand_offs(void **state)
{
    (void)state;
    scene s;
    step = 0;
    token[0] = '\0';
    begin(&s);
    script->answers = queues;
    script->ticks = hands_over;
    pawl_lock *lock = lock_new(s.client, "x", 60000);
    EXPECT(&s, "pawl_hand_offs_total", 0);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_hand_offs_total", 1);
    assert_int_equal(pawl_lock_fence(lock), 99);
    pawl_lock_free(lock);
    end(&s);
}

/* ---- The restart guard, the clocks ---------------------------------------------------------- */

static void says_that_it_is_guarded(pawl_host *host)
{
    int left_ms = atomic_exchange(&step, -1);
    if (left_ms >= 0) host->guarded(host, left_ms);
}

static void test_the_restart_guard(void **state)
{
    (void)state;
    scene s;
    step = -1;
    begin(&s);
    script->ticks = says_that_it_is_guarded;
    EXPECT(&s, "pawl_guard_active", 0);
    EXPECT(&s, "pawl_guard_left_seconds", 0);
    EXPECT(&s, "pawl_guards_total", 0);
    step = 1000000;
    assert_true(told_await(&s.t, PAWL_TRACE_GUARD, NULL, 1)->span_ns == INT64_C(1000000000000));
    EXPECT(&s, "pawl_guard_active", 1);
    EXPECT(&s, "pawl_guards_total", 1);
    double left = value(&s, "pawl_guard_left_seconds");
    assert_true(left > 0 && left <= 1000);
    step = 2000000; /* it lasts longer, and is the same one */
    told_await(&s.t, PAWL_TRACE_GUARD, NULL, 2);
    EXPECT(&s, "pawl_guards_total", 1);
    assert_true(value(&s, "pawl_guard_left_seconds") > 1000);
    step = 0;
    assert_true(told_await(&s.t, PAWL_TRACE_GUARD, NULL, 3)->span_ns == 0);
    end(&s);
}

/* Nobody says that it has ended: the client may have gone. */
static void test_a_guard_ends_by_itself(void **state)
{
    (void)state;
    scene s;
    step = -1;
    begin(&s);
    script->ticks = says_that_it_is_guarded;
    step = 1;
    told_await(&s.t, PAWL_TRACE_GUARD, NULL, 1);
    stage_pass(2);
    EXPECT(&s, "pawl_guards_total", 1);
    EXPECT(&s, "pawl_guard_active", 0);
    EXPECT(&s, "pawl_guard_left_seconds", 0);
    end(&s);
}

static void test_clocks_that_run_apart(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "x", RENEWED_SOON_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    EXPECT(&s, "pawl_clock_drift_seconds_total", 0);
    boottime_ahead += 5000000;
    told_await(&s.t, PAWL_TRACE_DRIFT, NULL, 1);
    double drift = value(&s, "pawl_clock_drift_seconds_total");
    assert_true(drift > 0.004 && drift < 0.006);
    pawl_lock_free(lock);
    end(&s);
}

/* ---- Classes, and the object ---------------------------------------------------------------- */

static void test_names_are_no_labels(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    static const char *const names[] = {"order:", "order:secret", "aorder:", "a\"b\\c", "a\"b\\cd"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pawl_lock *lock = lock_new(s.client, names[i], 60000);
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        pawl_lock_free(lock);
    }
    EXPECT(&s, "pawl_acquisitions_total{class=\"order:*\",result=\"acquired\"}", 2);
    EXPECT(&s, "pawl_acquisitions_total{class=\"a\\\"b\\\\?\",result=\"acquired\"}", 1);
    EXPECT(&s, "pawl_acquisitions_total{class=\"other\",result=\"acquired\"}", 2);
    assert_null(strstr(read_page(&s)->text, "secret"));
    end(&s);
}

static size_t line_count(const scene *s)
{
    size_t count = 0;
    for (const char *at = read_page(s)->text; (at = strchr(at, '\n')); at++) count++;
    return count;
}

static void acquire_once(const scene *s, const char *name)
{
    pawl_lock *lock = lock_new(s->client, name, 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
}

/* As many classes as there may be, and what fits none: it counts, and makes no series. */
static void test_there_are_so_many_classes_and_no_more(void **state)
{
    (void)state;
    char patterns[PAWL_METRICS_CLASSES_MAX + 1][16], name[16];
    const char *classes[PAWL_METRICS_CLASSES_MAX + 1];
    for (int i = 0; i <= PAWL_METRICS_CLASSES_MAX; i++) {
        snprintf(patterns[i], sizeof patterns[i], "c%d:*", i);
        classes[i] = patterns[i];
    }
    scene s;
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = classes;
    opts.class_count = PAWL_METRICS_CLASSES_MAX + 1;
    CHECK_ERR(pawl_metrics_new(&opts, &s.metrics), PAWL_ERR_ARGUMENT);
    opts.class_count = PAWL_METRICS_CLASSES_MAX;
    CHECK_ERR(pawl_metrics_new(&opts, &s.metrics), PAWL_OK);
    told_init(&s.t);
    open_client(&s, NULL);
    size_t lines = line_count(&s);
    for (int i = 0; i < 2 * PAWL_METRICS_CLASSES_MAX; i++) {
        snprintf(name, sizeof name, "c%d:x", i);
        acquire_once(&s, name);
    }
    EXPECT(&s, "pawl_acquisitions_total{class=\"c0:*\",result=\"acquired\"}", 1);
    EXPECT(&s, "pawl_acquisitions_total{class=\"c31:*\",result=\"acquired\"}", 1);
    EXPECT(&s, "pawl_acquisitions_total{class=\"other\",result=\"acquired\"}",
           PAWL_METRICS_CLASSES_MAX);
    assert_int_equal(line_count(&s), lines);
    end(&s);
}

static void test_patterns_that_are_refused(void **state)
{
    (void)state;
    char long_one[PAWL_METRICS_CLASS_MAX + 2];
    memset(long_one, 'x', sizeof long_one);
    long_one[sizeof long_one - 1] = '\0';
    const char *bad[] = {"", long_one, "a\nb", "\xc3\xa9", NULL};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pawl_metrics_opts opts;
        pawl_metrics *metrics = NULL;
        pawl_metrics_opts_init(&opts);
        opts.classes = &bad[i];
        opts.class_count = 1;
        CHECK_ERR(pawl_metrics_new(&opts, &metrics), PAWL_ERR_ARGUMENT);
        assert_null(metrics);
        opts.class_count = PAWL_METRICS_CLASSES_MAX + 1;
        CHECK_ERR(pawl_metrics_new(&opts, &metrics), PAWL_ERR_ARGUMENT);
    }
}

static void test_clients_keep_the_object(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "x", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_metrics_free(s.metrics);
    pawl_client_close(s.client); /* it counts the release */
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_CLOSED);
    pawl_lock_free(lock);
    told_free(&s.t);
}

static bool refuse(const char *text, size_t len, void *userdata)
{
    (void)text;
    (void)len;
    ++*(int *)userdata;
    return false;
}

static void test_a_reader_that_has_enough(void **state)
{
    (void)state;
    pawl_metrics *metrics = NULL;
    int calls = 0;
    CHECK_ERR(pawl_metrics_new(NULL, &metrics), PAWL_OK);
    CHECK_ERR(pawl_metrics_write(metrics, refuse, &calls), PAWL_ERR_CANCELED);
    assert_int_equal(calls, 1);
    CHECK_ERR(pawl_metrics_write(NULL, refuse, &calls), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_metrics_write(metrics, NULL, NULL), PAWL_ERR_ARGUMENT);
    pawl_metrics_free(metrics);
}

/* Checks the format with Prometheus' own tool. */
static void test_the_format(void **state)
{
    (void)state;
    if (system("command -v promtool > /dev/null") != 0)
        skip_case("promtool is not installed: the format was not checked");
    scene s;
    begin(&s);
    pawl_lock *lock = lock_new(s.client, "order:1", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    FILE *tool = popen("promtool check metrics", "w");
    const page *p = read_page(&s);
    CHECK(tool && fwrite(p->text, 1, p->len, tool) == p->len);
    assert_int_equal(pclose(tool), 0);
    pawl_lock_free(lock);
    end(&s);
}

/* ---- All of them ---------------------------------------------------------------------------- */

/* Of a metric by its name, or of a series of a histogram. */
static const sight *sight_in(const char *family, const char *series)
{
    char name[64];
    snprintf(name, sizeof name, "%s%s", family, series);
    return sight_of(name, strlen(name));
}

/* Of each histogram, which "+Inf" ends. */
static void bounds_grow(const char *at)
{
    for (double bound = 0, last = 0; (at = strstr(at, "le=\"")); last = bound > 1e9 ? 0 : bound)
        assert_true(sscanf(at += strlen("le=\""), "%lf", &bound) == 1 && bound > last);
}

/* Runs last: what the tests above have compared with its value before and after. */
static void test_each_metric_was_seen_at_zero_and_moving(void **state)
{
    (void)state;
    static const char *const of_histogram[] = {"_count", "_bucket", "_sum"};
    scene s;
    size_t count = 0, unseen = 0;
    begin(&s);
    bounds_grow(read_page(&s)->text);
    for (const char *at = read_page(&s)->text; (at = strstr(at, "# TYPE ")); count++) {
        char family[64] = "";
        at += strlen("# TYPE ");
        size_t len = strcspn(at, " ");
        bool is_histogram = strncmp(at + len, " histogram", 10) == 0;
        snprintf(family, sizeof family, "%.*s", (int)len, at);
        const sight *seen = sight_in(family, is_histogram ? of_histogram[0] : "");
        print_message("%-32s %s\n", family, seen->moved_in ? seen->moved_in : "NO TEST");
        unseen += !seen->moved_in || !seen->at_zero;
    }
    end(&s);
    assert_true(count >= 20);
    assert_int_equal(unseen, 0);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_acquisitions_by_result),
        cmocka_unit_test(test_held_and_hold_times),
        cmocka_unit_test(test_calls_that_wait),
        cmocka_unit_test(test_uses_of_a_retained_lease),
        cmocka_unit_test(test_the_margin_of_renewals),
        cmocka_unit_test(test_doubts),
        cmocka_unit_test(test_losses_by_reason),
        cmocka_unit_test(test_what_breaks),
        cmocka_unit_test(test_the_link_and_the_clients),
        cmocka_unit_test(test_requests_replies_and_round_trips),
        cmocka_unit_test(test_hand_offs),
        cmocka_unit_test(test_the_restart_guard),
        cmocka_unit_test(test_a_guard_ends_by_itself),
        cmocka_unit_test(test_clocks_that_run_apart),
        cmocka_unit_test(test_names_are_no_labels),
        cmocka_unit_test(test_there_are_so_many_classes_and_no_more),
        cmocka_unit_test(test_patterns_that_are_refused),
        cmocka_unit_test(test_clients_keep_the_object),
        cmocka_unit_test(test_a_reader_that_has_enough),
        cmocka_unit_test(test_the_format),
        cmocka_unit_test(test_each_metric_was_seen_at_zero_and_moving),
    };
    CHECK(argc == 2);
    scripted_load(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
