/* SPDX-License-Identifier: MIT */
/* What the scripts do when all is well, and when waiters die: on a real server, one by one. */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LONG_MS 60000
#define QUEUE   "{pawl:x}:q"
#define WAITERS "{pawl:x}:w"
#define RECORD  "{pawl:x}:f"

static rig *begin(void **state)
{
    rig *r = *state;
    rig_must(r, "FLUSHALL");
    rig_unsubscribe(r); /* and forget what the case before did not hear */
    rig_listen(r);
    return r;
}

static const char *hold(rig *r)
{
    const char *token = fresh_token();
    rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    return token;
}

static const char *wait_in_line(rig *r)
{
    const char *token = fresh_token();
    rig_expect(r, ask_queue("x", token, LONG_MS), PAWL_QUEUED);
    return token;
}

static void holder_is(rig *r, const char *token)
{
    assert_string_equal(rig_text(r, "GET pawl:x"), token);
}

/* Its place has run out, as if it had been silent for too long. */
static void let_place_expire(rig *r, const char *token)
{
    rig_must(r, "HSET " WAITERS " %s %s", token, "1 1 60000 1 pawl:inbox:gone somebody");
}

static void is_push(const pawl_push *push, pawl_push_kind kind, const char *token)
{
    assert_int_equal(push->kind, kind);
    assert_int_equal(push->name_len, 1);
    assert_memory_equal(push->name, "x", 1);
    if (token)
        assert_string_equal(push->token, token);
    else
        assert_null(push->token);
}

/* Everything lives in keys that end by themselves, and free locks leave only the record. */
static void nothing_stays(rig *r)
{
    redisReply *keys = rig_do(r, "KEYS *");
    char *names[16];
    size_t count = keys->elements;
    assert_true(count <= 16);
    for (size_t i = 0; i < count; i++) names[i] = strdup(keys->element[i]->str);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(names[i], RECORD);
        int64_t ttl = rig_int(r, "PTTL %s", names[i]);
        assert_true(ttl > 0 && ttl <= LONG_MS + PAWL__REDIS_FENCE_KEEP_MS);
        free(names[i]);
    }
}

/* ---- Taking and giving back ------------------------------------------------------------------ */

static void a_free_lock_is_a_plain_string_with_a_ttl(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    const answer *a = rig_expect(r, ask_acquire("x", token, 5000), PAWL_GRANTED);
    assert_false(a->reply.waiting);
    uint64_t fence = a->reply.fence;
    holder_is(r, token);
    int64_t ttl = rig_int(r, "PTTL pawl:x");
    assert_true(ttl > 0 && ttl <= 5000);
    char record[128];
    snprintf(record, sizeof(record), "1 %llu %s pawl:inbox:me somebody", (unsigned long long)fence,
             token);
    assert_string_equal(rig_text(r, "GET " RECORD), record);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    nothing_stays(r);
}

static void asking_again_gives_the_same_fence_and_a_full_ttl(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    uint64_t fence = rig_expect(r, ask_acquire("x", token, 1000), PAWL_GRANTED)->reply.fence;
    assert_int_equal(rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence,
                     fence);
    assert_true(rig_int(r, "PTTL pawl:x") > LONG_MS - 10000);
    assert_true(rig_int(r, "PTTL " RECORD) > LONG_MS + PAWL__REDIS_FENCE_KEEP_MS - 10000);
}

static void a_prefix_of_the_token_is_not_the_token(void **state)
{
    rig *r = begin(state);
    rig_must(r, "SET pawl:x aaaa PX 60000");
    rig_expect(r, ask_release("x", "aaaaa"), PAWL_NOT_OWNER);
    rig_expect(r, ask_renew("x", "aaa", LONG_MS), PAWL_NOT_OWNER);
    rig_expect(r, ask_acquire("x", "aaa", LONG_MS), PAWL_BUSY);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 1);
}

