/* SPDX-License-Identifier: MIT */
/* What a URL may say. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/etcd/etcd_url.h"
#include "../support/repeated.h"

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
        {"etcd", "h", "", NULL, NULL, 0, PAWL_ERR_OPTION, "d\nb", "5", "unknown option"},
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
        assert_null(strchr(message, '\n'));
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

static int read_url(const pawl_url *url, pawl__etcd_config *config)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_url whole = *url;
    if (!whole.scheme) whole.scheme = "etcd";
    if (!whole.path) whole.path = "";
    whole.redacted = "etcd://";
    return pawl__etcd_config_init(config, &whole, 1000, message);
}

static void the_last_that_fits_and_the_first_that_does_not(void **state)
{
    static pawl__etcd_config config;
    char hosts[200] = "a";
    (void)state;
    for (int more = 0; more < 2; more++) {
        int bad_url = more ? PAWL_ERR_URL : PAWL_OK, bad_option = more ? PAWL_ERR_OPTION : PAWL_OK;
        size_t extra = (size_t)more;
        const struct {
            pawl_url url;
            int err;
        } cases[] = {
            {{.host = repeated("", 'h', 265 + extra), .port = -1}, bad_url},
            {{.host = repeated("a,", 'h', 272 + extra), .port = -1}, bad_url},
            {{.host = "h", .port = -1, .path = repeated("/", 'p', PAWL__ETCD_PREFIX_MAX + extra)},
             bad_url},
            {{.host = "h",
              .port = -1,
              .user = repeated("", 'u', PAWL__ETCD_LOGIN_MAX + extra),
              .password = "p"},
             bad_url},
            {{.host = "h",
              .port = -1,
              .user = "u",
              .password = repeated("", 'p', PAWL__ETCD_LOGIN_MAX + extra)},
             bad_url},
            {{.host = "h",
              .port = -1,
              .options = {{"token", repeated("", 't', PAWL__ETCD_TOKEN_MAX + extra)}},
              .option_count = 1},
             bad_option},
            {{.scheme = "etcds",
              .port = -1,
              .options = {{"cacert", repeated("", 'f', PAWL__ETCD_FILE_MAX - 1 + extra)}},
              .option_count = 1},
             bad_option},
            {{.host = "h", .port = 65535 + more}, bad_url},
            {{.host = "h", .port = 1 - more}, bad_url},
            {{.options = {{"connect_timeout_ms", more ? "9" : "10"}},
              .option_count = 1,
              .port = -1},
             bad_option},
            {{.options = {{"connect_timeout_ms", more ? "600001" : "600000"}},
              .option_count = 1,
              .port = -1},
             bad_option},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            if (read_url(&cases[i].url, &config) != cases[i].err)
                fail_msg("%zu: one more %d: not %s", i, more, pawl_err_name(cases[i].err));
        while (strlen(hosts) < 2 * (PAWL__ETCD_ENDPOINTS_MAX + extra) - 1) strcat(hosts, ",a");
        assert_int_equal(read_url(&(pawl_url){.host = hosts, .port = -1}, &config), bad_url);
    }
}

static void what_else_a_url_may_say(void **state)
{
    static pawl__etcd_config config;
    static const struct {
        const char *scheme, *host, *key, *value, *key_2, *value_2;
        int err;
    } cases[] = {
        {"etcd", "a:1,b", NULL, NULL, NULL, NULL, 0},
        {"etcd", "a:65535,b", NULL, NULL, NULL, NULL, 0},
        {"etcd", "a:0,b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "a:65536,b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "a:,b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "a:000001,b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "[],b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "[::1,b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "[g::],b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "a,,b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "a b", NULL, NULL, NULL, NULL, PAWL_ERR_URL},
        {"etcd", "a-b_c.d", NULL, NULL, NULL, NULL, 0},
        {"etcds", "h", "cacert", "/c", NULL, NULL, 0},
        {"etcds", "h", "key", "/k", NULL, NULL, PAWL_ERR_OPTION},
        {"etcds", "h", "cert", "/c", "key", "/k", 0},
        {"etcds", "h", "cert", "c", "key", "k", 0},
        {"etcd", "h", "cert", "/c", "key", "/k", PAWL_ERR_OPTION},
        {"etcd", "h", "key", "/k", NULL, NULL, PAWL_ERR_OPTION},
        {"etcds", "h", "cacert", "", NULL, NULL, PAWL_ERR_OPTION},
        {"etcds", "h", "cacert", "/a b", NULL, NULL, 0},
        {"etcds", "h", "cacert", "/a\tb", NULL, NULL, PAWL_ERR_OPTION},
        {"etcds", "h", "cacert", "/a\x7f", NULL, NULL, PAWL_ERR_OPTION},
        {"etcd", "h", "token", "a!~", NULL, NULL, 0},
        {"etcd", "h", "token", "a b", NULL, NULL, PAWL_ERR_OPTION},
        {"etcd", "h", "connect_timeout_ms", "", NULL, NULL, PAWL_ERR_OPTION},
        {"etcd", "h", "connect_timeout_ms", "1s", NULL, NULL, PAWL_ERR_OPTION},
        {"etcd", "h", "connect_timeout_ms", "1000000000", NULL, NULL, PAWL_ERR_OPTION},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pawl_url url = {
            .scheme = cases[i].scheme,
            .host = cases[i].host,
            .port = -1,
            .options = {{cases[i].key, cases[i].value}, {cases[i].key_2, cases[i].value_2}},
            .option_count = cases[i].key_2 ? 2
                            : cases[i].key ? 1
                                           : 0};
        if (read_url(&url, &config) != cases[i].err)
            fail_msg("%zu: not %s", i, pawl_err_name(cases[i].err));
    }
    pawl_url url = {.scheme = "etcds",
                    .port = -1,
                    .path = "//a/b//",
                    .options = {{"cacert", "/ca"},
                                {"cert", "/c"},
                                {"key", "/k"},
                                {"token", "t"},
                                {"connect_timeout_ms", "77"}},
                    .option_count = 5};
    assert_int_equal(read_url(&url, &config), PAWL_OK);
    assert_string_equal(config.endpoints[0], "https://127.0.0.1:2379");
    assert_string_equal(config.prefix, "a/b/");
    assert_string_equal(config.cacert, "/ca");
    assert_string_equal(config.cert, "/c");
    assert_string_equal(config.key, "/k");
    assert_string_equal(config.token, "t");
    assert_int_equal(config.connect_timeout_ms, 77);
    pawl__etcd_config_done(&config);
    assert_string_equal(config.token, "");
    url = (pawl_url){.host = "h", .port = -1, .user = "u", .password = "p"};
    assert_int_equal(read_url(&url, &config), PAWL_OK);
    assert_string_equal(config.user, "u");
    assert_string_equal(config.password, "p");
    assert_int_equal(config.connect_timeout_ms, 1000);
    pawl__etcd_config_done(&config);
    assert_string_equal(config.password, "");
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
        cmocka_unit_test(the_last_that_fits_and_the_first_that_does_not),
        cmocka_unit_test(what_else_a_url_may_say),
        cmocka_unit_test(a_prefix_parts_spaces),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
