/* SPDX-License-Identifier: MIT */
/* What addresses mean, and which are refused; what errors of the server mean. No server. */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/temp_dir.h"
#include "stores/mariadb/mariadb_error.h"
#include "stores/mariadb/mariadb_url.h"

#include <stdio.h>
#include <string.h>

static int init(const pawl_url *url, pawl__mariadb_config **config, char *message)
{
    pawl_url whole = *url;
    if (!whole.path) whole.path = "";
    if (!whole.port) whole.port = -1;
    whole.scheme = "mysql";
    whole.redacted = "mysql://it";
    return pawl__mariadb_config_new(config, &whole, 5000, message);
}

static void an_address_becomes_a_config(void **state)
{
    pawl__mariadb_config *config;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.user = "u",
                    .password = "p",
                    .host = "a:3307,[::1],b",
                    .path = "/locks",
                    .options = {{"ssl_ca", "/etc/ca.pem"}, {"connect_timeout_ms", "700"}},
                    .option_count = 2};
    (void)state;
    assert_int_equal(init(&url, &config, message), 0);
    assert_string_equal(config->user, "u");
    assert_string_equal(config->password, "p");
    assert_string_equal(config->database, "locks");
    assert_string_equal(config->words[PAWL__MARIADB_SSL_CA], "/etc/ca.pem");
    assert_int_equal(config->tls, PAWL__MARIADB_TLS_VERIFY);
    assert_int_equal(config->connect_timeout_ms, 700);
    assert_int_equal(config->place_count, 3);
    assert_string_equal(config->places[0].host, "a");
    assert_int_equal(config->places[0].port, 3307);
    assert_string_equal(config->places[1].host, "::1");
    assert_int_equal(config->places[1].port, 0);
    assert_string_equal(config->places[2].host, "b");
    assert_null(strstr(config->where, "p@"));
    pawl__mariadb_config_unref(config);
}

