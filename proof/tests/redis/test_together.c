/* SPDX-License-Identifier: MIT */
/* Requests that travel together, on a scripted wire: what the server says of one call is told to
 * each of them, and what it did not say is not made up. */
#define _GNU_SOURCE
#include "wire_stage.h"

#include "stores/redis/redis_scripts.h"

#include <stdio.h>
#include <string.h>

#define TOKEN_FORMAT "000000000000000000000000000000000000%04u"

static const char *token_of(unsigned id)
{
    static char tokens[IDS_MAX][PAWL_TOKEN_LEN + 1];
    snprintf(tokens[id], sizeof(tokens[id]), TOKEN_FORMAT, id);
    return tokens[id];
}

static pawl_request request_of(unsigned id, pawl_verb verb, const char *name)
{
    return (pawl_request){.id = id,
                          .verb = verb,
                          .flags = PAWL_ASK_TOGETHER,
                          .name = name,
                          .name_len = strlen(name),
                          .token = token_of(id),
                          .owner = "me",
                          .ttl_ms = 1000,
                          .answer_by = now + 1000 * MS};
}

static void acquire(stage *s, unsigned id, const char *name)
{
    pawl_request request = request_of(id, PAWL_VERB_ACQUIRE, name);
    pawl__redis_ask(&s->store, &request);
}

/* Of the lease that was asked for as `of`. */
static void release(stage *s, unsigned id, unsigned of, const char *name)
{
    pawl_request request = request_of(id, PAWL_VERB_RELEASE, name);
    request.token = token_of(of);
    pawl__redis_ask(&s->store, &request);
}

static void send_all(stage *s)
{
    pawl__redis_flush(&s->store);
}

/* How many commands this flush sends. */
static uint64_t count_sent(stage *s)
{
    uint64_t before = s->left;
    send_all(s);
    return s->left - before;
}

static bool calls(const char *words, pawl__redis_script script, bool by_hash)
{
    char begin[64];
    if (!by_hash) return strncmp(words, "EVAL ", 5) == 0;
    snprintf(begin, sizeof(begin), "EVALSHA %s ", pawl__redis_scripts[script].sha1);
    return strncmp(words, begin, strlen(begin)) == 0;
}

static void is_told(const stage *s, unsigned id, pawl_outcome outcome)
{
    assert_int_equal(s->outcomes[id], outcome);
}

static void is_not_told(const stage *s, unsigned id)
{
    assert_int_equal(s->outcomes[id], NO_OUTCOME);
}

/* Two are held, and this server is known to take several names in one call. */
static void hold_two(stage *s)
{
    begin(s);
    come_up(s);
    acquire(s, 1, "a");
    acquire(s, 2, "b");
    assert_int_equal(count_sent(s), 1);
    hear(s, string("0 7 0\n0 8 1\n"));
    is_told(s, 1, PAWL_GRANTED);
    is_told(s, 2, PAWL_GRANTED);
}

static void one_call_answers_each(void **state)
{
    stage s;
    (void)state;
    hold_two(&s);
    assert_int_equal(s.reply.fence, 8);
    assert_true(s.reply.waiting);
    assert_non_null(strstr(s.words, " 8 pawl:a pawl:b {pawl:a}:q {pawl:b}:q {pawl:a}:f "));
    release(&s, 3, 1, "a");
    release(&s, 4, 2, "b");
    assert_int_equal(count_sent(&s), 1);
    assert_true(calls(s.words, PAWL__REDIS_RELEASE_TOGETHER, false)); /* its first call */
    hear(&s, string("4\n6\n"));
    is_told(&s, 3, PAWL_RELEASED);
    is_told(&s, 4, PAWL_NOT_OWNER);
    release(&s, 5, 1, "a");
    release(&s, 6, 2, "b");
    send_all(&s);
    assert_true(calls(s.words, PAWL__REDIS_RELEASE_TOGETHER, true));
    end(&s);
}

