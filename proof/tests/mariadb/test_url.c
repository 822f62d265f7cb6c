/* SPDX-License-Identifier: MIT */
/* What addresses mean, and which are refused; what errors of the server mean. No server. */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/repeated.h"
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
        {{.options = {{"ssl\nmode", "on"}}, .option_count = 1}, PAWL_ERR_OPTION, "unknown option"},
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
        assert_null(strchr(message, '\n'));
    }
}

static void the_last_that_fits_and_the_first_that_does_not(void **state)
{
    char hosts[200] = "a";
    (void)state;
    for (int more = 0; more < 2; more++) {
        int bad_url = more ? PAWL_ERR_URL : PAWL_OK, bad_option = more ? PAWL_ERR_OPTION : PAWL_OK;
        size_t extra = (size_t)more;
        while (strlen(hosts) < 2 * (PAWL__MARIADB_HOSTS_MAX + extra) - 1) strcat(hosts, ",a");
        const struct {
            pawl_url url;
            int err;
        } cases[] = {
            {{.path = repeated("/", 'd', 1 + PAWL__MARIADB_NAME_MAX + extra)}, bad_url},
            {{.options = {{"ssl_ca", repeated("/", 'c', 4096 + extra)}}, .option_count = 1},
             bad_option},
            {{.options = {{"connect_timeout_ms", more ? "9" : "10"}}, .option_count = 1},
             bad_option},
            {{.options = {{"connect_timeout_ms", more ? "600001" : "600000"}}, .option_count = 1},
             bad_option},
            {{.options = {{"connect_timeout_ms", more ? "" : "77"}}, .option_count = 1},
             bad_option},
            {{.options = {{"connect_timeout_ms", more ? "77s" : "000000077"}}, .option_count = 1},
             bad_option},
            {{.options = {{"connect_timeout_ms", "0000000077"}}, .option_count = extra},
             bad_option},
            {{.host = hosts}, bad_url},
            {{.host = more ? "a:65536,b" : "a:65535,b"}, bad_url},
            {{.host = more ? "a:0,b" : "a:1,b"}, bad_url},
            {{.host = more ? "a:-1,b" : "a,b"}, bad_url},
            {{.host = more ? "a:1x,b" : "[::1]:1,b"}, bad_url},
            {{.host = more ? "a,," : "a,b"}, bad_url},
            {{.path = more ? "/a b" : "/a_B9$-"}, bad_url},
            {{.path = more ? "a" : "/a"}, bad_url},
            {{.options = {{"ssl", more ? "" : "off"}}, .option_count = 1}, bad_option},
        };
        for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            pawl__mariadb_config *config = NULL;
            char message[PAWL_MESSAGE_MAX];
            if (init(&cases[i].url, &config, message) != cases[i].err)
                fail_msg("%zu: one more %d: not %s", i, more, pawl_err_name(cases[i].err));
            pawl__mariadb_config_unref(config);
        }
    }
}

/* What is asked of TLS, and what else is named. */
static void tls_is_as_strict_as_it_is_asked_to_be(void **state)
{
    static const struct {
        const char *key, *value, *ssl;
        int tls;
    } cases[] = {
        {NULL, NULL, NULL, PAWL__MARIADB_TLS_OFF},
        {NULL, NULL, "off", PAWL__MARIADB_TLS_OFF},
        {NULL, NULL, "on", PAWL__MARIADB_TLS_ON},
        {NULL, NULL, "verify", PAWL__MARIADB_TLS_VERIFY},
        {"ssl_ca", "/x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"ssl_capath", "/x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"ssl_cert", "/x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"ssl_key", "/x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"ssl_crl", "/x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"ssl_cipher", "x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"tls_version", "x", NULL, PAWL__MARIADB_TLS_VERIFY},
        {"ssl_ca", "/x", "on", PAWL__MARIADB_TLS_ON},
        {"ssl_ca", "/x", "verify", PAWL__MARIADB_TLS_VERIFY},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        pawl__mariadb_config *config = NULL;
        char message[PAWL_MESSAGE_MAX];
        pawl_url url = {.host = "h"};
        if (cases[i].key)
            url.options[url.option_count++] = (pawl_url_option){cases[i].key, cases[i].value};
        if (cases[i].ssl) url.options[url.option_count++] = (pawl_url_option){"ssl", cases[i].ssl};
        assert_int_equal(init(&url, &config, message), PAWL_OK);
        assert_int_equal(config->tls, cases[i].tls);
        int named = 0;
        for (int w = 0; w < PAWL__MARIADB_WORD_COUNT; w++)
            if (config->words[w]) named += strcmp(config->words[w], cases[i].value) == 0;
        assert_int_equal(named, cases[i].key ? 1 : 0);
        pawl__mariadb_config_unref(config);
    }
}

