/* SPDX-License-Identifier: MIT */
/*
 * Goal: exclusion, growing fences and no lost wake-up when many threads and
 * clients want few names, while the loop goes from thread to thread.
 * Method: plain variables that only a holder may touch (TSan watches them), and
 * every thread must finish its rounds.
 */
#define _GNU_SOURCE
#include "stage.h"

#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct shared {
    const char *name;
    _Atomic int inside;
    long counter;   /* only touched by the holder */
    uint64_t fence; /* of the latest holder */
} shared;

typedef struct worker {
    pawl_client *client;
    shared *shared;
    int rounds, ttl_ms;
    bool impatient; /* with time-outs, tries and cancels between */
    bool waits_for_release;
    unsigned random;
    int held;
    pthread_t thread;
} worker;

static void be_inside(worker *w, pawl_lock *lock)
{
    shared *s = w->shared;
    CHECK(atomic_fetch_add(&s->inside, 1) == 0);
    CHECK(pawl_lock_is_held(lock));
    CHECK(pawl_lock_fence(lock) >= s->fence); /* equal when threads of a client share the lease */
    s->fence = pawl_lock_fence(lock);
    s->counter++;
    w->held++;
    CHECK(atomic_fetch_sub(&s->inside, 1) == 1);
}

static int64_t patience(worker *w)
{
    if (!w->impatient) return PAWL_WAIT_FOREVER;
    w->random = w->random * 1103515245 + 12345;
    return (w->random >> 16) % 4; /* 0 to 3 ms */
}

/* UNAVAILABLE: the store had not answered at all in so short a time. */
static bool is_impatience(int err)
{
    return err == PAWL_ERR_BUSY || err == PAWL_ERR_TIMEOUT || err == PAWL_ERR_UNAVAILABLE;
}

