/* SPDX-License-Identifier: MIT */
/* A holder changes its mode: upgrade and downgrade (rule 10 of pawl/store.h). */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#define X PAWL_MODE_EXCLUSIVE
#define S PAWL_MODE_SHARED
#define U PAWL_MODE_UPDATE

static pawl_request change(const char *name, const char *token, pawl_mode mode, uint32_t number)
{
    return ask_change(name, token, mode, number, LONG_MS, PAWL_ASK_QUEUE);
}

static client *join_for_change(stage *s, const char *owner)
{
    return join_modes(s, owner, 1u << S | 1u << U);
}

static uint64_t fence_of(client *c, const char *name, const char *token, pawl_mode mode)
{
    return expect(c, ask_mode(name, token, mode, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
}

/* ---- Who holds already --------------------------------------------------------------------- */

/* Rule 3: to acquire again says again what is held; it gives nothing more. */
static void who_holds_less_than_it_asks_for_is_refused(void **state)
{
    static const struct {
        pawl_mode held, asked;
        bool covered;
    } cases[] = {{S, S, true},  {S, U, false}, {S, X, false}, {U, S, true}, {U, U, true},
                 {U, X, false}, {X, S, true},  {X, U, true},  {X, X, true}};
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *name = lock_name(s, (char[]){(char)('a' + i), '\0'}), *token = fresh_token();
        uint64_t fence = fence_of(a, name, token, cases[i].held);
        pawl_request again = ask_mode(name, token, cases[i].asked, LONG_MS, PAWL_ASK_QUEUE);
        const seen_reply *r = expect(a, again, cases[i].covered ? PAWL_GRANTED : PAWL_FAILED);
        assert_int_equal(r->reply.err, cases[i].covered ? PAWL_OK : PAWL_ERR_MODE);
        if (cases[i].covered) assert_int_equal(r->reply.fence, fence);
        expect(b, ask_mode(name, fresh_token(), S, LONG_MS, 0),
               cases[i].held == X ? PAWL_BUSY : PAWL_GRANTED); /* the mode is as it was */
        assert_int_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                         fence);
    }
    client_close(a);
    client_close(b);
}

/* ---- Upgrades ------------------------------------------------------------------------------ */

static void who_holds_alone_is_upgraded_at_once_with_a_new_fence(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t before = fence_of(a, name, token, U);
    uint64_t after = expect(a, change(name, token, X, 1), PAWL_GRANTED)->reply.fence;
    assert_true(after > before);
    assert_int_equal(expect(a, change(name, token, X, 1), PAWL_GRANTED)->reply.fence, after);
    assert_int_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     after);
    expect(a, ask_mode(name, fresh_token(), S, LONG_MS, 0), PAWL_BUSY);
    client_close(a);
}

static void an_upgrade_waits_for_the_readers_and_goes_before_the_queue(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    const char *one = hold_mode(b, name, S), *two = hold_mode(b, name, S);
    uint64_t before = fence_of(a, name, token, U);
    const char *writer = wait_mode(b, name, X);
    const seen_reply *r = expect(a, change(name, token, X, 1), PAWL_QUEUED);
    assert_true(r->reply.position == 0 || r->reply.position == -1);
    expect(b, ask_mode(name, fresh_token(), S, LONG_MS, 0), PAWL_BUSY); /* no more readers */
    expect(b, ask_release(name, one), PAWL_RELEASED);
    assert_int_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     before); /* it still holds what it had */
    assert_null(client_pushed(a, PAWL_PUSH_GRANT, token));
    expect(b, ask_release(name, two), PAWL_RELEASED);
    uint64_t after = client_await_push(a, PAWL_PUSH_GRANT, token)->push.fence;
    assert_true(after > before);
    assert_int_equal(expect(a, change(name, token, X, 1), PAWL_GRANTED)->reply.fence, after);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, writer));
    expect(a, ask_release(name, token), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, writer);
    client_close(a);
    client_close(b);
}

