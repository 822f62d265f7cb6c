/* SPDX-License-Identifier: MIT */
/* Goal: a barrier lets so many through together, as pawl/composed.h says, on every store. */
#include "pawl/composed.h"
#include "redis_server.h"
#include "stage.h"
#include "told.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define GIVES_UP_MS ANSWERED_MS
#define SEEN_MS     2000 /* who waits looks after a second, and then misses whom it has seen */

static pawl_barrier *barrier_of(pawl_client *client, const char *name, uint32_t parties)
{
    pawl_barrier_opts opts;
    pawl_barrier *barrier;
    pawl_barrier_opts_init(&opts);
    opts.parties = parties;
    CHECK_ERR(pawl_barrier_new(client, name, strlen(name), &opts, &barrier), PAWL_OK);
    return barrier;
}

/* A party of which only the permit is there. */
static pawl_lock *permit_of(pawl_client *client, const char *name, uint32_t parties)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_PERMIT;
    opts.capacity = parties;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    return lock;
}

static bool counts_holders(const pawl_info *info, void *userdata)
{
    *(size_t *)userdata = info->holder_count;
    return true;
}

static void await_holders(pawl_client *client, const char *name, size_t wanted)
{
    for (int64_t start = stage_now_ms();;) {
        size_t count = 0;
        CHECK_ERR(pawl_inspect(client, name, strlen(name), PATIENCE_MS, counts_holders, &count),
                  PAWL_OK);
        if (count == wanted) return;
        assert_true(stage_now_ms() - start < PATIENCE_MS);
    }
}

/* Somebody has read the value, and so seen who is there: it is told of what is published. */
static void start(pawl_barrier *barrier, record *r)
{
    CHECK_ERR(pawl_barrier_wait_start(barrier, PAWL_WAIT_FOREVER, record_done, r), PAWL_OK);
}

static void all_go_through_together_round_after_round(void **state)
{
    enum { PARTIES = 3, ROUNDS = 3 };
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_barrier *parties[PARTIES];
    for (int i = 0; i < PARTIES; i++)
        parties[i] = barrier_of(i % 2 ? other : client, name, PARTIES);
    for (int round = 1; round <= ROUNDS; round++) {
        for (int i = 0; i < PARTIES - 1; i++) start(parties[i], &r);
        CHECK_ERR(pawl_barrier_wait(parties[0], 0), PAWL_ERR_STATE);
        await_holders(client, name, PARTIES - 1);
        assert_int_equal(record_dones(&r), (round - 1) * (PARTIES - 1));
        CHECK_ERR(pawl_barrier_wait(parties[PARTIES - 1], PATIENCE_MS), PAWL_OK);
        record_await_done(&r, round * (PARTIES - 1));
        assert_int_equal(r.done_err, PAWL_OK);
        for (int i = 0; i < PARTIES; i++)
            assert_int_equal(pawl_barrier_generation(parties[i]), round);
    }
    await_holders(client, name, 0);
    for (int i = 0; i < PARTIES; i++) pawl_barrier_free(parties[i]);
    pawl_client_close(other);
    pawl_client_close(client);
}

static void many_at_once_go_through(void **state)
{
    enum { PARTIES = 12 };
    (void)state;
    record r;
    record_init(&r);
    pawl_client *clients[2] = {stage_client(NULL), stage_client(NULL)};
    const char *name = stage_name();
    pawl_barrier *parties[PARTIES];
    for (int i = 0; i < PARTIES; i++) {
        parties[i] = barrier_of(clients[i % 2], name, PARTIES);
        start(parties[i], &r);
    }
    record_await_done(&r, PARTIES);
    for (int i = 0; i < PARTIES; i++) {
        assert_int_equal(pawl_barrier_generation(parties[i]), 1);
        pawl_barrier_free(parties[i]);
    }
    pawl_client_close(clients[0]);
    pawl_client_close(clients[1]);
}

