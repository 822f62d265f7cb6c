/* SPDX-License-Identifier: MIT */
/*
 * Goal: opening says what is wrong and where; stores that misbehave do no harm.
 * Method: argv[1] is a directory with modules made of store_fake.c.
 */
#define _GNU_SOURCE
#include "pawl/store.h"
#include "stage.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <dlfcn.h>
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static char *dir; /* $PAWL_MODULES */
static const char *built_dir;

static void link_module(const char *built, const char *name)
{
    char from[512], to[512];
    snprintf(from, sizeof from, "%s/%s", built_dir, built);
    snprintf(to, sizeof to, "%s/%s", dir, name);
    CHECK(access(from, R_OK) == 0);
    CHECK(symlink(from, to) == 0);
}

static void expect_refusal(const char *url, int wanted, const char *says)
{
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    int err = pawl_client_open(url, NULL, &client, message);
    CHECK(!client);
    if (err != wanted || !strstr(message, says))
        FAIL_TEST("%s: %s: \"%s\"; wanted %s, \"%s\"", url ? url : "NULL", pawl_err_name(err),
                  message, pawl_err_name(wanted), says);
    CHECK(!strchr(message, '\n'));
}

static pawl_client *open_fake(const char *url, record *log)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = 100;
    opts.close_timeout_ms = 100;
    if (log) opts.log = record_log;
    opts.log_userdata = log;
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    int err = pawl_client_open(url, &opts, &client, message);
    if (err) FAIL_TEST("%s: %s", url, message);
    return client;
}

/* ---- Opening -------------------------------------------------------------------------------- */

static void test_schemes(void **state)
{
    (void)state;
    expect_refusal("gopher://h", PAWL_ERR_SCHEME, "no store has the scheme \"gopher\"");
    expect_refusal("gopher://h", PAWL_ERR_SCHEME, "known: memory:, sqlite:, redis://");
    expect_refusal("fake+three:x", PAWL_ERR_SCHEME,
                   "the store fake has no scheme \"fake+three\"; it has: fake:, fake+two:");
    expect_refusal("memory+x:", PAWL_ERR_SCHEME, "the store memory has no scheme \"memory+x\"");
    expect_refusal("redis://h", PAWL_ERR_SCHEME, "the store redis is not installed");
    expect_refusal("redis://h", PAWL_ERR_SCHEME, "pawl-store-redis.so");
    expect_refusal("redis+unix:///s", PAWL_ERR_SCHEME, "-Dredis=enabled");
    expect_refusal("memcached://h", PAWL_ERR_SCHEME, "the store memcached is not installed");
    expect_refusal("etcds://h,i", PAWL_ERR_SCHEME, "the store etcd is not installed");
    expect_refusal("mysql://h/d", PAWL_ERR_SCHEME, "the store mariadb is not installed");
    expect_refusal("MariaDB://h/d", PAWL_ERR_SCHEME, "pawl-store-mariadb.so");
    expect_refusal("zookeeper://h,i", PAWL_ERR_SCHEME, "the store zookeeper is not installed");
    expect_refusal("memcache://h", PAWL_ERR_SCHEME, "pawl-store-memcached.so");
}

/* 31 bytes of it name a file. */
static void test_a_long_scheme_is_cut(void **state)
{
    (void)state;
    link_module("pawl-store-fake.so", "pawl-store-a234567890b234567890c234567890d.so");
    expect_refusal("a234567890b234567890c234567890d:", PAWL_ERR_SCHEME,
                   "the store fake has no scheme");
    expect_refusal("a234567890b234567890c234567890de:", PAWL_ERR_SCHEME,
                   "the store fake has no scheme");
    expect_refusal("a234567890b234567890c234567890:", PAWL_ERR_SCHEME, "no store has the scheme");
}

/* ---- Where modules are ---------------------------------------------------------------------- */

static void copy_file(const char *from, const char *to)
{
    char bytes[65536];
    FILE *in = fopen(from, "re"), *out = fopen(to, "we");
    CHECK(in && out);
    for (size_t len; (len = fread(bytes, 1, sizeof bytes, in)) > 0;)
        CHECK(fwrite(bytes, 1, len, out) == len);
    CHECK(fclose(out) == 0 && fclose(in) == 0);
}

typedef int open_fn(const char *url, const pawl_open_opts *opts, pawl_client **ret_client,
                    char *message);
