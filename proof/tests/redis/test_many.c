/* SPDX-License-Identifier: MIT */
/*
 * Several holders of a name: shared, update and permit modes on a real server, script by script.
 * What all stores have in common is tested by the conformance suite; here is what Redis adds:
 * the lock key that foreign clients see, who is passed over, what it costs.
 */
#define _GNU_SOURCE
#include "rig.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_MS 60000
#define QUEUE   "{pawl:x}:q"
#define PEOPLE  "{pawl:x}:w"
#define RECORD  "{pawl:x}:f"
#define X       PAWL_MODE_EXCLUSIVE
#define S       PAWL_MODE_SHARED
#define U       PAWL_MODE_UPDATE

static rig *begin(void **state)
{
    rig *r = *state;
    rig_must(r, "FLUSHALL");
    rig_unsubscribe(r);
    rig_listen(r);
    return r;
}

static pawl_request in_mode(const char *token, pawl_mode mode, unsigned flags)
{
    return ask_mode("x", token, mode, LONG_MS, flags);
}

static const char *hold(rig *r, pawl_mode mode)
{
    const char *token = fresh_token();
    rig_expect(r, in_mode(token, mode, 0), PAWL_GRANTED);
    return token;
}

static const char *wait_in_line(rig *r, pawl_mode mode)
{
    const char *token = fresh_token();
    rig_expect(r, in_mode(token, mode, PAWL_ASK_QUEUE), PAWL_QUEUED);
    return token;
}

static pawl_request to_mode(const char *token, pawl_mode mode, uint32_t number)
{
    return ask_change("x", token, mode, number, LONG_MS, PAWL_ASK_QUEUE);
}

static pawl_request permits(const char *token, uint32_t units, unsigned flags)
{
    return ask_permits("x", token, units, 4, LONG_MS, flags);
}

static void hear(rig *r, pawl_push_kind kind, const char *token)
{
    const pawl_push *push = rig_hear(r);
    assert_int_equal(push->kind, kind);
    if (token) assert_string_equal(push->token, token);
}

/* Its lease has run out, as if the server's clock had gone on. */
static void let_lease_expire(rig *r, const char *token)
{
    rig_must(r, "ZADD " QUEUE " -1 %s", token);
}

/* Its place has run out. */
static void let_place_expire(rig *r, const char *token)
{
    rig_must(r, "HSET " PEOPLE " %s %s", token, "3 1 60000 1 s 0 0 pawl:inbox:gone somebody");
}

/* Only the record of the latest fence, and that with an end. */
static void nothing_stays(rig *r)
{
    assert_int_equal(rig_int(r, "DBSIZE"), 1);
    assert_true(rig_int(r, "PTTL " RECORD) > 0);
}

static bool several_hold(rig *r)
{
    size_t len = strlen(PAWL__REDIS_MANY);
    return strncmp(rig_text(r, "GET pawl:x"), PAWL__REDIS_MANY, len) == 0;
}

/* ---- What foreign clients see --------------------------------------------------------------- */