static void readers_are_told_that_an_upgrade_waits(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    const char *reader = hold_mode(b, name, S), *token = hold_mode(a, name, U);
    expect(a, change(name, token, X, 1), PAWL_QUEUED);
    client_await_push(b, PAWL_PUSH_YIELD, reader);
    assert_null(client_pushed(a, PAWL_PUSH_YIELD, token));
    assert_true(expect(b, ask_renew(name, reader, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    client_close(a);
    client_close(b);
}

static void an_upgrade_that_does_not_wait_leaves_everything_as_it_was(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    const char *reader = hold_mode(b, name, S);
    uint64_t fence = fence_of(a, name, token, U);
    expect(a, ask_change(name, token, X, 1, LONG_MS, 0), PAWL_BUSY);
    hold_mode(b, name, S); /* nobody waits */
    expect(b, ask_release(name, reader), PAWL_RELEASED);
    assert_int_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    client_close(a);
    client_close(b);
}

static void an_upgrade_is_taken_back(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    const char *reader = hold_mode(b, name, S);
    uint64_t fence = fence_of(a, name, token, U);
    expect(a, change(name, token, X, 1), PAWL_QUEUED);
    const char *waits = wait_mode(b, name, S);
    assert_int_equal(expect(a, change(name, token, U, 2), PAWL_GRANTED)->reply.fence, fence);
    client_await_push(b, PAWL_PUSH_GRANT, waits); /* it waited for the upgrade only */
    expect(b, ask_release(name, reader), PAWL_RELEASED);
    expect(b, ask_release(name, waits), PAWL_RELEASED);
    assert_null(client_pushed(a, PAWL_PUSH_GRANT, token));
    client_close(a);
    client_close(b);
}

static void an_upgrade_that_nobody_refreshes_ends_but_not_its_lease(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = hold_mode(a, name, U);
    hold_mode(b, name, S);
    expect(a, ask_change(name, token, X, 1, SHORT_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    test_loop_for(s->loop, pawl_place_span(SHORT_MS) + 200);
    hold_mode(b, name, S); /* nobody stands before it any more */
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
    client_close(b);
}

static void the_end_of_a_lease_ends_its_upgrade(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = hold_mode(a, name, U);
    const char *reader = hold_mode(b, name, S);
    expect(a, change(name, token, X, 1), PAWL_QUEUED);
    const char *waits = wait_mode(b, name, U);
    expect(a, ask_release(name, token), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waits);
    expect(b, ask_release(name, reader), PAWL_RELEASED);
    assert_null(client_pushed(a, PAWL_PUSH_GRANT, token));
    client_close(a);
    client_close(b);
}

/* ---- Downgrades ----------------------------------------------------------------------------- */

static void a_downgrade_keeps_the_fence_and_lets_readers_in(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    static const pawl_mode to[] = {U, S};
    for (int i = 0; i < 2; i++) {
        const char *name = lock_name(s, i ? "x" : "y"), *token = fresh_token();
        uint64_t fence = fence_of(a, name, token, X);
        const char *reader = wait_mode(b, name, S), *writer = wait_mode(b, name, X);
        assert_int_equal(expect(a, change(name, token, to[i], 1), PAWL_GRANTED)->reply.fence,
                         fence);
        assert_true(client_await_push(b, PAWL_PUSH_GRANT, reader)->push.fence > fence);
        assert_null(client_pushed(b, PAWL_PUSH_GRANT, writer));
    }
    client_close(a);
    client_close(b);
}

static void update_to_shared_lets_the_next_updater_in(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = hold_mode(a, name, U);
    const char *next = wait_mode(b, name, U);
    expect(a, change(name, token, S, 1), PAWL_GRANTED);
    client_await_push(b, PAWL_PUSH_GRANT, next);
    client_close(a);
    client_close(b);
}

/* ---- What is refused, what comes late ------------------------------------------------------ */

static void shared_cannot_be_upgraded(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    const char *name = lock_name(s, "x"), *token = hold_mode(a, name, S);
    static const pawl_mode to[] = {U, X, PAWL_MODE_PERMIT};
    for (int i = 0; i < 3; i++) {
        const seen_reply *r = expect(a, change(name, token, to[i], 1), PAWL_FAILED);
        assert_int_equal(r->reply.err, PAWL_ERR_MODE);
    }
    hold_mode(a, name, S); /* nothing has changed, nobody waits */
    expect(a, change(name, fresh_token(), X, 1), PAWL_NOT_OWNER);
    client_close(a);
}

static void a_change_that_comes_late_changes_nothing(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    fence_of(a, name, token, U);
    uint64_t fence = expect(a, change(name, token, X, 3), PAWL_GRANTED)->reply.fence;
    expect(a, change(name, token, U, 2), PAWL_NOT_OWNER); /* or two would hold (law 1) */
    expect(a, ask_mode(name, fresh_token(), S, LONG_MS, 0), PAWL_BUSY);
    assert_int_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    client_close(a);
}

static void a_change_extends_the_lease(void **state)
{
    stage *s = *state;
    client *a = join_for_change(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_mode(name, token, U, WIDE_MS, 0), PAWL_GRANTED);
    expect(a, change(name, token, U, 1), PAWL_GRANTED);
    test_loop_for(s->loop, WIDE_MS + 200);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
}

const struct CMUnitTest change_cases[] = {
    CASE(who_holds_less_than_it_asks_for_is_refused),
    CASE(who_holds_alone_is_upgraded_at_once_with_a_new_fence),
    CASE(an_upgrade_waits_for_the_readers_and_goes_before_the_queue),
    CASE(readers_are_told_that_an_upgrade_waits),
    CASE(an_upgrade_that_does_not_wait_leaves_everything_as_it_was),
    CASE(an_upgrade_is_taken_back),
    CASE(an_upgrade_that_nobody_refreshes_ends_but_not_its_lease),
    CASE(the_end_of_a_lease_ends_its_upgrade),
    CASE(a_downgrade_keeps_the_fence_and_lets_readers_in),
    CASE(update_to_shared_lets_the_next_updater_in),
    CASE(shared_cannot_be_upgraded),
    CASE(a_change_that_comes_late_changes_nothing),
    CASE(a_change_extends_the_lease),
};
const size_t change_case_count = sizeof(change_cases) / sizeof(change_cases[0]);
