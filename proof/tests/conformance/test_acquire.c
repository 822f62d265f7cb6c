/* SPDX-License-Identifier: MIT */
/* Rules 3 to 6: tokens, order, expiry, fences. */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

static uint64_t wall_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

/* ---- Rule 3: idempotent by token, compared whole --------------------------------------- */

static void a_free_lock_is_granted(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const seen_reply *r =
        expect(a, ask_acquire(lock_name(s, "x"), fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_false(r->reply.waiting);
    client_close(a);
}

static void a_held_lock_is_busy_and_says_for_how_long(void **state)
{
    stage *s = *state;
    client *a = join(s, "holder's label");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    const seen_reply *r = expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    assert_in_range(r->reply.holder_ms, LONG_MS / 2, told_at_most(b, LONG_MS));
    if (r->reply.message) assert_string_equal(r->reply.message, "holder's label");
    client_close(a);
    client_close(b);
}

static void a_second_token_of_the_same_client_is_somebody_else(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x");
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    client_close(a);
}

static void asking_again_grants_again_with_the_same_fence(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    const seen_reply *r = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    assert_int_equal(r->reply.fence, fence);
    r = expect(a, ask_queue(name, token, LONG_MS), PAWL_GRANTED);
    assert_int_equal(r->reply.fence, fence);
    client_close(a);
}

static void asking_again_gives_a_full_ttl(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS / 2), PAWL_GRANTED);
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    assert_in_range(inspect(a, name, token)->remaining_ms, LONG_MS * 3 / 4,
                    told_at_most(a, LONG_MS));
    client_close(a);
}

