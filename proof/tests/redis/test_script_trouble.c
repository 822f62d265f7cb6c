/* SPDX-License-Identifier: MIT */
/*
 * The scripts in trouble: keys that are not ours, clients that are not pawl, a
 * server that refuses writes, forgets, or whose clock jumps. A refused script has
 * done nothing.
 */
#define _GNU_SOURCE
#include "rig.h"

#include "base/random.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LONG_MS 60000
#define RECORD  "{pawl:x}:f"
#define QUEUE   "{pawl:x}:q"
#define WAITERS "{pawl:x}:w"

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

/* ---- Keys of another type ------------------------------------------------------------------ */

static void the_lock_key_of_another_type(void **state)
{
    rig *r = begin(state);
    rig_must(r, "HSET pawl:x field value");
    const char *token = fresh_token();
    rig_refused(r, ask_acquire("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key pawl:x ");
    rig_refused(r, ask_queue("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key pawl:x ");
    rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key pawl:x ");
    rig_refused(r, ask_release("x", token), PAWL_ERR_WRONG_TYPE, "key pawl:x ");
    rig_refused(r, ask_inspect("x", token), PAWL_ERR_WRONG_TYPE, "key pawl:x ");
    rig_refused(r, ask_break("x", 1), PAWL_ERR_WRONG_TYPE, "key pawl:x ");
}

static void the_fence_record_of_another_type(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_must(r, "RPUSH " RECORD " a");
    rig_refused(r, ask_acquire("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " RECORD);
    rig_must(r, "SET pawl:x %s PX 60000", token);
    rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " RECORD);
    rig_refused(r, ask_inspect("x", token), PAWL_ERR_WRONG_TYPE, "key " RECORD);
    rig_refused(r, ask_break("x", 1), PAWL_ERR_WRONG_TYPE, "key " RECORD);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED); /* needs no record: nobody waits */
}

static void a_fence_record_that_is_none(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token(), *waiter = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    static const char *const wrong[] = {"",    "7",    "2 5 a b c", "1 x a b c",
                                        "1 5", "1 5 ", "1 -5 a b c"};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        rig_must(r, "SET " RECORD " %s", wrong[i]);
        rig_refused(r, ask_acquire("x", token, LONG_MS), PAWL_ERR_CORRUPT, RECORD);
        rig_refused(r, ask_queue("x", waiter, LONG_MS), PAWL_ERR_CORRUPT, RECORD);
        rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_CORRUPT, RECORD);
        rig_refused(r, ask_release("x", token), PAWL_ERR_CORRUPT, RECORD);
        rig_refused(r, ask_break("x", 5), PAWL_ERR_CORRUPT, RECORD);
    }
}

static void the_queue_of_another_type(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_must(r, "SET " QUEUE " a");
    rig_refused(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_ERR_WRONG_TYPE, "key " QUEUE);
    rig_refused(r, ask_release("x", token), PAWL_ERR_WRONG_TYPE, "key " QUEUE);
    rig_refused(r, ask_inspect("x", token), PAWL_ERR_WRONG_TYPE, "key " QUEUE);
    rig_must(r, "DEL pawl:x");
    rig_refused(r, ask_acquire("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " QUEUE);
    rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " QUEUE);
}

static void the_waiters_of_another_type(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token(), *waiter = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    rig_must(r, "SET " WAITERS " a");
    rig_refused(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_ERR_WRONG_TYPE, "key " WAITERS);
    rig_refused(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_ERR_WRONG_TYPE, "key " WAITERS);
    rig_refused(r, ask_release("x", token), PAWL_ERR_WRONG_TYPE, "key " WAITERS);
    rig_refused(r, ask_release("x", waiter), PAWL_ERR_WRONG_TYPE, "key " WAITERS);
    rig_refused(r, ask_inspect("x", token), PAWL_ERR_WRONG_TYPE, "key " WAITERS);
    rig_must(r, "DEL pawl:x");
    rig_refused(r, ask_acquire("x", token, LONG_MS), PAWL_ERR_WRONG_TYPE, "key " WAITERS);
}

static void a_queue_without_its_waiters_holds_nobody_up(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token(), *waiter = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    rig_must(r, "DEL " WAITERS);
    /* The one that lives comes back to the end of the queue. */
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    assert_int_equal(rig_int(r, "ZCARD " QUEUE), 1);
    rig_must(r, "ZADD " QUEUE " 0 nobody");
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_string_equal(rig_text(r, "GET pawl:x"), waiter);
}

/* ---- Clients that are not pawl ---------------------------------------------------- */

static void a_plain_client_keeps_pawl_out(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_must(r, "SET pawl:x theirs NX PX 60000");
    const answer *a = rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_BUSY);
    assert_true(a->reply.holder_ms > 0);
    assert_null(a->reply.message);
    a = rig_expect(r, ask_queue("x", token, LONG_MS), PAWL_QUEUED);
    assert_int_equal(a->reply.position, 0);
    assert_true(a->reply.holder_ms > 0);
    rig_hear_nothing(r); /* nobody to ask to yield */
    a = rig_expect(r, ask_inspect("x", token), PAWL_REPORTED);
    assert_true(a->info.held && a->info.foreign && !a->info.mine);
    assert_string_equal(a->info.owner, "");
    /* It frees without a hand-off: the next look takes it. */
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_queue("x", token, LONG_MS), PAWL_GRANTED);
}