static void busy_says_for_how_long_and_by_whom(void **state)
{
    rig *r = begin(state);
    pawl_request request = ask_acquire("x", fresh_token(), LONG_MS);
    request.owner = "a label with blanks, \n and\xff bytes";
    rig_expect(r, request, PAWL_GRANTED);
    const answer *a = rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    assert_true(a->reply.holder_ms > 0 && a->reply.holder_ms <= LONG_MS);
    assert_string_equal(a->reply.message, request.owner);
    assert_int_equal(rig_int(r, "EXISTS " QUEUE), 0);
}

static void renewing_never_recreates(void **state)
{
    rig *r = begin(state);
    const char *token = hold(r);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_NOT_OWNER);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
}

static void renewing_gives_a_persisted_key_its_ttl_back(void **state)
{
    rig *r = begin(state);
    const char *token = hold(r);
    rig_must(r, "PERSIST pawl:x");
    assert_int_equal(
        rig_expect(r, ask_acquire("x", fresh_token(), 1000), PAWL_BUSY)->reply.holder_ms, -1);
    rig_expect(r, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    assert_true(rig_int(r, "PTTL pawl:x") > 0);
}

/* ---- Waiting ---------------------------------------------------------------------- */

static void waiters_stand_in_order_and_keep_their_places(void **state)
{
    rig *r = begin(state);
    hold(r);
    const char *tokens[5];
    for (int i = 0; i < 5; i++) {
        tokens[i] = fresh_token();
        const answer *a = rig_expect(r, ask_queue("x", tokens[i], LONG_MS), PAWL_QUEUED);
        assert_int_equal(a->reply.position, i);
        assert_true(a->reply.holder_ms > 0);
    }
    for (int i = 4; i >= 0; i--)
        assert_int_equal(
            rig_expect(r, ask_queue("x", tokens[i], LONG_MS), PAWL_QUEUED)->reply.position, i);
    assert_int_equal(rig_int(r, "ZCARD " QUEUE), 5);
}

/* Lua's numbers are exact up to 2^53: what comes then is an error, never the same fence again. */
static void fences_end_at_2_53(void **state)
{
    rig *r = begin(state);
    const char *token = fresh_token();
    rig_must(r, "SET " RECORD " %s", "1 9007199254740990 - - ");
    uint64_t fence = rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_true(fence == (UINT64_C(1) << 53) - 1);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    token = fresh_token();
    fence = rig_expect(r, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_true(fence == UINT64_C(1) << 53);
    rig_must(r, "DEL pawl:x"); /* its lease has run out */
    assert_int_equal(
        rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_FAILED)->reply.err,
        PAWL_ERR_CORRUPT);
    rig_must(r, "FLUSHALL");
}

static void queueing_tells_the_latest_fence(void **state)
{
    rig *r = begin(state);
    const char *holder = fresh_token(), *waiter = fresh_token();
    uint64_t fence = rig_expect(r, ask_acquire("x", holder, LONG_MS), PAWL_GRANTED)->reply.fence;
    for (int i = 0; i < 2; i++)
        assert_int_equal(rig_expect(r, ask_queue("x", waiter, LONG_MS), PAWL_QUEUED)->reply.fence,
                         fence);
    rig_must(r, "SET pawl:y theirs");
    assert_int_equal(rig_expect(r, ask_queue("y", waiter, LONG_MS), PAWL_QUEUED)->reply.fence, 0);
}

static void a_place_lives_for_two_thirds_of_the_ttl(void **state)
{
    rig *r = begin(state);
    hold(r);
    rig_expect(r, ask_queue("x", fresh_token(), 9000), PAWL_QUEUED);
    const answer *a = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED);
    assert_int_equal(a->info.waiters_shown, 1);
    assert_true(a->info.waiters[0].place_ms > 4000 && a->info.waiters[0].place_ms <= 6000);
    assert_true(rig_int(r, "PTTL " QUEUE) <= 9000); /* the keys a little longer */
    assert_true(rig_int(r, "PTTL " WAITERS) > 6000);
}

