/* SPDX-License-Identifier: MIT */
/* Answers at the edges of what a store may say: late, vague, at a wrong time, or to nobody. */
#include "../../../src/engine/lease.h"
#include "trial.h"

static void reply(trial *t, pawl_reply reply)
{
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

/* ---- Slow stores ------------------------------------------------------------------ */

/* Law 2: what is over before it is reported is never reported, and that ends. */
static void a_store_slower_than_the_ttl_is_said_so(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.ttl_ms = 1000;
    trial_want(t, &a);
    for (int i = 0; i < 2; i++) {
        uint64_t id = trial_sent(t, PAWL_VERB_ACQUIRE).id;
        t->now += 1000 * MS;
        trial_grant(t, id, 5);
    }
    uint64_t id = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    t->now += 1000 * MS;
    trial_grant(t, id, 5);
    pawl__action *refused = trial_only(t, PAWL__ACT_REFUSED);
    assert_int_equal(refused->err, PAWL_ERR_UNAVAILABLE);
    assert_non_null(strstr(refused->message, "use a longer ttl"));
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* After how long a place is refreshed again when a refresh was answered like this. */
static int64_t refreshed_after(pawl_reply queued, int64_t answered_after)
{
    trial t;
    trial_open_patient(&t);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(&t, &a);
    trial_queue(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, 9, TTL);
    trial_pass(&t, TTL / 3 * MS);
    queued.id = trial_sent(&t, PAWL_VERB_ACQUIRE).id;
    queued.outcome = PAWL_QUEUED;
    t.now += answered_after;
    int64_t answered_at = t.now;
    reply(&t, queued);
    t.now = pawl__engine_deadline(t.engine);
    trial_pass(&t, 0);
    trial_sent(&t, PAWL_VERB_ACQUIRE);
    trial_close(&t);
    return t.now - answered_at;
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
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    uint64_t id = trial_ask(t, &a).id;
    trial_push(t, PAWL_PUSH_RECHECK, "a", NULL, 0); /* it is asking */
    assert_int_equal(t->count, 0);
    trial_queue(t, id, 9, TTL);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, TTL);
    assert_int_equal(t->count, 0);
    trial_push(t, PAWL_PUSH_RECHECK, "a", NULL, 0);
    id = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_push(t, PAWL_PUSH_RECHECK, "a", NULL, 0); /* what is asked may be from before that */
    assert_int_equal(t->count, 0);
    trial_queue(t, id, 8, TTL);
    id = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_fail(t, id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_push(t, PAWL_PUSH_RECHECK, "a", NULL, 0);
    id = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_push(t, PAWL_PUSH_RECHECK, "a", NULL, 0);
    trial_grant(t, id, 1);
    trial_sent(t, PAWL_VERB_RENEW); /* the grant, too, may be from before that */
}

/* No name: all that the client holds and waits for. Leases are in doubt until confirmed. */
static void a_store_that_was_emptied_is_asked_about_all(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    pawl__want waits = want_on("c", PAWL__NEVER), leaves = want_on("d", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_hold(t, &b, 2);
    trial_hold(t, &leaves, 3);
    trial_release(t, &leaves); /* it is being given back anyway */
    trial_queue(t, trial_ask(t, &waits).id, 9, TTL);
    trial_push(t, PAWL_PUSH_RECHECK, "", NULL, 0);
    assert_int_equal(trial_count(t, PAWL__ACT_DOUBT), 2);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RENEW), 2);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_ACQUIRE), 1);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    uint64_t ids[2] = {0};
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++)
        if (t->actions[i].kind == PAWL__ACT_SEND && t->actions[i].request.verb == PAWL_VERB_RENEW)
            ids[n++] = t->actions[i].request.id;
    trial_confirm(t, ids[0], 1, false);
    assert_true(trial_only(t, PAWL__ACT_EXTENDED)->after_doubt);
    trial_answer(t, ids[1], PAWL_NOT_OWNER);
    trial_only(t, PAWL__ACT_LOST);
}

static void news_of_a_value_are_nothing_to_a_lease(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_push(t, PAWL_PUSH_NEWS, "a", NULL, 0);
    assert_int_equal(t->count, 0);
}

