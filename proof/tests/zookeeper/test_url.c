/* SPDX-License-Identifier: MIT */
/* What a URL may say. */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_store.h"
#include "../../../src/stores/zookeeper/zookeeper_url.h"
#include "../support/repeated.h"

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
        {"h", "", NULL, NULL, -1, PAWL_ERR_OPTION, "d\nb", "5", "unknown option"},
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
        assert_null(strchr(message, '\n'));
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

static int read_option(const char *key, const char *value, pawl__zk_config *config)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.scheme = "zookeeper",
                    .host = "h",
                    .port = -1,
                    .path = "",
                    .redacted = "z",
                    .options = {{key, value}},
                    .option_count = 1};
    return read_url(config, &url, message);
}

static void the_last_that_fits_and_the_first_that_does_not(void **state)
{
    pawl__zk_config config;
    char message[PAWL_MESSAGE_MAX], hosts[200] = "a";
    pawl_url url = {.scheme = "zookeeper", .host = "h", .port = -1, .path = "", .redacted = "z"};
    (void)state;
    for (int more = 0; more < 2; more++) {
        int err = more ? PAWL_ERR_URL : PAWL_OK;
        size_t extra = (size_t)more;
        pawl_url longest = url;
        longest.host = repeated("", 'h', PAWL__ZK_HOST_MAX + extra);
        assert_int_equal(read_url(&config, &longest, message), err);
        longest = url;
        longest.path = repeated("/", 'p', PAWL__ZK_PREFIX_MAX + extra);
        assert_int_equal(read_url(&config, &longest, message), err);
        longest = url;
        longest.user = repeated("", 'u', PAWL__ZK_LOGIN_MAX + extra);
        longest.password = "p";
        assert_int_equal(read_url(&config, &longest, message), err);
        longest.user = "u";
        longest.password = repeated("", 'p', PAWL__ZK_LOGIN_MAX + extra);
        assert_int_equal(read_url(&config, &longest, message), err);
        longest = url;
        longest.port = 65535 + more;
        assert_int_equal(read_url(&config, &longest, message), err);
        longest.port = 1 - more;
        assert_int_equal(read_url(&config, &longest, message), err);
        while (strlen(hosts) < 2 * (PAWL__ZK_SERVERS_MAX + extra) - 1) strcat(hosts, ",a");
        longest = url;
        longest.host = hosts;
        assert_int_equal(read_url(&config, &longest, message), err);
    }
    static const struct {
        const char *key, *value;
        int err;
    } options[] = {
        {"session_timeout_ms", "100", 0},
        {"session_timeout_ms", "99", PAWL_ERR_OPTION},
        {"session_timeout_ms", "86400000", 0},
        {"session_timeout_ms", "86400001", PAWL_ERR_OPTION},
        {"connect_timeout_ms", "10", 0},
        {"connect_timeout_ms", "9", PAWL_ERR_OPTION},
        {"connect_timeout_ms", "600000", 0},
        {"connect_timeout_ms", "600001", PAWL_ERR_OPTION},
        {"connect_timeout_ms", "", PAWL_ERR_OPTION},
        {"session_timeout_ms", "4000s", PAWL_ERR_OPTION},
        {"connect_timeout_ms", "1000000000", PAWL_ERR_OPTION},
        {"curator", "mutex", 0},
        {"curator", "readwrite", 0},
        {"curator", "", PAWL_ERR_OPTION},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        assert_int_equal(read_option(options[i].key, options[i].value, &config), options[i].err);
    assert_int_equal(read_option("session_timeout_ms", "5000", &config), PAWL_OK);
    assert_true(config.session_ms == 5000 && config.connect_timeout_ms == 1000 &&
                !config.read_write);
    assert_int_equal(read_option("connect_timeout_ms", "77", &config), PAWL_OK);
    assert_true(config.session_ms == 40000 && config.connect_timeout_ms == 77);
    assert_int_equal(read_option("curator", "readwrite", &config), PAWL_OK);
    assert_true(config.read_write);
}

static void what_else_may_be_written_for_servers_and_path(void **state)
{
    static const struct {
        const char *host, *path;
        int err;
    } cases[] = {
        {"a:1,b", "", 0},
        {"a:65535,b", "", 0},
        {"a:0,b", "", PAWL_ERR_URL},
        {"a:65536,b", "", PAWL_ERR_URL},
        {"a:,b", "", PAWL_ERR_URL},
        {"a:000001,b", "", PAWL_ERR_URL},
        {"[::1]x,b", "", PAWL_ERR_URL},
        {"[::1]x5,b", "", PAWL_ERR_URL},
        {"[],b", "", PAWL_ERR_URL},
        {"[,b", "", PAWL_ERR_URL},
        {"a,,b", "", PAWL_ERR_URL},
        {":1,b", "", PAWL_ERR_URL},
        {"a_b.c-d%1,b", "", 0},
        {"h", "/a/.", PAWL_ERR_URL},
        {"h", "/a/..", PAWL_ERR_URL},
        {"h", "/./a", PAWL_ERR_URL},
        {"h", "/.a/..b/c.", 0},
        {"h", "/a b", PAWL_ERR_URL},
        {"h", "/a\x7f", PAWL_ERR_URL},
        {"h", "/a~!", 0},
        {"h", "/zookeeper", PAWL_ERR_URL},
        {"h", "/a/zookeeper", 0},
        {"h", "///", 0},
        {"h", "/a///", 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char message[PAWL_MESSAGE_MAX];
        pawl__zk_config config;
        pawl_url url = {.host = cases[i].host, .port = -1, .path = cases[i].path, .redacted = "z"};
        if (read_url(&config, &url, message) != cases[i].err)
            fail_msg("%s%s: not %s", cases[i].host, cases[i].path, pawl_err_name(cases[i].err));
    }
}

/* ---- Errors --------------------------------------------------------------------------------- */

static void each_error_is_classed(void **state)
{
    static const struct {
        int rc, err;
    } known[] = {
        {ZCONNECTIONLOSS, PAWL_ERR_UNAVAILABLE},
        {ZOPERATIONTIMEOUT, PAWL_ERR_UNAVAILABLE},
        {ZSESSIONEXPIRED, PAWL_ERR_UNAVAILABLE},
        {ZSESSIONMOVED, PAWL_ERR_UNAVAILABLE},
        {ZINVALIDSTATE, PAWL_ERR_UNAVAILABLE},
        {ZCLOSING, PAWL_ERR_UNAVAILABLE},
        {ZSYSTEMERROR, PAWL_ERR_UNAVAILABLE},
        {ZMARSHALLINGERROR, PAWL_ERR_UNAVAILABLE},
        {ZRUNTIMEINCONSISTENCY, PAWL_ERR_UNAVAILABLE},
        {ZDATAINCONSISTENCY, PAWL_ERR_UNAVAILABLE},
        {ZNOAUTH, PAWL_ERR_PERMISSION},
        {ZINVALIDACL, PAWL_ERR_PERMISSION},
        {ZAUTHFAILED, PAWL_ERR_AUTH},
        {ZNOTREADONLY, PAWL_ERR_READONLY},
        {ZUNIMPLEMENTED, PAWL_ERR_UNSUPPORTED},
        {ZNOCHILDRENFOREPHEMERALS, PAWL_ERR_WRONG_TYPE},
        {ZBADARGUMENTS, PAWL_ERR_PROTOCOL},
        {ZNONODE, PAWL_ERR_PROTOCOL},
        {ZBADVERSION, PAWL_ERR_PROTOCOL},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (pawl__zk_err_of(known[i].rc) != (pawl_err)known[i].err)
            fail_msg("%s is %s", zerror(known[i].rc), pawl_err_name(pawl__zk_err_of(known[i].rc)));
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
    check_name("\x7f!~", 3, "/p/%7F!~");
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
                    {"--000000001", true, -1},
                    {"--2147483648", true, INT32_MIN},
                    {"_-000000001", true, -1},
                    {"x-000000001", true, -1},
                    {"---000000001", true, -1},
                    {"x-lock--2147483649", false, 0},
                    {"lock-2147483648", false, 0},
                    {"lock-000000000x", false, 0},
                    {"lock-123", false, 0},
                    {"", false, 0}};
    pawl__zk_node node;
    (void)state;
    for (size_t i = 0; i < sizeof children / sizeof children[0]; i++) {
        assert_int_equal(pawl__zk_child_read(children[i].child, &node), children[i].has_number);
        if (!children[i].has_number) continue;
        assert_int_equal(node.number, children[i].number);
        assert_string_equal(node.child, children[i].child);
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
        cmocka_unit_test(the_last_that_fits_and_the_first_that_does_not),
        cmocka_unit_test(what_else_may_be_written_for_servers_and_path),
        cmocka_unit_test(each_error_is_classed),
        cmocka_unit_test(a_name_is_one_component_of_a_path_and_comes_back),
        cmocka_unit_test(numbers_are_read_and_compared_when_they_wrap_around),
        cmocka_unit_test(the_token_is_read_whole_or_not_at_all),
        cmocka_unit_test(the_name_says_what_a_token_wants),
        cmocka_unit_test(what_is_in_a_node_comes_back_and_nonsense_is_not_ours),
    };
    check_cases_run_here();
    return cmocka_run_group_tests(cases, NULL, NULL);
}
