/* SPDX-License-Identifier: MIT */
/*
 * No memory: each allocation of a story fails once, and then it and all that follow. Whoever
 * wants something is told PAWL_ERR_NO_MEMORY or gets it; nothing else happens, nothing stays
 * behind, and with memory everything works again. The linker leads the engine's calls here
 * (--wrap, see meson.build).
 */
#include "../../../src/engine/lease.h"
#include "world.h"

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
static void expect_granted_or_no_memory(world *w)
{
    for (size_t i = 0; i < w->count; i++) {
        if (w->actions[i].kind != PAWL__ACT_REFUSED) continue;
        assert_int_equal(w->actions[i].err, PAWL_ERR_NO_MEMORY);
        assert_string_equal(w->actions[i].message, pawl_err_text(PAWL_ERR_NO_MEMORY));
    }
}

/* What the store would do: it grants all that is asked, and releases all. */
static void serve(world *w)
{
    static uint64_t fence;
    while (world_count(w, PAWL__ACT_SEND)) {
        pawl_request request = {0};
        for (size_t i = 0; !request.id; i++)
            if (w->actions[i].kind == PAWL__ACT_SEND) request = w->actions[i].request;
        assert_int_equal(world_count(w, PAWL__ACT_SEND), 1);
        if (request.verb == PAWL_VERB_ACQUIRE)
            world_grant(w, request.id, ++fence);
        else
            world_answer(w, request.id, PAWL_RELEASED);
        expect_granted_or_no_memory(w);
    }
}

static void want(world *w, pawl__want *want)
{
    world_want(w, want);
    expect_granted_or_no_memory(w);
    serve(w);
    assert_true(want->state == PAWL__WANT_HOLDING || want->state == PAWL__WANT_NONE);
}

/* Many names, each held; then one of them by another, whose label makes it need its own lease. */
static void story(world *w)
{
    static char names[NAMES][8];
    pawl__want wants[NAMES], next;
    for (int i = 0; i < NAMES; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        wants[i] = world_claim(names[i], PAWL__NEVER);
        wants[i].owner = i % 2 ? "odd" : NULL;
        want(w, &wants[i]);
    }
    next = world_claim(names[0], PAWL__NEVER);
    next.owner = "another";
    world_want(w, &next);
    expect_granted_or_no_memory(w);
    serve(w);
    world_release(w, &wants[0]); /* its lease is leaving while the next one asks */
    expect_granted_or_no_memory(w);
    for (size_t i = 0; i < w->count; i++)
        if (w->actions[i].kind == PAWL__ACT_SEND &&
            w->actions[i].request.verb == PAWL_VERB_ACQUIRE) {
            world_grant(w, w->actions[i].request.id, 1000000);
            break;
        }
    world_release(w, &next);
    for (int i = 1; i < NAMES; i++) world_release(w, &wants[i]);
    world_pass(w, 2 * TTL * MS); /* what was not answered runs out */
    assert_int_equal(pawl__engine_lease_count(w->engine), 0);
    assert_false(pawl__engine_busy(w->engine));
}

static void told_and_nothing_stays_behind(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    arm(0, false);
    story(&w);
    unsigned all = counted;
    world_close(&w);
    assert_true(all > NAMES);
    for (unsigned n = 1; n <= all; n++)
        for (int rest = 0; rest <= 1; rest++) {
            world_open(&w);
            arm(n, rest != 0);
            story(&w);
            assert_true(counted >= n);
            arm(0, false);
            story(&w); /* and with memory it goes on */
            world_close(&w);
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
