/* SPDX-License-Identifier: MIT */
/*
 * Several holders of a name, in trouble: what is refused, keys that are damaged, a server that
 * refuses writes. What is refused has done nothing; what is damaged lets nobody in.
 */
#define _GNU_SOURCE
#include "rig.h"

#include "base/random.h"

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
#define P       PAWL_MODE_PERMIT

static rig *begin(void **state)
{
    rig *r = *state;
    rig_must(r, "CONFIG SET maxmemory 0");
    rig_must(r, "REPLICAOF NO ONE");
    rig_must(r, "FLUSHALL");
    rig_unsubscribe(r);
    rig_listen(r);
    return r;
}

static pawl_request in_mode(const char *token, pawl_mode mode, unsigned flags)
{
    return ask_mode("x", token, mode, LONG_MS, flags);
}

static pawl_request permits(const char *token, uint32_t units, uint32_t capacity, unsigned flags)
{
    return ask_permits("x", token, units, capacity, LONG_MS, flags);
}

static pawl_request to_mode(const char *token, pawl_mode mode, uint32_t number)
{
    return ask_change("x", token, mode, number, LONG_MS, PAWL_ASK_QUEUE);
}

static const char *hold(rig *r, pawl_mode mode)
{
    const char *token = fresh_token();
    rig_expect(r, in_mode(token, mode, 0), PAWL_GRANTED);
    return token;
}

/* Who is alone is in the lock key only. From a renewal on it stands in all keys, as if others came.
 */
static void stand_in_all_keys(rig *r, const char *token)
{
    rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
}

/* The lock key says all that there is to say, until somebody comes, or the first renewal. */
static void who_is_alone_is_in_the_lock_key_only(void **state)
{
    rig *r = begin(state);
    for (int i = 0; i < 6; i++) {
        rig_must(r, "FLUSHALL");
        pawl_mode mode = i % 2 ? U : S;
        const char *token = hold(r, mode), *other = fresh_token();
        assert_true(strlen(rig_text(r, "GET pawl:x")) > PAWL_TOKEN_LEN);
        assert_int_equal(rig_int(r, "DBSIZE"), 2);
        const answer *a = rig_expect(r, ask_inspect("x", token), PAWL_REPORTED);
        assert_true(a->info.held && a->info.mine && !a->info.foreign && a->info.mode == mode);
        assert_int_equal(a->info.holder_count, 1);
        assert_string_equal(a->info.owner, "somebody");
        uint64_t fence = a->info.fence;
        if (i < 2) rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
        if (i >= 4) rig_expect(r, in_mode(other, S, 0), PAWL_GRANTED);
        rig_expect(r, ask_release("x", fresh_token()), PAWL_NOT_OWNER);
        a = rig_expect(r, in_mode(token, mode, 0), PAWL_GRANTED);
        assert_int_equal(a->reply.fence, fence);
        rig_expect(r, in_mode(fresh_token(), X, 0), PAWL_BUSY);
        rig_expect(r, ask_release("x", token), PAWL_RELEASED);
        if (i >= 4) rig_expect(r, ask_release("x", other), PAWL_RELEASED);
        assert_int_equal(rig_int(r, "DBSIZE"), 1); /* the fence */
    }
}

/* ---- What is refused ------------------------------------------------------------------------ */

