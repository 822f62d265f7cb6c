/* SPDX-License-Identifier: MIT */
/*
 * The store's link to a real server: login, databases, hosts, and
 * everything that a server can do to its clients. It comes back by itself.
 */
#define _GNU_SOURCE
#include "link_stage.h"

#include "../../ports/free_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern const pawl_store_ops pawl_store_entry;

/* ---- Login ------------------------------------------------------------------------------ */

static void a_password_alone_is_the_default_users(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "ACL SETUSER default resetpass >open");
    s.address.password = "wrong";
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_AUTH), "refused the user or password");
    /* A request is refused for the same reason, and at once. */
    const seen_reply *a = expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_AUTH);
    says(a->text, "refused the user or password");
    rig_must(s.rig, "ACL SETUSER default >wrong"); /* now it is right */
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void no_password_where_one_is_wanted(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "ACL SETUSER default resetpass >open");
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_AUTH), "wants a password");
    client_close(c);
    end(&s);
}

static void a_user_that_is_disabled_while_a_lock_is_held(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_must(s.rig, "ACL SETUSER joe off");
    rig_must(s.rig, "CLIENT KILL USER joe");
    says(await_down(c, PAWL_ERR_AUTH), "user or password");
    rig_must(s.rig, "ACL SETUSER joe on");
    client_await_link(c, true);
    expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    client_close(c);
    end(&s);
}

/* ---- Databases, prefixes, hosts --------------------------------------------------- */

static void databases_and_prefixes_are_used(void **state)
{
    stage s = begin(state);
    add_option(&s.address, "db", "3");
    add_option(&s.address, "prefix", "team/locks-");
    client *c = client_up(s.loop, &s.address, "a"), *d = client_up(s.loop, &s.address, "b");
    const char *first = fresh_token(), *second = fresh_token();
    expect(c, ask_acquire("x", first, LONG_MS), PAWL_GRANTED);
    rig_must(s.rig, "SELECT 3");
    assert_string_equal(rig_text(s.rig, "GET team/locks-x"), first);
    rig_must(s.rig, "SELECT 0");
    assert_int_equal(rig_int(s.rig, "DBSIZE"), 0);
    expect(d, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    expect(c, ask_release("x", first), PAWL_RELEASED);
    (void)client_await_push(d, PAWL_PUSH_GRANT, second);
    client_close(c);
    client_close(d);
    end(&s);
}

static void a_database_that_is_not_there(void **state)
{
    stage s = begin(state);
    add_option(&s.address, "db", "99");
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_OPTION), "database");
    client_close(c);
    end(&s);
}

static void an_empty_prefix_meets_other_libraries_and_lists_no_records(void **state)
{
    stage s = begin(state);
    add_option(&s.address, "prefix", "");
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    rig_must(s.rig, "SET other-lock theirs PX 60000");
    expect(c, ask_acquire("other-lock", token, LONG_MS), PAWL_BUSY);
    expect(c, ask_acquire("mine", token, LONG_MS), PAWL_GRANTED);
    pawl_request list = ask_list("");
    uint64_t id = client_submit(c, &list);
    client_flush(c);
    assert_int_equal(client_await(c, id)->reply.outcome, PAWL_REPORTED);
    assert_int_equal(client_row_count(c, id), 2); /* {mine}:f is not among them */
    assert_non_null(client_row_named(c, id, "mine"));
    assert_true(client_row_named(c, id, "other-lock")->foreign);
    client_close(c);
    end(&s);
}

static void a_server_on_tcp_by_address_and_by_name(void **state)
{
    stage s = begin(state);
    char port[16];
    s.address.port = free_port();
    snprintf(port, sizeof(port), "%d", s.address.port);
    rig_must(s.rig, "CONFIG SET port %s", port);
    static const char *const hosts[] = {"127.0.0.1", "localhost"};
    s.address.scheme = "redis";
    s.address.path = "";
    for (int i = 0; i < 2; i++) {
        s.address.host = hosts[i];
        client *c = client_up(s.loop, &s.address, "a");
        lock_and_unlock(c);
        client_close(c);
    }
    rig_must(s.rig, "CONFIG SET port 0");
    end(&s);
}

