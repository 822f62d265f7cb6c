/* SPDX-License-Identifier: MIT */
/* Single steps of the SQLite store that are seen only when just they are missing. */
#define _GNU_SOURCE
#include "place.h"

#include "stores/sqlite/sqlite_db.h"
#include "stores/sqlite/sqlite_inbox.h"
#include "stores/sqlite/sqlite_rows.h"
#include "stores/sqlite/sqlite_watch.h"

#include <event2/event.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- What reaches the disk ------------------------------------------------------- */

static atomic_int syncs;

int fsync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
    atomic_fetch_add(&syncs, 1);
    return (int)syscall(SYS_fdatasync, fd);
}

/* A fence is given away only when the bound above it is on the disk; no other grant waits for it.
 */
static void test_ceiling_is_written_through(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    int before = atomic_load(&syncs);
    acquire(&a, "m", 2);
    int without = atomic_load(&syncs) - before;
    sql("UPDATE host SET fence_ceiling = 5");
    before = atomic_load(&syncs);
    assert_int_equal(acquire(&a, "o", 3).outcome, PAWL_GRANTED);
    assert_true(atomic_load(&syncs) > before);
    assert_int_equal(without, 0);
    host_close(&a);
}

/* Programs come and go: who is the last one out does not wait for the disk each time. */
static void test_a_short_log_is_left_at_close(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    int before = atomic_load(&syncs);
    host_close(&a);
    assert_int_equal(atomic_load(&syncs), before);
}

/* While somebody reads all the time the log cannot start over, and each commit finds it long. To
 * copy it back waits for the disk, so that is not tried again at once. */
static void test_a_long_log_is_copied_now_and_then(void **state)
{
    enum { PAGES = 2500, TRIES = 10, SYNCS_OF_ONE = 3 };
    sqlite3 *reader;
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    assert_int_equal(sqlite3_open_v2(path, &reader, SQLITE_OPEN_READWRITE, NULL), SQLITE_OK);
    int before = atomic_load(&syncs);
    for (int i = 0; i < PAGES; i++) { /* each renewal writes one */
        const char *begin = i ? "COMMIT; BEGIN; SELECT * FROM host" : "BEGIN; SELECT * FROM host";
        assert_int_equal(sqlite3_exec(reader, begin, NULL, NULL, NULL), SQLITE_OK);
        assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                         PAWL_CONFIRMED);
    }
    assert_in_range(atomic_load(&syncs) - before, 1, TRIES * SYNCS_OF_ONE);
    sqlite3_close(reader);
    host_close(&a);
}

/* Beyond 2^53 doubles and JSON are not exact: that is an error, not a grant. */
static void test_fences_end_at_2_53(void **state)
{
    (void)state;
    host_open(&a, path);
    sql("UPDATE host SET fence_floor = 9007199254740991, fence_ceiling = 9007199999999999");
    assert_true(acquire(&a, "n", 1).fence == UINT64_C(1) << 53);
    seen_reply r = acquire(&a, "m", 2);
    assert_true(r.outcome == PAWL_GRANTED); /* of another name: it grows from the floor, too */
    assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
    r = acquire(&a, "n", 3);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_CORRUPT);
    host_close(&a);
}

/* ---- What went wrong --------------------------------------------------------------- */

