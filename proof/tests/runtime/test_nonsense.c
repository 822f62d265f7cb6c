/* SPDX-License-Identifier: MIT */
/*
 * Goal: a store that says what makes no sense never makes a holder, and crashes nobody; who asked
 * is told what is wrong with it. Method: a store that says what the test wants; argv[1] is its
 * directory.
 */
#include "scripted.h"
#include "stage.h"
#include "told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define WAIT_MS 200 /* of who would be kept for ever */

static _Atomic(const pawl_reply *) said; /* instead of a right answer to `verb` */
static atomic_int verb;
static _Atomic(const pawl_info *) row;    /* told before it */
static _Atomic(const pawl_push *) pushed; /* each millisecond */
static atomic_int push_count;

static bool says(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    const pawl_info *info = atomic_load(&row);
    if ((int)request->verb != atomic_load(&verb)) return true;
    if (info) host->row(host, request->id, info);
    uint64_t id = reply->id;
    *reply = *atomic_load(&said);
    reply->id = id;
    return true;
}

static void pushes(pawl_host *host)
{
    host->push(host, atomic_load(&pushed));
    atomic_fetch_add(&push_count, 1);
}

static pawl_client *client_that_hears(pawl_verb asked, const pawl_reply *reply)
{
    pawl_client *client = scripted_client(NULL);
    atomic_store(&said, reply);
    atomic_store(&row, NULL);
    atomic_store(&verb, (int)asked);
    script->answers = says;
    return client;
}

static pawl_lock *permits_new(pawl_client *client)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_PERMIT;
    opts.capacity = 4;
    opts.units = 2;
    CHECK_ERR(pawl_lock_new(client, "permits", 7, &opts, &lock), PAWL_OK);
    return lock;
}

