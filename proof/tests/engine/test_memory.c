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

/* The store: it grants every request, and confirms every release. */
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
        wants[i] = want_on(names[i], PAWL__NEVER);
        wants[i].owner = i % 2 ? "odd" : NULL;
        want(t, &wants[i]);
    }
    next = want_on(names[0], PAWL__NEVER);
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

/* Requests that the store has not answered. */
static pawl_request asked[8];
static size_t asked_count;

static void note_requests(trial *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->actions[i].kind == PAWL__ACT_SEND) asked[asked_count++] = t->actions[i].request;
}

static void grant_whatever_is_asked(trial *t)
{
    static const uint16_t slots[] = {0, 1};
    static uint64_t fence = 1000000000;
    while (asked_count) {
        pawl_request request = asked[0];
        memmove(asked, asked + 1, --asked_count * sizeof asked[0]);
        pawl_reply reply = {.id = request.id, .outcome = PAWL_RELEASED};
        if (request.verb != PAWL_VERB_RELEASE) reply.outcome = PAWL_GRANTED;
        reply.fence = ++fence;
        reply.slots = slots;
        reply.slot_count = request.units;
        trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
        note_requests(t);
    }
}

static void want_in_mode(trial *t, pawl__want *want, pawl_mode mode)
{
    *want = want_on("modes", PAWL__NEVER);
    want->mode = (uint8_t)mode;
    want->waiting->units = 2;
    want->waiting->capacity = 4;
    trial_want(t, want);
    expect_granted_or_no_memory(t);
    note_requests(t);
}

static void upgrade_if_held(trial *t, pawl__want *want)
{
    if (want->state != PAWL__WANT_HOLDING) return;
    pawl__waiting *waiting = want_on("modes", PAWL__NEVER).waiting;
    trial_step(t, (pawl__event){.kind = PAWL__EV_CHANGE,
                                .want = want,
                                .mode = PAWL_MODE_EXCLUSIVE,
                                .waiting = waiting});
    if (trial_count(t, PAWL__ACT_CHANGED))
        assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_NO_MEMORY);
    note_requests(t);
}

static void release_if_held(trial *t, pawl__want *want)
{
    if (want->state == PAWL__WANT_WAITING)
        trial_cancel(t, want);
    else if (want->state == PAWL__WANT_HOLDING)
        trial_release(t, want);
    else
        return;
    note_requests(t);
    grant_whatever_is_asked(t);
}

/* All modes of one name, and more readers than there is room for at first. */
static void story_of_modes(trial *t)
{
    enum { READERS = 20 };
    pawl__want readers[READERS], updater, writer, permits;
    asked_count = 0;
    for (int i = 0; i < READERS; i++) {
        want_in_mode(t, &readers[i], PAWL_MODE_SHARED);
        if (i >= READERS / 2) grant_whatever_is_asked(t); /* the first wait together */
    }
    want_in_mode(t, &permits, PAWL_MODE_PERMIT);
    want_in_mode(t, &updater, PAWL_MODE_UPDATE);
    grant_whatever_is_asked(t);
    upgrade_if_held(t, &updater);
    grant_whatever_is_asked(t);
    want_in_mode(t, &writer, PAWL_MODE_EXCLUSIVE);
    grant_whatever_is_asked(t);
    release_if_held(t, &writer);
    release_if_held(t, &updater);
    release_if_held(t, &permits);
    for (int i = 0; i < READERS; i++) release_if_held(t, &readers[i]);
    trial_pass(t, 2 * TTL * MS);
    assert_int_equal(pawl__engine_lease_count(t->engine), 0);
}

/* Each upgrade that waits needs a timer more. */
static void story_of_upgrades(trial *t)
{
    enum { UPDATERS = 20 };
    static char names[UPDATERS][8];
    pawl__want updaters[UPDATERS];
    asked_count = 0;
    for (int i = 0; i < UPDATERS; i++) {
        snprintf(names[i], sizeof names[i], "u%d", i);
        updaters[i] = want_on(names[i], PAWL__NEVER);
        updaters[i].mode = PAWL_MODE_UPDATE;
        trial_want(t, &updaters[i]);
        expect_granted_or_no_memory(t);
        note_requests(t);
        grant_whatever_is_asked(t);
    }
    for (int i = 0; i < UPDATERS; i++) {
        upgrade_if_held(t, &updaters[i]);
        asked_count = 0; /* the store is silent */
    }
    for (int i = 0; i < UPDATERS; i++) release_if_held(t, &updaters[i]);
    trial_pass(t, 2 * TTL * MS);
    assert_int_equal(pawl__engine_lease_count(t->engine), 0);
}

typedef void (*story_fn)(trial *t);

static void play(story_fn tell)
{
    trial t;
    trial_open(&t);
    arm(0, false);
    tell(&t);
    unsigned all = counted;
    trial_close(&t);
    assert_true(all > 5);
    for (unsigned n = 1; n <= all; n++)
        for (int rest = 0; rest <= 1; rest++) {
            trial_open(&t);
            arm(n, rest != 0);
            tell(&t);
            assert_true(counted >= n);
            arm(0, false);
            tell(&t); /* and with memory it goes on */
            trial_close(&t);
        }
}

static void told_and_nothing_stays_behind(void **state)
{
    (void)state;
    play(story);
}

static void the_same_in_all_modes(void **state)
{
    (void)state;
    play(story_of_modes);
    play(story_of_upgrades);
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

/* The lease that is given back still has a timer when the next one of its name begins. */
static void check_room_with(int others)
{
    static char names[NAMES][8];
    pawl__want wants[NAMES], holder, next;
    trial t;
    trial_open(&t);
    holder = want_on("name", PAWL__NEVER);
    trial_hold(&t, &holder, 1);
    next = want_on("name", t.now + TTL * MS);
    next.owner = "another";
    trial_want(&t, &next);
    for (int i = 0; i < others; i++) {
        snprintf(names[i], sizeof names[i], "%d", i);
        wants[i] = want_on(names[i], t.now + TTL * MS);
        trial_want(&t, &wants[i]);
    }
    trial_release(&t, &holder);
    assert_true(t.engine->want_count + t.engine->lease_count <= t.engine->timers.room);
    trial_close(&t);
}

static void there_is_room_for_the_timer_of_each_want_and_lease(void **state)
{
    (void)state;
    for (int others = 0; others < NAMES; others++) check_room_with(others);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(told_and_nothing_stays_behind),
        cmocka_unit_test(the_same_in_all_modes),
        cmocka_unit_test(no_engine_without_memory),
        cmocka_unit_test(there_is_room_for_the_timer_of_each_want_and_lease),
    };
    return cmocka_run_group_tests_name("engine: memory", tests, NULL, NULL);
}
