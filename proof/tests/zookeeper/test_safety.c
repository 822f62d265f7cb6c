/* SPDX-License-Identifier: MIT */
/* What lost answers, ended sessions, dead holders and strangers do to locks on one server. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_store.h"
#include "../../ports/free_port.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Longer than a server of the tests may need to start, and the session of such a lease. */
#define AWAY_MS         150000
#define AWAY_SESSION_MS "240000"

static size_t waiters_of(client *c, const char *name)
{
    pawl_request request = ask_inspect(name, NULL);
    const seen_reply *r = client_ask(c, &request);
    CHECK(r->reply.outcome == PAWL_REPORTED);
    return client_row(c, r->reply.id, 0)->waiter_count;
}

/* ---- Nodes that end before their time -------------------------------------------------------- */

static void a_node_that_a_stranger_deletes_is_lost_and_told(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_delete_all(name);
    assert_string_equal(client_await_push(a, PAWL_PUSH_RECHECK, NULL)->push.name, name);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(a, ask_release(name, token), PAWL_NOT_OWNER);
    const seen_reply *next = rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    assert_true(next->reply.fence > fence);
    client_close(a);
    client_close(b);
}

/* The client has another session then; its old locks are not taken for its own. */
/* Its link was up when it had told so much: it went down after that, and is up again. What happens
 * meanwhile may take longer than both. */
typedef struct comeback {
    client *client;
    size_t told;
} comeback;

static bool is_back(void *arg)
{
    const comeback *it = arg;
    size_t count = client_link_count(it->client);
    return count > it->told && client_link(it->client, count - 1)->up;
}

static void await_comeback(client *c, size_t told)
{
    comeback it = {.client = c, .told = told};
    test_loop_until(rig_loop(), is_back, &it, "the link to come back");
}

static void a_session_that_the_servers_end_takes_its_locks_and_tells(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *token = fresh_token(), *waiter = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    size_t told = client_link_count(a);
    rig_end_session(a);
    assert_true(client_await_push(b, PAWL_PUSH_GRANT, waiter)->push.fence > fence);
    await_comeback(a, told);
    assert_string_equal(client_await_push(a, PAWL_PUSH_RECHECK, NULL)->push.name, name);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_BUSY);
    client_close(a);
    client_close(b);
}

/* Its session lives for 40 s more, its lease does not. */
static void of_a_killed_process_the_lock_ends_with_its_ttl(void **state)
{
    client *b = rig_up("b");
    const char *name = rig_name();
    (void)state;
    int64_t start = rig_hold_and_die(b, "40000", ask_acquire(name, fresh_token(), 1500));
    rig_acquire_soon(b, name, fresh_token());
    assert_true(host_now() - start >= INT64_C(1500000000));
    assert_true(host_now() - start < INT64_C(30000000000));
    client_close(b);
}

/* A lease that could be longer than its session does not live in it. */
static void a_lock_that_is_longer_than_the_session_outlives_it(void **state)
{
    store_address address = rig_address();
    address.options[0] = (pawl_url_option){.key = "session_timeout_ms", .value = "4000"};
    address.option_count = 1;
    client *a = client_up(rig_loop(), &address, "a"), *b = rig_up("b");
    const char *longer = rig_name(), *shorter = rig_name(), *token = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(longer, token, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_acquire(shorter, fresh_token(), 3000), PAWL_GRANTED);
    size_t told = client_link_count(a);
    rig_end_session(a);
    rig_acquire_soon(b, shorter, fresh_token());
    rig_expect(b, ask_acquire(longer, fresh_token(), LONG_MS), PAWL_BUSY);
    await_comeback(a, told);
    rig_expect(a, ask_renew(longer, token, LONG_MS), PAWL_CONFIRMED);
    rig_expect(a, ask_release(longer, token), PAWL_RELEASED);
    client_close(a);
    client_close(b);
}

/* ---- Answers that are lost ------------------------------------------------------------------- */

/* The server gets the request, and its answer finds nobody. */
static void ask_in_vain(client *c, pawl_request request)
{
    zookeeper_server_pause(rig_server(), 0);
    request.answer_by = host_now() + INT64_C(200000000);
    assert_int_equal(client_ask(c, &request)->reply.outcome, PAWL_UNKNOWN);
    zookeeper_server_resume(rig_server(), 0);
    client_await_link(c, true);
}