typedef pawl_client *close_fn(pawl_client *client);

/* A libpawl.so that is installed elsewhere. */
static void *library_at(const char *place, int flags)
{
    Dl_info info;
    char to[600];
    CHECK(dladdr(dlsym(RTLD_DEFAULT, "pawl_version"), &info));
    snprintf(to, sizeof to, "%s/libpawl-elsewhere.so", place);
    copy_file(info.dli_fname, to);
    void *library = dlopen(to, RTLD_NOW | RTLD_LOCAL | flags);
    if (!library) FAIL_TEST("%s", dlerror());
    return library;
}

static void *library_in(const char *place)
{
    return library_at(place, RTLD_NODELETE);
}

static int open_by(void *library, const char *url, char *message)
{
    pawl_client *client = NULL;
    open_fn *open_it;
    close_fn *close_it;
    *(void **)&open_it = dlsym(library, "pawl_client_open");
    *(void **)&close_it = dlsym(library, "pawl_client_close");
    CHECK(open_it && close_it);
    int err = open_it(url, NULL, &client, message);
    close_it(client);
    return err;
}

static void link_at(const char *built, const char *place, const char *name)
{
    char from[512], to[600];
    snprintf(from, sizeof from, "%s/%s", built_dir, built);
    snprintf(to, sizeof to, "%s/%s", place, name);
    CHECK(symlink(from, to) == 0);
}

/* Its threads go on, and what it has hung into fork() and exit(): so dlclose leaves it in its
 * place. */
static void test_a_library_that_is_closed_stays(void **state)
{
    (void)state;
    char *place = temp_dir_new("pawl-closed");
    char message[PAWL_MESSAGE_MAX] = "";
    void *library = library_at(place, 0);
    pawl_client *client = NULL;
    open_fn *open_it;
    close_fn *close_it;
    *(void **)&open_it = dlsym(library, "pawl_client_open");
    *(void **)&close_it = dlsym(library, "pawl_client_close");
    CHECK_ERR(open_it("memory:closed", NULL, &client, message), PAWL_OK);
    CHECK(dlclose(library) == 0);
    Dl_info info;
    CHECK(dladdr(*(void **)&close_it, &info)); /* else nothing is there any more */
    close_it(client);
    temp_dir_free(place);
}

/* Each scheme has its module, and each module its package. */
static void test_each_scheme_has_its_store(void **state)
{
    static const char *const schemes[][2] = {
        {"sqlite:x", "sqlite"},         {"redis://h", "redis"},
        {"rediss://h", "redis"},        {"valkey://h", "redis"},
        {"redis+unix:/s", "redis"},     {"postgres://h", "postgres"},
        {"postgresql://h", "postgres"}, {"mysql://h/d", "mariadb"},
        {"mariadb://h/d", "mariadb"},   {"memcached://h", "memcached"},
        {"memcache://h", "memcached"},  {"etcd://h", "etcd"},
        {"etcds://h", "etcd"},          {"zookeeper://h", "zookeeper"},
        {"zk://h", "zookeeper"},        {"zookeepers://h", "zookeeper"},
    };
    (void)state;
    char says[1024];
    char *place =
        temp_dir_new("pawl-schemes"); /* what was loaded from a path once is not looked for again */
    CHECK(setenv("PAWL_MODULES", place, 1) == 0);
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        const char *store = schemes[i][1];
        snprintf(
            says, sizeof says,
            "the store %s is not installed: no pawl-store-%s.so in %.150s or its directory pawl "
            "(package libpawl-%s, or build with -D%s=enabled)",
            store, store, place, store, store);
        expect_refusal(schemes[i][0], PAWL_ERR_SCHEME, says);
    }
    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        char name[64];
        snprintf(name, sizeof name, "pawl-store-%s.so", schemes[i][1]);
        if (i == 0 || strcmp(schemes[i - 1][1], schemes[i][1]) != 0)
            link_at("pawl-store-fake.so", place, name);
        /* The file is looked for by the store's name. */
        expect_refusal(schemes[i][0], PAWL_ERR_SCHEME, "the store fake has no scheme \"");
    }
    CHECK(setenv("PAWL_MODULES", dir, 1) == 0);
    temp_dir_free(place);
}

