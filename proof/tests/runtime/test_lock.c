/* SPDX-License-Identifier: MIT */
/* Goal: a handle does what pawl.h says, call by call, on every store. */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void test_one_acquisition(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 5000);
    pawl_token before, token, after;

    pawl_lock_token(lock, &before);
    assert_string_equal(before.text, "");
    assert_string_equal(pawl_lock_name(lock), name);
    assert_false(pawl_lock_is_held(lock));
    assert_int_equal(pawl_lock_remaining_ms(lock), 0);
    assert_int_equal(pawl_lock_fence(lock), 0);

    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_OK);
    assert_true(pawl_lock_is_held(lock));
    int64_t remaining = pawl_lock_remaining_ms(lock);
    assert_true(remaining > 0 && remaining <= 5000 - 500); /* the margin is off (law 2) */
    uint64_t fence = pawl_lock_fence(lock);
    assert_true(fence > 0);
    pawl_lock_token(lock, &token);
    assert_int_equal(strspn(token.text, "0123456789abcdef"), PAWL_TOKEN_LEN);
    assert_int_equal(strlen(token.text), PAWL_TOKEN_LEN);
    view v = stage_view(client, name);
    assert_true(v.held);
    assert_true(v.fence == fence);
    assert_string_equal(v.owner, pawl_client_owner(client));

    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    assert_false(pawl_lock_is_held(lock));
    assert_int_equal(pawl_lock_remaining_ms(lock), 0);
    assert_true(pawl_lock_fence(lock) == fence);
    pawl_lock_token(lock, &after);
    assert_string_equal(after.text, token.text);
    stage_await_free(client, name);

    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_OK);
    assert_true(pawl_lock_fence(lock) > fence); /* law 3 */
    pawl_lock_token(lock, &after);
    assert_string_not_equal(after.text, token.text); /* law 5 */
    pawl_lock_free(lock);
    stage_await_free(client, name);
    pawl_client_close(client);
}

static void test_states_refuse_what_does_not_fit(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_release_wait(lock, 1000), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_release_start(lock, record_done, &r), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_detach(lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_cancel(lock), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_acquire_start(lock, 0, record_done, &r), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_cancel(lock), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_NOT_HELD);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(record_dones(&r), 0);
}