static void a_short_waiter_does_not_shorten_the_queue(void **state)
{
    rig *r = begin(state);
    hold(r);
    rig_expect(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED);
    rig_expect(r, ask_queue("x", fresh_token(), 10), PAWL_QUEUED);
    assert_true(rig_int(r, "PTTL " QUEUE) > 10000);
    assert_true(rig_int(r, "PTTL " WAITERS) > 10000);
}

static void only_the_first_waiter_asks_the_holder_to_yield(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r);
    wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    wait_in_line(r);
    rig_hear_nothing(r);
    assert_true(rig_expect(r, ask_renew("x", holder, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    assert_true(rig_expect(r, ask_acquire("x", holder, LONG_MS), PAWL_GRANTED)->reply.waiting);
}

static void leaving_gives_the_place_up(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r), *second = wait_in_line(r);
    rig_expect(r, ask_release("x", first), PAWL_LEFT);
    rig_expect(r, ask_release("x", first), PAWL_NOT_OWNER);
    assert_int_equal(rig_expect(r, ask_queue("x", second, LONG_MS), PAWL_QUEUED)->reply.position,
                     0);
    rig_expect(r, ask_release("x", second), PAWL_LEFT);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    nothing_stays(r);
}

static void asking_without_queueing_forgets_the_place(void **state)
{
    rig *r = begin(state);
    hold(r);
    const char *waiter = wait_in_line(r);
    rig_expect(r, ask_acquire("x", waiter, LONG_MS), PAWL_BUSY);
    assert_int_equal(rig_int(r, "EXISTS " QUEUE " " WAITERS), 0);
}

/* ---- Hand-off --------------------------------------------------------------------- */

static void a_release_hands_off_in_order(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r), *second = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    uint64_t before = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence;

    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    is_push(push, PAWL_PUSH_GRANT, first);
    assert_true(push->fence > before);
    assert_true(push->waiting);
    holder_is(r, first);
    uint64_t granted = push->fence;
    int64_t ttl = rig_int(r, "PTTL pawl:x");
    int64_t place = pawl_place_span(LONG_MS); /* what is left of the place, and no more */
    assert_true(ttl > place - 10000 && ttl <= place);
    /* The grant is confirmed by asking, with the same fence, if its push was lost. */
    assert_int_equal(rig_expect(r, ask_queue("x", first, LONG_MS), PAWL_GRANTED)->reply.fence,
                     granted);
    ttl = rig_int(r, "PTTL pawl:x");
    assert_true(ttl > LONG_MS - 10000 && ttl <= LONG_MS); /* and is then for a whole ttl */

    rig_expect(r, ask_release("x", first), PAWL_RELEASED);
    push = rig_hear(r);
    is_push(push, PAWL_PUSH_GRANT, second);
    assert_true(push->fence > granted);
    assert_false(push->waiting);
    rig_expect(r, ask_release("x", second), PAWL_RELEASED);
    rig_hear_nothing(r);
    nothing_stays(r);
}

static void dead_heads_are_skipped_in_the_same_breath(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *dead[3], *living;
    for (int i = 0; i < 3; i++) dead[i] = wait_in_line(r);
    living = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    for (int i = 0; i < 3; i++) let_place_expire(r, dead[i]);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, living);
    holder_is(r, living);
    rig_expect(r, ask_release("x", living), PAWL_RELEASED);
    rig_hear_nothing(r);
    nothing_stays(r);
}

