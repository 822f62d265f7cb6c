/* SPDX-License-Identifier: MIT */
/*
 * Goal: a child of fork() holds nothing and says nothing; the parent does not
 * notice it; the child can free its copies and open clients of its own (law 9).
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
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/lsan_interface.h>
#define LEAKS() __lsan_do_recoverable_leak_check()
#else
#define LEAKS() 0
#endif

#if defined(__SANITIZE_THREAD__)
#define CHILD_MAY_HAVE_THREADS false /* TSan forbids threads after a fork of several */
#else
#define CHILD_MAY_HAVE_THREADS true
#endif

static void await_child(pid_t child)
{
    int status;
    CHECK(child > 0);
    CHECK(waitpid(child, &status, 0) == child);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        FAIL_TEST("the child ended with status 0x%x", status);
}

static bool no_row(const pawl_info *info, void *userdata)
{
    (void)info;
    (void)userdata;
    abort();
}

static void no_finding(const pawl_finding *finding, void *userdata)
{
    (void)finding;
    (void)userdata;
    abort();
}

static void check_everything_is_refused(pawl_client *client, pawl_lock *lock)
{
    static const char token[] = "0123456789abcdef0123456789abcdef00000001";
    record r;
    record_init(&r);
    pawl_lock *other = NULL;
    pawl_caps caps;
    CHECK(!pawl_lock_is_held(lock));
    CHECK(pawl_lock_remaining_ms(lock) == 0);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_acquire_start(lock, 0, record_done, &r), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_cancel(lock), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_release_wait(lock, 0), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_release_start(lock, record_done, &r), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_detach(lock), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_upgrade(lock, 0), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_upgrade_start(lock, 0, record_done, &r), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_downgrade(lock, PAWL_MODE_SHARED), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_lock_new(client, "a", 1, NULL, &other), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_client_dispatch(client), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_client_caps(client, 0, &caps), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_token_renew(client, "a", 1, token, 1000, 0, NULL), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_token_release(client, "a", 1, token, 0), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_token_check(client, "a", 1, token, 0, NULL), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_inspect(client, "a", 1, 0, no_row, NULL), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_list(client, "", 0, 0, no_row, NULL), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_break(client, "a", 1, 1, 0), PAWL_ERR_FORKED);
    CHECK_ERR(pawl_doctor(client, 0, no_finding, NULL), PAWL_ERR_FORKED);
    char message[PAWL_MESSAGE_MAX];
    pawl_client_message(client, message);
    CHECK(strcmp(message, pawl_err_text(PAWL_ERR_FORKED)) == 0);
    CHECK(strlen(pawl_client_owner(client)) > 0 && strlen(pawl_client_url(client)) > 0);
    CHECK(strlen(pawl_lock_name(lock)) > 0);
}

