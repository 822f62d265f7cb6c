/* SPDX-License-Identifier: MIT */
/*
 * No memory: each allocation of a story fails once, and then it and all that follow. Whoever
 * wants something is told PAWL_ERR_NO_MEMORY or gets it; nothing else happens, nothing stays
 * behind, and with memory everything works again. The linker leads the engine's calls here
 * (--wrap, see meson.build).
 */
#include "../../../src/engine/lease.h"
#include "trial.h"

#include <stdio.h>
#include <stdlib.h>

static unsigned counted, fail_at;
static bool for_ever;

static bool fails(void)
{
    counted++;
    return fail_at && (counted == fail_at || (for_ever && counted > fail_at));
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *block, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *block, size_t size);

void *__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return fails() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *block, size_t size)
{
    return fails() ? NULL : __real_realloc(block, size);
}

/* From now on the n-th fails; 0: they are only counted. */
static void arm(unsigned n, bool and_all_that_follow)
{
    counted = 0;
    fail_at = n;
    for_ever = and_all_that_follow;
}

enum { NAMES = 20 }; /* more than there is room for at first: of leases, timers and names */

/* Everybody's last word of the latest step. */
static void expect_granted_or_no_memory(trial *t)
{
    for (size_t i = 0; i < t->count; i++) {
        if (t->actions[i].kind != PAWL__ACT_REFUSED) continue;
        assert_int_equal(t->actions[i].err, PAWL_ERR_NO_MEMORY);
        assert_string_equal(t->actions[i].message, pawl_err_text(PAWL_ERR_NO_MEMORY));
    }
}

/* What the store would do: it grants all that is asked, and releases all. */
static void serve(trial *t)
{
    static uint64_t fence;
    while (trial_count(t, PAWL__ACT_SEND)) {
        pawl_request request = {0};
        for (size_t i = 0; !request.id; i++)
            if (t->actions[i].kind == PAWL__ACT_SEND) request = t->actions[i].request;
        assert_int_equal(trial_count(t, PAWL__ACT_SEND), 1);
        if (request.verb == PAWL_VERB_ACQUIRE)
            trial_grant(t, request.id, ++fence);
        else
            trial_answer(t, request.id, PAWL_RELEASED);
        expect_granted_or_no_memory(t);
    }
}

static void want(trial *t, pawl__want *want)
{
    trial_want(t, want);
    expect_granted_or_no_memory(t);
    serve(t);
    assert_true(want->state == PAWL__WANT_HOLDING || want->state == PAWL__WANT_NONE);
}

/* Many names, each held; then one of them by another, whose label makes it need its own lease. */
static void story(trial *t)
{
    static char names[NAMES][8];
    pawl__want wants[NAMES], next;
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        wants[i] = trial_claim(names[i], PAWL__NEVER);
        wants[i].owner = i % 2 ? "odd" : NULL;
        want(t, &wants[i]);
    }
    next = trial_claim(names[0], PAWL__NEVER);
    next.owner = "another";
    trial_want(t, &next);
    expect_granted_or_no_memory(t);
    serve(t);
    trial_release(t, &wants[0]); /* its lease is leaving while the next one asks */
    expect_granted_or_no_memory(t);
    for (size_t i = 0; i < t->count; i++)
        if (t->actions[i].kind == PAWL__ACT_SEND &&
            t->actions[i].request.verb == PAWL_VERB_ACQUIRE) {
            trial_grant(t, t->actions[i].request.id, 1000000);
            break;
        }
    trial_release(t, &next);
    for (int i = 1; i < NAMES; i++) trial_release(t, &wants[i]);
    trial_pass(t, 2 * TTL * MS); /* what was not answered runs out */
    assert_int_equal(pawl__engine_lease_count(t->engine), 0);
    assert_false(pawl__engine_busy(t->engine));
}

static void told_and_nothing_stays_behind(void **state)
{
    (void)state;
    trial t;
    trial_open(&t);
    arm(0, false);
    story(&t);
    unsigned all = counted;
    trial_close(&t);
    assert_true(all > NAMES);
    for (unsigned n = 1; n <= all; n++)
        for (int rest = 0; rest <= 1; rest++) {
            trial_open(&t);
            arm(n, rest != 0);
            story(&t);
            assert_true(counted >= n);
            arm(0, false);
            story(&t); /* and with memory it goes on */
            trial_close(&t);
        }
}

static void no_engine_without_memory(void **state)
{
    (void)state;
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    arm(1, false);
    assert_null(pawl__engine_new(&opts));
    arm(0, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_and_nothing_stays_behind),
        cmocka_unit_test(no_engine_without_memory),
    };
    return cmocka_run_group_tests_name("engine: memory", tests, NULL, NULL);
}
