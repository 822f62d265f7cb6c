/* SPDX-License-Identifier: MIT */
/* Goal: every URL is either understood or refused with a line that says what is wrong and where. */
#include "runtime/redact.h"
#include "runtime/url.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pawl__address *good(const char *text)
{
    pawl__address *address = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    int err = pawl__address_parse(text, &address, message);
    if (err) fail_msg("%s: %s", text, message);
    return address;
}

static void expect(const char *part, const char *got, const char *wanted)
{
    if (!got != !wanted || (got && strcmp(got, wanted) != 0))
        fail_msg("%s: \"%s\", not \"%s\"", part, got ? got : "NULL", wanted ? wanted : "NULL");
}

static void test_all_parts(void **state)
{
    (void)state;
    pawl__address *a = good("redis://us%65r:p%40ss%3a@host.example:6380/3?prefix=a%26b:&x=1+2");
    const pawl_url *url = pawl__address_url(a);
    expect("scheme", url->scheme, "redis");
    expect("user", url->user, "user");
    expect("password", url->password, "p@ss:");
    expect("host", url->host, "host.example");
    assert_int_equal(url->port, 6380);
    expect("path", url->path, "/3");
    assert_int_equal(url->option_count, 2);
    expect("key", url->options[0].key, "prefix");
    expect("value", url->options[0].value, "a&b:");
    expect("value", url->options[1].value, "1+2");
    expect("redacted", url->redacted, "redis://us%65r:***@host.example:6380/3?prefix=a%26b:&x=1+2");
    pawl__address_free(a);
}

static void test_absent_parts(void **state)
{
    (void)state;
    pawl__address *a = good("redis://localhost");
    const pawl_url *url = pawl__address_url(a);
    expect("user", url->user, NULL);
    expect("password", url->password, NULL);
    assert_int_equal(url->port, -1);
    expect("path", url->path, "");
    assert_int_equal(url->option_count, 0);
    pawl__address_free(a);
}

static void test_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host, *path;
    } forms[] = {
        {"memory:", "memory", NULL, ""},
        {"memory:shop", "memory", NULL, "shop"},
        {"sqlite:", "sqlite", NULL, ""},
        {"sqlite:/var/lib/locks.db", "sqlite", NULL, "/var/lib/locks.db"},
        {"sqlite:///var/lib/locks.db", "sqlite", NULL, "/var/lib/locks.db"},
        {"sqlite:rel/locks.db", "sqlite", NULL, "rel/locks.db"},
        {"sqlite:/a%20b/locks.db", "sqlite", NULL, "/a b/locks.db"},
        {"redis+unix:///run/redis.sock?db=2", "redis+unix", NULL, "/run/redis.sock"},
        {"REDIS://h", "redis", "h", ""},
        {"redis://[::1]:7000", "redis", "::1", ""},
        {"redis://[::]:7000", "redis", "::", ""},
        {"redis://[1111:2222:3333:4444:5555:6666:7777:8888]", "redis",
         "1111:2222:3333:4444:5555:6666:7777:8888", ""},
        {"redis://[0000:0000:0000:0000:0000:ffff:255.255.255.255]", "redis",
         "0000:0000:0000:0000:0000:ffff:255.255.255.255", ""},
        {"redis://10.0.0.5/", "redis", "10.0.0.5", "/"},
        {"redis://under_score", "redis", "under_score", ""},
        {"redis://h:", "redis", "h", ""},
        {"redis://:7000", "redis", NULL, ""},
        {"redis://@h/a%40c", "redis", "h", "/a@c"},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        pawl__address *a = good(forms[i].text);
        expect("scheme", pawl__address_url(a)->scheme, forms[i].scheme);
        expect("host", pawl__address_url(a)->host, forms[i].host);
        expect("path", pawl__address_url(a)->path, forms[i].path);
        pawl__address_free(a);
    }
}

