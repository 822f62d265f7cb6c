/* SPDX-License-Identifier: MIT */
/*
 * Goal: renewals and their margin, doubt, loss, refusals, the link, drift of the clocks and what
 * breaks are told as events with their numbers, and the log's lines are made of them. Method: a
 * store that does what the test says; argv[1] is its directory.
 */
#define _GNU_SOURCE
#include "clock_ahead.h"
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

/* ---- A traced client of the scripted store -------------------------------------------------- */

typedef struct scene {
    told t;
    record log;
    pawl_client *client;
} scene;

static void begin_at(scene *s, const char *url)
{
    pawl_open_opts opts;
    scripted_opts(&opts);
    told_init(&s->t);
    record_init(&s->log);
    opts.trace = told_hear;
    opts.trace_userdata = &s->t;
    opts.log = record_log;
    opts.log_userdata = &s->log;
    if (url)
        CHECK_ERR(pawl_client_open(url, &opts, &s->client, NULL), PAWL_OK);
    else
        s->client = scripted_client(&opts);
}

static void begin(scene *s)
{
    begin_at(s, NULL);
}

static void end(scene *s)
{
    pawl_client_close(s->client);
    told_free(&s->t);
}

static pawl_lock *held(const scene *s, int64_t ttl_ms)
{
    pawl_lock *lock = lock_new(s->client, "name", ttl_ms);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    return lock;
}

/* ---- Renewals ------------------------------------------------------------------------------- */

static void test_a_renewal_says_what_was_left(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = held(&s, 600);
    const pawl_trace *renewed = told_await(&s.t, PAWL_TRACE_RENEWED, "name", 1);
    assert_int_equal(renewed->ttl_ms, 600);
    assert_true(renewed->span_ns > 0);
    assert_true(renewed->span_ns <= 400 * INT64_C(1000000)); /* it is made at a third of the ttl */
    assert_false(renewed->after_doubt);
    pawl_lock_free(lock);
    end(&s);
}

static void test_doubt_and_its_end(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    script->answers = scripted_renewal_fails_once;
    pawl_lock *lock = held(&s, 2000);
    const pawl_trace *doubt = told_await(&s.t, PAWL_TRACE_DOUBT, "name", 1);
    assert_int_equal(doubt->err, PAWL_ERR_STORE_BUSY);
    assert_string_equal(doubt->message, "come?back later");
    assert_true(doubt->span_ns > 0);
    assert_true(told_await(&s.t, PAWL_TRACE_RENEWED, "name", 1)->after_doubt);
    record_await_line(&s.log, "lock \"name\": renewal overdue: come?back later");
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock);
    end(&s);
}

static void test_a_loss_ends_the_hold(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    script->answers = scripted_not_the_owner;
    pawl_lock *lock = held(&s, 600);
    const pawl_trace *lost = told_await(&s.t, PAWL_TRACE_LOST, "name", 1);
    assert_int_equal(lost->err, PAWL_ERR_LOST);
    assert_true(lost->span_ns > 0);
    record_await_line(&s.log, "lock \"name\": lost: ");
    told_check_balance(&s.t, "name", 0, 0);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(s.client);
    assert_int_equal(told_count(&s.t, PAWL_TRACE_RELEASED, "name"), 0);
    assert_int_equal(told_count(&s.t, PAWL_TRACE_LOST, "name"), 1);
    told_free(&s.t);
}

/* The holder looks first: what it was told is what is traced, once (law 6). */
static bool renewal_is_not_answered(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    (void)reply;
    return request->verb != PAWL_VERB_RENEW;
}

static void test_a_loss_that_the_holder_sees_first_is_told_once(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    script->answers = renewal_is_not_answered;
    pawl_lock *lock = held(&s, 50);
    while (pawl_lock_is_held(lock)) continue;
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    told_await(&s.t, PAWL_TRACE_LOST, "name", 1);
    pawl_lock_free(lock);
    pawl_client_close(s.client);
    assert_int_equal(told_count(&s.t, PAWL_TRACE_LOST, "name"), 1);
    told_check_balance(&s.t, "name", 0, 0);
    told_free(&s.t);
}

/* ---- The store ------------------------------------------------------------------------------ */

static bool denies(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_ACQUIRE) return true;
    reply->outcome = PAWL_FAILED;
    reply->err = PAWL_ERR_PERMISSION;
    reply->message = "not you";
    return true;
}

static void test_a_refusal_carries_the_words_of_the_store(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    script->answers = denies;
    pawl_lock *lock = lock_new(s.client, "name", 1000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_ERR_PERMISSION);
    const pawl_trace *reply = told_await(&s.t, PAWL_TRACE_REPLY, NULL, 1);
    assert_int_equal(reply->outcome, PAWL_FAILED);
    assert_int_equal(reply->err, PAWL_ERR_PERMISSION);
    const pawl_trace *refused = told_await(&s.t, PAWL_TRACE_REFUSED, "name", 1);
    assert_int_equal(refused->err, PAWL_ERR_PERMISSION);
    assert_string_equal(refused->message, "not you");
    char line[PAWL_MESSAGE_MAX], latest[PAWL_MESSAGE_MAX];
    pawl_trace_text(refused, line);
    pawl_client_message(s.client, latest);
    assert_string_equal(line, "lock \"name\": not acquired: not you");
    assert_string_equal(latest, line);
    pawl_lock_free(lock);
    end(&s);
}

/* One step each millisecond. */
static atomic_int step;

