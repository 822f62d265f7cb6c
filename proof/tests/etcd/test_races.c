/* SPDX-License-Identifier: MIT */
/*
 * What happens between the steps of a request: another client with the same token, a lease that
 * ends, a compaction. A gate stops a request on its way for just as long.
 */
#define _GNU_SOURCE
#include "gate.h"

#include "../../../src/stores/etcd/etcd_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static client *up(const char *owner)
{
    store_address address = rig_address();
    return client_up(rig_loop(), &address, owner);
}

static uint64_t begin(client *c, pawl_request request)
{
    uint64_t id = client_submit(c, &request);
    client_flush(c);
    return id;
}

static size_t waiters_of(client *c, const char *name)
{
    pawl_request request = ask_inspect(name, NULL);
    const seen_reply *r = client_ask(c, &request);
    CHECK(r->reply.outcome == PAWL_REPORTED);
    return client_row(c, r->reply.id, 0)->waiter_count;
}

/* ---- One token, two clients ---------------------------------------------------------------- */

/* b has kept the first lease alive, and a has moved the key to another one meanwhile: if b put the
 * key with the first lease again, a's revocation of it would free the lock. */
static void a_lease_that_another_client_exchanges_is_not_taken_back(void **state)
{
    gate *ga = gate_start(), *gb = gate_start();
    client *a = gate_client(ga, "a"), *b = gate_client(gb, "b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    gate_hold(gb, "/v3/kv/txn", 1); /* the look passes, what is to prove the renewal does not */
    uint64_t id = begin(b, ask_renew(name, token, LONG_MS));
    gate_await(gb);
    gate_hold(ga, "/v3/lease/revoke", 0);
    rig_expect(a, ask_renew(name, token, 2 * LONG_MS), PAWL_CONFIRMED);
    gate_await(ga);
    gate_let_go(gb);
    assert_int_equal(client_await(b, id)->reply.outcome, PAWL_CONFIRMED);
    gate_let_go(ga);
    const seen_reply *r = rig_expect(b, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    client_close(b);
    gate_stop(ga);
    gate_stop(gb);
}

/* a does not read before it renews, and knows only the lease that b's revocation is about to end.
 */
static void a_renewal_does_not_take_back_the_lease_that_another_client_has_exchanged(void **state)
{
    gate *g = gate_start();
    client *a = up("a"), *b = gate_client(g, "b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    gate_hold(g, "/v3/lease/revoke", 0);
    rig_expect(b, ask_renew(name, token, 2 * LONG_MS), PAWL_CONFIRMED);
    gate_await(g);
    rig_expect(b, ask_renew(name, token, LONG_MS),
               PAWL_CONFIRMED); /* as long as a's, another one */
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    gate_let_go(g);
    const seen_reply *r = rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    client_close(b);
    gate_stop(g);
}

static void a_client_that_closes_leaves_the_place_that_another_one_has_kept(void **state)
{
    client *holder = up("holder"), *a = up("a"), *b = up("b");
    const char *name = rig_name(), *held = fresh_token(), *token = fresh_token();
    (void)state;
    rig_expect(holder, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    rig_expect(b, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    client_close(a);
    assert_int_equal(waiters_of(holder, name), 1);
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, token);
    client_close(holder);
    client_close(b);
}

/* a's watch is that of a key which is gone: of the new one it must be told. */
static void a_token_that_waits_again_is_told_of_its_new_turn(void **state)
{
    client *holder = up("holder"), *a = up("a"), *b = up("b");
    const char *name = rig_name(), *held = fresh_token(), *token = fresh_token();
    (void)state;
    rig_expect(holder, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    rig_expect(b, ask_release(name, token), PAWL_LEFT);
    rig_expect(a, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    client_await_push(a, PAWL_PUSH_GRANT, token);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(holder);
    client_close(a);
    client_close(b);
}

static void a_token_that_holds_again_is_told_who_waits(void **state)
{
    client *a = up("a"), *b = up("b"), *waiter = up("waiter");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_release(name, token), PAWL_RELEASED);
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(waiter, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
    client_await_push(a, PAWL_PUSH_YIELD, token);
    client_close(waiter);
    client_close(a);
    client_close(b);
}

/* ---- A lease that does not exist ----------------------------------------------------------- */

/* The first lease of the answer that is not `but`; 0: none. */
static int64_t lease_beside(const char *answer, int64_t but)
{
    for (const char *at = answer; (at = strstr(at, "\"ID\":\"")); at++) {
        int64_t id = strtoll(at + strlen("\"ID\":\""), NULL, 10);
        if (id != but) return id;
    }
    return 0;
}

static void revoke(int64_t lease)
{
    char json[64];
    snprintf(json, sizeof json, "{\"ID\":\"%" PRId64 "\"}", lease);
    rig_command("/v3/lease/revoke", json, "\"revision\"");
}

/* The first case, on a server without any other lease. */
static void a_new_lease_that_is_revoked_before_its_use_is_granted_again(void **state)
{
    gate *g = gate_start();
    client *a = gate_client(g, "a");
    const char *name = rig_name(), *token = fresh_token();
    char answer[4096];
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    CHECK(etcd_server_ask(rig_server(), 0, "/v3/lease/leases", "{}", NULL, answer, sizeof answer));
    int64_t first = lease_beside(answer, 0);
    gate_hold(g, "/v3/kv/txn", 1);
    uint64_t id = begin(a, ask_renew(name, token, 2 * LONG_MS));
    gate_await(g);
    CHECK(etcd_server_ask(rig_server(), 0, "/v3/lease/leases", "{}", NULL, answer, sizeof answer));
    int64_t second = lease_beside(answer, first);
    assert_true(first > 0 && second > 0);
    revoke(second);
    gate_let_go(g);
    const seen_reply *r = client_await(a, id);
    assert_int_equal(r->reply.outcome, PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    assert_int_equal(client_link_count(a), 1);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    gate_stop(g);
}

static void a_lease_that_is_gone_when_it_is_kept_alive_is_looked_at_again(void **state)
{
    gate *g = gate_start();
    client *a = gate_client(g, "a"), *b = up("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    /* by b, so that a does not know that the lease is new */
    uint64_t fence = rig_expect(b, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    gate_hold(g, "/v3/lease/keepalive", 0);
    uint64_t id = begin(a, ask_renew(name, token, LONG_MS));
    gate_await(g);
    rig_expect(b, ask_renew(name, token, 2 * LONG_MS), PAWL_CONFIRMED); /* by another lease */
    client_close(b); /* and the first one is revoked by now */
    gate_let_go(g);
    const seen_reply *r = client_await(a, id);
    assert_int_equal(r->reply.outcome, PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    gate_stop(g);
}

static void a_holder_whose_lease_ends_in_a_renewal_is_told(void **state)
{
    gate *g = gate_start();
    client *a = gate_client(g, "a");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    gate_hold(g, "/v3/kv/txn", 0);
    uint64_t id = begin(a, ask_renew(name, token, LONG_MS));
    gate_await(g);
    rig_revoke(name);
    gate_let_go(g);
    assert_int_equal(client_await(a, id)->reply.outcome, PAWL_NOT_OWNER);
    client_close(a);
    gate_stop(g);
}

/* ---- Leases that are kept ------------------------------------------------------------------- */

static void list_leases(char *ret_answer, size_t room)
{
    CHECK(etcd_server_ask(rig_server(), 0, "/v3/lease/leases", "{}", NULL, ret_answer, room));
}

/* How many there are now that were not there before, and the last of them. Clients of earlier cases
 * may still give back theirs. */
static size_t new_leases(const char *before, int64_t *ret_lease)
{
    char now[16384], id[32];
    size_t count = 0;
    *ret_lease = 0;
    list_leases(now, sizeof now);
    for (const char *at = now; (at = strstr(at, "\"ID\":\"")); at++) {
        snprintf(id, sizeof id, "%.*s", (int)strcspn(at + 6, "\""), at + 6);
        if (strstr(before, id)) continue;
        *ret_lease = strtoll(id, NULL, 10);
        count++;
    }
    return count;
}

static void a_lease_whose_lock_was_released_serves_the_next_one(void **state)
{
    char before[16384];
    const char *name = rig_name();
    int64_t lease;
    (void)state;
    list_leases(before, sizeof before);
    client *a = up("a");
    for (int i = 0; i < 3; i++) {
        const char *token = fresh_token();
        rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
        rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    }
    assert_int_equal(new_leases(before, &lease), 1);
    const char *token = fresh_token();
    rig_expect(a, ask_acquire(name, token, 2 * LONG_MS), PAWL_GRANTED); /* of another length */
    assert_int_equal(new_leases(before, &lease), 2);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    for (int64_t begun = host_now(); new_leases(before, &lease) > 0;) /* it gives them back */
        CHECK(host_now() - begun < PATIENCE_MS * INT64_C(1000000));
}

static void a_kept_lease_that_somebody_revokes_does_no_harm(void **state)
{
    gate *g = gate_start();
    client *a = gate_client(g, "a");
    const char *name = rig_name(), *token = fresh_token();
    char before[16384];
    int64_t lease;
    (void)state;
    list_leases(before, sizeof before);
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    assert_int_equal(new_leases(before, &lease), 1);
    revoke(lease);
    token = fresh_token();
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    assert_int_equal(new_leases(before, &lease), 1);
    gate_hold(g, "/v3/kv/txn", 0); /* it was kept alive, and is about to get a key */
    token = fresh_token();
    uint64_t id = begin(a, ask_acquire(name, token, LONG_MS));
    gate_await(g);
    revoke(lease);
    gate_let_go(g);
    assert_int_equal(client_await(a, id)->reply.outcome, PAWL_GRANTED);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    gate_stop(g);
}

/* The lease of a value stays with the value; nothing else is kept after it. */
static void a_value_leaves_no_lease_behind(void **state)
{
    client *a = up("a");
    const pawl_store *store = client_store(a);
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    size_t kept = store->kept_lease_count;
    for (int i = 0; i < 3; i++) {
        rig_expect(a, ask_publish(name, token, "word"), PAWL_CONFIRMED);
        assert_int_equal(store->kept_lease_count, kept);
    }
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
}

/* ---- Modes --------------------------------------------------------------------------------- */

static pawl_request permit(const char *name, const char *token, unsigned flags)
{
    return ask_permits(name, token, 1, 3, LONG_MS, flags);
}

/* a has seen that slot 1 is free, and says so too late. */
static void no_slot_is_given_to_two_who_ask_at_once(void **state)
{
    gate *g = gate_start();
    client *a = gate_client(g, "a"), *b = up("b");
    const char *name = rig_name();
    (void)state;
    rig_expect(b, permit(name, fresh_token(), 0), PAWL_GRANTED);
    gate_hold(g, "/v3/kv/txn", 1); /* the first one found that the name is not free */
    uint64_t id = begin(a, permit(name, fresh_token(), 0));
    gate_await(g);
    assert_int_equal(rig_expect(b, permit(name, fresh_token(), 0), PAWL_GRANTED)->slots[0], 1);
    gate_let_go(g);
    const seen_reply *r = client_await(a, id);
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    assert_int_equal(r->slots[0], 2);
    client_close(a);
    client_close(b);
    gate_stop(g);
}

/* Its watch has begun before anything else changes: it need not look at once. */
static void wait_in_line(gate *g, client *c, pawl_request request)
{
    gate_hold(g, "/v3/watch", 0);
    rig_expect(c, request, PAWL_QUEUED);
    gate_await(g);
    gate_let_go(g);
}

/* a has seen slot 1 free; until it says so slot 0 becomes free as well, which is a's then. */
static void no_slot_is_given_to_two_whose_turn_comes_at_once(void **state)
{
    gate *g = gate_start(), *gb = gate_start();
    client *holder = up("holder"), *a = gate_client(g, "a"), *b = gate_client(gb, "b");
    const char *name = rig_name(), *lowest = fresh_token(), *held = fresh_token();
    const char *first = fresh_token(), *second = fresh_token();
    (void)state;
    rig_expect(holder, permit(name, lowest, 0), PAWL_GRANTED);
    rig_expect(holder, ask_permits(name, held, 2, 3, LONG_MS, 0), PAWL_GRANTED);
    wait_in_line(g, a, permit(name, first, PAWL_ASK_QUEUE));
    wait_in_line(gb, b, permit(name, second, PAWL_ASK_QUEUE));
    gate_hold(g, "/v3/kv/txn", 1); /* it has looked, and says which slot it takes */
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    gate_await(g);
    rig_expect(holder, ask_release(name, lowest), PAWL_RELEASED);
    const seen_reply *r = rig_expect(b, permit(name, second, PAWL_ASK_QUEUE), PAWL_GRANTED);
    assert_int_equal(r->slots[0], 1); /* the lowest one is left to who came before */
    gate_let_go(g);
    const seen_push *push = client_await_push(a, PAWL_PUSH_GRANT, first);
    assert_int_equal(push->slots[0], 0);
    r = rig_expect(a, permit(name, first, PAWL_ASK_QUEUE), PAWL_GRANTED);
    assert_int_equal(r->slots[0], 0);
    client_close(holder);
    client_close(a);
    client_close(b);
    gate_stop(g);
    gate_stop(gb);
}

/* When the reader asked there were readers alone; when its request comes a writer waits. */
static void a_reader_that_comes_late_does_not_pass_a_writer(void **state)
{
    gate *g = gate_start();
    client *a = up("a"), *b = gate_client(g, "b");
    const char *name = rig_name(), *reader = fresh_token(), *writer = fresh_token();
    const char *late = fresh_token();
    (void)state;
    rig_expect(a, ask_mode(name, reader, PAWL_MODE_SHARED, LONG_MS, 0), PAWL_GRANTED);
    gate_hold(g, "/v3/kv/txn", 0);
    uint64_t id = begin(b, ask_mode(name, late, PAWL_MODE_SHARED, LONG_MS, PAWL_ASK_QUEUE));
    gate_await(g);
    rig_expect(a, ask_queue(name, writer, LONG_MS), PAWL_QUEUED);
    gate_let_go(g);
    assert_int_equal(client_await(b, id)->reply.outcome, PAWL_QUEUED);
    client_await_push(a, PAWL_PUSH_YIELD, reader);
    rig_expect(a, ask_release(name, reader), PAWL_RELEASED);
    client_await_push(a, PAWL_PUSH_GRANT, writer);
    rig_expect(a, ask_release(name, writer), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, late);
    client_close(a);
    client_close(b);
    gate_stop(g);
}

/* ---- Late answers ---------------------------------------------------------------------------- */

#define SOON_NS INT64_C(300000000) /* what is held at a gate must be late, so it may be short */

/* An ACQUIRE whose put stands at the gate: nobody knows what becomes of it. */
static void give_up_an_acquire(gate *g, client *c, const char *name, const char *token)
{
    pawl_request request = ask_queue(name, token, LONG_MS);
    gate_hold(g, "/v3/kv/txn", 0);
    request.answer_by = host_now() + SOON_NS;
    uint64_t id = begin(c, request);
    gate_await(g);
    assert_int_equal(client_await(c, id)->reply.outcome, PAWL_UNKNOWN);
}

static void a_request_whose_answer_is_late_ends_nothing_else(void **state)
{
    gate *g = gate_start();
    client *holder = up("holder"), *c = gate_client(g, "c");
    const char *name = rig_name(), *other = rig_name();
    const char *held = fresh_token(), *token = fresh_token();
    (void)state;
    rig_expect(holder, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(c, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    give_up_an_acquire(g, c, other, fresh_token());
    rig_expect(c, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    client_await_push(c, PAWL_PUSH_GRANT, token);
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    assert_int_equal(client_link_count(c), 1); /* it never went down */
    client_close(holder);
    client_close(c);
    gate_stop(g);
}

/* The first is under way until it is answered, whatever becomes of those behind it. */
static void a_request_that_is_given_up_before_its_turn_lets_nobody_pass(void **state)
{
    gate *g = gate_start();
    client *c = gate_client(g, "c");
    const char *name = rig_name(), *token = fresh_token();
    pawl_request late = ask_inspect(name, NULL);
    (void)state;
    gate_hold(g, "/v3/kv/txn", 0);
    uint64_t first = begin(c, ask_acquire(name, token, LONG_MS));
    gate_await(g);
    late.answer_by = host_now() + SOON_NS;
    uint64_t second = begin(c, late), third = begin(c, ask_renew(name, token, LONG_MS));
    assert_int_equal(client_await(c, second)->reply.outcome, PAWL_FAILED);
    rig_expect(c, ask_acquire(rig_name(), fresh_token(), LONG_MS), PAWL_GRANTED);
    gate_let_go(g);
    assert_int_equal(client_await(c, first)->reply.outcome, PAWL_GRANTED);
    assert_int_equal(client_await(c, third)->reply.outcome, PAWL_CONFIRMED);
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    client_close(c);
    gate_stop(g);
}

/* Rule 4: the release undoes the acquisition, though its put comes to the server behind it. */
static void a_put_that_comes_after_the_release_leaves_nothing(void **state)
{
    gate *g = gate_start();
    client *c = gate_client(g, "c"), *other = up("other");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    give_up_an_acquire(g, c, name, token);
    rig_expect(c, ask_release(name, token), PAWL_NOT_OWNER);
    gate_let_go(g);
    rig_expect(other, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(c);
    client_close(other);
    gate_stop(g);
}

/* It is asked again with the same lease; when that is released, the put that was given up comes. */
static void a_put_that_was_asked_again_leaves_nothing_behind_the_release(void **state)
{
    gate *g = gate_start();
    client *c = gate_client(g, "c"), *other = up("other");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    give_up_an_acquire(g, c, name, token);
    rig_expect(c, ask_queue(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    rig_expect(c, ask_queue(rig_name(), fresh_token(), LONG_MS), PAWL_GRANTED); /* another lease */
    gate_let_go(g);
    rig_expect(other, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(c);
    client_close(other);
    gate_stop(g);
}

static void a_put_that_comes_late_is_the_tokens_own(void **state)
{
    gate *g = gate_start();
    client *c = gate_client(g, "c"), *other = up("other");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    give_up_an_acquire(g, c, name, token);
    gate_let_go(g);
    rig_expect(other, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    rig_expect(c, ask_queue(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(c, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    rig_expect(other, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(c);
    client_close(other);
    gate_stop(g);
}

/* ---- Compaction ---------------------------------------------------------------------------- */

static void compact(void)
{
    char answer[4096], json[64];
    CHECK(etcd_server_ask(rig_server(), 0, "/v3/kv/put", "{\"key\":\"eA==\",\"value\":\"eA==\"}",
                          NULL, answer, sizeof answer));
    const char *at = strstr(answer, "\"revision\":\"");
    CHECK(at != NULL);
    snprintf(json, sizeof json, "{\"revision\":\"%lld\"}",
             strtoll(at + strlen("\"revision\":\""), NULL, 10));
    rig_command("/v3/kv/compaction", json, "\"revision\"");
}

/* The watch begins at a revision that the server has forgotten by then, and with it the news. */
static void a_turn_that_a_compaction_has_swallowed_is_told(void **state)
{
    gate *g = gate_start();
    client *holder = up("holder"), *a = gate_client(g, "a");
    const char *name = rig_name(), *held = fresh_token(), *token = fresh_token();
    (void)state;
    rig_expect(holder, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    gate_hold(g, "/v3/watch", 0);
    rig_expect(a, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    gate_await(g);
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    compact();
    gate_let_go(g);
    client_await_push(a, PAWL_PUSH_GRANT, token);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_close(holder);
    client_close(a);
    gate_stop(g);
}

/* ---- What a release asks --------------------------------------------------------------------- */

/* The key is there, with another lease: another client with that token has renewed it. */
static void a_release_of_what_has_changed_looks_again(void **state)
{
    client *a = up("a"), *b = up("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_renew(name, token, 2 * LONG_MS), PAWL_CONFIRMED);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    rig_expect(b, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
}

/* By then another client has released the token, and acquired with it again. */
static void a_release_that_comes_late_meets_no_later_key(void **state)
{
    gate *g = gate_start();
    client *a = gate_client(g, "a"), *b = up("b");
    const char *name = rig_name(), *token = fresh_token();
    pawl_request request = ask_release(name, token);
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    gate_hold(g, "/v3/kv/txn", 0);
    request.answer_by = host_now() + SOON_NS;
    uint64_t id = begin(a, request);
    gate_await(g);
    assert_int_equal(client_await(a, id)->reply.outcome, PAWL_UNKNOWN);
    rig_expect(b, ask_release(name, token), PAWL_RELEASED);
    rig_expect(b, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    gate_let_go(g);
    rig_expect(b, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    rig_expect(b, ask_release(name, token), PAWL_RELEASED);
    client_close(a);
    client_close(b);
    gate_stop(g);
}

/* ---- What others did the last time ----------------------------------------------------------- */

#define CROWD 6 /* more than enough to expect the same again */

static void a_name_that_was_always_taken_is_granted_when_it_is_free(void **state)
{
    client *holder = up("holder"), *c = up("c");
    const char *name = rig_name(), *held = fresh_token(), *token = fresh_token();
    (void)state;
    uint64_t first =
        rig_expect(holder, ask_acquire(name, held, LONG_MS), PAWL_GRANTED)->reply.fence;
    for (int i = 0; i < CROWD; i++) {
        const char *waiter = fresh_token();
        rig_expect(c, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
        rig_expect(c, ask_release(name, waiter), PAWL_LEFT);
    }
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    uint64_t fence = rig_expect(c, ask_queue(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_true(fence > first);
    assert_int_equal(rig_expect(c, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    rig_expect(holder, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(holder);
    client_close(c);
}

/* The one before it leaves: once before its watch begins, and once while it hears. */
static void who_waits_behind_one_that_leaves_gets_its_turn(void **state)
{
    gate *g = gate_start();
    client *holder = up("holder"), *c = gate_client(g, "c");
    const char *name = rig_name(), *held = fresh_token(), *token = fresh_token();
    const char *unheard = fresh_token(), *heard = fresh_token();
    (void)state;
    rig_expect(holder, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(holder, ask_queue(name, heard, LONG_MS), PAWL_QUEUED);
    rig_expect(holder, ask_queue(name, unheard, LONG_MS), PAWL_QUEUED);
    gate_hold(g, "/v3/watch", 0);
    rig_expect(c, ask_queue(name, token, LONG_MS), PAWL_QUEUED);
    gate_await(g);
    rig_expect(holder, ask_release(name, unheard), PAWL_LEFT);
    gate_let_go(g);
    rig_expect(holder, ask_release(name, heard), PAWL_LEFT);
    rig_expect(holder, ask_release(name, held), PAWL_RELEASED);
    client_await_push(c, PAWL_PUSH_GRANT, token);
    rig_expect(c, ask_release(name, token), PAWL_RELEASED);
    client_close(holder);
    client_close(c);
    gate_stop(g);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_new_lease_that_is_revoked_before_its_use_is_granted_again),
        cmocka_unit_test(a_lease_that_is_gone_when_it_is_kept_alive_is_looked_at_again),
        cmocka_unit_test(a_holder_whose_lease_ends_in_a_renewal_is_told),
        cmocka_unit_test(a_lease_that_another_client_exchanges_is_not_taken_back),
        cmocka_unit_test(a_renewal_does_not_take_back_the_lease_that_another_client_has_exchanged),
        cmocka_unit_test(a_client_that_closes_leaves_the_place_that_another_one_has_kept),
        cmocka_unit_test(a_token_that_waits_again_is_told_of_its_new_turn),
        cmocka_unit_test(a_token_that_holds_again_is_told_who_waits),
        cmocka_unit_test(a_lease_whose_lock_was_released_serves_the_next_one),
        cmocka_unit_test(a_kept_lease_that_somebody_revokes_does_no_harm),
        cmocka_unit_test(a_value_leaves_no_lease_behind),
        cmocka_unit_test(no_slot_is_given_to_two_who_ask_at_once),
        cmocka_unit_test(no_slot_is_given_to_two_whose_turn_comes_at_once),
        cmocka_unit_test(a_reader_that_comes_late_does_not_pass_a_writer),
        cmocka_unit_test(a_turn_that_a_compaction_has_swallowed_is_told),
        cmocka_unit_test(a_request_whose_answer_is_late_ends_nothing_else),
        cmocka_unit_test(a_request_that_is_given_up_before_its_turn_lets_nobody_pass),
        cmocka_unit_test(a_put_that_comes_after_the_release_leaves_nothing),
        cmocka_unit_test(a_put_that_was_asked_again_leaves_nothing_behind_the_release),
        cmocka_unit_test(a_put_that_comes_late_is_the_tokens_own),
        cmocka_unit_test(a_release_of_what_has_changed_looks_again),
        cmocka_unit_test(a_release_that_comes_late_meets_no_later_key),
        cmocka_unit_test(a_name_that_was_always_taken_is_granted_when_it_is_free),
        cmocka_unit_test(who_waits_behind_one_that_leaves_gets_its_turn),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
