/* SPDX-License-Identifier: MIT */
/* INSPECT, LIST, BREAK, DOCTOR. */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <stdio.h>
#include <string.h>

static uint64_t list(client *c, const char *prefix)
{
    pawl_request request = ask_list(prefix);
    uint64_t id = client_submit(c, &request);
    client_flush(c);
    const seen_reply *answer = client_await(c, id);
    if (answer->reply.outcome != PAWL_REPORTED)
        fail_msg("list: %s %s", outcome_name(answer->reply.outcome), answer->text);
    return id;
}

/* ---- INSPECT ----------------------------------------------------------------------------- */

static void a_lock_that_never_was_is_reported_free(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x");
    const pawl_info *info = inspect(a, name, NULL);
    assert_string_equal(info->name, name);
    assert_int_equal(info->name_len, strlen(name));
    assert_false(info->held || info->mine || info->foreign);
    assert_string_equal(info->owner, "");
    assert_int_equal(info->fence, 0);
    assert_int_equal(info->waiter_count, 0);
    client_close(a);
}

static void a_held_lock_is_reported_with_its_holder(void **state)
{
    stage *s = *state;
    client *a = join(s, "anna@host 42 backup");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    const pawl_info *info = inspect(b, name, NULL);
    assert_true(info->held);
    assert_false(info->mine);
    assert_false(info->foreign);
    assert_string_equal(info->owner, "anna@host 42 backup");
    assert_int_equal(info->fence, fence);
    assert_in_range(info->remaining_ms, LONG_MS / 2, told_at_most(a, LONG_MS));
    assert_true(inspect(b, name, token)->mine);
    assert_false(inspect(b, name, fresh_token())->mine);
    client_close(a);
    client_close(b);
}

static void looking_does_not_extend(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, SHORT_MS), PAWL_GRANTED);
    for (int64_t start = host_now(); inspect(a, name, token)->held;) {
        assert_true(host_now() - start < SOON_NS);
        test_loop_for(s->loop, 5);
    }
    expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
}

static void the_owner_label_is_kept_to_its_bound(void **state)
{
    stage *s = *state;
    char longest[PAWL_OWNER_MAX + 1];
    memset(longest, 'o', PAWL_OWNER_MAX);
    longest[PAWL_OWNER_MAX] = '\0';
    client *a = join(s, longest);
    const char *name = lock_name(s, "x"), *odd = lock_name(s, "odd");
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_string_equal(inspect(a, name, NULL)->owner, longest);
    pawl_request request = ask_acquire(odd, fresh_token(), LONG_MS);
    request.owner = "a \"quoted\"\tlabel | with \xe2\x98\x83 {x} ' and \\";
    expect(a, request, PAWL_GRANTED);
    assert_string_equal(inspect(a, odd, NULL)->owner, request.owner);
    client_close(a);
}

