/* SPDX-License-Identifier: MIT */
/* What a URL means to the Redis store. */
#define _GNU_SOURCE
#include "stores/redis/redis_url.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
/* cmocka wants the four above first */
#include <cmocka.h>
#include <stdio.h>
#include <string.h>

static int config(pawl_url url, pawl__redis_config *ret_config, char *ret_message)
{
    url.redacted = "the-url";
    if (!url.path) url.path = "";
    ret_message[0] = '\0';
    return pawl__redis_config_init(ret_config, &url, 5000, ret_message);
}

static void urls_are_taken_apart(void **state)
{
    pawl__redis_config c;
    char message[PAWL_MESSAGE_MAX];
    (void)state;
    assert_int_equal(config((pawl_url){.scheme = "redis", .port = -1}, &c, message), 0);
    assert_string_equal(c.where, "redis://127.0.0.1:6379");
    assert_true(c.db == 0 && !c.user && !c.password && c.connect_timeout_ms == 5000);
    assert_string_equal(c.prefix, "pawl:");
    assert_int_equal(c.watch, PAWL__REDIS_WATCH_AUTO);
    pawl__redis_config_done(&c);
    pawl_url url = {.scheme = "redis",
                    .user = "u",
                    .password = "secret",
                    .host = "::1",
                    .port = 7,
                    .path = "/3",
                    .options = {{"prefix", ""}, {"connect_timeout_ms", "250"}, {"watch", "on"}},
                    .option_count = 3};
    assert_int_equal(config(url, &c, message), 0);
    assert_string_equal(c.where, "redis://[::1]:7"); /* no secrets */
    assert_true(c.db == 3 && c.connect_timeout_ms == 250 && c.prefix[0] == '\0');
    assert_int_equal(c.watch, PAWL__REDIS_WATCH_ON);
    pawl__redis_config_done(&c);
    url = (pawl_url){.scheme = "redis+unix",
                     .path = "/run/r.sock",
                     .port = -1,
                     .options = {{"db", "2"}},
                     .option_count = 1};
    assert_int_equal(config(url, &c, message), 0);
    assert_string_equal(c.unix_path, "/run/r.sock");
    assert_int_equal(c.db, 2);
    pawl__redis_config_done(&c);
}

static void tls_is_asked_for_by_the_scheme(void **state)
{
    pawl__redis_config c;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.scheme = "rediss",
                    .host = "h",
                    .port = -1,
                    .options = {{"tls_ca", "/ca"},
                                {"tls_cert", "/c"},
                                {"tls_key", "/k"},
                                {"tls_name", "n"},
                                {"tls_verify", "full"}},
                    .option_count = 5};
    (void)state;
    assert_int_equal(config(url, &c, message), 0);
    assert_string_equal(c.where, "rediss://h:6379");
    assert_true(c.tls && !c.tls_unverified);
    assert_string_equal(c.tls_ca, "/ca");
    assert_string_equal(c.tls_cert, "/c");
    assert_string_equal(c.tls_key, "/k");
    assert_string_equal(c.tls_name, "n");
    pawl__redis_config_done(&c);
    url.options[0] = (pawl_url_option){"tls_verify", "none"};
    url.option_count = 1;
    assert_int_equal(config(url, &c, message), 0);
    assert_true(c.tls_unverified);
    pawl__redis_config_done(&c);
    url.scheme = "redis"; /* an option without effect would be taken for protection */
    assert_int_equal(config(url, &c, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "is for rediss:// alone"));
    pawl_url wrong[] = {{.options = {{"tls_verify", "no"}}, .option_count = 1},
                        {.options = {{"tls_ca", ""}}, .option_count = 1},
                        {.options = {{"tls_key", "/k"}}, .option_count = 1},
                        {.options = {{"tls_ca", "/a"}, {"tls_ca", "/b"}}, .option_count = 2}};
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        wrong[i].scheme = "rediss";
        wrong[i].port = -1;
        assert_int_equal(config(wrong[i], &c, message), PAWL_ERR_OPTION);
    }
}

static void the_longest_name_for_tls_is_taken(void **state)
{
    char name[PAWL__REDIS_HOST_MAX + 2] = "", message[PAWL_MESSAGE_MAX];
    pawl__redis_config c;
    pawl_url url = {
        .scheme = "rediss", .port = -1, .options = {{"tls_name", name}}, .option_count = 1};
    (void)state;
    memset(name, 'n', PAWL__REDIS_HOST_MAX);
    assert_int_equal(config(url, &c, message), 0);
    assert_string_equal(c.tls_name, name);
    pawl__redis_config_done(&c);
    name[PAWL__REDIS_HOST_MAX] = 'n';
    assert_int_equal(config(url, &c, message), PAWL_ERR_OPTION);
}

static void wrong_urls_are_named(void **state)
{
    static char longest[200];
    memset(longest, 'a', sizeof(longest) - 1);
    longest[0] = '/';
    const struct {
        pawl_url url;
        int err;
    } wrong[] = {
        {{.scheme = "redis", .port = 0}, PAWL_ERR_URL},
        {{.scheme = "redis", .port = 65536}, PAWL_ERR_URL},
        {{.scheme = "redis", .host = "one,two", .port = -1}, PAWL_ERR_URL},
        {{.scheme = "redis", .port = -1, .path = "/x"}, PAWL_ERR_URL},
        {{.scheme = "redis", .port = -1, .path = "/-1"}, PAWL_ERR_URL},
        {{.scheme = "redis", .port = -1, .path = "/99999999999999999999"}, PAWL_ERR_URL},
        {{.scheme = "redis", .port = -1, .user = "u"}, PAWL_ERR_URL},
        {{.scheme = "redis", .port = -1, .path = "/1", .options = {{"db", "1"}}, .option_count = 1},
         PAWL_ERR_OPTION},
        {{.scheme = "redis", .port = -1, .options = {{"db", ""}}, .option_count = 1},
         PAWL_ERR_OPTION},
        {{.scheme = "redis", .port = -1, .options = {{"watch", "yes"}}, .option_count = 1},
         PAWL_ERR_OPTION},
        {{.scheme = "redis", .port = -1, .options = {{"prefix", "a b"}}, .option_count = 1},
         PAWL_ERR_OPTION},
        {{.scheme = "redis",
          .port = -1,
          .options = {{"connect_timeout_ms", "1"}},
          .option_count = 1},
         PAWL_ERR_OPTION},
        {{.scheme = "redis", .port = -1, .options = {{"prefixx", "a"}}, .option_count = 1},
         PAWL_ERR_OPTION},
        {{.scheme = "redis+unix", .port = -1}, PAWL_ERR_URL},
        {{.scheme = "redis+unix", .port = -1, .host = "run", .path = "/r.sock"}, PAWL_ERR_URL},
        {{.scheme = "redis+unix", .port = -1, .path = longest}, PAWL_ERR_URL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        pawl__redis_config c;
        char message[PAWL_MESSAGE_MAX];
        int err = config(wrong[i].url, &c, message);
        if (err != wrong[i].err) fail_msg("%zu: %s: %s", i, pawl_err_name(err), message);
        assert_non_null(strstr(message, "the-url"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(urls_are_taken_apart),
        cmocka_unit_test(tls_is_asked_for_by_the_scheme),
        cmocka_unit_test(the_longest_name_for_tls_is_taken),
        cmocka_unit_test(wrong_urls_are_named),
    };
    return cmocka_run_group_tests_name("redis: urls", tests, NULL, NULL);
}
