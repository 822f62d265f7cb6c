/* SPDX-License-Identifier: MIT */
/* What the doctor finds on real servers. */
#define _GNU_SOURCE
#include "rig.h"

#include <stdio.h>
#include <string.h>

static client *examine(store_address address)
{
    client *c = client_up(rig_loop(), &address, "doctor");
    rig_ask_doctor(c);
    return c;
}

static void a_server_that_may_evict_is_warned_of(void **state)
{
    (void)state;
    size_t count;
    client *c = examine(rig_guarded("30000"));
    assert_int_equal(client_severity(c, "eviction"), PAWL_SEVERITY_WARNING);
    assert_int_equal(client_severity(c, "memory"), PAWL_SEVERITY_WARNING);
    assert_int_equal(client_severity(c, "guard"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(c, "clock"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(c, "restart"), PAWL_SEVERITY_NOTE);
    assert_non_null(strstr(client_warning(c, &count), "-M")); /* without being asked, once */
    assert_int_equal(count, 1);
    client_close(c);
    c = examine(rig_address(NULL));
    assert_int_equal(client_severity(c, "guard"), PAWL_SEVERITY_WARNING);
    client_close(c);
}

static void a_flush_is_told(void **state)
{
    (void)state;
    rig_command("OK", "flush_all", NULL);
    client *c = examine(rig_address(NULL));
    assert_int_equal(client_severity(c, "flush"), PAWL_SEVERITY_WARNING);
    client_close(c);
}

static void a_server_for_locks_alone_is_praised(void **state)
{
    (void)state;
    memcached_server *server = memcached_server_start((const char *const[]){"-M", "-F", NULL});
    size_t count;
    client *c = examine(rig_address(memcached_server_socket(server)));
    assert_int_equal(client_severity(c, "eviction"), PAWL_SEVERITY_OK);
    assert_string_equal(client_warning(c, &count), "");
    client_close(c);
    memcached_server_stop(server);
}

static void evictions_that_were_are_an_error(void **state)
{
    (void)state;
    static char megabyte[500001];
    memset(megabyte, 'x', sizeof megabyte - 1);
    client *c = NULL;
    for (int i = 0; i < 100; i++) {
        char command[64];
        snprintf(command, sizeof command, "ms fill-%d %zu", i, sizeof megabyte - 1);
        rig_command("HD", command, megabyte);
    }
    c = examine(rig_address(NULL));
    assert_int_equal(client_severity(c, "eviction"), PAWL_SEVERITY_ERROR);
    client_close(c);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_server_that_may_evict_is_warned_of),
        cmocka_unit_test(a_flush_is_told),
        cmocka_unit_test(a_server_for_locks_alone_is_praised),
        cmocka_unit_test(evictions_that_were_are_an_error),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