static void *work(void *arg)
{
    worker *w = arg;
    pawl_lock *lock = lock_new(w->client, w->shared->name, w->ttl_ms);
    for (int i = 0; i < w->rounds; i++) {
        int err = pawl_lock_acquire(lock, patience(w));
        if (w->impatient && is_impatience(err)) continue;
        CHECK_ERR(err, PAWL_OK);
        be_inside(w, lock);
        if (w->waits_for_release) CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
        if (!w->waits_for_release) CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    pawl_lock_free(lock);
    return NULL;
}

typedef struct plan {
    size_t clients, threads, names;
    int rounds;
    bool impatient, waits_for_release;
} plan;

static void run(const plan *p)
{
    enum { MAX = 32 };
    static char names[MAX][32];
    pawl_client *clients[MAX];
    shared shareds[MAX];
    worker workers[MAX];
    long held = 0, counted = 0;
    CHECK(p->clients <= MAX && p->names <= MAX && p->threads <= MAX);
    memset(shareds, 0, sizeof shareds);
    for (size_t i = 0; i < p->clients; i++) clients[i] = stage_client(NULL);
    for (size_t i = 0; i < p->names; i++) {
        snprintf(names[i], sizeof names[i], "%s", stage_name());
        shareds[i].name = names[i];
    }
    for (size_t i = 0; i < p->threads; i++) {
        workers[i] = (worker){.client = clients[i % p->clients],
                              .shared = &shareds[(i / p->clients) % p->names],
                              .rounds = p->rounds,
                              .ttl_ms = 60000,
                              .impatient = p->impatient,
                              .waits_for_release = p->waits_for_release,
                              .random = (unsigned)i};
        CHECK(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0);
    }
    for (size_t i = 0; i < p->threads; i++) {
        CHECK(pthread_join(workers[i].thread, NULL) == 0);
        held += workers[i].held;
        if (!p->impatient) assert_int_equal(workers[i].held, p->rounds);
    }
    for (size_t i = 0; i < p->names; i++) {
        counted += shareds[i].counter;
        stage_await_free(clients[0], names[i]);
    }
    assert_int_equal(counted, held);
    assert_true(held > 0);
    for (size_t i = 0; i < p->clients; i++) pawl_client_close(clients[i]);
}

static void test_threads_of_one_client_on_one_name(void **state)
{
    (void)state;
    run(&(plan){.clients = 1, .threads = 8, .names = 1, .rounds = 200});
}

static void test_threads_of_one_client_on_many_names(void **state)
{
    (void)state;
    run(&(plan){.clients = 1, .threads = 16, .names = 16, .rounds = 150});
}

static void test_clients_on_one_name(void **state)
{
    (void)state;
    run(&(plan){.clients = 8, .threads = 8, .names = 1, .rounds = 60});
}

static void test_clients_with_threads_on_two_names(void **state)
{
    (void)state;
    run(&(plan){.clients = 4, .threads = 16, .names = 2, .rounds = 60});
}

static void test_impatient_threads(void **state)
{
    (void)state;
    run(&(plan){.clients = 3, .threads = 12, .names = 2, .rounds = 150, .impatient = true});
}

static void test_releases_that_wait(void **state)
{
    (void)state;
    run(&(plan){.clients = 2, .threads = 8, .names = 2, .rounds = 80, .waits_for_release = true});
}

/* ---- Readers beside the owner --------------------------------------------------------------- */

typedef struct reader {
    pawl_lock *lock;
    _Atomic bool stop;
    pthread_t thread;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    uint64_t last = 0;
    while (!r->stop) {
        pawl_token token;
        pawl_lock_token(r->lock, &token);
        size_t len = strlen(token.text);
        CHECK(len == 0 || (len == PAWL_TOKEN_LEN && strspn(token.text, "0123456789abcdef") == len));
        CHECK(pawl_lock_remaining_ms(r->lock) <= 60000);
        (void)pawl_lock_is_held(r->lock);
        uint64_t fence = pawl_lock_fence(r->lock);
        CHECK(fence >= last);
        last = fence;
    }
    return NULL;
}

static void test_queries_beside_the_owner(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    reader readers[2] = {{.lock = lock}, {.lock = lock}};
    for (int i = 0; i < 2; i++)
        CHECK(pthread_create(&readers[i].thread, NULL, read_all, &readers[i]) == 0);
    for (int i = 0; i < 300; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    for (int i = 0; i < 2; i++) {
        readers[i].stop = true;
        CHECK(pthread_join(readers[i].thread, NULL) == 0);
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Closing under load --------------------------------------------------------------------- */

static void *work_until_closed(void *arg)
{
    worker *w = arg;
    pawl_lock *lock = lock_new(w->client, w->shared->name, w->ttl_ms);
    atomic_fetch_add(&w->shared->inside, 1); /* here: ready */
    for (;;) {
        int err = pawl_lock_acquire(lock, PAWL_WAIT_FOREVER);
        if (err == PAWL_ERR_CLOSED) break;
        CHECK_ERR(err, PAWL_OK);
        w->held++;
        err = pawl_lock_release(lock);
        if (err == PAWL_ERR_CLOSED) break;
        CHECK_ERR(err, PAWL_OK);
    }
    pawl_lock_free(lock);
    return NULL;
}

static void test_close_under_load(void **state)
{
    (void)state;
    enum { THREADS = 6, ROUNDS = 15 };
    for (int round = 0; round < ROUNDS; round++) {
        worker workers[THREADS];
        shared s = {.name = "closed-under-load"};
        pawl_client *client = stage_client(NULL);
        for (int i = 0; i < THREADS; i++) {
            workers[i] = (worker){.client = client, .shared = &s, .ttl_ms = 60000};
            CHECK(pthread_create(&workers[i].thread, NULL, work_until_closed, &workers[i]) == 0);
        }
        while (s.inside < THREADS) sched_yield();
        if (round % 3) stage_pass(round);
        pawl_client_close(client);
        for (int i = 0; i < THREADS; i++) CHECK(pthread_join(workers[i].thread, NULL) == 0);
        pawl_client *other = stage_client(NULL);
        stage_await_free(other, s.name); /* what was held has been released */
        pawl_client_close(other);
    }
}

/* ---- Cancellation of threads ---------------------------------------------------------------- */

static void *acquire_then_note(void *arg)
{
    void **args = arg;
    pawl_lock *lock = args[0];
    record *r = args[1];
    record_done(lock, pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), r);
    pthread_testcancel();
    record_done(lock, 99, r);
    return NULL;
}

/* pthread_cancel must not catch a thread that has the mutex or the role. */
static void test_canceled_thread_finishes_its_call(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = lock_new(client, name, 5000), *theirs = lock_new(other, name, 5000);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    void *args[] = {lock, &r};
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, acquire_then_note, args) == 0);
    stage_await_waiters(other, name, 1);
    CHECK(pthread_cancel(thread) == 0);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    void *result;
    CHECK(pthread_join(thread, &result) == 0);
    assert_ptr_equal(result, PTHREAD_CANCELED);
    assert_int_equal(record_dones(&r), 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK); /* the client still works */
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* ---- Signals ------------------------------------------------------------------------------ */

static pawl_lock *asked_in_handler;
static atomic_int handled, seen_held;
static atomic_bool signals_may_come, signals_are_over;

static void on_signal(int number)
{
    (void)number;
    if (pawl_lock_is_held(asked_in_handler) && pawl_lock_remaining_ms(asked_in_handler) > 0)
        atomic_fetch_add(&seen_held, 1);
    atomic_fetch_add(&handled, 1);
}

static void *acquire_and_release(void *arg)
{
    while (!signals_are_over) {
        CHECK_ERR(pawl_lock_acquire(arg, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release_wait(arg, PATIENCE_MS), PAWL_OK);
        signals_may_come = true;
    }
    return NULL;
}

/* A thread that drives is interrupted in any of its system calls; its handler asks us. */
static void test_signals_while_driving(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    asked_in_handler = lock_new(client, stage_name(), 60000);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    CHECK_ERR(pawl_lock_acquire(asked_in_handler, PATIENCE_MS), PAWL_OK);
    struct sigaction action = {.sa_handler = on_signal}, before;
    CHECK(sigaction(SIGUSR1, &action, &before) == 0); /* without SA_RESTART */
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, acquire_and_release, lock) == 0);
    while (!signals_may_come) sched_yield(); /* libtsan 12 can lose one before the first call */
    for (int sent = 1; sent <= 200; sent++) {
        CHECK(pthread_kill(thread, SIGUSR1) == 0);
        while (handled < sent) sched_yield();
    }
    signals_are_over = true;
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(sigaction(SIGUSR1, &before, NULL) == 0);
    assert_int_equal(seen_held, 200);
    pawl_lock_free(asked_in_handler);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* How often the threads that clients drive with have gone to sleep. */
static long sleeps_of_client_threads(void)
{
    long sum = 0;
    DIR *tasks = opendir("/proc/self/task");
    CHECK(tasks);
    for (const struct dirent *task; (task = readdir(tasks)) != NULL;) {
        char path[300], line[128];
        if (task->d_name[0] == '.') continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/status", task->d_name);
        FILE *status = fopen(path, "re");
        if (!status) continue;
        bool ours = false;
        long sleeps;
        while (fgets(line, sizeof line, status)) {
            if (strcmp(line, "Name:\tpawl\n") == 0) ours = true;
            if (ours && sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps) == 1) sum += sleeps;
        }
        fclose(status);
    }
    closedir(tasks);
    return sum;
}

/*
 * The cost of a contended fleet is its wake-ups. Callers drive for themselves; the client's
 * thread must not be woken for each of their acquisitions, however far apart these are.
 */
static void test_thread_sleeps_while_callers_drive(void **state)
{
    (void)state;
    enum { ROUNDS = 300, SLEEPS_MAX = 60 }; /* 1, 2, 4 ... 256 ms */
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = lock_new(client, stage_name(), 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    long before = sleeps_of_client_threads();
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        poll(NULL, 0, 2); /* longer than the first sleep: the thread could be wanted */
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        poll(NULL, 0, 1);
    }
    long sleeps = sleeps_of_client_threads() - before;
    if (sleeps > SLEEPS_MAX) FAIL_TEST("it was awake %ld times in %d rounds", sleeps, ROUNDS);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Threads that wait for each other, and so for nothing from the store -------------------- */

typedef struct sharers {
    const char *name;
    pawl_client *client;
    _Atomic long passes;
    _Atomic bool stop;
    pthread_t threads[8];
} sharers;

static void *share(void *arg)
{
    sharers *s = arg;
    pawl_lock *lock = lock_new(s->client, s->name, 120000);
    while (!s->stop) {
        CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_OK);
        s->passes++;
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    pawl_lock_free(lock);
    return NULL;
}

static void sharers_start(sharers *s)
{
    *s = (sharers){.name = stage_name(), .client = stage_client(NULL)};
    for (int i = 0; i < 8; i++) CHECK(pthread_create(&s->threads[i], NULL, share, s) == 0);
}

static void sharers_pass(const sharers *s, long passes)
{
    long until = s->passes + passes;
    while (s->passes < until) poll(NULL, 0, 1);
}

static void sharers_stop(sharers *s)
{
    s->stop = true;
    for (int i = 0; i < 8; i++) CHECK(pthread_join(s->threads[i], NULL) == 0);
    pawl_client_close(s->client);
}

/* Calls of write and its like; messages through sockets are none. */
static long writes_of_process(void)
{
    FILE *io = fopen("/proc/self/io", "re");
    char line[64];
    long writes = -1;
    while (io && fgets(line, sizeof line, io))
        if (sscanf(line, "syscw: %ld", &writes) == 1) break;
    if (io) fclose(io);
    return writes;
}

/* A release wakes the next caller, and no third thread that would tell the engine. */
static void test_passing_on_wakes_no_driver(void **state)
{
    (void)state;
    enum { PASSES = 2000 };
    sharers s;
    if (writes_of_process() < 0) skip_case("this kernel does not count writes in /proc/self/io");
    sharers_start(&s);
    sharers_pass(&s, PASSES); /* by then the client's thread stays away */
    long passes = s.passes, writes = writes_of_process();
    sharers_pass(&s, PASSES);
    writes = writes_of_process() - writes;
    passes = s.passes - passes;
    sharers_stop(&s);
    if (writes > passes / 4) FAIL_TEST("%ld wake-ups of a driver in %ld passes", writes, passes);
}

/* No thread owns the loop, and still others are noticed long before the next renewal. */
static void test_others_get_what_threads_pass_on(void **state)
{
    (void)state;
    sharers s;
    sharers_start(&s);
    pawl_client *client = stage_client(NULL);
    pawl_lock *lock = lock_new(client, s.name, 60000);
    for (int i = 0; i < 5; i++) {
        sharers_pass(&s, 100);
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    sharers_stop(&s);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* The one who waits is not the one who listens: his time ends nevertheless, and renewals go on. */
static void test_waiting_for_each_other_has_its_time(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *held = lock_new(client, name, 1000), *wanted = lock_new(client, name, 1000);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    int64_t began = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire(wanted, 2500), PAWL_ERR_TIMEOUT);
    assert_in_range(stage_now_ms() - began, 2500, PATIENCE_MS);
    assert_true(pawl_lock_is_held(held));
    CHECK_ERR(pawl_lock_release(held), PAWL_OK);
    pawl_lock_free(held);
    pawl_lock_free(wanted);
    pawl_client_close(client);
}

static void stay_in_handler(int number)
{
    (void)number;
    (void)poll(NULL, 0, 1500);
}

static void *acquire_once(void *lock)
{
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    return NULL;
}

/* Renewals depend on no thread of the user's: one that waits may be kept by its own handler. */
static void test_a_waiter_stuck_in_a_handler_holds_up_no_renewal(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *wanted = lock_new(client, name, 60000), *theirs = lock_new(other, name, 60000);
    pawl_lock *held = lock_new(client, stage_name(), 1000);
    struct sigaction action = {.sa_handler = stay_in_handler};
    CHECK(sigaction(SIGUSR2, &action, NULL) == 0);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, acquire_once, wanted) == 0);
    stage_await_waiters(other, pawl_lock_name(wanted), 1); /* it waits before anything is held */
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    stage_pass(50);
    CHECK(pthread_kill(thread, SIGUSR2) == 0);
    stage_pass(1400);
    assert_true(pawl_lock_is_held(held));
    CHECK_ERR(pawl_lock_release(held), PAWL_OK);
    CHECK_ERR(pawl_lock_release(theirs), PAWL_OK);
    CHECK(pthread_join(thread, NULL) == 0);
    pawl_lock_free(held);
    pawl_lock_free(wanted);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads_of_one_client_on_one_name),
        cmocka_unit_test(test_threads_of_one_client_on_many_names),
        cmocka_unit_test(test_clients_on_one_name),
        cmocka_unit_test(test_clients_with_threads_on_two_names),
        cmocka_unit_test(test_impatient_threads),
        cmocka_unit_test(test_releases_that_wait),
        cmocka_unit_test(test_queries_beside_the_owner),
        cmocka_unit_test(test_close_under_load),
        cmocka_unit_test(test_canceled_thread_finishes_its_call),
        cmocka_unit_test(test_signals_while_driving),
        cmocka_unit_test(test_thread_sleeps_while_callers_drive),
        cmocka_unit_test(test_passing_on_wakes_no_driver),
        cmocka_unit_test(test_others_get_what_threads_pass_on),
        cmocka_unit_test(test_waiting_for_each_other_has_its_time),
        cmocka_unit_test(test_a_waiter_stuck_in_a_handler_holds_up_no_renewal),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
