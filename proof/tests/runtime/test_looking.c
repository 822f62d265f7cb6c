/* SPDX-License-Identifier: MIT */
/* Goal: what can be seen and done past a handle: inspect, list, break, doctor, caps, tokens. */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOPICS_SIZE 512

static const char good_token[] = "0123456789abcdef0123456789abcdef00000001";

static bool ignore(const pawl_info *info, void *userdata)
{
    (void)info;
    ++*(int *)userdata;
    return true;
}

static bool stop_after_two(const pawl_info *info, void *userdata)
{
    (void)info;
    return ++*(int *)userdata < 2;
}

/* Adds "topic " to the text. */
static void note_finding(const pawl_finding *finding, void *userdata)
{
    char *topics = userdata;
    CHECK(finding->size == sizeof *finding && finding->topic && finding->text && finding->advice);
    CHECK(strlen(finding->text) > 0 && strlen(finding->topic) > 0);
    CHECK(finding->severity <= PAWL_SEVERITY_ERROR);
    size_t used = strlen(topics);
    snprintf(topics + used, TOPICS_SIZE - used, "%s ", finding->topic);
}

static void test_inspect(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.owner = "the holder";
    pawl_client *holder = stage_client(&opts);
    opts.owner = "the waiter";
    pawl_client *waiter = stage_client(&opts);
    const char *name = stage_name();
    pawl_lock *held = lock_new(holder, name, 30000), *waiting = lock_new(waiter, name, 30000);
    record r;
    record_init(&r);

    view v = stage_view(waiter, name);
    assert_false(v.held);
    assert_int_equal(v.waiters, 0);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(waiting, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    stage_await_waiters(holder, name, 1);
    v = stage_view(waiter, name);
    assert_true(v.held);
    assert_string_equal(v.owner, "the holder");
    assert_true(v.fence == pawl_lock_fence(held));
    assert_true(v.remaining_ms > 0 && v.remaining_ms <= 30000);
    pawl_lock_free(held);
    pawl_lock_free(waiting);
    pawl_client_close(holder);
    pawl_client_close(waiter);
}

static pawl_lock *lock_by(pawl_client *client, const char *name, char *owner, int64_t retain_ms)
{
    pawl_lock_opts opts;
    pawl_lock *lock = NULL;
    pawl_lock_opts_init(&opts);
    opts.owner = owner;
    opts.retain_ms = retain_ms;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    memset(owner, '?', strlen(owner)); /* the handle has its own */
    return lock;
}

/* A look shows the present holder, also if the lock was passed on within one client. */
static void test_every_lock_may_have_its_label(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    char ann_label[] = "ann", bob_label[] = "bob", cat_label[] = "cat";
    pawl_lock *ann = lock_by(client, name, ann_label, 30000);
    pawl_lock *bob = lock_by(client, name, bob_label, 0);
    pawl_lock *cat = lock_by(other, name, cat_label, 0);
    pawl_lock *plain = lock_new(client, name, 30000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(ann, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(ann);
    assert_string_equal(stage_view(other, name).owner, "ann");
    CHECK_ERR(pawl_lock_release(ann), PAWL_OK); /* it stays in the cache, under her label */
    assert_string_equal(stage_view(other, name).owner, "ann");
    CHECK_ERR(pawl_lock_acquire(bob, PATIENCE_MS), PAWL_OK);
    assert_string_equal(stage_view(other, name).owner, "bob");
    assert_true(pawl_lock_fence(bob) > fence); /* a lease of his own */
    CHECK_ERR(pawl_lock_acquire_start(plain, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    CHECK_ERR(pawl_lock_release(bob), PAWL_OK);
    record_await_done(&r, 1);
    assert_string_equal(stage_view(other, name).owner, pawl_client_owner(client));
    CHECK_ERR(pawl_lock_acquire_start(cat, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    stage_await_waiters(client, name, 1);
    CHECK_ERR(pawl_lock_release(plain), PAWL_OK);
    record_await_done(&r, 2);
    assert_string_equal(stage_view(client, name).owner, "cat");
    pawl_lock_free(ann);
    pawl_lock_free(bob);
    pawl_lock_free(cat);
    pawl_lock_free(plain);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_list(void **state)
{
    (void)state;
    enum { COUNT = 5 };
    pawl_client *client = stage_client(NULL);
    pawl_lock *locks[COUNT];
    char name[48], prefix[24];
    snprintf(prefix, sizeof prefix, "%s/", stage_name());
    for (int i = 0; i < COUNT; i++) {
        snprintf(name, sizeof name, "%s%d", prefix, i);
        locks[i] = lock_new(client, name, 30000);
        CHECK_ERR(pawl_lock_acquire(locks[i], PATIENCE_MS), PAWL_OK);
    }
    int count = 0;
    CHECK_ERR(pawl_list(client, prefix, strlen(prefix), PATIENCE_MS, ignore, &count), PAWL_OK);
    assert_int_equal(count, COUNT);
    count = 0;
    CHECK_ERR(pawl_list(client, prefix, strlen(prefix), PATIENCE_MS, stop_after_two, &count),
              PAWL_OK);
    assert_int_equal(count, 2);
    count = 0;
    CHECK_ERR(pawl_list(client, NULL, 0, PATIENCE_MS, ignore, &count), PAWL_OK);
    assert_true(count >= COUNT);
    count = 0;
    CHECK_ERR(pawl_list(client, "no-such/", 8, PATIENCE_MS, ignore, &count), PAWL_OK);
    assert_int_equal(count, 0);
    for (int i = 0; i < COUNT; i++) pawl_lock_free(locks[i]);
    pawl_client_close(client);
}

static void test_break(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    size_t len = strlen(name);
    pawl_lock *lock = lock_new(client, name, 30000), *next = lock_new(other, name, 30000);
    CHECK_ERR(pawl_break(other, name, len, 1, PATIENCE_MS), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);
    CHECK_ERR(pawl_break(other, name, len, fence - 1, PATIENCE_MS), PAWL_ERR_NOT_HELD);
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(other, message);
    assert_non_null(strstr(message, "fence"));
    assert_true(stage_view(other, name).held);
    CHECK_ERR(pawl_break(other, name, len, fence, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(next, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_fence(next) > fence);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_ERR_LOST);
    assert_true(stage_view(client, name).held); /* by the next one (law 5) */
    pawl_lock_free(lock);
    pawl_lock_free(next);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_caps(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_caps caps;
    CHECK_ERR(pawl_client_caps(client, PATIENCE_MS, &caps), PAWL_OK);
    assert_int_equal(caps.size, sizeof caps);
    assert_true(caps.modes & 1u << PAWL_MODE_EXCLUSIVE);
    assert_true(caps.fair && caps.push && caps.list);
    assert_int_not_equal(caps.fence, PAWL_FENCE_NONE);

    struct { /* a program that knows more */
        pawl_caps caps;
        uint64_t more;
    } newer = {.more = UINT64_MAX};
    CHECK_ERR(pawl_client_caps_sized(client, PATIENCE_MS, &newer.caps, sizeof newer), PAWL_OK);
    assert_true(newer.more == 0);
    assert_int_equal(newer.caps.size, sizeof(pawl_caps));
    CHECK_ERR(pawl_client_caps_sized(client, PATIENCE_MS, &caps, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_client_caps(client, PATIENCE_MS, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_client_caps(NULL, PATIENCE_MS, &newer.caps), PAWL_ERR_ARGUMENT);
    pawl_client_close(client);
}

static void test_doctor(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    char topics[TOPICS_SIZE] = "";
    CHECK_ERR(pawl_doctor(client, PATIENCE_MS, note_finding, topics), PAWL_OK);
    static const char *const looked_at[][2] = {{"memory", "scope "},
                                               {"sqlite", "integrity "},
                                               {"sqlite", "liveness "},
                                               {"redis", "eviction "},
                                               {"redis", "persistence "}};
    for (size_t i = 0; i < sizeof looked_at / sizeof looked_at[0]; i++) {
        if (stage_is(looked_at[i][0]) && !strstr(topics, looked_at[i][1]))
            FAIL_TEST("nothing is said of %s: %s", looked_at[i][1], topics);
    }
    pawl_client_close(client);
}

static void test_arguments(void **state)
{
    (void)state;
    pawl_client *c = stage_client(NULL);
    int n = 0;
    static char long_name[PAWL_NAME_MAX + 1];
    memset(long_name, 'n', sizeof long_name);
    CHECK_ERR(pawl_inspect(NULL, "a", 1, 1, ignore, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_inspect(c, "a", 1, 1, NULL, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_inspect(c, "a", 1, -2, ignore, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_inspect(c, "", 0, 1, ignore, &n), PAWL_ERR_NAME);
    CHECK_ERR(pawl_inspect(c, "a\0b", 3, 1, ignore, &n), PAWL_ERR_NAME);
    CHECK_ERR(pawl_inspect(c, long_name, sizeof long_name, 1, ignore, &n), PAWL_ERR_NAME);
    CHECK_ERR(pawl_list(NULL, "", 0, 1, ignore, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_list(c, NULL, 1, 1, ignore, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_list(c, "", 0, 1, NULL, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_list(c, long_name, sizeof long_name, 1, ignore, &n), PAWL_ERR_NAME);
    CHECK_ERR(pawl_list(c, "a\0b", 3, 1, ignore, &n), PAWL_ERR_NAME);
    CHECK_ERR(pawl_break(NULL, "a", 1, 1, 1), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_break(c, NULL, 1, 1, 1), PAWL_ERR_NAME);
    CHECK_ERR(pawl_doctor(NULL, 1, note_finding, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_doctor(c, 1, NULL, &n), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_token_renew(NULL, "a", 1, good_token, 1000, 1, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_token_renew(c, "a", 0, good_token, 1000, 1, NULL), PAWL_ERR_NAME);
    CHECK_ERR(pawl_token_renew(c, "a", 1, good_token, 9, 1, NULL), PAWL_ERR_TTL);
    CHECK_ERR(pawl_token_renew(c, "a", 1, "short", 1000, 1, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_token_renew(c, "a", 1, NULL, 1000, 1, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_token_release(c, "a", 1, "X", 1), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_token_check(c, "a", 1, "X", 1, NULL), PAWL_ERR_ARGUMENT);
    assert_int_equal(n, 0);
    char message[PAWL_MESSAGE_MAX] = "x";
    pawl_client_message(NULL, message);
    assert_string_equal(message, "");
    pawl_client_message(c, NULL);
    pawl_client_reason(NULL, PAWL_ERR_TTL, message);
    assert_string_equal(message, pawl_err_text(PAWL_ERR_TTL));
    pawl_client_reason(c, PAWL_ERR_TTL, NULL);
    assert_string_equal(pawl_client_owner(NULL), "");
    assert_string_equal(pawl_client_url(NULL), "");
    assert_string_equal(pawl_client_url(c), stage_url());
    pawl_client_close(c);
}

static void test_a_closed_client_answers_while_a_handle_is_left(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_lock *keeper = lock_new(client, "k", 5000), *lock = NULL;
    char message[PAWL_MESSAGE_MAX];
    int n = 0;
    pawl_client_close(client);
    CHECK_ERR(pawl_inspect(client, "a", 1, PAWL_WAIT_FOREVER, ignore, &n), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_list(client, "", 0, PAWL_WAIT_FOREVER, ignore, &n), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_new(client, "a", 1, NULL, &lock), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_acquire(keeper, PAWL_WAIT_FOREVER), PAWL_ERR_CLOSED);
    pawl_client_reason(client, PAWL_ERR_CLOSED, message);
    assert_string_equal(message, pawl_err_text(PAWL_ERR_CLOSED));
    assert_int_equal(n, 0);
    pawl_lock_free(keeper);
}

static void test_tokens_of_nobody(void **state)
{
    (void)state;
    pawl_client *c = stage_client(NULL);
    const char *name = stage_name();
    size_t len = strlen(name);
    int64_t remaining = -7;
    uint64_t fence = 7;
    CHECK_ERR(pawl_token_check(c, name, len, good_token, PATIENCE_MS, &remaining), PAWL_ERR_LOST);
    CHECK_ERR(pawl_token_renew(c, name, len, good_token, 1000, PATIENCE_MS, &fence), PAWL_ERR_LOST);
    CHECK_ERR(pawl_token_release(c, name, len, good_token, PATIENCE_MS), PAWL_ERR_LOST);
    assert_int_equal(remaining, -7); /* untouched on failure */
    assert_int_equal(fence, 7);
    pawl_client_close(c);
}

/* Many threads ask one client: each gets its own answer. */
static void *ask_many(void *arg)
{
    for (int i = 0; i < 100; i++) {
        const char *name = stage_name();
        CHECK(!stage_view(arg, name).held);
    }
    return NULL;
}

static void test_questions_from_many_threads(void **state)
{
    (void)state;
    enum { THREADS = 6 };
    pawl_client *client = stage_client(NULL);
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, ask_many, client) == 0);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inspect),
        cmocka_unit_test(test_every_lock_may_have_its_label),
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_break),
        cmocka_unit_test(test_caps),
        cmocka_unit_test(test_doctor),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_a_closed_client_answers_while_a_handle_is_left),
        cmocka_unit_test(test_tokens_of_nobody),
        cmocka_unit_test(test_questions_from_many_threads),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
