/* SPDX-License-Identifier: MIT */
/* When a driver looks again and when it sleeps: score is kept by what came in time. */
#include "base/instant.h"
#include "runtime/clock.h"
#include "runtime/spin.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#define WAITS 1000 /* many */

static pawl__spin fresh(void)
{
    pawl__spin spin;
    pawl__spin_init(&spin);
    spin.allowed = true; /* whatever this machine has */
    return spin;
}

/* A wait in which nothing comes. True if it was spun for. */
static bool wait_in_vain(pawl__spin *spin)
{
    pawl__spin_begin(spin);
    if (!pawl__spin_again(spin)) return false;
    int64_t since = pawl__now();
    while (pawl__spin_again(spin)) assert_true(pawl__now() - since < 1000 * PAWL__NS_PER_MS);
    return true;
}

/* One that ends at the first look. */
static bool wait_shortly(pawl__spin *spin)
{
    pawl__spin_begin(spin);
    bool spun = pawl__spin_again(spin);
    pawl__spin_heard(spin);
    return spun;
}

static int spun_of_many_in_vain(pawl__spin *spin)
{
    int spun = 0;
    for (int i = 0; i < WAITS; i++) spun += wait_in_vain(spin);
    return spun;
}

static void one_processor_is_needed_by_the_other_side(void **state)
{
    (void)state;
    pawl__spin spin = fresh();
    spin.allowed = false;
    assert_false(wait_in_vain(&spin));
    assert_false(wait_shortly(&spin));
}

static void a_wait_in_vain_goes_to_sleep_and_stays_there(void **state)
{
    (void)state;
    pawl__spin spin = fresh();
    assert_true(wait_in_vain(&spin));
    for (int i = 0; i < WAITS; i++) assert_false(pawl__spin_again(&spin));
}

static void score_is_lost_but_tried_now_and_then(void **state)
{
    (void)state;
    pawl__spin spin = fresh();
    int spun = spun_of_many_in_vain(&spin);
    assert_in_range(spun, 1 + WAITS / 50, WAITS / 20);
}

static void what_comes_in_time_brings_score_back(void **state)
{
    (void)state;
    pawl__spin spin = fresh();
    (void)spun_of_many_in_vain(&spin);
    int until_tried = 0;
    while (!wait_shortly(&spin)) assert_true(++until_tried < WAITS);
    for (int i = 0; i < WAITS; i++) assert_true(wait_shortly(&spin));
    /* And one that is late does not take it all. */
    assert_true(wait_in_vain(&spin));
    assert_true(wait_shortly(&spin));
}

static void what_comes_late_brings_no_score(void **state)
{
    (void)state;
    pawl__spin spin = fresh();
    for (int i = 0; i < WAITS; i++) {
        (void)wait_in_vain(&spin);
        pawl__spin_heard(&spin);
    }
    assert_false(wait_in_vain(&spin) && wait_in_vain(&spin));
}

static void a_store_that_is_slow_to_push_may_be_fast_to_answer(void **state)
{
    (void)state;
    pawl__spin spin = fresh();
    (void)spun_of_many_in_vain(&spin); /* nothing was under way: for pushes */
    spin.under_way = 1;
    assert_true(wait_shortly(&spin));
    spin.under_way = 0;
    assert_false(wait_in_vain(&spin) && wait_in_vain(&spin));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_processor_is_needed_by_the_other_side),
        cmocka_unit_test(a_wait_in_vain_goes_to_sleep_and_stays_there),
        cmocka_unit_test(score_is_lost_but_tried_now_and_then),
        cmocka_unit_test(what_comes_in_time_brings_score_back),
        cmocka_unit_test(what_comes_late_brings_no_score),
        cmocka_unit_test(a_store_that_is_slow_to_push_may_be_fast_to_answer),
    };
    return cmocka_run_group_tests_name("spin", tests, NULL, NULL);
}