/* Beside the library, and first in the directory that is there. */
static void test_modules_lie_beside_the_library(void **state)
{
    (void)state;
    char *place = temp_dir_new("pawl-elsewhere");
    char below[512], message[PAWL_MESSAGE_MAX] = "", says[1024];
    snprintf(below, sizeof below, "%s/pawl", place);
    CHECK(mkdir(below, 0700) == 0);
    void *library = library_in(place);
    CHECK(unsetenv("PAWL_MODULES") == 0);
    snprintf(says, sizeof says, "no pawl-store-redis.so in %.150s or its", place);
    CHECK_ERR(open_by(library, "redis://h", message), PAWL_ERR_SCHEME);
    if (!strstr(message, says)) FAIL_TEST("%s", message);
    CHECK_ERR(open_by(library, "fake:good", message), PAWL_ERR_SCHEME);
    link_at("pawl-store-fake-old.so", place, "pawl-store-fake.so");
    CHECK_ERR(open_by(library, "fake:good", message), PAWL_ERR_VERSION);
    link_at("pawl-store-fake.so", below, "pawl-store-fake.so");
    CHECK_ERR(open_by(library, "fake:good", message), PAWL_OK);
    CHECK(setenv("PAWL_MODULES", dir, 1) == 0);
    temp_dir_free(place);
}

/* What the environment says is taken if it is a path from the root. */
static void test_modules_are_not_taken_from_here(void **state)
{
    (void)state;
    char back[4096];
    CHECK(getcwd(back, sizeof back) && chdir(dir) == 0);
    CHECK(setenv("PAWL_MODULES", ".", 1) == 0);
    expect_refusal("fake:good", PAWL_ERR_SCHEME, "no store has the scheme \"fake\"");
    CHECK(setenv("PAWL_MODULES", "", 1) == 0);
    expect_refusal("fake:good", PAWL_ERR_SCHEME, "no store has the scheme \"fake\"");
    CHECK(setenv("PAWL_MODULES", dir, 1) == 0 && chdir(back) == 0);
}

static void test_stores_that_are_not_there_have_a_reason(void **state)
{
    (void)state;
    static const struct {
        const char *url, *why, *instead;
    } stores[] = {
        {"ssdb://h", "no store for ssdb: SSDB cannot compare and delete", "; use redis://"},
        {"leveldb:/d", "one process has such a database to itself", "; use sqlite:"},
        {"mysqlx://h/d", "the classic protocol of MySQL", "; use mysql://"},
        {"consul://h1/pawl", "not been written for it yet", "; use redis://"},
        {"mongodb://h", "not been written for it", "; use redis://"},
        {"file:///locks", "knows neither fences nor a queue", "; use sqlite:/path/locks.db"},
        {"https://h", "no store is reached in this way", "; use redis://"},
    };
    for (size_t i = 0; i < sizeof stores / sizeof stores[0]; i++) {
        expect_refusal(stores[i].url, PAWL_ERR_SCHEME, stores[i].why);
        expect_refusal(stores[i].url, PAWL_ERR_SCHEME, stores[i].instead);
    }
}

/* A module whose library is not installed: a copy of the fake that needs one of another name. */
static void put_module_without_library(const char *name)
{
    char from[512], to[512];
    static char bytes[4 << 20];
    static const char library[] = "libevent_core";
    snprintf(from, sizeof from, "%s/pawl-store-fake.so", built_dir);
    snprintf(to, sizeof to, "%s/%s", dir, name);
    FILE *file = fopen(from, "re");
    CHECK(file);
    size_t len = fread(bytes, 1, sizeof bytes, file), found = 0;
    CHECK(fclose(file) == 0 && len < sizeof bytes);
    for (char *at = bytes;
         (at = memmem(at, len - (size_t)(at - bytes), library, sizeof library - 1)); found++)
        memcpy(at, "libnobody_has", sizeof library - 1);
    file = fopen(to, "we");
    CHECK(found && file && fwrite(bytes, 1, len, file) == len && fclose(file) == 0);
}

