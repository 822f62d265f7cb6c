/* SPDX-License-Identifier: MIT */
/* A value beside a name: PUBLISH, READ and NEWS (rule 12 of pawl/store.h). */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <string.h>

static const char *hold(client *c, const char *name)
{
    const char *token = fresh_token();
    expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    return token;
}

static const pawl_value *read_value(client *c, const char *name, int64_t watch_ms)
{
    const seen_reply *r = expect(c, ask_read(name, watch_ms), PAWL_REPORTED);
    assert_non_null(r->reply.value);
    return r->reply.value;
}

static void reads_as(client *c, const char *name, const char *text)
{
    const pawl_value *value = read_value(c, name, 0);
    assert_int_equal(value->len, strlen(text));
    assert_memory_equal(value->bytes, text, value->len);
}

static void what_a_holder_publishes_everybody_reads(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a writer", TRAIT_VALUES);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_int_equal(read_value(b, name, 0)->fence, 0);
    assert_int_equal(expect(a, ask_publish(name, token, "one"), PAWL_CONFIRMED)->reply.fence,
                     fence);
    reads_as(b, name, "one");
    const pawl_value *value = read_value(b, name, 0);
    assert_int_equal(value->fence, fence);
    assert_string_equal(value->owner, "a writer");
    assert_true(value->at_us > 0 && value->at_us <= value->now_us);
    assert_true(value->now_us - value->at_us < INT64_C(60000000));
    pawl_request two = ask_publish(name, token, "two");
    expect(a, two, PAWL_CONFIRMED);
    expect(a, two, PAWL_CONFIRMED); /* its reply was lost */
    reads_as(b, name, "two");
    assert_int_equal(inspect(b, name, NULL)->fence, fence); /* nothing was granted */
    client_close(a);
    client_close(b);
}

static void only_a_holder_publishes(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x");
    expect(a, ask_publish(name, fresh_token(), "free"), PAWL_NOT_OWNER);
    const char *token = hold(a, name), *waits = fresh_token();
    expect(b, ask_queue(name, waits, LONG_MS), PAWL_QUEUED);
    expect(b, ask_publish(name, waits, "waiter"), PAWL_NOT_OWNER);
    expect(b, ask_publish(name, fresh_token(), "stranger"), PAWL_NOT_OWNER);
    assert_int_equal(read_value(b, name, 0)->fence, 0);
    expect(a, ask_publish(name, token, "mine"), PAWL_CONFIRMED);
    expect(a, ask_release(name, token), PAWL_RELEASED);
    expect(a, ask_publish(name, token, "late"), PAWL_NOT_OWNER);
    reads_as(b, name, "mine");
    client_close(a);
    client_close(b);
}

/* Its connection was lost; what it had sent is carried out behind what came on the next one. */
static void a_publication_that_comes_late_undoes_nothing(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    const char *name = lock_name(s, "x"), *token = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    pawl_request first = ask_publish(name, token, "first");
    pawl_request second = ask_publish(name, token, "second");
    pawl_request third = ask_publish(name, token, "third");
    expect(a, second, PAWL_CONFIRMED);
    assert_int_equal(expect(a, first, PAWL_CONFIRMED)->reply.fence, fence);
    reads_as(a, name, "second");
    int64_t at_us = read_value(a, name, 0)->at_us;
    second.keep_ms = 1; /* again: not even how long it stays changes */
    expect(a, second, PAWL_CONFIRMED);
    expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    expect(a, first, PAWL_CONFIRMED);
    test_loop_for(client_loop(a), 20);
    reads_as(a, name, "second");
    assert_int_equal(read_value(a, name, 0)->at_us, at_us);
    expect(a, third, PAWL_CONFIRMED);
    expect(a, second, PAWL_CONFIRMED);
    reads_as(a, name, "third");
    expect(a, ask_release(name, token), PAWL_RELEASED);
    expect(a, third, PAWL_NOT_OWNER);
    token = hold(a, name); /* another lease counts anew */
    first.token = token;
    expect(a, first, PAWL_CONFIRMED);
    reads_as(a, name, "first");
    client_close(a);
}

