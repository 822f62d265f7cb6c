/* SPDX-License-Identifier: MIT */
/* Who holds beside whom, in one queue (rule 9 of pawl/store.h). */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>

#define X PAWL_MODE_EXCLUSIVE
#define S PAWL_MODE_SHARED
#define U PAWL_MODE_UPDATE

client *join_modes(stage *s, const char *owner, unsigned modes)
{
    client *c = join(s, owner);
    unsigned lacks = modes & ~client_caps(c)->modes;
    if (!lacks) return c;
    client_close(c);
    skip_case("this store does not grant the modes 0x%x", lacks);
}

const char *hold_mode(client *c, const char *name, pawl_mode mode)
{
    const char *token = fresh_token();
    expect(c, ask_mode(name, token, mode, LONG_MS, 0), PAWL_GRANTED);
    return token;
}

const char *wait_mode(client *c, const char *name, pawl_mode mode)
{
    const char *token = fresh_token();
    expect(c, ask_mode(name, token, mode, LONG_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    return token;
}

/* ---- The table -------------------------------------------------------------------------- */

static void the_table_says_who_fits_beside_whom(void **state)
{
    static const bool fits[3][3] = {[S] = {[S] = true, [U] = true}, [U] = {[S] = true}};
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S | 1u << U);
    for (int held = 0; held < 3; held++)
        for (int asked = 0; asked < 3; asked++) {
            char suffix[8];
            snprintf(suffix, sizeof(suffix), "%d%d", held, asked);
            const char *name = lock_name(s, suffix), *token = fresh_token();
            hold_mode(a, name, (pawl_mode)held);
            expect(a, ask_mode(name, token, (pawl_mode)asked, LONG_MS, 0),
                   fits[asked][held] ? PAWL_GRANTED : PAWL_BUSY);
        }
    client_close(a);
}

static void each_grant_has_a_larger_fence(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S | 1u << U);
    const char *name = lock_name(s, "x"), *tokens[4];
    static const pawl_mode modes[4] = {S, U, S, X};
    uint64_t last = 0;
    for (int i = 0; i < 4; i++) {
        tokens[i] = fresh_token();
        const seen_reply *r =
            expect(a, ask_mode(name, tokens[i], modes[i], LONG_MS, 0), PAWL_GRANTED);
        assert_true(r->reply.fence > last);
        last = r->reply.fence;
        if (i != 2) continue;
        for (int j = 0; j < 3; j++) expect(a, ask_release(name, tokens[j]), PAWL_RELEASED);
    }
    client_close(a);
}