static void a_socket_and_no_database_have_their_defaults(void **state)
{
    pawl__mariadb_config *config;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.options = {{"socket", "/run/s"}, {"ssl", "on"}}, .option_count = 2};
    (void)state;
    assert_int_equal(init(&url, &config, message), 0);
    assert_string_equal(config->database, "pawl");
    assert_string_equal(config->socket, "/run/s");
    assert_null(config->places[0].host);
    assert_int_equal(config->tls, PAWL__MARIADB_TLS_ON);
    pawl__mariadb_config_unref(config);
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const struct {
        pawl_url url;
        int err;
        const char *says;
    } wrong[] = {
        {{.options = {{"sslmode", "on"}}, .option_count = 1}, PAWL_ERR_OPTION, "unknown option"},
        {{.options = {{"ssl", "yes"}}, .option_count = 1}, PAWL_ERR_OPTION, "off, on or verify"},
        {{.options = {{"ssl", "off"}, {"ssl_ca", "x"}}, .option_count = 2},
         PAWL_ERR_OPTION,
         "beside it"},
        {{.options = {{"connect_timeout_ms", "1"}}, .option_count = 1}, PAWL_ERR_OPTION, "between"},
        {{.host = "h", .options = {{"socket", "/s"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "a host and a socket"},
        {{.options = {{"socket", "s"}}, .option_count = 1}, PAWL_ERR_OPTION, "begins with /"},
        {{.password = "p", .options = {{"password_file", "/f"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "given twice"},
        {{.options = {{"password_file", "/nowhere/at/all"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "No such file"},
        {{.path = "/a`b"}, PAWL_ERR_URL, "expected mysql://host/database"},
        {{.path = "/a/b"}, PAWL_ERR_URL, "expected mysql://host/database"},
        {{.host = "a,b:x"}, PAWL_ERR_URL, "host:port"},
        {{.host = "a,,b"}, PAWL_ERR_URL, "host:port"},
        {{.host = "a,b:70000"}, PAWL_ERR_URL, "between 1 and 65535"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pawl__mariadb_config *config = NULL;
        char message[PAWL_MESSAGE_MAX];
        assert_int_equal(init(&wrong[i].url, &config, message), wrong[i].err);
        if (!strstr(message, wrong[i].says)) fail_msg("%s: not \"%s\"", message, wrong[i].says);
    }
}

/* The whole table is the store's; here are those on which safety rests. */
static void each_error_is_classed(void **state)
{
    enum { DONE_PERHAPS = 1, NOT_DONE = 0 };
    enum { ELSEWHERE = 1, STAYS = 0 }; /* whether the connection is given up for another one */
    static const struct {
        unsigned number;
        int err, maybe_done, reconnect;
    } known[] = {
        {1213, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS},      /* a deadlock; Galera's certification */
        {1205, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS},      /* a row that was waited for too long */
        {1047, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE}, /* Galera: the node is not prepared */
        {1180, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE}, /* in the middle of a commit */
        {1317, PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS},      /* KILL QUERY */
        {1969, PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS},      /* max_statement_time */
        {1290, PAWL_ERR_READONLY, NOT_DONE, ELSEWHERE},
        {1053, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE}, /* the server shuts down */
        {1927, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE}, /* KILL */
        {2006, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE}, /* the connection is gone */
        {2013, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE},
        {1062, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS}, /* two have made the same row */
        {1412, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS}, /* the table was changed meanwhile */
        {1045, PAWL_ERR_AUTH, NOT_DONE, STAYS},
        {1698, PAWL_ERR_AUTH, NOT_DONE, STAYS},
        {1130, PAWL_ERR_AUTH, NOT_DONE, STAYS}, /* not from this host */
        {1129, PAWL_ERR_AUTH, NOT_DONE, STAYS}, /* this host failed too often */
        {1370, PAWL_ERR_PERMISSION, NOT_DONE, STAYS},
        {1044, PAWL_ERR_PERMISSION, NOT_DONE, STAYS},      /* of the database */
        {1142, PAWL_ERR_PERMISSION, NOT_DONE, STAYS},      /* of the table */
        {1049, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE}, /* the database is gone */
        {1146, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE},
        {1305, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE}, /* the procedure is gone */
        {1318, PAWL_ERR_VERSION, NOT_DONE, ELSEWHERE},     /* it is another pawl's */
        {1021, PAWL_ERR_STORE_FULL, NOT_DONE, STAYS},      /* the disk */
        {1114, PAWL_ERR_STORE_FULL, NOT_DONE, STAYS},      /* the table */
        {1041, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS},      /* no memory at the server */
        {1040, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE}, /* too many connections */
        {1203, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE}, /* of this user */
        {1234, PAWL_ERR_PROTOCOL, DONE_PERHAPS, STAYS},    /* of which pawl knows nothing */
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char message[PAWL_MESSAGE_MAX];
        const pawl__mariadb_error error = {known[i].number, "HY000", "its\nwords"};
        pawl__mariadb_trouble trouble = pawl__mariadb_explain("mysql://h/d", &error, message);
        if (trouble.err != known[i].err || trouble.maybe_done != known[i].maybe_done ||
            trouble.reconnect != known[i].reconnect)
            fail_msg("error %u: %s, maybe done %d, connects anew %d", known[i].number,
                     pawl_err_name(trouble.err), trouble.maybe_done, trouble.reconnect);
        assert_null(strchr(message, '\n'));
    }
    const pawl__mariadb_error raised = {1644, "PW014", "no fence is left"};
    char message[PAWL_MESSAGE_MAX];
    assert_int_equal(pawl__mariadb_explain("x", &raised, message).err, PAWL_ERR_CORRUPT);
}

static void a_password_file_is_read(void **state)
{
    char *dir = temp_dir_new("pawl-mariadb"), file[200], message[PAWL_MESSAGE_MAX];
    pawl__mariadb_config *config;
    (void)state;
    snprintf(file, sizeof file, "%s/password", dir);
    FILE *out = fopen(file, "we");
    CHECK(out && fputs("secret\n", out) >= 0 && fclose(out) == 0);
    pawl_url url = {.options = {{"password_file", file}}, .option_count = 1};
    assert_int_equal(init(&url, &config, message), 0);
    assert_string_equal(config->password_file, file);
    pawl__mariadb_config_unref(config);
    temp_dir_free(dir);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_address_becomes_a_config),
        cmocka_unit_test(a_socket_and_no_database_have_their_defaults),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(each_error_is_classed),
        cmocka_unit_test(a_password_file_is_read),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
