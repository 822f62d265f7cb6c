/* SPDX-License-Identifier: MIT */
/* Values beside names: their nodes, two that publish at once, and what is left of them. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_store.h"

#include <string.h>

#define VALUES   ".pawl-values" /* their folder */
#define SOON_NS  INT64_C(60000000000)
#define CAPACITY 2

static void publish(client *c, const char *name, const char *token, int64_t keep_ms)
{
    pawl_request request = ask_publish(name, token, "word");
    request.keep_ms = keep_ms;
    rig_expect(c, request, PAWL_CONFIRMED);
}

static bool is_value(const char *name)
{
    return strstr(rig_children(VALUES), name) != NULL;
}

/* As if the leader's clock showed that it is late. */
static void sweep_late(client *c)
{
    pawl_store *store = client_store(c);
    rig_expect(c, ask_acquire(rig_name(), fresh_token(), LONG_MS), PAWL_GRANTED);
    store->leader.ms += 2 * PAWL__ZK_SKEW_MS;
    store->sweep_at = 0;
    pawl__zk_sweep(store);
    assert_non_null(store->sweep);
    for (int64_t start = host_now(); store->sweep || store->errands.count;) {
        assert_true(host_now() - start < SOON_NS);
        test_loop_for(rig_loop(), 5);
    }
}

/* With the value it would be forgotten what the holder has published. */
static void values_that_are_over_are_swept_but_not_under_a_holder(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *left = "left/over", *held = "held/over", *kept = "kept", *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(left, token, LONG_MS), PAWL_GRANTED);
    publish(a, left, token, 1);
    rig_expect(a, ask_release(left, token), PAWL_RELEASED);
    rig_expect(a, ask_acquire(kept, token, LONG_MS), PAWL_GRANTED);
    publish(a, kept, token, 10 * PAWL__ZK_SKEW_MS);
    rig_expect(a, ask_release(kept, token), PAWL_RELEASED);
    rig_expect(a, ask_acquire(held, token, LONG_MS), PAWL_GRANTED);
    publish(a, held, token, 1);
    assert_true(is_value("left%2Fover") && is_value("held%2Fover") && is_value(kept));
    sweep_late(b);
    assert_false(is_value("left%2Fover"));
    assert_true(is_value("held%2Fover") && is_value(kept));
    rig_expect(a, ask_release(held, token), PAWL_RELEASED);
    sweep_late(b);
    assert_false(is_value("held%2Fover"));
    assert_true(is_value(kept));
    client_close(a);
    client_close(b);
}

static void who_publishes_beside_a_new_name_sweeps_at_most_once_a_minute(void **state)
{
    client *a = rig_up("a");
    const char *token = fresh_token();
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *name = rig_name();
        rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
        int64_t before = client_store(a)->sweep_at;
        publish(a, name, token, LONG_MS);
        assert_true((client_store(a)->sweep_at > before) == (i == 0));
        rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    }
    client_close(a);
}

/* Each writes only over what it has read: who comes second reads again. */
static void of_two_that_publish_at_once_neither_is_lost(void **state)
{
    enum { ROUNDS = 20 };
    client *who[2] = {rig_up("a"), rig_up("b")};
    const char *name = rig_name(), *tokens[2] = {fresh_token(), fresh_token()};
    pawl_request last[2];
    (void)state;
    for (int i = 0; i < 2; i++)
        rig_expect(who[i], ask_permits(name, tokens[i], 1, CAPACITY, LONG_MS, 0), PAWL_GRANTED);
    for (int round = 0; round < ROUNDS; round++) {
        uint64_t ids[2];
        for (int i = 0; i < 2; i++) {
            last[i] = ask_publish(name, tokens[i], "word");
            ids[i] = client_submit(who[i], &last[i]);
        }
        for (int i = 0; i < 2; i++) client_flush(who[i]);
        for (int i = 0; i < 2; i++)
            assert_int_equal(client_await(who[i], ids[i])->reply.outcome, PAWL_CONFIRMED);
    }
    /* Both numbers are remembered: neither comes again. */
    pawl_request look = ask_read(name, 0);
    uint64_t fence = client_ask(who[0], &look)->reply.value->fence;
    int64_t at_us = client_ask(who[0], &look)->reply.value->at_us;
    for (int i = 0; i < 2; i++) rig_expect(who[i], last[i], PAWL_CONFIRMED);
    assert_int_equal(client_ask(who[0], &look)->reply.value->fence, fence);
    assert_int_equal(client_ask(who[0], &look)->reply.value->at_us, at_us);
    for (int i = 0; i < 2; i++) client_close(who[i]);
}

/* pawl's own nodes lie beside those of the locks. */
static void a_lock_may_be_called_as_a_node_of_pawls_own(void **state)
{
    client *a = rig_up("a");
    const char *name = VALUES, *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire("0000000001", token, LONG_MS), PAWL_GRANTED);
    publish(a, "0000000001", token, LONG_MS);
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    publish(a, name, token, LONG_MS);
    pawl_request list = ask_list(".pawl-");
    const seen_reply *r = client_ask(a, &list);
    assert_int_equal(client_row_count(a, r->reply.id), 1);
    assert_string_equal(client_row(a, r->reply.id, 0)->name, name);
    client_close(a);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(values_that_are_over_are_swept_but_not_under_a_holder),
        cmocka_unit_test(who_publishes_beside_a_new_name_sweeps_at_most_once_a_minute),
        cmocka_unit_test(of_two_that_publish_at_once_neither_is_lost),
        cmocka_unit_test(a_lock_may_be_called_as_a_node_of_pawls_own),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
