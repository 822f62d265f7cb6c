/* SPDX-License-Identifier: MIT */
/*
 * Goal: a client without a thread does in pawl_client_wait all that others do on one,
 * nothing that is asked there is missed, and what nobody drives is lost by the clock.
 */
#define _GNU_SOURCE
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static pawl_client *quiet_client(void)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_WAIT;
    return stage_client(&opts);
}

static int thread_count(void)
{
    int count = 0;
    DIR *dir = opendir("/proc/self/task");
    CHECK(dir);
    for (const struct dirent *entry; (entry = readdir(dir));) count += entry->d_name[0] != '.';
    closedir(dir);
    return count;
}

static void wait_until_done(pawl_client *client, record *r, int count)
{
    int64_t until = stage_now_ms() + PATIENCE_MS;
    while (record_dones(r) < count) {
        CHECK(stage_now_ms() < until);
        CHECK(pawl_client_wait(client, -1, PATIENCE_MS) >= 0);
    }
}

static void wait_for_ms(pawl_client *client, int64_t ms)
{
    int64_t until = stage_now_ms() + ms;
    for (int64_t left; (left = until - stage_now_ms()) > 0;)
        CHECK(pawl_client_wait(client, -1, left) >= 0);
}

/* ---- One thread ----------------------------------------------------------------------------- */

static void test_all_in_one_thread(void **state)
{
    (void)state;
    int before = thread_count();
    pawl_client *client = quiet_client();
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &r), PAWL_OK);
    wait_until_done(client, &r, 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    assert_true(pthread_equal(r.thread, pthread_self()));
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release_start(lock, record_done, &r), PAWL_OK);
    wait_until_done(client, &r, 2);
    CHECK_ERR(r.done_err, PAWL_OK);
    /* SQLite's worker gets its thread after 20 ms, which a machine that stalls may reach. */
    if (!stage_is("sqlite")) assert_int_equal(thread_count(), before);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(thread_count(), before);
}

