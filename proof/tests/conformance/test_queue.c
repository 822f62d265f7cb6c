/* SPDX-License-Identifier: MIT */
/* Waiting: order, hand-off, pushes, places that end (law 7). */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>

#define CLOSES_IN_NS INT64_C(80000000) /* less than a store takes that gave it up */

/* One that holds `name` for LONG_MS. */
static const char *hold(client *c, const char *name)
{
    const char *token = fresh_token();
    expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    return token;
}

/* One that waits for `name`, with a ttl that outlives the test. */
static const char *wait_for(client *c, const char *name)
{
    const char *token = fresh_token();
    expect(c, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    return token;
}

/* ---- Queueing ------------------------------------------------------------------------- */

static void a_waiter_is_told_its_position_and_the_holders_rest(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    hold(a, name);
    for (int64_t i = 0; i < 3; i++) {
        const seen_reply *r = expect(b, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
        assert_true((has_trait(b, TRAIT_FAIR) && r->reply.position == i) ||
                    r->reply.position == -1);
        assert_in_range(r->reply.holder_ms, LONG_MS / 2, told_at_most(b, LONG_MS));
    }
    client_close(a);
    client_close(b);
}

static void a_free_lock_is_granted_to_who_would_wait(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    expect(a, ask_queue(lock_name(s, "x"), fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
}

static void asking_again_keeps_the_place(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name);
    const char *first = wait_for(b, name), *second = wait_for(a, name);
    for (int i = 0; i < 3; i++) {
        const seen_reply *r = expect(b, ask_queue(name, first, LONG_MS), PAWL_QUEUED);
        assert_true(r->reply.position == 0 || r->reply.position == -1);
    }
    assert_int_equal(inspect(a, name, NULL)->waiter_count, 2);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, first);
    assert_null(client_pushed(a, PAWL_PUSH_GRANT, second));
    client_close(a);
    client_close(b);
}

static void asking_without_queue_leaves_it(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name);
    const char *first = wait_for(b, name), *second = wait_for(b, name);
    expect(b, ask_acquire(name, first, LONG_MS), PAWL_BUSY);
    assert_int_equal(inspect(a, name, NULL)->waiter_count, 1);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, second);
    expect(b, ask_release(name, first), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
}

static void a_waiter_may_leave_from_anywhere(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *w[5];
    for (int i = 0; i < 5; i++) w[i] = wait_for(b, name);
    expect(b, ask_release(name, w[0]), PAWL_LEFT);
    expect(b, ask_release(name, w[2]), PAWL_LEFT);
    expect(b, ask_release(name, w[4]), PAWL_LEFT);
    expect(b, ask_release(name, w[2]), PAWL_NOT_OWNER);
    assert_int_equal(inspect(a, name, NULL)->waiter_count, 2);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, w[1]);
    expect(b, ask_release(name, w[1]), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, w[3]);
    assert_int_equal(inspect(a, name, NULL)->waiter_count, 0);
    client_close(a);
    client_close(b);
}

static void a_waiter_is_not_the_owner(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x");
    hold(a, name);
    const char *waiter = wait_for(a, name);
    expect(a, ask_renew(name, waiter, LONG_MS), PAWL_NOT_OWNER);
    assert_false(inspect(a, name, waiter)->mine);
    client_close(a);
}

/* ---- Hand-off ---------------------------------------------------------------------------- */

