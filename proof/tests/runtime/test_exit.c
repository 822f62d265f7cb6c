/* SPDX-License-Identifier: MIT */
/*
 * Goal: what was released before exit() is free at the store at once, whoever had the event
 * loop at that moment; and an exit in a child says nothing for its parent. Method: a child
 * does it on a client of its own, and another client looks.
 */
#define _GNU_SOURCE
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sys/wait.h>
#include <unistd.h>

#define TTL_MS 60000 /* longer than any test waits */

#if defined(__SANITIZE_THREAD__)
#define CHILD_MAY_HAVE_THREADS false /* TSan forbids threads after a fork of several */
#else
#define CHILD_MAY_HAVE_THREADS true
#endif

static pawl_lock *late; /* of the child; what is left in a static is no leak */

/* A child that ends with exit() after `work`; then the name must be free. */
static void check_free_after(void (*work)(const char *name))
{
    if (!CHILD_MAY_HAVE_THREADS) skip_case("TSan allows no threads in a child of fork");
    if (stage_is("memory")) skip_case("the memory store ends with the process");
    const char *name = stage_name();
    pid_t child = fork();
    if (child == 0) {
        work(name);
        exit(0);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    pawl_client *client = stage_client(NULL);
    assert_false(stage_view(client, name).held);
    pawl_client_close(client);
}

static pawl_lock *held_lock(pawl_client *client, const char *name)
{
    pawl_lock *lock = lock_new(client, name, TTL_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    return lock;
}

/* The client's thread has taken the loop meanwhile. */
static void release_after_work(const char *name)
{
    pawl_lock *lock = late = held_lock(stage_client(NULL), name);
    stage_pass(5);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
}

static void test_a_release_before_exit_arrives(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) check_free_after(release_after_work);
}

static void free_after_work(const char *name)
{
    pawl_lock *lock = late = held_lock(stage_client(NULL), name);
    stage_pass(5);
    pawl_lock_free(lock);
}

static void test_a_lock_freed_before_exit_is_free(void **state)
{
    (void)state;
    check_free_after(free_after_work);
}

static void release_late(void)
{
    CHECK_ERR(pawl_lock_release(late), PAWL_OK);
}

static pawl_lock *busy, *waiting;
static record ends;

/* Its handler was there before pawl's, and so runs after it; the client's thread has the loop. */
static void release_in_a_handler(const char *name)
{
    CHECK(atexit(release_late) == 0);
    pawl_client *client = stage_client(NULL);
    record_init(&ends);
    late = held_lock(client, name);
    busy = held_lock(stage_client(NULL), "busy");
    waiting = lock_new(client, "busy", TTL_MS);
    CHECK_ERR(pawl_lock_acquire_start(waiting, PAWL_WAIT_FOREVER, record_done, &ends), PAWL_OK);
    stage_pass(5);
}

static void test_a_release_in_a_handler_of_exit_arrives(void **state)
{
    (void)state;
    if (stage_is("sqlite")) skip_case("on SQLite the death of the process frees the lock");
    check_free_after(release_in_a_handler);
}

static pawl_lock *retained_lock(pawl_client *client, const char *name)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = TTL_MS;
    opts.retain_ms = TTL_MS;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    return lock;
}

static void leave_in_the_cache(const char *name)
{
    pawl_lock *lock = late = retained_lock(stage_client(NULL), name);
    for (int i = 0; i < 3; i++) {
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_OK);
    }
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
}

static void leave_in_the_engine(const char *name)
{
    pawl_lock *lock = late = retained_lock(stage_client(NULL), name);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock); /* the lease stays for other handles of the client */
    stage_pass(5);
}

static void put_back_in_a_handler(const char *name)
{
    CHECK(atexit(release_late) == 0);
    late = retained_lock(stage_client(NULL), name);
}

static void test_retained_leases_end_with_the_process(void **state)
{
    (void)state;
    check_free_after(leave_in_the_cache);
    check_free_after(leave_in_the_engine);
    check_free_after(put_back_in_a_handler);
}

/* ---- A child that exits ---------------------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__)
/* LeakSanitizer asks. In a raw child it looks for threads that are not there. */
static bool counts_no_leaks;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return counts_no_leaks;
}
#define COUNT_NO_LEAKS() (counts_no_leaks = true)
#else
#define COUNT_NO_LEAKS() ((void)0)
#endif

/* _Fork runs no handlers: the child has the list of its parent's clients. */
static void test_exit_of_a_raw_child_says_nothing(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.log = record_log;
    opts.log_userdata = &r;
    pawl_client *client = stage_client(&opts);
    pawl_lock *lock = late = lock_new(client, stage_name(), TTL_MS);
    for (int i = 0; i < 20; i++) {
        for (int j = 0; j < 20; j++) { /* the last release waits for company */
            CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
            CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        }
        pid_t child = _Fork();
        if (child == 0) {
            COUNT_NO_LEAKS();
            exit(0);
        }
        int status;
        CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
    for (int i = 0; i < r.line_count; i++)
        if (!strstr(r.lines[i], "connected") && !strstr(r.lines[i], "this process alone"))
            FAIL_TEST("the parent noticed: %s", r.lines[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_release_before_exit_arrives),
        cmocka_unit_test(test_a_lock_freed_before_exit_is_free),
        cmocka_unit_test(test_a_release_in_a_handler_of_exit_arrives),
        cmocka_unit_test(test_retained_leases_end_with_the_process),
        cmocka_unit_test(test_exit_of_a_raw_child_says_nothing),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
