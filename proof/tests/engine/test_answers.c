/* SPDX-License-Identifier: MIT */
/* What a store may say, at the edges: slowly, vaguely, at the wrong time, to nobody. */
#include "../../../src/engine/lease.h"
#include "world.h"

static void reply(world *w, pawl_reply reply)
{
    world_step(w, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

/* ---- Slow stores ------------------------------------------------------------------ */

/* Law 2: what is over before it is reported is never reported, and that ends. */
static void a_store_slower_than_the_ttl_is_said_so(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.ttl_ms = 1000;
    world_want(&w, &a);
    for (int i = 0; i < 2; i++) {
        uint64_t id = world_sent(&w, PAWL_VERB_ACQUIRE).id;
        w.now += 1000 * MS;
        world_grant(&w, id, 5);
    }
    uint64_t id = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    w.now += 1000 * MS;
    world_grant(&w, id, 5);
    pawl__action *refused = world_only(&w, PAWL__ACT_REFUSED);
    assert_int_equal(refused->err, PAWL_ERR_UNAVAILABLE);
    assert_non_null(strstr(refused->message, "use a longer ttl"));
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

/* After how long a place is refreshed again when a refresh was answered like this. */
static int64_t refreshed_after(pawl_reply queued, int64_t answered_after)
{
    world w;
    world_open_patient(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, TTL);
    world_pass(&w, TTL / 3 * MS);
    queued.id = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    queued.outcome = PAWL_QUEUED;
    w.now += answered_after;
    int64_t answered_at = w.now;
    reply(&w, queued);
    w.now = pawl__engine_deadline(w.engine);
    world_pass(&w, 0);
    world_sent(&w, PAWL_VERB_ACQUIRE);
    world_close(&w);
    return w.now - answered_at;
}

static void when_a_place_is_refreshed(void **state)
{
    (void)state;
    int64_t third = TTL / 3 * MS;
    assert_int_equal(refreshed_after((pawl_reply){.holder_ms = 100}, 0), 101 * MS);
    assert_int_equal(refreshed_after((pawl_reply){.holder_ms = 100, .position = -1}, 0), third);
    assert_int_equal(refreshed_after((pawl_reply){.holder_ms = 100, .position = 4}, 0), third);
    assert_int_equal(refreshed_after((pawl_reply){.holder_ms = -1}, 0), third);
    assert_int_equal(refreshed_after((pawl_reply){.holder_ms = 0}, 0), 5 * MS);
    assert_int_equal(refreshed_after((pawl_reply){.holder_ms = TTL}, third + MS), 5 * MS);
}

static void the_times_of_short_and_long_ttls(void **state)
{
    (void)state;
    assert_int_equal(pawl__plan_retry_ns(PAWL_TTL_MIN_MS), 2 * MS);
    assert_int_equal(pawl__plan_retry_ns(PAWL_TTL_MAX_MS), 2000 * MS);
    assert_int_equal(pawl__plan_answer_ns(PAWL_TTL_MIN_MS), 100 * MS);
    assert_int_equal(pawl__plan_answer_ns(PAWL_TTL_MAX_MS), 5000 * MS);
    assert_int_equal(pawl__plan_span_ns(PAWL_TTL_MIN_MS), 3 * MS);
    assert_int_equal(pawl__plan_span_ns(1), 0);
}

/* ---- Asked again ------------------------------------------------------------------ */

static void a_waiter_that_is_to_ask_again_asks_once_at_a_time(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    uint64_t id = world_ask(&w, &a).id;
    world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0); /* it is asking */
    assert_int_equal(w.count, 0);
    world_queue(&w, id, 9, TTL);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, TTL);
    assert_int_equal(w.count, 0);
    world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0);
    id = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0); /* what is asked may be from before that */
    assert_int_equal(w.count, 0);
    world_queue(&w, id, 8, TTL);
    id = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_fail(&w, id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0);
    id = world_sent(&w, PAWL_VERB_ACQUIRE).id;
    world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0);
    world_grant(&w, id, 1);
    world_sent(&w, PAWL_VERB_RENEW); /* the grant, too, may be from before that */
    world_close(&w);
}