static void test_waiting_calls_drive_as_well(void **state)
{
    (void)state;
    pawl_client *client = quiet_client();
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    for (int i = 0; i < 50; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_renewed_while_waiting(void **state)
{
    (void)state;
    pawl_client *client = quiet_client(), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, RENEWED_SOON_MS);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    wait_for_ms(client, 2 * RENEWED_SOON_MS);
    assert_true(pawl_lock_is_held(lock));
    assert_true(stage_view(other, name).held);
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* No thread owns the loop: the clock shows the loss, and it is told at the next opportunity. */
static void test_lost_when_nobody_waits(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = quiet_client();
    pawl_lock *lock = lock_with_events(client, stage_name(), 300, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    stage_pass(350);
    assert_false(pawl_lock_is_held(lock));
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 0);
    wait_for_ms(client, 1);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 1);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_pushes_arrive_in_it(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    const char *name = stage_name();
    pawl_client *client = quiet_client(), *other = stage_client(NULL);
    pawl_lock *lock = lock_with_events(client, name, 60000, record_event, &r);
    pawl_lock *theirs = lock_new(other, name, 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    record theirs_r;
    record_init(&theirs_r);
    CHECK_ERR(pawl_lock_acquire_start(theirs, PATIENCE_MS, record_done, &theirs_r), PAWL_OK);
    int64_t until = stage_now_ms() + PATIENCE_MS;
    while (record_events(&r, PAWL_EVENT_YIELD) == 0) {
        CHECK(stage_now_ms() < until);
        CHECK(pawl_client_wait(client, -1, 1000) >= 0);
    }
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    record_await_done(&theirs_r, 1);
    CHECK_ERR(theirs_r.done_err, PAWL_OK);
    /* And the other way round: the grant. */
    record mine;
    record_init(&mine);
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, record_done, &mine), PAWL_OK);
    wait_for_ms(client, 50);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    wait_until_done(client, &mine, 1);
    CHECK_ERR(mine.done_err, PAWL_OK);
    pawl_lock_free(theirs);
    pawl_lock_free(lock);
    pawl_client_close(other);
    pawl_client_close(client);
}

/* ---- How it ends ---------------------------------------------------------------------------- */

static void test_a_descriptor_ends_it(void **state)
{
    (void)state;
    int ends[2];
    char byte = 0;
    CHECK(pipe(ends) == 0);
    pawl_client *client = quiet_client();
    int64_t began = stage_now_ms();
    assert_int_equal(pawl_client_wait(client, ends[0], 50), 0);
    assert_true(stage_now_ms() - began >= 50);
    assert_int_equal(write(ends[1], &byte, 1), 1);
    for (int i = 0; i < 3; i++) { /* as long as it is readable */
        began = stage_now_ms();
        assert_int_equal(pawl_client_wait(client, ends[0], PATIENCE_MS), 0);
        assert_true(stage_now_ms() - began < PATIENCE_MS / 2);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    close(ends[1]);
    assert_int_equal(pawl_client_wait(client, ends[0], PAWL_WAIT_FOREVER), 0); /* its end, too */
    close(ends[0]);
    pawl_client_close(client);
}

static int err_in_callback;

static void wait_in_callback(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    (void)err;
    err_in_callback = pawl_client_wait(userdata, -1, 0);
}

static void test_refusals(void **state)
{
    (void)state;
    pawl_client *other = stage_client(NULL), *client = quiet_client();
    CHECK_ERR(pawl_client_wait(NULL, -1, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_client_wait(client, -1, -2), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_client_wait(other, -1, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_client_dispatch(client), PAWL_ERR_STATE);
    assert_int_equal(pawl_client_fd(client), -1);
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    CHECK(file >= 0);
    CHECK_ERR(pawl_client_wait(client, file, 0), PAWL_ERR_ARGUMENT);
    close(file);
    CHECK_ERR(pawl_client_wait(client, file, 0), PAWL_ERR_ARGUMENT);
    pawl_lock *lock = lock_new(client, stage_name(), 5000);
    err_in_callback = PAWL_OK;
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, wait_in_callback, client), PAWL_OK);
    int64_t until = stage_now_ms() + PATIENCE_MS;
    while (!err_in_callback && stage_now_ms() < until)
        CHECK(pawl_client_wait(client, -1, 100) >= 0);
    CHECK_ERR(err_in_callback, PAWL_ERR_STATE);
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* ---- Several threads ------------------------------------------------------------------------ */

typedef struct waiting {
    pawl_client *client;
    int fd; /* ends the loop */
    atomic_int entered;
    int result;
} waiting;

static void *wait_in_thread(void *arg)
{
    waiting *w = arg;
    atomic_store(&w->entered, 1);
    do { /* start_waiting looks in from time to time, and two cannot be in it */
        w->result = pawl_client_wait(w->client, w->fd, PAWL_WAIT_FOREVER);
    } while (w->result == PAWL_ERR_STATE);
    return NULL;
}

static void start_waiting(waiting *w, pthread_t *ret_thread)
{
    CHECK(pthread_create(ret_thread, NULL, wait_in_thread, w) == 0);
    while (!atomic_load(&w->entered)) stage_pass(1);
    /* Until it is in there: then a second one is refused. */
    int64_t until = stage_now_ms() + PATIENCE_MS;
    while (pawl_client_wait(w->client, -1, 0) != PAWL_ERR_STATE) CHECK(stage_now_ms() < until);
}

static void test_one_thread_drives_for_others(void **state)
{
    (void)state;
    int ends[2];
    CHECK(pipe(ends) == 0);
    waiting w = {.client = quiet_client(), .fd = ends[0]};
    pthread_t thread;
    start_waiting(&w, &thread);
    pawl_lock *lock = lock_new(w.client, stage_name(), 5000);
    for (int i = 0; i < 20; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    }
    close(ends[1]);
    pthread_join(thread, NULL);
    assert_int_equal(w.result, 0);
    /* No thread is in it now: callers take the loop themselves. */
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(w.client);
    close(ends[0]);
}

static void test_close_ends_it(void **state)
{
    (void)state;
    waiting w = {.client = quiet_client(), .fd = -1};
    pthread_t thread;
    start_waiting(&w, &thread);
    pawl_client_close(w.client);
    pthread_join(thread, NULL);
    CHECK_ERR(w.result, PAWL_ERR_CLOSED);
}

static void test_fork_while_waiting(void **state)
{
    (void)state;
    int ends[2];
    CHECK(pipe(ends) == 0);
    waiting w = {.client = quiet_client(), .fd = ends[0]};
    pthread_t thread;
    start_waiting(&w, &thread);
    pid_t pid = fork();
    if (pid == 0) {
        int err = pawl_client_wait(w.client, -1, 0);
        pawl_client_close(w.client);
        _exit(err == PAWL_ERR_FORKED ? 0 : 1);
    }
    int status = -1;
    CHECK(waitpid(pid, &status, 0) == pid);
    assert_int_equal(status, 0);
    pawl_lock *lock = lock_new(w.client, stage_name(), 5000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK); /* it goes on */
    close(ends[1]);
    pthread_join(thread, NULL);
    assert_int_equal(w.result, 0);
    pawl_lock_free(lock);
    pawl_client_close(w.client);
    close(ends[0]);
}

int main(int argc, char **argv)
{
    stage_begin(argc, argv);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_all_in_one_thread),
        cmocka_unit_test(test_waiting_calls_drive_as_well),
        cmocka_unit_test(test_renewed_while_waiting),
        cmocka_unit_test(test_lost_when_nobody_waits),
        cmocka_unit_test(test_pushes_arrive_in_it),
        cmocka_unit_test(test_a_descriptor_ends_it),
        cmocka_unit_test(test_refusals),
        cmocka_unit_test(test_one_thread_drives_for_others),
        cmocka_unit_test(test_close_ends_it),
        cmocka_unit_test(test_fork_while_waiting),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