static void waiters_are_reported_in_order_with_their_ages(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "holder", TRAIT_FAIR);
    client *b = join(s, "first");
    client *c = join(s, "second");
    const char *name = lock_name(s, "x");
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    expect(b, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
    test_loop_for(s->loop, 60);
    expect(c, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
    const pawl_info *info = inspect(a, name, NULL);
    assert_int_equal(info->waiter_count, 2);
    assert_int_equal(info->waiters_shown, 2);
    assert_string_equal(info->waiters[0].owner, "first");
    assert_string_equal(info->waiters[1].owner, "second");
    assert_in_range(info->waiters[0].age_ms, 50, 50 + SOON_NS / 1000000);
    assert_true(info->waiters[0].age_ms >= info->waiters[1].age_ms + 40);
    for (int i = 0; i < 2; i++)
        assert_in_range(info->waiters[i].place_ms, 1, told_at_most(a, LONG_MS));
    client_close(a);
    client_close(b);
    client_close(c);
}

static void a_refresh_does_not_make_a_waiter_younger(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    const char *name = lock_name(s, "x"), *waiter = fresh_token();
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    expect(a, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    test_loop_for(s->loop, 60);
    expect(a, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    assert_true(inspect(a, name, NULL)->waiters[0].age_ms >= 50);
    client_close(a);
}

/* So many writes, each of which may wait for a disk: they live longer, and few are asked at once,
 * so that each is answered soon. */
#define MANY_LIVE_MS (10 * LONG_MS)

static void ask_one_of_many(client *c, pawl_request request, int i, int many)
{
    client_submit(c, &request);
    if (i % 32 && i + 1 < many) return;
    client_flush(c);
    client_await_all(c);
}

static void a_report_of_a_long_queue_is_bounded(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    const char *name = lock_name(s, "x");
    enum { WAITERS = PAWL_WAITERS_SHOWN_MAX + 5 };
    expect(a, ask_acquire(name, fresh_token(), MANY_LIVE_MS), PAWL_GRANTED);
    for (int i = 0; i < WAITERS; i++)
        ask_one_of_many(a, ask_queue(name, fresh_token(), MANY_LIVE_MS), i, WAITERS);
    const pawl_info *info = inspect(a, name, NULL);
    assert_int_equal(info->waiter_count, WAITERS);
    assert_int_equal(info->waiters_shown, PAWL_WAITERS_SHOWN_MAX);
    client_close(a);
}

/* ---- LIST ------------------------------------------------------------------------------------ */

static void a_list_has_what_is_held_or_waited_for_and_nothing_else(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_LIST);
    const char *held = lock_name(s, "held"), *wanted = lock_name(s, "wanted");
    const char *freed = lock_name(s, "freed"), *token = fresh_token();
    expect(a, ask_acquire(held, fresh_token(), LONG_MS), PAWL_GRANTED);
    expect(a, ask_acquire(wanted, fresh_token(), LONG_MS), PAWL_GRANTED);
    expect(a, ask_queue(wanted, fresh_token(), LONG_MS), PAWL_QUEUED);
    expect(a, ask_acquire(freed, token, LONG_MS), PAWL_GRANTED);
    expect(a, ask_release(freed, token), PAWL_RELEASED);
    uint64_t id = list(a, lock_name(s, ""));
    assert_int_equal(client_row_count(a, id), 2);
    const pawl_info *info = client_row_named(a, id, held);
    assert_non_null(info);
    assert_true(info->held);
    assert_string_equal(info->owner, "a");
    assert_int_equal(info->waiter_count, 0);
    info = client_row_named(a, id, wanted);
    assert_non_null(info);
    assert_int_equal(info->waiter_count, 1);
    id = list(a, ""); /* all: there may be others' */
    assert_non_null(client_row_named(a, id, held));
    assert_non_null(client_row_named(a, id, wanted));
    assert_null(client_row_named(a, id, freed));
    client_close(a);
}

static void an_expired_lock_is_not_listed(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_LIST);
    expect(a, ask_acquire(lock_name(s, "x"), fresh_token(), SHORT_MS), PAWL_GRANTED);
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    uint64_t id = list(a, lock_name(s, ""));
    assert_int_equal(client_row_count(a, id), 0);
    client_close(a);
}

/* Until somebody comes across it: then it is held again. */
static void a_lock_that_ran_out_is_listed_while_it_is_waited_for(void **state)
{
    stage *s = *state;
    static const char *const suffixes[] = {"x", "{tag}x"};
    client *a = join_with(s, "a", TRAIT_LIST);
    for (size_t i = 0; i < 2; i++) {
        const char *name = lock_name(s, suffixes[i]), *held = fresh_token();
        expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
        expect(a, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
        expect(a, ask_renew(name, held, SHORT_MS), PAWL_CONFIRMED);
    }
    test_loop_for(s->loop, surely_over_ms(a, SHORT_MS));
    uint64_t id = list(a, lock_name(s, ""));
    assert_int_equal(client_row_count(a, id), 2);
    for (size_t i = 0; i < 2; i++) {
        const pawl_info *info = client_row_named(a, id, lock_name(s, suffixes[i]));
        assert_non_null(info);
        assert_int_equal(info->waiter_count, info->held ? 0 : 1);
    }
    client_close(a);
}

static void a_prefix_is_no_pattern(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_LIST);
    static const char *const odd[] = {"a*b", "a?b", "a[x]b", "axb", "a\\b",
                                      "a%b", "a_b", "a{b}",  "A*b"};
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        expect(a, ask_acquire(lock_name(s, odd[i]), fresh_token(), LONG_MS), PAWL_GRANTED);
    static const struct {
        const char *prefix;
        size_t matches;
    } looks[] = {{"a*", 1}, {"a?", 1}, {"a[", 1}, {"a[x]", 1}, {"a\\", 1}, {"a%", 1},  {"a_", 1},
                 {"a{", 1}, {"a", 8},  {"A", 1},  {"*", 0},    {"a*b", 1}, {"a*bc", 0}};
    for (size_t i = 0; i < sizeof(looks) / sizeof(looks[0]); i++) {
        uint64_t id = list(a, lock_name(s, looks[i].prefix));
        if (client_row_count(a, id) != looks[i].matches)
            fail_msg("prefix %s: %zu rows, expected %zu", looks[i].prefix, client_row_count(a, id),
                     looks[i].matches);
    }
    client_close(a);
}

static void a_long_list_is_complete(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_LIST);
    enum { LOCKS = 500 };
    for (int i = 0; i < LOCKS; i++) {
        char suffix[32];
        snprintf(suffix, sizeof(suffix), "many-%d", i);
        const char *name = lock_name(s, suffix);
        ask_one_of_many(a, ask_acquire(name, fresh_token(), MANY_LIVE_MS), i, LOCKS);
    }
    uint64_t id = list(a, lock_name(s, "many-"));
    assert_int_equal(client_row_count(a, id), LOCKS);
    for (int i = 0; i < LOCKS; i++) {
        char suffix[32];
        snprintf(suffix, sizeof(suffix), "many-%d", i);
        assert_non_null(client_row_named(a, id, lock_name(s, suffix)));
    }
    client_close(a);
}