static void readers_leave_a_text_that_is_nobodys_token(void **state)
{
    rig *r = begin(state);
    const char *one = hold(r, S), *two = hold(r, S);
    assert_true(several_hold(r));
    assert_true(strlen(PAWL__REDIS_MANY) > PAWL_TOKEN_LEN);
    assert_int_equal(rig_do(r, "SET pawl:x theirs NX PX 60000")->type, REDIS_REPLY_NIL);
    /* A client that says the text is still nobody. */
    rig_expect(r, ask_release("x", PAWL__REDIS_MANY), PAWL_NOT_OWNER);
    rig_expect(r, ask_renew("x", PAWL__REDIS_MANY, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(r, ask_release("x", one), PAWL_RELEASED);
    assert_true(several_hold(r));
    rig_expect(r, ask_release("x", two), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    nothing_stays(r);
}

static void the_lock_key_expires_with_the_last_lease(void **state)
{
    rig *r = begin(state);
    const char *brief = fresh_token(), *one = hold(r, S);
    rig_expect(r, ask_mode("x", brief, S, 5000, 0), PAWL_GRANTED);
    int64_t ttl = rig_int(r, "PTTL pawl:x");
    assert_true(ttl > LONG_MS - 10000 && ttl <= LONG_MS);
    assert_true(rig_int(r, "PTTL " QUEUE) >= ttl - 1000);
    assert_true(rig_int(r, "PTTL " PEOPLE) >= ttl - 1000);
    rig_expect(r, ask_release("x", one), PAWL_RELEASED);
    ttl = rig_int(r, "PTTL pawl:x");
    assert_true(ttl > 0 && ttl <= 5000);
    rig_expect(r, ask_renew("x", brief, LONG_MS), PAWL_CONFIRMED);
    assert_true(rig_int(r, "PTTL pawl:x") > LONG_MS - 10000);
    assert_true(rig_int(r, "PTTL " RECORD) > LONG_MS + PAWL__REDIS_FENCE_KEEP_MS - 10000);
}

static void a_foreign_holder_keeps_all_modes_out(void **state)
{
    rig *r = begin(state);
    static const pawl_mode modes[] = {X, S, U};
    rig_must(r, "SET pawl:x theirs NX PX 60000");
    for (int i = 0; i < 3; i++)
        assert_true(rig_expect(r, in_mode(fresh_token(), modes[i], 0), PAWL_BUSY)->reply.holder_ms >
                    0);
    rig_expect(r, permits(fresh_token(), 1, 0), PAWL_BUSY); /* nobody knows what it is */
    const char *reader = wait_in_line(r, S);
    rig_expect(r, permits(fresh_token(), 1, 0), PAWL_FAILED); /* a reader waits: it is a lock */
    const char *second = wait_in_line(r, S);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, in_mode(second, S, PAWL_ASK_QUEUE), PAWL_GRANTED);
    hear(r, PAWL_PUSH_GRANT, reader);
    assert_true(several_hold(r));
}

static void where_the_lock_key_is_gone_the_leases_are_gone(void **state)
{
    rig *r = begin(state);
    const char *one = hold(r, S), *two = hold(r, S);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_renew("x", one, LONG_MS), PAWL_NOT_OWNER);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    const answer *a = rig_expect(r, ask_inspect("x", one), PAWL_REPORTED);
    assert_true(!a->info.held && a->info.holder_count == 0 && a->info.waiter_count == 0);
    const char *writer = hold(r, X); /* and nobody stands in the way */
    rig_expect(r, ask_renew("x", two, LONG_MS), PAWL_NOT_OWNER);
    rig_must(r, "SET pawl:x theirs");
    rig_expect(r, ask_release("x", writer), PAWL_NOT_OWNER);
    rig_expect(r, ask_mode("x", one, S, LONG_MS, 0), PAWL_BUSY);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_release("x", hold(r, S)), PAWL_RELEASED);
    nothing_stays(r);
}

/* ---- One queue ------------------------------------------------------------------------------- */

