/* SPDX-License-Identifier: MIT */
/*
 * The link on a scripted wire and a clock that the test moves: what no real server does on
 * demand, to the millisecond.
 */
#include "wire_stage.h"

#include <stdio.h>
#include <string.h>

/* ---- Cases ---------------------------------------------------------------------------- */

static void the_pause_grows_and_is_short_again_after_a_good_time(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    int64_t pause = 0;
    for (int i = 0; i < 10; i++) { /* nobody listens */
        pawl__redis_timer_due(&s.store, PAWL__REDIS_TIMER_LINK);
        turn(&s);
        pause = pause_after_a_cut(&s);
    }
    assert_true(pause >= PAWL__RETRY_MAX_MS * 3 / 4);
    for (int i = 0; i < 3; i++) { /* it was up for long enough: the next cut is a first one */
        come_up(&s);
        now += PAWL__RETRY_MAX_MS * MS;
        assert_true(pause_after_a_cut(&s) <= PAWL__RETRY_MIN_MS * 5 / 4);
    }
    come_up(&s); /* not for long: a server that accepts and dies is not asked without pause */
    (void)pause_after_a_cut(&s);
    come_up(&s);
    assert_true(pause_after_a_cut(&s) >= PAWL__RETRY_MIN_MS * 4 * 3 / 4);
    end(&s);
}

/* Law 4: an error that nobody has thought of may come from the middle of a script. */
static void an_error_that_is_not_known_is_no_proof_that_nothing_was_done(void **state)
{
    static const struct {
        const char *text;
        pawl_outcome outcome;
    } errors[] = {{"ERR something that nobody has thought of", PAWL_UNKNOWN},
                  {"OOM command not allowed when used memory > 'maxmemory'.", PAWL_FAILED},
                  {"", PAWL_UNKNOWN}};
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW, PAWL_VERB_RELEASE};
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    for (size_t i = 0; i < sizeof(errors) / sizeof(errors[0]); i++) {
        for (size_t v = 0; v < sizeof(verbs) / sizeof(verbs[0]); v++) {
            pawl_request request = {.id = 1 + i * 3 + v,
                                    .verb = verbs[v],
                                    .name = "x",
                                    .name_len = 1,
                                    .token = "0123456789012345678901234567890123456789",
                                    .ttl_ms = 1000,
                                    .answer_by = now + 1000 * MS};
            pawl__redis_ask(&s.store, &request);
            hear(&s, error(errors[i].text));
            assert_int_equal(s.reply.id, request.id);
            assert_int_equal(s.reply.outcome, errors[i].outcome);
        }
    }
    end(&s);
}

static void says(const stage *s, pawl_err err, const char *word)
{
    assert_int_equal(s->down_err, err);
    if (!strstr(s->down, word)) fail_msg("\"%s\" does not say \"%s\"", s->down, word);
}

/* All of the greeting leaves at once: a new link costs one round trip behind the connection's. */
static void the_greeting_is_one_write(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    attempt(&s);
    assert_int_equal(s.left, 4); /* HELLO, SUBSCRIBE, the probe, the guard's question */
    answer_hello(&s);
    push(&s, "subscribe", "1");
    push(&s, "message", s.store.link.word); /* before or behind the script's own answer */
    answer_probe(&s);
    answer_guard(&s, "0 run1");
    assert_int_equal(s.ups, 1);
    assert_int_equal(s.left, 4);
    end(&s);
}

static void give_up(stage *s)
{
    assert_int_equal(s->ups, 0);
    assert_true(s->open);
    now += s->timers[PAWL__REDIS_TIMER_LINK] * 1000;
    attempt(s); /* its time is over */
    assert_false(s->open);
}

/* All but the last answers, and which one is missing is not what is said. */
static void greet_but_for_the_last(stage *s, const char *mode, bool with_guard)
{
    attempt(s);
    pawl__redis_value hello[] = {string("server"), string("redis"), string("mode"),
                                 string(mode),     string("role"),  string("master")};
    answer(s, hello, 6);
    push(s, "subscribe", "1");
    push(s, "message", s->store.link.word);
    answer_probe(s);
    if (with_guard) answer_guard(s, "0 run1");
}