/* What cannot be one call is sent in the order in which it was asked (rule 4). */
static void who_does_not_fit_travels_alone(void **state)
{
    stage s;
    (void)state;
    hold_two(&s);
    acquire(&s, 3, "x");
    acquire(&s, 4, "x"); /* one name twice: both would be granted */
    assert_int_equal(count_sent(&s), 2);
    acquire(&s, 5, "x");
    release(&s, 6, 5, "x");
    assert_int_equal(count_sent(&s), 2);
    assert_true(calls(s.words, PAWL__REDIS_RELEASE, true));
    pawl_request longer = request_of(8, PAWL_VERB_ACQUIRE, "y");
    longer.ttl_ms++;
    acquire(&s, 7, "x");
    pawl__redis_ask(&s.store, &longer);
    assert_int_equal(count_sent(&s), 2);
    pawl_request other = request_of(10, PAWL_VERB_ACQUIRE, "y");
    other.owner = "somebody else";
    acquire(&s, 9, "x");
    pawl__redis_ask(&s.store, &other);
    assert_int_equal(count_sent(&s), 2);
    pawl_request patient = request_of(12, PAWL_VERB_ACQUIRE, "y");
    patient.flags |= PAWL_ASK_QUEUE;
    acquire(&s, 11, "x");
    pawl__redis_ask(&s.store, &patient);
    assert_int_equal(count_sent(&s), 2);
    pawl_request single = request_of(14, PAWL_VERB_ACQUIRE, "y");
    single.flags = 0;
    acquire(&s, 13, "x");
    pawl__redis_ask(&s.store, &single);
    assert_int_equal(count_sent(&s), 2);
    end(&s);
}

static void more_than_fit_are_several_calls(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", "j"};
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    for (unsigned i = 0; i < 10; i++) acquire(&s, i + 1, names[i]);
    assert_int_equal(count_sent(&s), 2);
    hear(&s, string("0 1 0\n0 1 0\n0 1 0\n0 1 0\n0 1 0\n0 1 0\n0 1 0\n0 1 0\n"));
    is_told(&s, 8, PAWL_GRANTED);
    is_not_told(&s, 9);
    hear(&s, string("0 1 0\n2 500 them\n"));
    is_told(&s, 9, PAWL_GRANTED);
    is_told(&s, 10, PAWL_BUSY);
    assert_string_equal(s.reply.message, "them");
    end(&s);
}

/* Law 4: the script may have got half of it done. */
static void what_went_wrong_is_asked_alone_and_stays_in_doubt(void **state)
{
    stage s;
    (void)state;
    hold_two(&s);
    acquire(&s, 3, "x");
    acquire(&s, 4, "y");
    send_all(&s);
    hear(&s, string("0 9 0\n-\n"));
    is_told(&s, 3, PAWL_GRANTED);
    is_not_told(&s, 4);
    assert_true(calls(s.words, PAWL__REDIS_ACQUIRE, true));
    hear(&s, error("OOM command not allowed when used memory > 'maxmemory'."));
    is_told(&s, 4, PAWL_UNKNOWN);

    acquire(&s, 5, "x");
    acquire(&s, 6, "y");
    send_all(&s);
    hear(&s, error("ERR something that nobody has thought of"));
    is_not_told(&s, 5);
    s.stuffed = true; /* what is asked alone does not leave any more */
    send_all(&s);
    pawl__redis_link_break(&s.store, PAWL_ERR_UNAVAILABLE, "cut");
    pawl__redis_turn(&s.store);
    is_told(&s, 5, PAWL_UNKNOWN);
    is_told(&s, 6, PAWL_UNKNOWN);
    end(&s);
}

/* The server had refused the call before it did anything. */
static void who_was_refused_may_fail(void **state)
{
    stage s;
    (void)state;
    hold_two(&s);
    acquire(&s, 3, "x");
    acquire(&s, 4, "y");
    send_all(&s);
    hear(&s, error("OOM command not allowed when used memory > 'maxmemory'."));
    for (unsigned id = 3; id <= 4; id++) {
        is_not_told(&s, id);
        hear(&s, error("OOM command not allowed when used memory > 'maxmemory'."));
        is_told(&s, id, PAWL_FAILED);
    }
    end(&s);
}

static void a_forgotten_script_is_brought_along(void **state)
{
    stage s;
    (void)state;
    hold_two(&s);
    acquire(&s, 3, "x");
    acquire(&s, 4, "y");
    send_all(&s);
    assert_true(calls(s.words, PAWL__REDIS_ACQUIRE_TOGETHER, true));
    hear(&s, error("NOSCRIPT No matching script. Please use EVAL."));
    assert_true(calls(s.words, PAWL__REDIS_ACQUIRE_TOGETHER, false));
    hear(&s, string("0 9 0\n0 9 0\n"));
    is_told(&s, 3, PAWL_GRANTED);
    is_told(&s, 4, PAWL_GRANTED);
    end(&s);
}

