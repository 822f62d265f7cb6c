/* SPDX-License-Identifier: MIT */
/* Which store an app.conf, or the cache module's JSON, means; through the public header. */
#define _GNU_SOURCE /* setenv, program_invocation_name */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "pawl/config.h"
#include "temp_dir.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))

static char *dir;

static int set_up(void **state)
{
    (void)state;
    unsetenv("BEEGO_RUNMODE");
    dir = temp_dir_new("pawl-config");
    return chdir(dir) || mkdir("conf", 0700);
}

static int tear_down(void **state)
{
    (void)state;
    if (chdir("/")) return -1;
    temp_dir_free(dir);
    return 0;
}

static void put(const char *path, const char *text)
{
    FILE *file = fopen(path, "we");
    assert_non_null(file);
    fputs(text, file);
    assert_int_equal(fclose(file), 0);
}

static pawl_config *load(const char *text)
{
    pawl_config *config = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    put("conf/app.conf", text);
    int err = pawl_config_load("conf/app.conf", &config, message);
    if (err) fail_msg("%s", message);
    return config;
}

/* ---- The store ------------------------------------------------------------------------------ */

static void stores_that_files_choose(void **state)
{
    (void)state;
    static const struct {
        const char *text, *url;
    } cases[] = {
        {"pawlstore = sqlite:/var/lib/x.db", "sqlite:/var/lib/x.db"},
        {"pawlstore = redis://h\nadapter = memory", "redis://h"},
        {"[cache]\npawlstore = redis://h", "redis://h"},
        {"runmode = dev\npawlstore = redis://h\n[dev]\npawlstore = memory:", "memory:"},
        {"runmode = dev\npawlstore = redis://h\n[dev]\npawlstore =", "redis://h"},
        {"pawlstore = redis://h\n[dev]\npawlstore = memory:", "redis://h"},
        {"[prod]\npawlstore = memory:", "memory:"}, /* prod is Beego's default */
        /* the tutorial's keys */
        {"adapter = redis\nconn = 127.0.0.1:6379\ndbnum = 0", "redis://127.0.0.1:6379/0"},
        {"[cache]\nadapter = redis\nconn = 127.0.0.1:6379\ndbNum = 3", "redis://127.0.0.1:6379/3"},
        {"cache = redis\nconn = 127.0.0.1:6379", "redis://127.0.0.1:6379"},
        {"cache = redis\nadapter = redis\nconn = \"127.0.0.1:6379\"", "redis://127.0.0.1:6379"},
        {"cache = true\nadapter = redis\nconn = h:1", "redis://h:1"},
        {"conn = h:1", "redis://h:1"},
        {"conn = h", "redis://h"},
        {"conn = :6379", "redis://127.0.0.1:6379"},
        {"conn = [::1]:6379", "redis://[::1]:6379"},
        {"conn = redis://h:6379", "redis://h:6379"},
        {"conn = redis://h:6379/", "redis://h:6379"},
        {"conn = redis://h:6379/4", "redis://h:6379/4"},
        {"conn = redis://secret@h:6379", "redis://:secret@h:6379"},
        {"conn = redis://:secret@h:6379", "redis://:secret@h:6379"},
        {"conn = redis://user:secret@h:6379", "redis://user:secret@h:6379"},
        {"conn = se@cr/et?@h:6379", "redis://:se%40cr%2Fet%3F@h:6379"},
        {"conn = h:1\npassword = a b:c/d@e%", "redis://:a%20b%3Ac%2Fd%40e%25@h:1"},
        {"conn = h:1\npassword =", "redis://h:1"},
        {"conn = h:1\nkey = of something else", "redis://h:1"},
        {"[cache]\nconn = h:1\nkey = my app", "redis://h:1?prefix=my%20app%3A"},
        {"conn = /run/redis.sock", "redis+unix:///run/redis.sock"},
        {"[cache]\nconn = /run/redis.sock\ndbnum = 2\nkey = k\npassword = p",
         "redis+unix://:p@/run/redis.sock?db=2&prefix=k%3A"},
        {"conn = redis+unix:///run/redis.sock?db=1", "redis+unix:///run/redis.sock?db=1"},
        {"conn = rediss://h", "rediss://h"},
        {"adapter = memory", "memory:"},
        {"conn = h:1\n[prod]\npawlstore = memory:", "memory:"},
        {"adapter = file", "sqlite:"},
        {"adapter = file\nconn = ./locks.db", "sqlite:./locks.db"},
        {"[cache]\nadapter = file\nkey =\npassword =\ndbnum =", "sqlite:"},
        {"adapter = file\nconn = /var/lib/my app/l.db", "sqlite:/var/lib/my%20app/l.db"},
        {"adapter = mysql\nconn = me:s@cr/t:@tcp(h:3306)/shop?charset=utf8&parseTime=true",
         "mysql://me:s%40cr%2Ft%3A@h:3306/shop"},
        {"adapter = mysql\nconn = me@unix(/run/my sql.sock)/shop?loc=Local&tls=false",
         "mysql://me@/shop?socket=/run/my%20sql.sock&ssl=off"},
        {"adapter = mysql\nconn = /shop?tls=true&&timeout=3s", "mysql://127.0.0.1/shop?ssl=verify"},
        {"adapter = mysql\nconn = tcp([::1]:1)/shop?tls=skip-verify",
         "mysql://[::1]:1/shop?ssl=on"},
        {"adapter = mysql\nconn = mariadb://me:secret@h/shop", "mariadb://me:secret@h/shop"},
        {"adapter = postgres\nconn = postgres://me:secret@h/shop", "postgres://me:secret@h/shop"},
        {"adapter = postgresql\nconn = postgresql://h/shop", "postgresql://h/shop"},
        /* JSON */
        {"cache = {\"conn\":\"h:1\"}", "redis://h:1"},
        {"adapter = mysql\nconn = {\"conn\":\"me@tcp(h)/shop\"}", "mysql://me@h/shop"},
        {"adapter = redis\nconn = {\"conn\":\"h:1\",\"dbNum\":\"2\",\"key\":\"k\"}",
         "redis://h:1/2?prefix=k%3A"},
        {"adapter = file\ncache = {\"CachePath\":\"/var/cache/x\"}", "sqlite:/var/cache/x/pawl.db"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char message[PAWL_MESSAGE_MAX] = "";
        char *url = NULL;
        pawl_config *config = load(cases[i].text);
        int err = pawl_config_store_url(config, &url, message);
        if (err || strcmp(url, cases[i].url) != 0)
            fail_msg("\"%s\" gave %s %s", cases[i].text, err ? message : url, cases[i].url);
        free(url);
        pawl_config_free(config);
    }
}

static const struct {
    const char *text;
    int err;
    const char *message;
} refused_choices[] = {
    {"", PAWL_ERR_OPTION, "conf/app.conf: chooses no store: expected pawlstore = URL"},
    {"dbnum = 1", PAWL_ERR_OPTION, "conf/app.conf: chooses no store"},
    {"cache = false\nconn = h:1", PAWL_ERR_OPTION, "conf/app.conf:1: the cache is off"},
    {"cache = memory\nadapter = redis", PAWL_ERR_OPTION,
     "conf/app.conf:1: cache names another adapter than conf/app.conf:2"},
    {"adapter = redis", PAWL_ERR_OPTION, "conf/app.conf:1: adapter redis: expected conn"},
    {"conn = h:0", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = h:99999", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = h:1:2", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = h:1;i:1", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = h:1 # here", PAWL_ERR_OPTION,
     "conf/app.conf:1: conn: a # behind the value is part of it"},
    {"conn = [::1", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = x::1]", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = [::1x", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = [0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000]", PAWL_ERR_OPTION,
     "conf/app.conf:1: conn: expected host:port"},
    {"conn = h:1\"", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected host:port"},
    {"conn = h:1\n\ndbnum = zero", PAWL_ERR_OPTION,
     "conf/app.conf:3: dbnum: expected the number of a database such as 0, is \"zero\""},
    {"conn = h:1\ndbnum = -1", PAWL_ERR_OPTION, "conf/app.conf:2: dbnum: expected"},
    {"conn = h:1\ndbnum = 1.5", PAWL_ERR_OPTION, "conf/app.conf:2: dbnum: expected"},
    {"conn = h:1/2\ndbnum = 1", PAWL_ERR_OPTION, "conf/app.conf:2: the database is given twice"},
    {"conn = h:1/x", PAWL_ERR_OPTION,
     "conf/app.conf:1: conn: expected the number of a database behind the /"},
    {"adapter = redis\nconn = ./hunter2.db", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected the number of a database behind the /"},
    {"conn = p@h:1\npassword = p", PAWL_ERR_OPTION, "conf/app.conf:2: the password is given twice"},
    {"conn = rediss://h\ndbnum = 1", PAWL_ERR_OPTION,
     "conf/app.conf:2: expected nothing beside a conn that is a whole URL"},
    {"adapter = file\nconn = 127.0.0.1:6379", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected the path of a file"},
    {"[cache]\nadapter = file\nconn = ./l.db\nkey = app", PAWL_ERR_OPTION,
     "conf/app.conf:4: key: expected none: adapter file has no prefixes"},
    {"adapter = file\ndbnum = 0", PAWL_ERR_OPTION,
     "conf/app.conf:2: dbnum: expected none: adapter file has no"},
    {"[cache]\npassword = hunter2\nadapter = file", PAWL_ERR_OPTION,
     "conf/app.conf:2: password: expected none: the file"},
    {"adapter = memory\nconn = h:1", PAWL_ERR_OPTION,
     "conf/app.conf:2: expected no conn, dbnum, password or key: adapter memory"},
    {"[cache]\nadapter = memory\nkey = app", PAWL_ERR_OPTION,
     "conf/app.conf:3: expected no conn, dbnum"},
    {"adapter = oracle\nconn = h:1", PAWL_ERR_SCHEME,
     "conf/app.conf:1: adapter: expected redis, memcache, mysql, postgres, file or memory, is "
     "\"oracle\""},
    {"adapter = mysql\nconn = h:1", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected user:password@tcp(host:port)/database"},
    {"adapter = mysql\nconn = me:hunter2@udp(h:1)/shop", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected user:password@tcp(host:port)/database"},
    {"adapter = mysql\nconn = me:hunter2@tcp(h:x)/shop", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected user:password@tcp(host:port)/database"},
    {"adapter = mysql\nconn = tcp(h:1)/", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected user:password@tcp(host:port)/database"},
    {"adapter = mysql\nconn = redis://h", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected user:password@tcp(host:port)/database"},
    {"adapter = mysql\nconn = tcp(h:1)/shop?tls=mine", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: option \"tls=mine\" is not known here"},
    {"adapter = mysql", PAWL_ERR_OPTION, "conf/app.conf:1: adapter mysql: expected conn, such as"},
    {"adapter = mysql\nconn = tcp(h:1)/shop\ndbnum = 1", PAWL_ERR_OPTION,
     "conf/app.conf:3: dbnum: expected none: conn names the database"},
    {"adapter = mysql\nconn = tcp(h:1)/shop\npassword = hunter2", PAWL_ERR_OPTION,
     "conf/app.conf:3: password: expected none: it stands in conn"},
    {"adapter = postgres\nconn = user=me password=hunter2", PAWL_ERR_OPTION,
     "conf/app.conf:2: conn: expected postgres://user:password@host/database for adapter postgres"},
    {"pawlstore = ${PAWL_TEST_UNSET}\nconn = h:1", PAWL_ERR_OPTION,
     "conf/app.conf:1: pawlstore: the variable in ${ } is not set in the environment"},
    {"conn = ${PAWL_TEST_UNSET}\nadapter = redis", PAWL_ERR_OPTION,
     "conf/app.conf:1: conn: the variable in ${ } is not set"},
    {"adapter = ${PAWL_TEST_UNSET}\nconn = h:1", PAWL_ERR_OPTION,
     "conf/app.conf:1: adapter: the variable in ${ } is not set"},
    {"conn = h:1\n[prod]\nconn = ${PAWL_TEST_UNSET}", PAWL_ERR_OPTION,
     "conf/app.conf:3: conn: the variable in ${ } is not set"},
    {"conn = h:1 # the server", PAWL_ERR_OPTION,
     "conf/app.conf:1: conn: a # behind the value is part of it: a comment stands on a line of "
     "its own"},
    {"pawlstore = redis://h ; the server", PAWL_ERR_OPTION,
     "conf/app.conf:1: pawlstore: a ; behind the value"},
    {"conn = h:1\ndbnum = 0 # the first", PAWL_ERR_OPTION,
     "conf/app.conf:2: dbnum: a # behind the value"},
    {"cache = redis://:hunter2@h", PAWL_ERR_SCHEME,
     "conf/app.conf:1: adapter: expected redis, memcache, mysql, postgres, file or memory; an "
     "address stands in conn, a "
     "URL in pawlstore"},
    {"adapter = Redis", PAWL_ERR_SCHEME, "conf/app.conf:1: adapter: expected"},
    {"[cache]\nadapter = memcache\nconn = h:1;i:1", PAWL_ERR_OPTION,
     "conf/app.conf:3: conn: expected one server for adapter memcache"},
    {"adapter = memcache", PAWL_ERR_OPTION,
     "conf/app.conf:1: adapter memcache: expected conn, such as"},
    {"adapter = memcache\nconn = h:1\npassword = x", PAWL_ERR_OPTION,
     "conf/app.conf:3: password: expected none: adapter memcache has no login"},
    {"adapter = ssdb\nconn = h:1", PAWL_ERR_UNSUPPORTED,
     "conf/app.conf:1: adapter ssdb: SSDB cannot compare and delete in one step"},
    {"adapter = leveldb", PAWL_ERR_UNSUPPORTED,
     "conf/app.conf:1: adapter leveldb: LevelDB serves one process only"},
    {"cache = {\"conn\":\"h:1\"}\nconn = i:1", PAWL_ERR_OPTION,
     "conf/app.conf:2: expected no conn here: the JSON at conf/app.conf:1"},
    {"cache = {\"conn\":", PAWL_ERR_OPTION, "conf/app.conf:1: expected JSON such as"},
    {"cache = {\"conn\":1}", PAWL_ERR_OPTION, "conf/app.conf:1: conn: expected a string"},
};

static void choices_that_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(refused_choices); i++) {
        char message[PAWL_MESSAGE_MAX] = "";
        char *url = NULL;
        pawl_config *config = load(refused_choices[i].text);
        int err = pawl_config_store_url(config, &url, message);
        if (err != refused_choices[i].err || url ||
            strncmp(message, refused_choices[i].message, strlen(refused_choices[i].message)) != 0)
            fail_msg("\"%s\" gave %d \"%s\", expected \"%s\"", refused_choices[i].text, err,
                     message, refused_choices[i].message);
        assert_null(strstr(message, "hunter2"));
        pawl_config_free(config);
    }
}

static void what_beego_passes_to_newcache(void **state)
{
    (void)state;
    static const struct {
        const char *adapter, *json;
        int err;
        const char *result; /* a URL, or the begin of a message */
    } cases[] = {
        {"redis",
         "{\"conn\":\"127.0.0.1:6379\",\"dbNum\":\"0\",\"password\":\"p w\",\"key\":\"k\"}", 0,
         "redis://:p%20w@127.0.0.1:6379/0?prefix=k%3A"},
        {"redis", "{\"conn\":\"h:1\",\"dbNum\":5}", 0, "redis://h:1/5"}, /* Beego: 0, or an error */
        {"redis", "{\"CONN\":\"h:1\",\"dbnum\":\"5\"}", 0, "redis://h:1/5"},
        {"redis", "{\"conn\":\"h:1\",\"maxIdle\":\"3\",\"timeout\":\"180s\"}", 0, "redis://h:1"},
        {"redis", "{\"conn\":\"h:1\",\"key\":\"\"}", 0, "redis://h:1"},
        {"redis", "{\"conn\":\"h:1\",\"key\":\"\",\"skipEmptyPrefix\":\"true\"}", 0,
         "redis://h:1?prefix="},
        {"redis", "{\"conn\":\"h:1\",\"key\":\"\",\"skipEmptyPrefix\":true}", 0,
         "redis://h:1?prefix="},
        {"redis", "{\"conn\":\"h:1\",\"key\":\"\",\"skipEmptyPrefix\":\"1\"}", 0,
         "redis://h:1?prefix="},
        {"redis", "{\"conn\":\"h:1\",\"key\":\"\",\"skipEmptyPrefix\":\"0\"}", 0, "redis://h:1"},
        {"redis", "{\"conn\":\"h:1\",\"key\":\"\",\"skipEmptyPrefix\":\"false\"}", 0,
         "redis://h:1"},
        {"memory", "{\"interval\":60}", 0, "memory:"},
        {"memory", NULL, 0, "memory:"},
        {"memory", "", 0, "memory:"},
        {"file",
         "{\"CachePath\":\"./cache\",\"FileSuffix\":\".cache\",\"DirectoryLevel\":\"2\","
         "\"EmbedExpiry\":\"120\"}",
         0, "sqlite:./cache/pawl.db"},
        {"redis", "{}", PAWL_ERR_OPTION, "adapter redis: expected conn"},
        {"redis", "", PAWL_ERR_OPTION, "adapter redis: expected conn"},
        {"redis", "{\"conn\":\"h:1\",\"dbNum\":\"x\"}", PAWL_ERR_OPTION, "dbnum: expected"},
        {"redis", "{\"conn\":\"h:1\",\"dbNum\":\"\\u001b[2J\"}", PAWL_ERR_OPTION,
         "dbnum: expected"}, /* quoted, and obeyed by no terminal */
        {"redis", "{\"conn\":\"h:1\",\"dbNum\":1.5}", PAWL_ERR_OPTION,
         "dbNum: expected a number or a string of digits"},
        {"redis", "{\"conn\":\"h:1\",\"dbNum\":null}", PAWL_ERR_OPTION, "dbNum: expected"},
        {"redis", "{\"conn\":\"h:1\",\"dbNum\":\"1\",\"dbnum\":\"2\"}", PAWL_ERR_OPTION,
         "dbnum: is given twice"},
        {"redis", "{\"conn\":\"h:1\",\"conn\":\"i:1\"}", PAWL_ERR_OPTION, "expected JSON"},
        {"redis", "{\"conn\":\"h:1\",\"pasword\":\"x\"}", PAWL_ERR_OPTION,
         "no field \"pasword\": expected one of conn dbNum password key"},
        {"redis", "{\"conn\":\"h:1\",\"skipEmptyPrefix\":\"maybe\"}", PAWL_ERR_OPTION,
         "skipEmptyPrefix: expected \"true\" or \"false\""},
        {"redis", "{\"conn\":\"h:1\",\"password\":[\"hunter2\"}", PAWL_ERR_OPTION,
         "expected JSON such as {\"conn\":\"127.0.0.1:6379\"}, broken at character 36"},
        {"redis", "[]", PAWL_ERR_OPTION, "expected a JSON object"},
        {"redis", "7", PAWL_ERR_OPTION, "expected a JSON object"},
        {"memory", "{\"conn\":\"h:1\"}", PAWL_ERR_OPTION, "no field \"conn\""},
        {"memcache", "{\"conn\":\"h:x\"}", PAWL_ERR_OPTION, "conn: expected host:port"},
        {"ssdb", "{\"conn\":\"h:1\"}", PAWL_ERR_UNSUPPORTED, "adapter ssdb: "},
        {"nosuch", "rubbish", PAWL_ERR_SCHEME,
         "adapter: expected redis, memcache, mysql, postgres, file or memory"},
        {"", "{}", PAWL_ERR_SCHEME,
         "adapter: expected redis, memcache, mysql, postgres, file or memory"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char message[PAWL_MESSAGE_MAX] = "";
        char *url = NULL;
        int err = pawl_cache_store_url(cases[i].adapter, cases[i].json, &url, message);
        const char *got = err ? message : url;
        size_t len = err ? strlen(cases[i].result) : strlen(url) + 1;
        if (err != cases[i].err || strncmp(got, cases[i].result, len) != 0)
            fail_msg("%s %s gave %d \"%s\"", cases[i].adapter, cases[i].json, err, got);
        assert_null(strstr(message, "hunter2"));
        for (const char *c = message; *c; c++) assert_true((unsigned char)*c >= ' ');
        free(url);
    }
}

/* ---- Lookups ---------------------------------------------------------------------- */

static void run_modes_come_first(void **state)
{
    (void)state;
    const char *text = "appname = a\nhttpport = 8080\nrunmode = Dev\n[dev]\nHTTPPort = 8081\n"
                       "appname =\n[test]\nhttpport = 8082\n[cache]\nconn = h:1\n";
    pawl_config *config = load(text);
    assert_string_equal(pawl_config_run_mode(config), "Dev");
    assert_string_equal(pawl_config_get(config, "httpPort"), "8081");
    assert_string_equal(pawl_config_where(config, "httpport"), "conf/app.conf:5");
    assert_string_equal(pawl_config_get(config, "appname"), "a");
    assert_string_equal(pawl_config_get(config, "TEST::HttpPort"), "8082");
    assert_string_equal(pawl_config_get(config, "cache::conn"), "h:1");
    assert_null(pawl_config_get(config, "conn"));
    assert_null(pawl_config_get(config, "cache::absent"));
    assert_null(pawl_config_get(config, "no::such"));
    assert_null(pawl_config_where(config, "absent"));
    pawl_config_free(config);

    setenv("BEEGO_RUNMODE", "test", 1);
    config = load(text);
    assert_string_equal(pawl_config_run_mode(config), "test");
    assert_string_equal(pawl_config_get(config, "httpport"), "8082");
    pawl_config_free(config);
    unsetenv("BEEGO_RUNMODE");

    config = load("a = 1");
    assert_string_equal(pawl_config_run_mode(config), "prod");
    pawl_config_free(config);
}

static void the_file_is_found_as_beego_finds_it(void **state)
{
    (void)state;
    pawl_config *config = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    put("conf/app.conf", "a = plain");
    put("conf/test.app.conf", "a = test");
    assert_int_equal(pawl_config_load(NULL, NULL, message), PAWL_ERR_ARGUMENT);
    assert_string_equal(message, "pawl_config_load: ret_config is NULL");
    assert_int_equal(pawl_config_load(NULL, &config, message), PAWL_OK);
    assert_string_equal(pawl_config_get(config, "a"), "plain");
    config = pawl_config_free(config);
    setenv("BEEGO_RUNMODE", "test", 1);
    assert_int_equal(pawl_config_load(NULL, &config, message), PAWL_OK);
    assert_string_equal(pawl_config_get(config, "a"), "test");
    config = pawl_config_free(config);
    assert_int_equal(pawl_config_load("conf", &config, message), PAWL_OK);
    assert_string_equal(pawl_config_get(config, "a"), "test");
    config = pawl_config_free(config);
    assert_int_equal(pawl_config_load("conf/app.conf", &config, message), PAWL_OK);
    assert_string_equal(pawl_config_get(config, "a"), "plain");
    config = pawl_config_free(config);
    setenv("BEEGO_RUNMODE", "absent", 1);
    assert_int_equal(pawl_config_load(NULL, &config, message), PAWL_ERR_SYSTEM);
    assert_non_null(strstr(message, "there is no conf/absent.app.conf in the working directory /"));
    assert_int_equal(pawl_config_load("conf", &config, message), PAWL_ERR_SYSTEM);
    assert_string_equal(message, "cannot read conf/absent.app.conf: No such file or directory");
    unsetenv("BEEGO_RUNMODE");
}

/* Beego looks there as well: who does not would lock in another store. */
static void the_file_beside_the_program_is_found(void **state)
{
    (void)state;
    char *saved = program_invocation_name;
    char message[PAWL_MESSAGE_MAX] = "";
    char *path = NULL;
    assert_int_equal(mkdir("beside", 0700), 0);
    assert_int_equal(mkdir("beside/conf", 0700), 0);
    put("beside/conf/app.conf", "a = beside");
    unlink("conf/app.conf");
    program_invocation_name = "beside/program";
    assert_int_equal(pawl_config_find(NULL, &path, message), PAWL_OK);
    assert_string_equal(path, "beside/conf/app.conf");
    free(path);
    put("conf/app.conf", "a = here");
    assert_int_equal(pawl_config_find(NULL, &path, message), PAWL_OK);
    assert_string_equal(path, "conf/app.conf"); /* the working directory goes first */
    free(path);

    /* A file that is there and is no file is an error, not a reason to take the other one. */
    pawl_config *config = NULL;
    unlink("conf/app.conf");
    assert_int_equal(symlink("app.conf", "conf/app.conf"), 0);
    assert_int_equal(pawl_config_load(NULL, &config, message), PAWL_ERR_SYSTEM);
    assert_non_null(strstr(message, "cannot read conf/app.conf: "));
    unlink("conf/app.conf");

    program_invocation_name = "program"; /* found through $PATH: no folder in its name */
    path = NULL;
    assert_int_equal(pawl_config_find(NULL, &path, message), PAWL_ERR_SYSTEM);
    assert_null(path);
    assert_int_equal(pawl_config_find(NULL, NULL, message), PAWL_ERR_ARGUMENT);
    program_invocation_name = saved;
}

/* ---- Opening ---------------------------------------------------------------------- */

static void a_client_is_opened_by_a_file(void **state)
{
    (void)state;
    pawl_client *client = NULL;
    pawl_lock *lock = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    put("conf/app.conf", "adapter = memory\npawlowner = counter-1\n");
    assert_int_equal(pawl_open_config(NULL, NULL, &client, message), PAWL_OK);
    assert_string_equal(pawl_client_owner(client), "counter-1");
    assert_string_equal(pawl_client_url(client), "memory:");
    assert_int_equal(pawl_lock_new(client, "n", 1, NULL, &lock), PAWL_OK);
    assert_int_equal(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_OK);
    assert_int_equal(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);

    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    assert_int_equal(pawl_open_config(NULL, &opts, &client, message), PAWL_OK);
    assert_string_equal(pawl_client_owner(client), "counter-1");
    pawl_client_close(client);
    opts.owner = "mine";
    assert_int_equal(pawl_open_config(NULL, &opts, &client, message), PAWL_OK);
    assert_string_equal(pawl_client_owner(client), "mine");
    pawl_client_close(client);
    opts.size = 1;
    assert_int_equal(pawl_open_config(NULL, &opts, &client, message), PAWL_ERR_ARGUMENT);
}

static void count_memory(pawl_client *client, pawl_severity severity, const char *line,
                         void *userdata)
{
    (void)client;
    if (severity == PAWL_SEVERITY_WARNING && strstr(line, "memory of this process"))
        ++*(int *)userdata;
}

static void memory_is_warned_of(void **state)
{
    (void)state;
    pawl_client *client = NULL;
    int warnings = 0;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.log = count_memory;
    opts.log_userdata = &warnings;
    put("conf/app.conf", "adapter = memory\n");
    assert_int_equal(pawl_open_config(NULL, &opts, &client, NULL), PAWL_OK);
    pawl_client_close(client);
    assert_int_equal(warnings, 1);
}

static void the_file_adapter_locks_in_the_file(void **state)
{
    (void)state;
    pawl_client *client = NULL;
    pawl_lock *lock = NULL;
    pawl_open_opts opts;
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = 30000; /* a slow disk, below valgrind */
    put("conf/app.conf", "[cache]\nadapter = file\nconn = ./locks.db\n");
    int err = pawl_open_config("conf/app.conf", &opts, &client, message);
    if (err) fail_msg("%s", message);
    assert_int_equal(pawl_lock_new(client, "n", 1, NULL, &lock), PAWL_OK);
    assert_int_equal(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(access("locks.db", R_OK), 0);
}

static void what_cannot_be_opened_names_the_file(void **state)
{
    (void)state;
    pawl_client *client = NULL;
    char message[PAWL_MESSAGE_MAX] = "";
    put("conf/app.conf", "pawlstore = nosuch://user:hunter2@h");
    assert_int_equal(pawl_open_config(NULL, NULL, &client, message), PAWL_ERR_SCHEME);
    assert_non_null(strstr(message, "conf/app.conf:1: no store has the scheme"));
    assert_null(strstr(message, "hunter2"));
    put("conf/app.conf", "[cache]\nadapter = redis\nconn = rediss+://h");
    assert_int_equal(pawl_open_config(NULL, NULL, &client, message), PAWL_ERR_SCHEME);
    assert_non_null(strstr(message, "conf/app.conf:3: "));
    put("conf/app.conf", "pawlstore = memory:\n[cache]\npawlowner = a\x01z");
    assert_int_equal(pawl_open_config(NULL, NULL, &client, message), PAWL_ERR_OWNER);
    assert_non_null(strstr(message, "conf/app.conf:3: an owner label has"));
    put("conf/app.conf", "rubbish");
    assert_int_equal(pawl_open_config(NULL, NULL, &client, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "conf/app.conf:1: expected"));
    assert_int_equal(pawl_open_config("absent.conf", NULL, &client, NULL), PAWL_ERR_SYSTEM);
    assert_null(client);
    assert_int_equal(pawl_open_config(NULL, NULL, NULL, NULL), PAWL_ERR_ARGUMENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stores_that_files_choose, set_up, tear_down),
        cmocka_unit_test_setup_teardown(choices_that_are_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_beego_passes_to_newcache, set_up, tear_down),
        cmocka_unit_test_setup_teardown(run_modes_come_first, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_is_found_as_beego_finds_it, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_beside_the_program_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_client_is_opened_by_a_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_warned_of, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_file_adapter_locks_in_the_file, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_cannot_be_opened_names_the_file, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