static void assert_not_acquired(pawl_client *client, pawl_lock *lock, int err)
{
    assert_int_equal(pawl_lock_acquire(lock, WAIT_MS), err);
    assert_false(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void a_failure_without_an_error_is_no_success(void **state)
{
    static const int errors[] = {PAWL_OK, 5, -65536, -9999};
    (void)state;
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        pawl_reply reply = {.outcome = PAWL_FAILED, .err = (pawl_err)errors[i]};
        pawl_client *client = client_that_hears(PAWL_VERB_ACQUIRE, &reply);
        assert_not_acquired(client, lock_new(client, "x", 30000), PAWL_ERR_PROTOCOL);
    }
}

static void a_doubt_without_an_error_is_a_doubt(void **state)
{
    (void)state;
    pawl_reply reply = {.outcome = PAWL_UNKNOWN};
    pawl_client *client = client_that_hears(PAWL_VERB_ACQUIRE, &reply);
    pawl_lock *lock = lock_new(client, "x", 30000);
    assert_true(pawl_lock_acquire(lock, WAIT_MS) < 0);
    assert_false(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void permits_that_are_not_there_are_refused(void **state)
{
    static const uint16_t slots[] = {0, 1};
    static const pawl_reply grants[] = {
        {.outcome = PAWL_GRANTED, .fence = 9},
        {.outcome = PAWL_GRANTED, .fence = 9, .slot_count = 2},
        {.outcome = PAWL_GRANTED, .fence = 9, .slots = slots, .slot_count = 1},
        {.outcome = PAWL_GRANTED, .fence = 9, .slots = slots, .slot_count = 100000},
    };
    (void)state;
    for (size_t i = 0; i < sizeof grants / sizeof grants[0]; i++) {
        pawl_client *client = client_that_hears(PAWL_VERB_ACQUIRE, &grants[i]);
        assert_not_acquired(client, permits_new(client), PAWL_ERR_PROTOCOL);
    }
}

static void a_grant_without_a_fence_is_refused(void **state)
{
    (void)state;
    pawl_reply reply = {.outcome = PAWL_GRANTED};
    pawl_client *client = client_that_hears(PAWL_VERB_ACQUIRE, &reply);
    assert_not_acquired(client, lock_new(client, "x", 30000), PAWL_ERR_FENCE);
}

static void an_outcome_that_does_not_exist_makes_no_holder(void **state)
{
    static const int outcomes[] = {PAWL_CONFIRMED, PAWL_REPORTED, 99, -1};
    (void)state;
    for (size_t i = 0; i < sizeof outcomes / sizeof outcomes[0]; i++) {
        pawl_reply reply = {.outcome = (pawl_outcome)outcomes[i], .fence = 9};
        pawl_client *client = client_that_hears(PAWL_VERB_ACQUIRE, &reply);
        pawl_lock *lock = lock_new(client, "x", 30000);
        assert_true(pawl_lock_acquire(lock, WAIT_MS) < 0);
        assert_false(pawl_lock_is_held(lock));
        pawl_lock_free(lock);
        pawl_client_close(client);
    }
}

static bool count_row(const pawl_info *info, void *userdata)
{
    assert_non_null(info->name);
    assert_non_null(info->owner);
    *(int *)userdata += 1;
    return true;
}

static void an_answer_to_another_question_is_an_error(void **state)
{
    int rows = 0;
    (void)state;
    pawl_reply reply = {.outcome = PAWL_GRANTED, .fence = 9};
    pawl_client *client = client_that_hears(PAWL_VERB_INSPECT, &reply);
    CHECK_ERR(pawl_inspect(client, "x", 1, WAIT_MS, count_row, &rows), PAWL_ERR_PROTOCOL);
    assert_int_equal(rows, 0);
    pawl_client_close(client);
}

static void a_row_that_points_nowhere_is_shown_empty(void **state)
{
    static const pawl_info hollow = {.size = sizeof hollow,
                                     .name_len = 5,
                                     .held = true,
                                     .waiter_count = 3,
                                     .waiters_shown = 3,
                                     .holder_count = 2,
                                     .holders_shown = 2};
    int rows = 0;
    (void)state;
    pawl_reply reply = {.outcome = PAWL_REPORTED};
    pawl_client *client = client_that_hears(PAWL_VERB_INSPECT, &reply);
    atomic_store(&row, &hollow);
    CHECK_ERR(pawl_inspect(client, "x", 1, WAIT_MS, count_row, &rows), PAWL_OK);
    assert_int_equal(rows, 1);
    pawl_client_close(client);
}

static void pushes_that_point_nowhere_change_nothing(void **state)
{
    static const pawl_push hollow[] = {
        {.kind = PAWL_PUSH_GRANT, .name_len = 1, .fence = 99, .slot_count = 3},
        {.kind = PAWL_PUSH_GRANT, .name = "x", .name_len = 1, .fence = 99, .slot_count = 3},
        {.kind = PAWL_PUSH_YIELD, .name = "x", .name_len = 1},
        {.kind = PAWL_PUSH_NEWS, .name_len = 1},
        {.kind = (pawl_push_kind)77, .name = "x", .name_len = 1},
    };
    int rows = 0;
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_lock *lock = lock_new(client, "x", 30000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    for (size_t i = 0; i < sizeof hollow / sizeof hollow[0]; i++) {
        atomic_store(&pushed, &hollow[i]);
        atomic_store(&push_count, 0);
        script->ticks = pushes;
        while (atomic_load(&push_count) < 3) /* to ask turns the loop */
            CHECK_ERR(pawl_inspect(client, "y", 1, PATIENCE_MS, count_row, &rows), PAWL_OK);
        assert_true(pawl_lock_is_held(lock));
        script->ticks = NULL;
    }
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* What is behind it belongs to something else. */
static void the_name_of_a_push_ends_where_its_length_says(void **state)
{
    static const pawl_push push = {.kind = PAWL_PUSH_RECHECK, .name = "abcdef", .name_len = 3};
    told heard;
    int rows = 0;
    pawl_open_opts opts;
    (void)state;
    told_init(&heard);
    pawl_open_opts_init(&opts);
    opts.trace = told_hear;
    opts.trace_userdata = &heard;
    pawl_client *client = scripted_client(&opts);
    atomic_store(&pushed, &push);
    script->ticks = pushes;
    CHECK_ERR(pawl_inspect(client, "y", 1, PATIENCE_MS, count_row, &rows), PAWL_OK);
    assert_int_equal(told_await(&heard, PAWL_TRACE_PUSH, "abc", 1)->push, PAWL_PUSH_RECHECK);
    script->ticks = NULL;
    pawl_client_close(client);
    told_free(&heard);
}

/* ---- Words of two lines ------------------------------------------------------------------------
 */

static bool refuses_the_upgrade(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_CHANGE) return true;
    reply->outcome = PAWL_FAILED;
    reply->err = PAWL_ERR_AUTH;
    reply->message = "no right\nto write";
    return true;
}

static void an_upgrade_that_is_refused_says_why_on_one_line(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    script->answers = refuses_the_upgrade;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_UPDATE;
    opts.ttl_ms = 600000;
    pawl_lock *lock;
    CHECK_ERR(pawl_lock_new(client, "a", 1, &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_upgrade(lock, PATIENCE_MS), PAWL_ERR_AUTH);
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(client, PAWL_ERR_AUTH, reason);
    CHECK(strstr(reason, "no right?to write"));
    CHECK(pawl_lock_is_held(lock)); /* as before */
    pawl_lock_free(lock);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_failure_without_an_error_is_no_success),
        cmocka_unit_test(a_doubt_without_an_error_is_a_doubt),
        cmocka_unit_test(permits_that_are_not_there_are_refused),
        cmocka_unit_test(a_grant_without_a_fence_is_refused),
        cmocka_unit_test(an_outcome_that_does_not_exist_makes_no_holder),
        cmocka_unit_test(an_answer_to_another_question_is_an_error),
        cmocka_unit_test(a_row_that_points_nowhere_is_shown_empty),
        cmocka_unit_test(pushes_that_point_nowhere_change_nothing),
        cmocka_unit_test(the_name_of_a_push_ends_where_its_length_says),
        cmocka_unit_test(an_upgrade_that_is_refused_says_why_on_one_line),
    };
    if (argc < 2) return 64;
    scripted_load(argv[1]);
    return cmocka_run_group_tests_name("nonsense", cases, NULL, NULL);
}
