/* SPDX-License-Identifier: MIT */
/*
 * The store against peers that do not behave: they say nothing, are no Redis,
 * trickle, cut replies in the middle, lose them. Nothing is believed that was
 * not said, and all is well again when they behave.
 */
#define _GNU_SOURCE
#include "link_words.h"
#include "peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const pawl_store_ops pawl_store_entry;

typedef struct stage {
    rig *rig;
    peer *peer;
    test_loop *loop;
    store_address address; /* of the peer */
} stage;

static int group_begin(void **state)
{
    *state = rig_new(NULL);
    return 0;
}

static int group_end(void **state)
{
    rig_free(*state);
    return 0;
}

static stage begin(void **state)
{
    stage s = {.rig = *state, .loop = test_loop_new()};
    rig_must(s.rig, "FLUSHALL");
    s.peer = peer_new(redis_server_socket(s.rig->server));
    s.address = (store_address){
        .ops = &pawl_store_entry, .scheme = "redis+unix", .path = peer_socket(s.peer)};
    return s;
}

static void end(stage *s)
{
    peer_free(s->peer);
    test_loop_free(s->loop);
}

/* ---- Peers that are no server ------------------------------------------------------------ */

static void a_mute_server_is_given_up_and_tried_again(void **state)
{
    stage s = begin(state);
    add_option(&s.address, "connect_timeout_ms", "100");
    peer_behave(s.peer, PEER_MUTE);
    client *c = client_open(s.loop, &s.address, "a");
    assert_non_null(strstr(await_down(c, PAWL_ERR_UNAVAILABLE), "did not answer in time"));
    peer_behave(s.peer, PEER_RELAY);
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void a_web_server_is_recognized(void **state)
{
    stage s = begin(state);
    peer_behave(s.peer, PEER_HTTP);
    client *c = client_open(s.loop, &s.address, "a");
    assert_non_null(strstr(await_down(c, PAWL_ERR_PROTOCOL), "is it a Redis server"));
    peer_behave(s.peer, PEER_RELAY);
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void a_peer_that_turns_into_a_web_server_is_left(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    peer_behave(s.peer, PEER_HTTP);
    expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_UNKNOWN);
    (void)await_down(c, PAWL_ERR_PROTOCOL);
    peer_behave(s.peer, PEER_RELAY);
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

/* ---- Replies in pieces ------------------------------------------------------------ */

static void replies_may_come_byte_by_byte(void **state)
{
    stage s = begin(state);
    peer_behave(s.peer, PEER_BYTEWISE);
    client *a = client_up(s.loop, &s.address, "a");
    client *b = client_up(s.loop, &s.address, "b");
    const char *first = fresh_token(), *second = fresh_token();
    expect(a, ask_acquire("x", first, LONG_MS), PAWL_GRANTED);
    expect(b, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    (void)client_await_push(a, PAWL_PUSH_YIELD, first);
    expect(a, ask_release("x", first), PAWL_RELEASED);
    (void)client_await_push(b, PAWL_PUSH_GRANT, second);
    expect(b, ask_inspect("x", second), PAWL_REPORTED);
    expect(b, ask_release("x", second), PAWL_RELEASED);
    client_close(a);
    client_close(b);
    end(&s);
}

static bool has_cut(void *arg)
{
    return peer_has_cut(arg);
}

static void a_greeting_cut_anywhere_is_begun_again(void **state)
{
    stage s = begin(state);
    for (long at = 0; at < 250; at += 3) {
        peer_cut_after(s.peer, at);
        client *c = client_open(s.loop, &s.address, "a");
        test_loop_until(s.loop, has_cut, s.peer, "the cut");
        peer_behave(s.peer, PEER_RELAY);
        client_await_link(c, true);
        lock_and_unlock(c);
        client_close(c);
    }
    end(&s);
}

/* Each request of a pipeline has its answer or an honest "unknown", and asking finds out. */
static void replies_cut_anywhere_are_unknown_not_wrong(void **state)
{
    stage s = begin(state);
    for (long at = 0; at < 100; at += 3) {
        client *c = client_up(s.loop, &s.address, "a");
        const char *token = fresh_token(), *waiter = fresh_token();
        const pawl_request requests[] = {ask_acquire("x", token, LONG_MS),
                                         ask_queue("x", waiter, LONG_MS),
                                         ask_renew("x", token, LONG_MS)};
        uint64_t ids[3];
        peer_cut_after(s.peer, at);
        for (int i = 0; i < 3; i++) ids[i] = client_submit(c, &requests[i]);
        client_flush(c);
        static const pawl_outcome truth[] = {PAWL_GRANTED, PAWL_QUEUED, PAWL_CONFIRMED};
        bool lost = false;
        for (int i = 0; i < 3; i++) {
            const seen_reply *a = client_await(c, ids[i]);
            if (a->reply.outcome == PAWL_UNKNOWN) lost = true;
            /* In order: behind a lost reply nothing is known. */
            assert_int_equal(a->reply.outcome, lost ? PAWL_UNKNOWN : truth[i]);
        }
        peer_behave(s.peer, PEER_RELAY);
        if (lost) client_await_link(c, true);
        expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED); /* law 4 */
        expect(c, ask_release("x", waiter), PAWL_LEFT);
        expect(c, ask_release("x", token), PAWL_RELEASED);
        client_close(c);
    }
    end(&s);
}

/* ---- Lost replies ----------------------------------------------------------------- */

static pawl_request soon(pawl_request request, int64_t ms)
{
    request.answer_by = host_now() + ms * 1000000;
    return request;
}

static void await_token(stage *s, const char *token)
{
    for (int64_t start = host_now(); strcmp(rig_text(s->rig, "GET pawl:x"), token) != 0;) {
        assert_true(host_now() - start < INT64_C(10000000000));
        test_loop_for(s->loop, 5);
    }
}

static void a_lost_reply_is_unknown_and_its_connection_is_closed(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    peer_behave(s.peer, PEER_SWALLOW);
    expect(c, soon(ask_acquire("x", token, LONG_MS), 100), PAWL_UNKNOWN);
    await_token(&s, token); /* it is done, sooner or later */
    assert_non_null(strstr(await_down(c, PAWL_ERR_UNAVAILABLE), "no answer in time"));
    peer_behave(s.peer, PEER_RELAY);
    client_await_link(c, true);
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    expect(c, ask_release("x", token), PAWL_RELEASED);
    client_close(c);
    end(&s);
}

/* The later request has the earlier time-out: it ends both, each in time. */
static void the_earliest_time_out_counts(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    peer_behave(s.peer, PEER_MUTE);
    pawl_request patient = soon(ask_acquire("x", fresh_token(), LONG_MS), 15000);
    pawl_request hasty = soon(ask_acquire("y", fresh_token(), LONG_MS), 100);
    uint64_t first = client_submit(c, &patient), second = client_submit(c, &hasty);
    client_flush(c);
    assert_int_equal(client_await(c, second)->reply.outcome, PAWL_UNKNOWN);
    assert_int_equal(client_await(c, first)->reply.outcome, PAWL_UNKNOWN);
    assert_true(client_answer(c, first)->answered_at < patient.answer_by - INT64_C(5000000000));
    client_abandon(c);
    end(&s);
}

static void what_never_left_is_failed_not_unknown(void **state)
{
    enum { MANY = 4000 };
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    char owner[PAWL_OWNER_MAX + 1];
    memset(owner, 'o', PAWL_OWNER_MAX);
    owner[PAWL_OWNER_MAX] = '\0';
    static uint64_t ids[MANY];
    redis_server_pause(s.rig->server); /* the relay stops when the server's buffers are full */
    for (int i = 0; i < MANY; i++) {
        pawl_request request = soon(ask_acquire("x", fresh_token(), LONG_MS), 500);
        request.owner = owner;
        ids[i] = client_submit(c, &request);
    }
    client_flush(c);
    client_await_all(c);
    int unknown = 0, failed = 0;
    for (int i = 0; i < MANY; i++) {
        pawl_outcome outcome = client_answer(c, ids[i])->reply.outcome;
        if (outcome == PAWL_UNKNOWN) {
            assert_int_equal(failed, 0); /* in order: first what left, then what did not */
            unknown++;
        } else {
            assert_int_equal(outcome, PAWL_FAILED);
            failed++;
        }
    }
    assert_true(unknown > 0 && failed > 0);
    redis_server_resume(s.rig->server);
    client_await_link(c, true);
    client_close(c);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_mute_server_is_given_up_and_tried_again),
        cmocka_unit_test(a_web_server_is_recognized),
        cmocka_unit_test(a_peer_that_turns_into_a_web_server_is_left),
        cmocka_unit_test(replies_may_come_byte_by_byte),
        cmocka_unit_test(a_greeting_cut_anywhere_is_begun_again),
        cmocka_unit_test(replies_cut_anywhere_are_unknown_not_wrong),
        cmocka_unit_test(a_lost_reply_is_unknown_and_its_connection_is_closed),
        cmocka_unit_test(the_earliest_time_out_counts),
        cmocka_unit_test(what_never_left_is_failed_not_unknown),
    };
    return rig_run("redis and its peers", cases, group_begin, group_end);
}