/* The numbers are those of the servers' own lists. */
static void each_error_is_classed(void **state)
{
    enum { DONE_PERHAPS = 1, NOT_DONE = 0 };
    enum { ELSEWHERE = 1, STAYS = 0 }; /* whether the connection is given up for another one */
    enum { STOPPED = 1 };              /* the statement alone was ended */
    static const struct {
        unsigned number;
        int err, maybe_done, reconnect, was_stopped;
    } known[] = {
        {1213, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0}, /* a deadlock; Galera's certification */
        {1205, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0}, /* a row that was waited for too long */
        {1020, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0}, /* a row has changed since it was read */
        {1047, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0}, /* Galera: the node is not prepared */
        {1180, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0},  /* in the middle of a commit */
        {1317, PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS, STOPPED}, /* KILL QUERY */
        {1969, PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS, STOPPED}, /* max_statement_time */
        {3024, PAWL_ERR_STORE_BUSY, DONE_PERHAPS, STAYS, STOPPED}, /* max_execution_time */
        {1290, PAWL_ERR_READONLY, NOT_DONE, ELSEWHERE, 0},
        {1792, PAWL_ERR_READONLY, NOT_DONE, ELSEWHERE, 0},
        {1836, PAWL_ERR_READONLY, NOT_DONE, ELSEWHERE, 0},
        {1665, PAWL_ERR_UNSUPPORTED, NOT_DONE, ELSEWHERE, 0},     /* binlog_format is STATEMENT */
        {1053, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0}, /* the server shuts down */
        {1927, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0}, /* KILL */
        {4031, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0}, /* idle for too long */
        {2000, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0}, /* the library's first */
        {2006, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0}, /* the connection is gone */
        {2008, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0},
        {2013, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0},
        {2026, PAWL_ERR_TLS, DONE_PERHAPS, ELSEWHERE, 0},
        {5000, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0}, /* libmariadb's own */
        {5999, PAWL_ERR_UNAVAILABLE, DONE_PERHAPS, ELSEWHERE, 0},
        {1062, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0}, /* two have made the same row */
        {1412, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0}, /* the table was changed meanwhile */
        {1045, PAWL_ERR_AUTH, NOT_DONE, STAYS, 0},
        {1698, PAWL_ERR_AUTH, NOT_DONE, STAYS, 0},
        {1130, PAWL_ERR_AUTH, NOT_DONE, STAYS, 0}, /* not from this host */
        {1129, PAWL_ERR_AUTH, NOT_DONE, STAYS, 0}, /* this host failed too often */
        {2059, PAWL_ERR_AUTH, NOT_DONE, STAYS, 0}, /* a way to log in that is not known */
        {1370, PAWL_ERR_PERMISSION, NOT_DONE, STAYS, 0},
        {1044, PAWL_ERR_PERMISSION, NOT_DONE, STAYS, 0}, /* of the database */
        {1142, PAWL_ERR_PERMISSION, NOT_DONE, STAYS, 0}, /* of the table */
        {1143, PAWL_ERR_PERMISSION, NOT_DONE, STAYS, 0}, /* of a column */
        {1227, PAWL_ERR_PERMISSION, NOT_DONE, STAYS, 0},
        {1449, PAWL_ERR_PERMISSION, NOT_DONE, STAYS, 0},      /* who made the procedures is gone */
        {1049, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0}, /* the database is gone */
        {1146, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0},
        {1305, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0}, /* the procedure is gone */
        {1318, PAWL_ERR_VERSION, NOT_DONE, ELSEWHERE, 0},     /* it is another pawl's */
        {1054, PAWL_ERR_VERSION, NOT_DONE, ELSEWHERE, 0},
        {1021, PAWL_ERR_STORE_FULL, NOT_DONE, STAYS, 0},      /* the disk */
        {1114, PAWL_ERR_STORE_FULL, NOT_DONE, STAYS, 0},      /* the table */
        {1037, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0},      /* no memory at the server */
        {1038, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0},      /* none to sort */
        {1041, PAWL_ERR_STORE_BUSY, NOT_DONE, STAYS, 0},      /* none at all */
        {1040, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0}, /* too many connections */
        {1203, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0}, /* of this user */
        {1226, PAWL_ERR_UNAVAILABLE, NOT_DONE, ELSEWHERE, 0}, /* of this user, in an hour */
        {1234, PAWL_ERR_PROTOCOL, DONE_PERHAPS, STAYS, 0},    /* of which pawl knows nothing */
        {1999, PAWL_ERR_PROTOCOL, DONE_PERHAPS, STAYS, 0},    /* just before the library's */
        {6000, PAWL_ERR_PROTOCOL, DONE_PERHAPS, STAYS, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        char message[PAWL_MESSAGE_MAX];
        const pawl__mariadb_error error = {known[i].number, "HY000", "its\nwords"};
        pawl__mariadb_trouble trouble = pawl__mariadb_explain("mysql://h/d", &error, message);
        if (trouble.err != known[i].err || trouble.maybe_done != known[i].maybe_done ||
            trouble.reconnect != known[i].reconnect ||
            pawl__mariadb_was_stopped(&error) != known[i].was_stopped)
            fail_msg("error %u: %s, maybe done %d, connects anew %d, was stopped %d",
                     known[i].number, pawl_err_name(trouble.err), trouble.maybe_done,
                     trouble.reconnect, pawl__mariadb_was_stopped(&error));
        assert_int_equal(trouble.was_stopped, known[i].was_stopped);
        assert_null(strchr(message, '\n'));
    }
    const pawl__mariadb_error none = {0, "00000", ""};
    assert_false(pawl__mariadb_was_stopped(&none));
}

static void an_error_says_who_says_it_and_what_to_do(void **state)
{
    static const struct {
        pawl__mariadb_error error;
        int err;
        const char *says;
    } told[] = {
        {{1644, "PW014", "no fence"}, PAWL_ERR_CORRUPT, "x: the server says: no fence (1644)"},
        {{1644, "PW000", "?"}, PAWL_ERR_PROTOCOL, "x: the server says: ? (1644)"},
        {{2013, "HY000", "gone"}, PAWL_ERR_UNAVAILABLE, "x: gone (2013)"},
        {{1142, "42000", "no"},
         PAWL_ERR_PERMISSION,
         "x: the server says: no (1142); pawl schema mariadb prints the rights that a user needs"},
        {{1290, "HY000", "no"},
         PAWL_ERR_READONLY,
         "x: the server says: no (1290); connect to the primary"},
        {{1318, "42000", "no"},
         PAWL_ERR_VERSION,
         "x: the server says: no (1318); is the schema that of another pawl?"},
        {{1665, "HY000", "no"},
         PAWL_ERR_UNSUPPORTED,
         "x: the server says: no (1665); let binlog_format be MIXED or ROW"},
    };
    char message[PAWL_MESSAGE_MAX];
    (void)state;
    for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
        pawl__mariadb_trouble trouble = pawl__mariadb_explain("x", &told[i].error, message);
        assert_int_equal(trouble.err, told[i].err);
        assert_string_equal(message, told[i].says);
        if (told[i].error.state[0] != 'P') continue;
        assert_false(trouble.maybe_done || trouble.reconnect || trouble.was_stopped);
    }
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
        cmocka_unit_test(the_last_that_fits_and_the_first_that_does_not),
        cmocka_unit_test(tls_is_as_strict_as_it_is_asked_to_be),
        cmocka_unit_test(each_error_is_classed),
        cmocka_unit_test(an_error_says_who_says_it_and_what_to_do),
        cmocka_unit_test(a_password_file_is_read),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
