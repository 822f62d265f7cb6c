/* SPDX-License-Identifier: MIT */
/*
 * A child of fork that opens the database anew, whatever its parent was doing in SQLite.
 *
 * Children do not call cmocka: its failures would go on in the parent's copy of the tests.
 */
#define _GNU_SOURCE
#include "place.h"

#include "stores/sqlite/sqlite_db.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILD_PATIENCE_S 20 /* then SIGALRM ends it */

/* Where SQLite keeps its locks on a database (its file format, 2.2.4). */
#define SHARED_FIRST 0x40000002
#define SHARED_SIZE  510

enum { FINE = 0, REFUSED = 2, OTHER_ERROR, NOT_GRANTED };

/* ---- The child -------------------------------------------------------------------- */

static int open_and_acquire(host *h, const char *name)
{
    char message[PAWL_MESSAGE_MAX] = "";
    alarm(CHILD_PATIENCE_S);
    /* Once by hand, for the error; then as all do. */
    pawl_url url = host_url(path);
    pawl_store *store = NULL;
    struct event_base *base = event_base_new();
    pawl_host bare = a.host;
    bare.base = base;
    int err = pawl_store_entry.open(&bare, &url, &store, message);
    if (err) return err == PAWL_ERR_FORKED && message[0] ? REFUSED : OTHER_ERROR;
    pawl_store_entry.close(store);
    event_base_free(base);
    host_open(h, path);
    return acquire(h, name, 2).outcome == PAWL_GRANTED ? FINE : NOT_GRANTED;
}

static int status_of(pid_t child)
{
    int status = -1;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* ---- An idle parent ---------------------------------------------------------------- */

/* The process that keeps others from locking the whole database; our own locks do not count. */
static pid_t reader_of_database(int fd)
{
    struct flock lock = {
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = SHARED_FIRST, .l_len = SHARED_SIZE};
    assert_int_equal(fcntl(fd, F_GETLK, &lock), 0);
    return lock.l_type == F_UNLCK ? 0 : lock.l_pid;
}

/*
 * SQLite remembers for each file which locks the process has; a copy of that memory must not make
 * the child believe that it has its parent's.
 */
static void test_a_child_takes_locks_of_its_own(void **state)
{
    int ready[2] = {-1, -1}, go[2] = {-1, -1};
    char word;
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    assert_true(pipe(ready) == 0 && pipe(go) == 0);
    pid_t child = fork();
    if (child == 0) {
        int status = open_and_acquire(&b, "m");
        if (write(ready[1], "r", 1) != 1 || read(go[0], &word, 1) != 1) _exit(OTHER_ERROR);
        if (status == FINE) host_close(&b);
        _exit(status);
    }
    int fd = open(path, O_RDWR | O_CLOEXEC);
    assert_true(fd >= 0 && read(ready[0], &word, 1) == 1);
    assert_int_equal(reader_of_database(fd), child);
    assert_int_equal(write(go[1], "g", 1), 1);
    assert_int_equal(status_of(child), FINE);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    host_close(&a);
    close(fd); /* not before: it would take our own locks */
    for (int i = 0; i < 2; i++) close(ready[i]), close(go[i]);
}

/* ---- A parent in the middle of it ---------------------------------------------------- */

static atomic_bool stuck;
static atomic_int in_begin;

/* At the beginning of a transaction: stands still, with a mutex of SQLite's in its hands. */
static int on_statement(unsigned kind, void *ctx, void *statement, void *text)
{
    (void)kind;
    (void)ctx;
    (void)statement;
    if (!atomic_load(&stuck) || strcmp(text, "BEGIN IMMEDIATE") != 0) return 0;
    sqlite3_mutex *memory = sqlite3_mutex_alloc(SQLITE_MUTEX_STATIC_MEM);
    sqlite3_mutex_enter(memory);
    atomic_fetch_add(&in_begin, 1);
    while (atomic_load(&stuck)) poll(NULL, 0, 1);
    sqlite3_mutex_leave(memory);
    return 0;
}

static int watch_statements(sqlite3 *handle, char **ret_error, const void *api)
{
    (void)ret_error;
    (void)api;
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT, on_statement, NULL);
}

