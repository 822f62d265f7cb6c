/* SPDX-License-Identifier: MIT */
/* What a URL may say. */
#define _GNU_SOURCE
#include "rig.h"

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
        {"memcached", "h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "db", "5", "unknown option"},
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
    }
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
        cmocka_unit_test(a_prefix_parts_spaces),
    };
    rig_need_server();
    return cmocka_run_group_tests(cases, rig_begin, rig_end);
}