/* It still has its permit when the next round gathers. */
static void a_late_one_of_the_last_round_is_not_counted_in_the_next(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *late = permit_of(client, name, 2);
    pawl_barrier *a = barrier_of(client, name, 2), *b = barrier_of(client, name, 2);
    CHECK_ERR(pawl_barrier_wait(a, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_barrier_generation(a), 1);
    CHECK_ERR(pawl_barrier_wait(a, GIVES_UP_MS), PAWL_ERR_TIMEOUT);
    start(a, &r);
    await_holders(client, name, 2);
    start(b, &r); /* it queues behind the late one */
    stage_await_waiters(client, name, 1);
    assert_int_equal(record_dones(&r), 0);
    CHECK_ERR(pawl_lock_release(late), PAWL_OK);
    record_await_done(&r, 2);
    assert_int_equal(r.done_err, PAWL_OK);
    assert_int_equal(pawl_barrier_generation(a), 2);
    assert_int_equal(pawl_barrier_generation(b), 2);
    pawl_barrier_free(a);
    pawl_barrier_free(b);
    pawl_lock_free(late);
    pawl_client_close(client);
}

static void who_gives_up_breaks_it_for_the_others(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_barrier *a = barrier_of(client, name, 3), *b = barrier_of(other, name, 3);
    start(a, &r);
    await_holders(client, name, 1);
    CHECK_ERR(pawl_barrier_wait(b, SEEN_MS), PAWL_ERR_TIMEOUT);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_BROKEN);
    await_holders(client, name, 0);
    /* The next round is whole. */
    pawl_lock *one = permit_of(client, name, 3), *two = permit_of(client, name, 3);
    CHECK_ERR(pawl_barrier_wait(b, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_barrier_generation(b), 1);
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_barrier_free(a);
    pawl_barrier_free(b);
    pawl_client_close(other);
    pawl_client_close(client);
}

/* Who is canceled before it knows that it is there leaves as if it had never come. */
static void who_is_canceled_breaks_it_for_the_others(void **state)
{
    (void)state;
    record of_a, of_b;
    told by_other;
    record_init(&of_a);
    record_init(&of_b);
    told_init(&by_other);
    pawl_client *client = stage_client(NULL), *other = told_client(&by_other);
    const char *name = stage_name();
    pawl_barrier *a = barrier_of(client, name, 3), *b = barrier_of(other, name, 3);
    CHECK_ERR(pawl_barrier_cancel(a), PAWL_ERR_STATE);
    CHECK_ERR(pawl_barrier_cancel(NULL), PAWL_ERR_ARGUMENT);
    start(a, &of_a);
    start(b, &of_b);
    await_holders(client, name, 2);
    (void)told_await(&by_other, PAWL_TRACE_ACQUIRED, name, 1);
    CHECK_ERR(pawl_barrier_cancel(b), PAWL_OK);
    record_await_done(&of_b, 1);
    assert_int_equal(of_b.done_err, PAWL_ERR_CANCELED);
    record_await_done(&of_a, 1);
    assert_int_equal(of_a.done_err, PAWL_ERR_BROKEN);
    /* The next round is whole. */
    pawl_lock *one = permit_of(client, name, 3), *two = permit_of(client, name, 3);
    CHECK_ERR(pawl_barrier_wait(b, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_barrier_free(a);
    pawl_barrier_free(b);
    pawl_client_close(other);
    pawl_client_close(client);
    told_free(&by_other);
}

/* No message comes: those who saw it look again, and find it gone. */
static void one_that_dies_breaks_it_for_those_who_saw_it(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_barrier *a = barrier_of(client, name, 3);
    pawl_lock *dies = permit_of(client, name, 3);
    start(a, &r);
    await_holders(client, name, 2);
    stage_pass(GIVES_UP_MS); /* a has looked */
    pawl_lock_free(dies);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_BROKEN);
    pawl_barrier_free(a);
    pawl_client_close(client);
}

static void one_whose_lease_is_taken_is_told(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_barrier *a = barrier_of(client, name, 2);
    start(a, &r);
    await_holders(client, name, 1);
    CHECK_ERR(pawl_break(other, name, strlen(name), stage_view(other, name).fence, PATIENCE_MS),
              PAWL_OK);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_LOST);
    pawl_barrier_free(a);
    pawl_client_close(other);
    pawl_client_close(client);
}

static void begins_with(pawl_barrier *barrier, pawl_lock *beside, uint64_t generation)
{
    CHECK_ERR(pawl_barrier_wait(barrier, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(beside), PAWL_OK);
    pawl_lock_free(beside);
    assert_int_equal(pawl_barrier_generation(barrier), generation);
}

static void a_round_that_the_store_forgets_is_broken(void **state)
{
    (void)state;
    if (!stage_is("redis")) skip_case("only Redis lets us take from it what a power cut may take");
    record r;
    record_init(&r);
    char forget[PAWL_NAME_MAX + 100];
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    snprintf(forget, sizeof forget, "HDEL {pawl:%s.gate}:v v m", name);
    pawl_barrier *a = barrier_of(client, name, 2);
    for (uint64_t round = 1; round <= 2; round++) begins_with(a, permit_of(client, name, 2), round);
    stage_await_free(client, name);
    start(a, &r);
    await_holders(client, name, 1);
    stage_pass(GIVES_UP_MS); /* it has read how many rounds there were */
    redis_server_command(stage_redis(), forget);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_BROKEN);
    await_holders(client, name, 0);
    begins_with(a, permit_of(client, name, 2), 1); /* as new */
    pawl_barrier_free(a);
    pawl_client_close(client);
}

static void another_count_or_kind_is_refused(void **state)
{
    (void)state;
    char gate[PAWL_NAME_MAX + 1];
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *permit = permit_of(client, name, 3);
    pawl_barrier *a = barrier_of(client, name, 2);
    CHECK_ERR(pawl_barrier_wait(a, PATIENCE_MS), PAWL_ERR_COUNT);
    pawl_lock_free(permit);
    stage_await_free(client, name);

    pawl_lock *lock = lock_new(client, name, 30000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_barrier_wait(a, PATIENCE_MS), PAWL_ERR_KIND);
    pawl_lock_free(lock);
    stage_await_free(client, name);

    snprintf(gate, sizeof gate, "%.500s.gate", name);
    lock = lock_new(client, gate, 30000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, "x", 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_barrier_wait(a, PATIENCE_MS), PAWL_ERR_KIND);
    await_holders(client, name, 0);
    pawl_lock_free(lock);
    pawl_barrier_free(a);
    pawl_client_close(client);
}

/* The last one to come opens the round behind a gate, which somebody else has here to the end: who
 * gives up tries it once more, and would open the round that is complete. */
static void who_waits_at_the_gate_may_be_canceled(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    char gate[PAWL_NAME_MAX + 1];
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    snprintf(gate, sizeof gate, "%.500s.gate", name);
    pawl_lock *permit = permit_of(other, name, 2), *shut = lock_new(other, gate, 30000);
    pawl_barrier *a = barrier_of(client, name, 2);
    CHECK_ERR(pawl_lock_acquire(shut, PATIENCE_MS), PAWL_OK);
    start(a, &r);
    stage_await_waiters(other, gate, 1);
    CHECK_ERR(pawl_barrier_cancel(a), PAWL_OK);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_CANCELED);
    stage_await_waiters(other, gate, 0);
    CHECK_ERR(pawl_lock_release(shut), PAWL_OK);
    pawl_lock_free(shut);
    pawl_lock_free(permit);
    pawl_barrier_free(a);
    pawl_client_close(other);
    pawl_client_close(client);
}

