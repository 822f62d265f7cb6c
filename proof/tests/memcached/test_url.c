/* SPDX-License-Identifier: MIT */
/* What a URL may say. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/memcached/memcached_url.h"
#include "../support/repeated.h"

#include <string.h>

static int open_error(store_address address, char *message)
{
    return client_open_error(rig_loop(), &address, message);
}

static void what_a_url_may_not_say(void **state)
{
    static const struct {
        const char *scheme, *host, *path, *user, *password;
        int port, err;
        const char *key, *value, *part;
    } wrong[] = {
        {"memcached", "h", "/0", NULL, NULL, 0, PAWL_ERR_URL, NULL, NULL, "no databases"},
        {"memcached", "h,i", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "several hosts"},
        {"memcached", "h", "", NULL, NULL, 65536, PAWL_ERR_URL, NULL, NULL, "a port lies"},
        {"memcached", "h", "", "u", NULL, -1, PAWL_ERR_URL, NULL, NULL, "user:password@"},
        {"memcached", "h", "", "u", "a b", -1, PAWL_ERR_URL, NULL, NULL, "no blanks"},
        {"memcached+unix", "h", "/x", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "a socket is"},
        {"memcached+unix", NULL, "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "a socket is"},
        {"memcached", "h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "prefix", "a b", "no blanks"},
        {"memcached", "h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "prefix", "a%", "no %"},
        {"memcached", "h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "guard", "auto", "on or off"},
        {"memcached", "h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "guard_ms", "5", "lies between"},
        {"memcached", "h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "d\nb", "5", "unknown option"},
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
                                 .port = wrong[i].port < 0 ? 11211 : wrong[i].port,
                                 .options = {{wrong[i].key, wrong[i].value}},
                                 .option_count = wrong[i].key ? 1 : 0};
        int err = open_error(address, message);
        if (err != wrong[i].err || !strstr(message, wrong[i].part))
            fail_msg("%zu: %s \"%s\"", i, pawl_err_name(err), message);
        assert_null(strchr(message, '\n'));
    }
}

static int read_url(const pawl_url *url, pawl__memcached_config *config)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_url whole = *url;
    if (!whole.scheme) whole.scheme = "memcached";
    if (!whole.path) whole.path = "";
    whole.redacted = "memcached://";
    return pawl__memcached_config_init(config, &whole, 1000, message);
}

static void the_last_that_fits_and_the_first_that_does_not(void **state)
{
    pawl__memcached_config config;
    (void)state;
    for (int more = 0; more < 2; more++) {
        int bad_url = more ? PAWL_ERR_URL : PAWL_OK, bad_option = more ? PAWL_ERR_OPTION : PAWL_OK;
        size_t extra = (size_t)more;
        const struct {
            pawl_url url;
            int err;
        } cases[] = {
            {{.host = repeated("", 'h', PAWL__MEMCACHED_HOST_MAX + extra), .port = -1}, bad_url},
            {{.scheme = "memcached+unix", .port = -1, .path = repeated("/", 's', 107 + extra)},
             bad_url},
            {{.port = -1,
              .user = repeated("", 'u', PAWL__MEMCACHED_LOGIN_MAX + extra),
              .password = "p"},
             bad_url},
            {{.port = -1,
              .user = "u",
              .password = repeated("", 'p', PAWL__MEMCACHED_LOGIN_MAX + extra)},
             bad_url},
            {{.port = 65535 + more}, bad_url},
            {{.port = 1 - more}, bad_url},
            {{.port = -1,
              .options = {{"prefix", repeated("", 'p', PAWL__MEMCACHED_PREFIX_MAX + extra)}},
              .option_count = 1},
             bad_option},
            {{.port = -1, .options = {{"guard_ms", more ? "9" : "10"}}, .option_count = 1},
             bad_option},
            {{.port = -1,
              .options = {{"guard_ms", more ? "86400001" : "86400000"}},
              .option_count = 1},
             bad_option},
            {{.port = -1,
              .options = {{"connect_timeout_ms", more ? "9" : "10"}},
              .option_count = 1},
             bad_option},
            {{.port = -1,
              .options = {{"connect_timeout_ms", more ? "600001" : "600000"}},
              .option_count = 1},
             bad_option},
            {{.port = -1, .user = "u!~", .password = more ? "a\x7f" : "a!~"}, bad_url},
            {{.port = -1, .options = {{"prefix", more ? "a\x7f" : "a!~"}}, .option_count = 1},
             bad_option},
            {{.port = -1, .options = {{"guard", more ? "" : "off"}}, .option_count = 1},
             bad_option},
            {{.port = -1, .options = {{"guard_ms", more ? "" : "77"}}, .option_count = 1},
             bad_option},
            {{.port = -1,
              .options = {{"guard_ms", more ? "7 7" : "000000000000077"}},
              .option_count = 1},
             bad_option},
            {{.port = -1, .options = {{"guard_ms", "0000000000000077"}}, .option_count = extra},
             bad_option},
            {{.port = -1, .path = more ? "//" : "/"}, bad_url},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
            if (read_url(&cases[i].url, &config) != cases[i].err)
                fail_msg("%zu: one more %d: not %s", i, more, pawl_err_name(cases[i].err));
    }
}

static void each_part_of_a_url_has_its_place(void **state)
{
    pawl__memcached_config config;
    pawl_url url = {.port = -1};
    (void)state;
    assert_int_equal(read_url(&url, &config), PAWL_OK);
    assert_string_equal(config.where, "memcached://127.0.0.1:11211");
    assert_string_equal(config.prefix, "pawl:");
    assert_true(config.guard && config.guard_ms == PAWL_TTL_DEFAULT_MS && config.port == 11211);
    assert_int_equal(config.connect_timeout_ms, 1000);
    url = (pawl_url){.host = "::1",
                     .port = 7,
                     .user = "u",
                     .password = "p",
                     .options = {{"prefix", "x"},
                                 {"guard", "off"},
                                 {"guard_ms", "78"},
                                 {"connect_timeout_ms", "77"}},
                     .option_count = 4};
    assert_int_equal(read_url(&url, &config), PAWL_OK);
    assert_string_equal(config.where, "memcached://[::1]:7");
    assert_string_equal(config.host, "::1");
    assert_string_equal(config.user, "u");
    assert_string_equal(config.password, "p");
    assert_string_equal(config.prefix, "x");
    assert_true(!config.guard && config.guard_ms == 78 && config.connect_timeout_ms == 77);
    pawl__memcached_config_done(&config);
    assert_string_equal(config.password, "");
    url = (pawl_url){.scheme = "memcached+unix", .path = "/run/s", .port = -1};
    assert_int_equal(read_url(&url, &config), PAWL_OK);
    assert_string_equal(config.where, "memcached+unix:///run/s");
    assert_string_equal(config.unix_path, "/run/s");
    assert_string_equal(config.host, "");
}

static void a_prefix_parts_spaces(void **state)
{
    (void)state;
    store_address one = rig_address(NULL), two = rig_address(NULL);
    one.options[1] = (pawl_url_option){"prefix", "one/"};
    two.options[1] = (pawl_url_option){"prefix", "two/"};
    one.option_count = two.option_count = 2;
    client *a = client_up(rig_loop(), &one, "a"), *b = client_up(rig_loop(), &two, "b");
    const char *name = rig_name();
    rig_expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_expect(b, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    rig_command("VA", "mg one/lock-0 v", NULL);
    client_close(a);
    client_close(b);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_a_url_may_not_say),
        cmocka_unit_test(the_last_that_fits_and_the_first_that_does_not),
        cmocka_unit_test(each_part_of_a_url_has_its_place),
        cmocka_unit_test(a_prefix_parts_spaces),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