/* ---- BREAK ------------------------------------------------------------------------ */

static void breaking_needs_the_present_fence(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(b, ask_break(name, 1), PAWL_NOT_OWNER); /* free */
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    expect(b, ask_break(name, fence - 1), PAWL_NOT_OWNER);
    expect(b, ask_break(name, fence + 1), PAWL_NOT_OWNER);
    expect(b, ask_break(name, 0), PAWL_NOT_OWNER);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    expect(b, ask_break(name, fence), PAWL_RELEASED);
    expect(b, ask_break(name, fence), PAWL_NOT_OWNER);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    expect(a, ask_release(name, token), PAWL_NOT_OWNER);
    const seen_reply *next = expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_true(next->reply.fence > fence);
    client_close(a);
    client_close(b);
}

static void breaking_hands_off(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_FAIR);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *waiter = fresh_token();
    uint64_t fence =
        expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED)->reply.fence;
    expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    expect(b, ask_break(name, fence), PAWL_RELEASED);
    assert_true(client_await_push(b, PAWL_PUSH_GRANT, waiter)->push.fence > fence);
    expect(b, ask_break(name, fence), PAWL_NOT_OWNER); /* the new holder has another */
    expect(b, ask_renew(name, waiter, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
    client_close(b);
}

/* Rule 13: whoever asks is told, and so is the one whose lease it was. */
static void a_break_is_told_to_who_looks_and_to_whose_lease_it_was(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_NOTES);
    client *b = join(s, "b@host 42 breaker");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    assert_null(inspect(a, name, NULL)->broken_by);
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_null(inspect(b, name, NULL)->broken_by);
    expect(b, ask_break(name, fence), PAWL_RELEASED);
    const pawl_info *info = inspect(a, name, NULL);
    assert_false(info->held);
    assert_string_equal(info->broken_by, "b@host 42 breaker");
    assert_int_equal(info->broken_fence, fence);
    assert_in_range(info->broken_ms, 0, SOON_NS / 1000000);
    assert_string_equal(expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER)->text,
                        "b@host 42 breaker");
    assert_string_equal(expect(a, ask_renew(name, fresh_token(), LONG_MS), PAWL_NOT_OWNER)->text,
                        "");
    client_close(a);
    client_close(b);
}

