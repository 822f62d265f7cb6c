/* SPDX-License-Identifier: MIT */
/* Items that the server forgets, items of other programs, and fences across both. */
#define _GNU_SOURCE
#include "relay.h"

#include "../../ports/free_port.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define GUARD_MS      3000 /* and the ttls: long enough for a slow machine to ask twice */
#define GUARD_TEXT    "3000"
#define GUARD_LONG_MS (GUARD_MS + 4000) /* nobody is told more: 2 s for each of two clocks */
#define FOR_EVER_MS   60000             /* whoever is not granted it by then never will be */

/* Asks until it is granted; how long that took, in ms. */
static int64_t await_grant(client *c, const char *name, const char *token, int64_t ttl_ms)
{
    pawl_request request = ask_acquire(name, token, ttl_ms);
    int64_t begun = host_now();
    while (client_ask(c, &request)->reply.outcome != PAWL_GRANTED) {
        assert_true(host_now() - begun < FOR_EVER_MS * INT64_C(1000000));
        test_loop_for(client_loop(c), 20);
    }
    return (host_now() - begun) / 1000000;
}

/* ---- The guard ----------------------------------------------------------------------------- */

static void flush(void *arg)
{
    (void)arg;
    rig_command("OK", "flush_all", NULL);
}

/* One story, because each wait takes seconds. */
static void a_server_that_may_have_forgotten_grants_nothing_until_ttls_are_over(void **state)
{
    (void)state;
    store_address address = rig_guarded(GUARD_TEXT);
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    const char *name = rig_name(), *first = fresh_token(), *second = fresh_token();

    /* Found empty: perhaps it was restarted. */
    const seen_reply *r = rig_expect(a, ask_acquire(name, first, GUARD_MS), PAWL_BUSY);
    assert_non_null(strstr(r->text, "may have forgotten"));
    assert_in_range(r->reply.holder_ms, 1, GUARD_LONG_MS);
    assert_true(await_grant(a, name, first, GUARD_MS) >= GUARD_MS);
    uint64_t fence = rig_expect(a, ask_renew(name, first, GUARD_MS), PAWL_CONFIRMED)->reply.fence;
    rig_expect(b, ask_acquire(name, second, GUARD_MS), PAWL_BUSY);

    /* Flushed while it is held: the holder is told, and the other does not get it at once. */
    flush(NULL);
    rig_expect(b, ask_acquire(name, second, GUARD_MS), PAWL_BUSY);
    rig_expect(a, ask_renew(name, first, GUARD_MS), PAWL_NOT_OWNER);
    r = rig_expect(b, ask_queue(name, second, GUARD_MS), PAWL_QUEUED);
    assert_in_range(r->reply.holder_ms, 1, GUARD_LONG_MS);

    /* And who waits gets it by itself when that is over. */
    for (int64_t begun = host_now();; test_loop_for(rig_loop(), 20)) {
        pawl_request again = ask_queue(name, second, GUARD_MS);
        r = client_ask(b, &again);
        if (r->reply.outcome == PAWL_GRANTED) break;
        assert_int_equal(r->reply.outcome, PAWL_QUEUED);
        assert_true(host_now() - begun < FOR_EVER_MS * INT64_C(1000000));
    }
    assert_true(r->reply.fence > fence);

    memcached_server_restart(rig_server());
    client_await_link(a, false);
    client_await_link(a, true);
    rig_expect(a, ask_acquire(name, first, GUARD_MS), PAWL_BUSY);
    client_close(a);
    client_close(b);
}

/* Between the look and the grant everything is forgotten: then there is no grant. */
static void a_flush_in_the_middle_of_a_grant_undoes_it(void **state)
{
    (void)state;
    relay *r = relay_start();
    store_address address = rig_guarded(GUARD_TEXT);
    address.path = relay_socket(r);
    client *c = client_up(rig_loop(), &address, "through");
    const char *name = rig_name(), *earlier = rig_name(), *token = fresh_token();
    await_grant(c, earlier, fresh_token(), GUARD_MS);
    relay_before(r, "ME", flush, NULL);
    rig_expect(c, ask_acquire(name, token, GUARD_MS), PAWL_BUSY);
    assert_true(relay_count(r) >= 1);
    assert_false(rig_inspect(c, name, token)->held);
    client_close(c);
    relay_stop(r);
}