/* It is asked when something failed: SQLite may have noted a success last, or nothing. */
static void test_what_went_wrong_is_never_a_success(void **state)
{
    sqlite3_stmt *st;
    pawl__sqlite_db db = {0};
    (void)state;
    assert_int_equal(sqlite3_open(":memory:", &db.handle), SQLITE_OK);
    assert_int_equal(pawl__sqlite_error_of(&db), SQLITE_ERROR);
    assert_int_equal(sqlite3_prepare_v2(db.handle, "SELECT 1", -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    assert_int_equal(pawl__sqlite_error_of(&db), SQLITE_ERROR);
    assert_int_equal(sqlite3_step(st), SQLITE_DONE);
    assert_int_equal(pawl__sqlite_error_of(&db), SQLITE_ERROR);
    sqlite3_finalize(st);
    sqlite3_exec(db.handle, "CREATE TABLE t (a UNIQUE); INSERT INTO t VALUES (1), (1)", NULL, NULL,
                 NULL);
    assert_int_equal(pawl__sqlite_error_of(&db), SQLITE_CONSTRAINT_UNIQUE);
    sqlite3_close(db.handle);
}

/* ---- A worker that does not come back in time ------------------------------------- */

static atomic_bool stuck;
static atomic_int in_begin;

/* SQLite calls this at the beginning of each statement of a connection. */
static int on_statement(unsigned kind, void *ctx, void *statement, void *text)
{
    (void)kind;
    (void)ctx;
    (void)statement;
    if (!atomic_load(&stuck) || strcmp(text, "BEGIN IMMEDIATE") != 0) return 0;
    atomic_fetch_add(&in_begin, 1);
    while (atomic_load(&stuck)) poll(NULL, 0, 1);
    return 0;
}

static int watch_statements(sqlite3 *handle, char **ret_error, const void *api)
{
    (void)ret_error;
    (void)api;
    return sqlite3_trace_v2(handle, SQLITE_TRACE_STMT, on_statement, NULL);
}

static void post_grant(const host *to, const char *token)
{
    char inbox_path[160];
    pawl__sqlite_inbox inbox;
    pawl__letter letter;
    struct stat like = {.st_mode = 0600};
    beside(inbox_path, "-inbox");
    assert_int_equal(pawl__sqlite_inbox_open(&inbox, inbox_path, &like), 0);
    pawl__letter_write(&letter, PAWL_PUSH_GRANT, "n", 1, token, 77, false);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, to->client_id, &letter), PAWL__POST_SENT);
    pawl__sqlite_inbox_close(&inbox);
}

/* Whose socket was found once need not be found again; another socket of the same name is found. */
static void test_letters_to_the_latest_receivers_find_them_once(void **state)
{
    enum { RECEIVERS = PAWL__POST_LINES, LETTERS = 3 };
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    char inbox_path[160], ids[RECEIVERS][PAWL__CLIENT_ID_LEN + 1];
    int sockets[RECEIVERS];
    pawl__sqlite_inbox inbox;
    pawl__letter letter;
    (void)state;
    beside(inbox_path, "-inbox");
    assert_int_equal(pawl__sqlite_inbox_open(&inbox, inbox_path, &like), 0);
    pawl__letter_write(&letter, PAWL_PUSH_GRANT, "n", 1, host_token(1), 77, false);
    for (int i = 0; i < RECEIVERS; i++) {
        snprintf(ids[i], sizeof(ids[0]), "%032x", (unsigned)i + 1);
        sockets[i] = pawl__sqlite_inbox_bind(&inbox, ids[i], &like);
        assert_true(sockets[i] >= 0);
    }
    for (int i = 0; i < RECEIVERS * LETTERS; i++)
        assert_int_equal(pawl__sqlite_inbox_post(&inbox, ids[i % RECEIVERS], &letter),
                         PAWL__POST_SENT);
    assert_int_equal(inbox.turn, RECEIVERS);
    close(sockets[0]);
    sockets[0] = pawl__sqlite_inbox_bind(&inbox, ids[0], &like);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, ids[0], &letter), PAWL__POST_SENT);
    assert_true(recv(sockets[0], &letter, sizeof(letter), MSG_DONTWAIT) > 0);
    close(sockets[1]);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, ids[1], &letter), PAWL__POST_GONE);
    for (int i = 0; i < RECEIVERS; i++)
        if (i != 1) close(sockets[i]);
    pawl__sqlite_inbox_close(&inbox);
}

/*
 * A grant that came while the worker had the request is passed on behind the answer "unknown",
 * whatever the worker has written into the request by then.
 */
static void test_a_grant_follows_an_unknown_answer(void **state)
{
    (void)state;
    assert_int_equal(sqlite3_auto_extension((void (*)(void))watch_statements), SQLITE_OK);
    host_open(&a, path);
    host_await_inbox(&a, path);
    a.answer_ms = 200;
    atomic_store(&stuck, true);
    uint64_t id = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_QUEUE, 0);
    while (!atomic_load(&in_begin)) poll(NULL, 0, 1);
    post_grant(&a, host_token(1));
    assert_int_equal(host_wait(&a, id).outcome, PAWL_UNKNOWN);
    assert_string_equal(host_push_of(&a, PAWL_PUSH_GRANT).token, host_token(1));
    atomic_store(&stuck, false);
    host_close(&a);
    sqlite3_cancel_auto_extension((void (*)(void))watch_statements);
}

/* ---- Closing --------------------------------------------------------------------- */

static void *end_blocking(void *blocker)
{
    poll(NULL, 0, 30); /* ms; far less than a close may last */
    sqlite3_exec(blocker, "ROLLBACK", NULL, NULL, NULL);
    return NULL;
}