static void pawl_keeps_a_plain_client_out(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    static const char compare_and_delete[] =
        "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end "
        "return 0";
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    assert_int_equal(rig_do(r, "SET pawl:x theirs NX PX 60000")->type, REDIS_REPLY_NIL);
    assert_int_equal(rig_int(r, "EVAL %s 1 pawl:x theirs", compare_and_delete), 0);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_int_equal(rig_do(r, "SET pawl:x theirs NX PX 60000")->type, REDIS_REPLY_STATUS);
    rig_expect(r, ask_release("x", token), PAWL_NOT_OWNER);
    assert_int_equal(rig_int(r, "EVAL %s 1 pawl:x theirs", compare_and_delete), 1);
}

static void a_foreign_key_without_ttl_never_ends(void **state)
{
    rig *r = begin(state);
    rig_must(r, "SET pawl:x theirs");
    assert_int_equal(
        rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY)->reply.holder_ms, -1);
    assert_int_equal(
        rig_expect(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED)->reply.holder_ms, -1);
    assert_int_equal(rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.remaining_ms, -1);
}

static void an_empty_foreign_token_is_nobodys(void **state)
{
    rig *r = begin(state);
    rig_must(r, "SET pawl:x %s", "");
    rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    const answer *a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    assert_true(a->info.held && a->info.foreign && !a->info.mine);
}

static void a_foreign_holder_can_be_broken(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_must(r, "SET pawl:x theirs");
    assert_int_equal(rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence, 0);
    rig_expect(r, ask_break("x", 0), PAWL_RELEASED);
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    /* It overwrites ours, as a plain SET can: the record names who held last. */
    rig_must(r, "SET pawl:x theirs");
    uint64_t fence = rig_expect(r, ask_inspect("x", token), PAWL_REPORTED)->info.fence;
    assert_true(fence > 0);
    rig_expect(r, ask_break("x", 0), PAWL_NOT_OWNER);
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    rig_hear_nothing(r); /* the pawl holder is not the one that lost it now */
}

