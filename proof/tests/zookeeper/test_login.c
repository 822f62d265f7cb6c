/* SPDX-License-Identifier: MIT */
/* A server that serves nobody without a login of the scheme digest. */
#define _GNU_SOURCE
#include "rig.h"

#include <string.h>

static int begin(void **state)
{
    (void)state;
    return rig_begin_set("enforce.auth.enabled=true\nenforce.auth.schemes=digest\n");
}

static client *up_with_login(const char *owner)
{
    store_address address = rig_address();
    address.user = "u";
    address.password = "p";
    return client_up(rig_loop(), &address, owner);
}

static void who_has_a_login_is_served(void **state)
{
    client *a = up_with_login("a"), *b = up_with_login("b");
    const char *name = rig_name(), *token = fresh_token(), *waiter = fresh_token();
    (void)state;
    rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waiter);
    client_close(a);
    client_close(b);
}

static void who_has_none_is_told_so(void **state)
{
    store_address address = rig_address();
    client *c = client_open(rig_loop(), &address, "c");
    (void)state;
    const seen_link *link = rig_await_refusal(c);
    assert_int_equal(link->err, PAWL_ERR_AUTH);
    assert_non_null(strstr(link->text, "demands a login"));
    client_close(c);
}

/* Its session goes on at the server, and is entered again with the login. */
static void a_login_is_shown_again_after_a_restart(void **state)
{
    client *a = up_with_login("a");
    const char *name = rig_name(), *token = fresh_token();
    (void)state;
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    zookeeper_server_restart(rig_server(), 0);
    const seen_reply *r = rig_ask_until_known(a, ask_acquire(name, token, LONG_MS));
    assert_int_equal(r->reply.outcome, PAWL_GRANTED);
    assert_true(r->reply.fence >= fence); /* a slow start may have ended it */
    client_close(a);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(who_has_a_login_is_served),
        cmocka_unit_test(who_has_none_is_told_so),
        cmocka_unit_test(a_login_is_shown_again_after_a_restart),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, rig_end);
}
