/* SPDX-License-Identifier: MIT */
/* Semaphores: permits, slots, and names of one kind (rules 9 and 11 of pawl/store.h). */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>

#define CAPACITY 4u
#define P        PAWL_MODE_PERMIT

static pawl_request permits(const char *name, const char *token, uint32_t units, unsigned flags)
{
    return ask_permits(name, token, units, CAPACITY, LONG_MS, flags);
}

static const seen_reply *take(client *c, const char *name, uint32_t units, const char **ret_token)
{
    *ret_token = fresh_token();
    return expect(c, permits(name, *ret_token, units, 0), PAWL_GRANTED);
}

static const char *wait_permits(client *c, const char *name, uint32_t units)
{
    const char *token = fresh_token();
    expect(c, permits(name, token, units, PAWL_ASK_QUEUE), PAWL_QUEUED);
    return token;
}

static void so_many_hold_as_there_are_permits(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    const char *name = lock_name(s, "x"), *token;
    uint64_t last = 0;
    for (uint16_t i = 0; i < CAPACITY; i++) {
        const seen_reply *r = take(a, name, 1, &token);
        assert_int_equal(r->reply.slot_count, 1);
        assert_int_equal(r->slots[0], i); /* the lowest that is free */
        assert_true(r->reply.fence > last);
        last = r->reply.fence;
    }
    expect(a, permits(name, fresh_token(), 1, 0), PAWL_BUSY);
    client_close(a);
}

static void a_slot_that_is_given_back_is_given_again_with_a_larger_fence(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    const char *name = lock_name(s, "x"), *zero, *one, *two, *again;
    take(a, name, 1, &zero);
    uint64_t fence = take(a, name, 1, &one)->reply.fence;
    take(a, name, 1, &two);
    expect(a, ask_release(name, one), PAWL_RELEASED);
    const seen_reply *r = take(a, name, 1, &again);
    assert_int_equal(r->slots[0], 1);
    assert_true(r->reply.fence > fence);
    client_close(a);
}

static void one_holder_may_have_several(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *one, *more;
    take(a, name, 1, &one);
    const seen_reply *r = take(a, name, 3, &more);
    assert_int_equal(r->reply.slot_count, 3);
    for (uint16_t i = 0; i < 3; i++) assert_int_equal(r->slots[i], i + 1);
    const char *waits = wait_permits(b, name, 2);
    expect(a, ask_release(name, one), PAWL_RELEASED);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, waits)); /* one is not enough */
    expect(a, ask_release(name, more), PAWL_RELEASED);
    const seen_push *push = client_await_push(b, PAWL_PUSH_GRANT, waits);
    assert_int_equal(push->push.slot_count, 2);
    assert_int_equal(push->slots[0], 0);
    assert_int_equal(push->slots[1], 1);
    client_close(a);
    client_close(b);
}

static void who_wants_many_is_not_passed_by_those_who_want_one(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held;
    take(a, name, 1, &held);
    const char *all = wait_permits(b, name, CAPACITY), *one = wait_permits(b, name, 1);
    expect(b, permits(name, fresh_token(), 1, 0), PAWL_BUSY); /* three are free */
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, all);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, one));
    expect(b, ask_release(name, all), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, one);
    client_close(a);
    client_close(b);
}

static void one_release_serves_all_who_fit(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held, *waits[3];
    take(a, name, CAPACITY, &held);
    for (int i = 0; i < 3; i++) waits[i] = wait_permits(b, name, 2);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waits[0]);
    assert_int_equal(client_await_push(b, PAWL_PUSH_GRANT, waits[1])->slots[0], 2);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, waits[2]));
    const pawl_info *info = inspect(a, name, NULL);
    assert_int_equal(info->capacity, CAPACITY);
    assert_int_equal(info->holder_count, 2);
    assert_int_equal(info->holders[0].units, 2);
    assert_int_equal(info->waiters[0].units, 2);
    client_close(a);
    client_close(b);
}

static void the_permits_of_a_dead_holder_come_back(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *living, *dead;
    take(a, name, 1, &living);
    take(a, name, 3, &dead);
    expect(b, permits(name, fresh_token(), 1, 0), PAWL_BUSY);
    expect(a, ask_renew(name, dead, SHORT_MS), PAWL_CONFIRMED);
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    const seen_reply *r = expect(b, permits(name, fresh_token(), 3, 0), PAWL_GRANTED);
    assert_int_equal(r->slots[0], 1);
    client_close(a);
    client_close(b);
}

static void asking_again_keeps_the_slots(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    const char *name = lock_name(s, "x"), *first, *token;
    take(a, name, 1, &first);
    uint64_t fence = take(a, name, 2, &token)->reply.fence;
    expect(a, ask_release(name, first), PAWL_RELEASED);
    const seen_reply *r = expect(a, permits(name, token, 2, 0), PAWL_GRANTED);
    assert_int_equal(r->reply.fence, fence);
    assert_int_equal(r->reply.slot_count, 2);
    assert_int_equal(r->slots[0], 1);
    assert_int_equal(r->slots[1], 2);
    client_close(a);
}