/* Their list goes to the store as it is written: the port of the URL is that of a single host. */
static void test_several_hosts(void **state)
{
    (void)state;
    static const char *const lists[] = {"a:1,b:2", "a,b", "a,b:2", "[::1]:7000,[::2],c",
                                        "a,",      ",b"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        char text[64];
        snprintf(text, sizeof text, "x://u:p@%s/d", lists[i]);
        pawl__address *a = good(text);
        expect("host", pawl__address_url(a)->host, lists[i]);
        expect("user", pawl__address_url(a)->user, "u");
        expect("path", pawl__address_url(a)->path, "/d");
        assert_int_equal(pawl__address_url(a)->port, -1);
        pawl__address_free(a);
    }
}

static void test_password_alone(void **state)
{
    (void)state;
    pawl__address *a = good("redis://:secret@h");
    expect("user", pawl__address_url(a)->user, NULL);
    expect("password", pawl__address_url(a)->password, "secret");
    expect("redacted", pawl__address_url(a)->redacted, "redis://:***@h");
    pawl__address_free(a);
}

static void test_refusals_say_what_and_where(void **state)
{
    (void)state;
    static const struct {
        const char *text, *says;
        int err;
    } bad[] = {
        {"", "begins with its scheme", PAWL_ERR_URL},
        {"localhost", "begins with its scheme", PAWL_ERR_URL},
        {"/path", "begins with its scheme", PAWL_ERR_URL},
        {":x", "begins with its scheme", PAWL_ERR_URL},
        {"9redis://h", "scheme begins with a letter; wrong at character 1", PAWL_ERR_URL},
        {"re_dis://h", "at character 3", PAWL_ERR_URL},
        {"r_edis://h", "at character 2", PAWL_ERR_URL},
        {"redis://h o", "a space, which must be written %20, at character 10", PAWL_ERR_URL},
        {"redis://h/%4", "% without two hex digits at character 11", PAWL_ERR_URL},
        {"redis://h/%g1", "% without two hex digits at character 11", PAWL_ERR_URL},
        {"redis://h/%1g", "% without two hex digits at character 11", PAWL_ERR_URL},
        {"redis://h/%zz", "% without two hex digits at character 11", PAWL_ERR_URL},
        {"redis://h/a%00b", "%00 (a NUL) is not allowed at character 12", PAWL_ERR_URL},
        {"redis://h/a#b", "%23", PAWL_ERR_URL},
        {"redis://h/\"", "byte 0x22, which must be written %22, at character 11", PAWL_ERR_URL},
        {"redis://h/\xc3\xa4", "byte 0xC3, which must be written %C3, at character 11",
         PAWL_ERR_URL},
        {"redis://h/a\tb", "byte 0x09", PAWL_ERR_URL},
        {"redis://h:x", "a port that is no number at character 11", PAWL_ERR_URL},
        {"redis://h:6379x/1", "a port that is no number at character 15", PAWL_ERR_URL},
        {"redis://h:0", "a port that is not between 1 and 65535", PAWL_ERR_URL},
        {"redis://h:65536", "a port that is not between 1 and 65535", PAWL_ERR_URL},
        {"redis://h:655350", "a port that is not between 1 and 65535", PAWL_ERR_URL},
        {"redis://h:99999999999999", "a port that is not between 1 and 65535", PAWL_ERR_URL},
        {"redis://::1", "more than one : after the host", PAWL_ERR_URL},
        {"x://a:1,b:x", "a port that is no number at character 11", PAWL_ERR_URL},
        {"x://a:0,b:1", "a port that is not between 1 and 65535", PAWL_ERR_URL},
        {"x://a,::1", "more than one : after the host", PAWL_ERR_URL},
        {"x://a,[::1", "whose ] is missing", PAWL_ERR_URL},
        {"x://a,[b]:1", "in [ ] is no IPv6 address", PAWL_ERR_URL},
        {"x://a,b[:1", "whose ] is missing", PAWL_ERR_URL},
        {"x://a,b]:1", "must be written %5B or %5D, at character 8", PAWL_ERR_URL},
        {"redis://[::1", "whose ] is missing", PAWL_ERR_URL},
        {"redis://@h/a@c", "an @ behind the host: it is written %40", PAWL_ERR_URL},
        {"redis://u:1/2@h", "in a password / is %2F and ? is %3F", PAWL_ERR_URL},
        {"redis://[]", "in [ ] is no IPv6 address", PAWL_ERR_URL},
        {"redis://[10.0.0.5]", "in [ ] is no IPv6 address", PAWL_ERR_URL},
        {"redis://[1]", "in [ ] is no IPv6 address", PAWL_ERR_URL},
        {"redis://[::1", "whose ] is missing", PAWL_ERR_URL},
        {"redis://[1111:2222:3333:4444:5555:6666:7777:8888:9999:aaaa]", "is no IPv6 address",
         PAWL_ERR_URL},
        {"redis://[::1]x:1", "in [ ] is no IPv6 address", PAWL_ERR_URL},
        {"redis://[fe80::1%25eth0]", "in [ ] is no IPv6 address", PAWL_ERR_URL},
        {"redis://h]", "must be written %5B or %5D, at character 10", PAWL_ERR_URL},
        {"redis://u[:p@h", "must be written %5B or %5D, at character 10", PAWL_ERR_URL},
        {"redis://h/[a]", "must be written %5B or %5D, at character 11", PAWL_ERR_URL},
        {"redis://[::1]/?a=]", "must be written %5B or %5D, at character 18", PAWL_ERR_URL},
        {"redis://a@b@h", "more than one @", PAWL_ERR_URL},
        {"redis://h?a", "option 1 is not key=value", PAWL_ERR_OPTION},
        {"redis://h?=1", "option 1 is not key=value", PAWL_ERR_OPTION},
        {"redis://h?a=1&a=2", "\"a\" stands there twice", PAWL_ERR_OPTION},
        {"redis://h?a=1&%61=2", "\"a\" stands there twice", PAWL_ERR_OPTION},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        pawl__address *address = NULL;
        char message[PAWL_MESSAGE_MAX] = "";
        int err = pawl__address_parse(bad[i].text, &address, message);
        if (err != bad[i].err)
            fail_msg("\"%s\": %s, not %s", bad[i].text, pawl_err_name(err),
                     pawl_err_name(bad[i].err));
        assert_null(address);
        if (!strstr(message, bad[i].says))
            fail_msg("\"%s\": \"%s\" does not say \"%s\"", bad[i].text, message, bad[i].says);
        assert_null(strchr(message, '\n'));
    }
}

