/* SPDX-License-Identifier: MIT */
/* What comes back late, cut, changed or not at all: nobody is told more than is known (law 4). */
#define _GNU_SOURCE
#include "relay.h"

#include <string.h>

/* ---- Cut at each byte ---------------------------------------------------------------------- */

typedef struct cut {
    relay *relay;
    client *through, *witness;
} cut;

static cut cut_begin(void)
{
    cut c = {.relay = relay_start()};
    store_address through = rig_address(relay_socket(c.relay)), direct = rig_address(NULL);
    c.through = client_up(rig_loop(), &through, "through");
    c.witness = client_up(rig_loop(), &direct, "witness");
    return c;
}

static void cut_end(cut *c)
{
    client_close(c->through);
    client_close(c->witness);
    relay_stop(c->relay);
}

/*
 * The request of a client of its own, which need not wait to connect again, with the connection
 * cut after n bytes; false: it had fewer, and was not cut.
 */
static bool ask_cut(cut *c, pawl_request request, size_t n, pawl_outcome *ret_outcome)
{
    store_address address = rig_address(relay_socket(c->relay));
    client_close(c->through);
    c->through = client_up(rig_loop(), &address, "through");
    relay_cut_after(c->relay, n);
    *ret_outcome = client_ask(c->through, &request)->reply.outcome;
    bool was_cut = relay_passed(c->relay) == n;
    relay_cut_after(c->relay, SIZE_MAX);
    return was_cut;
}