/* Whether a release that waits for the database when the store is closed is carried out. */
static bool is_released_by_close(void)
{
    sqlite3 *blocker;
    pthread_t thread;
    host_open(&a, path);
    host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_DETACHED);
    assert_int_equal(sqlite3_open(path, &blocker), SQLITE_OK);
    sqlite3_busy_timeout(blocker, HOST_WAIT_MS);
    assert_int_equal(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    host_send(&a, PAWL_VERB_RELEASE, "n", host_token(1), 0, 0, 0);
    host_run_ms(&a, 20); /* the worker has it in hand */
    assert_int_equal(pthread_create(&thread, NULL, end_blocking, blocker), 0);
    host_close(&a);
    pthread_join(thread, NULL);
    sqlite3_close(blocker);
    return sql_int("SELECT count(token) FROM lock") == 0;
}

static void test_close_waits_for_what_is_under_way(void **state)
{
    bool released = false;
    (void)state;
    /* A machine that stalls for longer than a close may last gets another chance. */
    for (int i = 0; i < 10 && !released; i++) {
        released = is_released_by_close();
        if (!released) sql("UPDATE lock SET token = NULL");
    }
    assert_true(released);
}

/* ---- The queue ------------------------------------------------------------------- */

/* In a new live file no process has a byte yet: waiters must not be taken for dead. */
static void test_waiters_outlive_the_live_file(void **state)
{
    static host c;
    char live[160];
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    acquire(&b, "n", 2);
    beside(live, "-live");
    assert_int_equal(unlink(live), 0);
    host_open(&c, path); /* makes a new one */
    seen_reply r = acquire(&c, "n", 3);
    assert_int_equal(r.outcome, PAWL_QUEUED);
    assert_int_equal(r.position, 1);
    assert_int_equal(sql_int("SELECT count(*) FROM wait WHERE live > 0"), 1); /* the new one's */
    release(&a, "n", 1);
    assert_string_equal(host_push_of(&b, PAWL_PUSH_GRANT).token, host_token(2));
    host_close(&a);
    host_close(&b);
    host_close(&c);
}

/* A waiter that missed a refresh was dropped, but lives: its successor watches the wrong one. */
static void test_successor_of_a_dropped_waiter_is_told(void **state)
{
    static host c;
    char text[256];
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    host_open(&c, path);
    acquire(&a, "n", 1);
    acquire(&b, "n", 2);
    acquire(&c, "n", 3);
    snprintf(text, sizeof(text), "UPDATE wait SET until_at = 1 WHERE token = '%s'", host_token(2));
    sql(text);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    assert_string_equal(host_push_of(&c, PAWL_PUSH_RECHECK).name, "n");
    assert_int_equal(acquire(&c, "n", 3).position, 0);
    host_close(&a);
    host_close(&b);
    host_close(&c);
}

/* ---- Watching for deaths --------------------------------------------------------- */

static int deaths;

static void count_death(void *ctx, const char *name, size_t name_len)
{
    (void)ctx;
    assert_int_equal(name_len, 1);
    assert_int_equal(name[0], 'n');
    deaths++;
}

typedef struct lookout {
    struct event_base *base;
    pawl__sqlite_live live, other; /* ours, and that of the one before us */
    pawl__watches watches;
} lookout;

static void begin_lookout(lookout *l)
{
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    char live[160];
    int64_t id = 0, same;
    beside(live, "-live");
    memset(l, 0, sizeof(*l));
    deaths = 0;
    l->base = event_base_new();
    pawl__sqlite_live_init(&l->live);
    pawl__sqlite_live_init(&l->other);
    assert_int_equal(pawl__sqlite_live_open(&l->live, live, &like, id, &id), 0);
    assert_int_equal(pawl__sqlite_live_open(&l->other, live, &like, id, &same), 0);
    assert_true(id == same);
    assert_true(pawl__watches_init(&l->watches, l->base, &l->live, count_death, NULL));
}

static void end_lookout(lookout *l)
{
    pawl__watches_done(&l->watches);
    pawl__sqlite_live_close(&l->live);
    pawl__sqlite_live_close(&l->other);
    event_base_free(l->base);
}

static void await_deaths(lookout *l, int count)
{
    int64_t until = host_now() + HOST_WAIT_MS * INT64_C(1000000);
    while (deaths < count) {
        const struct timeval soon = {.tv_usec = 5000};
        event_base_loopexit(l->base, &soon);
        event_base_dispatch(l->base);
        assert_true(host_now() < until);
    }
}