/* Law 4: what was released before the call went wrong was not lost. */
static void what_may_have_been_released_is_not_called_lost(void **state)
{
    static const char *const wrong[] = {"4\n-\n", "-\n4\n"};
    stage s;
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        hold_two(&s);
        release(&s, 3, 1, "a");
        release(&s, 4, 2, "b");
        send_all(&s);
        if (i < 2) {
            hear(&s, string(wrong[i]));
            hear(&s, string("6")); /* of the one that was asked alone */
            is_told(&s, 3 + i, PAWL_RELEASED);
            is_told(&s, 4 - i, PAWL_UNKNOWN);
        } else {
            hear(&s, error("ERR half of it was done script: f_0, on @user_script:9."));
            hear(&s, string("6"));
            hear(&s, string("4"));
            is_told(&s, 3, PAWL_UNKNOWN);
            is_told(&s, 4, PAWL_RELEASED);
        }
        end(&s);
    }
}

/* Rule 4: the releases behind the call have the last word, alone or together. */
static void a_release_behind_a_forgotten_call_has_the_last_word(void **state)
{
    stage s;
    (void)state;
    for (int together = 0; together < 2; together++) {
        hold_two(&s);
        acquire(&s, 3, "x");
        acquire(&s, 4, "y");
        send_all(&s);
        release(&s, 5, 4, "y");
        if (together) release(&s, 6, 3, "x");
        assert_int_equal(count_sent(&s), 1);
        hear(&s, error("NOSCRIPT No matching script. Please use EVAL."));
        is_told(&s, 4, PAWL_FAILED);
        if (together)
            is_told(&s, 3, PAWL_FAILED);
        else
            assert_true(
                calls(s.words, PAWL__REDIS_ACQUIRE, true)); /* x, for which nobody gave up */
        end(&s);
    }
}

static void a_cluster_is_asked_alone_from_then_on(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    release(&s, 1, 1, "a"); /* nobody knows yet whether this server takes several names */
    release(&s, 2, 2, "b");
    assert_int_equal(count_sent(&s), 2);
    hear(&s, string("6"));
    hear(&s, string("6"));
    acquire(&s, 3, "x");
    acquire(&s, 4, "y");
    assert_int_equal(count_sent(&s), 1);
    hear(&s, error("CROSSSLOT Keys in request don't hash to the same slot"));
    assert_true(calls(s.words, PAWL__REDIS_ACQUIRE, true));
    hear(&s, string("0 5 0"));
    hear(&s, string("0 6 0"));
    is_told(&s, 3, PAWL_GRANTED);
    is_told(&s, 4, PAWL_GRANTED);
    acquire(&s, 5, "x");
    acquire(&s, 6, "y");
    assert_int_equal(count_sent(&s), 2);
    end(&s);
}

static void a_cut_tells_what_had_left_from_what_had_not(void **state)
{
    stage s;
    (void)state;
    hold_two(&s);
    acquire(&s, 3, "x");
    acquire(&s, 4, "y");
    send_all(&s);
    acquire(&s, 5, "v");
    acquire(&s, 6, "w"); /* not flushed */
    pawl__redis_link_break(&s.store, PAWL_ERR_UNAVAILABLE, "cut");
    send_all(&s);
    pawl__redis_turn(&s.store);
    for (unsigned id = 3; id <= 6; id++) is_told(&s, id, id <= 4 ? PAWL_UNKNOWN : PAWL_FAILED);
    end(&s);
}

static void no_such_answer_is_doubt_for_all(void **state)
{
    static const char *const answers[] = {"0 7 0\n", "0 7 0\n0 7 0", "0 7 0\n0 7 0\n0 7 0\n", "",
                                          "0 7 0\nand so on\n"};
    stage s;
    (void)state;
    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        hold_two(&s);
        acquire(&s, 3, "x");
        acquire(&s, 4, "y");
        send_all(&s);
        hear(&s, string(answers[i]));
        is_told(&s, 3, i < 4 ? PAWL_UNKNOWN : PAWL_GRANTED);
        is_told(&s, 4, PAWL_UNKNOWN);
        assert_false(s.open);
        end(&s);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(one_call_answers_each),
        cmocka_unit_test(who_does_not_fit_travels_alone),
        cmocka_unit_test(more_than_fit_are_several_calls),
        cmocka_unit_test(what_went_wrong_is_asked_alone_and_stays_in_doubt),
        cmocka_unit_test(who_was_refused_may_fail),
        cmocka_unit_test(what_may_have_been_released_is_not_called_lost),
        cmocka_unit_test(a_forgotten_script_is_brought_along),
        cmocka_unit_test(a_release_behind_a_forgotten_call_has_the_last_word),
        cmocka_unit_test(a_cluster_is_asked_alone_from_then_on),
        cmocka_unit_test(a_cut_tells_what_had_left_from_what_had_not),
        cmocka_unit_test(no_such_answer_is_doubt_for_all),
    };
    return cmocka_run_group_tests_name("requests that travel together", cases, NULL, NULL);
}