/* The worker of `a` stands inside SQLite when this returns. */
static uint64_t get_stuck(void)
{
    sqlite3_auto_extension((void (*)(void))watch_statements);
    host_open(&a, path);
    atomic_store(&in_begin, 0);
    atomic_store(&stuck, true);
    uint64_t id = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, 0, 0);
    while (!atomic_load(&in_begin)) poll(NULL, 0, 1);
    return id;
}

static void get_loose(uint64_t id)
{
    atomic_store(&stuck, false);
    assert_int_equal(host_wait(&a, id).outcome, PAWL_GRANTED);
    host_close(&a);
    sqlite3_cancel_auto_extension((void (*)(void))watch_statements);
}

static void *loosen(void *unused)
{
    (void)unused;
    poll(NULL, 0, 20); /* ms; the fork has begun, or it begins with nothing in its way */
    atomic_store(&stuck, false);
    return NULL;
}

static void test_a_fork_waits_for_a_transaction(void **state)
{
    pthread_t helper;
    (void)state;
    uint64_t id = get_stuck();
    assert_int_equal(pthread_create(&helper, NULL, loosen, NULL), 0);
    pid_t child = fork();
    if (child == 0) {
        atomic_store(&stuck, false);
        int status = open_and_acquire(&b, "m");
        if (status == FINE) host_close(&b);
        _exit(status);
    }
    pthread_join(helper, NULL);
    assert_int_equal(status_of(child), FINE);
    get_loose(id);
}

static void test_a_child_that_would_hang_is_refused(void **state)
{
    (void)state;
    uint64_t id = get_stuck();
    pid_t child = fork();
    if (child == 0) _exit(open_and_acquire(&b, "m"));
    assert_int_equal(status_of(child), REFUSED);
    pid_t bare = _Fork(); /* runs no handlers: nobody knows what it has inherited */
    if (bare == 0) _exit(open_and_acquire(&b, "m"));
    assert_int_equal(status_of(bare), REFUSED);
    get_loose(id);
}