static void watch_pid(lookout *l, int64_t byte, pid_t pid)
{
    const pawl__watch_place place = {
        .token = host_token(1), .name = "n", .name_len = 1, .own_pid_ns = 1};
    const pawl__watch_mark mark = {.live = byte, .pid = pid, .pid_ns = 1};
    pawl__watches_set(&l->watches, &place, &mark);
}

/* It died before it was watched, and its pid is another one's now: its byte tells. */
static void test_byte_is_tested_once_it_is_watched(void **state)
{
    lookout l;
    (void)state;
    begin_lookout(&l);
    int64_t byte = l.other.offset;
    pawl__sqlite_live_close(&l.other);
    watch_pid(&l, byte, getpid());
    assert_int_equal(deaths, 1);
    pawl__watches_clear(&l.watches, host_token(1)); /* what it opened is not trusted again */
    assert_int_equal(l.watches.pidfd_count, 0);
    end_lookout(&l);
}

static pid_t sleeping_child(void)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        for (;;) pause();
    }
    return child;
}

static void end_child(pid_t child)
{
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Who stands before us is mostly one who did before: its descriptor is there still, and tells. */
static void test_descriptor_is_kept_for_the_next_time(void **state)
{
    lookout l;
    (void)state;
    begin_lookout(&l);
    pid_t child = sleeping_child();
    for (int i = 0; i < 3; i++) {
        watch_pid(&l, l.other.offset, child);
        pawl__watches_clear(&l.watches, host_token(1));
        assert_int_equal(l.watches.pidfd_count, 1);
    }
    watch_pid(&l, l.other.offset, child);
    end_child(child);
    await_deaths(&l, 1);
    assert_int_equal(l.watches.pidfd_count, 0);
    end_lookout(&l);
}

/* One that ends while nobody looks is nobody's news; and not more than a few are kept. */
static void test_few_descriptors_are_kept(void **state)
{
    enum { OWNERS = PAWL__PIDFD_SPARE + 4 };
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    const struct timeval soon = {.tv_usec = 50000};
    pawl__sqlite_live owners[OWNERS];
    char live[160];
    int64_t id = 0;
    lookout l;
    (void)state;
    begin_lookout(&l);
    beside(live, "-live");
    pid_t child = sleeping_child();
    for (int i = 0; i < OWNERS; i++) {
        pawl__sqlite_live_init(&owners[i]);
        assert_int_equal(pawl__sqlite_live_open(&owners[i], live, &like, id, &id), 0);
        watch_pid(&l, owners[i].offset, child);
    }
    pawl__watches_clear(&l.watches, host_token(1));
    assert_int_equal(l.watches.pidfd_count, PAWL__PIDFD_SPARE);
    end_child(child);
    event_base_loopexit(l.base, &soon);
    event_base_dispatch(l.base);
    assert_int_equal(l.watches.pidfd_count, 0);
    assert_int_equal(deaths, 0);
    for (int i = 0; i < OWNERS; i++) pawl__sqlite_live_close(&owners[i]);
    end_lookout(&l);
}

/* The process ends, and a child of it keeps its byte for a while: its end is noticed, too. */
static void test_byte_that_outlives_its_process(void **state)
{
    lookout l;
    (void)state;
    begin_lookout(&l);
    pid_t pid = sleeping_child();
    watch_pid(&l, l.other.offset, pid);
    assert_int_equal(deaths, 0);
    assert_int_equal(kill(pid, SIGKILL), 0);
    await_deaths(&l, 1);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
    pawl__sqlite_live_close(&l.other);
    await_deaths(&l, 2);
    end_lookout(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_ceiling_is_written_through),
        TEST(test_a_short_log_is_left_at_close),
        TEST(test_a_long_log_is_copied_now_and_then),
        TEST(test_fences_end_at_2_53),
        cmocka_unit_test(test_what_went_wrong_is_never_a_success),
        TEST(test_letters_to_the_latest_receivers_find_them_once),
        TEST(test_a_grant_follows_an_unknown_answer),
        TEST(test_close_waits_for_what_is_under_way),
        TEST(test_waiters_outlive_the_live_file),
        TEST(test_successor_of_a_dropped_waiter_is_told),
        TEST(test_byte_is_tested_once_it_is_watched),
        TEST(test_descriptor_is_kept_for_the_next_time),
        TEST(test_few_descriptors_are_kept),
        TEST(test_byte_that_outlives_its_process),
    };
    return cmocka_run_group_tests_name("sqlite steps", tests, NULL, NULL);
}
