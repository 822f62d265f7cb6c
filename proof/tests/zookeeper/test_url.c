/* SPDX-License-Identifier: MIT */
/* What a URL may say. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_url.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

static int read_url(pawl__zk_config *config, const pawl_url *url, char *message)
{
    return pawl__zk_config_init(config, url, 1000, message);
}

static void what_a_url_may_not_say(void **state)
{
    static const struct {
        const char *host, *path, *user, *password;
        int port, err;
        const char *key, *value, *part;
    } wrong[] = {
        {"h,", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {",h", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"h,i:x", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"h,i:70000", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"h,[::1", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"h i", "", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"h", "", NULL, NULL, 70000, PAWL_ERR_URL, NULL, NULL, "host or host:port"},
        {"h", "/a//b", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "that of a node"},
        {"h", "/a/../b", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "that of a node"},
        {"h", "/zookeeper/quota", NULL, NULL, -1, PAWL_ERR_URL, NULL, NULL, "that of a node"},
        {"h", "", NULL, "p", -1, PAWL_ERR_URL, NULL, NULL, "user:password@"},
        {"h", "", "u:v", "p", -1, PAWL_ERR_URL, NULL, NULL, "user:password@"},
        {"h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "session_timeout_ms", "5", "lies between"},
        {"h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "session_timeout_ms", "4s", "lies between"},
        {"h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "connect_timeout_ms", "5", "lies between"},
        {"h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "curator", "both", "\"mutex\" or"},
        {"h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "db", "5", "unknown option"},
        {"h", "", NULL, NULL, -1, PAWL_ERR_UNSUPPORTED, "sasl", "GSSAPI", "no SASL in Debian"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char message[PAWL_MESSAGE_MAX] = "";
        pawl__zk_config config;
        pawl_url url = {.scheme = "zookeeper",
                        .host = wrong[i].host,
                        .path = wrong[i].path,
                        .user = wrong[i].user,
                        .password = wrong[i].password,
                        .port = wrong[i].port,
                        .redacted = "zookeeper://",
                        .options = {{wrong[i].key, wrong[i].value}},
                        .option_count = wrong[i].key ? 1 : 0};
        int err = read_url(&config, &url, message);
        if (err != wrong[i].err || !strstr(message, wrong[i].part))
            fail_msg("%zu: %s \"%s\"", i, pawl_err_name(err), message);
    }
}

/* What is said of the library is true of the one that is here: it can begin no other session. */
static void a_library_without_tls_and_sasl_is_said_to_be_one(void **state)
{
    char message[PAWL_MESSAGE_MAX] = "";
    pawl__zk_config config;
    pawl_url url = {.scheme = "zookeepers", .host = "h", .port = -1, .path = "", .redacted = "z"};
    (void)state;
    assert_int_equal(read_url(&config, &url, message), PAWL_ERR_UNSUPPORTED);
    assert_non_null(strstr(message, "no TLS in Debian"));
    assert_non_null(dlsym(RTLD_DEFAULT, "zookeeper_init2"));
    assert_null(dlsym(RTLD_DEFAULT, "zookeeper_init_ssl"));
    assert_null(dlsym(RTLD_DEFAULT, "zookeeper_init_sasl"));
}

static void servers_and_path_are_read(void **state)
{
    pawl__zk_config config;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.scheme = "zookeeper",
                    .host = "a,b.example:23,[::1]:79,[::2]",
                    .port = -1,
                    .user = "u",
                    .password = "p",
                    .path = "/locks/of/us/",
                    .redacted = "zookeeper://"};
    (void)state;
    assert_int_equal(read_url(&config, &url, message), PAWL_OK);
    assert_int_equal(config.server_count, 4);
    assert_string_equal(config.servers[0].host, "a");
    assert_int_equal(config.servers[0].port, 2181);
    assert_string_equal(config.servers[1].host, "b.example");
    assert_int_equal(config.servers[1].port, 23);
    assert_string_equal(config.servers[2].host, "::1");
    assert_int_equal(config.servers[2].port, 79);
    assert_string_equal(config.servers[3].host, "::2");
    assert_string_equal(config.prefix, "/locks/of/us");
    assert_string_equal(config.login, "u:p");
    assert_int_equal(config.session_ms, 40000);
    url.path = "";
    url.host = "::1";
    url.port = 7;
    assert_int_equal(read_url(&config, &url, message), PAWL_OK);
    assert_string_equal(config.servers[0].host, "::1");
    assert_int_equal(config.servers[0].port, 7);
    assert_string_equal(config.prefix, "/pawl");
}