static void test_no_message_shows_a_password(void **state)
{
    (void)state;
    static const char *const urls[] = {
        "redis://u:hunter2@h:x",
        "redis://u:hunter2@h h",
        "redis://:hunter2@h?a",
        "redis://u:hun@ter2@h:x",
        "redis://u:hunter2@h?a=1&a=2",
        "redis://h:x?password=hunter2",
        "redis://h:x?a=1&password=hunter2&b=2",
        /* Bare / ? and @ in a password: what follows is no path and no option. */
        "redis://u:1/hunter2@h",
        "redis://u:1?hunter2@h",
        "redis://u:1?hunter2=x&hunter2=y@h",
        "redis://u:p@s?hunter2@h",
        /* Slashes too few or too many, no scheme, no colon. */
        "redis:/:hunter2@h",
        "redis:hunter2@h",
        "redis:/hunter2@h",
        "redis:///hunter2@h",
        "redis:///:hunter2@h",
        "redis//:hunter2@h",
        "hunter2@h",
        ":hunter2@h:6379",
        "user:hunter2@h",
        "redis://hunter2@h:x",
        "redis://h/hunter2@x",
        "nosuch+x://hunter2@h:x",
        /* The host is forgotten. */
        "redis://:hunter2",
        "redis://user:hunter2",
        "redis://user:hun/hunter2",
        "redis://:1@h:hunter2",
        "postgres://h:1,user:hunter2",
        "etcd://:1@h:2,i:hunter2,j:3",
        "zookeeper://h:1,i:hunter2/x",
        /* Options by other names, without a value, without a name; an @ in one. */
        "redis://h:x?PASSWORD=hunter2",
        "redis://h:x?pas%73=hunter2",
        "redis://h:x?auth_token=hunter2",
        "redis://h:x?hunter2",
        "redis://h?hunter2",
        "redis://h:x?=hunter2",
        "redis://h:x?password=a@hunter2",
        "redis://h:x?password=hunter2@a",
        "sqlite:/x?password=hunter2&b",
        "redis+unix:/:hunter2@/sock[",
    };
    for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
        pawl__address *address = NULL;
        char message[PAWL_MESSAGE_MAX] = "";
        assert_int_not_equal(pawl__address_parse(urls[i], &address, message), 0);
        if (strstr(message, "hunter2") || strstr(message, "ter2"))
            fail_msg("%s: %s", urls[i], message);
    }
}