static void test_a_missing_library_is_told_by_its_package(void **state)
{
    (void)state;
    put_module_without_library("pawl-store-postgres.so");
    expect_refusal("postgres://h", PAWL_ERR_SYSTEM, "libnobody_has");
    expect_refusal("postgres://h", PAWL_ERR_SYSTEM, "(the package libpq5 brings what it needs)");
    put_module_without_library("pawl-store-other.so");
    expect_refusal("other:", PAWL_ERR_SYSTEM, "libnobody_has");
    /* A file that is broken lacks no package. */
    char path[512], message[PAWL_MESSAGE_MAX];
    snprintf(path, sizeof path, "%s/pawl-store-mariadb.so", dir);
    FILE *text = fopen(path, "we");
    CHECK(text && fputs("this is no library\n", text) >= 0 && fclose(text) == 0);
    pawl_client *client = NULL;
    CHECK_ERR(pawl_client_open("mariadb://h/d", NULL, &client, message), PAWL_ERR_SYSTEM);
    assert_null(strstr(message, "libmariadb3"));
    CHECK(unlink(path) == 0);
}

static void test_modules_that_do_not_fit(void **state)
{
    (void)state;
    char needed[64];
    snprintf(needed, sizeof needed, "is for another pawl (ABI 0, needed %u)", PAWL_STORE_ABI);
    expect_refusal("old:", PAWL_ERR_VERSION, needed);
    static const char *const parts[] = {"name",  "schemes", "open",  "submit",
                                        "flush", "caps",    "close", "forget"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        char built[64], name[64], url[64];
        snprintf(built, sizeof built, "pawl-store-fake-without-%s.so", parts[i]);
        snprintf(name, sizeof name, "pawl-store-no%s.so", parts[i]);
        snprintf(url, sizeof url, "no%s:", parts[i]);
        link_module(built, name);
        expect_refusal(url, PAWL_ERR_VERSION, "lacks a function that every store has");
    }
    expect_refusal("noentry:", PAWL_ERR_VERSION, "is no store of pawl");
    expect_refusal("text:", PAWL_ERR_SYSTEM, "pawl-store-text.so");
}

static void test_options_and_store(void **state)
{
    (void)state;
    expect_refusal("fake:good?color=red", PAWL_ERR_OPTION, "no option \"color\"; it has: colour");
    expect_refusal("memory:?x=1", PAWL_ERR_OPTION, "the store memory has no option \"x\"");
    expect_refusal("fake:unopened", PAWL_ERR_PERMISSION, "the fake store does not open");
    expect_refusal("fake:good bad", PAWL_ERR_URL, "a space");
    pawl_client_close(open_fake("fake:good?colour=red", NULL));
    pawl_client_close(open_fake("fake+two:good", NULL));
}

/* It locks nobody else out, so a program that has it by mistake hears of it, once. */
static void test_memory_is_warned_of(void **state)
{
    (void)state;
    static const pawl_callbacks kinds[] = {PAWL_CALLBACKS_THREAD, PAWL_CALLBACKS_DISPATCH,
                                           PAWL_CALLBACKS_WAIT};
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        record log;
        record_init(&log);
        pawl_open_opts opts;
        pawl_open_opts_init(&opts);
        opts.callbacks = kinds[i];
        opts.log = record_log;
        opts.log_userdata = &log;
        pawl_client *client = NULL;
        CHECK_ERR(pawl_client_open(i ? "MEMORY:named" : "memory:", &opts, &client, NULL), PAWL_OK);
        pawl_client_close(client); /* what was to be told has been told when it returns */
        int warnings = 0;
        for (int line = 0; line < log.line_count; line++)
            if (strstr(log.lines[line], "the memory of this process alone")) warnings++;
        assert_int_equal(warnings, 1);
    }
}

static void test_arguments(void **state)
{
    (void)state;
    char message[PAWL_MESSAGE_MAX];
    pawl_client *client = NULL;
    CHECK_ERR(pawl_client_open("memory:", NULL, NULL, message), PAWL_ERR_ARGUMENT);
    pawl_open_opts opts = {0};
    CHECK_ERR(pawl_client_open("memory:", &opts, &client, message), PAWL_ERR_ARGUMENT);
    assert_non_null(strstr(message, "options"));
    CHECK_ERR(pawl_client_open("gopher:", NULL, &client, NULL), PAWL_ERR_SCHEME);
    assert_null(client);
}