static void a_holder_whose_lock_was_broken_is_told_at_once(void **state)
{
    (void)state;
    for (int meanwhile = 0; meanwhile <= 1; meanwhile++) {
        world w;
        world_open(&w);
        pawl__want a = world_claim("a", PAWL__NEVER);
        world_hold(&w, &a, 1);
        if (meanwhile) world_pass(&w, TTL / 3 * MS);
        uint64_t id = meanwhile ? world_sent(&w, PAWL_VERB_RENEW).id : 0;
        world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0);
        if (meanwhile) { /* a renewal is under way, and was carried out before */
            assert_int_equal(w.count, 0);
            world_confirm(&w, id, 1, false);
        }
        world_answer(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
        world_only(&w, PAWL__ACT_LOST);
        world_push(&w, PAWL_PUSH_RECHECK, "a", NULL, 0); /* it is leaving by now */
        assert_int_equal(w.count, 0);
        world_close(&w);
    }
}

/* Asked for one who does not wait; meanwhile another came who does. */
static void who_came_while_busy_was_under_way_queues(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", 0), b = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    world_want(&w, &b);
    world_answer(&w, ask.id, PAWL_BUSY);
    assert_ptr_equal(world_only(&w, PAWL__ACT_REFUSED)->want, &a);
    assert_true(world_sent(&w, PAWL_VERB_ACQUIRE).flags & PAWL_ASK_QUEUE);
    world_close(&w);
}

/* Law 4: an ask whose answer was lost may still arrive, whatever a later one was told. */
static void busy_after_unknown_is_followed_by_a_release(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", 0);
    world_want(&w, &a);
    world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    world_pass(&w, 2 * pawl__plan_retry_ns(TTL));
    world_answer(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_BUSY);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

/* ---- Failures --------------------------------------------------------------------- */

static void a_failure_that_may_pass_ends_only_who_does_not_wait(void **state)
{
    (void)state;
    static const pawl_err passing[] = {PAWL_ERR_LOADING, PAWL_ERR_UNKNOWN};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        world w;
        world_open(&w);
        pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("a", 0);
        uint64_t id = world_ask(&w, &a).id;
        world_want(&w, &b);
        reply(&w, (pawl_reply){.id = id, .outcome = PAWL_FAILED, .err = passing[i]});
        pawl__action *refused = world_only(&w, PAWL__ACT_REFUSED);
        assert_ptr_equal(refused->want, &b);
        assert_string_equal(refused->message, pawl_err_text(passing[i]));
        world_pass(&w, 2 * pawl__plan_retry_ns(TTL));
        world_sent(&w, PAWL_VERB_ACQUIRE);
        world_close(&w);
    }
}