/* A waiter of another client: its inbox is its own, and nobody hears it. */
static const char *wait_without_a_connection(rig *r, int i)
{
    const char *token = fresh_token();
    char inbox[PAWL__REDIS_INBOX_MAX + 1];
    memcpy(inbox, r->space.inbox, sizeof(inbox));
    size_t len = r->space.inbox_len;
    int more = snprintf(r->space.inbox + len, sizeof(inbox) - len, "-gone%d", i);
    r->space.inbox_len += (size_t)more;
    rig_expect(r, ask_queue("x", token, LONG_MS), PAWL_QUEUED);
    memcpy(r->space.inbox, inbox, sizeof(inbox));
    r->space.inbox_len = len;
    return token;
}

static void a_waiter_without_a_connection_is_passed_over_and_keeps_its_place(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *gone[3], *living, *late;
    for (int i = 0; i < 2; i++) gone[i] = wait_without_a_connection(r, i);
    living = wait_in_line(r);
    gone[2] = wait_without_a_connection(r, 2);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    is_push(push, PAWL_PUSH_GRANT, living);
    assert_true(push->waiting);
    late = wait_in_line(r);
    rig_expect(r, ask_release("x", living), PAWL_RELEASED);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, late);
    /* Back before their places have run out: they stand where they stood. */
    for (int i = 2; i >= 0; i--)
        assert_int_equal(
            rig_expect(r, ask_queue("x", gone[i], LONG_MS), PAWL_QUEUED)->reply.position, i);
    const char *last = wait_in_line(r), *turn = late;
    for (int i = 0; i < 3; i++) {
        rig_expect(r, ask_release("x", turn), PAWL_RELEASED);
        is_push(rig_hear(r), PAWL_PUSH_GRANT, turn = gone[i]);
    }
    rig_expect(r, ask_release("x", turn), PAWL_RELEASED);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, last);
    rig_expect(r, ask_release("x", last), PAWL_RELEASED);
    nothing_stays(r);
}

static void a_lock_is_free_while_all_who_wait_are_away(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *gone = wait_without_a_connection(r, 0);
    const char *second = wait_without_a_connection(r, 1), *stranger = fresh_token();
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    /* A client that comes meanwhile gets it, and is told that somebody waits. */
    assert_true(rig_expect(r, ask_acquire("x", stranger, LONG_MS), PAWL_GRANTED)->reply.waiting);
    rig_expect(r, ask_release("x", stranger), PAWL_RELEASED);
    /* The first waiter that is back gets it; the other one keeps its place. */
    assert_true(rig_expect(r, ask_queue("x", second, LONG_MS), PAWL_GRANTED)->reply.waiting);
    assert_int_equal(rig_expect(r, ask_queue("x", gone, LONG_MS), PAWL_QUEUED)->reply.position, 0);
    rig_expect(r, ask_release("x", gone), PAWL_LEFT);
    rig_expect(r, ask_release("x", second), PAWL_RELEASED);
    nothing_stays(r);
}

static void who_listens_to_all_inboxes_is_not_the_waiter(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *living;
    (void)wait_without_a_connection(r, 0);
    living = wait_in_line(r);
    redisContext *monitor = rig_connect(r);
    freeReplyObject(redisCommand(monitor, "PSUBSCRIBE *"));
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, living);
    holder_is(r, living);
    redisFree(monitor);
}

static void so_many_away_that_they_would_hide_the_others_lose_their_places(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *living = fresh_token();
    for (int i = 0; i < PAWL__REDIS_SKIP_MAX; i++) {
        rig_must(r, "ZADD " QUEUE " %d away%d", i + 1, i);
        rig_must(r, "HSET " WAITERS " away%d %s", i, "1 99999999999999 60000 1 pawl:inbox:gone x");
    }
    rig_expect(r, ask_queue("x", living, LONG_MS), PAWL_QUEUED);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "ZCARD " QUEUE), 1);
    assert_int_equal(rig_int(r, "HLEN " WAITERS), 1);
    rig_expect(r, ask_queue("x", living, LONG_MS), PAWL_GRANTED);
}