static void who_holds_fewer_permits_than_it_asks_for_is_refused(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    const char *name = lock_name(s, "x"), *one, *two;
    take(a, name, 1, &one);
    uint64_t fence = take(a, name, 2, &two)->reply.fence;
    assert_int_equal(expect(a, permits(name, one, 2, 0), PAWL_FAILED)->reply.err, PAWL_ERR_MODE);
    assert_int_equal(expect(a, permits(name, one, 1, 0), PAWL_GRANTED)->slots[0], 0);
    const seen_reply *r = expect(a, permits(name, two, 1, 0), PAWL_GRANTED);
    assert_int_equal(r->reply.fence, fence);
    assert_int_equal(r->reply.slot_count, 2);
    client_close(a);
}

/* ---- One kind for a name ----------------------------------------------------------------- */

static void fails_with(client *c, pawl_request request, pawl_err err)
{
    assert_int_equal(expect(c, request, PAWL_FAILED)->reply.err, err);
}

static void another_capacity_is_refused_as_long_as_anything_lives(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held;
    take(a, name, CAPACITY, &held);
    char both[64];
    const seen_reply *no = expect(
        a, ask_permits(name, fresh_token(), 1, CAPACITY + 1, LONG_MS, PAWL_ASK_QUEUE), PAWL_FAILED);
    snprintf(both, sizeof both, "it has %u, asked for were %u", CAPACITY, CAPACITY + 1);
    assert_int_equal(no->reply.err, PAWL_ERR_CAPACITY);
    assert_non_null(strstr(no->text, both));
    const char *waits = wait_permits(b, name, 1);
    expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waits);
    fails_with(a, ask_permits(name, fresh_token(), 1, 1, LONG_MS, 0), PAWL_ERR_CAPACITY);
    expect(b, ask_release(name, waits), PAWL_RELEASED);
    expect(a, ask_permits(name, fresh_token(), 7, 7, LONG_MS, 0), PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

static void a_lock_is_no_semaphore_and_a_semaphore_no_lock(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P | 1u << PAWL_MODE_SHARED);
    static const pawl_mode modes[] = {PAWL_MODE_EXCLUSIVE, PAWL_MODE_SHARED, PAWL_MODE_UPDATE};
    const char *semaphore = lock_name(s, "semaphore"), *held;
    take(a, semaphore, 1, &held);
    for (int i = 0; i < 3; i++) {
        if (!(client_caps(a)->modes & 1u << modes[i])) continue;
        const char *lock = lock_name(s, i == 0 ? "x" : i == 1 ? "s" : "u");
        hold_mode(a, lock, modes[i]);
        fails_with(a, permits(lock, fresh_token(), 1, PAWL_ASK_QUEUE), PAWL_ERR_KIND);
        fails_with(a, ask_mode(semaphore, fresh_token(), modes[i], LONG_MS, PAWL_ASK_QUEUE),
                   PAWL_ERR_KIND);
    }
    assert_int_equal(inspect(a, semaphore, NULL)->waiter_count, 0);
    expect(a, ask_release(semaphore, held), PAWL_RELEASED);
    hold_mode(a, semaphore, PAWL_MODE_EXCLUSIVE);
    client_close(a);
}

static void units_that_do_not_fit_the_capacity_are_refused(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << P);
    const char *name = lock_name(s, "x");
    static const uint32_t wrong[][2] = {{0, 4}, {5, 4}, {0, 0}, {1, PAWL_CAPACITY_MAX + 1}};
    for (int i = 0; i < 4; i++)
        fails_with(a, ask_permits(name, fresh_token(), wrong[i][0], wrong[i][1], LONG_MS, 0),
                   PAWL_ERR_UNITS);
    expect(a, ask_permits(name, fresh_token(), 1, PAWL_CAPACITY_MAX, LONG_MS, 0), PAWL_GRANTED);
    client_close(a);
}

const struct CMUnitTest permit_cases[] = {
    CASE(so_many_hold_as_there_are_permits),
    CASE(a_slot_that_is_given_back_is_given_again_with_a_larger_fence),
    CASE(one_holder_may_have_several),
    CASE(who_wants_many_is_not_passed_by_those_who_want_one),
    CASE(one_release_serves_all_who_fit),
    CASE(the_permits_of_a_dead_holder_come_back),
    CASE(asking_again_keeps_the_slots),
    CASE(who_holds_fewer_permits_than_it_asks_for_is_refused),
    CASE(another_capacity_is_refused_as_long_as_anything_lives),
    CASE(a_lock_is_no_semaphore_and_a_semaphore_no_lock),
    CASE(units_that_do_not_fit_the_capacity_are_refused),
};
const size_t permit_case_count = sizeof(permit_cases) / sizeof(permit_cases[0]);
