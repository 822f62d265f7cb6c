/* SPDX-License-Identifier: MIT */
/* A link that is down: what of it is news, and how long it waits before it tries again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <string.h>

#include <cmocka.h>

#include "base/instant.h"
#include "base/retry.h"

static void assert_pause(pawl__retry *retry, pawl_err err, int64_t middle_ms)
{
    uint64_t random = 7;
    int64_t pause_ms = pawl__retry_pause(retry, err, &random);
    assert_in_range(pause_ms, middle_ms * 3 / 4, middle_ms * 5 / 4);
}

static void a_pause_doubles_up_to_its_end(void **state)
{
    (void)state;
    pawl__retry retry;
    pawl__retry_init(&retry);
    for (int64_t ms = PAWL__RETRY_MIN_MS; ms < PAWL__RETRY_MAX_MS; ms *= 2)
        assert_pause(&retry, PAWL_ERR_UNAVAILABLE, ms);
    for (int i = 0; i < 3; i++) assert_pause(&retry, PAWL_ERR_UNAVAILABLE, PAWL__RETRY_MAX_MS);
}

static void what_only_a_person_can_change_is_asked_for_slowly(void **state)
{
    (void)state;
    static const pawl_err refusals[] = {PAWL_ERR_AUTH, PAWL_ERR_PERMISSION, PAWL_ERR_URL};
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        pawl__retry retry;
        pawl__retry_init(&retry);
        assert_true(pawl__retry_is_refusal(refusals[i]));
        assert_pause(&retry, refusals[i], PAWL__RETRY_MAX_MS);
        assert_pause(&retry, PAWL_ERR_UNAVAILABLE,
                     PAWL__RETRY_MAX_MS); /* and so does what follows */
    }
    assert_false(pawl__retry_is_refusal(PAWL_ERR_UNAVAILABLE));
    assert_false(pawl__retry_is_refusal(PAWL_OK));
}

static void only_who_stayed_up_begins_anew(void **state)
{
    (void)state;
    const int64_t long_ns = PAWL__RETRY_MAX_MS * PAWL__NS_PER_MS;
    pawl__retry retry;
    pawl__retry_init(&retry);
    for (int i = 0; i < 10; i++) assert_pause(&retry, PAWL_ERR_AUTH, PAWL__RETRY_MAX_MS);
    pawl__retry_lost(&retry, long_ns - 1);
    assert_pause(&retry, PAWL_ERR_UNAVAILABLE, PAWL__RETRY_MAX_MS);
    pawl__retry_lost(&retry, long_ns);
    assert_pause(&retry, PAWL_ERR_UNAVAILABLE, PAWL__RETRY_MIN_MS);
}

static void two_clients_do_not_come_back_together(void **state)
{
    (void)state;
    uint64_t one = 1, other = 2;
    pawl__retry retry = {.pause_ms = PAWL__RETRY_MAX_MS};
    assert_int_not_equal(pawl__retry_pause(&retry, PAWL_ERR_UNAVAILABLE, &one),
                         pawl__retry_pause(&retry, PAWL_ERR_UNAVAILABLE, &other));
}

static void a_seed_differs_by_clock_store_and_client(void **state)
{
    (void)state;
    static const char stores[2];
    uint64_t seed = pawl__retry_seed(1, &stores[0], "00ff");
    assert_true(seed == pawl__retry_seed(1, &stores[0], "00ff"));
    assert_true(seed != pawl__retry_seed(2, &stores[0], "00ff"));
    assert_true(seed != pawl__retry_seed(1, &stores[1], "00ff"));
    assert_true(seed != pawl__retry_seed(1, &stores[0], "00fe"));
}

static void the_same_failure_again_is_no_news(void **state)
{
    (void)state;
    const bool was_up = true, was_down = false;
    pawl__retry retry;
    pawl__retry_init(&retry);
    assert_true(pawl__retry_is_news(&retry, was_down, PAWL_ERR_UNAVAILABLE, "a: refused"));
    assert_false(pawl__retry_is_news(&retry, was_down, PAWL_ERR_UNAVAILABLE, "a: refused"));
    assert_true(pawl__retry_is_news(&retry, was_down, PAWL_ERR_UNAVAILABLE, "a: no route"));
    assert_true(pawl__retry_is_news(&retry, was_down, PAWL_ERR_AUTH, "a: no route"));
    assert_false(pawl__retry_is_news(&retry, was_down, PAWL_ERR_AUTH, "a: no route"));
    pawl__retry_up(&retry);
    assert_true(pawl__retry_is_news(&retry, was_up, PAWL_ERR_AUTH, "a: no route"));
    /* The attempt after a loss is news of its own: it tells that the server is still away. */
    assert_true(pawl__retry_is_news(&retry, was_down, PAWL_ERR_AUTH, "a: no route"));
}

static void what_is_remembered_of_a_long_message_is_cut(void **state)
{
    (void)state;
    pawl__retry retry = {0};
    char message[PAWL_MESSAGE_MAX + 20];
    memset(message, 'x', sizeof message - 1);
    message[sizeof message - 1] = '\0';
    assert_true(pawl__retry_is_news(&retry, true, PAWL_ERR_UNAVAILABLE, message));
    assert_int_equal(retry.told_message[PAWL_MESSAGE_MAX - 1], '\0');
    assert_int_equal(strlen(retry.told_message), PAWL_MESSAGE_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pause_doubles_up_to_its_end),
        cmocka_unit_test(what_only_a_person_can_change_is_asked_for_slowly),
        cmocka_unit_test(only_who_stayed_up_begins_anew),
        cmocka_unit_test(two_clients_do_not_come_back_together),
        cmocka_unit_test(a_seed_differs_by_clock_store_and_client),
        cmocka_unit_test(the_same_failure_again_is_no_news),
        cmocka_unit_test(what_is_remembered_of_a_long_message_is_cut),
    };
    return cmocka_run_group_tests_name("retry", tests, NULL, NULL);
}