static void only_who_does_not_listen_is_skipped(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *living = fresh_token();
    rig_must(r, "ZADD " QUEUE " 1 dead");
    rig_must(r, "HSET " WAITERS " dead %s", "1 99999999999999 60000 1 elsewhere somebody");
    rig_expect(r, ask_queue("x", living, LONG_MS), PAWL_QUEUED);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, living);
    holder_is(r, living);
}

static void more_dead_than_one_script_skips_are_left_to_the_next(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *living = fresh_token();
    const int dead = 2 * PAWL__REDIS_SKIP_MAX + 10;
    for (int i = 0; i < dead; i++) {
        rig_must(r, "ZADD " QUEUE " %d dead%d", i + 1, i);
        rig_must(r, "HSET " WAITERS " dead%d %s", i, "1 1 60000 1 pawl:inbox:gone somebody");
    }
    assert_int_equal(rig_expect(r, ask_queue("x", living, LONG_MS), PAWL_QUEUED)->reply.position,
                     dead);
    rig_expect(r, ask_release("x", holder), PAWL_RELEASED);
    assert_int_equal(rig_int(r, "ZCARD " QUEUE), dead + 1 - PAWL__REDIS_SKIP_MAX);
    assert_int_equal(rig_int(r, "EXISTS pawl:x"), 0);
    /* A stranger that does not queue may not barge past those who were not looked at. */
    const answer *a = rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    assert_int_equal(a->reply.holder_ms, 0);
    a = rig_expect(r, ask_queue("x", living, LONG_MS), PAWL_GRANTED);
    assert_false(a->reply.waiting);
    holder_is(r, living);
    rig_hear_nothing(r);
}

/* ---- Expiry (law 7) -------------------------------------------------------------------------- */

static void any_waiters_refresh_promotes_the_head_of_an_expired_lock(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r), *second = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_must(r, "DEL pawl:x");
    const answer *a = rig_expect(r, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    assert_int_equal(a->reply.position, 0);
    assert_true(a->reply.holder_ms > pawl_place_span(LONG_MS) - 10000);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, first);
    holder_is(r, first);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_queue("x", second, LONG_MS), PAWL_GRANTED); /* its own turn */
    rig_hear_nothing(r);
}

static void a_stranger_does_not_barge_past_living_waiters(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_must(r, "DEL pawl:x");
    const answer *a = rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    assert_true(a->reply.holder_ms > 0);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, first);
    holder_is(r, first);
}

static void a_stranger_that_queues_behind_the_promoted_asks_it_to_yield(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_must(r, "DEL pawl:x");
    assert_int_equal(
        rig_expect(r, ask_queue("x", fresh_token(), LONG_MS), PAWL_QUEUED)->reply.position, 0);
    const pawl_push *push = rig_hear(r);
    is_push(push, PAWL_PUSH_GRANT, first);
    assert_false(push->waiting); /* not yet ... */
    is_push(rig_hear(r), PAWL_PUSH_YIELD, first);
}

static void late_renewals_and_releases_promote_too(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r), *second = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_renew("x", holder, LONG_MS), PAWL_NOT_OWNER);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, first);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_release("x", first), PAWL_NOT_OWNER);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, second);
    holder_is(r, second);
}

static void a_waiter_that_leaves_an_expired_lock_promotes_the_next(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r), *second = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    rig_must(r, "DEL pawl:x");
    rig_expect(r, ask_release("x", first), PAWL_LEFT);
    is_push(rig_hear(r), PAWL_PUSH_GRANT, second);
    holder_is(r, second);
}

/* ---- Breaking, looking ------------------------------------------------------------ */