static void an_acquire_that_is_cut_is_never_told_wrong(void **state)
{
    cut c = cut_begin();
    unsigned unknown = 0, failed = 0;
    bool again = true;
    (void)state;
    for (size_t n = 0; again; n++) {
        const char *name = rig_name(), *token = fresh_token();
        pawl_outcome outcome;
        again = ask_cut(&c, ask_acquire(name, token, LONG_MS), n, &outcome);
        bool held = rig_inspect(c.witness, name, token)->mine;
        if (outcome == PAWL_GRANTED) assert_true(held);
        if (outcome == PAWL_FAILED) assert_false(held);
        assert_true(outcome == PAWL_GRANTED || outcome == PAWL_FAILED || outcome == PAWL_UNKNOWN);
        unknown += outcome == PAWL_UNKNOWN;
        failed += outcome == PAWL_FAILED;
        /* By the same token it is found out. */
        rig_expect(c.witness, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    }
    assert_true(unknown > 3 && failed > 3);
    cut_end(&c);
}

static void a_release_that_is_cut_is_never_told_wrong(void **state)
{
    cut c = cut_begin();
    unsigned unknown = 0;
    bool again = true;
    (void)state;
    for (size_t n = 0; again; n++) {
        const char *name = rig_name(), *token = fresh_token();
        pawl_outcome outcome;
        rig_expect(c.witness, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
        again = ask_cut(&c, ask_release(name, token), n, &outcome);
        bool held = rig_inspect(c.witness, name, token)->mine;
        if (outcome == PAWL_RELEASED) assert_false(held);
        if (outcome == PAWL_FAILED) assert_true(held);
        assert_true(outcome == PAWL_RELEASED || outcome == PAWL_FAILED || outcome == PAWL_UNKNOWN);
        unknown += outcome == PAWL_UNKNOWN;
    }
    assert_true(unknown > 3);
    cut_end(&c);
}

/* ---- Meanwhile somebody else was there ----------------------------------------------------- */

typedef struct robbery {
    const char *name, *token;
    unsigned times;
} robbery;

/* The item is another's before our change comes; once. */
static void rob(void *arg)
{
    robbery *r = arg;
    if (r->times++ == 0) rig_put(r->name, r->token, 7, 60);
}

static void nobody_elses_lease_is_released_or_renewed(void **state)
{
    (void)state;
    pawl_request (*const asks[])(const char *, const char *) = {ask_release, NULL};
    for (int i = 0; i < 2; i++) {
        cut c = cut_begin();
        robbery r = {.name = rig_name(), .token = fresh_token()};
        const char *mine = fresh_token();
        rig_expect(c.through, ask_acquire(r.name, mine, LONG_MS), PAWL_GRANTED);
        relay_before(c.relay, "ms ", rob, &r);
        pawl_request request = asks[i] ? asks[i](r.name, mine) : ask_renew(r.name, mine, LONG_MS);
        rig_expect(c.through, request, PAWL_NOT_OWNER);
        assert_int_equal(r.times, 1);
        assert_true(rig_inspect(c.witness, r.name, r.token)->mine);
        cut_end(&c);
    }
}

static void who_comes_second_to_a_free_lock_is_kept_out(void **state)
{
    (void)state;
    for (int was_there = 0; was_there < 2; was_there++) {
        cut c = cut_begin();
        robbery r = {.name = rig_name(), .token = fresh_token()};
        if (was_there) rig_put(r.name, NULL, 5, 60); /* free, with a fence */
        relay_before(c.relay, "ms ", rob, &r);
        rig_expect(c.through, ask_acquire(r.name, fresh_token(), LONG_MS), PAWL_BUSY);
        assert_int_equal(r.times, 1);
        assert_true(rig_inspect(c.witness, r.name, r.token)->mine);
        cut_end(&c);
    }
}

static void a_break_hits_nobody_who_came_meanwhile(void **state)
{
    (void)state;
    cut c = cut_begin();
    robbery r = {.name = rig_name(), .token = fresh_token()};
    uint64_t fence =
        rig_expect(c.witness, ask_acquire(r.name, fresh_token(), LONG_MS), PAWL_GRANTED)
            ->reply.fence;
    relay_before(c.relay, "ms ", rob, &r);
    rig_expect(c.through, ask_break(r.name, fence), PAWL_NOT_OWNER);
    assert_true(rig_inspect(c.witness, r.name, r.token)->mine);
    cut_end(&c);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

static void a_server_without_memory_grants_nothing(void **state)
{
    (void)state;
    cut c = cut_begin();
    const char *name = rig_name(), *token = fresh_token();
    relay_answer_instead(c.relay, "ms ", "SERVER_ERROR out of memory storing object\r\n");
    const seen_reply *r = rig_expect(c.through, ask_acquire(name, token, LONG_MS), PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_STORE_FULL);
    assert_non_null(strstr(r->text, "out of memory"));
    /* What the server says is a line for a terminal. */
    relay_answer_instead(c.relay, "ms ", "SERVER_ERROR out of \033[2Jmemory\r\n");
    r = rig_expect(c.through, ask_acquire(rig_name(), fresh_token(), LONG_MS), PAWL_FAILED);
    assert_non_null(strstr(r->text, "memory"));
    assert_null(strchr(r->text, '\033'));
    cut_end(&c);
}

/* The server may have dropped the item. */
static void a_renewal_that_was_refused_is_unknown(void **state)
{
    (void)state;
    cut c = cut_begin();
    const char *name = rig_name(), *token = fresh_token();
    rig_expect(c.through, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    relay_answer_instead(c.relay, "ms ", "SERVER_ERROR out of memory storing object\r\n");
    rig_expect(c.through, ask_renew(name, token, LONG_MS), PAWL_UNKNOWN);
    relay_answer_instead(c.relay, "ms ", "SERVER_ERROR out of memory storing object\r\n");
    rig_expect(c.through, ask_release(name, token), PAWL_UNKNOWN);
    cut_end(&c);
}

static void nonsense_ends_the_connection(void **state)
{
    static const char *const nonsense[] = {"HD c\r\n", "HD\r\n",  "VA x\r\n",  "+OK\r\n",
                                           "\r\n",     "HD c1\n", "STORED\r\n"};
    (void)state;
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        cut c = cut_begin();
        const char *name = rig_name();
        relay_answer_instead(c.relay, "ms ", nonsense[i]);
        const seen_reply *r =
            rig_expect(c.through, ask_acquire(name, fresh_token(), LONG_MS), PAWL_UNKNOWN);
        assert_int_equal(r->reply.err, PAWL_ERR_PROTOCOL);
        cut_end(&c);
    }
}

static void a_server_that_knows_no_meta_commands_is_refused(void **state)
{
    (void)state;
    relay *r = relay_start();
    store_address address = rig_address(relay_socket(r));
    relay_answer_instead(r, "stats", "STAT version 1.6.9\r\nSTAT time 1700000000\r\nEND\r\n");
    client *c = client_open(rig_loop(), &address, "old");
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_UNSUPPORTED);
    assert_non_null(strstr(link->text, "1.6.10"));
    client_close(c);
    relay_stop(r);
}

/* What the greeting meets: an answer to nothing that was asked, and the end of the connection. */
static void a_greeting_says_why_it_failed(void **state)
{
    (void)state;
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        relay *r = relay_start();
        store_address address = rig_address(relay_socket(r));
        if (is_cut)
            relay_cut_after(r, 0);
        else
            relay_answer_instead(r, "stats settings", "HD\r\n");
        client *c = client_open(rig_loop(), &address, "a");
        const seen_link *link = rig_await_refusal(c);
        assert_int_equal(link->err, is_cut ? PAWL_ERR_UNAVAILABLE : PAWL_ERR_PROTOCOL);
        if (is_cut) assert_non_null(strstr(link->text, "the server closed the connection"));
        client_close(c);
        relay_stop(r);
    }
}

/* ---- Late ---------------------------------------------------------------------------------- */

/* Its clock may have stood still: what it granted then may end early. */
static void a_grant_that_came_late_is_made_again(void **state)
{
    (void)state;
    cut c = cut_begin();
    const char *name = rig_name(), *token = fresh_token();
    relay_hold(c.relay, "ms ", 1100);
    rig_expect(c.through, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    assert_int_equal(relay_count(c.relay), 2);
    relay_hold(c.relay, "ms ", 1100);
    rig_expect(c.through, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(relay_count(c.relay), 2);
    cut_end(&c);
}

static void a_late_answer_is_read_as_nobody_elses(void **state)
{
    (void)state;
    cut c = cut_begin();
    const char *name = rig_name(), *token = fresh_token();
    relay_hold(c.relay, "ms ", 600);
    pawl_request request = ask_acquire(name, token, LONG_MS);
    request.answer_by = host_now() + INT64_C(200000000);
    rig_expect(c.through, request, PAWL_UNKNOWN);
    client_await_link(c.through, true);
    rig_expect(c.through, ask_inspect(rig_name(), NULL), PAWL_REPORTED);
    rig_expect(c.through, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    cut_end(&c);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_acquire_that_is_cut_is_never_told_wrong),
        cmocka_unit_test(a_release_that_is_cut_is_never_told_wrong),
        cmocka_unit_test(nobody_elses_lease_is_released_or_renewed),
        cmocka_unit_test(who_comes_second_to_a_free_lock_is_kept_out),
        cmocka_unit_test(a_break_hits_nobody_who_came_meanwhile),
        cmocka_unit_test(a_server_without_memory_grants_nothing),
        cmocka_unit_test(a_renewal_that_was_refused_is_unknown),
        cmocka_unit_test(nonsense_ends_the_connection),
        cmocka_unit_test(a_server_that_knows_no_meta_commands_is_refused),
        cmocka_unit_test(a_greeting_says_why_it_failed),
        cmocka_unit_test(a_grant_that_came_late_is_made_again),
        cmocka_unit_test(a_late_answer_is_read_as_nobody_elses),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