/* A node of a cluster is not used before it has said that it has all names. */
static void a_server_that_leaves_out_an_answer_is_given_up(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    greet_but_for_the_last(&s, "standalone", false);
    give_up(&s);
    says(&s, PAWL_ERR_UNAVAILABLE, "did not answer in time");
    greet_but_for_the_last(&s, "cluster", true);
    assert_string_equal(s.words, "CLUSTER INFO");
    give_up(&s);
    says(&s, PAWL_ERR_UNAVAILABLE, "did not answer in time");
    greet_but_for_the_last(&s, "cluster", true);
    assert_int_equal(s.ups, 0);
    hear(&s, string("cluster_size:1\r\n"));
    assert_int_equal(s.ups, 1);
    end(&s);
}

static void a_server_without_resp3_is_told_in_a_sentence(void **state)
{
    static const char *const words[] = {
        "ERR unknown command `HELLO`, with args beginning with: `3`",
        "NOPROTO unsupported protocol version", "ERR unsupported command"};
    stage s;
    (void)state;
    begin(&s);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        attempt(&s);
        hear(&s, error(words[i]));
        says(&s, PAWL_ERR_UNSUPPORTED, "Redis 6.0 or newer");
        says(&s, PAWL_ERR_UNSUPPORTED, i == 0 ? "unknown command `HELLO`\")" : words[i]);
        assert_false(s.open);
    }
    come_up(&s); /* behind the address there is another one now */
    end(&s);
}

/* HELLO carries it, and servers and proxies quote what they do not understand. */
static void a_refused_greeting_does_not_show_the_password(void **state)
{
    static const char *const words[] = {
        "ERR unknown command `HELLO`, with args beginning with: `3`, `AUTH`, `default`, "
        "`hunter2`, ",
        "ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2' ",
        "ERR what is HELLO 3 AUTH default hunter2", "hunter2"};
    char password[] = "hunter2";
    stage s;
    (void)state;
    begin(&s);
    s.store.config.password = password;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        attempt(&s);
        hear(&s, error(words[i]));
        assert_true(s.down_err != PAWL_OK && s.down[0] != '\0');
        assert_null(strstr(s.down, "hunter2"));
        assert_null(strstr(s.down, "hun"));
    }
    s.store.config.password = NULL;
    end(&s);
}

/* The login is refused, and nothing else is known of the server. */
static void be_refused(stage *s)
{
    attempt(s);
    hear(s, error("WRONGPASS invalid username-password pair or user is disabled."));
    assert_true(s->open); /* it is asked what it is */
    answer(s, NULL, 0);   /* SUBSCRIBE, without RESP3 */
    hear(s, error("ERR Can't execute 'evalsha': only (P)SUBSCRIBE are allowed"));
    hear(s, error("ERR Can't execute 'evalsha': only (P)SUBSCRIBE are allowed"));
    answer(s, NULL, 0); /* UNSUBSCRIBE */
    answer_hello(s);
    assert_false(s->open);
}

/* Server and file are changed one after the other; for a minute nobody is given up for that. */
static void a_password_that_is_being_changed_is_waited_for(void **state)
{
    char password[] = "hunter2", file[] = "/run/password";
    stage s;
    (void)state;
    begin(&s);
    s.store.config.password = password;
    be_refused(&s);
    says(&s, PAWL_ERR_AUTH, "WRONGPASS"); /* there is no file */
    s.store.config.password_file = file;
    be_refused(&s);
    says(&s, PAWL_ERR_AUTH, "WRONGPASS"); /* it has never been right */
    for (int i = 0; i < 2; i++) {
        come_up(&s);
        (void)pause_after_a_cut(&s);
        be_refused(&s);
        says(&s, PAWL_ERR_UNAVAILABLE, "WRONGPASS");
        now += (PAWL__REDIS_ROTATION_MS - 1) * MS;
        be_refused(&s);
        says(&s, PAWL_ERR_UNAVAILABLE, "WRONGPASS");
    }
    now += 1 * MS;
    be_refused(&s);
    says(&s, PAWL_ERR_AUTH, "WRONGPASS");
    s.store.config.password = s.store.config.password_file = NULL;
    end(&s);
}