static void waiters_behind_a_foreign_holder_get_it_at_its_end(void **state)
{
    rig *r = begin(state);
    const char *first = fresh_token(), *second = fresh_token();
    rig_must(r, "SET pawl:x theirs PX 50");
    rig_expect(r, ask_queue("x", first, LONG_MS), PAWL_QUEUED);
    rig_expect(r, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    while (rig_int(r, "EXISTS pawl:x")) continue; /* 50 ms */
    rig_expect(r, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    assert_string_equal(rig_hear(r)->token, first);
}

/* ---- Refused writes --------------------------------------------------------------- */

static void a_full_server_grants_nothing_and_lets_go(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token(), *waiter = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    rig_must(r, "CONFIG SET maxmemory 1");
    rig_refused(r, ask_acquire("y", fresh_token(), LONG_MS), PAWL_ERR_STORE_FULL, "memory is full");
    rig_refused(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_ERR_STORE_FULL, "memory is full");
    /* A held lock goes on, and becomes free; a waiter keeps its place, and gets its turn. */
    rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_string_equal(rig_text(r, "GET pawl:x"), waiter);
    rig_expect(r, ask_renew("x", waiter, LONG_MS), PAWL_CONFIRMED);
    rig_expect(r, ask_release("x", waiter), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
}

static void breaking_works_on_a_full_server(void **state)
{
    rig *r = begin(state);
    rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    uint64_t fence = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence;
    rig_must(r, "CONFIG SET maxmemory 1");
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
}

static void a_replica_refuses_and_has_done_nothing(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token(), *waiter = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED);
    assert_int_equal(rig_hear(r)->kind, PAWL_PUSH_YIELD);
    rig_must(r, "REPLICAOF 127.0.0.1 1");
    rig_refused(r, ask_acquire("y", fresh_token(), LONG_MS), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_release("x", token), PAWL_ERR_READONLY, "replica");
    rig_refused(r, ask_release("x", waiter), PAWL_ERR_READONLY, "replica");
    rig_hear_nothing(r); /* above all: no grant was announced */
    rig_must(r, "CONFIG SET replica-serve-stale-data no");
    const answer *a = rig_ask(r, &(pawl_request){.verb = PAWL_VERB_RENEW,
                                                 .name = "x",
                                                 .name_len = 1,
                                                 .token = token,
                                                 .ttl_ms = LONG_MS});
    assert_int_equal(a->reply.outcome, PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_UNAVAILABLE); /* MASTERDOWN */
    rig_must(r, "CONFIG SET replica-serve-stale-data yes");
}

static void a_full_disk_refuses_and_has_done_nothing(void **state)
{
    rig *r = begin(state);
    char obstacle[256];
    const char *token = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    /* A snapshot cannot be renamed over a directory. */
    snprintf(obstacle, sizeof(obstacle), "%s", redis_server_socket(r->server));
    *strrchr(obstacle, '/') = '\0';
    strcat(obstacle, "/dump.rdb");
    assert_int_equal(mkdir(obstacle, 0700), 0);
    rig_must(r, "CONFIG SET save %s", "3600 1");
    rig_must(r, "BGSAVE");
    while (!strstr(rig_text(r, "INFO persistence"), "rdb_last_bgsave_status:err")) continue;
    rig_refused(r, ask_acquire("y", fresh_token(), LONG_MS), PAWL_ERR_STORE_FULL, "disk");
    rig_refused(r, ask_renew("x", token, LONG_MS), PAWL_ERR_STORE_FULL, "disk");
    rig_refused(r, ask_release("x", token), PAWL_ERR_STORE_FULL, "disk");
    rig_must(r, "CONFIG SET save %s", "");
    assert_int_equal(rmdir(obstacle), 0);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
}

static void a_full_queue_is_an_error(void **state)
{
    rig *r = begin(state);
    rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_must(r, "EVAL %s 1 " QUEUE,
             "for i = 1, 100000 do redis.call('ZADD', KEYS[1], i, 'w' .. i) end return 1");
    rig_refused(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_ERR_STORE_FULL, "too many");
}

/* ---- Fences (law 3) --------------------------------------------------------------- */

static uint64_t fence_of_next_grant(rig *r)
{
    const char *token = fresh_token();
    uint64_t fence = rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    return fence;
}

static void fences_grow_when_the_server_forgets(void **state)
{
    rig *r = begin(state);
    uint64_t fence = fence_of_next_grant(r);
    rig_must(r, "FLUSHALL");
    uint64_t next = fence_of_next_grant(r);
    assert_true(next > fence);
    rig_must(r, "DEL " RECORD);
    assert_true(fence_of_next_grant(r) > next);
}

static void fences_grow_when_the_clock_stepped_back(void **state)
{
    rig *r = begin(state);
    /* The record of a grant at which the clock was a year ahead. */
    uint64_t ahead = fence_of_next_grant(r) + UINT64_C(31536000000000);
    rig_must(r, "SET " RECORD " %s", "");
    char record[128];
    snprintf(record, sizeof(record), "1 %" PRIu64 " t pawl:inbox:a o", ahead);
    rig_must(r, "SET " RECORD " %s PX 1000", record);
    uint64_t fence = fence_of_next_grant(r);
    assert_int_equal(fence, ahead + 1);
    assert_int_equal(fence_of_next_grant(r), ahead + 2);
    /* The record waits for the clock, however long that takes. */
    assert_true(rig_int(r, "PTTL " RECORD) > INT64_C(31535000000));
}

static void a_holder_whose_record_was_lost_gets_a_larger_fence(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    uint64_t fence = rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_must(r, "DEL " RECORD);
    uint64_t renewed = rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED)->reply.fence;
    assert_true(renewed > fence);
    assert_int_equal(rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED)->reply.fence,
                     renewed);
    rig_must(r, "DEL " RECORD);
    fence = rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_true(fence > renewed);
}