static void test_child_holds_nothing(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 1000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pid_t child = fork();
    if (child == 0) {
        check_everything_is_refused(client, lock);
        _exit(0);
    }
    await_child(child);
    stage_pass(2000); /* two ttls: the parent's renewals go on */
    assert_true(pawl_lock_is_held(lock));
    assert_true(stage_view(client, name).held);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* Freed in either order, held, waiting and idle: the parent goes on as if nothing had been. */
static void test_child_frees_its_copies(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name(), *busy = "held-by-the-other";
    pawl_lock *held = lock_new(client, name, 1000), *idle = lock_new(client, "idle", 1000);
    pawl_lock *waiting = lock_new(client, busy, 1000), *theirs = lock_new(other, busy, 60000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(waiting, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    stage_await_waiters(other, busy, 1);
    for (int order = 0; order < 2; order++) {
        pid_t child = fork();
        if (child == 0) {
            if (order == 0) pawl_client_close(client);
            pawl_lock_free(held);
            pawl_lock_free(idle);
            pawl_lock_free(waiting);
            if (order == 1) pawl_client_close(client);
            pawl_lock_free(theirs);
            pawl_client_close(other);
            client = other = NULL;
            held = idle = waiting = theirs = NULL;
            /* the other stores leave alone what threads that are gone may have locked */
            _exit(stage_is("redis") && LEAKS() ? 1 : 0);
        }
        await_child(child);
    }
    assert_true(pawl_lock_is_held(held));
    assert_true(stage_view(other, name).held);
    assert_int_equal(stage_view(client, busy).waiters, 1);
    assert_int_equal(record_dones(&r), 0);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    record_await_done(&r, 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    for (int i = 0; i < 50; i++) {
        CHECK_ERR(pawl_lock_acquire(idle, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(idle), PAWL_OK);
    }
    CHECK_ERR(pawl_lock_release_wait(held, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(held);
    pawl_lock_free(idle);
    pawl_lock_free(waiting);
    pawl_lock_free(theirs);
    stage_await_free(client, busy);
    pawl_client_close(client);
    pawl_client_close(other);
}

static pthread_barrier_t all_are_there;

static void *acquire_and_wait(void *arg)
{
    char deep[1024]; /* so that wipe_stack begins above what follows */
    explicit_bzero(deep, sizeof deep);
    CHECK_ERR(pawl_lock_acquire(arg, PAWL_WAIT_FOREVER), PAWL_OK);
    CHECK_ERR(pawl_lock_release(arg), PAWL_OK);
    return NULL;
}

static void *wipe_stack(void *arg)
{
    (void)arg;
    char stack[64 * 1024];
    explicit_bzero(stack, sizeof stack);
    pthread_barrier_wait(&all_are_there); /* each of them on a stack of its own */
    return NULL;
}

/* The system gives the child's threads the stacks of the parent's. */
static void wipe_stacks(void)
{
    enum { STACKS = 4 };
    pthread_t threads[STACKS];
    pthread_barrier_init(&all_are_there, NULL, STACKS);
    for (int i = 0; i < STACKS; i++)
        if (pthread_create(&threads[i], NULL, wipe_stack, NULL)) abort();
    for (int i = 0; i < STACKS; i++) pthread_join(threads[i], NULL);
}

/* The stack of a thread that waits does not exist in the child. */
static void test_child_leaves_the_stacks_of_waiting_threads_alone(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *waiting = lock_new(client, name, 1000), *theirs = lock_new(other, name, 60000);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, acquire_and_wait, waiting) == 0);
    stage_await_waiters(other, name, 1);
    pid_t child = fork();
    if (child == 0) {
        if (CHILD_MAY_HAVE_THREADS) wipe_stacks();
        pawl_client_close(client);
        pawl_lock_free(waiting);
        _exit(0);
    }
    await_child(child);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    pawl_lock_free(waiting);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_child_has_clients_of_its_own(void **state)
{
    (void)state;
    if (!CHILD_MAY_HAVE_THREADS) skip_case("TSan allows no threads in a child of fork");
    if (stage_is("memory")) skip_case("the locks of the memory store are one process's");
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_token mine;
    pawl_lock_token(lock, &mine);
    pid_t child = fork();
    if (child == 0) {
        pawl_client *own = stage_client(NULL);
        pawl_lock *same = lock_new(own, name, 1000), *another = lock_new(own, "another", 1000);
        pawl_token token;
        CHECK_ERR(pawl_lock_acquire(same, 0), PAWL_ERR_BUSY); /* the parent's */
        CHECK_ERR(pawl_lock_acquire(another, PATIENCE_MS), PAWL_OK);
        pawl_lock_token(another, &token);
        CHECK(strncmp(token.text, mine.text, 32) != 0);
        CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_FORKED);
        CHECK(pawl_lock_is_held(another) && !pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release_wait(another, PATIENCE_MS), PAWL_OK);
        pawl_lock_free(same);
        pawl_lock_free(another);
        pawl_client_close(own);
        _exit(0);
    }
    await_child(child);
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- While threads are at work -------------------------------------------------------------- */

typedef struct hammer {
    pawl_client *client;
    _Atomic bool stop;
    int rounds;
    pthread_t thread;
} hammer;

static void *strike(void *arg)
{
    hammer *h = arg;
    pawl_lock *lock = lock_new(h->client, "hammered", 60000);
    while (!h->stop) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        h->rounds++;
    }
    pawl_lock_free(lock);
    return NULL;
}

static bool any_row(const pawl_info *info, void *userdata)
{
    (void)info, (void)userdata;
    return true;
}

/* A long answer: the store's thread waits for the loop in the middle of it. */
static void *look(void *arg)
{
    hammer *h = arg;
    while (!h->stop) {
        CHECK_ERR(pawl_list(h->client, "", 0, PATIENCE_MS, any_row, NULL), PAWL_OK);
        h->rounds++;
    }
    return NULL;
}

static void test_fork_amid_work(void **state)
{
    (void)state;
    enum { THREADS = 4, FORKS = 200 };
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    hammer hammers[THREADS];
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    for (int i = 0; i < THREADS; i++) {
        hammers[i] = (hammer){.client = client};
        CHECK(pthread_create(&hammers[i].thread, NULL, i ? strike : look, &hammers[i]) == 0);
    }
    for (int i = 0; i < FORKS; i++) {
        pid_t child = fork();
        if (child == 0) {
            if (pawl_lock_is_held(lock)) _exit(2);
            if (pawl_lock_acquire(lock, 0) != PAWL_ERR_FORKED) _exit(3);
            pawl_lock_free(lock);
            pawl_client_close(client);
            _exit(0);
        }
        await_child(child);
        assert_true(pawl_lock_is_held(lock));
    }
    for (int i = 0; i < THREADS; i++) {
        hammers[i].stop = true;
        CHECK(pthread_join(hammers[i].thread, NULL) == 0);
        assert_true(hammers[i].rounds > 0);
    }
    pawl_lock_free(lock);
    stage_await_free(client, "hammered");
    pawl_client_close(client);
}

/* ---- Inside a callback ---------------------------------------------------------------------- */

static void fork_inside(pawl_lock *lock, int err, void *userdata)
{
    pid_t *child = userdata;
    CHECK_ERR(err, PAWL_OK);
    *child = fork();
    if (*child == 0) CHECK(!pawl_lock_is_held(lock));
}

static void test_fork_inside_a_dispatched_callback(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    pawl_client *client = stage_client(&opts);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    pid_t child = -1;
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, fork_inside, &child), PAWL_OK);
    struct pollfd p = {.fd = pawl_client_fd(client), .events = POLLIN};
    CHECK(poll(&p, 1, PATIENCE_MS) == 1);
    int ran = pawl_client_dispatch(client);
    if (child == 0) {
        CHECK_ERR(ran, PAWL_ERR_FORKED);
        pawl_lock_free(lock);
        pawl_client_close(client);
        _exit(0);
    }
    assert_int_equal(ran, 1);
    await_child(child);
    assert_true(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void fork_at_the_end(pawl_lock *lock, int err, void *userdata)
{
    (void)lock, (void)err;
    *(pid_t *)userdata = fork();
}

/* The close runs what nobody has dispatched; the child of such a callback leaves all to its parent.
 */
static void test_fork_inside_a_callback_that_the_close_runs(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    pawl_client *client = stage_client(&opts);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    pid_t child = -1;
    CHECK_ERR(pawl_lock_acquire_start(lock, PATIENCE_MS, fork_at_the_end, &child), PAWL_OK);
    struct pollfd p = {.fd = pawl_client_fd(client), .events = POLLIN};
    CHECK(poll(&p, 1, PATIENCE_MS) == 1);
    pawl_client_close(client);
    if (child == 0) {
        CHECK(fcntl(p.fd, F_GETFD) >= 0); /* nothing was closed, freed or sent */
        _exit(0);
    }
    await_child(child);
    pawl_lock_free(lock);
}

/* ---- The program's own handlers -------------------------------------------------------------- */

static pawl_client *asked_client;
static pawl_lock *asked_lock;

/* They run while pawl holds everything still: it must say so, and not wait for itself. */
static void ask_in_a_handler(void)
{
    if (!asked_lock) return;
    char message[PAWL_MESSAGE_MAX];
    pawl_caps caps;
    pawl_client *client;
    CHECK(pawl_lock_is_held(asked_lock) && pawl_lock_remaining_ms(asked_lock) > 0);
    CHECK_ERR(pawl_lock_release(asked_lock), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_acquire(asked_lock, 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_client_caps(asked_client, 0, &caps), PAWL_ERR_STATE);
    CHECK_ERR(pawl_client_open(stage_url(), NULL, &client, NULL), PAWL_ERR_STATE);
    pawl_client_message(asked_client, message);
    CHECK(strcmp(message, pawl_err_text(PAWL_ERR_STATE)) == 0);
}

static void ask_in_the_child(void)
{
    if (!asked_lock) return;
    CHECK(!pawl_lock_is_held(asked_lock));
    CHECK_ERR(pawl_lock_release(asked_lock), PAWL_ERR_FORKED);
}

/* Registered before pawl's (see main), so that they run inside those. */
static void test_handlers_of_the_program_may_ask(void **state)
{
    (void)state;
    asked_client = stage_client(NULL);
    asked_lock = lock_new(asked_client, stage_name(), 60000);
    CHECK_ERR(pawl_lock_acquire(asked_lock, PATIENCE_MS), PAWL_OK);
    pid_t child = fork();
    if (child == 0) {
        pawl_token token;
        pawl_lock_token(asked_lock, &token);
        _exit(*token.text ? 1 : 0);
    }
    await_child(child);
    CHECK_ERR(pawl_lock_release(asked_lock), PAWL_OK);
    asked_lock = pawl_lock_free(asked_lock);
    pawl_client_close(asked_client);
}

/* ---- Signals ----------------------------------------------------------------------------------
 */

static bool sends_signal, is_held_back;
static volatile sig_atomic_t signals;

static void count_signal(int signal)
{
    (void)signal;
    signals++;
}

static bool is_blocked(int signal)
{
    sigset_t mask;
    CHECK(pthread_sigmask(SIG_SETMASK, NULL, &mask) == 0);
    return sigismember(&mask, signal) == 1;
}

/* The clients are frozen: a handler that took its time would keep their renewals waiting. */
static void send_a_signal(void)
{
    if (!sends_signal) return;
    CHECK(raise(SIGUSR1) == 0);
    is_held_back = signals == 0 && is_blocked(SIGUSR1) && !is_blocked(SIGSEGV);
}

/* send_a_signal is registered before pawl's handlers (see main), and so runs behind them. */
static void test_a_signal_waits_until_the_fork_is_over(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    struct sigaction before, action = {.sa_handler = count_signal};
    sigset_t none;
    sigemptyset(&none); /* whoever started us may have blocked it */
    CHECK(pthread_sigmask(SIG_SETMASK, &none, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &action, &before) == 0);
    sends_signal = true;
    pid_t child = fork();
    if (child == 0) _exit(signals == 0 && !is_blocked(SIGUSR1) ? 0 : 1); /* it is the parent's */
    sends_signal = false;
    await_child(child);
    assert_true(is_held_back);
    assert_int_equal(signals, 1);
    assert_false(is_blocked(SIGUSR1));
    CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_child_holds_nothing),
        cmocka_unit_test(test_child_frees_its_copies),
        cmocka_unit_test(test_child_leaves_the_stacks_of_waiting_threads_alone),
        cmocka_unit_test(test_child_has_clients_of_its_own),
        cmocka_unit_test(test_fork_amid_work),
        cmocka_unit_test(test_fork_inside_a_dispatched_callback),
        cmocka_unit_test(test_fork_inside_a_callback_that_the_close_runs),
        cmocka_unit_test(test_handlers_of_the_program_may_ask),
        cmocka_unit_test(test_a_signal_waits_until_the_fork_is_over),
    };
    CHECK(pthread_atfork(ask_in_a_handler, ask_in_a_handler, ask_in_the_child) == 0);
    CHECK(pthread_atfork(send_a_signal, NULL, NULL) == 0);
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