static void test_the_environment_names_the_store(void **state)
{
    (void)state;
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    CHECK(setenv("PAWL_STORE", "memory:from-the-environment", 1) == 0);
    CHECK_ERR(pawl_client_open(NULL, NULL, &client, message), PAWL_OK);
    assert_string_equal(pawl_client_url(client), "memory:from-the-environment");
    pawl_client_close(client);
    client = NULL;
    CHECK(setenv("PAWL_STORE", "gopher:", 1) == 0);
    CHECK_ERR(pawl_client_open(NULL, NULL, &client, message), PAWL_ERR_SCHEME);
    CHECK(setenv("PAWL_STORE", "", 1) == 0); /* as if it were not set: sqlite: */
    expect_refusal(NULL, PAWL_ERR_SCHEME, "the store sqlite is not installed");
    CHECK(setenv("PAWL_STORE", "memory:from-the-environment", 1) == 0);
    expect_refusal("", PAWL_ERR_URL, "begins with its scheme"); /* somebody forgot a setting */
    CHECK(unsetenv("PAWL_STORE") == 0);
}

static void test_labels(void **state)
{
    (void)state;
    pawl_client *client = open_fake("memory:", NULL);
    char pid[32];
    snprintf(pid, sizeof pid, " %ld ", (long)getpid());
    assert_non_null(strchr(pawl_client_owner(client), '@'));
    assert_non_null(strstr(pawl_client_owner(client), pid));
    pawl_client_close(client);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    char label[] = "the nightly job";
    opts.owner = label;
    CHECK_ERR(pawl_client_open("memory:", &opts, &client, NULL), PAWL_OK);
    memset(label, 'x', sizeof label - 1); /* it was copied */
    assert_string_equal(pawl_client_owner(client), "the nightly job");
    pawl_client_close(client);
    assert_string_equal(pawl_version(), PAWL_VERSION);
}

/* Reads a line "NAME:\tVALUE" of a thread's status. */
static bool read_status(const char *task, const char *field, char *ret_value, size_t size)
{
    char path[300], line[256];
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *file = fopen(path, "r");
    bool found = false;
    while (file && !found && fgets(line, sizeof line, file)) {
        size_t len = strlen(field);
        found = strncmp(line, field, len) == 0 && line[len] == ':';
        if (found)
            snprintf(ret_value, size, "%.*s", (int)strcspn(line + len + 2, "\n"), line + len + 2);
    }
    if (file) fclose(file);
    return found;
}

/* Signals are the user's: none may be delivered to a thread of ours. */
static void test_threads_take_no_signals(void **state)
{
    (void)state;
    record log;
    record_init(&log);
    pawl_client *client = open_fake("fake:good", &log); /* with a thread for callbacks, too */
    record_await_line(&log, "connected");
    int seen = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (struct dirent *entry; (entry = readdir(tasks));) {
        char name[64], blocked[64];
        if (!read_status(entry->d_name, "Name", name, sizeof name)) continue;
        if (strcmp(name, "pawl") != 0 && strcmp(name, "pawl-callbacks") != 0) continue;
        CHECK(read_status(entry->d_name, "SigBlk", blocked, sizeof blocked));
        unsigned long long mask = strtoull(blocked, NULL, 16);
        assert_true(mask & 1ull << (SIGTERM - 1) && mask & 1ull << (SIGINT - 1));
        assert_true(mask & 1ull << (SIGUSR1 - 1) && mask & 1ull << (SIGCHLD - 1));
        seen++;
    }
    closedir(tasks);
    assert_int_equal(seen, 2);
    sigset_t mine;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mine) == 0);
    assert_false(sigismember(&mine, SIGTERM)); /* ours is as it was */
    pawl_client_close(client);
}

/* ---- Stores that misbehave ------------------------------------------------------------------ */

static void test_silent_store(void **state)
{
    (void)state;
    pawl_client *client = open_fake("fake:silent", NULL);
    pawl_lock *lock = lock_new(client, "a", 5000);
    int64_t start = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_lock_acquire(lock, 10), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_break(client, "a", 1, 1, PAWL_WAIT_FOREVER), PAWL_ERR_UNAVAILABLE);
    assert_true(stage_now_ms() - start >= 200);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static bool no_info(const pawl_info *info, void *userdata)
{
    (void)info, (void)userdata;
    return false;
}

static void no_finding(const pawl_finding *finding, void *userdata)
{
    (void)finding, (void)userdata;
}