static void breaking_frees_and_moves_the_fence_on(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r);
    uint64_t fence = rig_expect(r, ask_inspect("x", holder), PAWL_REPORTED)->info.fence;
    rig_expect(r, ask_break("x", fence + 1), PAWL_NOT_OWNER);
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    is_push(push, PAWL_PUSH_RECHECK, NULL); /* to the holder that was */
    rig_expect(r, ask_renew("x", holder, LONG_MS), PAWL_NOT_OWNER);
    const answer *a = rig_expect(r, ask_inspect("x", holder), PAWL_REPORTED);
    assert_false(a->info.held);
    uint64_t sealed = a->info.fence;
    assert_true(sealed > fence);
    rig_expect(r, ask_break("x", sealed), PAWL_NOT_OWNER); /* free: nothing to break */
    assert_true(rig_expect(r, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED)->reply.fence >
                sealed);
}

static void breaking_hands_off(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *first = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    uint64_t fence = rig_expect(r, ask_inspect("x", NULL), PAWL_REPORTED)->info.fence;
    rig_expect(r, ask_break("x", fence), PAWL_RELEASED);
    const pawl_push *push = rig_hear(r);
    is_push(push, PAWL_PUSH_GRANT, first);
    assert_true(push->fence > fence);
    is_push(rig_hear(r), PAWL_PUSH_RECHECK, NULL);
    rig_expect(r, ask_break("x", fence), PAWL_NOT_OWNER); /* twice breaks only once */
    holder_is(r, first);
}

static void looking_shows_holder_and_waiters(void **state)
{
    rig *r = begin(state);
    const char *holder = hold(r), *dead, *living;
    dead = wait_in_line(r);
    pawl_request request = ask_queue("x", fresh_token(), LONG_MS);
    request.owner = "bob's job";
    living = request.token;
    rig_expect(r, request, PAWL_QUEUED);
    let_place_expire(r, dead);
    const answer *a = rig_expect(r, ask_inspect("x", holder), PAWL_REPORTED);
    assert_true(a->info.held && a->info.mine && !a->info.foreign);
    assert_string_equal(a->info.owner, "somebody");
    assert_true(a->info.remaining_ms > 0 && a->info.fence > 0);
    assert_int_equal(a->info.waiter_count, 1); /* the dead one waits no more */
    assert_int_equal(a->info.waiters_shown, 1);
    assert_string_equal(a->info.waiters[0].owner, "bob's job");
    assert_true(a->info.waiters[0].age_ms >= 0);
    assert_false(rig_expect(r, ask_inspect("x", living), PAWL_REPORTED)->info.mine);
    a = rig_expect(r, ask_inspect("free", NULL), PAWL_REPORTED);
    assert_true(!a->info.held && a->info.fence == 0 && a->info.waiter_count == 0);
}

/* ---- Cost ------------------------------------------------------------------------- */

static void a_thousand_waiters_are_served_in_order_for_two_commands_each(void **state)
{
    enum { WAITING = 1000 };
    static const char *tokens[WAITING];
    rig *r = begin(state);
    const char *holder = hold(r);
    rig_must(r, "CONFIG RESETSTAT");
    for (int i = 0; i < WAITING; i++) tokens[i] = wait_in_line(r);
    is_push(rig_hear(r), PAWL_PUSH_YIELD, holder);
    for (int i = 0; i < WAITING; i++) {
        rig_expect(r, ask_release("x", i ? tokens[i - 1] : holder), PAWL_RELEASED);
        const pawl_push *push = rig_hear(r);
        is_push(push, PAWL_PUSH_GRANT, tokens[i]);
        assert_int_equal(push->waiting, i < WAITING - 1);
    }
    rig_expect(r, ask_release("x", tokens[WAITING - 1]), PAWL_RELEASED);
    assert_int_equal(rig_calls(r, "evalsha"), 2 * WAITING + 1);
    /* No script looks at more than the head: so many inner commands, whatever the number. */
    assert_true(rig_calls(r, "zrange") <= 3 * WAITING + 2);
    assert_true(rig_calls(r, "hget") <= 3 * WAITING);
    nothing_stays(r);
}