/* It succeeds by a push and fails in order: neither is taken for another command's answer. */
static void a_subscription_is_confirmed_by_a_push_and_refused_by_an_answer(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    attempt(&s);
    answer_hello(&s);
    hear(&s, error("NOPERM this user has no permissions to access one of the channels"));
    answer_probe(&s); /* its own answer: one may look, and not lock */
    answer_guard(&s, "0 run1");
    assert_int_equal(s.ups, 1);
    assert_non_null(strstr(s.store.link.lacks, "&pawl:inbox:*"));
    pawl__redis_link_break(&s.store, PAWL_ERR_PERMISSION, s.store.link.lacks);
    turn(&s);
    says(&s, PAWL_ERR_PERMISSION, "&pawl:inbox:*");
    attempt(&s);
    answer_hello(&s);
    answer_probe(&s); /* an answer where there can be none */
    says(&s, PAWL_ERR_PROTOCOL, "not in RESP3");
    attempt(&s);
    push(&s, "subscribe", "1"); /* a confirmation before its turn */
    says(&s, PAWL_ERR_PROTOCOL, "not in RESP3");
    come_up(&s);
    end(&s);
}

static void pushes_of_other_kinds_are_no_answers(void **state)
{
    static const char token[] = "0123456789012345678901234567890123456789";
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    pawl_request request = {.id = 1,
                            .verb = PAWL_VERB_RELEASE,
                            .name = "x",
                            .name_len = 1,
                            .token = token,
                            .answer_by = now + 1000 * MS};
    pawl__redis_ask(&s.store, &request);
    push(&s, "invalidate", "x");
    push(&s, "message", "z a later word");
    push(&s, "unsubscribe", "x");
    hear(&s, (pawl__redis_value){.type = PAWL__REDIS_PUSH});
    assert_int_equal(s.replies, 0);
    hear(&s,
         (pawl__redis_value){.type = PAWL__REDIS_INTEGER, .integer = PAWL__REDIS_SAYS_RELEASED});
    assert_int_equal(s.replies, 1);
    assert_int_equal(s.reply.outcome, PAWL_RELEASED);
    end(&s);
}

/* Law 4: what has left is unknown, what has not is failed. */
static void a_cut_tells_what_had_left_from_what_had_not(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    for (uint64_t id = 1; id <= 2; id++) {
        pawl_request request = {.id = id,
                                .verb = PAWL_VERB_RELEASE,
                                .name = "x",
                                .name_len = 1,
                                .token = "0123456789012345678901234567890123456789",
                                .answer_by = now + 1000 * MS};
        s.stuffed = id == 2;
        pawl__redis_ask(&s.store, &request);
        flush(&s.store);
    }
    pawl__redis_link_break(&s.store, PAWL_ERR_UNAVAILABLE, "cut");
    pawl__redis_turn(&s.store);
    assert_int_equal(s.replies, 2); /* the second one is remembered */
    assert_int_equal(s.reply.id, 2);
    assert_int_equal(s.reply.outcome, PAWL_FAILED);
    assert_int_equal(s.first_outcome, PAWL_UNKNOWN);
    end(&s);
}

/* Something else listens at the first address of the name, or at the second. */
static void what_one_address_refuses_another_may_grant(void **state)
{
    static const struct {
        pawl_err first, second, told;
        const char *words;
    } tries[] = {{PAWL_ERR_TLS, PAWL_ERR_UNAVAILABLE, PAWL_ERR_TLS, "says one"},
                 {PAWL_ERR_UNAVAILABLE, PAWL_ERR_PROTOCOL, PAWL_ERR_PROTOCOL, "says two"},
                 {PAWL_ERR_AUTH, PAWL_ERR_TLS, PAWL_ERR_AUTH, "says one"},
                 {PAWL_ERR_UNAVAILABLE, PAWL_ERR_LOADING, PAWL_ERR_LOADING, "says two"}};
    stage s;
    (void)state;
    begin(&s);
    s.addresses = 2;
    for (size_t i = 0; i < sizeof(tries) / sizeof(tries[0]); i++) {
        attempt(&s);
        assert_int_equal(s.tried, 0);
        pawl__redis_link_break(&s.store, tries[i].first, "says one");
        turn(&s);
        assert_true(s.open); /* at the other one, at once */
        assert_int_equal(s.tried, 1);
        pawl__redis_link_break(&s.store, tries[i].second, "says two");
        turn(&s);
        assert_false(s.open);
        says(&s, tries[i].told, tries[i].words);
    }
    attempt(&s);
    pawl__redis_link_break(&s.store, PAWL_ERR_TLS, "says one");
    turn(&s);
    answer_hello(&s);
    push(&s, "subscribe", "1");
    answer_probe(&s);
    push(&s, "message", s.store.link.word);
    answer_guard(&s, "0 run1");
    assert_int_equal(s.ups, 1);
    end(&s);
}