static void the_record_outlives_every_renewal(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_expect(r, ask_acquire("x", token, 10), PAWL_GRANTED);
    rig_expect(r, ask_acquire("x", token, 3600000), PAWL_GRANTED);
    assert_true(rig_int(r, "PTTL " RECORD) > 3600000 + PAWL__REDIS_FENCE_KEEP_MS - 10000);
    rig_expect(r, ask_renew("x", token, 7200000), PAWL_CONFIRMED);
    assert_true(rig_int(r, "PTTL " RECORD) > 7200000 + PAWL__REDIS_FENCE_KEEP_MS - 10000);
}

/* ---- What a server throws out ------------------------------------------------------------- */

/* The keys beside the lock key that are gone; bits. */
enum { RECORD_GONE = 1, QUEUE_GONE = 2, WAITERS_GONE = 4, ALL_GONE = 7 };

static void throw_out(rig *r, int which)
{
    if (which & RECORD_GONE) rig_must(r, "DEL " RECORD);
    if (which & QUEUE_GONE) rig_must(r, "DEL " QUEUE);
    if (which & WAITERS_GONE) rig_must(r, "DEL " WAITERS);
}

/* Each asks for it: how many have it, one at most. The fence of the grant is larger than before. */
static int count_holders(rig *r, const char *const tokens[], int count, uint64_t fence)
{
    int holders = 0;
    for (int i = 0; i < count; i++) {
        pawl_request request = ask_queue("x", tokens[i], LONG_MS);
        const answer *a = rig_ask(r, &request);
        assert_true(a->reply.outcome == PAWL_GRANTED || a->reply.outcome == PAWL_QUEUED);
        if (a->reply.outcome != PAWL_GRANTED) continue;
        assert_true(a->reply.fence > fence);
        holders++;
    }
    return holders;
}

/* As long as the lock key is there, whatever else is gone. */
static void what_is_thrown_out_beside_a_lock_lets_nobody_in(void **state)
{
    for (int which = RECORD_GONE; which <= ALL_GONE; which++) {
        rig *r = begin(state);
        char tokens[4][64];
        const char *others[3] = {tokens[1], tokens[2], tokens[3]};
        for (int i = 0; i < 4; i++) snprintf(tokens[i], sizeof tokens[i], "%s", fresh_token());
        rig_expect(r, ask_acquire("x", tokens[0], LONG_MS), PAWL_GRANTED);
        rig_expect(r, ask_queue("x", others[0], LONG_MS), PAWL_QUEUED);
        rig_expect(r, ask_queue("x", others[1], LONG_MS), PAWL_QUEUED);
        throw_out(r, which);
        assert_int_equal(count_holders(r, others, 3, 0), 0);
        throw_out(r, which);
        rig_expect(r, ask_acquire("x", others[2], LONG_MS), PAWL_BUSY);
        uint64_t fence =
            rig_expect(r, ask_renew("x", tokens[0], LONG_MS), PAWL_CONFIRMED)->reply.fence;
        throw_out(r, which & ~RECORD_GONE);
        rig_expect(r, ask_release("x", tokens[0]), PAWL_RELEASED);
        assert_int_equal(count_holders(r, others, 3, fence), 1);
    }
}

/* Without the lock key nobody can know: the next one comes in with a larger fence, and the one
 * before is told at its next request, which changes nothing. */
static void a_lock_that_is_thrown_out_goes_to_one_other(void **state)
{
    for (int which = 0; which <= ALL_GONE; which++) {
        rig *r = begin(state);
        char tokens[3][64];
        const char *others[2] = {tokens[1], tokens[2]};
        for (int i = 0; i < 3; i++) snprintf(tokens[i], sizeof tokens[i], "%s", fresh_token());
        uint64_t fence =
            rig_expect(r, ask_acquire("x", tokens[0], LONG_MS), PAWL_GRANTED)->reply.fence;
        rig_expect(r, ask_queue("x", others[0], LONG_MS), PAWL_QUEUED);
        rig_must(r, "DEL pawl:x");
        throw_out(r, which);
        assert_int_equal(count_holders(r, others, 2, fence), 1);
        rig_expect(r, ask_renew("x", tokens[0], LONG_MS), PAWL_NOT_OWNER);
        rig_expect(r, ask_release("x", tokens[0]), PAWL_NOT_OWNER);
        assert_int_equal(count_holders(r, others, 2, fence), 1);
    }
}

/* ---- Names ------------------------------------------------------------------------ */