static void a_node_whose_creation_was_not_answered_is_found_again(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    ask_in_vain(a, ask_queue(name, token, LONG_MS));
    const seen_reply *r = rig_ask_until_known(a, ask_queue(name, token, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    uint64_t fence = r->reply.fence;
    r = rig_ask_until_known(a, ask_queue(name, token, LONG_MS));
    assert_int_equal(r->reply.fence, fence);
    assert_null(strchr(rig_children(name), ' ')); /* one node, not two */
    assert_int_equal(waiters_of(a, name), 0);
    assert_int_equal(rig_ask_until_known(a, ask_release(name, token))->reply.outcome,
                     PAWL_RELEASED);
    assert_string_equal(rig_children(name), "");
    client_close(a);
    client_close(b);
}

static void a_release_undoes_a_creation_that_was_not_answered(void **state)
{
    client *a = rig_up("a");
    (void)state;
    for (int i = 0; i < 3; i++) {
        const char *name = rig_name(), *token = fresh_token();
        ask_in_vain(a, ask_queue(name, token, LONG_MS));
        pawl_outcome outcome = rig_ask_until_known(a, ask_release(name, token))->reply.outcome;
        assert_true(outcome == PAWL_RELEASED || outcome == PAWL_NOT_OWNER);
        assert_string_equal(rig_children(name), "");
    }
    client_close(a);
}

/* A JVM on a busy machine may be away for longer than LONG_MS: nothing here ends by its time. */
static void a_turn_that_came_while_the_server_was_away_is_told(void **state)
{
    store_address address = rig_address();
    address.options[0] = (pawl_url_option){.key = "session_timeout_ms", .value = AWAY_SESSION_MS};
    address.option_count = 1;
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    const char *name = rig_name(), *held = fresh_token(), *waiter = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, held, AWAY_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, waiter, AWAY_MS), PAWL_QUEUED);
    zookeeper_server_kill(rig_server(), 0);
    client_await_link(b, false);
    zookeeper_server_restart(rig_server(), 0);
    client_await_link(a, true);
    client_await_link(b, true);
    assert_int_equal(rig_ask_until_known(a, ask_release(name, held))->reply.outcome, PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waiter);
    client_close(a);
    client_close(b);
}

/* ---- Who waits ------------------------------------------------------------------------------- */

static void a_waiter_whose_place_is_over_gets_nothing(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b"), *c = rig_up("c");
    const char *name = rig_name(), *held = fresh_token(), *over = fresh_token();
    const char *lives = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, over, 100), PAWL_QUEUED);
    rig_expect(c, ask_queue(name, lives, LONG_MS), PAWL_QUEUED);
    while (waiters_of(a, name) == 2) test_loop_for(rig_loop(), 20);
    rig_expect(a, ask_release(name, held), PAWL_RELEASED);
    client_await_push(c, PAWL_PUSH_GRANT, lives);
    assert_null(client_pushed(b, PAWL_PUSH_GRANT, over));
    rig_expect(b, ask_renew(name, over, LONG_MS), PAWL_NOT_OWNER);
    client_close(a);
    client_close(b);
    client_close(c);
}

/* ---- Strangers ----------------------------------------------------------------------------- */

static void who_is_not_pawl_is_excluded_and_never_touched(void **state)
{
    client *a = rig_up("a");
    const char *name = rig_name(), *waiter = fresh_token();
    (void)state;
    rig_create(name, "_c_5f9e2a0c-0f1e-4a0b-9d53-0a6a5a8f0b11-lock-", "10.0.0.1");
    const seen_reply *r = rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    assert_string_equal(r->text, "somebody who is not pawl");
    assert_int_equal(r->reply.holder_ms, -1);
    r = rig_expect(a, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_break(name, r->reply.fence), PAWL_NOT_OWNER);
    pawl_request look = ask_inspect(name, NULL);
    const pawl_info *info = client_row(a, client_ask(a, &look)->reply.id, 0);
    assert_true(info->held && info->foreign);
    rig_delete_all(name); /* ours as well */
    assert_string_equal(client_await_push(a, PAWL_PUSH_RECHECK, NULL)->push.name, name);
    rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a);
}

/* ---- The doctor, and logins ------------------------------------------------------------------ */

