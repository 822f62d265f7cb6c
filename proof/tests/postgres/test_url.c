/* SPDX-License-Identifier: MIT */
/* What addresses mean, and which are refused. No server. */
#define _GNU_SOURCE
#include "rig.h"

#include "stores/postgres/postgres_error.h"
#include "stores/postgres/postgres_url.h"

#include <string.h>

static int init(const pawl_url *url, pawl__postgres_config *config, char *message)
{
    pawl_url whole = *url;
    if (!whole.path) whole.path = "";
    if (!whole.port) whole.port = -1;
    whole.scheme = "postgres";
    whole.redacted = "postgres://it";
    return pawl__postgres_config_init(config, &whole, "me@host", 5000, message);
}

static const char *word(const pawl__postgres_config *config, const char *keyword)
{
    for (size_t i = 0; i < config->word_count; i++)
        if (strcmp(config->keywords[i], keyword) == 0) return config->values[i];
    return NULL;
}

static void an_address_becomes_words_for_libpq(void **state)
{
    pawl__postgres_config config;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.user = "u",
                    .password = "p",
                    .host = "a,b",
                    .path = "/locks",
                    .options = {{"sslmode", "verify-full"},
                                {"port", "5433,5434"},
                                {"schema", "mine"},
                                {"connect_timeout_ms", "700"}},
                    .option_count = 4};
    (void)state;
    assert_int_equal(init(&url, &config, message), 0);
    assert_string_equal(word(&config, "user"), "u");
    assert_string_equal(word(&config, "password"), "p");
    assert_string_equal(word(&config, "dbname"), "locks");
    assert_string_equal(word(&config, "sslmode"), "verify-full");
    assert_string_equal(word(&config, "target_session_attrs"), "read-write");
    assert_string_equal(word(&config, "application_name"), "pawl:me@host");
    assert_null(word(&config, "schema"));
    assert_string_equal(config.schema, "mine");
    assert_int_equal(config.connect_timeout_ms, 700);
    assert_int_equal(config.place_count, 2);
    assert_string_equal(config.places[1].host, "b");
    assert_string_equal(config.places[1].port, "5434");
    assert_null(strstr(config.where, "p@"));
    pawl__postgres_config_done(&config);
}

/* As long as the server's identifiers may be, and no longer. */
static void the_longest_schema_is_taken_whole(void **state)
{
    char name[PAWL__POSTGRES_NAME_MAX + 2] = "", message[PAWL_MESSAGE_MAX];
    pawl__postgres_config config;
    pawl_url url = {.host = "a", .path = "/l", .options = {{"schema", name}}, .option_count = 1};
    (void)state;
    memset(name, 's', PAWL__POSTGRES_NAME_MAX);
    assert_int_equal(init(&url, &config, message), 0);
    assert_string_equal(config.schema, name);
    pawl__postgres_config_done(&config);
    name[PAWL__POSTGRES_NAME_MAX] = 's';
    assert_int_equal(init(&url, &config, message), PAWL_ERR_OPTION);
}

/* As libpq reads them: each host has its own port, or libpq's. */
static void each_host_of_an_address_has_its_port(void **state)
{
    static const struct {
        const char *host, *port;
    } places[] = {{"a", "5433"}, {"b", NULL}, {"::1", "5434"}, {"::2", NULL},
                  {"[", NULL},   {"[c", "1"}, {"d]", NULL}};
    pawl__postgres_config config;
    char message[PAWL_MESSAGE_MAX];
    pawl_url url = {.host = "a:5433,b,[::1]:5434,[::2],[,[c:1,d]"};
    (void)state;
    assert_int_equal(init(&url, &config, message), 0);
    assert_int_equal(config.place_count, sizeof places / sizeof places[0]);
    for (size_t i = 0; i < config.place_count; i++) {
        const pawl__postgres_place *place = &config.places[i];
        assert_string_equal(place->host, places[i].host);
        assert_int_equal(!place->port, !places[i].port);
        if (place->port) assert_string_equal(place->port, places[i].port);
    }
    pawl__postgres_config_done(&config);
}