static void a_lock_is_no_semaphore(void **state)
{
    rig *r = begin(state);
    static const pawl_mode modes[] = {X, S, U};
    for (int i = 0; i < 3; i++) {
        const char *token = hold(r, modes[i]);
        stand_in_all_keys(r, token);
        for (unsigned flags = 0; flags <= PAWL_ASK_QUEUE; flags++)
            rig_refused(r, permits(fresh_token(), 1, 4, flags), PAWL_ERR_KIND,
                        "in use as a lock, not as a semaphore");
        rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    }
    /* And nobody holds it, but somebody waits who is away. */
    const char *holder = hold(r, X), *waiter = fresh_token();
    rig_expect(r, in_mode(waiter, S, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_unsubscribe(r);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    rig_refused(r, permits(fresh_token(), 1, 4, 0), PAWL_ERR_KIND, "not as a semaphore");
    rig_expect(r, ask_release("x", waiter), PAWL_LEFT);
    rig_expect(r, permits(fresh_token(), 1, 4, 0), PAWL_GRANTED);
}

static void a_semaphore_is_no_lock_and_has_one_capacity(void **state)
{
    rig *r = begin(state);
    static const pawl_mode modes[] = {X, S, U};
    const char *token = fresh_token();
    rig_expect(r, permits(token, 1, 4, 0), PAWL_GRANTED);
    stand_in_all_keys(r, token);
    for (unsigned flags = 0; flags <= PAWL_ASK_QUEUE; flags++) {
        for (int i = 0; i < 3; i++)
            rig_refused(r, in_mode(fresh_token(), modes[i], flags), PAWL_ERR_KIND,
                        "in use as a semaphore, not as a lock");
        rig_refused(r, permits(fresh_token(), 1, 5, flags), PAWL_ERR_CAPACITY, "another capacity");
    }
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    rig_expect(r, permits(fresh_token(), 5, 5, 0), PAWL_GRANTED);
}

static void changes_that_no_table_has(void **state)
{
    rig *r = begin(state);
    const char *reader = hold(r, S), *token = fresh_token();
    static const pawl_mode to[] = {U, X, P};
    for (int i = 0; i < 3; i++) {
        const answer *a = rig_expect(r, to_mode(reader, to[i], 1), PAWL_FAILED);
        assert_int_equal(a->reply.err, PAWL_ERR_MODE);
        assert_non_null(strstr(a->message, "acquire it in mode update"));
    }
    rig_expect(r, ask_renew("x", reader, LONG_MS / 2), PAWL_CONFIRMED);
    rig_expect(r, to_mode(reader, X, 1), PAWL_FAILED);
    assert_true(rig_int(r, "PTTL pawl:x") > LONG_MS / 2); /* every such answer extends */
    rig_expect(r, ask_release("x", reader), PAWL_RELEASED);
    rig_expect(r, permits(token, 2, 4, 0), PAWL_GRANTED);
    rig_expect(r, to_mode(token, S, 1), PAWL_FAILED);
    const answer *a = rig_expect(r, to_mode(token, P, 1), PAWL_GRANTED);
    assert_int_equal(a->reply.slot_count, 2);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    const char *writer = hold(r, X);
    assert_int_equal(rig_expect(r, to_mode(writer, P, 1), PAWL_FAILED)->reply.err, PAWL_ERR_MODE);
    rig_expect(r, ask_renew("x", writer, LONG_MS), PAWL_CONFIRMED);
}

/* ---- Keys of another type ------------------------------------------------------------------ */

static void keys_of_another_type(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    static const struct {
        const char *spoil, *key;
    } keys[] = {{"HSET pawl:x a b", "key pawl:x "},
                {"RPUSH " RECORD " a", "key " RECORD},
                {"SET " QUEUE " a", "key " QUEUE}};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        rig_must(r, "FLUSHALL");
        rig_must(r, keys[i].spoil);
        rig_refused(r, in_mode(token, S, 0), PAWL_ERR_WRONG_TYPE, keys[i].key);
        rig_refused(r, in_mode(token, U, PAWL_ASK_QUEUE), PAWL_ERR_WRONG_TYPE, keys[i].key);
        rig_refused(r, permits(token, 1, 4, 0), PAWL_ERR_WRONG_TYPE, keys[i].key);
    }
    rig_must(r, "FLUSHALL");
    rig_must(r, "SET " PEOPLE " a"); /* who is alone does not need it */
    rig_expect(r, in_mode(token, S, 0), PAWL_GRANTED);
    rig_refused(r, in_mode(fresh_token(), S, 0), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, in_mode(fresh_token(), X, 0), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    rig_must(r, "FLUSHALL");
    const char *reader = hold(r, S), *updater = hold(r, U), *waiter = fresh_token();
    rig_expect(r, in_mode(waiter, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_must(r, "RENAME " PEOPLE " kept");
    rig_must(r, "SET " PEOPLE " a");
    rig_refused(r, in_mode(waiter, X, PAWL_ASK_QUEUE), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, ask_renew("x", reader, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, ask_release("x", reader), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, to_mode(updater, X, 1), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, ask_inspect("x", reader), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
    rig_refused(r, ask_break("x", 1), PAWL_ERR_WRONG_TYPE, "key " PEOPLE);
}

/* ---- Damage ---------------------------------------------------------------------------------- */

/* As long as the lock key says that several hold it. */
static void nobody_comes_in(rig *r)
{
    rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    pawl_request request = in_mode(fresh_token(), U, 0);
    const answer *a = rig_ask(r, &request);
    assert_true(a->reply.outcome == PAWL_BUSY || a->reply.outcome == PAWL_FAILED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 1);
}

static void keys_that_were_lost_let_nobody_in_before_the_last_lease_ends(void **state)
{
    rig *r = begin(state);
    static const char *const lost[] = {QUEUE, PEOPLE, QUEUE " " PEOPLE};
    for (int i = 0; i < 3; i++) {
        rig_must(r, "FLUSHALL");
        const char *reader = hold(r, S), *updater = hold(r, U);
        char command[64];
        snprintf(command, sizeof(command), "DEL %s", lost[i]);
        rig_must(r, command);
        nobody_comes_in(r);
        rig_expect(r, ask_renew("x", reader, LONG_MS), PAWL_NOT_OWNER);
        rig_expect(r, to_mode(updater, X, 1), PAWL_NOT_OWNER);
        rig_expect(r, ask_release("x", reader), PAWL_NOT_OWNER);
        rig_expect(r, ask_break("x", 1), PAWL_NOT_OWNER);
        assert_true(rig_expect(r, ask_inspect("x", reader), PAWL_REPORTED)->info.held);
        nobody_comes_in(r);
        const char *waiter = fresh_token();
        rig_expect(r, in_mode(waiter, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
        rig_must(r, "DEL pawl:x"); /* the last lease has ended */
        rig_expect(r, in_mode(waiter, X, PAWL_ASK_QUEUE), PAWL_GRANTED);
        rig_expect(r, ask_release("x", waiter), PAWL_RELEASED);
        assert_int_equal(rig_int(r, "EXISTS " QUEUE), 0);
    }
}

/* The lock key says until when the last lease lasts: the upgrade is nobody's to grant. */
static void an_upgrade_that_waits_when_keys_are_lost_lets_nobody_in(void **state)
{
    rig *r = begin(state);
    static const char *const lost[] = {QUEUE, QUEUE " " PEOPLE};
    for (int i = 0; i < 2; i++) {
        rig_must(r, "FLUSHALL");
        (void)hold(r, S);
        rig_expect(r, to_mode(hold(r, U), X, 1), PAWL_QUEUED);
        char command[64];
        snprintf(command, sizeof(command), "DEL %s", lost[i]);
        rig_must(r, command);
        nobody_comes_in(r);
        rig_expect(r, in_mode(fresh_token(), X, PAWL_ASK_QUEUE), PAWL_QUEUED);
        nobody_comes_in(r);
    }
}

static void a_lock_that_ran_out_before_waiting_readers_is_theirs(void **state)
{
    rig *r = begin(state);
    static const pawl_mode modes[] = {S, U};
    for (int i = 0; i < 2; i++) {
        const char *one = fresh_token(), *two = fresh_token();
        (void)hold(r, X);
        rig_expect(r, in_mode(one, S, PAWL_ASK_QUEUE), PAWL_QUEUED);
        rig_must(r, "DEL pawl:x"); /* the writer's lease has ended */
        rig_expect(r, in_mode(two, modes[i], PAWL_ASK_QUEUE), PAWL_GRANTED);
        rig_expect(r, ask_release("x", one), PAWL_RELEASED);
        rig_expect(r, ask_release("x", two), PAWL_RELEASED);
    }
}

static void a_key_that_is_made_anew_beside_an_old_one_expires(void **state)
{
    rig *r = begin(state);
    stand_in_all_keys(r, hold(r, S));
    rig_must(r, "DEL pawl:x " QUEUE);
    stand_in_all_keys(r, hold(r, S));
    assert_true(rig_int(r, "PTTL " QUEUE) > 0);
    assert_true(rig_int(r, "PTTL " PEOPLE) > 0);
}

/* What the server left of the waiters, for hours, was thrown out of the queue's key. */
static void a_queue_that_is_made_anew_beside_old_waiters_expires(void **state)
{
    rig *r = begin(state);
    rig_must(r, "HSET " PEOPLE " somebody 2");
    rig_must(r, "PEXPIRE " PEOPLE " 3600000");
    hold(r, S);
    hold(r, S); /* the first one gets its place */
    assert_true(rig_int(r, "PTTL " QUEUE) > 0);
    assert_true(rig_int(r, "PTTL " PEOPLE) > 0);
}

static void a_fence_that_a_change_draws_is_written(void **state)
{
    rig *r = begin(state);
    const char *token = hold(r, X);
    rig_must(r, "DEL " RECORD);
    rig_expect(r, to_mode(token, S, 1), PAWL_GRANTED);
    assert_int_equal(rig_int(r, "EXISTS " RECORD), 1);
}

/* Its record as a waiter outlived the queue. */
static void who_came_in_after_the_queue_was_lost_gives_it_back(void **state)
{
    rig *r = begin(state);
    const char *writer = hold(r, X), *token = fresh_token();
    rig_expect(r, in_mode(token, U, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_must(r, "DEL " QUEUE);
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    rig_expect(r, in_mode(token, U, PAWL_ASK_QUEUE), PAWL_GRANTED);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
}

static void who_asks_again_after_its_record_was_lost_counts_once(void **state)
{
    rig *r = begin(state);
    const char *token = hold(r, S);
    stand_in_all_keys(r, token);
    rig_must(r, "DEL " PEOPLE);
    rig_expect(r, in_mode(token, S, 0), PAWL_GRANTED);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
}

/* Its lease was over before the next one came; only the queue's key had been thrown out. */
static void who_held_before_the_queue_was_lost_has_nothing_afterwards(void **state)
{
    rig *r = begin(state);
    for (int verb = 0; verb < 4; verb++) {
        rig_must(r, "FLUSHALL");
        const char *old = hold(r, S);
        stand_in_all_keys(r, old);
        rig_must(r, "DEL " QUEUE);
        rig_must(r, "DEL pawl:x"); /* the last lease has ended */
        const char *next = hold(r, S);
        if (verb == 0) rig_expect(r, ask_release("x", old), PAWL_NOT_OWNER);
        if (verb == 1) rig_expect(r, ask_renew("x", old, LONG_MS), PAWL_NOT_OWNER);
        if (verb == 2) rig_expect(r, to_mode(old, S, 1), PAWL_NOT_OWNER);
        if (verb == 3) {
            uint64_t fence = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence;
            assert_true(rig_expect(r, in_mode(old, S, 0), PAWL_GRANTED)->reply.fence > fence);
            rig_expect(r, ask_release("x", old), PAWL_RELEASED);
        }
        rig_expect(r, in_mode(fresh_token(), X, 0), PAWL_BUSY); /* no writer beside the reader */
        assert_int_equal(rig_int(r, "HEXISTS " PEOPLE " :%s", old), 0);
        rig_expect(r, ask_release("x", next), PAWL_RELEASED);
        assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    }
}

static void run_out(rig *r, const char *token)
{
    rig_must(r, "ZADD " QUEUE " -1 %s", token);
}

static void permits_whose_record_was_lost_are_free_when_their_lease_ends(void **state)
{
    rig *r = begin(state);
    const char *one = fresh_token(), *two = fresh_token(), *other = fresh_token();
    rig_expect(r, permits(one, 1, 4, 0), PAWL_GRANTED);
    rig_expect(r, permits(other, 1, 4, 0), PAWL_GRANTED);
    rig_must(r, "DEL " PEOPLE);
    rig_expect(r, permits(two, 2, 4, 0), PAWL_GRANTED);
    run_out(r, one);
    rig_expect(r, permits(fresh_token(), 1, 4, 0), PAWL_BUSY); /* which are the other's? */
    run_out(r, other);
    const answer *a = rig_expect(r, permits(fresh_token(), 2, 4, 0), PAWL_GRANTED);
    assert_int_equal(a->reply.slots[0], 0);
    assert_int_equal(a->reply.slots[1], 1);
    rig_expect(r, permits(fresh_token(), 1, 4, 0), PAWL_BUSY);
    rig_expect(r, ask_renew("x", two, LONG_MS), PAWL_CONFIRMED);
}

/* Its client may still believe in those that it has. */
static void permits_without_their_record_are_not_drawn_anew_before_their_lease_ends(void **state)
{
    rig *r = begin(state);
    const char *one = fresh_token(), *other = fresh_token();
    rig_expect(r, permits(one, 1, 4, 0), PAWL_GRANTED);
    stand_in_all_keys(r, one);
    rig_must(r, "DEL " PEOPLE);
    rig_expect(r, permits(one, 1, 4, PAWL_ASK_QUEUE), PAWL_QUEUED);
    const answer *a = rig_expect(r, permits(other, 1, 4, 0), PAWL_GRANTED);
    assert_int_equal(a->reply.slots[0], 1);
    rig_expect(r, permits(fresh_token(), 3, 4, 0), PAWL_BUSY);
    run_out(r, one);
    a = rig_expect(r, permits(one, 1, 4, PAWL_ASK_QUEUE), PAWL_GRANTED);
    assert_int_equal(a->reply.slots[0], 0);
    rig_expect(r, ask_renew("x", other, LONG_MS), PAWL_CONFIRMED);
}

/* It does not fit beside what it has itself; the others keep what they have. */
static void who_asks_again_without_its_record_harms_nobody(void **state)
{
    rig *r = begin(state);
    const char *updater = hold(r, U), *writer = fresh_token();
    stand_in_all_keys(r, updater);
    rig_must(r, "DEL " PEOPLE);
    const char *reader = hold(r, S);
    rig_expect(r, in_mode(updater, U, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_expect(r, ask_renew("x", reader, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, in_mode(fresh_token(), U, 0), PAWL_BUSY);
    run_out(r, updater);
    rig_expect(r, in_mode(updater, U, PAWL_ASK_QUEUE), PAWL_GRANTED);
    rig_expect(r, ask_release("x", updater), PAWL_RELEASED);

    rig_must(r, "DEL " PEOPLE);
    rig_expect(r, in_mode(writer, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_expect(r, in_mode(reader, S, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_expect(r, in_mode(fresh_token(), X, 0), PAWL_BUSY); /* the reader may still believe */
    run_out(r, reader);
    rig_expect(r, in_mode(reader, S, PAWL_ASK_QUEUE), PAWL_QUEUED);
    assert_string_equal(rig_text(r, "GET pawl:x"), writer); /* it came first */
    rig_expect(r, ask_release("x", writer), PAWL_RELEASED);
    rig_expect(r, in_mode(reader, S, PAWL_ASK_QUEUE), PAWL_GRANTED);
}

/* Its client may still believe that it holds in mode update: no writer comes in before its end. */
static void an_upgrade_without_its_record_keeps_its_lease(void **state)
{
    rig *r = begin(state);
    const char *reader = hold(r, S), *updater = hold(r, U), *writer = fresh_token();
    rig_expect(r, to_mode(updater, X, 1), PAWL_QUEUED);
    rig_must(r, "DEL " PEOPLE);
    run_out(r, reader);
    rig_expect(r, in_mode(writer, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_expect(r, in_mode(fresh_token(), X, 0), PAWL_BUSY);
    run_out(r, updater);
    rig_expect(r, in_mode(fresh_token(), X, 0), PAWL_BUSY);
    assert_string_equal(rig_text(r, "GET pawl:x"), writer);
}

static void a_lock_key_that_says_nonsense_is_a_foreign_holder(void **state)
{
    rig *r = begin(state);
    static const char *const ends[] = {"",
                                       "1",
                                       "1 0",
                                       "1 0 -",
                                       "1 0 - 0",
                                       "x 0 - 0 -",
                                       "1 0 - 0 - -",
                                       "1 0  0 -",
                                       "-1 0 - 0 -",
                                       "1 0 - x -",
                                       "99999 0 - 0 -",
                                       "1 4 - 0 -",
                                       "=",
                                       "=a 0 -",
                                       "=a 0 - 5",
                                       "=a 4 - 5 3 p 5 0 1 0 i x",
                                       "=a 0 - 5 3 z 5 0 0 - i x",
                                       "=a 2000 - 5 3 s 5 0 0 - i x"};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        rig_must(r, "FLUSHALL");
        const char *reader = hold(r, S);
        rig_must(r, "SET pawl:x %s PX 60000", "");
        rig_must(r, "EVAL %s 1 pawl:x %s%s",
                 "return redis.call('SET', KEYS[1], ARGV[1], 'PX', 60000)", PAWL__REDIS_MANY,
                 ends[i]);
        rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
        pawl_request request = in_mode(reader, S, PAWL_ASK_QUEUE);
        for (int verb = PAWL_VERB_ACQUIRE; verb <= PAWL_VERB_CHANGE; verb++) {
            if (verb == PAWL_VERB_LIST || verb == PAWL_VERB_DOCTOR) continue;
            request.verb = (pawl_verb)verb;
            request.change = 1;
            assert_int_equal(rig_ask(r, &request)->verdict, PAWL__REDIS_DECODED);
        }
    }
}

/* Whatever is in the two keys: each script answers, and no writer gets in beside a reader. */
static void records_that_are_none(void **state)
{
    static const char *const texts[] = {"",
                                        "3",
                                        "3 ",
                                        "3 s",
                                        "3 s 5 0 0 -",
                                        "2 s 5 0 0 - pawl:inbox:me x",
                                        "3 z 5 0 0 - i x",
                                        "3 s x 0 0 - i x",
                                        "3 s 5 0 0 -  ",
                                        "3 p 5 0 2 9,9 i x",
                                        "3 p 5 0 2 , i x",
                                        "3 9 9 9 s 0 0 i x",
                                        "3 99999999999999 9 9 s 0 0 pawl:inbox:me x",
                                        "3 99999999999999 9 9 z 0 0 pawl:inbox:me x",
                                        "3 99999999999999 9 9 p 9 9 pawl:inbox:me x",
                                        "2 99999999999999 9 9 pawl:inbox:me x",
                                        "2 99999999999999",
                                        "3 u 5 0 0 - i"};
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    rig *r = begin(state);
    uint64_t random = 1;
    for (int round = 0; round < 400; round++) {
        rig_must(r, "FLUSHALL");
        bool semaphore = round % 2;
        const char *one = fresh_token(), *two = fresh_token(), *waits = fresh_token();
        rig_expect(r, semaphore ? permits(one, 1, 2, 0) : in_mode(one, S, 0), PAWL_GRANTED);
        rig_expect(r, semaphore ? permits(two, 1, 2, 0) : in_mode(two, U, 0), PAWL_GRANTED);
        rig_expect(
            r, semaphore ? permits(waits, 2, 2, PAWL_ASK_QUEUE) : in_mode(waits, X, PAWL_ASK_QUEUE),
            PAWL_QUEUED);
        rig_must(r, "HSET " PEOPLE " :%s %s", two, texts[pawl__random_next(&random) % TEXTS]);
        if (round % 3)
            rig_must(r, "HSET " PEOPLE " %s %s", waits, texts[pawl__random_next(&random) % TEXTS]);
        if (round % 5 == 0) rig_must(r, "ZADD " QUEUE " -99999999999999 nobody");
        const char *tokens[] = {one, two, waits, fresh_token()};
        for (int step = 0; step < 8; step++) {
            pawl_request request = semaphore
                                       ? permits(tokens[pawl__random_next(&random) % 4], 1, 2, 0)
                                       : in_mode(tokens[pawl__random_next(&random) % 4], X, 0);
            static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW, PAWL_VERB_INSPECT,
                                              PAWL_VERB_CHANGE, PAWL_VERB_BREAK};
            request.verb = verbs[pawl__random_next(&random) % 5];
            request.change = 1;
            request.fence = 5;
            request.flags = pawl__random_next(&random) % 2 ? PAWL_ASK_QUEUE : 0;
            const answer *a = rig_ask(r, &request);
            assert_int_equal(a->verdict, PAWL__REDIS_DECODED);
            if (a->reply.outcome == PAWL_UNKNOWN)
                fail_msg("round %d, verb %d: %s", round, (int)request.verb, a->message);
            /* The first reader holds, whatever became of the others: no writer comes new. */
            if (!semaphore && request.token == tokens[3] && request.verb == PAWL_VERB_ACQUIRE &&
                rig_int(r, "HEXISTS " PEOPLE " :%s", one))
                assert_int_not_equal(a->reply.outcome, PAWL_GRANTED);
        }
        pawl_request last = ask_release("x", waits);
        assert_int_equal(rig_ask(r, &last)->verdict, PAWL__REDIS_DECODED);
    }
}

/* ---- Refused writes ---------------------------------------------------------------------------
 */

static void a_full_server_lets_nobody_in_and_everybody_out(void **state)
{
    rig *r = begin(state);
    const char *one = hold(r, S), *updater = hold(r, U), *waits = fresh_token(),
               *next = fresh_token();
    rig_expect(r, in_mode(waits, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_expect(r, in_mode(next, S, PAWL_ASK_QUEUE), PAWL_QUEUED);
    const char *alone = fresh_token();
    rig_expect(r, ask_mode("z", alone, S, LONG_MS, 0), PAWL_GRANTED);
    rig_must(r, "CONFIG SET maxmemory 1");
    rig_expect(r, ask_renew("z", alone, LONG_MS), PAWL_CONFIRMED);
    rig_refused(r, ask_mode("y", fresh_token(), S, LONG_MS, 0), PAWL_ERR_STORE_FULL,
                "memory is full");
    rig_refused(r, in_mode(fresh_token(), S, PAWL_ASK_QUEUE), PAWL_ERR_STORE_FULL,
                "memory is full");
    rig_expect(r, ask_renew("x", one, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, in_mode(one, S, 0), PAWL_GRANTED);
    rig_expect(r, in_mode(waits, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_expect(r, to_mode(updater, X, 1), PAWL_QUEUED);
    rig_expect(r, ask_release("x", one), PAWL_RELEASED);
    assert_string_equal(rig_text(r, "GET pawl:x"), updater); /* upgraded */
    rig_expect(r, to_mode(updater, X, 1), PAWL_GRANTED);
    rig_expect(r, to_mode(updater, S, 2), PAWL_GRANTED);
    rig_expect(r, ask_release("x", updater), PAWL_RELEASED);
    assert_string_equal(rig_text(r, "GET pawl:x"), waits);
    rig_expect(r, ask_release("x", waits), PAWL_RELEASED);
    rig_expect(r, ask_renew("x", next, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, ask_break("x", rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence),
               PAWL_RELEASED);
}

static void a_replica_refuses_all_modes_and_has_done_nothing(void **state)
{
    rig *r = begin(state);
    const char *one = hold(r, S), *updater = hold(r, U), *waits = fresh_token();
    rig_expect(r, in_mode(waits, X, PAWL_ASK_QUEUE), PAWL_QUEUED);
    rig_must(r, "REPLICAOF 127.0.0.1 1");
    rig_refused(r, ask_mode("y", fresh_token(), S, LONG_MS, 0), PAWL_ERR_READONLY, "replica");
    rig_refused(r, in_mode(fresh_token(), S, PAWL_ASK_QUEUE), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_renew("x", one, LONG_MS), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_release("x", one), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_release("x", waits), PAWL_ERR_READONLY, "replica");
    rig_refused(r, to_mode(updater, S, 1), PAWL_ERR_READONLY, "replica");
    rig_expect(r, ask_inspect("x", one), PAWL_REPORTED);
    rig_must(r, "REPLICAOF NO ONE");
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(who_is_alone_is_in_the_lock_key_only),
        cmocka_unit_test(a_lock_is_no_semaphore),
        cmocka_unit_test(a_semaphore_is_no_lock_and_has_one_capacity),
        cmocka_unit_test(changes_that_no_table_has),
        cmocka_unit_test(keys_of_another_type),
        cmocka_unit_test(keys_that_were_lost_let_nobody_in_before_the_last_lease_ends),
        cmocka_unit_test(an_upgrade_that_waits_when_keys_are_lost_lets_nobody_in),
        cmocka_unit_test(a_lock_that_ran_out_before_waiting_readers_is_theirs),
        cmocka_unit_test(a_key_that_is_made_anew_beside_an_old_one_expires),
        cmocka_unit_test(a_queue_that_is_made_anew_beside_old_waiters_expires),
        cmocka_unit_test(a_fence_that_a_change_draws_is_written),
        cmocka_unit_test(who_came_in_after_the_queue_was_lost_gives_it_back),
        cmocka_unit_test(who_asks_again_after_its_record_was_lost_counts_once),
        cmocka_unit_test(who_held_before_the_queue_was_lost_has_nothing_afterwards),
        cmocka_unit_test(permits_whose_record_was_lost_are_free_when_their_lease_ends),
        cmocka_unit_test(permits_without_their_record_are_not_drawn_anew_before_their_lease_ends),
        cmocka_unit_test(who_asks_again_without_its_record_harms_nobody),
        cmocka_unit_test(an_upgrade_without_its_record_keeps_its_lease),
        cmocka_unit_test(a_lock_key_that_says_nonsense_is_a_foreign_holder),
        cmocka_unit_test(records_that_are_none),
        cmocka_unit_test(a_full_server_lets_nobody_in_and_everybody_out),
        cmocka_unit_test(a_replica_refuses_all_modes_and_has_done_nothing),
    };
    return rig_run("several holders on redis, in trouble", cases, rig_group_begin, rig_group_end);
}