static void a_holder_whose_lock_was_broken_is_told_at_once(void **state)
{
    (void)state;
    for (int meanwhile = 0; meanwhile <= 1; meanwhile++) {
        trial t;
        trial_open(&t);
        pawl__want a = want_on("a", PAWL__NEVER);
        trial_hold(&t, &a, 1);
        if (meanwhile) trial_pass(&t, TTL / 3 * MS);
        uint64_t id = meanwhile ? trial_sent(&t, PAWL_VERB_RENEW).id : 0;
        trial_push(&t, PAWL_PUSH_RECHECK, "a", NULL, 0);
        if (meanwhile) { /* a renewal is under way, and was carried out before */
            assert_int_equal(t.count, 0);
            trial_confirm(&t, id, 1, false);
        }
        trial_answer(&t, trial_sent(&t, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
        trial_only(&t, PAWL__ACT_LOST);
        trial_push(&t, PAWL_PUSH_RECHECK, "a", NULL, 0); /* it is leaving by now */
        assert_int_equal(t.count, 0);
        trial_close(&t);
    }
}

/* Asked for one who does not wait; meanwhile another came who does. */
static void who_came_while_busy_was_under_way_queues(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", 0), b = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    trial_want(t, &b);
    trial_answer(t, ask.id, PAWL_BUSY);
    assert_ptr_equal(trial_only(t, PAWL__ACT_REFUSED)->want, &a);
    assert_true(trial_sent(t, PAWL_VERB_ACQUIRE).flags & PAWL_ASK_QUEUE);
}

/* Law 4: an ask whose answer was lost may still arrive, whatever a later one was told. */
static void busy_after_unknown_is_followed_by_a_release(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", 0);
    trial_want(t, &a);
    trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_pass(t, 2 * pawl__plan_retry_ns(TTL));
    trial_answer(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_BUSY);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_BUSY);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* ---- Failures --------------------------------------------------------------------- */

static void a_failure_that_may_pass_ends_only_who_does_not_wait(void **state)
{
    (void)state;
    static const pawl_err passing[] = {PAWL_ERR_LOADING, PAWL_ERR_UNKNOWN};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++) {
        trial t;
        trial_open(&t);
        pawl__want a = want_on("a", PAWL__NEVER), b = want_on("a", 0);
        uint64_t id = trial_ask(&t, &a).id;
        trial_want(&t, &b);
        reply(&t, (pawl_reply){.id = id, .outcome = PAWL_FAILED, .err = passing[i]});
        pawl__action *refused = trial_only(&t, PAWL__ACT_REFUSED);
        assert_ptr_equal(refused->want, &b);
        assert_string_equal(refused->message, pawl_err_text(passing[i]));
        trial_pass(&t, 2 * pawl__plan_retry_ns(TTL));
        trial_sent(&t, PAWL_VERB_ACQUIRE);
        trial_close(&t);
    }
}

/* The pauses before so many retries of an ask. */
enum { PAUSES = 8 };

static void pauses_of(uint64_t seed, int64_t ret_pauses[PAUSES])
{
    trial t;
    trial_open_with(&t, seed, PAWL_WAIT_FOREVER);
    trial_link(&t, true, PAWL_OK);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(&t, &a);
    for (size_t i = 0; i < PAUSES; i++) {
        trial_fail(&t, trial_sent(&t, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_LOADING);
        ret_pauses[i] = pawl__engine_deadline(t.engine) - t.now;
        trial_pass(&t, ret_pauses[i]);
    }
    trial_close(&t);
}

/* Clients that the same outage has stopped do not come back at the same instants. */
static void each_seed_has_its_own_pauses(void **state)
{
    int64_t one[PAUSES], again[PAUSES], other[PAUSES];
    (void)state;
    pauses_of(1, one);
    pauses_of(1, again);
    pauses_of(2, other);
    assert_memory_equal(one, again, sizeof one);
    assert_memory_not_equal(one, other, sizeof one);
}

static void a_denial_of_a_refresh_gives_the_place_up(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    trial_queue(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 9, TTL);
    trial_pass(t, TTL / 3 * MS);
    trial_fail(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, PAWL_FAILED, PAWL_ERR_PERMISSION);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_PERMISSION);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_release_that_failed_is_sent_again(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_hold(t, &a, 1);
    trial_release_await(t, &a);
    trial_fail(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_FAILED, PAWL_ERR_READONLY);
    assert_int_equal(t->count, 0);
    trial_pass(t, 2 * pawl__plan_retry_ns(TTL));
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    assert_int_equal(trial_only(t, PAWL__ACT_RELEASED)->err, PAWL_OK);
}

static void what_is_said_at_length_is_cut(void **state)
{
    (void)state;
    char tale[2 * PAWL_MESSAGE_MAX];
    memset(tale, 'x', sizeof tale - 1);
    tale[sizeof tale - 1] = '\0';
    trial t;
    trial_open(&t);
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(&t, &a);
    reply(&t, (pawl_reply){.id = trial_sent(&t, PAWL_VERB_ACQUIRE).id,
                           .outcome = PAWL_FAILED,
                           .err = PAWL_ERR_CORRUPT,
                           .message = tale});
    const char *told = trial_only(&t, PAWL__ACT_REFUSED)->message;
    assert_int_equal(strlen(told), PAWL_MESSAGE_MAX - 1);
    assert_memory_equal(told, tale, PAWL_MESSAGE_MAX - 1);
    trial_close(&t);
}

/* ---- To who holds ----------------------------------------------------------------- */

/* A push came first: the refresh is still under way; returns its id. */
static uint64_t held_while_asking(trial *t, pawl__want *a, uint64_t fence)
{
    trial_open(t);
    *a = want_on("a", PAWL__NEVER);
    trial_want(t, a);
    pawl_request ask = trial_sent(t, PAWL_VERB_ACQUIRE);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue(t, ask.id, 9, TTL);
    trial_pass(t, TTL / 3 * MS);
    uint64_t refresh = trial_sent(t, PAWL_VERB_ACQUIRE).id;
    trial_push(t, PAWL_PUSH_GRANT, "a", token, fence);
    assert_int_equal(a->state, PAWL__WANT_HOLDING);
    return refresh;
}

static void a_refresh_from_after_the_grant_extends_it(void **state)
{
    (void)state;
    for (int waiting = 0; waiting <= 1; waiting++) {
        trial t;
        pawl__want a;
        uint64_t id = held_while_asking(&t, &a, 7);
        int64_t sent_at = t.now;
        t.now += 1000 * MS;
        reply(&t,
              (pawl_reply){.id = id, .outcome = PAWL_GRANTED, .fence = 7, .waiting = waiting != 0});
        assert_int_equal(trial_only(&t, PAWL__ACT_EXTENDED)->deadline,
                         sent_at + pawl__plan_span_ns(TTL));
        assert_int_equal(trial_count(&t, PAWL__ACT_YIELD), waiting);
        trial_close(&t);
    }
}

/* Only a renewal compares the token, so only it decides. */
static void a_refresh_that_says_nothing_clear_is_followed_by_a_renewal(void **state)
{
    (void)state;
    static const pawl_reply unclear[] = {{.outcome = PAWL_GRANTED, .fence = 8},
                                         {.outcome = PAWL_BUSY},
                                         {.outcome = PAWL_FAILED, .err = PAWL_ERR_LOADING},
                                         {.outcome = PAWL_UNKNOWN, .err = PAWL_ERR_UNKNOWN}};
    for (size_t i = 0; i < sizeof unclear / sizeof unclear[0]; i++) {
        trial t;
        pawl__want a;
        pawl_reply answer = unclear[i];
        answer.id = held_while_asking(&t, &a, 7);
        reply(&t, answer);
        trial_sent(&t, PAWL_VERB_RENEW);
        assert_int_equal(a.state, PAWL__WANT_HOLDING);
        trial_release(&t, &a);
        trial_answer(&t, trial_sent(&t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
        /* Law 4: a lost ask may arrive behind its release. */
        assert_int_equal(pawl__engine_busy(t.engine), answer.outcome == PAWL_UNKNOWN);
        trial_close(&t);
    }
}

static void a_grant_that_others_want_already_is_to_be_yielded(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    trial_want(t, &a);
    reply(t, (pawl_reply){.id = trial_sent(t, PAWL_VERB_ACQUIRE).id,
                          .outcome = PAWL_GRANTED,
                          .fence = 1,
                          .waiting = true});
    trial_only(t, PAWL__ACT_GRANTED);
    trial_only(t, PAWL__ACT_YIELD);
}

static void handed_before_the_ask_has_left(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_queue(t, ask.id, 9, TTL);
    t->now += TTL / 3 * MS;
    trial_step_unfetched(t, (pawl__event){.kind = PAWL__EV_TIME});
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 7);
    trial_only(t, PAWL__ACT_GRANTED);
    uint64_t id = trial_sent(t, PAWL_VERB_ACQUIRE).id; /* and is a renewal by now */
    trial_grant(t, id, 7);
    trial_only(t, PAWL__ACT_EXTENDED);
}

static void a_confirmation_is_of_the_grant_that_we_know(void **state)
{
    (void)state;
    for (uint64_t fence = 0; fence <= 2; fence++) { /* 0: the store does not say */
        trial t;
        trial_open(&t);
        pawl__want a = want_on("a", PAWL__NEVER);
        trial_hold(&t, &a, 1);
        trial_pass(&t, TTL / 3 * MS);
        trial_confirm(&t, trial_sent(&t, PAWL_VERB_RENEW).id, fence, false);
        trial_only(&t, fence == 2 ? PAWL__ACT_LOST : PAWL__ACT_EXTENDED);
        trial_close(&t);
    }
}

static void a_cached_lease_is_lost_without_a_word(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    a.retain_ms = TTL;
    trial_hold(t, &a, 1);
    trial_release(t, &a);
    trial_pass(t, TTL / 3 * MS);
    trial_answer(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
    trial_sent(t, PAWL_VERB_RELEASE); /* by token: the store compares */
    assert_int_equal(t->count, 1);
}

/* ---- To nobody -------------------------------------------------------------------- */

static void an_answer_to_what_was_not_asked_does_nothing(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER);
    uint64_t id = trial_ask(t, &a).id;
    const uint64_t strange[] = {0, 1, id & UINT32_MAX, id + 1, id + 1000, id + (UINT64_C(1) << 32)};
    for (size_t i = 0; i < sizeof strange / sizeof strange[0]; i++) {
        trial_grant(t, strange[i], 1);
        assert_int_equal(t->count, 0);
    }
    trial_grant(t, id, 1);
    trial_only(t, PAWL__ACT_GRANTED);
    trial_grant(t, id, 1);
    assert_int_equal(t->count, 0);
}

static void request_ids_go_round_and_are_never_zero(void **state)
{
    trial *t = *state;
    t->engine->next_request = UINT32_MAX;
    pawl__want a = want_on("a", PAWL__NEVER);
    uint64_t id = trial_ask(t, &a).id;
    assert_int_equal(id >> 32, 1);
    trial_grant(t, id, 1);
    trial_only(t, PAWL__ACT_GRANTED);
}

/* Law 7: a push is a hint. */
static void a_push_that_fits_nothing_does_nothing(void **state)
{
    trial *t = *state;
    pawl__want a = want_on("a", PAWL__NEVER), b = want_on("b", PAWL__NEVER);
    pawl_request ask = trial_ask(t, &a);
    char token[PAWL_TOKEN_LEN + 1];
    strcpy(token, ask.token);
    trial_hold(t, &b, 1);
    trial_release(t, &b);
    const char *released = trial_sent(t, PAWL_VERB_RELEASE).token;
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
        trial_push(t, strange[i].kind, strange[i].name, strange[i].token, 9);
        assert_int_equal(t->count, 0);
    }
    trial_grant(t, ask.id, 1);
    assert_int_equal(trial_count(t, PAWL__ACT_YIELD), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TRIAL(a_store_slower_than_the_ttl_is_said_so),
        cmocka_unit_test(when_a_place_is_refreshed),
        cmocka_unit_test(the_times_of_short_and_long_ttls),
        TRIAL(a_waiter_that_is_to_ask_again_asks_once_at_a_time),
        TRIAL(a_store_that_was_emptied_is_asked_about_all),
        TRIAL(news_of_a_value_are_nothing_to_a_lease),
        cmocka_unit_test(a_holder_whose_lock_was_broken_is_told_at_once),
        TRIAL(who_came_while_busy_was_under_way_queues),
        TRIAL(busy_after_unknown_is_followed_by_a_release),
        cmocka_unit_test(a_failure_that_may_pass_ends_only_who_does_not_wait),
        cmocka_unit_test(each_seed_has_its_own_pauses),
        TRIAL(a_denial_of_a_refresh_gives_the_place_up),
        TRIAL(a_release_that_failed_is_sent_again),
        cmocka_unit_test(what_is_said_at_length_is_cut),
        cmocka_unit_test(a_refresh_from_after_the_grant_extends_it),
        cmocka_unit_test(a_refresh_that_says_nothing_clear_is_followed_by_a_renewal),
        TRIAL(a_grant_that_others_want_already_is_to_be_yielded),
        TRIAL(handed_before_the_ask_has_left),
        cmocka_unit_test(a_confirmation_is_of_the_grant_that_we_know),
        TRIAL(a_cached_lease_is_lost_without_a_word),
        TRIAL(an_answer_to_what_was_not_asked_does_nothing),
        TRIAL(request_ids_go_round_and_are_never_zero),
        TRIAL(a_push_that_fits_nothing_does_nothing),
    };
    return cmocka_run_group_tests_name("engine: answers", tests, NULL, NULL);
}