static void what_makes_no_sense_is_refused(void **state)
{
    static const struct {
        pawl_url url;
        int err;
        const char *part;
    } wrong[] = {
        {{.path = "locks"}, PAWL_ERR_URL, "expected postgres://"},
        {{.path = "/"
                  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"},
         PAWL_ERR_URL,
         "at most 63"},
        {{.options = {{"schema", "Bad"}}, .option_count = 1}, PAWL_ERR_OPTION, "small letters"},
        {{.options = {{"schema", "pg_x"}}, .option_count = 1}, PAWL_ERR_OPTION, "small letters"},
        {{.options = {{"schema", "a;b"}}, .option_count = 1}, PAWL_ERR_OPTION, "small letters"},
        {{.options = {{"options", "-c x=y"}}, .option_count = 1}, PAWL_ERR_OPTION, "unknown"},
        {{.options = {{"connect_timeout_ms", "5"}}, .option_count = 1}, PAWL_ERR_OPTION, "between"},
        {{.host = "a", .options = {{"host", "b"}}, .option_count = 1}, PAWL_ERR_OPTION, "twice"},
        {{.host = "a", .options = {{"port", "1,2"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "more ports"},
        {{.host = "a", .port = 1, .options = {{"port", "1"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "write ports behind the hosts"},
        {{.host = "[::1],[::2]", .options = {{"port", "1,2"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "write ports behind the hosts"},
        {{.host = "a:1,b", .options = {{"port", "1,2"}}, .option_count = 1},
         PAWL_ERR_OPTION,
         "write ports behind the hosts"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        pawl__postgres_config config;
        char message[PAWL_MESSAGE_MAX];
        assert_int_equal(init(&wrong[i].url, &config, message), wrong[i].err);
        if (!strstr(message, wrong[i].part)) FAIL_TEST("%s: %s", message, wrong[i].part);
    }
}

static void a_refusal_is_known_by_its_code_and_is_one_line(void **state)
{
    static const struct {
        const char *said;
        pawl_err err;
    } refusals[] = {
        {"connection to server at \"h\" failed: FATAL:  28P01: password authentication failed for "
         "user \"u\"\nLOCATION:  auth_failed, auth.c:338\n",
         PAWL_ERR_AUTH},
        {"connection to server at \"h\" failed: FATAL:  28P01: once\nconnection to server at \"h\" "
         "failed: FATAL:  28P01: once\n",
         PAWL_ERR_AUTH},
        {"FATAL:  53300: sorry, too many clients already\n", PAWL_ERR_STORE_BUSY},
        {"FATAL:  57P03: the database system is starting up\n", PAWL_ERR_LOADING},
        {"FATAL:  3D000: database \"x\" does not exist\n", PAWL_ERR_URL},
        {"connection to server on socket \"/s\" failed: session is read-only\n", PAWL_ERR_READONLY},
        {"connection to server at \"h\" failed: server does not support SSL, but SSL was "
         "required\n",
         PAWL_ERR_TLS},
        {"connection failed: Connection refused\n\tIs the server running?\n", PAWL_ERR_UNAVAILABLE},
        {"invalid sslmode value: \"x\"\n", PAWL_ERR_OPTION},
        {"connection failed: FATAL:  the database system is in hot standby\n", PAWL_ERR_READONLY},
        {"root certificate file \"/x\" does not exist\n", PAWL_ERR_TLS},
        {"private key file \"/x\" has group or world access\n", PAWL_ERR_TLS},
        {"connection failed: fe_sendauth: no password supplied\n", PAWL_ERR_AUTH},
        {"authentication method 99 not supported\n", PAWL_ERR_AUTH},
        {"definition of service \"x\" not found\n", PAWL_ERR_OPTION},
        {"service file \"/x\" not found\n", PAWL_ERR_OPTION},
        {"FATAL:  28P0: no code\n", PAWL_ERR_UNAVAILABLE},
        {"FATAL:  28p01: no code\n", PAWL_ERR_UNAVAILABLE},
        {"at:  two places: FATAL:  42501: the second has a code\n", PAWL_ERR_PERMISSION},
    };
    (void)state;
    for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
        char message[PAWL_MESSAGE_MAX];
        pawl_err err = pawl__postgres_explain_refusal("here", refusals[i].said, message);
        assert_int_equal(err, refusals[i].err);
        assert_null(strchr(message, '\n'));
        assert_null(strstr(message, "LOCATION"));
        const char *once = strstr(message, "once"); /* what is said twice is shown once */
        assert_true(!once || !strstr(once + 1, "once"));
    }
}

static void what_libpq_says_becomes_one_line(void **state)
{
    char message[PAWL_MESSAGE_MAX];
    (void)state;
    pawl__postgres_explain_loss("here", "first\n\thint\n\nsecond\nLOCATION:  x\nthird", message);
    assert_string_equal(message, "here: first; second; third");
    pawl__postgres_explain_loss("here", "one\ntwo\none\non\none", message);
    assert_string_equal(message, "here: one; two; on"); /* what is told twice is told once */
    pawl__postgres_explain_loss("here", "\n", message);
    assert_string_equal(message, "here: the connection is gone");
    pawl__postgres_explain_loss("here", "a\x1b[2J", message);
    assert_string_equal(message, "here: a?[2J");
    (void)pawl__postgres_explain_refusal("here", "a\x1b[2J", message);
    assert_string_equal(message, "here: a?[2J");
    (void)pawl__postgres_explain_refusal("here", "FATAL:  25006: read-only\n", message);
    assert_string_equal(message, "here: FATAL:  25006: read-only; connect to the primary");
    (void)pawl__postgres_explain_refusal("here", "FATAL:  42501: no\n", message);
    assert_string_equal(message, "here: FATAL:  42501: no");
    char longer[2 * PAWL_MESSAGE_MAX];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    for (size_t at = 0; at < 1000; at += 100) { /* each line another one */
        longer[at] = (char)('a' + at / 100);
        longer[at + 99] = '\n';
    }
    pawl__postgres_explain_loss("here", longer, message);
    assert_true(strlen(message) > 300 && strlen(message) < PAWL_MESSAGE_MAX);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(an_address_becomes_words_for_libpq),
        cmocka_unit_test(the_longest_schema_is_taken_whole),
        cmocka_unit_test(each_host_of_an_address_has_its_port),
        cmocka_unit_test(what_makes_no_sense_is_refused),
        cmocka_unit_test(a_refusal_is_known_by_its_code_and_is_one_line),
        cmocka_unit_test(what_libpq_says_becomes_one_line),
    };
    check_cases_run_here();
    return cmocka_run_group_tests(cases, NULL, NULL);
}