static void hosts_that_are_not_there_are_named(void **state)
{
    stage s = begin(state);
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "redis",
                                .path = "",
                                .host = "127.0.0.1",
                                .port = free_port()};
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_UNAVAILABLE), "Connection refused");
    client_close(c);
    s.address.host = "no-such-host.invalid";
    c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_UNAVAILABLE), "cannot find the host");
    client_close(c);
    c = client_open(s.loop, &s.address, "a");
    client_close(c); /* while the name is being looked up */
    s.address = (store_address){
        .ops = &pawl_store_entry, .scheme = "redis+unix", .path = "/nowhere/redis.sock"};
    c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_UNAVAILABLE), "No such file");
    client_close(c);
    end(&s);
}

/* The server closes the connection of a subscriber who leaves too much unread. */
static void a_long_list_stays_below_the_output_limit(void **state)
{
    static const char fill[] =
        "for i = 1, 100 do redis.call('SET', 'pawl:l' .. i, 'x', 'PX', 600000) "
        "for j = 1, 100 do local token = string.format('%040d', j) "
        "redis.call('ZADD', '{pawl:l' .. i .. '}:q', j, token) "
        "redis.call('HSET', '{pawl:l' .. i .. '}:w', token, '1 99999999999999 60000 1 pawl:inbox:z "
        "' "
        ".. string.rep('o', 255)) end end";
    stage s = begin(state);
    rig_must(s.rig, "EVAL %s 0", fill);
    rig_must(s.rig, "CONFIG SET client-output-buffer-limit %s", "pubsub 1000000 0 0");
    client *c = client_up(s.loop, &s.address, "a");
    pawl_request list = ask_list("");
    uint64_t id = client_submit(c, &list);
    client_flush(c);
    assert_int_equal(client_await(c, id)->reply.outcome, PAWL_REPORTED);
    assert_int_equal(client_row_count(c, id), 100); /* each has 28 KB */
    assert_int_equal(client_link_count(c), 1);
    rig_must(s.rig, "CONFIG SET client-output-buffer-limit %s", "pubsub 33554432 8388608 60");
    client_close(c);
    end(&s);
}

/* ---- What a server does to its clients -------------------------------------------- */

static void a_killed_connection_is_made_again(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a"), *d = client_up(s.loop, &s.address, "b");
    const char *first = fresh_token(), *second = fresh_token();
    expect(c, ask_acquire("x", first, LONG_MS), PAWL_GRANTED);
    expect(d, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    rig_must(s.rig, "CLIENT KILL TYPE pubsub SKIPME yes"); /* who has subscribed is of that type */
    (void)await_down(c, PAWL_ERR_UNAVAILABLE);
    (void)await_down(d, PAWL_ERR_UNAVAILABLE);
    client_await_link(c, true);
    client_await_link(d, true);
    expect(d, ask_queue("x", second, LONG_MS), PAWL_QUEUED);
    expect(c, ask_release("x", first), PAWL_RELEASED);
    (void)client_await_push(d, PAWL_PUSH_GRANT, second);
    expect(d, ask_release("x", second), PAWL_RELEASED);
    client_close(c);
    client_close(d);
    end(&s);
}

static size_t count_words(const char *text, const char *word)
{
    size_t count = 0;
    for (; (text = strstr(text, word)) != NULL; text++) count++;
    return count;
}

/* Named, in RESP3, subscribed ("P"): so no `timeout` of the server closes it when it is idle. */
static void a_client_has_one_connection(void **state)
{
    stage s = begin(state);
    rig_unsubscribe(s.rig);
    client *c = client_up(s.loop, &s.address, "a");
    const char *list = rig_text(s.rig, "CLIENT LIST");
    assert_int_equal(count_words(list, "\n"), 2); /* the rig's own is the other one */
    const char *ours = strstr(list, "name=pawl:");
    assert_non_null(ours);
    says(ours, "flags=P");
    says(ours, "resp=3");
    says(ours, "sub=1");
    client_close(c);
    rig_listen(s.rig);
    end(&s);
}

static void a_server_that_lost_hello_is_told_in_a_sentence(void **state)
{
    static const char *const arguments[] = {"--rename-command", "HELLO", "", NULL};
    rig *old = rig_new(arguments); /* as a server before 6.0 answers */
    stage s = begin(state);
    s.address.path = redis_server_socket(old->server);
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_UNSUPPORTED), "pawl needs Redis 6.0 or newer");
    client_close(c);
    end(&s);
    rig_free(old);
}