static void goes_and_comes(pawl_host *host)
{
    int now = atomic_fetch_add(&step, 1);
    if (now == 0) host->link(host, false, PAWL_ERR_UNAVAILABLE, "gone");
    if (now == 1) host->link(host, true, PAWL_OK, NULL);
}

static void test_the_link_goes_and_comes_again(void **state)
{
    (void)state;
    scene s;
    step = 0;
    begin(&s);
    told_await(&s.t, PAWL_TRACE_LINK, NULL, 1);
    script->ticks = goes_and_comes;
    const pawl_trace *down = told_await(&s.t, PAWL_TRACE_LINK, NULL, 2);
    const pawl_trace *again = told_await(&s.t, PAWL_TRACE_LINK, NULL, 3);
    assert_false(down->up);
    assert_int_equal(down->err, PAWL_ERR_UNAVAILABLE);
    assert_string_equal(down->message, "gone");
    assert_true(again->up && again->again);
    record_await_line(&s.log, "gone");
    record_await_line(&s.log, "connected to the store");
    end(&s);
}

static void warns(pawl_host *host)
{
    if (atomic_fetch_add(&step, 1) == 0) host->warn(host, "mind the gap");
}

static void test_a_warning_of_the_store(void **state)
{
    (void)state;
    scene s;
    step = 0;
    begin(&s);
    script->ticks = warns;
    const pawl_trace *note = told_await(&s.t, PAWL_TRACE_NOTE, NULL, 1);
    assert_int_equal(note->severity, PAWL_SEVERITY_WARNING);
    assert_string_equal(note->message, "mind the gap");
    record_await_line(&s.log, "mind the gap");
    end(&s);
}

/* ---- What breaks ---------------------------------------------------------------------------- */

static void test_a_broken_invariant_is_told_and_loses_all(void **state)
{
    (void)state;
    scene s;
    begin_at(&s, "fake:insane");
    pawl_lock *lock = held(&s, 300);
    const pawl_trace *broken = told_await(&s.t, PAWL_TRACE_BROKEN, NULL, 1);
    assert_non_null(strstr(broken->message, "an invariant of pawl is broken"));
    assert_int_equal(told_await(&s.t, PAWL_TRACE_LOST, "name", 1)->err, PAWL_ERR_INTERNAL);
    record_await_line(&s.log, "an invariant of pawl is broken");
    told_check_balance(&s.t, "name", 0, 0);
    pawl_lock_free(lock);
    end(&s);
}

static void test_clocks_that_run_apart(void **state)
{
    (void)state;
    scene s;
    begin(&s);
    pawl_lock *lock = held(&s, 600);
    boottime_ahead += 5000000;
    const pawl_trace *drift = told_await(&s.t, PAWL_TRACE_DRIFT, NULL, 1);
    assert_true(drift->span_ns > 4 * INT64_C(1000000));
    assert_true(drift->span_ns < 6 * INT64_C(1000000));
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    end(&s);
}

/* What went before a client was opened is no event of it. */
static void test_drift_is_told_since_the_client_was_opened(void **state)
{
    (void)state;
    scene s;
    boottime_ahead += 50000000;
    begin(&s);
    pawl_lock_free(held(&s, 60000)); /* the clocks have been read */
    end(&s);
    begin(&s);
    pawl_lock *lock = held(&s, RENEWED_SOON_MS);
    boottime_ahead += 5000000;
    int64_t span = told_await(&s.t, PAWL_TRACE_DRIFT, NULL, 1)->span_ns;
    assert_true(span > 4 * INT64_C(1000000) && span < 6 * INT64_C(1000000));
    pawl_lock_free(lock);
    end(&s);
}

/* ---- Lines ---------------------------------------------------------------------------------- */

static void test_each_kind_has_a_name_and_a_line(void **state)
{
    (void)state;
    char line[PAWL_MESSAGE_MAX];
    for (int kind = PAWL_TRACE_ACQUIRING; kind <= PAWL_TRACE_GUARD; kind++) {
        pawl_trace event = {
            .size = sizeof event, .kind = (pawl_trace_kind)kind, .name = "a\nb", .message = "why"};
        assert_string_not_equal(pawl_trace_kind_name(event.kind), "?");
        pawl_trace_text(&event, line);
        assert_true(line[0]);
        assert_null(strchr(line, '\n'));
    }
    for (int state_of = PAWL_LEASE_ABSENT; state_of <= PAWL_LEASE_RELEASING; state_of++)
        assert_string_not_equal(pawl_lease_state_name((pawl_lease_state)state_of), "?");
    assert_string_equal(pawl_trace_kind_name((pawl_trace_kind)99), "?");
    assert_string_equal(pawl_lease_state_name((pawl_lease_state)99), "?");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_renewal_says_what_was_left),
        cmocka_unit_test(test_doubt_and_its_end),
        cmocka_unit_test(test_a_loss_ends_the_hold),
        cmocka_unit_test(test_a_loss_that_the_holder_sees_first_is_told_once),
        cmocka_unit_test(test_a_refusal_carries_the_words_of_the_store),
        cmocka_unit_test(test_the_link_goes_and_comes_again),
        cmocka_unit_test(test_a_warning_of_the_store),
        cmocka_unit_test(test_a_broken_invariant_is_told_and_loses_all),
        cmocka_unit_test(test_clocks_that_run_apart),
        cmocka_unit_test(test_drift_is_told_since_the_client_was_opened),
        cmocka_unit_test(test_each_kind_has_a_name_and_a_line),
    };
    CHECK(argc == 2);
    scripted_load(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