static void renew_sets_the_ttl_and_keeps_the_fence(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    const seen_reply *r = expect(a, ask_renew(name, token, 2 * LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    assert_false(r->reply.waiting);
    assert_in_range(inspect(a, name, token)->remaining_ms, LONG_MS * 3 / 2,
                    told_at_most(a, 2 * LONG_MS));
    expect(a, ask_renew(name, token, LONG_MS / 2), PAWL_CONFIRMED); /* set, not added */
    assert_in_range(inspect(a, name, token)->remaining_ms, 1, told_at_most(a, LONG_MS / 2));
    client_close(a);
}

static void only_the_owner_renews_and_releases(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(b, ask_renew(name, fresh_token(), LONG_MS), PAWL_NOT_OWNER);
    expect(b, ask_release(name, fresh_token()), PAWL_NOT_OWNER);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
    client_close(b);
}

static void nothing_is_renewed_or_released_that_never_was(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    expect(a, ask_release(name, token), PAWL_NOT_OWNER);
    assert_false(inspect(a, name, token)->held);
    client_close(a);
}

static void a_second_release_is_not_the_owners(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(a, ask_release(name, token), PAWL_RELEASED);
    expect(a, ask_release(name, token), PAWL_NOT_OWNER);
    client_close(a);
}

static void a_release_frees_the_lock_for_others(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(a, ask_release(name, token), PAWL_RELEASED);
    expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

static void any_client_with_the_token_is_the_owner(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    pawl_request request = ask_acquire(name, token, LONG_MS);
    if (s->kind->in_session) request.flags = PAWL_ASK_DETACHED;
    uint64_t fence = expect(a, request, PAWL_GRANTED)->reply.fence;
    assert_int_equal(expect(b, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    expect(b, ask_release(name, token), PAWL_RELEASED);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
}

/* It cannot keep the other's session alive, so it must not say that it has renewed. */
static void another_client_releases_what_is_in_a_session_and_renews_it_not(void **state)
{
    stage *s = *state;
    if (!s->kind->in_session) skip_case("a lease of this store lives in no session");
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    const seen_reply *r = expect(b, ask_renew(name, token, LONG_MS), PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_UNSUPPORTED);
    assert_int_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    expect(b, ask_release(name, token), PAWL_RELEASED);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
}

/* ---- Rule 4: the order of submit --------------------------------------------------------- */

static void requests_take_effect_in_the_order_of_submit(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    enum { ROUNDS = 50 };
    uint64_t ids[ROUNDS][3];
    for (int i = 0; i < ROUNDS; i++) {
        const char *name = lock_name(s, "x"), *token = fresh_token();
        pawl_request acquire = ask_acquire(name, token, LONG_MS);
        pawl_request renew = ask_renew(name, token, LONG_MS);
        pawl_request release = ask_release(name, token);
        ids[i][0] = client_submit(a, &acquire);
        ids[i][1] = client_submit(a, &renew);
        ids[i][2] = client_submit(a, &release);
    }
    client_flush(a);
    for (int i = 0; i < ROUNDS; i++) {
        assert_int_equal(client_await(a, ids[i][0])->reply.outcome, PAWL_GRANTED);
        assert_int_equal(client_await(a, ids[i][1])->reply.outcome, PAWL_CONFIRMED);
        assert_int_equal(client_await(a, ids[i][2])->reply.outcome, PAWL_RELEASED);
    }
    client_close(a);
}

static void a_release_undoes_the_acquire_before_it(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *mine = fresh_token(), *queued = fresh_token();
    pawl_request acquire = ask_queue(name, mine, LONG_MS), release = ask_release(name, mine);
    client_submit(a, &acquire);
    uint64_t released = client_submit(a, &release);
    client_flush(a);
    assert_int_equal(client_await(a, released)->reply.outcome, PAWL_RELEASED);
    expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    acquire = ask_queue(name, queued, LONG_MS);
    release = ask_release(name, queued);
    client_submit(a, &acquire);
    released = client_submit(a, &release);
    client_flush(a);
    assert_int_equal(client_await(a, released)->reply.outcome, PAWL_LEFT);
    assert_int_equal(inspect(a, name, NULL)->waiter_count, 0);
    client_close(a);
    client_close(b);
}

/* ---- Rule 5: expiry ------------------------------------------------------------------------ */

static void a_lease_expires_not_before_its_ttl_and_soon_after(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    const seen_reply *first = expect(a, ask_acquire(name, fresh_token(), SHORT_MS), PAWL_GRANTED);
    const seen_reply *second = acquire_soon(b, name, fresh_token(), LONG_MS);
    int64_t gap_ms = (second->answered_at - first->sent_at) / 1000000;
    /* Two clocks tick here, the store's and ours; each may round by one. */
    assert_in_range(gap_ms, SHORT_MS - 2, told_at_most(b, SHORT_MS) + 5000);
    assert_true(second->reply.fence > first->reply.fence);
    client_close(a);
    client_close(b);
}

static void what_has_expired_does_not_come_back(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, SHORT_MS), PAWL_GRANTED)->reply.fence;
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    expect(a, ask_release(name, token), PAWL_NOT_OWNER);
    assert_false(inspect(a, name, token)->held);
    /* The token may ask anew, but that is another grant (law 5). */
    assert_true(expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence > fence);
    client_close(a);
}

static void a_stale_release_does_not_free_the_successor(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *stale = fresh_token(), *token = fresh_token();
    expect(a, ask_acquire(name, stale, SHORT_MS), PAWL_GRANTED);
    acquire_soon(b, name, token, LONG_MS);
    expect(a, ask_release(name, stale), PAWL_NOT_OWNER);
    expect(a, ask_renew(name, stale, LONG_MS), PAWL_NOT_OWNER);
    expect(a, ask_acquire(name, stale, LONG_MS), PAWL_BUSY);
    expect(b, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
    client_close(b);
}

static void renewals_keep_a_lease_alive_beyond_its_ttl(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    int64_t ttl_ms = 1500; /* wide, so that a busy machine does not miss a turn */
    expect(a, ask_acquire(name, token, ttl_ms), PAWL_GRANTED);
    for (int64_t start = host_now(); host_now() - start < 2 * ttl_ms * 1000000;) {
        test_loop_for(s->loop, ttl_ms / 5);
        expect(a, ask_renew(name, token, ttl_ms), PAWL_CONFIRMED);
        expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    }
    client_close(a);
    client_close(b);
}

static void the_shortest_and_the_longest_ttl_work(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *brief = lock_name(s, "brief"), *day = lock_name(s, "day");
    const char *token = fresh_token();
    expect(a, ask_acquire(brief, fresh_token(), PAWL_TTL_MIN_MS), PAWL_GRANTED);
    acquire_soon(a, brief, fresh_token(), PAWL_TTL_MIN_MS);
    expect(a, ask_acquire(day, token, PAWL_TTL_MAX_MS), PAWL_GRANTED);
    expect(a, ask_renew(day, token, PAWL_TTL_MAX_MS), PAWL_CONFIRMED);
    assert_in_range(inspect(a, day, token)->remaining_ms, PAWL_TTL_MAX_MS - 60000,
                    told_at_most(a, PAWL_TTL_MAX_MS));
    expect(a, ask_release(day, token), PAWL_RELEASED);
    client_close(a);
}

/* ---- Rule 6: fences --------------------------------------------------------------- */

static void fences_grow_from_the_clock_and_fit_53_bits(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    uint64_t last = 0, second = 1000000;
    /* A clock of whole seconds is behind by up to one. */
    if (client_caps(a)->fence == PAWL_FENCE_BEST_EFFORT) second *= 5;
    for (int i = 0; i < 20; i++) {
        client *c = i % 2 ? a : b;
        const char *token = fresh_token();
        uint64_t fence = expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
        assert_true(fence > last);
        if (!s->kind->counts_fences) assert_true(fence + second > wall_us());
        assert_true(fence < UINT64_C(1) << 53);
        last = fence;
        expect(c, ask_release(name, token), PAWL_RELEASED);
    }
    client_close(a);
    client_close(b);
}

static void fences_of_a_burst_are_all_different(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x");
    enum { ROUNDS = 100 };
    uint64_t ids[ROUNDS], last = 0;
    for (int i = 0; i < ROUNDS; i++) {
        const char *token = fresh_token();
        pawl_request acquire = ask_acquire(name, token, LONG_MS);
        pawl_request release = ask_release(name, token);
        ids[i] = client_submit(a, &acquire);
        client_submit(a, &release);
    }
    client_flush(a);
    for (int i = 0; i < ROUNDS; i++) {
        const seen_reply *r = client_await(a, ids[i]);
        assert_int_equal(r->reply.outcome, PAWL_GRANTED);
        assert_true(r->reply.fence > last);
        last = r->reply.fence;
    }
    client_await_all(a);
    client_close(a);
}

/* ---- Names ------------------------------------------------------------------------ */

static void names_are_bytes(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    static char longest[PAWL_NAME_MAX + 1], longest_but_one[PAWL_NAME_MAX];
    bool is_fair = has_trait(a, TRAIT_FAIR);
    memset(longest, 'n', PAWL_NAME_MAX);
    memset(longest_but_one, 'n', PAWL_NAME_MAX - 1);
    static const char *const names[] = {"a",
                                        "A",
                                        " ",
                                        "a ",
                                        " a",
                                        "with space",
                                        "line\nbreak",
                                        "cr\r\nlf",
                                        "\t",
                                        "{",
                                        "}",
                                        "{}",
                                        "{tag}",
                                        "{tag}:q",
                                        "{tag}:f",
                                        "}{",
                                        "a{b}c",
                                        "tag",
                                        "tag:q",
                                        "*",
                                        "?",
                                        "[a-z]",
                                        "\\",
                                        "\\*",
                                        "'; DROP TABLE lock; --",
                                        "\"",
                                        "%s%n%p",
                                        "%41",
                                        "/",
                                        "//",
                                        "../x",
                                        "\xc3\xbcn\xc3\xaf c",
                                        "\xe2\x98\x83",
                                        "u\xcc\x88",
                                        "\xff\xfe not UTF-8",
                                        "\x01\x7f",
                                        "-1",
                                        "0",
                                        "null",
                                        longest,
                                        longest_but_one};
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    const char *tokens[COUNT];
    for (size_t i = 0; i < COUNT; i++) /* all at once: no two of them are one lock */
        expect(a, ask_acquire(names[i], tokens[i] = fresh_token(), LONG_MS), PAWL_GRANTED);
    for (size_t i = 0; i < COUNT; i++) {
        expect(b, ask_queue(names[i], fresh_token(), LONG_MS), PAWL_QUEUED);
        const pawl_info *info = inspect(b, names[i], tokens[i]);
        assert_string_equal(info->name, names[i]);
        assert_int_equal(info->name_len, strlen(names[i]));
        assert_true(info->held && info->mine);
        assert_int_equal(info->waiter_count, is_fair ? 1 : 0);
    }
    for (size_t i = 0; i < COUNT; i++) {
        expect(a, ask_renew(names[i], tokens[i], LONG_MS), PAWL_CONFIRMED);
        expect(a, ask_release(names[i], tokens[i]), PAWL_RELEASED);
        /* to b's waiter, if there is a queue, and by exactly this name */
        assert_int_equal(inspect(a, names[i], NULL)->held, is_fair);
    }
    client_close(a);
    client_close(b);
}

const struct CMUnitTest acquire_cases[] = {
    CASE(a_free_lock_is_granted),
    CASE(a_held_lock_is_busy_and_says_for_how_long),
    CASE(a_second_token_of_the_same_client_is_somebody_else),
    CASE(asking_again_grants_again_with_the_same_fence),
    CASE(asking_again_gives_a_full_ttl),
    CASE(renew_sets_the_ttl_and_keeps_the_fence),
    CASE(only_the_owner_renews_and_releases),
    CASE(nothing_is_renewed_or_released_that_never_was),
    CASE(a_second_release_is_not_the_owners),
    CASE(a_release_frees_the_lock_for_others),
    CASE(any_client_with_the_token_is_the_owner),
    CASE(another_client_releases_what_is_in_a_session_and_renews_it_not),
    CASE(requests_take_effect_in_the_order_of_submit),
    CASE(a_release_undoes_the_acquire_before_it),
    CASE(a_lease_expires_not_before_its_ttl_and_soon_after),
    CASE(what_has_expired_does_not_come_back),
    CASE(a_stale_release_does_not_free_the_successor),
    CASE(renewals_keep_a_lease_alive_beyond_its_ttl),
    CASE(the_shortest_and_the_longest_ttl_work),
    CASE(fences_grow_from_the_clock_and_fit_53_bits),
    CASE(fences_of_a_burst_are_all_different),
    CASE(names_are_bytes),
};
const size_t acquire_case_count = sizeof(acquire_cases) / sizeof(acquire_cases[0]);