/* ---- Names of nodes ------------------------------------------------------------------------- */

static void check_name(const char *name, size_t len, const char *path)
{
    char made[PAWL__ZK_PATH_MAX + 1], read[PAWL_NAME_MAX + 1];
    size_t read_len;
    pawl__zk_path_make(made, "/p", name, len);
    assert_string_equal(made, path);
    assert_true(pawl__zk_name_read(made + strlen("/p/"), read, &read_len));
    assert_int_equal(read_len, len);
    assert_memory_equal(read, name, len);
}

static void a_name_is_one_component_of_a_path_and_comes_back(void **state)
{
    char name[PAWL_NAME_MAX], read[PAWL_NAME_MAX + 1];
    size_t len;
    (void)state;
    check_name("orders", 6, "/p/orders");
    check_name("a/b", 3, "/p/a%2Fb");
    check_name("%2F", 3, "/p/%252F");
    check_name(".", 1, "/p/%2E");
    check_name("..", 2, "/p/%2E%2E");
    check_name("...", 3, "/p/...");
    check_name(" \n\xc3\xa9", 4, "/p/%20%0A%C3%A9");
    for (int i = 0; i < PAWL_NAME_MAX; i++) name[i] = '/';
    char made[PAWL__ZK_PATH_MAX + 1];
    pawl__zk_path_make(made, "/p", name, sizeof name);
    assert_int_equal(strlen(made), 3 + 3 * PAWL_NAME_MAX);
    assert_false(pawl__zk_name_read("a%2", read, &len));
    assert_false(pawl__zk_name_read("a%00", read, &len));
    assert_false(pawl__zk_name_read("a%zz", read, &len));
    assert_false(pawl__zk_name_read("", read, &len));
}

static void numbers_are_read_and_compared_when_they_wrap_around(void **state)
{
    static const struct {
        const char *child;
        bool has_number;
        int32_t number;
    } children[] = {{"_c_0000-lock-0000000007", true, 7},
                    {"lock-2147483647", true, INT32_MAX},
                    {"x-lock--2147483648", true, INT32_MIN},
                    {"x-lock--000000001", true, -1},
                    {"__WRIT__0000000003", true, 3},
                    {"__READ__-2147483648", true, INT32_MIN},
                    {"__READ__-000000001", true, -1},
                    {"0000000003", true, 3},
                    {"lock-9999999999", false, 0},
                    {"leases", false, 0},
                    {"lock-123", false, 0},
                    {"", false, 0}};
    pawl__zk_node node;
    (void)state;
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
        assert_int_equal(pawl__zk_child_read(children[i].child, &node), children[i].has_number);
        if (children[i].has_number) assert_int_equal(node.number, children[i].number);
    }
    assert_true(pawl__zk_is_before(1, 2));
    assert_true(pawl__zk_is_before(INT32_MAX, INT32_MIN));
    assert_false(pawl__zk_is_before(INT32_MIN, INT32_MAX));
    assert_false(pawl__zk_is_before(5, 5));
}

static void the_token_is_read_whole_or_not_at_all(void **state)
{
    const char *token = "0123456789abcdef0123456789abcdef01234567";
    char child[PAWL__ZK_CHILD_MAX + 1];
    pawl__zk_node node;
    (void)state;
    pawl__zk_child_make(child, token, &(pawl__zk_want){PAWL_MODE_EXCLUSIVE, 0, 0}, false);
    strcat(child, "0000000012");
    assert_true(pawl__zk_child_read(child, &node));
    assert_string_equal(node.token, token);
    /* Curator's identifier is shorter. */
    assert_true(
        pawl__zk_child_read("_c_5f9e2a0c-0f1e-4a0b-9d53-0a6a5a8f0b11-lock-0000000001", &node));
    assert_string_equal(node.token, "");
}