static void the_doctor_names_what_endangers_locks(void **state)
{
    client *a = rig_up("a");
    pawl_request doctor = ask_doctor();
    store_address address = rig_address();
    (void)state;
    rig_ask_doctor(a);
    assert_int_equal(client_severity(a, "session"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(a, "bounds"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(a, "members"), PAWL_SEVERITY_WARNING); /* there is one */
    assert_int_equal(client_severity(a, "fence"), PAWL_SEVERITY_NOTE);
    assert_non_null(strstr(client_found(a), "sessions of at most 600000 ms"));
    client_close(a);
    address.options[0] = (pawl_url_option){.key = "session_timeout_ms", .value = "100"};
    address.option_count = 1;
    a = client_up(rig_loop(), &address, "a");
    assert_int_equal(client_ask(a, &doctor)->reply.outcome, PAWL_REPORTED);
    assert_int_equal(client_severity(a, "session"), PAWL_SEVERITY_WARNING); /* 400 ms */
    assert_int_equal(client_severity(a, "bounds"), PAWL_SEVERITY_NOTE);
    client_close(a);
}

static void what_a_login_has_made_is_for_that_login_alone(void **state)
{
    store_address address = rig_address();
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    address.path = "/secret";
    address.user = "u";
    address.password = "right";
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    address.password = "wrong";
    client *b = client_open(rig_loop(), &address, "b");
    assert_int_equal(rig_await_refusal(b)->err, PAWL_ERR_PERMISSION);
    client_close(b);
    client_close(a);
}

static void is_refused(client *c, pawl_request request)
{
    const seen_reply *r = rig_expect(c, request, PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_PERMISSION);
    assert_int_equal(client_row_count(c, r->reply.id), 0);
}

/* Nobody takes a store for empty because he may not look into it. */
static void what_may_not_be_read_is_told_so(void **state)
{
    store_address address = rig_address();
    (void)state;
    address.path = "/hidden";
    client *a = client_up(rig_loop(), &address, "a");
    rig_expect(a, ask_acquire("name", fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_hide("/hidden/name", true);
    is_refused(a, ask_inspect("name", NULL));
    is_refused(a, ask_list(""));
    rig_hide("/hidden/name", false);
    rig_hide("/hidden", true);
    is_refused(a, ask_list(""));
    rig_hide("/hidden", false);
    const seen_reply *r = rig_expect(a, ask_list(""), PAWL_REPORTED);
    assert_int_equal(client_row_count(a, r->reply.id), 1);
    client_close(a);
}

/* Its next connection may be descriptor 0, which is one like any other. */
static void a_program_without_a_standard_input_is_served(void **state)
{
    client *a = rig_up("a"), *b = rig_up("b");
    const char *name = rig_name(), *other = rig_name();
    const pawl__zk_handle *handle = &client_store(a)->handle;
    size_t told = client_link_count(a);
    int input = dup(STDIN_FILENO);
    (void)state;
    assert_true(input > STDERR_FILENO);
    close(STDIN_FILENO);
    assert_int_equal(shutdown(handle->fd, SHUT_RDWR), 0);
    await_comeback(a, told);
    assert_int_equal(handle->fd, STDIN_FILENO);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_queue(name, fresh_token(), LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_acquire(other, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(a); /* it gives its place up, waits for that answer, and ends its session */
    assert_int_equal(waiters_of(b, name), 0);
    rig_expect(b, ask_acquire(other, fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(b);
    assert_int_equal(dup2(input, STDIN_FILENO), STDIN_FILENO);
    close(input);
}

/* Clients mix the servers, so half of these begin at the one that is not there. */
static void a_server_that_is_not_there_is_no_answer_beside_one_that_is(void **state)
{
    char hosts[64];
    (void)state;
    store_address address = rig_address();
    snprintf(hosts, sizeof(hosts), "127.0.0.1:1,127.0.0.1:%d", address.port);
    address.host = hosts;
    address.port = 0;
    for (int i = 0; i < 16; i++) {
        client *c = client_open(rig_loop(), &address, "a");
        client_await_link(c, true);
        for (size_t j = 0; j < client_link_count(c); j++) assert_true(client_link(c, j)->up);
        client_close(c);
    }
}

/* It accepts and says nothing. Half of the clients come to it first. */
static void a_mute_server_is_no_answer_beside_one_that_speaks(void **state)
{
    enum { CLIENTS_MAX = 40 };
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int port = free_port(), mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    char hosts[64];
    bool was_there = false;
    (void)state;
    at.sin_port = htons((uint16_t)port);
    CHECK(port && mute >= 0 && bind(mute, (const struct sockaddr *)&at, sizeof at) == 0 &&
          listen(mute, CLIENTS_MAX) == 0);
    store_address address = rig_address();
    snprintf(hosts, sizeof hosts, "127.0.0.1:%d,127.0.0.1:%d", port, address.port);
    address.host = hosts;
    address.port = 0;
    for (int i = 0; i < CLIENTS_MAX && !was_there; i++) {
        client *c = client_open(rig_loop(), &address, "a");
        client_await_link(c, true);
        for (size_t j = 0; j < client_link_count(c); j++) assert_true(client_link(c, j)->up);
        client_close(c);
        int accepted = accept(mute, NULL, NULL);
        was_there = accepted >= 0;
        if (was_there) close(accepted);
    }
    assert_true(was_there);
    close(mute);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_server_that_is_not_there_is_no_answer_beside_one_that_is),
        cmocka_unit_test(a_mute_server_is_no_answer_beside_one_that_speaks),
        cmocka_unit_test(a_node_that_a_stranger_deletes_is_lost_and_told),
        cmocka_unit_test(a_session_that_the_servers_end_takes_its_locks_and_tells),
        cmocka_unit_test(of_a_killed_process_the_lock_ends_with_its_ttl),
        cmocka_unit_test(a_lock_that_is_longer_than_the_session_outlives_it),
        cmocka_unit_test(a_node_whose_creation_was_not_answered_is_found_again),
        cmocka_unit_test(a_release_undoes_a_creation_that_was_not_answered),
        cmocka_unit_test(a_turn_that_came_while_the_server_was_away_is_told),
        cmocka_unit_test(a_waiter_whose_place_is_over_gets_nothing),
        cmocka_unit_test(who_is_not_pawl_is_excluded_and_never_touched),
        cmocka_unit_test(the_doctor_names_what_endangers_locks),
        cmocka_unit_test(what_a_login_has_made_is_for_that_login_alone),
        cmocka_unit_test(what_may_not_be_read_is_told_so),
        cmocka_unit_test(a_program_without_a_standard_input_is_served),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