/* A thread that waits for another process's transaction leaves for a fork, and then waits again. */
static void test_a_fork_does_not_wait_for_a_stranger(void **state)
{
    sqlite3 *stranger;
    (void)state;
    host_open(&a, path);
    host_start(&b, path);
    assert_int_equal(sqlite3_open(path, &stranger), SQLITE_OK);
    assert_int_equal(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    uint64_t id = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, 0, 0);
    host_run_ms(&a, 20); /* the worker has it in hand */
    pid_t child = fork();
    if (child == 0) {
        char message[PAWL_MESSAGE_MAX];
        pawl_url url = host_url(path);
        pawl_store *store = NULL;
        _exit(pawl_store_entry.open(&b.host, &url, &store, message) ? REFUSED : FINE);
    }
    assert_int_equal(status_of(child), FINE);
    assert_int_equal(sqlite3_exec(stranger, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(host_wait(&a, id).outcome, PAWL_GRANTED);
    sqlite3_close(stranger);
    host_close(&a);
    host_close(&b);
}

/* So does a thread that opens the database: the interruption is no error of the file. */
static void test_a_fork_does_not_fail_an_opening(void **state)
{
    sqlite3 *stranger;
    (void)state;
    host_open(&b, path);
    assert_int_equal(sqlite3_open(path, &stranger), SQLITE_OK);
    assert_int_equal(sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    host_start(&a, path);
    host_run_ms(&a, 20); /* the worker waits for the stranger */
    for (int i = 0; i < 3; i++) {
        pid_t child = fork();
        if (child == 0) _exit(FINE);
        assert_int_equal(status_of(child), FINE);
        host_run_ms(&a, 5);
    }
    assert_int_equal(sqlite3_exec(stranger, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    host_run_until(&a, &a.up);
    assert_int_equal(a.downs, 0);
    sqlite3_close(stranger);
    host_close(&a);
    host_close(&b);
}

/* A daemon closes what it has inherited; its own files have the old numbers then. */
static int take_all_numbers(void)
{
    for (int fd = 3; fd < 256; fd++) close(fd);
    for (int fd = 3; fd < 64; fd++)
        if (open("/dev/null", O_RDONLY | O_CLOEXEC) != fd) return OTHER_ERROR;
    return FINE;
}

static int count_numbers(void)
{
    for (int fd = 3; fd < 64; fd++)
        if (fcntl(fd, F_GETFD) < 0) return NOT_GRANTED;
    return FINE;
}

static int count_sockets(void)
{
    struct stat st;
    int count = 0;
    for (int fd = 3; fd < 256; fd++) count += fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
    return count;
}

static void test_a_child_that_closed_all_keeps_its_own_files(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    pid_t child = fork();
    if (child == 0) {
        if (take_all_numbers() != FINE) _exit(OTHER_ERROR);
        int status = open_and_acquire(&b, "m");
        _exit(count_numbers() == FINE ? status : NOT_GRANTED);
    }
    assert_int_equal(status_of(child), REFUSED);
    host_close(&a);
}

/* Also when it has nothing more to do with its parent's store than to forget it. */
static void test_what_is_forgotten_closes_no_other_files(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED); /* it has a pidfd, too */
    pid_t child = fork();
    if (child == 0) {
        int status = take_all_numbers();
        pawl_store_entry.forget(a.store);
        pawl_store_entry.forget(b.store);
        _exit(status == FINE ? count_numbers() : status);
    }
    assert_int_equal(status_of(child), FINE);
    host_close(&a);
    host_close(&b);
}

/* A child that has closed nothing loses what it inherited. */
static void test_what_is_forgotten_is_closed(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    host_await_inbox(&a, path);
    host_run_ms(&a, 1);
    pid_t child = fork();
    if (child == 0) {
        int before = count_sockets();
        pawl_store_entry.forget(a.store);
        _exit(count_sockets() == before - 1 ? FINE : OTHER_ERROR);
    }
    assert_int_equal(status_of(child), FINE);
    host_close(&a);
}

static void *fork_while_canceled(void *ret_child)
{
    pthread_cancel(pthread_self());
    pid_t child = fork();
    if (child == 0) _exit(FINE);
    *(pid_t *)ret_child = child;
    pthread_testcancel();
    return NULL;
}

/* The wait in the handler of fork is no place to be canceled: the gate would stay shut. */
static void test_a_thread_is_not_canceled_in_its_fork(void **state)
{
    pthread_t thread;
    pid_t child = 0;
    void *result = NULL;
    (void)state;
    uint64_t id = get_stuck();
    assert_int_equal(pthread_create(&thread, NULL, fork_while_canceled, &child), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_true(result == PTHREAD_CANCELED && child > 0);
    assert_int_equal(status_of(child), FINE);
    get_loose(id);
}

int main(void)
{
#ifdef __SANITIZE_THREAD__
    puts("SKIP: TSan allows no threads in a child of fork");
    return 77;
#endif
    const struct CMUnitTest tests[] = {
        TEST(test_a_child_takes_locks_of_its_own),
        TEST(test_a_fork_waits_for_a_transaction),
        TEST(test_a_child_that_would_hang_is_refused),
        TEST(test_a_fork_does_not_wait_for_a_stranger),
        TEST(test_a_fork_does_not_fail_an_opening),
        TEST(test_a_child_that_closed_all_keeps_its_own_files),
        TEST(test_what_is_forgotten_closes_no_other_files),
        TEST(test_what_is_forgotten_is_closed),
        TEST(test_a_thread_is_not_canceled_in_its_fork),
    };
    return cmocka_run_group_tests_name("sqlite fork", tests, NULL, NULL);
}