/* Readers count each by its lease; a lease counts on, whatever becomes of its mode. */
static void publications_are_counted_by_lease(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join_modes(s, "b", 1u << PAWL_MODE_SHARED | 1u << PAWL_MODE_UPDATE);
    const char *name = lock_name(s, "x"), *one = fresh_token(), *two = fresh_token();
    pawl_request lates[3];
    expect(a, ask_acquire(name, one, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < 3; i++) lates[i] = ask_publish(name, one, "late");
    expect(a, ask_publish(name, one, "exclusive"), PAWL_CONFIRMED);
    expect(a, lates[0], PAWL_CONFIRMED);
    reads_as(b, name, "exclusive");
    expect(a, ask_change(name, one, PAWL_MODE_UPDATE, 1, LONG_MS, 0), PAWL_GRANTED);
    expect(a, lates[1], PAWL_CONFIRMED);
    reads_as(b, name, "exclusive");
    expect(a, ask_change(name, one, PAWL_MODE_EXCLUSIVE, 2, LONG_MS, 0), PAWL_GRANTED);
    expect(a, lates[2], PAWL_CONFIRMED);
    reads_as(b, name, "exclusive");
    expect(a, ask_change(name, one, PAWL_MODE_SHARED, 3, LONG_MS, 0), PAWL_GRANTED);
    expect(b, ask_mode(name, two, PAWL_MODE_SHARED, LONG_MS, 0), PAWL_GRANTED);
    pawl_request other = ask_publish(name, two, "other");
    expect(a, ask_publish(name, one, "shared"), PAWL_CONFIRMED);
    expect(b, other, PAWL_CONFIRMED); /* its number is smaller, its lease is another one */
    reads_as(a, name, "other");
    expect(a, lates[0], PAWL_CONFIRMED);
    reads_as(a, name, "other");
    expect(b, ask_renew(name, two, LONG_MS), PAWL_CONFIRMED);
    expect(a, ask_publish(name, one, "newest"), PAWL_CONFIRMED);
    expect(b, other, PAWL_CONFIRMED);
    reads_as(a, name, "newest");
    client_close(a);
    client_close(b);
}

/* The same where no mode changes: each of two holders has numbers of its own. */
static void publications_of_permits_are_counted_by_lease(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join_modes(s, "b", 1u << PAWL_MODE_PERMIT);
    const char *name = lock_name(s, "x"), *one = fresh_token(), *two = fresh_token();
    expect(a, ask_permits(name, one, 1, 2, LONG_MS, 0), PAWL_GRANTED);
    expect(b, ask_permits(name, two, 1, 2, LONG_MS, 0), PAWL_GRANTED);
    pawl_request late = ask_publish(name, one, "late"), other = ask_publish(name, two, "other");
    expect(a, ask_publish(name, one, "one"), PAWL_CONFIRMED);
    expect(b, other, PAWL_CONFIRMED); /* its number is smaller, its lease is another one */
    reads_as(a, name, "other");
    expect(a, late, PAWL_CONFIRMED);
    reads_as(a, name, "other");
    expect(b, ask_renew(name, two, LONG_MS), PAWL_CONFIRMED);
    expect(a, ask_publish(name, one, "newest"), PAWL_CONFIRMED);
    expect(b, other, PAWL_CONFIRMED);
    reads_as(b, name, "newest");
    expect(a, ask_release(name, one), PAWL_RELEASED);
    expect(b, other, PAWL_CONFIRMED); /* it is remembered beside those who have gone */
    reads_as(b, name, "newest");
    client_close(a);
    client_close(b);
}

static void whose_lease_ran_out_publishes_no_more(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    const char *name = lock_name(s, "x"), *token = fresh_token();
    expect(a, ask_acquire(name, token, SHORT_MS), PAWL_GRANTED);
    test_loop_for(client_loop(a), surely_over_ms(a, SHORT_MS));
    expect(a, ask_publish(name, token, "late"), PAWL_NOT_OWNER);
    assert_int_equal(read_value(a, name, 0)->fence, 0);
    client_close(a);
}

static void a_value_outlives_the_lease_and_ends_when_it_is_to(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = hold(a, name);
    pawl_request request = ask_publish(name, token, "kept");
    request.keep_ms = WIDE_MS;
    expect(a, request, PAWL_CONFIRMED);
    expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    reads_as(b, name, "kept");
    test_loop_for(client_loop(b), surely_over_ms(b, WIDE_MS));
    assert_int_equal(read_value(b, name, 0)->fence, 0);
    client_close(b);
}

static void the_next_holder_replaces_it_under_a_larger_fence(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *token = hold(a, name);
    uint64_t before = expect(a, ask_publish(name, token, "a"), PAWL_CONFIRMED)->reply.fence;
    expect(a, ask_release(name, token), PAWL_RELEASED);
    token = hold(b, name);
    reads_as(a, name, "a");
    uint64_t after = expect(b, ask_publish(name, token, "b"), PAWL_CONFIRMED)->reply.fence;
    assert_true(after > before);
    reads_as(a, name, "b");
    assert_int_equal(read_value(a, name, 0)->fence, after);
    client_close(a);
    client_close(b);
}

static void values_of_all_lengths_and_bytes(void **state)
{
    static char longest[PAWL_STORED_MAX];
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    const char *name = lock_name(s, "x"), *token = hold(a, name);
    memset(longest, 'x', sizeof(longest));
    memcpy(longest, "\0\r\n\xff\xfe", 5);
    pawl_request request = ask_publish(name, token, "");
    expect(a, request, PAWL_CONFIRMED);
    assert_int_equal(read_value(a, name, 0)->len, 0);
    assert_true(read_value(a, name, 0)->fence > 0);
    request = ask_publish(name, token, "");
    request.value = longest;
    request.value_len = sizeof(longest);
    expect(a, request, PAWL_CONFIRMED);
    const pawl_value *value = read_value(a, name, 0);
    assert_int_equal(value->len, sizeof(longest));
    assert_memory_equal(value->bytes, longest, sizeof(longest));
    client_close(a);
}

static void who_watches_hears_of_each_value(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join(s, "b");
    client *c = join(s, "c");
    const char *name = lock_name(s, "x"), *token = hold(a, name);
    read_value(b, name, LONG_MS);
    read_value(b, name, LONG_MS); /* again: one watch */
    read_value(c, name, 0);
    expect(a, ask_publish(name, token, "one"), PAWL_CONFIRMED);
    const seen_push *push = client_await_push(b, PAWL_PUSH_NEWS, NULL);
    assert_int_equal(push->push.name_len, strlen(name));
    assert_memory_equal(push->push.name, name, strlen(name));
    reads_as(b, name, "one");
    assert_int_equal(client_push_count(b, PAWL_PUSH_NEWS), 1);
    expect(a, ask_publish(name, token, "two"), PAWL_CONFIRMED);
    expect(a, ask_publish(name, fresh_token(), "three"), PAWL_NOT_OWNER);
    for (int64_t start = host_now(); client_push_count(b, PAWL_PUSH_NEWS) < 2;) {
        assert_true(host_now() - start < SOON_NS);
        test_loop_for(client_loop(b), 5);
    }
    reads_as(b, name, "two");
    assert_int_equal(client_push_count(b, PAWL_PUSH_NEWS), 2);
    assert_int_equal(client_push_count(a, PAWL_PUSH_NEWS), 0);
    assert_int_equal(client_push_count(c, PAWL_PUSH_NEWS), 0);
    client_close(a);
    client_close(b);
    client_close(c);
}

static void a_watch_ends_by_itself_and_with_its_client(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join(s, "b");
    client *gone = join(s, "gone");
    const char *name = lock_name(s, "x"), *token = hold(a, name);
    read_value(b, name, SHORT_MS);
    read_value(gone, name, LONG_MS);
    client_close(gone);
    test_loop_for(client_loop(b), SHORT_MS + 50);
    expect(a, ask_publish(name, token, "one"), PAWL_CONFIRMED);
    reads_as(b, name, "one");
    assert_int_equal(client_push_count(b, PAWL_PUSH_NEWS), 0);
    client_close(a);
    client_close(b);
}

static void holders_of_permits_publish_too(void **state)
{
    stage *s = *state;
    client *a = join_with(s, "a", TRAIT_VALUES);
    client *b = join_modes(s, "b", 1u << PAWL_MODE_PERMIT);
    const char *name = lock_name(s, "x"), *one = fresh_token(), *two = fresh_token();
    expect(a, ask_permits(name, one, 1, 2, LONG_MS, 0), PAWL_GRANTED);
    uint64_t fence = expect(b, ask_permits(name, two, 1, 2, LONG_MS, 0), PAWL_GRANTED)->reply.fence;
    expect(a, ask_publish(name, one, "one"), PAWL_CONFIRMED);
    assert_int_equal(expect(b, ask_publish(name, two, "two"), PAWL_CONFIRMED)->reply.fence, fence);
    reads_as(a, name, "two");
    expect(a, ask_publish(name, fresh_token(), "three"), PAWL_NOT_OWNER);
    expect(b, ask_renew(name, two, SHORT_MS), PAWL_CONFIRMED);
    test_loop_for(client_loop(b), surely_over_ms(b, SHORT_MS));
    expect(b, ask_publish(name, two, "late"), PAWL_NOT_OWNER);
    reads_as(a, name, "two");
    client_close(a);
    client_close(b);
}

const struct CMUnitTest value_cases[] = {
    CASE(what_a_holder_publishes_everybody_reads),
    CASE(only_a_holder_publishes),
    CASE(a_publication_that_comes_late_undoes_nothing),
    CASE(publications_are_counted_by_lease),
    CASE(publications_of_permits_are_counted_by_lease),
    CASE(whose_lease_ran_out_publishes_no_more),
    CASE(a_value_outlives_the_lease_and_ends_when_it_is_to),
    CASE(the_next_holder_replaces_it_under_a_larger_fence),
    CASE(values_of_all_lengths_and_bytes),
    CASE(who_watches_hears_of_each_value),
    CASE(a_watch_ends_by_itself_and_with_its_client),
    CASE(holders_of_permits_publish_too),
};
const size_t value_case_count = sizeof(value_cases) / sizeof(value_cases[0]);