/* wait_ms 0: the try to connect that failed is the answer, though an outage may last for ever. */
static void test_questions_that_do_not_wait_for_a_store_that_is_away(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = PAWL_WAIT_FOREVER;
    pawl_client *client = NULL;
    CHECK_ERR(pawl_client_open("fake:away", &opts, &client, NULL), PAWL_OK);
    char token[PAWL_TOKEN_LEN + 1];
    memset(token, 'a', PAWL_TOKEN_LEN);
    token[PAWL_TOKEN_LEN] = '\0';
    pawl_caps caps;
    for (int i = 0; i < 2; i++) { /* the first meets the failing try; the second comes after it */
        CHECK_ERR(pawl_inspect(client, "a", 1, 0, no_info, NULL), PAWL_ERR_UNAVAILABLE);
        CHECK_ERR(pawl_list(client, "", 0, 0, no_info, NULL), PAWL_ERR_UNAVAILABLE);
        CHECK_ERR(pawl_doctor(client, 0, no_finding, NULL), PAWL_ERR_UNAVAILABLE);
        CHECK_ERR(pawl_break(client, "a", 1, 1, 0), PAWL_ERR_UNAVAILABLE);
        CHECK_ERR(pawl_token_check(client, "a", 1, token, 0, NULL), PAWL_ERR_UNAVAILABLE);
        CHECK_ERR(pawl_client_caps(client, 0, &caps), PAWL_ERR_UNAVAILABLE);
    }
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(client, message);
    assert_string_equal(message, "the fake store is not at home");
    pawl_client_close(client);
}

static void test_denied_at_once(void **state)
{
    (void)state;
    record log;
    record_init(&log);
    pawl_client *client = open_fake("fake:denied", &log);
    pawl_lock *lock = lock_new(client, "a", 5000);
    pawl_caps caps;
    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_ERR_AUTH);
    CHECK_ERR(pawl_client_caps(client, PAWL_WAIT_FOREVER, &caps), PAWL_ERR_AUTH);
    CHECK_ERR(pawl_break(client, "a", 1, 1, PAWL_WAIT_FOREVER), PAWL_ERR_AUTH);
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(client, message);
    assert_non_null(strstr(message, "the fake store knows nobody"));
    record_await_line(&log, "the fake store knows nobody");
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* Law 10: a broken invariant loses every lease, and nothing is granted any more. */
static void test_broken_invariant_loses_everything(void **state)
{
    (void)state;
    record first, second, log;
    record_init(&first);
    record_init(&second);
    record_init(&log);
    pawl_client *client = open_fake("fake:insane", &log);
    pawl_lock *one = lock_with_events(client, "one", RENEWED_SOON_MS, record_event, &first);
    pawl_lock *two = lock_with_events(client, "two", 60000, record_event, &second);
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK); /* its renewal comes soon */
    record_await_event(&first, PAWL_EVENT_LOST, 1);
    record_await_event(&second, PAWL_EVENT_LOST, 1);
    CHECK_ERR((int)first.event_err, PAWL_ERR_INTERNAL);
    assert_false(pawl_lock_is_held(one) || pawl_lock_is_held(two));
    record_await_line(&log, "an invariant of pawl is broken");
    CHECK_ERR(pawl_lock_release(one), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(one, 0), PAWL_ERR_INTERNAL);
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_client_close(client);
    assert_int_equal(record_events(&first, PAWL_EVENT_LOST), 1);
    assert_int_equal(record_events(&second, PAWL_EVENT_LOST), 1);
}

/* However few descriptors are left: it says so, and goes on living. */
static void test_too_few_descriptors(void **state)
{
    (void)state;
    struct rlimit before, few;
    CHECK(getrlimit(RLIMIT_NOFILE, &before) == 0);
    few = before;
    int refused = 0, opened = 0;
    for (few.rlim_cur = 3; few.rlim_cur < 40; few.rlim_cur++) {
        char message[PAWL_MESSAGE_MAX] = "";
        pawl_client *client = NULL;
        CHECK(setrlimit(RLIMIT_NOFILE, &few) == 0);
        int err = pawl_client_open("fake:good", NULL, &client, message);
        CHECK(setrlimit(RLIMIT_NOFILE, &before) == 0);
        if (err) CHECK_ERR(err, PAWL_ERR_SYSTEM);
        if (err) CHECK(strlen(message) > 0);
        *(err ? &refused : &opened) += 1;
        pawl_client_close(client);
    }
    assert_true(refused > 0 && opened > 0);
}