static void a_writer_behind_readers_sees_no_difference(void **state)
{
    rig *r = begin(state);
    const char *one = hold(r, S), *two = hold(r, S), *writer = wait_in_line(r, X);
    hear(r, PAWL_PUSH_YIELD, NULL);
    hear(r, PAWL_PUSH_YIELD, NULL);
    rig_expect(r, ask_release("x", one), PAWL_RELEASED);
    rig_hear_nothing(r);
    rig_expect(r, ask_release("x", two), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    assert_string_equal(push->token, writer);
    assert_string_equal(rig_text(r, "GET pawl:x"), writer);
    char record[128];
    snprintf(record, sizeof(record), "1 %" PRIu64 " %s pawl:inbox:me somebody", push->fence,
             writer);
    assert_string_equal(rig_text(r, "GET " RECORD), record);
    int64_t ttl = rig_int(r, "PTTL pawl:x"), place = pawl_place_span(LONG_MS);
    assert_true(ttl > place - 10000 && ttl <= place);
    rig_expect(r, ask_renew("x", writer, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    nothing_stays(r);
}

static void modes_take_turns_in_order_of_arrival(void **state)
{
    rig *r = begin(state);
    const char *first = hold(r, X), *q[7];
    static const pawl_mode modes[7] = {S, U, S, U, X, X, S};
    for (int i = 0; i < 7; i++) q[i] = wait_in_line(r, modes[i]);
    hear(r, PAWL_PUSH_YIELD, first);
    rig_expect(r, ask_release("x", first), PAWL_RELEASED);
    for (int i = 0; i < 3; i++) hear(r, PAWL_PUSH_GRANT, q[i]);
    rig_hear_nothing(r); /* a second updater does not fit, and nobody passes it */
    rig_expect(r, ask_release("x", q[1]), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, q[3]);
    rig_expect(r, ask_release("x", q[3]), PAWL_RELEASED);
    rig_expect(r, ask_release("x", q[0]), PAWL_RELEASED);
    rig_expect(r, ask_release("x", q[2]), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, q[4]);
    rig_expect(r, ask_release("x", q[4]), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, q[5]);
    rig_expect(r, ask_release("x", q[5]), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, q[6]);
    rig_expect(r, ask_release("x", q[6]), PAWL_RELEASED);
    nothing_stays(r);
}

static void places_are_counted_without_the_holders(void **state)
{
    rig *r = begin(state);
    const char *q[4];
    for (int i = 0; i < 3; i++) hold(r, S);
    for (int i = 0; i < 4; i++) {
        q[i] = fresh_token();
        const answer *a = rig_expect(r, in_mode(q[i], i ? S : X, PAWL_ASK_QUEUE), PAWL_QUEUED);
        assert_int_equal(a->reply.position, i);
        assert_true(a->reply.holder_ms > LONG_MS - 10000 && a->reply.holder_ms <= LONG_MS);
        assert_true(a->reply.fence > 0);
    }
    for (int i = 3; i >= 0; i--)
        assert_int_equal(
            rig_expect(r, in_mode(q[i], i ? S : X, PAWL_ASK_QUEUE), PAWL_QUEUED)->reply.position,
            i);
    const answer *a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    assert_int_equal(a->info.holder_count, 3);
    assert_int_equal(a->info.waiter_count, 4);
}

static void any_request_ends_what_ran_out_and_serves_the_queue(void **state)
{
    rig *r = begin(state);
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW, PAWL_VERB_RELEASE,
                                      PAWL_VERB_BREAK, PAWL_VERB_CHANGE};
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        const char *holder = hold(r, S), *writer = wait_in_line(r, X);
        hear(r, PAWL_PUSH_YIELD, holder);
        let_lease_expire(r, holder);
        assert_int_equal(rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.holder_count,
                         0); /* it changes nothing, but it does not lie */
        pawl_request request = in_mode(fresh_token(), S, 0);
        request.verb = verbs[i];
        request.change = 1;
        request.fence = 1;
        (void)rig_ask(r, &request);
        hear(r, PAWL_PUSH_GRANT, writer);
        rig_expect(r, ask_renew("x", holder, LONG_MS), PAWL_NOT_OWNER);
        rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
        nothing_stays(r);
    }
}

static const char *wait_without_a_connection(rig *r, pawl_mode mode)
{
    pawl__redis_space mine = r->space;
    memcpy(r->space.inbox + r->space.inbox_len, "-gone", 6);
    r->space.inbox_len += 5;
    const char *token = wait_in_line(r, mode);
    r->space = mine;
    return token;
}

static void who_is_away_is_passed_over_and_keeps_its_place(void **state)
{
    rig *r = begin(state);
    const char *writer = hold(r, X), *away = wait_without_a_connection(r, S);
    const char *one = wait_in_line(r, S), *away_too = wait_without_a_connection(r, X);
    const char *two = wait_in_line(r, S);
    hear(r, PAWL_PUSH_YIELD, writer);
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, one);
    rig_hear_nothing(r); /* a writer does not fit, whether it is there or not */
    rig_expect(r, in_mode(away, S, PAWL_ASK_QUEUE), PAWL_GRANTED);
    rig_expect(r, ask_release("x", one), PAWL_RELEASED);
    rig_expect(r, ask_release("x", away), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, two); /* now it would fit, and is not there */
    rig_expect(r, ask_release("x", two), PAWL_RELEASED);
    rig_expect(r, in_mode(away_too, X, PAWL_ASK_QUEUE), PAWL_GRANTED);
    rig_expect(r, ask_release("x", away_too), PAWL_RELEASED);
    nothing_stays(r);
}

