/* SPDX-License-Identifier: MIT */
/*
 * Goal: what a program may get wrong with the kinds of lock is refused with an error of its own and
 * one sentence that says what is wrong, and nothing changes: neither at the store nor what the
 * handles have.
 * Method: each case is tried by the client that holds and by another one; a report of the store
 * from before is compared with one from after.
 */
#include "pawl/composed.h"
#include "stage.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define CAPACITY 3
#define LONG_MS  60000

typedef struct pair {
    pawl_client *clients[2];
    char name[PAWL_NAME_MAX + 1];
} pair;

static void pair_begin(pair *p)
{
    pawl_caps caps;
    for (int i = 0; i < 2; i++) p->clients[i] = stage_client(NULL);
    snprintf(p->name, sizeof p->name, "%s", stage_name());
    CHECK_ERR(pawl_client_caps(p->clients[0], PATIENCE_MS, &caps), PAWL_OK);
    if (caps.modes & 1u << PAWL_MODE_PERMIT) return;
    for (int i = 0; i < 2; i++) pawl_client_close(p->clients[i]);
    skip_case("this store does not grant all modes");
}

static void pair_end(pair *p)
{
    for (int i = 0; i < 2; i++) pawl_client_close(p->clients[i]);
}

static pawl_lock *handle(pawl_client *client, const char *name, pawl_mode mode, uint32_t units,
                         uint32_t capacity)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = mode;
    opts.units = units;
    opts.capacity = capacity;
    opts.ttl_ms = LONG_MS;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

static pawl_lock *held(pawl_client *client, const char *name, pawl_mode mode, uint32_t units,
                       uint32_t capacity)
{
    pawl_lock *lock = handle(client, name, mode, units, capacity);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    return lock;
}

/* ---- What the store says ----------------------------------------------------------------------
 */

typedef struct picture {
    char text[1024];
} picture;

static bool paint(const pawl_info *info, void *userdata)
{
    picture *p = userdata;
    int at = snprintf(p->text, sizeof p->text, "held %d, %zu hold, %zu wait, capacity %" PRIu32,
                      info->held, info->holder_count, info->waiter_count, info->capacity);
    for (size_t i = 0; i < info->holders_shown; i++)
        at += snprintf(p->text + at, sizeof p->text - (size_t)at,
                       "; mode %d, %" PRIu32 " units, fence %" PRIu64, (int)info->holders[i].mode,
                       info->holders[i].units, info->holders[i].fence);
    return true;
}

static picture picture_of(pair *p)
{
    picture seen = {""};
    CHECK_ERR(pawl_inspect(p->clients[1], p->name, strlen(p->name), PATIENCE_MS, paint, &seen),
              PAWL_OK);
    return seen;
}

static void is_unchanged(pair *p, const picture *before)
{
    picture after = picture_of(p);
    assert_string_equal(after.text, before->text);
}

/* One line with this part in it. */
static void says(pawl_client *client, int err, const char *part)
{
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(client, err, reason);
    if (!strstr(reason, part) || strchr(reason, '\n'))
        FAIL_TEST("%s says \"%s\", not \"%s\"", pawl_err_name(err), reason, part);
}

/* By either client; who waits for ever is refused as well as who does not wait. */
static void none_gets_in(pair *p, pawl_mode mode, uint32_t units, uint32_t capacity, int err,
                         const char *part)
{
    picture before = picture_of(p);
    for (int i = 0; i < 4; i++) {
        pawl_lock *lock = handle(p->clients[i / 2], p->name, mode, units, capacity);
        CHECK_ERR(pawl_lock_acquire(lock, i % 2 ? 0 : PATIENCE_MS), err);
        says(p->clients[i / 2], err, part);
        assert_false(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_NOT_HELD);
        pawl_lock_free(lock);
    }
    is_unchanged(p, &before);
}

/* ---- Semaphores -------------------------------------------------------------------------------
 */

static void another_capacity_than_the_names(void **state)
{
    (void)state;
    pair p;
    pair_begin(&p);
    pawl_lock *lock = held(p.clients[0], p.name, PAWL_MODE_PERMIT, 1, CAPACITY);
    none_gets_in(&p, PAWL_MODE_PERMIT, 1, CAPACITY + 1, PAWL_ERR_CAPACITY,
                 "it has 3, asked for were 4");
    none_gets_in(&p, PAWL_MODE_PERMIT, 2, CAPACITY - 1, PAWL_ERR_CAPACITY,
                 "it has 3, asked for were 2");
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pair_end(&p);
}