/* The look-up and the time-out come in the same turn of the loop. */
static void addresses_that_come_too_late_are_not_tried(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    pawl__redis_timer_due(&s.store, PAWL__REDIS_TIMER_LINK);
    pawl__redis_timer_due(&s.store, PAWL__REDIS_TIMER_LINK);
    pawl__redis_found(&s.store, 1, NULL);
    assert_false(s.open);
    s.resolving = false;
    turn(&s);
    says(&s, PAWL_ERR_UNAVAILABLE, "the name service did not answer in time");
    come_up(&s);
    end(&s);
}

/* It passes, so nobody who waits is refused for it. */
static void want_of_memory_breaks_the_link_and_is_not_final(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    pawl__redis_link_break(&s.store, PAWL_ERR_NO_MEMORY, "out of memory");
    turn(&s);
    says(&s, PAWL_ERR_UNAVAILABLE, "out of memory");
    end(&s);
}

/* If a user who may only look asks for a lock, the link is made again; no INSPECT is cut off. */
static void a_lock_that_is_refused_cuts_no_look(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    attempt(&s);
    answer_hello(&s);
    hear(&s, error("NOPERM this user has no permissions to access one of the channels"));
    answer_probe(&s);
    answer_guard(&s, "0 run1");
    assert_int_equal(s.ups, 1);
    now += PAWL__RETRY_MAX_MS * MS;
    pawl_request look = {.id = 1,
                         .verb = PAWL_VERB_INSPECT,
                         .name = "x",
                         .name_len = 1,
                         .answer_by = now + 1000 * MS};
    pawl__redis_ask(&s.store, &look);
    pawl__redis_refuse_locking(&s.store, 2);
    turn(&s);
    assert_int_equal(s.replies, 1); /* the refusal, and the look is still under way */
    assert_int_equal(s.reply.id, 2);
    assert_true(s.open);
    hear(&s, error("BUSY Redis is busy running a script."));
    assert_int_equal(s.reply.id, 1);
    pawl__redis_refuse_locking(&s.store, 3);
    turn(&s);
    assert_false(s.open);
    says(&s, PAWL_ERR_PERMISSION, "&pawl:inbox:*");
    end(&s);
}

/*
 * If the server has forgotten the script, the announcement would be said again behind the request:
 * a lease was granted that a restart right then did not know of.
 */
static void an_announcement_precedes_its_lease_whatever_scripts_are_known(void **state)
{
    stage s;
    (void)state;
    begin(&s);
    come_up(&s);
    s.store.config.guard_ms = 1000;
    pawl_request longer = {.id = 1,
                           .verb = PAWL_VERB_ACQUIRE,
                           .name = "x",
                           .name_len = 1,
                           .token = "0123456789012345678901234567890123456789",
                           .owner = "me",
                           .ttl_ms = 5000,
                           .answer_by = now + 1000 * MS};
    pawl__redis_ask(&s.store, &longer);
    assert_memory_equal(s.words, "EVALSHA ", 8);
    assert_memory_equal(s.before, "EVAL ", 5);
    assert_non_null(strstr(s.before, "uptime_in_seconds")); /* guard.lua */
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_pause_grows_and_is_short_again_after_a_good_time),
        cmocka_unit_test(an_error_that_is_not_known_is_no_proof_that_nothing_was_done),
        cmocka_unit_test(the_greeting_is_one_write),
        cmocka_unit_test(a_server_that_leaves_out_an_answer_is_given_up),
        cmocka_unit_test(a_server_without_resp3_is_told_in_a_sentence),
        cmocka_unit_test(a_refused_greeting_does_not_show_the_password),
        cmocka_unit_test(a_password_that_is_being_changed_is_waited_for),
        cmocka_unit_test(a_subscription_is_confirmed_by_a_push_and_refused_by_an_answer),
        cmocka_unit_test(pushes_of_other_kinds_are_no_answers),
        cmocka_unit_test(a_cut_tells_what_had_left_from_what_had_not),
        cmocka_unit_test(what_one_address_refuses_another_may_grant),
        cmocka_unit_test(addresses_that_come_too_late_are_not_tried),
        cmocka_unit_test(want_of_memory_breaks_the_link_and_is_not_final),
        cmocka_unit_test(a_lock_that_is_refused_cuts_no_look),
        cmocka_unit_test(an_announcement_precedes_its_lease_whatever_scripts_are_known),
    };
    return cmocka_run_group_tests_name("the link on a scripted wire", cases, NULL, NULL);
}