static void names_with_hash_tags_do_not_meet(void **state)
{
    rig *r = begin(state);
    static const char *const names[] = {"{t}", "{t}:q", "{t}:f", "{t}:w", "{pawl:x}:f",
                                        "t",   "{}",    "a}b",   "}"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const char *token = fresh_token();
        rig_expect(r, ask_acquire(names[i], token, LONG_MS), PAWL_GRANTED);
        rig_expect(r, ask_queue(names[i], fresh_token(), LONG_MS), PAWL_QUEUED);
        assert_int_equal(rig_expect(r, ask_inspect(names[i], token), PAWL_REPORTED)->info.mine, 1);
    }
}

static void random_name(uint64_t *random, char ret_name[8])
{
    static const char letters[] = "{}{}ab:";
    size_t len = 1 + pawl__random_next(random) % 7;
    for (size_t i = 0; i < len; i++) ret_name[i] = letters[pawl__random_next(random) % 7];
    ret_name[len] = '\0';
}

static int64_t slot_of(rig *r, pawl__redis_bytes key)
{
    return rig_int(r, "CLUSTER KEYSLOT %b", key.data, key.len);
}

static void the_keys_of_every_name_are_in_the_slot_of_the_lock(void **state)
{
    static const char *const arguments[] = {"--cluster-enabled", "yes", NULL};
    static char room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1];
    uint64_t random = 1;
    (void)state;
    rig *r = rig_new(arguments);
    for (int i = 0; i < 3000; i++) {
        char name[8];
        pawl__redis_bytes keys[PAWL__REDIS_KEYS];
        random_name(&random, name);
        pawl__redis_keys(&r->space, name, strlen(name), room, keys);
        int64_t slot = slot_of(r, keys[PAWL__REDIS_KEY_LOCK]);
        for (int k = PAWL__REDIS_KEY_RECORD; k < PAWL__REDIS_KEYS; k++)
            if (slot_of(r, keys[k]) != slot) fail_msg("name \"%s\", key %d", name, k);
    }
    rig_free(r);
}

/* ---- Values of others ------------------------------------------------------------- */

static void a_value_that_looks_like_a_record_is_a_foreign_holder(void **state)
{
    rig *r = begin(state);
    rig_must(r, "SET pawl:x %s", "1 5 a b c");
    const answer *a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    assert_true(a->info.held && a->info.foreign);
    assert_int_equal(a->info.remaining_ms, -1);
    rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_lock_key_of_another_type),
        cmocka_unit_test(the_fence_record_of_another_type),
        cmocka_unit_test(a_fence_record_that_is_none),
        cmocka_unit_test(the_queue_of_another_type),
        cmocka_unit_test(the_waiters_of_another_type),
        cmocka_unit_test(a_queue_without_its_waiters_holds_nobody_up),
        cmocka_unit_test(a_plain_client_keeps_pawl_out),
        cmocka_unit_test(pawl_keeps_a_plain_client_out),
        cmocka_unit_test(a_foreign_key_without_ttl_never_ends),
        cmocka_unit_test(an_empty_foreign_token_is_nobodys),
        cmocka_unit_test(a_foreign_holder_can_be_broken),
        cmocka_unit_test(waiters_behind_a_foreign_holder_get_it_at_its_end),
        cmocka_unit_test(a_full_server_grants_nothing_and_lets_go),
        cmocka_unit_test(breaking_works_on_a_full_server),
        cmocka_unit_test(a_replica_refuses_and_has_done_nothing),
        cmocka_unit_test(a_full_disk_refuses_and_has_done_nothing),
        cmocka_unit_test(a_full_queue_is_an_error),
        cmocka_unit_test(fences_grow_when_the_server_forgets),
        cmocka_unit_test(fences_grow_when_the_clock_stepped_back),
        cmocka_unit_test(a_holder_whose_record_was_lost_gets_a_larger_fence),
        cmocka_unit_test(the_record_outlives_every_renewal),
        cmocka_unit_test(what_is_thrown_out_beside_a_lock_lets_nobody_in),
        cmocka_unit_test(a_lock_that_is_thrown_out_goes_to_one_other),
        cmocka_unit_test(names_with_hash_tags_do_not_meet),
        cmocka_unit_test(the_keys_of_every_name_are_in_the_slot_of_the_lock),
        cmocka_unit_test(a_value_that_looks_like_a_record_is_a_foreign_holder),
    };
    return rig_run("redis scripts in trouble", cases, rig_group_begin, rig_group_end);
}
