/* SPDX-License-Identifier: MIT */
/* Waiting: order, hand-off, pushes, places that end (law 7). */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>

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
        assert_true(r->reply.position == i || r->reply.position == -1);
        assert_in_range(r->reply.holder_ms, LONG_MS / 2, LONG_MS);
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
    client *a = join(s, "a");
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
    client *a = join(s, "a");
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
    client *a = join(s, "a");
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
    client *a = join(s, "a");
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
    assert_in_range(info->remaining_ms, place / 2, place);
    expect(b, ask_renew(name, first, LONG_MS), PAWL_CONFIRMED);
    assert_in_range(inspect(b, name, first)->remaining_ms, LONG_MS * 3 / 4, LONG_MS);
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
    client *a = join(s, "a");
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
    client *a = join(s, "a");
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
    client *a = join(s, "a");
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
    client *a = join(s, "a");
    client *b = join(s, "b");
    client *late = join(s, "late");
    const char *name = lock_name(s, "x");
    uint64_t fence =
        expect(a, ask_acquire(name, fresh_token(), SHORT_MS), PAWL_GRANTED)->reply.fence;
    const char *first = wait_for(b, name), *second = wait_for(b, name);
    world_for(s->world, SHORT_MS + 100);
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
    client *a = join(s, "a");
    client *b = join(s, "b");
    client *c = join(s, "c");
    const char *name = lock_name(s, "x");
    expect(a, ask_acquire(name, fresh_token(), SHORT_MS), PAWL_GRANTED);
    const char *first = wait_for(b, name), *second = wait_for(c, name);
    world_for(s->world, SHORT_MS + 100);
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
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *names[3], *waiters[3];
    for (int i = 0; i < 3; i++) {
        names[i] = lock_name(s, i == 0 ? "renewed" : i == 1 ? "released" : "broken");
        waiters[i] = fresh_token();
        expect(a, ask_acquire(names[i], fresh_token(), SHORT_MS), PAWL_GRANTED);
        expect(b, ask_queue(names[i], waiters[i], LONG_MS), PAWL_QUEUED);
    }
    world_for(s->world, SHORT_MS + 100);
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
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *frozen = fresh_token();
    expect(b, ask_queue(name, frozen, SHORT_MS), PAWL_QUEUED);
    const char *second = wait_for(b, name);
    world_for(s->world, SHORT_MS + 100); /* a place lives no longer than the ttl */
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
    client *a = join(s, "a");
    client *b = join(s, "b");
    client *c = join(s, "c");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *frozen = fresh_token();
    int64_t ttl_ms = 1500, place_ms = pawl_place_span(ttl_ms);
    expect(b, ask_queue(name, frozen, ttl_ms), PAWL_QUEUED);
    const char *second = wait_for(c, name);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, frozen);
    assert_true(inspect(c, name, NULL)->remaining_ms <= place_ms);
    world_for(s->world, place_ms + 100);
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
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = hold(a, name), *first = fresh_token();
    int64_t ttl_ms = 1500;
    expect(b, ask_queue(name, first, ttl_ms), PAWL_QUEUED);
    wait_for(b, name);
    for (int64_t start = world_now(); world_now() - start < 2 * ttl_ms * 1000000;) {
        world_for(s->world, ttl_ms / 5);
        expect(b, ask_queue(name, first, ttl_ms), PAWL_QUEUED);
    }
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, first);
    client_close(a);
    client_close(b);
}

static void a_waiter_whose_client_is_gone_holds_up_nobody(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *gone = join(s, "gone");
    client *b = join(s, "b");
    if (!client_caps(a)->push) {
        puts("SKIP: this store does not push, it cannot know who listens");
        skip();
    }
    const char *name = lock_name(s, "x"), *held = hold(a, name);
    for (int i = 0; i < 3; i++) wait_for(gone, name);
    const char *second = wait_for(b, name);
    client_close(gone);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    int64_t start = world_now();
    client_await_push(b, PAWL_PUSH_GRANT, second);
    assert_true(world_now() - start < SOON_NS);
    client_close(a);
    client_close(b);
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
};
const size_t queue_case_count = sizeof(queue_cases) / sizeof(queue_cases[0]);