static void a_lease_that_outlives_the_guard_is_refused(void **state)
{
    (void)state;
    store_address address = rig_guarded(GUARD_TEXT);
    client *c = client_up(rig_loop(), &address, "c");
    const char *name = rig_name(), *token = fresh_token();
    const seen_reply *r = rig_expect(c, ask_acquire(name, token, GUARD_MS + 1), PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_OPTION);
    assert_non_null(strstr(r->text, "guard_ms"));
    rig_expect(c, ask_renew(name, token, GUARD_MS + 1), PAWL_FAILED);
    client_close(c);
}

static void without_a_guard_a_flush_gives_a_second_holder(void **state)
{
    (void)state;
    store_address address = rig_address(NULL);
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    const char *name = rig_name(), *token = fresh_token();
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    flush(NULL);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
    assert_true(rig_inspect(a, name, NULL)->fence > fence - 3000000); /* by the clock again */
    client_close(a);
    client_close(b);
}

/* ---- Fences -------------------------------------------------------------------------------- */

static void a_fence_grows_although_its_item_is_gone(void **state)
{
    (void)state;
    store_address address = rig_address(NULL);
    client *c = client_up(rig_loop(), &address, "c");
    const char *name = rig_name();
    uint64_t last = 0;
    for (int i = 0; i < 20; i++) {
        const char *token = fresh_token();
        uint64_t fence =
            rig_expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
        assert_true(fence > last);
        last = fence;
        rig_remove(name); /* evicted */
        rig_expect(c, ask_renew(name, token, LONG_MS), PAWL_NOT_OWNER);
        rig_expect(c, ask_release(name, token), PAWL_NOT_OWNER);
    }
    client_close(c);
}

static void a_fence_continues_the_one_in_the_item(void **state)
{
    (void)state;
    store_address address = rig_address(NULL);
    client *c = client_up(rig_loop(), &address, "c");
    const char *name = rig_name(), *full = rig_name();
    uint64_t ahead = UINT64_C(1) << 52; /* of any clock */
    rig_put(name, NULL, ahead, 60);
    assert_int_equal(
        rig_expect(c, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED)->reply.fence,
        ahead + 1);
    rig_put(full, NULL, (UINT64_C(1) << 53) - 1, 60); /* none is left that all can read */
    rig_expect(c, ask_acquire(full, fresh_token(), LONG_MS), PAWL_FAILED);
    client_close(c);
}

/* ---- Strangers ----------------------------------------------------------------------------- */

static void put_raw(const char *name, const char *value)
{
    char command[300];
    snprintf(command, sizeof command, "ms %s %zu T60", rig_key(name), strlen(value));
    rig_command("HD", command, value);
}

static void what_is_not_pawls_is_left_alone(void **state)
{
    static const char *const values[] = {
        "1",
        "",
        "pawl1",
        "pawl1 h 1 - 6 0\nlock-x",
        "pawl1 x 1 - 0 0\n",
        "pawl2 h 1 0123456789012345678901234567890123456789 1 0\nx",
        "pawl1 h 99999999999999999999999 0123456789012345678901234567890123456789 1 0\nx",
        "pawl1 h 1 0123456789012345678901234567890123456789a 1 0\nx",
        "pawl1 f 1 - 1 0 0\nx",
        "pawl1 f 1 - 999999999999999999999 0\nx"};
    (void)state;
    store_address address = rig_address(NULL);
    client *c = client_up(rig_loop(), &address, "c");
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        const char *name = rig_name(), *token = fresh_token();
        put_raw(name, values[i]);
        rig_expect(c, ask_acquire(name, token, LONG_MS), PAWL_BUSY);
        const pawl_info *info = rig_inspect(c, name, token);
        assert_true(info->held && info->foreign && !info->mine);
        rig_expect(c, ask_release(name, token), PAWL_NOT_OWNER);
        rig_expect(c, ask_break(name, 1), PAWL_NOT_OWNER);
        assert_true(rig_inspect(c, name, token)->foreign);
    }
    client_close(c);
}