static void test_what_is_no_password_is_shown(void **state)
{
    (void)state;
    static const struct {
        const char *url, *shown;
    } cases[] = {
        {"redis://h:6379/0?prefix=a:&db=1", "redis://h:6379/0?prefix=a:&db=1"},
        {"redis://user:pw@h:6379/0?prefix=a", "redis://user:***@h:6379/0?prefix=a"},
        {"redis://user@h", "redis://***@h"},
        {"redis://[::1]:7/1", "redis://[::1]:7/1"},
        {"redis://u:p@[::1]:7", "redis://u:***@[::1]:7"},
        {"sqlite:/home/a@b/x:y@z.db", "sqlite:/home/a@b/x:y@z.db"},
        {"sqlite:a@b.db?mode=0600", "sqlite:a@b.db?mode=0600"},
        {"redis+unix:///run/a@b.sock?db=1", "redis+unix:///run/a@b.sock?db=1"},
        {"redis+unix://u:pw@/run/sock", "redis+unix://u:***@/run/sock"},
        {"memory:a@b", "memory:a@b"},
        {"postgres://a:5432,b:5433/db", "postgres://a:5432,b:5433/db"},
        {"postgres://u:pw@a:1,[::1]:2,c/db", "postgres://u:***@a:1,[::1]:2,c/db"},
        {"postgresql://a:,b:/db", "postgresql://a:,b:/db"},
        {"mysql://a:1,b:2/db", "mysql://a:1,b:2/db"},
        {"mariadb://a,b:2", "mariadb://a,b:2"},
        {"etcd://u:pw@a:1,b:2/x", "etcd://u:***@a:1,b:2/x"},
        {"etcds://a:1,b:2?cacert=/c", "etcds://a:1,b:2?cacert=/c"},
        {"ZooKeeper://a:2181,b:2181,c:2181/x", "ZooKeeper://a:2181,b:2181,c:2181/x"},
        {"zk://a:2181,b:2181", "zk://a:2181,b:2181"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pawl__address *a = good(cases[i].url);
        expect("redacted", pawl__address_url(a)->redacted, cases[i].shown);
        pawl__address_free(a);
    }
}

static void test_secret_options_are_redacted(void **state)
{
    (void)state;
    pawl__address *a = good("redis://h?password=one&x=2&pass=three");
    expect("redacted", pawl__address_url(a)->redacted, "redis://h?password=***&x=2&pass=***");
    pawl__address_free(a);
    static const char *const files[][2] = {
        {"/run/p", "/run/p"}, {"%2fp", "%2fp"}, {"hunter2", "***"}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        char url[64], shown[64];
        snprintf(url, sizeof(url), "redis://h?password_file=%s", files[i][0]);
        snprintf(shown, sizeof(shown), "redis://h?password_file=%s", files[i][1]);
        a = good(url);
        expect("redacted", pawl__address_url(a)->redacted, shown);
        pawl__address_free(a);
    }
    static const char *const libpqs[][2] = {
        {"postgres://joe@h/db?passfile=/p", "postgres://joe@h/db?passfile=/p"},
        {"postgres://joe@h/db?passfile=p", "postgres://joe@h/db?passfile=***"}};
    for (size_t i = 0; i < sizeof(libpqs) / sizeof(libpqs[0]); i++) {
        a = good(libpqs[i][0]);
        expect("redacted", pawl__address_url(a)->redacted, libpqs[i][1]);
        pawl__address_free(a);
    }
}

/* So that it may be passed on. */
static void test_a_users_name_is_shown_where_it_can_be_nothing_else(void **state)
{
    static const char *const urls[][2] = {
        {"redis://joe@h?password_file=/p", "redis://joe@h?password_file=/p"},
        {"redis://joe@h?db=1&password_file=%2fp", "redis://joe@h?db=1&password_file=%2fp"},
        {"redis://joe:@h", "redis://joe:@h"},
        {"redis://joe:x@h?password_file=/p", "redis://joe:***@h?password_file=/p"},
        {"redis://joe@h?password_file=p", "redis://***@h?password_file=***"},
        {"redis://joe@h?xpassword_file=/p", "redis://***@h?xpassword_file=***"},
        {"redis://joe@h", "redis://***@h"},
        {"postgres://joe@h/db", "postgres://joe@h/db"},
        {"PostgreSQL://joe@/db?host=/run/x", "PostgreSQL://joe@/db?host=/run/x"},
        {"postgres://joe:x@h", "postgres://joe:***@h"},
        {"mysql://joe@h/db?socket=/s", "mysql://joe@h/db?socket=/s"},
        {"mariadb://joe:x@h", "mariadb://joe:***@h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        pawl__address *a = good(urls[i][0]);
        expect("redacted", pawl__address_url(a)->redacted, urls[i][1]);
        pawl__address_free(a);
    }
}

/* To the letter, whether it is a URL or not. */
static void test_what_is_hidden(void **state)
{
    static const char *const urls[][2] = {
        {"", ""},
        {"h2://u:pw@h", "h2://u:***@h"},
        {"//h:pw", "//h:***"},
        {"sqlite://u:pw@h", "sqlite://u:***@h"},
        {"foobar:a@b", "foobar:***@b"},
        {"longscheme:a@b", "longscheme:***@b"},
        {"x+unix:/a@b", "x+unix:/a@b"},
        {"redis://h:abc", "redis://h:***"},
        {"redis://h:1a/2", "redis://h:***"},
        {"redis://fe80::1:2/3", "redis://fe80::1:2/3"},
        {"redis://[::1]:x", "redis://[::1]:***"},
        {"etcd://a:1,b:x,c:2", "etcd://a:1,b:***"},
        {"redis://h?pas%73=x", "redis://h?pas%73=***"},
        {"redis://h?t%6fken=x&t%6Fken=y&%70wd=z", "redis://h?t%6fken=***&t%6Fken=***&%70wd=***"},
        {"redis://h?c%6=x&a%", "redis://h?c%6=x&***"},
        {"redis://h?PASSWORD=x&auth_x=y&my_cred=z",
         "redis://h?PASSWORD=***&auth_x=***&my_cred=***"},
        {"redis://h?secret=x&a=b", "redis://h?secret=***&a=b"},
        {"redis://h?x&=y&a=b", "redis://h?***&=***&a=b"},
        {"redis://h?a=b&", "redis://h?a=b&"},
        {"redis://joe@h?x", "redis://***@h?***"},
        {"redis://joe@h?&password_file=/p", "redis://joe@h?&password_file=/p"},
        {"redis://u:1?x=y@h", "redis://u:***"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
        char *shown = pawl__redact(urls[i][0]);
        expect(urls[i][0], shown, urls[i][1]);
        free(shown);
    }
    /* A word is seen at the end of a long key. */
    char url[128], wanted[128];
    snprintf(url, sizeof url, "redis://h?%094dtoken=x", 0);
    snprintf(wanted, sizeof wanted, "redis://h?%094dtoken=***", 0);
    char *shown = pawl__redact(url);
    expect(url, shown, wanted);
    free(shown);
}

static void test_bounds(void **state)
{
    (void)state;
    char message[PAWL_MESSAGE_MAX];
    pawl__address *address = NULL;
    static char text[6000];
    memset(text, 'a', sizeof text - 1);
    memcpy(text, "redis://", 8);
    assert_int_equal(pawl__address_parse(text, &address, message), PAWL_ERR_URL);
    assert_string_equal(message, "a URL of more than 4096 bytes");
    text[4097] = '\0';
    assert_int_equal(pawl__address_parse(text, &address, message), PAWL_ERR_URL);
    text[4096] = '\0';
    pawl__address_free(good(text));

    strncpy(text, "redis://h?", sizeof text);
    size_t used = 10;
    for (int i = 0; i < PAWL_URL_OPTIONS_MAX; i++)
        used += (size_t)snprintf(text + used, sizeof text - used, "%so%d=%d", i ? "&" : "", i, i);
    address = good(text);
    assert_int_equal(pawl__address_url(address)->option_count, PAWL_URL_OPTIONS_MAX);
    pawl__address_free(address);
    address = NULL;
    snprintf(text + used, sizeof text - used, "&one=more");
    assert_int_equal(pawl__address_parse(text, &address, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "more than 32 options"));
}

/* ASan looks at each test; this looks where nothing else does. */
static void test_nothing_is_left(void **state)
{
    static const char *const urls[] = {"redis://us%65r:p%40ss@h:6380/3?a=b&c=d",
                                       "memory:",
                                       "redis://h?a=1&a=2",
                                       "redis://h?a",
                                       "redis://h:x",
                                       "9"};
    (void)state;
    size_t before = 0;
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < sizeof urls / sizeof urls[0]; i++) {
            char message[PAWL_MESSAGE_MAX];
            pawl__address *address = NULL;
            pawl__address_parse(urls[i], &address, message);
            pawl__address_free(address);
        }
        if (round == 0) before = mallinfo2().uordblks; /* the first one may fill caches of libc's */
    }
    assert_int_equal(mallinfo2().uordblks, before);
}

static void test_unknown_option_names_the_known(void **state)
{
    (void)state;
    static const char *const known[] = {"prefix", "db", NULL};
    static const char *const none[] = {NULL};
    char message[PAWL_MESSAGE_MAX];
    pawl__address *a = good("redis://h?prefix=x&dbb=1");
    assert_int_equal(pawl__address_check_options(a, "redis", known, message), PAWL_ERR_OPTION);
    assert_string_equal(message, "the store redis has no option \"dbb\"; it has: prefix, db");
    assert_int_equal(pawl__address_check_options(a, "memory", none, message), PAWL_ERR_OPTION);
    assert_string_equal(message, "the store memory has no option \"prefix\"; it has: none");
    static const char *const short_one[] = {"x", NULL};
    assert_int_equal(pawl__address_check_options(a, "memory", short_one, message), PAWL_ERR_OPTION);
    assert_string_equal(message, "the store memory has no option \"prefix\"; it has: x");
    /* No word is cut where they are too many. */
    const char *many[41];
    for (size_t i = 0; i < 40; i++) many[i] = "a_long_name";
    many[40] = NULL;
    assert_int_equal(pawl__address_check_options(a, "talkative", many, message), PAWL_ERR_OPTION);
    const char *end = strstr(message, ", ...");
    assert_true(end && !end[strlen(", ...")]);
    assert_memory_equal(end - strlen("a_long_name"), "a_long_name", strlen("a_long_name"));
    pawl__address_free(a);
    a = good("redis://h?a%0ab=1"); /* what it quotes is mended */
    assert_int_equal(pawl__address_check_options(a, "redis", known, message), PAWL_ERR_OPTION);
    assert_string_equal(message, "the store redis has no option \"a?b\"; it has: prefix, db");
    pawl__address_free(a);
    assert_int_not_equal(pawl__address_parse("redis://h/\xc3\x28", &a, message), 0);
    assert_null(strchr(message, '\xc3'));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_parts),
        cmocka_unit_test(test_absent_parts),
        cmocka_unit_test(test_forms),
        cmocka_unit_test(test_several_hosts),
        cmocka_unit_test(test_password_alone),
        cmocka_unit_test(test_refusals_say_what_and_where),
        cmocka_unit_test(test_no_message_shows_a_password),
        cmocka_unit_test(test_what_is_no_password_is_shown),
        cmocka_unit_test(test_secret_options_are_redacted),
        cmocka_unit_test(test_a_users_name_is_shown_where_it_can_be_nothing_else),
        cmocka_unit_test(test_what_is_hidden),
        cmocka_unit_test(test_bounds),
        cmocka_unit_test(test_nothing_is_left),
        cmocka_unit_test(test_unknown_option_names_the_known),
    };
    mallopt(M_PERTURB, 0x5a); /* what is not written is not zero by chance */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
