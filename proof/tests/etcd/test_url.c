/* SPDX-License-Identifier: MIT */
/* What a URL may say. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/etcd/etcd_url.h"

#include <string.h>

static void what_a_url_may_not_say(void **state)
{
    static const struct {
        const char *scheme, *host, *path, *user, *password;
        int port, err;
        const char *key, *value, *part;
    } wrong[] = {
        {"etcd", "h,", "", NULL, NULL, 0, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"etcd", "h,i:x", "", NULL, NULL, 0, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"etcd", "h,i:70000", "", NULL, NULL, 0, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"etcd", "h/../i,k", "", NULL, NULL, 0, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"etcd", "h", "", NULL, NULL, 70000, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"etcd", "h", "", NULL, "p", 0, PAWL_ERR_URL, NULL, NULL, "user:password@"},
        {"etcd", "h", "", "u", "p", 0, PAWL_ERR_OPTION, "token", "t", "not both"},
        {"etcd", "h", "", NULL, NULL, 0, PAWL_ERR_OPTION, "token", "a\nb", "a token of"},
        {"etcd", "h", "", NULL, NULL, 0, PAWL_ERR_OPTION, "cacert", "/ca", "write etcds://"},
        {"etcds", "h", "", NULL, NULL, 0, PAWL_ERR_OPTION, "cert", "/c", "belong together"},
        {"etcd", "h", "", NULL, NULL, 0, PAWL_ERR_OPTION, "connect_timeout_ms", "5", "lies"},
        {"etcd", "h", "", NULL, NULL, 0, PAWL_ERR_OPTION, "db", "5", "unknown option"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char message[PAWL_MESSAGE_MAX];
        store_address address = {.ops = &pawl_store_entry,
                                 .scheme = wrong[i].scheme,
                                 .host = wrong[i].host,
                                 .path = wrong[i].path,
                                 .user = wrong[i].user,
                                 .password = wrong[i].password,
                                 .port = wrong[i].port,
                                 .options = {{wrong[i].key, wrong[i].value}},
                                 .option_count = wrong[i].key ? 1 : 0};
        int err = client_open_error(rig_loop(), &address, message);
        if (err != wrong[i].err || !strstr(message, wrong[i].part))
            fail_msg("%zu: %s \"%s\"", i, pawl_err_name(err), message);
    }
}

static void servers_and_prefix_are_read(void **state)
{
    pawl__etcd_config config;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.scheme = "etcds",
                    .host = "a,b.example:23,[::1]:79,[::2]",
                    .port = -1,
                    .path = "/locks/of/us/",
                    .redacted = "etcds://"};
    (void)state;
    assert_int_equal(pawl__etcd_config_init(&config, &url, 1000, message), PAWL_OK);
    assert_int_equal(config.endpoint_count, 4);
    assert_string_equal(config.endpoints[0], "https://a:2379");
    assert_string_equal(config.endpoints[1], "https://b.example:23");
    assert_string_equal(config.endpoints[2], "https://[::1]:79");
    assert_string_equal(config.endpoints[3], "https://[::2]:2379");
    assert_string_equal(config.prefix, "locks/of/us/");
    url = (pawl_url){.scheme = "etcd", .host = "::1", .port = 7, .path = "/", .redacted = "etcd:"};
    assert_int_equal(pawl__etcd_config_init(&config, &url, 1000, message), PAWL_OK);
    assert_string_equal(config.endpoints[0], "http://[::1]:7");
    assert_string_equal(config.prefix, PAWL__ETCD_PREFIX_DEFAULT);
}

static void a_prefix_parts_spaces(void **state)
{
    store_address one = rig_address(), two = rig_address();
    (void)state;
    one.path = "/one";
    two.path = "/two";
    client *a = client_up(rig_loop(), &one, "a"), *b = client_up(rig_loop(), &two, "b");
    const char *name = rig_name();
    rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_BUSY);
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_a_url_may_not_say),
        cmocka_unit_test(servers_and_prefix_are_read),
        cmocka_unit_test(a_prefix_parts_spaces),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