static void each_holder_has_a_lease_of_its_own(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    const char *name = lock_name(s, "x"), *brief = fresh_token(), *long_one = fresh_token();
    uint64_t first = expect(a, ask_mode(name, long_one, S, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
    expect(a, ask_mode(name, brief, S, SHORT_MS, 0), PAWL_GRANTED);
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    expect(a, ask_renew(name, brief, SHORT_MS), PAWL_NOT_OWNER);
    const seen_reply *r = expect(a, ask_renew(name, long_one, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, first);
    expect(a, ask_mode(name, fresh_token(), X, LONG_MS, 0), PAWL_BUSY);
    client_close(a);
}

static void a_reader_that_asks_again_is_granted_again(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_mode(name, token, S, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
    hold_mode(a, name, S);
    wait_mode(a, name, X); /* whoever waits: it has its lease already */
    const seen_reply *r =
        expect(a, ask_mode(name, token, S, LONG_MS, PAWL_ASK_QUEUE), PAWL_GRANTED);
    assert_int_equal(r->reply.fence, fence);
    assert_true(r->reply.waiting);
    client_close(a);
}

static void a_token_releases_what_it_has_and_nothing_else(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    const char *name = lock_name(s, "x");
    const char *one = hold_mode(a, name, S), *two = hold_mode(a, name, S);
    expect(a, ask_release(name, fresh_token()), PAWL_NOT_OWNER);
    expect(a, ask_release(name, one), PAWL_RELEASED);
    expect(a, ask_release(name, one), PAWL_NOT_OWNER);
    expect(a, ask_mode(name, fresh_token(), X, LONG_MS, 0), PAWL_BUSY);
    expect(a, ask_renew(name, two, LONG_MS), PAWL_CONFIRMED);
    expect(a, ask_release(name, two), PAWL_RELEASED);
    hold_mode(a, name, X);
    client_close(a);
}

/* ---- The queue ----------------------------------------------------------------------------- */

static void a_writer_that_waits_stops_later_readers(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    const char *reader = hold_mode(a, name, S), *writer = wait_mode(b, name, X);
    expect(a, ask_mode(name, fresh_token(), S, LONG_MS, 0), PAWL_BUSY);
    const char *later = wait_mode(b, name, S);
    expect(a, ask_release(name, reader), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, writer);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, later));
    expect(b, ask_release(name, writer), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, later);
    client_close(a);
    client_close(b);
}

/* Each of them has a lease of its own. Stores whose requests are slow get fewer. */
static void a_writer_waits_behind_a_crowd_of_readers(void **state)
{
    enum { CROWD = 1000, FEW = 40, TTL_MS = 600000 };
    static const char *readers[CROWD];
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *writer = fresh_token(), *late = fresh_token();
    int count = s->kind->in_steps || s->kind->is_slow ? FEW : CROWD;
    for (int i = 0; i < count; i++) {
        readers[i] = fresh_token();
        expect(a, ask_mode(name, readers[i], S, TTL_MS, 0), PAWL_GRANTED);
    }
    expect(b, ask_mode(name, writer, X, TTL_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    expect(a, ask_mode(name, late, S, TTL_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    for (int i = 1; i < count; i++) expect(a, ask_release(name, readers[i]), PAWL_RELEASED);
    expect(b, ask_mode(name, writer, X, TTL_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    expect(a, ask_release(name, readers[0]), PAWL_RELEASED);
    expect(b, ask_mode(name, writer, X, TTL_MS, PAWL_ASK_QUEUE), PAWL_GRANTED);
    expect(a, ask_mode(name, late, S, TTL_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    expect(b, ask_release(name, writer), PAWL_RELEASED);
    expect(a, ask_mode(name, late, S, TTL_MS, PAWL_ASK_QUEUE), PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

static void one_release_lets_all_leading_readers_in(void **state)
{
    enum { READERS = 20 };
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *writer = hold_mode(a, name, X), *readers[READERS];
    for (int i = 0; i < READERS; i++) readers[i] = wait_mode(b, name, S);
    const char *next = wait_mode(b, name, X), *behind = wait_mode(b, name, S);
    expect(a, ask_release(name, writer), PAWL_RELEASED);
    uint64_t last = 0;
    for (int i = 0; i < READERS; i++) {
        const seen_push *push = client_await_push(b, PAWL_PUSH_GRANT, readers[i]);
        assert_true(push->push.fence > last); /* in order of arrival */
        assert_true(push->push.waiting);
        last = push->push.fence;
    }
    const pawl_info *info = inspect(a, name, NULL);
    assert_int_equal(info->holder_count, READERS);
    assert_int_equal(info->waiter_count, 2);
    for (int i = 0; i < READERS; i++) {
        assert_null(client_pushed(b, PAWL_PUSH_GRANT, next));
        expect(b, ask_release(name, readers[i]), PAWL_RELEASED);
    }
    client_await_push(b, PAWL_PUSH_GRANT, next);
    expect(b, ask_release(name, next), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, behind);
    client_close(a);
    client_close(b);
}

static void readers_come_in_when_the_writer_before_them_leaves_the_queue(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    hold_mode(a, name, S);
    const char *writer = wait_mode(b, name, X), *one = wait_mode(b, name, S),
               *two = wait_mode(b, name, S);
    expect(b, ask_release(name, writer), PAWL_LEFT);
    client_await_push(b, PAWL_PUSH_GRANT, one);
    client_await_push(b, PAWL_PUSH_GRANT, two);
    writer = wait_mode(b, name, X);
    const char *three = wait_mode(b, name, S);
    expect(b, ask_mode(name, writer, X, LONG_MS, 0), PAWL_BUSY); /* gives its place up */
    client_await_push(b, PAWL_PUSH_GRANT, three);
    client_close(a);
    client_close(b);
}

static void readers_come_in_when_the_writer_before_them_vanishes(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    hold_mode(a, name, S);
    const char *dead = wait_mode(a, name, X), *reader = wait_mode(b, name, S);
    expect(a, ask_mode(name, dead, X, SHORT_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    test_loop_for(s->loop, surely_over_ms(
                               a, SHORT_MS)); /* its place has run out; the next request finds it */
    expect(b, ask_mode(name, reader, S, LONG_MS, PAWL_ASK_QUEUE), PAWL_GRANTED);
    expect(a, ask_release(name, dead), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
}

static void the_last_dead_reader_lets_the_writer_in(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *living = hold_mode(a, name, S);
    expect(a, ask_mode(name, fresh_token(), S, SHORT_MS, 0), PAWL_GRANTED);
    const char *writer = wait_mode(b, name, X);
    expect(a, ask_release(name, living), PAWL_RELEASED);
    acquire_soon(b, name, writer, LONG_MS);
    client_close(a);
    client_close(b);
}

static void a_grant_from_the_queue_ends_with_its_place(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *writer = hold_mode(a, name, X), *reader = fresh_token();
    expect(b, ask_mode(name, reader, S, WIDE_MS, PAWL_ASK_QUEUE), PAWL_QUEUED);
    expect(a, ask_release(name, writer), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, reader);
    test_loop_for(s->loop,
                  surely_over_ms(a, pawl_place_span(WIDE_MS))); /* rule 8: less than its ttl */
    hold_mode(a, name, X);
    expect(b, ask_renew(name, reader, WIDE_MS), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
}

static void two_who_would_update_come_one_after_the_other(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << U);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    hold_mode(a, name, S);
    const char *first = hold_mode(a, name, U), *second = wait_mode(b, name, U);
    expect(a, ask_mode(name, fresh_token(), S, LONG_MS, 0), PAWL_BUSY); /* somebody waits */
    expect(a, ask_release(name, first), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, second);
    hold_mode(a, name, S);
    client_close(a);
    client_close(b);
}

static void holders_who_stand_in_the_way_are_told(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S | 1u << U);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    const char *reader = hold_mode(a, name, S), *updater = hold_mode(a, name, U);
    wait_mode(b, name, U);
    client_await_push(a, PAWL_PUSH_YIELD, updater);
    assert_null(client_pushed(a, PAWL_PUSH_YIELD, reader)); /* it fits beside a reader */
    const char *other = lock_name(s, "y");
    const char *one = hold_mode(a, other, S), *two = hold_mode(a, other, S);
    wait_mode(b, other, X);
    client_await_push(a, PAWL_PUSH_YIELD, one);
    client_await_push(a, PAWL_PUSH_YIELD, two);
    assert_true(expect(a, ask_renew(other, two, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    client_close(a);
    client_close(b);
}

/* ---- Reports, breaking -------------------------------------------------------------------- */

static void a_report_names_each_holder_and_what_waiters_want(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S | 1u << U);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    const char *reader = hold_mode(a, name, S);
    hold_mode(b, name, U);
    wait_mode(b, name, X);
    wait_mode(a, name, S);
    const pawl_info *info = inspect(a, name, reader);
    assert_true(info->held && info->mine);
    assert_int_equal(info->holder_count, 2);
    assert_int_equal(info->holders_shown, 2);
    assert_int_equal(info->capacity, 0);
    assert_int_equal(info->holders[0].mode, S);
    assert_int_equal(info->holders[1].mode, U);
    assert_string_equal(info->holders[0].owner, "a");
    assert_string_equal(info->holders[1].owner, "b");
    assert_true(info->holders[0].mine && !info->holders[1].mine);
    assert_true(info->holders[0].fence < info->holders[1].fence);
    assert_int_equal(info->fence, info->holders[1].fence);
    assert_int_equal(info->mode, U);
    assert_string_equal(info->owner, "b");
    assert_int_equal(info->waiters[0].mode, X);
    assert_int_equal(info->waiters[1].mode, S);
    client_close(a);
    client_close(b);
}

/* What a report says of one holder is what a BREAK of it needs. */
static void a_report_tells_the_fence_of_the_last_who_still_holds(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    const char *name = lock_name(s, "x"), *first = fresh_token();
    uint64_t fence = expect(a, ask_mode(name, first, S, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
    expect(a, ask_release(name, hold_mode(a, name, S)), PAWL_RELEASED);
    assert_int_equal(inspect(a, name, NULL)->fence, fence);
    expect(a, ask_break(name, fence), PAWL_RELEASED);
    client_close(a);
}

static void a_list_shows_a_name_once_however_many_hold_it(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    const char *name = lock_name(s, "x");
    for (int i = 0; i < 5; i++) hold_mode(a, name, S);
    pawl_request request = ask_list(name);
    uint64_t id = client_submit(a, &request);
    client_flush(a);
    assert_int_equal(client_await(a, id)->reply.outcome, PAWL_REPORTED);
    assert_int_equal(client_row_count(a, id), 1);
    assert_int_equal(client_row(a, id, 0)->holder_count, 5);
    client_close(a);
}

static void a_break_hits_the_holder_of_that_fence(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << S);
    const char *name = lock_name(s, "x"), *one = fresh_token();
    uint64_t fence = expect(a, ask_mode(name, one, S, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
    const char *two = hold_mode(a, name, S);
    expect(a, ask_break(name, fence - 1), PAWL_NOT_OWNER);
    expect(a, ask_break(name, fence), PAWL_RELEASED);
    client_await_push(a, PAWL_PUSH_RECHECK, NULL);
    const seen_reply *r = expect(a, ask_renew(name, one, LONG_MS), PAWL_NOT_OWNER);
    expect(a, ask_renew(name, two, LONG_MS), PAWL_CONFIRMED);
    const pawl_info *info = inspect(a, name, NULL);
    assert_int_equal(info->holder_count, 1);
    if (has_trait(a, TRAIT_NOTES)) {
        assert_string_equal(r->text, "a");
        assert_string_equal(info->broken_by, "a");
        assert_int_equal(info->broken_fence, fence);
    }
    client_close(a);
}

/* A holder that is to be upgraded does not renew: its CHANGE says so. */
static void a_holder_that_changes_is_told_who_broke_it(void **state)
{
    stage *s = *state;
    client *a = join_modes(s, "a", 1u << U);
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_mode(name, token, U, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
    expect(a, ask_break(name, fence), PAWL_RELEASED);
    assert_string_equal(expect(a, ask_change(name, token, X, 1, LONG_MS, 0), PAWL_NOT_OWNER)->text,
                        "a");
    client_close(a);
}

const struct CMUnitTest mode_cases[] = {
    CASE(the_table_says_who_fits_beside_whom),
    CASE(each_grant_has_a_larger_fence),
    CASE(each_holder_has_a_lease_of_its_own),
    CASE(a_reader_that_asks_again_is_granted_again),
    CASE(a_token_releases_what_it_has_and_nothing_else),
    CASE(a_writer_that_waits_stops_later_readers),
    CASE(a_writer_waits_behind_a_crowd_of_readers),
    CASE(one_release_lets_all_leading_readers_in),
    CASE(readers_come_in_when_the_writer_before_them_leaves_the_queue),
    CASE(readers_come_in_when_the_writer_before_them_vanishes),
    CASE(the_last_dead_reader_lets_the_writer_in),
    CASE(a_grant_from_the_queue_ends_with_its_place),
    CASE(two_who_would_update_come_one_after_the_other),
    CASE(holders_who_stand_in_the_way_are_told),
    CASE(a_report_names_each_holder_and_what_waiters_want),
    CASE(a_report_tells_the_fence_of_the_last_who_still_holds),
    CASE(a_list_shows_a_name_once_however_many_hold_it),
    CASE(a_break_hits_the_holder_of_that_fence),
    CASE(a_holder_that_changes_is_told_who_broke_it),
};
const size_t mode_case_count = sizeof(mode_cases) / sizeof(mode_cases[0]);