static void dead_waiters_are_passed_in_the_same_breath(void **state)
{
    rig *r = begin(state);
    const char *writer = hold(r, X), *dead[5];
    for (int i = 0; i < 5; i++) dead[i] = wait_in_line(r, i % 2 ? S : X);
    const char *living = wait_in_line(r, S);
    hear(r, PAWL_PUSH_YIELD, writer);
    for (int i = 0; i < 5; i++) let_place_expire(r, dead[i]);
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, living);
    rig_expect(r, ask_release("x", living), PAWL_RELEASED);
    nothing_stays(r);
}

static void a_thousand_waiting_readers_come_in_with_one_release(void **state)
{
    enum { WAITING = PAWL__REDIS_GRANTS_MAX, MORE = 5 };
    static const char *tokens[WAITING + MORE];
    rig *r = begin(state);
    const char *writer = hold(r, X);
    for (int i = 0; i < WAITING + MORE; i++) tokens[i] = wait_in_line(r, S);
    hear(r, PAWL_PUSH_YIELD, writer);
    rig_must(r, "CONFIG RESETSTAT");
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    assert_int_equal(rig_calls(r, "evalsha"), 1);
    uint64_t last = 0;
    for (int i = 0; i < WAITING; i++) {
        const pawl_push *push = rig_hear(r);
        assert_string_equal(push->token, tokens[i]);
        assert_true(push->fence > last);
        last = push->fence;
    }
    rig_hear_nothing(r);
    /* More than that would hold up the server: the next request of anybody lets them in. */
    rig_expect(r, ask_renew("x", tokens[0], LONG_MS), PAWL_CONFIRMED);
    for (int i = 0; i < MORE; i++) hear(r, PAWL_PUSH_GRANT, tokens[WAITING + i]);
    for (int i = 0; i < WAITING + MORE; i++)
        rig_expect(r, ask_release("x", tokens[i]), PAWL_RELEASED);
    nothing_stays(r);
}

static void the_first_who_waits_is_told_to_so_many_holders_only(void **state)
{
    enum { READERS = PAWL__REDIS_TOLD_MAX + 30 };
    static const char *tokens[READERS];
    rig *r = begin(state);
    for (int i = 0; i < READERS; i++) tokens[i] = hold(r, S);
    wait_in_line(r, X);
    for (int i = 0; i < PAWL__REDIS_TOLD_MAX; i++) hear(r, PAWL_PUSH_YIELD, NULL);
    rig_hear_nothing(r);
    for (int i = 0; i < READERS; i++)
        assert_true(
            rig_expect(r, ask_renew("x", tokens[i], LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    wait_in_line(r, X); /* they know already */
    rig_hear_nothing(r);
}

/* ---- Changes --------------------------------------------------------------------------------- */

static void an_upgrade_makes_a_plain_lock_that_remembers_its_changes(void **state)
{
    rig *r = begin(state);
    const char *token = hold(r, U), *other = fresh_token();
    uint64_t fence = rig_expect(r, to_mode(token, X, 4), PAWL_GRANTED)->reply.fence;
    assert_string_equal(rig_text(r, "GET pawl:x"), token);
    assert_int_equal(rig_int(r, "EXISTS " QUEUE " " PEOPLE), 0);
    /* The number is nobody's business but that of changes. */
    const answer *a = rig_expect(r, ask_inspect("x", token), PAWL_REPORTED);
    assert_true(!a->info.foreign && a->info.mine && a->info.fence == fence);
    assert_string_equal(a->info.owner, "somebody");
    assert_string_equal(a->info.holders[0].owner, "somebody");
    assert_string_equal(rig_expect(r, ask_acquire("x", other, LONG_MS), PAWL_BUSY)->reply.message,
                        "somebody");
    assert_int_equal(rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     fence);
    assert_int_equal(rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence,
                     fence);
    assert_int_equal(rig_expect(r, in_mode(token, U, 0), PAWL_GRANTED)->reply.fence, fence);
    rig_expect(r, ask_queue("x", other, LONG_MS), PAWL_QUEUED);
    hear(r, PAWL_PUSH_YIELD, token); /* in its inbox, not in that of the number */
    rig_expect(r, to_mode(token, S, 3), PAWL_NOT_OWNER);
    assert_int_equal(rig_expect(r, to_mode(token, X, 4), PAWL_GRANTED)->reply.fence, fence);
    assert_int_equal(rig_expect(r, to_mode(token, U, 5), PAWL_GRANTED)->reply.fence, fence);
    rig_expect(r, to_mode(token, X, 4), PAWL_NOT_OWNER);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, other);
}

static void an_upgrade_is_granted_when_the_last_reader_runs_out(void **state)
{
    rig *r = begin(state);
    const char *reader = hold(r, S), *token = hold(r, U);
    rig_expect(r, to_mode(token, X, 1), PAWL_QUEUED);
    hear(r, PAWL_PUSH_YIELD, reader);
    const char *writer = wait_in_line(r, X);
    rig_hear_nothing(r); /* the upgrade was first */
    let_lease_expire(r, reader);
    rig_expect(r, ask_renew("x", reader, LONG_MS), PAWL_NOT_OWNER);
    const pawl_push *push = rig_hear(r);
    assert_string_equal(push->token, token);
    assert_true(push->waiting);
    assert_string_equal(rig_text(r, "GET pawl:x"), token);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, writer);
}

static void a_downgrade_of_a_lock_whose_record_was_lost(void **state)
{
    rig *r = begin(state);
    const char *token = hold(r, X);
    rig_must(r, "DEL " RECORD);
    uint64_t fence = rig_expect(r, to_mode(token, S, 1), PAWL_GRANTED)->reply.fence;
    assert_true(fence > 0);
    const char *other = fresh_token();
    assert_true(rig_expect(r, in_mode(other, S, 0), PAWL_GRANTED)->reply.fence > fence);
    rig_must(r, "DEL " RECORD);
    uint64_t same = rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED)->reply.fence;
    assert_int_equal(same, fence);
    assert_int_equal(rig_int(r, "EXISTS " RECORD), 1);
}