static void a_forgotten_script_is_said_again(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    pawl_request steps[] = {ask_acquire("x", token, LONG_MS), ask_renew("x", token, LONG_MS),
                            ask_inspect("x", token), ask_release("x", token)};
    static const pawl_outcome outcomes[] = {PAWL_GRANTED, PAWL_CONFIRMED, PAWL_REPORTED,
                                            PAWL_RELEASED};
    for (int i = 0; i < 4; i++) {
        rig_must(s.rig, "SCRIPT FLUSH");
        expect(c, steps[i], outcomes[i]);
    }
    rig_must(s.rig, "SCRIPT FLUSH");
    expect(c, ask_list(""), PAWL_REPORTED);
    client_close(c);
    end(&s);
}

static void a_script_forgotten_again_and_again_costs_two_calls_each_time(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    for (int i = 0; i < 4; i++) { /* on one connection */
        rig_must(s.rig, "SCRIPT FLUSH");
        rig_must(s.rig, "CONFIG RESETSTAT");
        expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
        assert_int_equal(rig_calls(s.rig, "evalsha"), 1);
        assert_int_equal(rig_calls(s.rig, "eval"), 1);
    }
    assert_int_equal(client_link_count(c), 1);
    client_close(c);
    end(&s);
}

/* Rule 4: whatever becomes of the acquisition, the release behind it undoes it. */
static void a_release_behind_a_forgotten_acquisition_has_the_last_word(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    for (int known = 0; known < 2; known++) {
        const char *token = fresh_token();
        pawl_request acquire = ask_acquire("x", token, LONG_MS), release = ask_release("x", token);
        rig_must(s.rig, "SCRIPT FLUSH");
        if (known) rig_must(s.rig, "SCRIPT LOAD %s", pawl__redis_scripts[PAWL__REDIS_RELEASE].body);
        uint64_t first = client_submit(c, &acquire), second = client_submit(c, &release);
        client_flush(c);
        const seen_reply *a = client_await(c, first);
        (void)client_await(c, second);
        assert_int_equal(a->reply.outcome, PAWL_FAILED);
        assert_int_equal(pawl_err_class_of(a->reply.err), PAWL_CLASS_RETRY);
        assert_int_equal(rig_int(s.rig, "EXISTS pawl:x"), 0);
    }
    client_close(c);
    end(&s);
}

static void a_burst_that_the_server_does_not_know_is_said_again_once(void **state)
{
    enum { MANY = 2000 };
    static uint64_t ids[MANY];
    static char names[MANY][16];
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    rig_must(s.rig, "SCRIPT FLUSH");
    rig_must(s.rig, "CONFIG RESETSTAT");
    for (int i = 0; i < MANY; i++) {
        snprintf(names[i], sizeof(names[i]), "x%d", i);
        pawl_request request = ask_acquire(names[i], fresh_token(), LONG_MS);
        ids[i] = client_submit(c, &request);
    }
    client_flush(c);
    client_await_all(c);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(client_answer(c, ids[i])->reply.outcome, PAWL_GRANTED);
    assert_int_equal(rig_calls(s.rig, "eval"), 1); /* the body went over the wire once */
    client_close(c);
    end(&s);
}