static void a_release_hands_the_lock_to_the_first_waiter(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED)->reply.fence;
    const char *first = wait_for(b, name), *second = wait_for(b, name);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    const seen_push *grant = client_await_push(b, PAWL_PUSH_GRANT, first);
    assert_string_equal(grant->push.name, name);
    assert_int_equal(grant->push.name_len, strlen(name));
    assert_true(grant->push.fence > fence);
    assert_true(grant->push.waiting);
    fence = grant->push.fence;
    const pawl_info *info = inspect(b, name, first);
    assert_true(info->held && info->mine);
    assert_int_equal(info->fence, fence);
    int64_t place = pawl_place_span(LONG_MS); /* rule 8: what is left of the place */
    assert_in_range(info->remaining_ms, place / 2, told_at_most(b, place));
    expect(b, ask_renew(name, first, LONG_MS), PAWL_CONFIRMED);
    assert_in_range(inspect(b, name, first)->remaining_ms, LONG_MS * 3 / 4,
                    told_at_most(b, LONG_MS));
    expect(b, ask_release(name, first), PAWL_RELEASED);
    grant = client_await_push(b, PAWL_PUSH_GRANT, second);
    assert_true(grant->push.fence > fence);
    assert_false(grant->push.waiting);
    client_close(a);
    client_close(b);
}