static void the_name_says_what_a_token_wants(void **state)
{
    static const char *const nonsense[] = {"0x3-", "4x3-", "1x1025-", "1x-", "x3-", "1x3", "-1x3-"};
    static const struct {
        pawl__zk_want want;
        bool read_write;
        const char *end;
    } wants[] = {{{PAWL_MODE_EXCLUSIVE, 0, 0}, false, "-lock-0000000012"},
                 {{PAWL_MODE_EXCLUSIVE, 0, 0}, true, "-__WRIT__0000000012"},
                 {{PAWL_MODE_SHARED, 0, 0}, false, "-__READ__0000000012"},
                 {{PAWL_MODE_SHARED, 0, 0}, true, "-__READ__0000000012"},
                 {{PAWL_MODE_PERMIT, 2, 10}, false, "-permit-2x10-0000000012"},
                 {{PAWL_MODE_PERMIT, 1024, 1024}, true, "-permit-1024x1024-0000000012"}};
    const char *token = "0123456789abcdef0123456789abcdef01234567";
    char child[PAWL__ZK_CHILD_MAX + 1];
    pawl__zk_node node;
    (void)state;
    for (size_t i = 0; i < sizeof wants / sizeof wants[0]; i++) {
        pawl__zk_child_make(child, token, &wants[i].want, wants[i].read_write);
        strcat(child, "0000000012");
        assert_string_equal(child + strlen("_c_") + PAWL_TOKEN_LEN, wants[i].end);
        assert_true(pawl__zk_child_read(child, &node));
        assert_memory_equal(&node.want, &wants[i].want, sizeof node.want);
        assert_string_equal(node.token, token);
    }
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        snprintf(child, sizeof child, "_c_%s-permit-%s0000000012", token, nonsense[i]);
        assert_true(pawl__zk_child_read(child, &node));
        assert_int_equal(node.want.mode, PAWL_MODE_EXCLUSIVE); /* a stranger's */
        assert_string_equal(node.token, "");
    }
}

static void what_is_in_a_node_comes_back_and_nonsense_is_not_ours(void **state)
{
    static const char *const nonsense[] = {"",
                                           "10.0.0.1",
                                           "pawl1 ",
                                           "pawl1 x 1 2 o",
                                           "pawl1 h 1",
                                           "pawl1 h 1 2",
                                           "pawl1 h -1 2 o",
                                           "pawl1 h 99999999999999999999 2 o",
                                           "pawl1 h 86400001 2 o",
                                           "pawl1 p 1 2 o",
                                           "pawl1 p 1 2 0 o",
                                           "pawl1 p 1 2 01",
                                           "pawl1 p 1 2 0G o",
                                           "pawl1 p 1 2  o",
                                           "pawl2 h 1 2 o"};
    pawl__zk_slots slots = {0};
    char data[PAWL__ZK_DATA_MAX];
    pawl__zk_node node = {0};
    (void)state;
    size_t len = pawl__zk_data_write(data, true, 30000, 1700000000000000, NULL, "web 1: 42");
    pawl__zk_data_read(data, len, &node);
    assert_true(node.ours && node.is_lease);
    assert_int_equal(node.life_ms, 30000);
    assert_int_equal(node.since_us, 1700000000000000);
    assert_string_equal(node.owner, "web 1: 42");
    pawl__zk_data_read(data, pawl__zk_data_write(data, false, 0, 0, NULL, ""), &node);
    assert_true(node.ours && !node.is_lease);
    pawl__zk_slot_set(&slots, 0);
    pawl__zk_slot_set(&slots, 9);
    len = pawl__zk_data_write(data, true, 30000, 17, &slots, "o");
    assert_string_equal(data, "pawl1 p 30000 17 0102 o");
    pawl__zk_data_read(data, len, &node);
    assert_true(node.ours && node.is_lease && node.has_slots);
    assert_memory_equal(&node.slots, &slots, sizeof slots);
    memset(&slots, 0xff, sizeof slots);
    pawl__zk_data_read(data, pawl__zk_data_write(data, true, 30000, 17, &slots, "o"), &node);
    assert_memory_equal(&node.slots, &slots, sizeof slots);
    for (size_t i = 0; i < sizeof nonsense / sizeof nonsense[0]; i++) {
        pawl__zk_data_read(nonsense[i], strlen(nonsense[i]), &node);
        assert_false(node.ours);
    }
    pawl__zk_data_read(NULL, 0, &node);
    assert_false(node.ours);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(what_a_url_may_not_say),
        cmocka_unit_test(a_library_without_tls_and_sasl_is_said_to_be_one),
        cmocka_unit_test(servers_and_path_are_read),
        cmocka_unit_test(a_name_is_one_component_of_a_path_and_comes_back),
        cmocka_unit_test(numbers_are_read_and_compared_when_they_wrap_around),
        cmocka_unit_test(the_token_is_read_whole_or_not_at_all),
        cmocka_unit_test(the_name_says_what_a_token_wants),
        cmocka_unit_test(what_is_in_a_node_comes_back_and_nonsense_is_not_ours),
    };
    check_cases_run_here();
    return cmocka_run_group_tests(cases, NULL, NULL);
}