/* ---- Permits --------------------------------------------------------------------------------- */

static void a_grant_of_permits_from_the_queue_names_its_slots(void **state)
{
    rig *r = begin(state);
    const char *one = fresh_token(), *two = fresh_token(), *waits = fresh_token();
    rig_expect(r, permits(one, 1, 0), PAWL_GRANTED);
    rig_expect(r, permits(two, 2, 0), PAWL_GRANTED);
    rig_expect(r, permits(waits, 2, PAWL_ASK_QUEUE), PAWL_QUEUED);
    hear(r, PAWL_PUSH_YIELD, NULL);
    hear(r, PAWL_PUSH_YIELD, NULL);
    rig_expect(r, ask_release("x", one), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    assert_string_equal(push->token, waits);
    assert_int_equal(push->slot_count, 2);
    assert_true(push->slots[0] == 0 && push->slots[1] == 3);
    const answer *a = rig_expect(r, permits(waits, 2, PAWL_ASK_QUEUE), PAWL_GRANTED);
    assert_true(a->reply.slot_count == 2 && a->reply.slots[1] == 3);
    a = rig_expect(r, ask_inspect("x", two), PAWL_REPORTED);
    assert_int_equal(a->info.capacity, 4);
    assert_int_equal(a->info.holders[0].units, 2);
    assert_true(a->info.holders[0].mine && a->info.mode == PAWL_MODE_PERMIT);
    let_lease_expire(r, two); /* its slots come back */
    a = rig_expect(r, permits(fresh_token(), 2, 0), PAWL_GRANTED);
    assert_true(a->reply.slots[0] == 1 && a->reply.slots[1] == 2);
}

static void all_permits_of_the_largest_semaphore_at_once(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token(), *waits = fresh_token();
    pawl_request all = ask_permits("x", token, PAWL_CAPACITY_MAX, PAWL_CAPACITY_MAX, LONG_MS, 0);
    const answer *a = rig_expect(r, all, PAWL_GRANTED);
    assert_int_equal(a->reply.slot_count, PAWL_CAPACITY_MAX);
    assert_int_equal(a->reply.slots[PAWL_CAPACITY_MAX - 1], PAWL_CAPACITY_MAX - 1);
    all.token = waits;
    all.flags = PAWL_ASK_QUEUE;
    rig_expect(r, all, PAWL_QUEUED);
    hear(r, PAWL_PUSH_YIELD, token);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_int_equal(rig_hear(r)->slot_count, PAWL_CAPACITY_MAX);
    rig_expect(r, ask_release("x", waits), PAWL_RELEASED);
    nothing_stays(r);
}

/* ---- Breaking -------------------------------------------------------------------------------- */

static void breaking_the_last_reader_hands_on_or_moves_the_fence_on(void **state)
{
    rig *r = begin(state);
    const char *one = hold(r, S), *two = hold(r, S);
    const answer *a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    uint64_t first = a->info.holders[0].fence, second = a->info.holders[1].fence;
    rig_expect(r, ask_break("x", first), PAWL_RELEASED);
    hear(r, PAWL_PUSH_RECHECK, NULL);
    rig_expect(r, ask_renew("x", one, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(r, ask_break("x", first), PAWL_NOT_OWNER);
    rig_expect(r, ask_renew("x", two, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, ask_break("x", second), PAWL_RELEASED);
    hear(r, PAWL_PUSH_RECHECK, NULL);
    a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    assert_true(!a->info.held && a->info.fence > second);

    const char *reader = hold(r, S), *writer = wait_in_line(r, X);
    hear(r, PAWL_PUSH_YIELD, reader);
    rig_expect(r, ask_break("x", rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence),
               PAWL_RELEASED);
    hear(r, PAWL_PUSH_RECHECK, NULL);
    hear(r, PAWL_PUSH_GRANT, writer);
    const char *next = wait_in_line(r, S);
    hear(r, PAWL_PUSH_YIELD, writer);
    rig_expect(r, ask_break("x", rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence),
               PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, next);
    hear(r, PAWL_PUSH_RECHECK, NULL);
}

/* ---- Bounds and cost ------------------------------------------------------------------------- */

static void so_many_holders_and_no_more(void **state)
{
    rig *r = begin(state);
    rig_expect(r, ask_renew("x", hold(r, S), LONG_MS), PAWL_CONFIRMED); /* now it is in all keys */
    static const char fill[] =
        "for i = 2, tonumber(ARGV[1]) do "
        "redis.call('ZADD', KEYS[1], '-' .. ARGV[2], 'reader' .. i) end "
        "redis.call('SET', KEYS[2], ARGV[3] .. ARGV[1] .. ' 0 - 0 -', 'PX', 60000) return 0";
    rig_must(r, "EVAL %s 2 " QUEUE " pawl:x %d 9999999999999 %s", fill, PAWL__REDIS_HOLDERS_MAX - 1,
             PAWL__REDIS_MANY);
    const char *last = hold(r, S);
    rig_expect(r, in_mode(fresh_token(), S, 0), PAWL_BUSY);
    const char *waits = wait_in_line(r, S);
    rig_expect(r, ask_release("x", last), PAWL_RELEASED);
    hear(r, PAWL_PUSH_GRANT, waits);
}

static void fences_of_a_group_end_at_2_53(void **state)
{
    rig *r = begin(state);
    const char *writer = fresh_token();
    rig_must(r, "SET " RECORD " %s", "1 9007199254740990 - - ");
    rig_expect(r, ask_acquire("x", writer, LONG_MS), PAWL_GRANTED);
    const char *one = wait_in_line(r, S);
    wait_in_line(r, S);
    hear(r, PAWL_PUSH_YIELD, writer);
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    assert_string_equal(push->token, one);
    assert_true(push->fence == UINT64_C(1) << 53);
    rig_hear_nothing(r); /* the next one would be the same number */
}

static void who_asks_for_another_mode_keeps_its_place_and_its_time(void **state)
{
    rig *r = begin(state);
    (void)hold(r, X);
    const char *token = wait_in_line(r, S);
    rig_must(r, "HSET " PEOPLE " %s %s", token,
             "3 9000000000000 60000 777 s 0 0 pawl:inbox:me somebody");
    rig_expect(r, in_mode(token, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    const char *place = rig_text(r, "HGET " PEOPLE " %s", token);
    assert_memory_equal(place, "2 ", 2);
    assert_non_null(strstr(place, " 60000 777 "));
}

/* Of those who come in together only the end of the fence is counted. */
static void fences_of_many_readers_grow_over_a_round_number(void **state)
{
    rig *r = begin(state);
    const uint64_t before = UINT64_C(8999999999999994); /* ahead of the clock */
    const char *writer = hold(r, X);
    for (int i = 0; i < 12; i++) (void)wait_in_line(r, S);
    hear(r, PAWL_PUSH_YIELD, writer);
    rig_must(r, "SET " RECORD " %s PX 60000", "1 8999999999999994 nobody pawl:inbox:me somebody");
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    for (uint64_t i = 1; i <= 12; i++) {
        const pawl_push *push = rig_hear(r);
        assert_int_equal(push->kind, PAWL_PUSH_GRANT);
        assert_true(push->fence == before + i);
    }
    assert_memory_equal(rig_text(r, "GET " RECORD), "1 9000000000000006 ", 19);
}

static int64_t inner_calls(rig *r)
{
    static const char *const inner[] = {"get",     "set",       "time",    "zcard", "zadd",
                                        "zrange",  "zrem",      "hget",    "hset",  "hdel",
                                        "pexpire", "zrank",     "hmget",   "pttl",  "del",
                                        "exists",  "pexpireat", "publish", "pubsub"};
    int64_t total = 0;
    for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) total += rig_calls(r, inner[i]);
    return total;
}

static void shared_costs_one_command_to_take_and_one_to_release(void **state)
{
    enum { READERS = 200 };
    static const char *tokens[READERS];
    rig *r = begin(state);
    for (int i = 0; i < READERS; i++) {
        rig_must(r, "CONFIG RESETSTAT");
        tokens[i] = hold(r, S);
        assert_int_equal(rig_calls(r, "evalsha"), 1);
        assert_int_equal(rig_calls(r, "zrank"), 0); /* nobody waits: no place is looked for */
        assert_int_equal(rig_calls(r, "pubsub"), 0);
        /* The 200th needs as many as the second; sometimes two more extend the keys' lives. */
        assert_in_range(inner_calls(r), i == 0 ? 6 : 12, i == 0 ? 6 : 16);
    }
    for (int i = 0; i < READERS - 1; i++) {
        rig_must(r, "CONFIG RESETSTAT");
        rig_expect(r, ask_release("x", tokens[i]), PAWL_RELEASED);
        assert_int_equal(rig_calls(r, "evalsha"), 1);
        assert_in_range(inner_calls(r), 7, 8); /* one more if its lease would have ended last */
    }
    rig_must(r, "CONFIG RESETSTAT");
    rig_expect(r, ask_release("x", tokens[READERS - 1]), PAWL_RELEASED);
    assert_int_equal(inner_calls(r), 7);
    nothing_stays(r);
}

static void permits_cost_the_same_while_nobody_else_has_any(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_must(r, "CONFIG RESETSTAT");
    const answer *a = rig_expect(r, permits(token, 2, 0), PAWL_GRANTED);
    assert_int_equal(a->reply.slot_count, 2);
    assert_int_equal(inner_calls(r), 6);
    rig_must(r, "CONFIG RESETSTAT");
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_int_equal(inner_calls(r), 3);
    nothing_stays(r);
    token = fresh_token();
    rig_expect(r, permits(token, 2, 0), PAWL_GRANTED);
    const char *other = fresh_token();
    a = rig_expect(r, permits(other, 2, 0), PAWL_GRANTED); /* it finds what is left */
    assert_int_equal(a->reply.slot_count, 2);
    rig_expect(r, permits(fresh_token(), 1, 0), PAWL_BUSY);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    rig_must(r, "CONFIG RESETSTAT");
    rig_expect(r, ask_release("x", other), PAWL_RELEASED);
    assert_int_equal(inner_calls(r), 8);
    nothing_stays(r);
}

/* Of those who wait so many are looked at as can come in, and the one behind them. */
static void a_permit_that_is_given_back_looks_for_one_waiter(void **state)
{
    enum { CAPACITY = 4, ALL = 24 };
    const char *tokens[ALL];
    rig *r = begin(state);
    for (int i = 0; i < ALL; i++) {
        bool holds = i < CAPACITY;
        rig_expect(r, permits(tokens[i] = fresh_token(), 1, holds ? 0 : PAWL_ASK_QUEUE),
                   holds ? PAWL_GRANTED : PAWL_QUEUED);
    }
    for (int i = 0; i < CAPACITY; i++) hear(r, PAWL_PUSH_YIELD, NULL);
    for (int i = 0; i < ALL; i++) {
        bool lets_in = i + CAPACITY < ALL;
        rig_must(r, "CONFIG RESETSTAT");
        rig_expect(r, ask_release("x", tokens[i]), PAWL_RELEASED);
        if (lets_in) hear(r, PAWL_PUSH_GRANT, tokens[i + CAPACITY]);
        assert_int_equal(rig_calls(r, "pubsub"), lets_in); /* is the inbox of that one heard? */
    }
    nothing_stays(r);
}

/* The only entry in the queue's key may be a waiter, because the server evicted the key before. */
static void one_who_waits_is_not_taken_for_the_last_holder(void **state)
{
    rig *r = begin(state);
    hold(r, S);
    rig_must(r, "DEL " QUEUE);
    const char *writer = wait_in_line(r, X);
    rig_must(r, "HSET " PEOPLE " :%s %s", writer, "3 s 1 0 0 - pawl:inbox:gone somebody");
    rig_expect(r, ask_release("x", writer), PAWL_LEFT);
    assert_true(several_hold(r));
}

static void constants_are_those_of_the_scripts(void **state)
{
    char line[160];
    const char *body = pawl__redis_scripts[PAWL__REDIS_ACQUIRE_MANY].body;
    (void)state;
    snprintf(line, sizeof(line), "local HOLDERS_MAX = %d\n", PAWL__REDIS_HOLDERS_MAX);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof(line), "local GRANTS_MAX = %d", PAWL__REDIS_GRANTS_MAX);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof(line), "local TOLD_MAX = %d", PAWL__REDIS_TOLD_MAX);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof(line), "local QUEUE_MAX = %d\n", PAWL__REDIS_QUEUE_MAX);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof(line), "local MANY = '%s'\n", PAWL__REDIS_MANY);
    assert_non_null(strstr(body, line));
    assert_non_null(strstr(pawl__redis_scripts[PAWL__REDIS_INSPECT].body, line));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(readers_leave_a_text_that_is_nobodys_token),
        cmocka_unit_test(the_lock_key_expires_with_the_last_lease),
        cmocka_unit_test(a_foreign_holder_keeps_all_modes_out),
        cmocka_unit_test(where_the_lock_key_is_gone_the_leases_are_gone),
        cmocka_unit_test(a_writer_behind_readers_sees_no_difference),
        cmocka_unit_test(modes_take_turns_in_order_of_arrival),
        cmocka_unit_test(places_are_counted_without_the_holders),
        cmocka_unit_test(any_request_ends_what_ran_out_and_serves_the_queue),
        cmocka_unit_test(who_is_away_is_passed_over_and_keeps_its_place),
        cmocka_unit_test(dead_waiters_are_passed_in_the_same_breath),
        cmocka_unit_test(a_thousand_waiting_readers_come_in_with_one_release),
        cmocka_unit_test(the_first_who_waits_is_told_to_so_many_holders_only),
        cmocka_unit_test(an_upgrade_makes_a_plain_lock_that_remembers_its_changes),
        cmocka_unit_test(an_upgrade_is_granted_when_the_last_reader_runs_out),
        cmocka_unit_test(a_downgrade_of_a_lock_whose_record_was_lost),
        cmocka_unit_test(a_grant_of_permits_from_the_queue_names_its_slots),
        cmocka_unit_test(all_permits_of_the_largest_semaphore_at_once),
        cmocka_unit_test(breaking_the_last_reader_hands_on_or_moves_the_fence_on),
        cmocka_unit_test(so_many_holders_and_no_more),
        cmocka_unit_test(fences_of_a_group_end_at_2_53),
        cmocka_unit_test(who_asks_for_another_mode_keeps_its_place_and_its_time),
        cmocka_unit_test(fences_of_many_readers_grow_over_a_round_number),
        cmocka_unit_test(shared_costs_one_command_to_take_and_one_to_release),
        cmocka_unit_test(permits_cost_the_same_while_nobody_else_has_any),
        cmocka_unit_test(a_permit_that_is_given_back_looks_for_one_waiter),
        cmocka_unit_test(one_who_waits_is_not_taken_for_the_last_holder),
        cmocka_unit_test(constants_are_those_of_the_scripts),
    };
    return rig_run("several holders on redis", cases, rig_group_begin, rig_group_end);
}