static void a_busy_script_is_an_error_that_passes(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_must(s.rig, "CONFIG SET busy-reply-threshold 1");
    redisContext *busy = rig_connect(s.rig);
    int done = 0;
    redisAppendCommand(busy, "EVAL %s 0", "while true do end");
    while (!done) assert_int_equal(redisBufferWrite(busy, &done), REDIS_OK);
    while (rig_do(s.rig, "PING")->type != REDIS_REPLY_ERROR) continue; /* until it runs */
    const seen_reply *a = expect(c, ask_renew("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_STORE_BUSY);
    rig_must(s.rig, "SCRIPT KILL");
    redisFree(busy);
    while (rig_do(s.rig, "PING")->type == REDIS_REPLY_ERROR) continue; /* until it is dead */
    rig_must(s.rig, "CONFIG SET busy-reply-threshold 5000");
    expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    client_close(c);
    end(&s);
}

static void a_replica_is_said_to_be_one(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "REPLICAOF 127.0.0.1 1");
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_READONLY), "connect to the primary");
    rig_must(s.rig, "REPLICAOF NO ONE");
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void too_many_clients_is_an_error_that_passes(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "CONFIG SET maxclients 2"); /* the rig's own two */
    client *c = client_open(s.loop, &s.address, "a");
    says(await_down(c, PAWL_ERR_UNAVAILABLE), "maxclients");
    rig_must(s.rig, "CONFIG SET maxclients 1000");
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void words_in_the_inbox_that_are_not_ours_are_ignored(void **state)
{
    stage s = begin(state);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    rig_unsubscribe(s.rig);
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    const char *record = strdup(rig_text(s.rig, "GET {pawl:x}:f"));
    char *inbox = strstr(record, "pawl:inbox:");
    inbox[strcspn(inbox, " ")] = '\0';
    static const char *const words[] = {"", "z later version", "g x", "\r\n", "r other:x"};
    for (int i = 0; i < 5; i++)
        assert_int_equal(rig_int(s.rig, "PUBLISH %s %s", inbox, words[i]), 1);
    assert_int_equal(rig_int(s.rig, "PUBLISH %s %s", inbox, "r pawl:x"), 1);
    (void)client_await_push(c, PAWL_PUSH_RECHECK, NULL);
    assert_int_equal(client_push_count(c, PAWL_PUSH_RECHECK), 1);
    assert_int_equal(client_push_count(c, PAWL_PUSH_GRANT), 0);
    free((char *)record);
    client_close(c);
    end(&s);
}

/* ---- Loading: last, it restarts the server ---------------------------------------- */

static void a_loading_server_is_awaited(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "EVAL %s 0",
             "for i = 1, 3000 do redis.call('SET', 'filler' .. i, string.rep('x', 2000)) end");
    rig_must(s.rig, "SAVE");
    add_option(&s.address, "guard", "off");
    client *c = client_up(s.loop, &s.address, "a");
    redis_server_restart_to(s.rig->server, "Loading RDB");
    says(await_down(c, PAWL_ERR_LOADING), "loading");
    client_await_link(c, true);
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static int group_begin(void **state)
{
    static const char *const arguments[] = {
        "--key-load-delay", "500", "--loading-process-events-interval-bytes", "1024", "--bind",
        "127.0.0.1",        NULL};
    *state = rig_new(arguments);
    return 0;
}

static int group_end(void **state)
{
    rig_free(*state);
    return 0;
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_password_alone_is_the_default_users),
        cmocka_unit_test(no_password_where_one_is_wanted),
        cmocka_unit_test(a_user_that_is_disabled_while_a_lock_is_held),
        cmocka_unit_test(databases_and_prefixes_are_used),
        cmocka_unit_test(a_database_that_is_not_there),
        cmocka_unit_test(an_empty_prefix_meets_other_libraries_and_lists_no_records),
        cmocka_unit_test(a_server_on_tcp_by_address_and_by_name),
        cmocka_unit_test(hosts_that_are_not_there_are_named),
        cmocka_unit_test(a_long_list_stays_below_the_output_limit),
        cmocka_unit_test(a_killed_connection_is_made_again),
        cmocka_unit_test(a_client_has_one_connection),
        cmocka_unit_test(a_server_that_lost_hello_is_told_in_a_sentence),
        cmocka_unit_test(a_forgotten_script_is_said_again),
        cmocka_unit_test(a_script_forgotten_again_and_again_costs_two_calls_each_time),
        cmocka_unit_test(a_release_behind_a_forgotten_acquisition_has_the_last_word),
        cmocka_unit_test(a_burst_that_the_server_does_not_know_is_said_again_once),
        cmocka_unit_test(a_busy_script_is_an_error_that_passes),
        cmocka_unit_test(a_replica_is_said_to_be_one),
        cmocka_unit_test(too_many_clients_is_an_error_that_passes),
        cmocka_unit_test(words_in_the_inbox_that_are_not_ours_are_ignored),
        cmocka_unit_test(a_loading_server_is_awaited),
    };
    return rig_run("the link to redis", cases, group_begin, group_end);
}