static void asking_after_a_hand_off_gives_the_same_grant(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *waiter = wait_for(b, name);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    const seen_reply *r = expect(b, ask_queue(name, waiter, LONG_MS), PAWL_GRANTED);
    const seen_push *grant = client_await_push(b, PAWL_PUSH_GRANT, waiter);
    assert_int_equal(grant->push.fence, r->reply.fence);
    assert_int_equal(expect(b, ask_renew(name, waiter, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     r->reply.fence);
    client_close(a);
    client_close(b);
}

static void nobody_overtakes_a_waiter(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    client *late = join(s, "late");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *waiter = wait_for(b, name);
    expect(late, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    pawl_request release = ask_release(name, held), again = ask_acquire(name, held, LONG_MS);
    uint64_t released = client_submit(a, &release);
    uint64_t barged = client_submit(a, &again); /* in the same write as the release */
    client_flush(a);
    assert_int_equal(client_await(a, released)->reply.outcome, PAWL_RELEASED);
    assert_int_equal(client_await(a, barged)->reply.outcome, PAWL_BUSY);
    expect(late, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    expect(late, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
    client_await_push(b, PAWL_PUSH_GRANT, waiter);
    expect(b, ask_renew(name, waiter, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
    client_close(b);
    client_close(late);
}

static void a_hundred_waiters_are_served_in_order(void **state)
{
    stage *s = *state;
    enum { CLIENTS = 5, WAITERS = 100 };
    client *clients[CLIENTS];
    client_close(join_with(s, "first", TRAIT_FAIR));
    for (int i = 0; i < CLIENTS; i++) {
        char owner[32];
        snprintf(owner, sizeof(owner), "client %d", i);
        clients[i] = join(s, owner);
    }
    const char *name = lock_name(s, "x"), *tokens[WAITERS];
    const char *holder = hold(clients[0], name);
    client *at = clients[0];
    for (int i = 0; i < WAITERS; i++) tokens[i] = wait_for(clients[i % CLIENTS], name);
    uint64_t fence = 0;
    for (int i = 0; i < WAITERS; i++) {
        expect(at, ask_release(name, holder), PAWL_RELEASED);
        at = clients[i % CLIENTS];
        holder = tokens[i];
        const seen_push *grant = client_await_push(at, PAWL_PUSH_GRANT, holder);
        assert_true(grant->push.fence > fence);
        assert_int_equal(grant->push.waiting, i < WAITERS - 1);
        fence = grant->push.fence;
    }
    size_t grants = 0;
    for (int i = 0; i < CLIENTS; i++) grants += client_push_count(clients[i], PAWL_PUSH_GRANT);
    assert_int_equal(grants, WAITERS); /* only the one who gets it is told */
    for (int i = 0; i < CLIENTS; i++) client_close(clients[i]);
}

/* ---- Yield requests --------------------------------------------------------------- */

static void the_holder_hears_that_somebody_waits(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name);
    assert_false(expect(a, ask_renew(name, held, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    const char *waiter = wait_for(b, name);
    const seen_push *yield = client_await_push(a, PAWL_PUSH_YIELD, held);
    assert_string_equal(yield->push.name, name);
    assert_true(expect(a, ask_renew(name, held, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    assert_true(expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED)->reply.waiting);
    expect(b, ask_release(name, waiter), PAWL_LEFT);
    assert_false(expect(a, ask_renew(name, held, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    client_close(a);
    client_close(b);
}

/* ---- When time passes ------------------------------------------------------------- */

static void an_expired_lock_goes_to_the_first_waiter(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    client *late = join(s, "late");
    const char *name = lock_name(s, "x"), *held = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED)->reply.fence;
    const char *first = wait_for(b, name), *second = wait_for(b, name);
    expect(a, ask_renew(name, held, SHORT_MS), PAWL_CONFIRMED);
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    expect(late, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY); /* no barging now either */
    const seen_reply *r = expect(b, ask_queue(name, first, LONG_MS), PAWL_GRANTED);
    assert_true(r->reply.fence > fence);
    expect(b, ask_queue(name, second, LONG_MS), PAWL_QUEUED);
    client_close(a);
    client_close(b);
    client_close(late);
}

static void any_waiters_refresh_moves_an_expired_lock_on(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    client *c = join(s, "c");
    const char *name = lock_name(s, "x"), *held = hold(a, name);
    const char *first = wait_for(b, name), *second = wait_for(c, name);
    expect(a, ask_renew(name, held, SHORT_MS), PAWL_CONFIRMED);
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    expect(c, ask_queue(name, second, LONG_MS), PAWL_QUEUED);
    client_await_push(b, PAWL_PUSH_GRANT, first);
    client_close(a);
    client_close(b);
    client_close(c);
}

/* Law 7: also by requests that have nothing to do with the waiter. */
static void anybodys_request_moves_an_expired_lock_on(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *names[3], *waiters[3];
    for (int i = 0; i < 3; i++) {
        names[i] = lock_name(s, i == 0 ? "renewed" : i == 1 ? "released" : "broken");
        const char *held = hold(a, names[i]);
        waiters[i] = wait_for(b, names[i]);
        expect(a, ask_renew(names[i], held, SHORT_MS), PAWL_CONFIRMED);
    }
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    expect(a, ask_renew(names[0], fresh_token(), LONG_MS), PAWL_NOT_OWNER);
    expect(a, ask_release(names[1], fresh_token()), PAWL_NOT_OWNER);
    expect(a, ask_break(names[2], 1), PAWL_NOT_OWNER);
    for (int i = 0; i < 3; i++) client_await_push(b, PAWL_PUSH_GRANT, waiters[i]);
    client_close(a);
    client_close(b);
}

static void a_place_that_is_not_refreshed_ends(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *frozen = fresh_token();
    expect(b, ask_queue(name, frozen, SHORT_MS), PAWL_QUEUED);
    const char *second = wait_for(b, name);
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS)); /* a place lives no longer than the ttl */
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, second);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, frozen));
    const seen_reply *r = expect(b, ask_queue(name, frozen, LONG_MS), PAWL_QUEUED);
    assert_true(r->reply.position <= 0); /* anew, behind the others */
    client_close(a);
    client_close(b);
}

/* Rule 8: it is handed the lock and never speaks; that costs what is left of its place. */
static void a_waiter_that_froze_holds_no_longer_than_its_place(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    client *c = join(s, "c");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *frozen = fresh_token();
    int64_t ttl_ms = WIDE_MS, place_ms = pawl_place_span(ttl_ms);
    expect(b, ask_queue(name, frozen, ttl_ms), PAWL_QUEUED);
    const char *second = wait_for(c, name);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, frozen);
    assert_true(inspect(c, name, NULL)->remaining_ms <= told_at_most(c, place_ms));
    test_loop_for(s->loop, surely_over_ms(a, place_ms));
    expect(c, ask_queue(name, second, LONG_MS), PAWL_GRANTED);
    expect(b, ask_renew(name, frozen, ttl_ms), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
    client_close(c);
}

/* So that a late push of an older grant is known by its fence. */
static void who_waits_is_told_the_latest_fence(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *held = fresh_token(), *waiter = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED)->reply.fence;
    for (int i = 0; i < 2; i++) /* joins, and keeps its place */
        assert_int_equal(expect(a, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED)->reply.fence,
                         fence);
    client_close(a);
}

static void a_refreshed_place_outlives_the_ttl(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *first = fresh_token();
    int64_t ttl_ms = 1500;
    expect(b, ask_queue(name, first, ttl_ms), PAWL_QUEUED);
    wait_for(b, name);
    for (int64_t start = host_now(); host_now() - start < 2 * ttl_ms * 1000000;) {
        test_loop_for(s->loop, ttl_ms / 5);
        expect(b, ask_queue(name, first, ttl_ms), PAWL_QUEUED);
    }
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, first);
    client_close(a);
    client_close(b);
}

/* Whether the close had time to tell the store: it waits for that for 100 ms, and no longer. */
static bool close_in_time(client *c)
{
    int64_t start = host_now();
    client_close(c);
    return host_now() - start < CLOSES_IN_NS;
}

static void a_waiter_whose_client_is_gone_holds_up_nobody(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name, *held, *second;
    char suffix[12];
    int round = 0;
    need(a, TRAIT_PUSH);
    for (int64_t start = host_now();; round++) {
        client *gone = join(s, "gone");
        snprintf(suffix, sizeof suffix, "x%d", round);
        name = lock_name(s, suffix);
        held = hold(a, name);
        for (int i = 0; i < 3; i++) wait_for(gone, name);
        second = wait_for(b, name);
        if (close_in_time(gone) || host_now() - start > SOON_NS) break;
    }
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, second);
    client_close(a);
    client_close(b);
}

/* Its turn came while it was away. It is back with a request that would not wait, and the lock is
 * free: nobody else may be told that it is busy, nor may it. */
static void a_waiter_that_comes_back_to_a_free_lock_gets_it(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *gone = join(s, "gone");
    client *back = join(s, "back");
    const char *name = lock_name(s, "x"), *held = hold(a, name);
    const char *waits = wait_for(gone, name);
    client_close(gone);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    expect(back, ask_acquire(name, waits, LONG_MS), PAWL_GRANTED);
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    client_close(a);
    client_close(back);
}

const struct CMUnitTest queue_cases[] = {
    CASE(a_waiter_is_told_its_position_and_the_holders_rest),
    CASE(a_free_lock_is_granted_to_who_would_wait),
    CASE(asking_again_keeps_the_place),
    CASE(asking_without_queue_leaves_it),
    CASE(a_waiter_may_leave_from_anywhere),
    CASE(a_waiter_is_not_the_owner),
    CASE(a_release_hands_the_lock_to_the_first_waiter),
    CASE(asking_after_a_hand_off_gives_the_same_grant),
    CASE(nobody_overtakes_a_waiter),
    CASE(a_hundred_waiters_are_served_in_order),
    CASE(the_holder_hears_that_somebody_waits),
    CASE(an_expired_lock_goes_to_the_first_waiter),
    CASE(any_waiters_refresh_moves_an_expired_lock_on),
    CASE(anybodys_request_moves_an_expired_lock_on),
    CASE(a_place_that_is_not_refreshed_ends),
    CASE(a_refreshed_place_outlives_the_ttl),
    CASE(a_waiter_that_froze_holds_no_longer_than_its_place),
    CASE(who_waits_is_told_the_latest_fence),
    CASE(a_waiter_whose_client_is_gone_holds_up_nobody),
    CASE(a_waiter_that_comes_back_to_a_free_lock_gets_it),
};
const size_t queue_case_count = sizeof(queue_cases) / sizeof(queue_cases[0]);