static void one_that_is_freed_while_it_waits_is_canceled_and_breaks_it(void **state)
{
    (void)state;
    record freed, stays;
    told by_client;
    record_init(&freed);
    record_init(&stays);
    told_init(&by_client);
    pawl_client *client = told_client(&by_client);
    const char *name = stage_name();
    pawl_barrier *a = barrier_of(client, name, 3), *b = barrier_of(client, name, 3);
    start(a, &freed);
    (void)told_await(&by_client, PAWL_TRACE_ACQUIRED, name, 1);
    start(b, &stays);
    await_holders(client, name, 2);
    pawl_barrier_free(a);
    record_await_done(&freed, 1);
    assert_int_equal(freed.done_err, PAWL_ERR_CANCELED);
    record_await_done(&stays, 1);
    assert_int_equal(stays.done_err, PAWL_ERR_BROKEN);
    await_holders(client, name, 0);
    pawl_barrier_free(b);
    pawl_client_close(client);
    told_free(&by_client);
}

static void wrong_calls_change_nothing(void **state)
{
    (void)state;
    static char longest[PAWL_NAME_MAX];
    pawl_client *client = stage_client(NULL);
    pawl_barrier_opts opts;
    pawl_barrier *barrier = NULL;
    memset(longest, 'x', sizeof longest);
    pawl_barrier_opts_init(&opts);
    CHECK_ERR(pawl_barrier_new(client, "x", 1, NULL, &barrier), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_barrier_new(client, "x", 1, &opts, &barrier), PAWL_ERR_PARTIES);
    opts.parties = PAWL_BARRIER_PARTIES_MAX + 1;
    CHECK_ERR(pawl_barrier_new(client, "x", 1, &opts, &barrier), PAWL_ERR_PARTIES);
    opts.parties = 1;
    CHECK_ERR(pawl_barrier_new(client, "", 0, &opts, &barrier), PAWL_ERR_NAME);
    CHECK_ERR(pawl_barrier_new(client, longest, sizeof longest, &opts, &barrier), PAWL_ERR_NAME);
    opts.ttl_ms = 1;
    CHECK_ERR(pawl_barrier_new(client, "x", 1, &opts, &barrier), PAWL_ERR_TTL);
    assert_null(barrier);
    opts.ttl_ms = 30000;
    CHECK_ERR(pawl_barrier_new(client, longest, PAWL_BARRIER_NAME_MAX, &opts, &barrier), PAWL_OK);
    CHECK_ERR(pawl_barrier_wait(barrier, 0), PAWL_OK); /* alone */
    CHECK_ERR(pawl_barrier_wait(barrier, -2), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_barrier_wait(NULL, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_barrier_wait_start(barrier, 0, NULL, NULL), PAWL_ERR_ARGUMENT);
    assert_int_equal(pawl_barrier_generation(NULL), 0);
    pawl_barrier_free(barrier);
    assert_null(pawl_barrier_free(NULL));
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(all_go_through_together_round_after_round),
        cmocka_unit_test(many_at_once_go_through),
        cmocka_unit_test(a_late_one_of_the_last_round_is_not_counted_in_the_next),
        cmocka_unit_test(who_gives_up_breaks_it_for_the_others),
        cmocka_unit_test(who_is_canceled_breaks_it_for_the_others),
        cmocka_unit_test(one_that_dies_breaks_it_for_those_who_saw_it),
        cmocka_unit_test(one_whose_lease_is_taken_is_told),
        cmocka_unit_test(a_round_that_the_store_forgets_is_broken),
        cmocka_unit_test(another_count_or_kind_is_refused),
        cmocka_unit_test(who_waits_at_the_gate_may_be_canceled),
        cmocka_unit_test(one_that_is_freed_while_it_waits_is_canceled_and_breaks_it),
        cmocka_unit_test(wrong_calls_change_nothing),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests_name("barrier", cases, NULL, NULL);
    stage_end();
    return failed;
}