/* 0 is a descriptor as any other: a program may have closed its standard input. */
static void test_a_descriptor_may_be_0(void **state)
{
    static const pawl_callbacks kinds[] = {PAWL_CALLBACKS_THREAD, PAWL_CALLBACKS_DISPATCH,
                                           PAWL_CALLBACKS_WAIT};
    (void)state;
    int kept = dup(0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        pawl_open_opts opts;
        pawl_client *client = NULL;
        pawl_open_opts_init(&opts);
        opts.callbacks = kinds[i];
        close(0);
        CHECK_ERR(pawl_client_open("fake:good", &opts, &client, NULL), PAWL_OK);
        pawl_lock *lock = lock_new(client, "a", 60000);
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
        pawl_lock_free(lock);
        pawl_client_close(client);
    }
    if (kept >= 0) CHECK(dup2(kept, 0) == 0 && close(kept) == 0);
}

/* ---- Releases that others wait for ---------------------------------------------------------- */

/* A store that sees two requests sees to both, before it tells the next holder of the first. */
static void test_a_wanted_release_leaves_alone(void **state)
{
    (void)state;
    enum { ROUNDS = 40 };
    cpu_set_t cpus;
    if (sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) < 2)
        skip_case("with one processor nothing is looked for, and so nothing held back");
    pawl_client *client = open_fake("fake:parting", NULL);
    pawl_lock *lock = lock_new(client, "a", 60000);
    int alone = 0;
    for (int i = 0; i < ROUNDS; i++) {
        int err = pawl_lock_acquire(lock, PATIENCE_MS);
        alone += i > 0 && !err;
        if (err) CHECK_ERR(err, PAWL_ERR_PERMISSION);
        if (err) CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    assert_in_range(alone, ROUNDS / 2, ROUNDS); /* not all: a busy machine ends a look early */
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* Nothing is held back for an answer that does not come. */
static void test_what_is_held_back_leaves(void **state)
{
    (void)state;
    pawl_client *client = open_fake("fake:clinging", NULL);
    pawl_lock *lock = lock_new(client, "a", 60000);
    for (int i = 0; i < 40; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemes),
        cmocka_unit_test(test_each_scheme_has_its_store),
        cmocka_unit_test(test_a_long_scheme_is_cut),
        cmocka_unit_test(test_modules_lie_beside_the_library),
        cmocka_unit_test(test_a_library_that_is_closed_stays),
        cmocka_unit_test(test_modules_are_not_taken_from_here),
        cmocka_unit_test(test_stores_that_are_not_there_have_a_reason),
        cmocka_unit_test(test_a_missing_library_is_told_by_its_package),
        cmocka_unit_test(test_modules_that_do_not_fit),
        cmocka_unit_test(test_options_and_store),
        cmocka_unit_test(test_memory_is_warned_of),
        cmocka_unit_test(test_arguments),
        cmocka_unit_test(test_the_environment_names_the_store),
        cmocka_unit_test(test_labels),
        cmocka_unit_test(test_threads_take_no_signals),
        cmocka_unit_test(test_silent_store),
        cmocka_unit_test(test_questions_that_do_not_wait_for_a_store_that_is_away),
        cmocka_unit_test(test_denied_at_once),
        cmocka_unit_test(test_broken_invariant_loses_everything),
        cmocka_unit_test(test_too_few_descriptors),
        cmocka_unit_test(test_a_descriptor_may_be_0),
        cmocka_unit_test(test_a_wanted_release_leaves_alone),
        cmocka_unit_test(test_what_is_held_back_leaves),
    };
    CHECK(argc == 2);
    built_dir = argv[1];
    dir = temp_dir_new("pawl-modules");
    link_module("pawl-store-fake.so", "pawl-store-fake.so");
    link_module("pawl-store-fake-old.so", "pawl-store-old.so");
    link_module("pawl-store-fake-noentry.so", "pawl-store-noentry.so");
    char path[512];
    snprintf(path, sizeof path, "%s/pawl-store-text.so", dir);
    FILE *text = fopen(path, "w");
    CHECK(text && fputs("this is no library\n", text) >= 0 && fclose(text) == 0);
    CHECK(setenv("PAWL_MODULES", dir, 1) == 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    temp_dir_free(dir);
    return failed;
}