static void a_break_is_remembered_beside_the_next_holder_and_lists_nothing(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_NOTES);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *waiter = fresh_token();
    uint64_t fence =
        expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED)->reply.fence;
    expect(a, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    expect(b, ask_break(name, fence), PAWL_RELEASED);
    const pawl_info *info = inspect(a, name, NULL);
    assert_true(info->held);
    assert_string_equal(info->broken_by, "b");
    assert_int_equal(info->broken_fence, fence);
    expect(a, ask_release(name, waiter), PAWL_RELEASED);
    assert_string_equal(inspect(a, name, NULL)->broken_by, "b");
    uint64_t id = list(a, name);
    assert_int_equal(client_row_count(a, id), 0);
    client_close(a);
    client_close(b);
}

/* Each is told of its own; of a name the newest are kept. */
static void the_latest_breaks_are_remembered_each(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_NOTES);
    const char *name = lock_name(s, "x"), *tokens[PAWL_BROKEN_MAX + 2];
    for (size_t i = 0; i < PAWL_BROKEN_MAX + 2; i++) {
        char label[32];
        tokens[i] = fresh_token();
        snprintf(label, sizeof(label), "breaker %zu", i);
        const seen_reply *granted = expect(a, ask_acquire(name, tokens[i], LONG_MS), PAWL_GRANTED);
        pawl_request request = ask_break(name, granted->reply.fence);
        request.owner = label;
        expect(a, request, PAWL_RELEASED);
    }
    for (size_t i = 0; i < PAWL_BROKEN_MAX + 2; i++) {
        char label[32] = "";
        if (i >= 2) snprintf(label, sizeof(label), "breaker %zu", i);
        assert_string_equal(expect(a, ask_renew(name, tokens[i], LONG_MS), PAWL_NOT_OWNER)->text,
                            label);
    }
    assert_string_equal(inspect(a, name, NULL)->broken_by, "breaker 17");
    client_close(a);
}

/* ---- DOCTOR ----------------------------------------------------------------------- */

static void the_doctor_answers(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    expect(a, ask_doctor(), PAWL_REPORTED);
    assert_true(client_finding_count(a) > 0);
    client_close(a);
}

const struct CMUnitTest report_cases[] = {
    CASE(a_lock_that_never_was_is_reported_free),
    CASE(a_held_lock_is_reported_with_its_holder),
    CASE(looking_does_not_extend),
    CASE(the_owner_label_is_kept_to_its_bound),
    CASE(waiters_are_reported_in_order_with_their_ages),
    CASE(a_refresh_does_not_make_a_waiter_younger),
    CASE(a_report_of_a_long_queue_is_bounded),
    CASE(a_list_has_what_is_held_or_waited_for_and_nothing_else),
    CASE(an_expired_lock_is_not_listed),
    CASE(a_lock_that_ran_out_is_listed_while_it_is_waited_for),
    CASE(a_prefix_is_no_pattern),
    CASE(a_long_list_is_complete),
    CASE(breaking_needs_the_present_fence),
    CASE(breaking_hands_off),
    CASE(a_break_is_told_to_who_looks_and_to_whose_lease_it_was),
    CASE(a_break_is_remembered_beside_the_next_holder_and_lists_nothing),
    CASE(the_latest_breaks_are_remembered_each),
    CASE(the_doctor_answers),
};
const size_t report_case_count = sizeof(report_cases) / sizeof(report_cases[0]);
