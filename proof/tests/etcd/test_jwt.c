/* SPDX-License-Identifier: MIT */
/* Logins that say of which state of the users they are: each change of the users makes them old. */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/temp_dir.h"

#include <stdio.h>

static char *dir; /* of the server's secret */

static void a_login_that_is_older_than_the_users_is_made_again(void **state)
{
    store_address address = rig_address();
    const char *name = rig_name(), *token = fresh_token(), *waiter = fresh_token();
    (void)state;
    rig_demand_login();
    address.user = "root";
    address.password = "secret";
    client *a = client_up(rig_loop(), &address, "a"), *b = client_up(rig_loop(), &address, "b");
    uint64_t fence = rig_expect(a, ask_acquire(name, token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_command_as_root("/v3/auth/user/add", "{\"name\":\"new\",\"password\":\"x\"}");
    const seen_reply *r = rig_expect(a, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(r->reply.fence, fence);
    rig_expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    rig_command_as_root("/v3/auth/user/delete", "{\"name\":\"new\"}");
    rig_expect(a, ask_release(name, token), PAWL_RELEASED);
    client_await_push(b, PAWL_PUSH_GRANT, waiter);
    assert_int_equal(client_link_count(a), 1); /* nobody has noticed */
    assert_int_equal(client_link_count(b), 1);
    rig_expect(b, ask_release(name, waiter), PAWL_RELEASED);
    client_close(a);
    client_close(b);
}

static int begin(void **state)
{
    static char how[400];
    const char *secret = "a secret of the tests alone, long enough for HMAC-SHA256";
    static const char *const arguments[] = {"--auth-token", how, NULL};
    char path[300];
    (void)state;
    dir = temp_dir_new("pawl-etcd-jwt");
    snprintf(path, sizeof path, "%s/secret", dir);
    FILE *file = fopen(path, "we");
    CHECK(file && fputs(secret, file) >= 0 && fclose(file) == 0);
    snprintf(how, sizeof how, "jwt,sign-method=HS256,priv-key=%s,ttl=10m", path);
    return rig_begin_one(arguments, false);
}

static int end(void **state)
{
    int err = rig_end(state);
    temp_dir_free(dir);
    return err;
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_login_that_is_older_than_the_users_is_made_again),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, begin, end);
}
