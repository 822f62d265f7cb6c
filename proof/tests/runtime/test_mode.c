/* SPDX-License-Identifier: MIT */
/* Goal: shared, update, exclusive and permits do what pawl.h says, on every store that has them. */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static pawl_lock *lock_in(pawl_client *client, const char *name, pawl_mode mode)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = mode;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

static pawl_lock *permits(pawl_client *client, const char *name, uint32_t units, uint32_t capacity)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_PERMIT;
    opts.units = units;
    opts.capacity = capacity;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

/* A client of a store that grants the modes; the case is skipped, loudly, on others. */
static pawl_client *client_with_modes(void)
{
    pawl_client *client = stage_client(NULL);
    pawl_caps caps;
    CHECK_ERR(pawl_client_caps(client, PATIENCE_MS, &caps), PAWL_OK);
    if (caps.modes & 1u << PAWL_MODE_PERMIT) return client;
    pawl_client_close(client);
    skip_case("this store does not grant all modes");
}

static void acquired(pawl_lock *lock)
{
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_is_held(lock));
}

/* ---- Readers and writers --------------------------------------------------------------------- */

static void readers_of_one_client_share_a_lease_those_of_two_do_not(void **state)
{
    (void)state;
    pawl_client *a = client_with_modes(), *b = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *one = lock_in(a, name, PAWL_MODE_SHARED), *two = lock_in(a, name, PAWL_MODE_SHARED),
              *other = lock_in(b, name, PAWL_MODE_SHARED);
    acquired(one);
    acquired(two);
    acquired(other);
    assert_int_equal(pawl_lock_mode(one), PAWL_MODE_SHARED);
    assert_true(pawl_lock_fence(one) == pawl_lock_fence(two));
    assert_true(pawl_lock_fence(other) > pawl_lock_fence(one));
    pawl_lock *writer = lock_in(b, name, PAWL_MODE_EXCLUSIVE);
    CHECK_ERR(pawl_lock_acquire(writer, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_release(other), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(one, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_is_held(two));
    CHECK_ERR(pawl_lock_acquire(writer, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_release_wait(two, PATIENCE_MS), PAWL_OK);
    acquired(writer);
    assert_true(pawl_lock_fence(writer) > pawl_lock_fence(other));
    CHECK_ERR(pawl_lock_acquire(one, 0), PAWL_ERR_BUSY);
    pawl_lock *const all[] = {one, two, other, writer};
    for (int i = 0; i < 4; i++) pawl_lock_free(all[i]);
    pawl_client_close(a);
    pawl_client_close(b);
}

static void a_writer_that_waits_goes_before_later_readers(void **state)
{
    (void)state;
    record writes, reads;
    record_init(&writes);
    record_init(&reads);
    pawl_client *a = client_with_modes(), *b = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *reader = lock_in(a, name, PAWL_MODE_SHARED),
              *writer = lock_in(b, name, PAWL_MODE_EXCLUSIVE),
              *late = lock_in(b, name, PAWL_MODE_SHARED);
    acquired(reader);
    CHECK_ERR(pawl_lock_acquire_start(writer, PAWL_WAIT_FOREVER, record_done, &writes), PAWL_OK);
    stage_await_waiters(a, name, 1);
    CHECK_ERR(pawl_lock_acquire_start(late, PAWL_WAIT_FOREVER, record_done, &reads), PAWL_OK);
    stage_await_waiters(a, name, 2);
    CHECK_ERR(pawl_lock_release(reader), PAWL_OK);
    record_await_done(&writes, 1);
    CHECK_ERR(writes.done_err, PAWL_OK);
    assert_int_equal(record_dones(&reads), 0);
    CHECK_ERR(pawl_lock_release(writer), PAWL_OK);
    record_await_done(&reads, 1);
    CHECK_ERR(reads.done_err, PAWL_OK);
    pawl_lock_free(reader);
    pawl_lock_free(writer);
    pawl_lock_free(late);
    pawl_client_close(a);
    pawl_client_close(b);
}

/* ---- Changes ------------------------------------------------------------------------------- */

static void an_upgrade_waits_for_readers_and_draws_a_fence(void **state)
{
    (void)state;
    record upgrade;
    record_init(&upgrade);
    pawl_client *a = client_with_modes(), *b = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *updater = lock_in(a, name, PAWL_MODE_UPDATE),
              *reader = lock_in(b, name, PAWL_MODE_SHARED);
    CHECK_ERR(pawl_lock_upgrade(updater, 0), PAWL_ERR_NOT_HELD);
    acquired(reader);
    acquired(updater);
    uint64_t before = pawl_lock_fence(updater);
    CHECK_ERR(pawl_lock_upgrade(updater, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_upgrade(updater, ANSWERED_MS), PAWL_ERR_TIMEOUT);
    assert_int_equal(pawl_lock_mode(updater), PAWL_MODE_UPDATE);
    assert_true(pawl_lock_is_held(updater));
    CHECK_ERR(pawl_lock_upgrade_start(updater, PAWL_WAIT_FOREVER, record_done, &upgrade), PAWL_OK);
    CHECK_ERR(pawl_lock_upgrade(updater, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_cancel(updater), PAWL_OK);
    record_await_done(&upgrade, 1);
    CHECK_ERR(upgrade.done_err, PAWL_ERR_CANCELED);
    CHECK_ERR(pawl_lock_upgrade_start(updater, PAWL_WAIT_FOREVER, record_done, &upgrade), PAWL_OK);
    CHECK_ERR(pawl_lock_release(reader), PAWL_OK);
    record_await_done(&upgrade, 2);
    CHECK_ERR(upgrade.done_err, PAWL_OK);
    assert_int_equal(pawl_lock_mode(updater), PAWL_MODE_EXCLUSIVE);
    assert_true(pawl_lock_fence(updater) > before);
    CHECK_ERR(pawl_lock_acquire(reader, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_upgrade(updater, 0), PAWL_OK); /* it is exclusive */
    CHECK_ERR(pawl_lock_upgrade_start(updater, 0, record_done, &upgrade), PAWL_OK);
    record_await_done(&upgrade, 3);
    CHECK_ERR(upgrade.done_err, PAWL_OK);
    CHECK_ERR(pawl_lock_downgrade(updater, PAWL_MODE_UPDATE), PAWL_OK);
    acquired(reader);
    CHECK_ERR(pawl_lock_downgrade(updater, PAWL_MODE_SHARED), PAWL_OK);
    CHECK_ERR(pawl_lock_upgrade(updater, 0), PAWL_ERR_MODE);
    CHECK_ERR(pawl_lock_downgrade(updater, PAWL_MODE_EXCLUSIVE), PAWL_ERR_MODE);
    CHECK_ERR(pawl_lock_release_wait(updater, PATIENCE_MS), PAWL_OK);
    acquired(updater);
    assert_int_equal(pawl_lock_mode(updater), PAWL_MODE_UPDATE); /* what the handle asks for */
    pawl_lock_free(updater);
    pawl_lock_free(reader);
    pawl_client_close(a);
    pawl_client_close(b);
}

static void a_release_or_a_downgrade_ends_an_upgrade(void **state)
{
    (void)state;
    record upgrade;
    record_init(&upgrade);
    pawl_client *a = client_with_modes(), *b = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *updater = lock_in(a, name, PAWL_MODE_UPDATE),
              *reader = lock_in(b, name, PAWL_MODE_SHARED);
    acquired(reader);
    acquired(updater);
    CHECK_ERR(pawl_lock_upgrade_start(updater, PAWL_WAIT_FOREVER, record_done, &upgrade), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(updater, PATIENCE_MS), PAWL_OK);
    record_await_done(&upgrade, 1);
    CHECK_ERR(upgrade.done_err, PAWL_ERR_CANCELED);
    acquired(updater);
    CHECK_ERR(pawl_lock_upgrade_start(updater, PAWL_WAIT_FOREVER, record_done, &upgrade), PAWL_OK);
    CHECK_ERR(pawl_lock_downgrade(updater, PAWL_MODE_SHARED), PAWL_OK);
    record_await_done(&upgrade, 2);
    CHECK_ERR(upgrade.done_err, PAWL_ERR_CANCELED);
    assert_int_equal(pawl_lock_mode(updater), PAWL_MODE_SHARED);
    CHECK_ERR(pawl_lock_release(reader), PAWL_OK);
    acquired(reader);
    pawl_lock_free(updater);
    pawl_lock_free(reader);
    pawl_client_close(a);
    pawl_client_close(b);
}

/* Else its next acquisition would hold the weaker mode. */
static void a_lease_that_was_downgraded_is_not_retained(void **state)
{
    (void)state;
    pawl_client *a = client_with_modes(), *b = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock_opts opts;
    pawl_lock *lock, *reader = lock_in(b, name, PAWL_MODE_SHARED);
    pawl_lock_opts_init(&opts);
    opts.retain_ms = PATIENCE_MS;
    CHECK_ERR(pawl_lock_new(a, name, strlen(name), &opts, &lock), PAWL_OK);
    acquired(lock);
    CHECK_ERR(pawl_lock_downgrade(lock, PAWL_MODE_SHARED), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    acquired(lock);
    assert_int_equal(pawl_lock_mode(lock), PAWL_MODE_EXCLUSIVE);
    CHECK_ERR(pawl_lock_acquire(reader, 0), PAWL_ERR_BUSY);
    pawl_lock_free(lock);
    pawl_lock_free(reader);
    pawl_client_close(a);
    pawl_client_close(b);
}

static pawl_lock *retained_in(pawl_client *client, const char *name, pawl_mode mode)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = mode;
    opts.retain_ms = 10 * PATIENCE_MS;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

/* Nobody holds the name: not even who does not wait is kept out by what its own client retains. */
static void a_retained_lease_does_not_keep_out_its_own_client(void **state)
{
    static const pawl_mode kept[] = {PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE, PAWL_MODE_UPDATE};
    static const pawl_mode asked[] = {PAWL_MODE_EXCLUSIVE, PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE};
    (void)state;
    pawl_client *client = client_with_modes();
    for (int i = 0; i < 3; i++) {
        const char *name = stage_name();
        pawl_lock *lock = retained_in(client, name, kept[i]),
                  *other = lock_in(client, name, asked[i]);
        acquired(lock);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(other, 0), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_BUSY); /* now somebody holds it */
        CHECK_ERR(pawl_lock_release_wait(other, PATIENCE_MS), PAWL_OK);
        pawl_lock_free(lock);
        pawl_lock_free(other);
    }
    pawl_client_close(client);
}

/* Redis is told a script's text at its first use only, and then what is asked behind it overtakes.
 */
static void a_reader_came_and_went(pawl_client *client)
{
    pawl_lock *lock = lock_in(client, stage_name(), PAWL_MODE_SHARED);
    acquired(lock);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
}

static void retained_readers_do_not_hold_up_an_upgrade_of_their_client(void **state)
{
    (void)state;
    pawl_client *client = client_with_modes();
    a_reader_came_and_went(client);
    const char *name = stage_name();
    pawl_lock *reader = retained_in(client, name, PAWL_MODE_SHARED),
              *other = retained_in(client, name, PAWL_MODE_SHARED),
              *editor = lock_in(client, name, PAWL_MODE_UPDATE);
    acquired(reader);
    acquired(other);
    acquired(editor);
    CHECK_ERR(pawl_lock_release(other), PAWL_OK);
    CHECK_ERR(pawl_lock_upgrade(editor, 0), PAWL_ERR_BUSY); /* one still reads */
    CHECK_ERR(pawl_lock_release(reader), PAWL_OK);
    CHECK_ERR(pawl_lock_upgrade(editor, 0), PAWL_OK);
    pawl_lock_free(reader);
    pawl_lock_free(other);
    pawl_lock_free(editor);
    pawl_client_close(client);
}

/*
 * Two readers share a lease, so the store hears of one release: when the second one lets go. Who
 * asks behind that, even without waiting, comes behind it at the store, too.
 */
static void the_last_of_several_readers_is_in_nobody_s_way(void **state)
{
    (void)state;
    pawl_client *client = client_with_modes();
    a_reader_came_and_went(client);
    pawl_lock *keeper = retained_in(client, stage_name(), PAWL_MODE_EXCLUSIVE);
    for (int i = 0; i < 50; i++) {
        const char *name = stage_name();
        pawl_lock *first = lock_in(client, name, PAWL_MODE_SHARED),
                  *second = lock_in(client, name, PAWL_MODE_SHARED),
                  *writer = lock_in(client, name, PAWL_MODE_EXCLUSIVE);
        acquired(first);
        acquired(second);
        CHECK_ERR(pawl_lock_release(i % 2 ? first : second), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(writer, 0), PAWL_ERR_BUSY);
        CHECK_ERR(pawl_lock_release(i % 2 ? second : first), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(writer, 0), PAWL_OK);
        pawl_lock_free(first);
        pawl_lock_free(second);
        pawl_lock_free(writer);
    }
    pawl_lock_free(keeper);
    pawl_client_close(client);
}

/* ---- Permits --------------------------------------------------------------------------------- */

static void permits_have_slots(void **state)
{
    (void)state;
    pawl_client *a = client_with_modes(), *b = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *one = permits(a, name, 1, 3), *two = permits(b, name, 2, 3),
              *third = permits(a, name, 1, 3);
    uint16_t slots[4] = {9, 9, 9, 9};
    assert_int_equal(pawl_lock_slots(one, slots, 4), 0);
    acquired(one);
    acquired(two);
    assert_int_equal(pawl_lock_slots(one, slots, 4), 1);
    assert_int_equal(slots[0], 0);
    assert_int_equal(pawl_lock_slots(two, slots, 4), 2);
    assert_int_equal(slots[0], 1);
    assert_int_equal(slots[1], 2);
    assert_int_equal(slots[2], 9);
    CHECK_ERR(pawl_lock_acquire(third, 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_upgrade(one, 0), PAWL_ERR_MODE);
    CHECK_ERR(pawl_lock_release(one), PAWL_OK);
    acquired(third);
    assert_int_equal(pawl_lock_slots(third, slots, 4), 1);
    assert_int_equal(slots[0], 0);
    pawl_lock *wrong = permits(b, name, 1, 4), *other = lock_in(b, name, PAWL_MODE_SHARED);
    CHECK_ERR(pawl_lock_acquire(wrong, PATIENCE_MS), PAWL_ERR_CAPACITY);
    CHECK_ERR(pawl_lock_acquire(other, PATIENCE_MS), PAWL_ERR_KIND);
    pawl_lock *const all[] = {one, two, third, wrong, other};
    for (int i = 0; i < 5; i++) pawl_lock_free(all[i]);
    pawl_client_close(a);
    pawl_client_close(b);
}

/* The caller gets copies of all that a report points to: the store's own are freed by then. */
static bool two_readers_hold(const pawl_info *info, void *userdata)
{
    const char *const *owners = userdata;
    assert_int_equal(info->holder_count, 2);
    assert_int_equal(info->holders_shown, 2);
    for (int i = 0; i < 2; i++) {
        assert_string_equal(info->holders[i].owner, owners[i]);
        assert_int_equal(info->holders[i].mode, PAWL_MODE_SHARED);
        assert_true(info->holders[i].remaining_ms > 0);
    }
    assert_true(info->holders[0].fence < info->holders[1].fence);
    return true;
}

static void a_report_lists_the_holders(void **state)
{
    (void)state;
    pawl_client *a = client_with_modes();
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.owner = "another reader";
    pawl_client *b = stage_client(&opts);
    const char *name = stage_name();
    pawl_lock *one = lock_in(a, name, PAWL_MODE_SHARED), *two = lock_in(b, name, PAWL_MODE_SHARED);
    acquired(one);
    acquired(two);
    const char *owners[] = {pawl_client_owner(a), "another reader"};
    CHECK_ERR(pawl_inspect(a, name, strlen(name), PATIENCE_MS, two_readers_hold, owners), PAWL_OK);
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_client_close(a);
    pawl_client_close(b);
}

/* Also where a store has one mode and does not list its one holder. */
static bool one_holds(const pawl_info *info, void *userdata)
{
    assert_int_equal(info->holder_count, 1);
    assert_int_equal(info->holders_shown, 1);
    assert_string_equal(info->holders[0].owner, info->owner);
    assert_true(info->holders[0].fence == *(uint64_t *)userdata);
    assert_int_equal(info->holders[0].mode, PAWL_MODE_EXCLUSIVE);
    return true;
}

static void a_report_lists_an_exclusive_holder(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_in(client, name, PAWL_MODE_EXCLUSIVE);
    acquired(lock);
    uint64_t fence = pawl_lock_fence(lock);
    CHECK_ERR(pawl_inspect(client, name, strlen(name), PATIENCE_MS, one_holds, &fence), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void what_does_not_fit_together_is_refused(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    static const struct {
        pawl_mode mode;
        uint32_t units, capacity;
        int err;
    } wrong[] = {{PAWL_MODE_PERMIT, 1, 0, PAWL_ERR_UNITS},
                 {PAWL_MODE_PERMIT, 0, 4, PAWL_ERR_UNITS},
                 {PAWL_MODE_PERMIT, 5, 4, PAWL_ERR_UNITS},
                 {PAWL_MODE_PERMIT, 1, PAWL_CAPACITY_MAX + 1, PAWL_ERR_UNITS},
                 {PAWL_MODE_SHARED, 1, 4, PAWL_ERR_UNITS},
                 {PAWL_MODE_EXCLUSIVE, 2, 0, PAWL_ERR_UNITS},
                 {(pawl_mode)4, 1, 0, PAWL_ERR_UNSUPPORTED}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        pawl_lock_opts opts;
        pawl_lock *lock = NULL;
        pawl_lock_opts_init(&opts);
        opts.mode = wrong[i].mode;
        opts.units = wrong[i].units;
        opts.capacity = wrong[i].capacity;
        CHECK_ERR(pawl_lock_new(client, "x", 1, &opts, &lock), wrong[i].err);
        assert_null(lock);
    }
    assert_int_equal(pawl_lock_slots(NULL, NULL, 0), 0);
    CHECK_ERR(pawl_lock_upgrade(NULL, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_lock_downgrade(NULL, PAWL_MODE_SHARED), PAWL_ERR_ARGUMENT);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(readers_of_one_client_share_a_lease_those_of_two_do_not),
        cmocka_unit_test(a_writer_that_waits_goes_before_later_readers),
        cmocka_unit_test(an_upgrade_waits_for_readers_and_draws_a_fence),
        cmocka_unit_test(a_release_or_a_downgrade_ends_an_upgrade),
        cmocka_unit_test(a_lease_that_was_downgraded_is_not_retained),
        cmocka_unit_test(a_retained_lease_does_not_keep_out_its_own_client),
        cmocka_unit_test(retained_readers_do_not_hold_up_an_upgrade_of_their_client),
        cmocka_unit_test(the_last_of_several_readers_is_in_nobody_s_way),
        cmocka_unit_test(permits_have_slots),
        cmocka_unit_test(a_report_lists_the_holders),
        cmocka_unit_test(a_report_lists_an_exclusive_holder),
        cmocka_unit_test(what_does_not_fit_together_is_refused),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