static void an_uncontended_pair_costs_nine_inner_commands(void **state)
{
    rig *r = begin(state);
    rig_must(r, "CONFIG RESETSTAT");
    const char *token = hold(r);
    rig_expect(r, ask_release("x", token), PAWL_RELEASED);
    int64_t total = 0;
    static const char *const inner[] = {"get", "set", "time", "zcard", "del"};
    for (size_t i = 0; i < sizeof(inner) / sizeof(inner[0]); i++) total += rig_calls(r, inner[i]);
    assert_int_equal(total, 9);
}

/* ---- Constants -------------------------------------------------------------------- */

static void constants_are_those_of_the_scripts(void **state)
{
    char line[64];
    const char *body = pawl__redis_scripts[PAWL__REDIS_ACQUIRE].body;
    (void)state;
    snprintf(line, sizeof(line), "local FENCE_KEEP_MS = %d\n", PAWL__REDIS_FENCE_KEEP_MS);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof(line), "local SKIP_MAX = %d\n", PAWL__REDIS_SKIP_MAX);
    assert_non_null(strstr(body, line));
    snprintf(line, sizeof(line), "local QUEUE_MAX = %d\n", PAWL__REDIS_QUEUE_MAX);
    assert_non_null(strstr(body, line));
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_free_lock_is_a_plain_string_with_a_ttl),
        cmocka_unit_test(asking_again_gives_the_same_fence_and_a_full_ttl),
        cmocka_unit_test(a_prefix_of_the_token_is_not_the_token),
        cmocka_unit_test(busy_says_for_how_long_and_by_whom),
        cmocka_unit_test(renewing_never_recreates),
        cmocka_unit_test(renewing_gives_a_persisted_key_its_ttl_back),
        cmocka_unit_test(waiters_stand_in_order_and_keep_their_places),
        cmocka_unit_test(fences_end_at_2_53),
        cmocka_unit_test(queueing_tells_the_latest_fence),
        cmocka_unit_test(a_place_lives_for_two_thirds_of_the_ttl),
        cmocka_unit_test(a_short_waiter_does_not_shorten_the_queue),
        cmocka_unit_test(only_the_first_waiter_asks_the_holder_to_yield),
        cmocka_unit_test(leaving_gives_the_place_up),
        cmocka_unit_test(asking_without_queueing_forgets_the_place),
        cmocka_unit_test(a_release_hands_off_in_order),
        cmocka_unit_test(dead_heads_are_skipped_in_the_same_breath),
        cmocka_unit_test(a_waiter_without_a_connection_is_passed_over_and_keeps_its_place),
        cmocka_unit_test(a_lock_is_free_while_all_who_wait_are_away),
        cmocka_unit_test(who_listens_to_all_inboxes_is_not_the_waiter),
        cmocka_unit_test(so_many_away_that_they_would_hide_the_others_lose_their_places),
        cmocka_unit_test(only_who_does_not_listen_is_skipped),
        cmocka_unit_test(more_dead_than_one_script_skips_are_left_to_the_next),
        cmocka_unit_test(any_waiters_refresh_promotes_the_head_of_an_expired_lock),
        cmocka_unit_test(a_stranger_does_not_barge_past_living_waiters),
        cmocka_unit_test(a_stranger_that_queues_behind_the_promoted_asks_it_to_yield),
        cmocka_unit_test(late_renewals_and_releases_promote_too),
        cmocka_unit_test(a_waiter_that_leaves_an_expired_lock_promotes_the_next),
        cmocka_unit_test(breaking_frees_and_moves_the_fence_on),
        cmocka_unit_test(breaking_hands_off),
        cmocka_unit_test(looking_shows_holder_and_waiters),
        cmocka_unit_test(a_thousand_waiters_are_served_in_order_for_two_commands_each),
        cmocka_unit_test(an_uncontended_pair_costs_nine_inner_commands),
        cmocka_unit_test(constants_are_those_of_the_scripts),
    };
    return rig_run("redis scripts", cases, rig_group_begin, rig_group_end);
}