static void another_family(void **state)
{
    (void)state;
    pair p;
    pair_begin(&p);
    pawl_lock *lock = held(p.clients[0], p.name, PAWL_MODE_PERMIT, 2, CAPACITY);
    for (pawl_mode mode = PAWL_MODE_EXCLUSIVE; mode <= PAWL_MODE_UPDATE; mode++)
        none_gets_in(&p, mode, 1, 0, PAWL_ERR_KIND, "in use as");
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    for (pawl_mode mode = PAWL_MODE_EXCLUSIVE; mode <= PAWL_MODE_UPDATE; mode++) {
        lock = held(p.clients[0], p.name, mode, 1, 0);
        none_gets_in(&p, PAWL_MODE_PERMIT, 1, CAPACITY, PAWL_ERR_KIND, "in use as");
        assert_true(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
        pawl_lock_free(lock);
    }
    pair_end(&p);
}

static void no_units_or_more_than_the_capacity(void **state)
{
    (void)state;
    static const uint32_t wrong[][2] = {
        {0, CAPACITY}, {CAPACITY + 1, CAPACITY}, {1, 0}, {1, PAWL_CAPACITY_MAX + 1}};
    pair p;
    pair_begin(&p);
    pawl_lock *mine = held(p.clients[0], p.name, PAWL_MODE_PERMIT, 1, CAPACITY), *lock = NULL;
    picture before = picture_of(&p);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pawl_lock_opts opts;
        pawl_lock_opts_init(&opts);
        opts.mode = PAWL_MODE_PERMIT;
        opts.units = wrong[i][0];
        opts.capacity = wrong[i][1];
        CHECK_ERR(pawl_lock_new(p.clients[1], p.name, strlen(p.name), &opts, &lock),
                  PAWL_ERR_UNITS);
        assert_null(lock);
    }
    says(p.clients[1], PAWL_ERR_UNITS, "1 to 1024 permits; a request takes 1 to all of them");
    is_unchanged(&p, &before);
    assert_true(pawl_lock_is_held(mine));
    pawl_lock_free(mine);
    pair_end(&p);
}

/* ---- Modes ------------------------------------------------------------------------------------
 */

/* The sentence names the mode that could have been upgraded. */
static void an_upgrade_of_a_shared_lock(void **state)
{
    (void)state;
    pair p;
    pair_begin(&p);
    pawl_lock *lock = held(p.clients[0], p.name, PAWL_MODE_SHARED, 1, 0);
    uint64_t fence = pawl_lock_fence(lock);
    picture before = picture_of(&p);
    for (int i = 0; i < 2; i++) {
        CHECK_ERR(pawl_lock_upgrade(lock, i ? 0 : PATIENCE_MS), PAWL_ERR_MODE);
        says(p.clients[0], PAWL_ERR_MODE, "take it in mode update");
    }
    CHECK_ERR(pawl_lock_downgrade(lock, PAWL_MODE_UPDATE), PAWL_ERR_MODE);
    is_unchanged(&p, &before);
    assert_true(pawl_lock_is_held(lock) && pawl_lock_fence(lock) == fence);
    assert_int_equal(pawl_lock_mode(lock), PAWL_MODE_SHARED);
    pawl_lock *other = held(p.clients[1], p.name, PAWL_MODE_SHARED, 1, 0); /* still beside others */
    pawl_lock_free(other);
    pawl_lock_free(lock);
    pair_end(&p);
}

static void a_reentrant_handle_that_is_never_released(void **state)
{
    (void)state;
    pair p;
    pair_begin(&p);
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.flags = PAWL_LOCK_REENTRANT;
    opts.ttl_ms = LONG_MS;
    CHECK_ERR(pawl_lock_new(p.clients[0], p.name, strlen(p.name), &opts, &lock), PAWL_OK);
    for (int i = 0; i < PAWL_REENTRY_MAX; i++)
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    uint64_t fence = pawl_lock_fence(lock);
    picture before = picture_of(&p);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_ERR_REENTRY);
    says(p.clients[0], PAWL_ERR_REENTRY, "a release is missing");
    is_unchanged(&p, &before);
    assert_true(pawl_lock_is_held(lock) && pawl_lock_fence(lock) == fence);
    for (int i = 1; i < PAWL_REENTRY_MAX; i++) CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    is_unchanged(&p, &before); /* the refused one was not counted */
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    stage_await_free(p.clients[1], p.name);
    pawl_lock_free(lock);
    pair_end(&p);
}

