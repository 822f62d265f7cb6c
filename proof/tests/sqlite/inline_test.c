/* SPDX-License-Identifier: MIT */
/* A host with one thread: when the store does without a thread of its own, and when it has one. */
#define _GNU_SOURCE
#include "stores/sqlite/sqlite_store.h"
/* its names come before the hosts a and b */
#include "place.h"

#define ROUNDS 200 /* on a busy machine some take so long that a thread is right */

static int begin(void **state)
{
    host_works_inline = true;
    return setup(state);
}

static int end(void **state)
{
    host_works_inline = false;
    return teardown(state);
}

/* Opens, does it, closes. Whether the store had no thread at the end. */
static bool goes_without(void (*work)(void))
{
    host_open(&a, path);
    work();
    bool without = pawl__sqlite_is_inline(a.store);
    host_close(&a);
    return without;
}

static void one_after_the_other(void)
{
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(acquire(&a, "n", i).outcome, PAWL_GRANTED);
        assert_int_equal(release(&a, "n", i).outcome, PAWL_RELEASED);
    }
}

static void two_at_once(void)
{
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "m", 2).outcome, PAWL_GRANTED);
}

static void a_renewal(void)
{
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
}

static void a_query(void)
{
    assert_false(inspect(&a, "n", NULL).held);
}

static void a_wait(void)
{
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_QUEUED);
}

static void a_while(void)
{
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    host_await_inbox(&a, path); /* the thread makes it */
}

/* ---- Tests --------------------------------------------------------------------- */

static void test_short_work_needs_no_thread(void **state)
{
    int round = 0;
    (void)state;
    while (!goes_without(one_after_the_other)) assert_true(++round < ROUNDS);
}

/* While a lease is held, the host's thread never waits for a disk. */
static void test_other_work_has_a_thread(void **state)
{
    static void (*const works[])(void) = {two_at_once, a_renewal, a_query, a_wait, a_while};
    (void)state;
    for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
        assert_false(goes_without(works[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_short_work_needs_no_thread, begin, end),
        cmocka_unit_test_setup_teardown(test_other_work_has_a_thread, begin, end),
    };
    return cmocka_run_group_tests_name("sqlite inline", tests, NULL, NULL);
}