static void test_arguments(void **state)
{
    (void)state;
    static char long_name[PAWL_NAME_MAX + 1];
    memset(long_name, 'n', sizeof long_name);
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = NULL;
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_new(NULL, "a", 1, NULL, &lock), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_new(client, "a", 1, NULL, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_new(client, NULL, 1, NULL, &lock), PAWL_ERR_NAME);
    CHECK_ERR(pawl_lock_new(client, "a", 0, NULL, &lock), PAWL_ERR_NAME);
    CHECK_ERR(pawl_lock_new(client, "a\0b", 3, NULL, &lock), PAWL_ERR_NAME);
    CHECK_ERR(pawl_lock_new(client, long_name, PAWL_NAME_MAX + 1, NULL, &lock), PAWL_ERR_NAME);
    assert_null(lock);
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = 9;
    CHECK_ERR(pawl_lock_new(client, "a", 1, &opts, &lock), PAWL_ERR_TTL);
    assert_null(lock);

    CHECK_ERR(pawl_lock_new(client, long_name, PAWL_NAME_MAX, NULL, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, -2), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire(NULL, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_start(lock, -2, record_done, &r), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_start(lock, 0, NULL, &r), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_acquire_start(NULL, 0, record_done, &r), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_cancel(NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release(NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_wait(NULL, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_wait(lock, -2), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_release_start(lock, NULL, NULL), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_detach(NULL), PAWL_ERR_ARGUMENT);
    assert_false(pawl_lock_is_held(NULL));
    assert_int_equal(pawl_lock_remaining_ms(NULL), 0);
    assert_int_equal(pawl_lock_fence(NULL), 0);
    assert_string_equal(pawl_lock_name(NULL), "");
    assert_null(pawl_lock_free(NULL));
    assert_null(pawl_client_close(NULL));
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK); /* the longest name is good */
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_names_with_any_bytes(void **state)
{
    (void)state;
    static const char name[] = "a b\n\x01\xff\xc3\xa4{}*?[]\\%\"'";
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = lock_new(client, name, 5000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    assert_true(stage_view(client, name).held);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_busy_and_timeout(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *mine = lock_new(client, name, 5000);
    pawl_lock *sibling = lock_new(client, name, 5000);
    pawl_lock *theirs = lock_new(other, name, 5000);
    CHECK_ERR(pawl_lock_acquire(mine, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(sibling, 0), PAWL_ERR_BUSY); /* the handle owns, not the thread */
    CHECK_ERR(pawl_lock_acquire(theirs, 0), PAWL_ERR_BUSY);
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(other, message);
    assert_non_null(strstr(message, name));
    int64_t start = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire(sibling, ANSWERED_MS), PAWL_ERR_TIMEOUT);
    CHECK_ERR(pawl_lock_acquire(theirs, ANSWERED_MS), PAWL_ERR_TIMEOUT);
    int64_t span = stage_now_ms() - start;
    assert_true(span >= 2 * ANSWERED_MS - 1 && span < 10000);
    CHECK_ERR(pawl_lock_release(mine), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(sibling, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(mine);
    pawl_lock_free(sibling);
    pawl_lock_free(theirs);
    stage_await_free(client, name);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_again_and_again(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 5000);
    uint64_t fence = 0;
    for (int i = 0; i < 300; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        assert_true(pawl_lock_fence(lock) > fence);
        fence = pawl_lock_fence(lock);
        if (i % 3 == 0) CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
        if (i % 3 != 0) CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    stage_await_free(client, name);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_renewal_outlasts_the_ttl(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    enum { LIFE_MS = 2000 }; /* a busy machine may keep us from the renewal for half of it */
    pawl_lock *lock = lock_new(client, name, LIFE_MS);
    pawl_lock *theirs = lock_new(other, name, LIFE_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);
    CHECK_ERR(pawl_lock_acquire(theirs, 2 * LIFE_MS + 500), PAWL_ERR_TIMEOUT);
    assert_true(pawl_lock_is_held(lock));
    assert_true(pawl_lock_fence(lock) == fence);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_retained_lease(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.retain_ms = 60000;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    assert_false(pawl_lock_is_held(lock));
    assert_true(stage_view(client, name).held); /* by the client, for its next acquisition */
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_OK);
    assert_true(pawl_lock_fence(lock) == fence);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock *theirs = lock_new(other, name, 5000);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK); /* long before retain_ms */
    assert_true(pawl_lock_fence(theirs) > fence);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_detached_lease_lives_on(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.flags = PAWL_LOCK_DETACHED;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock), seen = 0;
    pawl_token token;
    pawl_lock_token(lock, &token);
    CHECK_ERR(pawl_lock_detach(lock), PAWL_OK);
    assert_false(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_BUSY); /* the handle is free, the name is not */
    pawl_lock_free(lock);
    pawl_client_close(client);

    client = stage_client(NULL);
    size_t len = strlen(name);
    int64_t remaining = 0;
    CHECK_ERR(pawl_token_check(client, name, len, token.text, PATIENCE_MS, &remaining), PAWL_OK);
    assert_true(remaining > 0 && remaining <= PAWL_TTL_DEFAULT_MS);
    CHECK_ERR(pawl_token_renew(client, name, len, token.text, 60000, PATIENCE_MS, &seen), PAWL_OK);
    assert_true(seen == fence);
    CHECK_ERR(pawl_token_check(client, name, len, token.text, PATIENCE_MS, &remaining), PAWL_OK);
    assert_true(remaining > PAWL_TTL_DEFAULT_MS);
    CHECK_ERR(pawl_token_release(client, name, len, token.text, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_token_release(client, name, len, token.text, PATIENCE_MS), PAWL_ERR_LOST);
    CHECK_ERR(pawl_token_renew(client, name, len, token.text, 60000, PATIENCE_MS, &seen),
              PAWL_ERR_LOST);
    CHECK_ERR(pawl_token_check(client, name, len, token.text, PATIENCE_MS, NULL), PAWL_ERR_LOST);
    stage_await_free(client, name);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_acquisition),
        cmocka_unit_test(test_states_refuse_what_does_not_fit),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_names_with_any_bytes),
        cmocka_unit_test(test_busy_and_timeout),
        cmocka_unit_test(test_again_and_again),
        cmocka_unit_test(test_renewal_outlasts_the_ttl),
        cmocka_unit_test(test_retained_lease),
        cmocka_unit_test(test_detached_lease_lives_on),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