static void two_names_of_one_key_are_told_apart(void **state)
{
    (void)state;
    store_address address = rig_address(NULL);
    client *c = client_up(rig_loop(), &address, "c");
    const char *name = rig_name();
    put_raw(name, "pawl1 f 1 - 5 0\nother");
    const seen_reply *r = rig_expect(c, ask_acquire(name, fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(r->reply.err, PAWL_ERR_UNSUPPORTED);
    client_close(c);
}

/* ---- A login ------------------------------------------------------------------------------- */

static void a_login_is_right_or_wrong(void **state)
{
    (void)state;
    char file[200];
    snprintf(file, sizeof file, "%s-users", memcached_server_socket(rig_server()));
    FILE *users = fopen(file, "w");
    CHECK(users && fputs("anna:open-sesame\n", users) >= 0 && fclose(users) == 0);
    memcached_server *server = memcached_server_start((const char *const[]){"-Y", file, NULL});
    store_address address = rig_address(memcached_server_socket(server));
    client *nobody = client_open(rig_loop(), &address, "nobody");
    assert_int_equal(rig_await_refusal(nobody)->err, PAWL_ERR_AUTH);
    address.user = "anna";
    address.password = "wrong";
    client *wrong = client_open(rig_loop(), &address, "wrong");
    assert_int_equal(rig_await_refusal(wrong)->err, PAWL_ERR_AUTH);
    assert_null(strstr(rig_await_refusal(wrong)->text, "wrong"));
    address.password = "open-sesame";
    client *right = client_up(rig_loop(), &address, "right");
    rig_expect(right, ask_acquire(rig_name(), fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(nobody);
    client_close(wrong);
    client_close(right);
    memcached_server_stop(server);
}

/* It would keep them as a value of "pawl-login", for all to read. */
static void a_server_without_logins_is_not_told_user_and_password(void **state)
{
    size_t count;
    (void)state;
    store_address address = rig_address(memcached_server_socket(rig_server()));
    address.user = "anna";
    address.password = "open-sesame";
    client *c = client_up(rig_loop(), &address, "c");
    rig_command("EN", "mg pawl-login v", NULL);
    assert_non_null(strstr(client_warning(c, &count), "wants no login"));
    rig_lock_and_unlock(c);
    client_close(c);
}

/* ---- A server that does not answer the greeting of TCP ------------------------------------- */

static void the_time_to_connect_ends(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int before[8], port = free_port(), mute = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)state;
    CHECK(port && mute >= 0);
    at.sin_port = htons((uint16_t)port);
    CHECK(bind(mute, (const struct sockaddr *)&at, sizeof at) == 0 && listen(mute, 0) == 0);
    for (size_t i = 0; i < 8; i++) { /* after one or two nobody is let in any more */
        before[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        CHECK(before[i] >= 0);
        (void)connect(before[i], (const struct sockaddr *)&at, sizeof at);
    }
    store_address address = rig_address(NULL);
    address.scheme = "memcached";
    address.path = "";
    address.host = "127.0.0.1";
    address.port = port;
    address.options[address.option_count++] =
        (pawl_url_option){.key = "connect_timeout_ms", .value = "100"};
    client *c = client_open(rig_loop(), &address, "c");
    assert_int_equal(rig_await_refusal(c)->err, PAWL_ERR_UNAVAILABLE);
    client_close(c);
    for (size_t i = 0; i < 8; i++) close(before[i]);
    close(mute);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_server_that_may_have_forgotten_grants_nothing_until_ttls_are_over),
        cmocka_unit_test(a_flush_in_the_middle_of_a_grant_undoes_it),
        cmocka_unit_test(a_lease_that_outlives_the_guard_is_refused),
        cmocka_unit_test(without_a_guard_a_flush_gives_a_second_holder),
        cmocka_unit_test(a_fence_grows_although_its_item_is_gone),
        cmocka_unit_test(a_fence_continues_the_one_in_the_item),
        cmocka_unit_test(what_is_not_pawls_is_left_alone),
        cmocka_unit_test(two_names_of_one_key_are_told_apart),
        cmocka_unit_test(a_login_is_right_or_wrong),
        cmocka_unit_test(a_server_without_logins_is_not_told_user_and_password),
        cmocka_unit_test(the_time_to_connect_ends),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