/* ---- Several names ----------------------------------------------------------------------------
 */

static void a_name_twice_or_65_names(void **state)
{
    (void)state;
    pair p;
    pair_begin(&p);
    char room[PAWL_NAMES_MAX + 1][PAWL_NAME_MAX + 1];
    const char *names[PAWL_NAMES_MAX + 1];
    for (int i = 0; i <= PAWL_NAMES_MAX; i++) {
        snprintf(room[i], sizeof room[i], "%.400s-%d", p.name, i);
        names[i] = room[i];
    }
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new_all(p.clients[0], names, PAWL_NAMES_MAX + 1, NULL, &lock),
              PAWL_ERR_NAMES);
    says(p.clients[0], PAWL_ERR_NAMES, "1 to 64 names, and each of them once");
    names[PAWL_NAMES_MAX - 1] = names[0];
    CHECK_ERR(pawl_lock_new_all(p.clients[0], names, PAWL_NAMES_MAX, NULL, &lock), PAWL_ERR_NAMES);
    assert_null(lock);
    for (int i = 0; i < PAWL_NAMES_MAX; i++) assert_false(stage_view(p.clients[1], names[i]).held);
    pair_end(&p);
}

/* ---- What is built on locks -------------------------------------------------------------------
 */

static void a_barrier_or_a_latch_of_0(void **state)
{
    (void)state;
    static const uint32_t parties[] = {0, PAWL_BARRIER_PARTIES_MAX + 1},
                          counts[] = {0, PAWL_LATCH_COUNT_MAX + 1};
    pair p;
    pair_begin(&p);
    pawl_barrier *barrier = NULL;
    pawl_latch *latch = NULL;
    picture before = picture_of(&p);
    for (int i = 0; i < 2; i++) {
        pawl_barrier_opts of_barrier;
        pawl_latch_opts of_latch;
        pawl_barrier_opts_init(&of_barrier);
        pawl_latch_opts_init(&of_latch);
        of_barrier.parties = parties[i];
        of_latch.count = counts[i];
        CHECK_ERR(pawl_barrier_new(p.clients[0], p.name, strlen(p.name), &of_barrier, &barrier),
                  PAWL_ERR_PARTIES);
        CHECK_ERR(pawl_latch_new(p.clients[0], p.name, strlen(p.name), &of_latch, &latch),
                  PAWL_ERR_PARTIES);
    }
    assert_true(barrier == NULL && latch == NULL);
    says(p.clients[0], PAWL_ERR_PARTIES, "a barrier has 1 to 1000 parties");
    says(p.clients[0], PAWL_ERR_PARTIES, "a latch counts from 1 to 1000000");
    is_unchanged(&p, &before);
    pair_end(&p);
}

static void note_length(const pawl_leader *leader, void *userdata)
{
    *(size_t *)userdata = leader->leads ? leader->value_len : SIZE_MAX;
}

static void a_value_above_4096_bytes(void **state)
{
    (void)state;
    static char value[PAWL_LEADER_VALUE_MAX + 1];
    size_t length = 0;
    pair p;
    pair_begin(&p);
    pawl_lock *lock = held(p.clients[0], p.name, PAWL_MODE_EXCLUSIVE, 1, 0);
    CHECK_ERR(pawl_election_proclaim(lock, value, PAWL_LEADER_VALUE_MAX, PATIENCE_MS), PAWL_OK);
    picture before = picture_of(&p);
    CHECK_ERR(pawl_election_proclaim(lock, value, sizeof value, PATIENCE_MS), PAWL_ERR_VALUE);
    says(p.clients[0], PAWL_ERR_VALUE, "at most 4096 bytes");
    is_unchanged(&p, &before);
    CHECK_ERR(pawl_election_leader(p.clients[1], p.name, strlen(p.name), PATIENCE_MS, note_length,
                                   &length),
              PAWL_OK);
    assert_int_equal(length, PAWL_LEADER_VALUE_MAX);
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pair_end(&p);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_capacity_than_the_names),
        cmocka_unit_test(another_family),
        cmocka_unit_test(no_units_or_more_than_the_capacity),
        cmocka_unit_test(an_upgrade_of_a_shared_lock),
        cmocka_unit_test(a_reentrant_handle_that_is_never_released),
        cmocka_unit_test(a_name_twice_or_65_names),
        cmocka_unit_test(a_barrier_or_a_latch_of_0),
        cmocka_unit_test(a_value_above_4096_bytes),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests_name("refused", tests, NULL, NULL);
    stage_end();
    return failed;
}