static void a_denial_of_a_refresh_gives_the_place_up(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    world_queue(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, 9, TTL);
    world_pass(&w, TTL / 3 * MS);
    world_fail(&w, world_sent(&w, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_PERMISSION);
    assert_int_equal(world_only(&w, PAWL__ACT_REFUSED)->err, PAWL_ERR_PERMISSION);
    world_sent(&w, PAWL_VERB_RELEASE);
    world_close(&w);
}

static void a_release_that_failed_is_sent_again(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_hold(&w, &a, 1);
    world_release_await(&w, &a);
    world_fail(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_FAILED, PAWL_ERR_READONLY);
    assert_int_equal(w.count, 0);
    world_pass(&w, 2 * pawl__plan_retry_ns(TTL));
    world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_int_equal(world_only(&w, PAWL__ACT_RELEASED)->err, PAWL_OK);
    world_close(&w);
}

static void what_is_said_at_length_is_cut(void **state)
{
    (void)state;
    char tale[2 * PAWL_MESSAGE_MAX];
    memset(tale, 'x', sizeof tale - 1);
    tale[sizeof tale - 1] = '\0';
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    reply(&w, (pawl_reply){.id = world_sent(&w, PAWL_VERB_ACQUIRE).id,
                           .outcome = PAWL_FAILED,
                           .err = PAWL_ERR_CORRUPT,
                           .message = tale});
    const char *told = world_only(&w, PAWL__ACT_REFUSED)->message;
    assert_int_equal(strlen(told), PAWL_MESSAGE_MAX - 1);
    assert_memory_equal(told, tale, PAWL_MESSAGE_MAX - 1);
    world_close(&w);
}

/* ---- To who holds ----------------------------------------------------------------- */

/* A push came first: the refresh is still under way; returns its id. */
static uint64_t held_while_asking(world *w, pawl__want *a, uint64_t fence)
{
    world_open(w);
    *a = world_claim("a", PAWL__NEVER);
    world_want(w, a);
    pawl_request ask = world_sent(w, PAWL_VERB_ACQUIRE);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue(w, ask.id, 9, TTL);
    world_pass(w, TTL / 3 * MS);
    uint64_t refresh = world_sent(w, PAWL_VERB_ACQUIRE).id;
    world_push(w, PAWL_PUSH_GRANT, "a", token, fence);
    assert_int_equal(a->state, PAWL__WANT_HOLDING);
    return refresh;
}

static void a_refresh_from_after_the_grant_extends_it(void **state)
{
    (void)state;
    for (int waiting = 0; waiting <= 1; waiting++) {
        world w;
        pawl__want a;
        uint64_t id = held_while_asking(&w, &a, 7);
        int64_t sent_at = w.now;
        w.now += 1000 * MS;
        reply(&w,
              (pawl_reply){.id = id, .outcome = PAWL_GRANTED, .fence = 7, .waiting = waiting != 0});
        assert_int_equal(world_only(&w, PAWL__ACT_EXTENDED)->deadline,
                         sent_at + pawl__plan_span_ns(TTL));
        assert_int_equal(world_count(&w, PAWL__ACT_YIELD), waiting);
        world_close(&w);
    }
}

/* Only a renewal compares, and so decides. */
static void a_refresh_that_says_nothing_clear_is_followed_by_a_renewal(void **state)
{
    (void)state;
    static const pawl_reply unclear[] = {{.outcome = PAWL_GRANTED, .fence = 8},
                                         {.outcome = PAWL_BUSY},
                                         {.outcome = PAWL_FAILED, .err = PAWL_ERR_LOADING},
                                         {.outcome = PAWL_UNKNOWN, .err = PAWL_ERR_UNKNOWN}};
    for (size_t i = 0; i < sizeof unclear / sizeof unclear[0]; i++) {
        world w;
        pawl__want a;
        pawl_reply answer = unclear[i];
        answer.id = held_while_asking(&w, &a, 7);
        reply(&w, answer);
        world_sent(&w, PAWL_VERB_RENEW);
        assert_int_equal(a.state, PAWL__WANT_HOLDING);
        world_release(&w, &a);
        world_answer(&w, world_sent(&w, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
        /* Law 4: a lost ask may arrive behind its release. */
        assert_int_equal(pawl__engine_busy(w.engine), answer.outcome == PAWL_UNKNOWN);
        world_close(&w);
    }
}

static void a_grant_that_others_want_already_is_to_be_yielded(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    world_want(&w, &a);
    reply(&w, (pawl_reply){.id = world_sent(&w, PAWL_VERB_ACQUIRE).id,
                           .outcome = PAWL_GRANTED,
                           .fence = 1,
                           .waiting = true});
    world_only(&w, PAWL__ACT_GRANTED);
    world_only(&w, PAWL__ACT_YIELD);
    world_close(&w);
}

static void handed_before_the_ask_has_left(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_queue(&w, ask.id, 9, TTL);
    w.now += TTL / 3 * MS;
    world_step_unfetched(&w, (pawl__event){.kind = PAWL__EV_TIME});
    world_push(&w, PAWL_PUSH_GRANT, "a", token, 7);
    world_only(&w, PAWL__ACT_GRANTED);
    uint64_t id = world_sent(&w, PAWL_VERB_ACQUIRE).id; /* and is a renewal by now */
    world_grant(&w, id, 7);
    world_only(&w, PAWL__ACT_EXTENDED);
    world_close(&w);
}

static void a_confirmation_is_of_the_grant_that_we_know(void **state)
{
    (void)state;
    for (uint64_t fence = 0; fence <= 2; fence++) { /* 0: the store does not say */
        world w;
        world_open(&w);
        pawl__want a = world_claim("a", PAWL__NEVER);
        world_hold(&w, &a, 1);
        world_pass(&w, TTL / 3 * MS);
        world_confirm(&w, world_sent(&w, PAWL_VERB_RENEW).id, fence, false);
        world_only(&w, fence == 2 ? PAWL__ACT_LOST : PAWL__ACT_EXTENDED);
        world_close(&w);
    }
}

static void a_cached_lease_is_lost_without_a_word(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    a.retain_ms = TTL;
    world_hold(&w, &a, 1);
    world_release(&w, &a);
    world_pass(&w, TTL / 3 * MS);
    world_answer(&w, world_sent(&w, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
    world_sent(&w, PAWL_VERB_RELEASE); /* by token: the store compares */
    assert_int_equal(w.count, 1);
    world_close(&w);
}

/* ---- To nobody -------------------------------------------------------------------- */

static void an_answer_to_what_was_not_asked_does_nothing(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER);
    uint64_t id = world_ask(&w, &a).id;
    const uint64_t strange[] = {0, 1, id & UINT32_MAX, id + 1, id + 1000, id + (UINT64_C(1) << 32)};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        world_grant(&w, strange[i], 1);
        assert_int_equal(w.count, 0);
    }
    world_grant(&w, id, 1);
    world_only(&w, PAWL__ACT_GRANTED);
    world_grant(&w, id, 1);
    assert_int_equal(w.count, 0);
    world_close(&w);
}

static void request_ids_go_round_and_are_never_zero(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    w.engine->next_request = UINT32_MAX;
    pawl__want a = world_claim("a", PAWL__NEVER);
    uint64_t id = world_ask(&w, &a).id;
    assert_int_equal(id >> 32, 1);
    world_grant(&w, id, 1);
    world_only(&w, PAWL__ACT_GRANTED);
    world_close(&w);
}

/* Law 7: a push is a hint. */
static void a_push_that_fits_nothing_does_nothing(void **state)
{
    (void)state;
    world w;
    world_open(&w);
    pawl__want a = world_claim("a", PAWL__NEVER), b = world_claim("b", PAWL__NEVER);
    pawl_request ask = world_ask(&w, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    world_hold(&w, &b, 1);
    world_release(&w, &b);
    const char *released = world_sent(&w, PAWL_VERB_RELEASE).token;
    const char *foreign = "00000000000000000000000000000000000000ff";
    const struct {
        pawl_push_kind kind;
        const char *name, *token;
    } strange[] = {
        {PAWL_PUSH_GRANT, "nobody's", token}, {PAWL_PUSH_GRANT, "b", released},
        {PAWL_PUSH_GRANT, "a", NULL},         {PAWL_PUSH_GRANT, "a", foreign},
        {PAWL_PUSH_YIELD, "a", NULL},         {PAWL_PUSH_YIELD, "a", foreign},
        {(pawl_push_kind)99, "a", token}, /* of a store that is newer than this engine */
    };
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        world_push(&w, strange[i].kind, strange[i].name, strange[i].token, 9);
        assert_int_equal(w.count, 0);
    }
    world_grant(&w, ask.id, 1);
    assert_int_equal(world_count(&w, PAWL__ACT_YIELD), 0);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_store_slower_than_the_ttl_is_said_so),
        cmocka_unit_test(when_a_place_is_refreshed),
        cmocka_unit_test(the_times_of_short_and_long_ttls),
        cmocka_unit_test(a_waiter_that_is_to_ask_again_asks_once_at_a_time),
        cmocka_unit_test(a_holder_whose_lock_was_broken_is_told_at_once),
        cmocka_unit_test(who_came_while_busy_was_under_way_queues),
        cmocka_unit_test(busy_after_unknown_is_followed_by_a_release),
        cmocka_unit_test(a_failure_that_may_pass_ends_only_who_does_not_wait),
        cmocka_unit_test(a_denial_of_a_refresh_gives_the_place_up),
        cmocka_unit_test(a_release_that_failed_is_sent_again),
        cmocka_unit_test(what_is_said_at_length_is_cut),
        cmocka_unit_test(a_refresh_from_after_the_grant_extends_it),
        cmocka_unit_test(a_refresh_that_says_nothing_clear_is_followed_by_a_renewal),
        cmocka_unit_test(a_grant_that_others_want_already_is_to_be_yielded),
        cmocka_unit_test(handed_before_the_ask_has_left),
        cmocka_unit_test(a_confirmation_is_of_the_grant_that_we_know),
        cmocka_unit_test(a_cached_lease_is_lost_without_a_word),
        cmocka_unit_test(an_answer_to_what_was_not_asked_does_nothing),
        cmocka_unit_test(request_ids_go_round_and_are_never_zero),
        cmocka_unit_test(a_push_that_fits_nothing_does_nothing),
    };
    return cmocka_run_group_tests_name("engine: answers", tests, NULL, NULL);
}
