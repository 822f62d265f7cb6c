/* SPDX-License-Identifier: MIT */
/* What the server's answers mean: done, not done, or unknown (law 4). */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/etcd/etcd_json.h"

#include <string.h>

static void each_error_is_classed(void **state)
{
    static const struct {
        long status;
        const char *text;
        pawl__etcd_fate fate;
        pawl_err err;
    } answers[] = {
        {200, "{}", PAWL__ETCD_DONE, PAWL_OK},
        {200, "{\"header\":{\"revision\":\"7\"}}", PAWL__ETCD_DONE, PAWL_OK},
        {404, "{\"error\":\"etcdserver: requested lease not found\",\"code\":5}",
         PAWL__ETCD_REFUSED, PAWL_ERR_PROTOCOL},
        {401, "{\"error\":\"etcdserver: invalid auth token\",\"code\":16}", PAWL__ETCD_REFUSED,
         PAWL_ERR_AUTH},
        {403, "{\"error\":\"etcdserver: permission denied\",\"code\":7}", PAWL__ETCD_REFUSED,
         PAWL_ERR_PERMISSION},
        {400, "{\"code\":3,\"message\":\"etcdserver: user name is empty\"}", PAWL__ETCD_REFUSED,
         PAWL_ERR_AUTH},
        {429, "{\"error\":\"etcdserver: mvcc: database space exceeded\",\"code\":8}",
         PAWL__ETCD_REFUSED, PAWL_ERR_STORE_FULL},
        {429, "{\"error\":\"etcdserver: too many requests\",\"code\":8}", PAWL__ETCD_REFUSED,
         PAWL_ERR_STORE_BUSY},
        {503, "{\"error\":\"etcdserver: no leader\",\"code\":14}", PAWL__ETCD_REFUSED,
         PAWL_ERR_UNAVAILABLE},
        {503, "{\"error\":\"etcdserver: request timed out\",\"code\":14}", PAWL__ETCD_UNKNOWN,
         PAWL_ERR_UNAVAILABLE},
        {503, "{\"error\":\"etcdserver: leader changed\",\"code\":14}", PAWL__ETCD_UNKNOWN,
         PAWL_ERR_UNAVAILABLE},
        {500, "{\"error\":\"something new\",\"code\":13}", PAWL__ETCD_UNKNOWN,
         PAWL_ERR_UNAVAILABLE},
        {429, "{\"error\":\"something new\",\"code\":8}", PAWL__ETCD_UNKNOWN, PAWL_ERR_UNAVAILABLE},
        {200, "<html>", PAWL__ETCD_UNKNOWN, PAWL_ERR_PROTOCOL},
        {200, "[]", PAWL__ETCD_UNKNOWN, PAWL_ERR_PROTOCOL},
        {200, "", PAWL__ETCD_UNKNOWN, PAWL_ERR_PROTOCOL},
        {502, "<html>", PAWL__ETCD_UNKNOWN, PAWL_ERR_UNAVAILABLE},
        {200, "{\"error\":{\"grpc_code\":14,\"message\":\"etcdserver: leader changed\"}}",
         PAWL__ETCD_UNKNOWN, PAWL_ERR_UNAVAILABLE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        pawl__etcd_answer answer;
        pawl__etcd_answer_read(answers[i].status, answers[i].text, strlen(answers[i].text),
                               &answer);
        if (answer.fate != answers[i].fate || answer.err != answers[i].err)
            fail_msg("%s: fate %d, %s", answers[i].text, (int)answer.fate,
                     pawl_err_name(answer.err));
        json_decref(answer.root);
    }
}

static void base64_is_what_others_write(void **state)
{
    static const struct {
        const char *bytes, *text;
    } pairs[] = {{"", ""},
                 {"f", "Zg=="},
                 {"fo", "Zm8="},
                 {"foo", "Zm9v"},
                 {"foob", "Zm9vYg=="},
                 {"fooba", "Zm9vYmE="},
                 {"\xff\xfe\xfd", "//79"}};
    static const char *const wrong[] = {"Z", "Zg", "Zg=", "Z===", "Zg==Zg==", "Z g=", "Zm9\n"};
    char bytes[16];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        pawl__etcd_text text = {0};
        pawl__etcd_add(&text, "%s", "");
        pawl__etcd_add_base64(&text, pairs[i].bytes, strlen(pairs[i].bytes));
        assert_string_equal(text.at, pairs[i].text);
        pawl__etcd_text_done(&text);
        assert_true(pawl__etcd_from_base64(pairs[i].text, bytes, sizeof bytes, &len));
        assert_int_equal(len, strlen(pairs[i].bytes));
        assert_memory_equal(bytes, pairs[i].bytes, len);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (pawl__etcd_from_base64(wrong[i], bytes, sizeof bytes, &len)) fail_msg("%s", wrong[i]);
    assert_false(pawl__etcd_from_base64("Zm9vYg==", bytes, 3, &len)); /* it does not fit */
}

static void versions_with_faults_are_known(void **state)
{
    (void)state;
    assert_true(pawl__etcd_has_lease_bugs("3.4.23"));
    assert_true(pawl__etcd_has_lease_bugs("3.5.22"));
    assert_true(pawl__etcd_has_lease_bugs("3.6.0"));
    assert_false(pawl__etcd_has_lease_bugs("3.4.38"));
    assert_false(pawl__etcd_has_lease_bugs("3.5.23"));
    assert_false(pawl__etcd_has_lease_bugs("3.6.5"));
    assert_false(pawl__etcd_has_lease_bugs("3.7.0"));
}

/* The keys of one name are never in another's range, whatever the names are. */
static void no_name_lies_in_anothers_range(void **state)
{
    static const char *const names[] = {"a", "a/", "a/b", "ab", "a\x01", "a\xff", "\xff", "A"};
    const char *token = fresh_token();
    (void)state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
            pawl__etcd_bytes start, end, other, key;
            pawl__etcd_key_of_name(&start, "p/", names[i], strlen(names[i]));
            pawl__etcd_key_behind(&end, &start);
            pawl__etcd_key_of_name(&other, "p/", names[k], strlen(names[k]));
            pawl__etcd_key_make(&key, &other, PAWL_MODE_EXCLUSIVE, token);
            bool inside = memcmp(key.at, start.at, start.len) >= 0 &&
                          memcmp(key.at, end.at, end.len) < 0 && key.len > start.len;
            assert_int_equal(inside, i == k);
        }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(each_error_is_classed),
        cmocka_unit_test(base64_is_what_others_write),
        cmocka_unit_test(versions_with_faults_are_known),
        cmocka_unit_test(no_name_lies_in_anothers_range),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
