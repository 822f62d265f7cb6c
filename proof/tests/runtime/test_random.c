/* SPDX-License-Identifier: MIT */
/*
 * Goal: a client that gets no random numbers any more draws no bad token; it
 * reports every lease lost and grants nothing (law 10). Method: a sandbox that
 * forbids getrandom() is closed around the program when the client works already.
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
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool forbid_getrandom(void)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_getrandom, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {.len = sizeof code / sizeof code[0], .filter = code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
}

static void test_no_random_numbers_any_more(void **state)
{
    (void)state;
    char byte;
    record r, log, done, of_all;
    record_init(&r);
    record_init(&of_all);
    record_init(&log);
    record_init(&done);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.log = record_log;
    opts.log_userdata = &log;
    pawl_client *client = stage_client(&opts), *observer = stage_client(NULL);
    pawl_lock *held = lock_with_events(client, "held", 60000, record_event, &r);
    pawl_lock *waiting = lock_new(client, "held", 60000), *lock = lock_new(client, "lock", 60000);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(waiting, PAWL_WAIT_FOREVER, record_done, &done), PAWL_OK);

    static const char *const names[] = {"x", "y"}, *const busy[] = {"a", "held", "z"};
    pawl_lock_opts all_opts;
    pawl_lock_opts_init(&all_opts);
    all_opts.on_event = record_event;
    all_opts.event_userdata = &of_all;
    pawl_lock *all, *some;
    CHECK_ERR(pawl_lock_new_all(client, names, 2, &all_opts, &all), PAWL_OK);
    CHECK_ERR(pawl_lock_new_all(client, busy, 3, NULL, &some), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(all, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(some, PAWL_WAIT_FOREVER, record_done, &of_all), PAWL_OK);
    if (!forbid_getrandom()) skip_case("this kernel lets us forbid nothing (seccomp)");
    assert_int_equal(getrandom(&byte, 1, 0), -1);
    int err = PAWL_OK, rounds = 0;
    while (!err && ++rounds < 1000) { /* as long as the pool lasts, all is well */
        err = pawl_lock_acquire(lock, PATIENCE_MS);
        if (!err) CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    CHECK_ERR(err, PAWL_ERR_SYSTEM);
    assert_true(rounds > 1 && rounds < 1000);
    assert_false(pawl_lock_is_held(held));
    record_await_event(&r, PAWL_EVENT_LOST, 1);
    CHECK_ERR((int)r.event_err, PAWL_ERR_SYSTEM);
    record_await_done(&done, 1);
    CHECK_ERR(done.done_err, PAWL_ERR_SYSTEM);
    record_await_line(&log, "no random numbers");
    record_await_event(&of_all, PAWL_EVENT_LOST, 1);
    record_await_done(&of_all, 1);
    CHECK_ERR(of_all.done_err, PAWL_ERR_SYSTEM);
    CHECK_ERR(pawl_lock_release(all), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(some, 0), PAWL_ERR_SYSTEM);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_SYSTEM);
    CHECK_ERR(pawl_lock_acquire(held, 0), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(held), PAWL_ERR_LOST);
    CHECK_ERR(pawl_break(client, "held", 4, 1, PATIENCE_MS), PAWL_ERR_SYSTEM);
    assert_false(stage_view(observer, "lock").held); /* no bad token has left */
    pawl_client *another = NULL;
    char message[PAWL_MESSAGE_MAX];
    CHECK_ERR(pawl_client_open(stage_url(), NULL, &another, message), PAWL_ERR_SYSTEM);
    assert_non_null(strstr(message, "random"));
    pawl_lock_free(all);
    pawl_lock_free(some);
    pawl_lock_free(held);
    pawl_lock_free(waiting);
    pawl_lock_free(lock);
    pawl_client_close(client);
    pawl_client_close(observer);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 1);
    assert_int_equal(record_dones(&done), 1);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_random_numbers_any_more),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
