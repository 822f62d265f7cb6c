/* SPDX-License-Identifier: MIT */
/*
 * Goal: readers of one client beside each other. While one has the lease, another comes and goes
 * without asking anybody (what that costs is in test_retained_cost.c), and yet the lease is
 * released as soon as nobody reads, is lost for all, and no writer waits for one who does not read
 * (laws 1, 2, 6).
 */
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static pawl_lock *reader_new(pawl_client *client, const char *name, int64_t ttl_ms, record *events)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_SHARED;
    opts.ttl_ms = ttl_ms;
    opts.on_event = events ? record_event : NULL;
    opts.event_userdata = events;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

static void use(pawl_lock *lock, int times)
{
    for (int i = 0; i < times; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK(pawl_lock_is_held(lock));
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
        CHECK(!pawl_lock_is_held(lock));
    }
}

#define READERS 3

typedef struct scene {
    pawl_client *client, *other;
    pawl_lock *reader[READERS]; /* of the client */
    pawl_lock *writer;          /* of the other */
} scene;

static scene scene_begin(record *events)
{
    scene s = {.client = stage_client(NULL), .other = stage_client(NULL)};
    const char *name = stage_name();
    for (int i = 0; i < READERS; i++) s.reader[i] = reader_new(s.client, name, 60000, events);
    s.writer = lock_new(s.other, name, 60000);
    return s;
}

static void scene_end(scene *s)
{
    for (int i = 0; i < READERS; i++) pawl_lock_free(s->reader[i]);
    pawl_lock_free(s->writer);
    pawl_client_close(s->client);
    pawl_client_close(s->other);
}

/* The ttl is longer than anybody here has patience. Nobody asks for the lease, so nobody but the
   readers ends it. */
static void check_writer_comes(const scene *s)
{
    stage_await_free(s->other, pawl_lock_name(s->writer));
    CHECK_ERR(pawl_lock_acquire(s->writer, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(s->writer, PATIENCE_MS), PAWL_OK);
}

static void test_who_comes_back_has_the_lease_of_who_stays(void **state)
{
    (void)state;
    scene s = scene_begin(NULL);
    CHECK_ERR(pawl_lock_acquire(s.reader[0], PATIENCE_MS), PAWL_OK);
    use(s.reader[1], 1);
    use(s.reader[1], 100);
    assert_int_equal(pawl_lock_fence(s.reader[1]), pawl_lock_fence(s.reader[0]));
    CHECK_ERR(pawl_lock_release(s.reader[1]), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_detach(s.reader[1]), PAWL_ERR_NOT_HELD);
    assert_int_equal(pawl_lock_remaining_ms(s.reader[1]), 0);
    CHECK_ERR(pawl_lock_acquire(s.reader[1], 0), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(s.reader[1], 0), PAWL_ERR_STATE);
    CHECK_ERR(pawl_lock_release_wait(s.reader[1], PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(s.reader[0]), PAWL_OK);
    check_writer_comes(&s);
    scene_end(&s);
}

static void test_nothing_is_kept_when_the_last_one_goes(void **state)
{
    (void)state;
    scene s = scene_begin(NULL);
    for (int round = 0; round < 3; round++) { /* who stays is another one each time */
        pawl_lock *stays = s.reader[round], *comes = s.reader[(round + 1) % READERS];
        CHECK_ERR(pawl_lock_acquire(stays, PATIENCE_MS), PAWL_OK);
        use(comes, 10);
        use(s.reader[(round + 2) % READERS], 10);
        CHECK_ERR(pawl_lock_release(stays), PAWL_OK);
        check_writer_comes(&s);
    }
    scene_end(&s);
}

static void test_who_holds_goes_on_when_the_other_leaves(void **state)
{
    (void)state;
    scene s = scene_begin(NULL);
    CHECK_ERR(pawl_lock_acquire(s.reader[0], PATIENCE_MS), PAWL_OK);
    use(s.reader[1], 10);
    use(s.reader[2], 10);
    CHECK_ERR(pawl_lock_acquire(s.reader[1], 0), PAWL_OK);
    CHECK_ERR(pawl_lock_release_wait(s.reader[0], PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_is_held(s.reader[1]));
    CHECK_ERR(pawl_lock_acquire(s.writer, 0), PAWL_ERR_BUSY);
    use(s.reader[0], 10); /* beside the one that stays now */
    CHECK_ERR(pawl_lock_release(s.reader[1]), PAWL_OK);
    check_writer_comes(&s);
    scene_end(&s);
}

static void test_whoever_stays_may_be_freed_or_detached(void **state)
{
    (void)state;
    scene s = scene_begin(NULL);
    CHECK_ERR(pawl_lock_acquire(s.reader[0], PATIENCE_MS), PAWL_OK);
    use(s.reader[1], 10);
    CHECK_ERR(pawl_lock_detach(s.reader[0]), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(s.reader[1], PATIENCE_MS), PAWL_OK);
    use(s.reader[2], 10);
    s.reader[1] = pawl_lock_free(s.reader[1]);
    CHECK_ERR(pawl_lock_acquire(s.writer, PATIENCE_MS), PAWL_OK);
    scene_end(&s);
}

/* A writer ends all loans: the readers queue behind it. */
static void test_a_writer_is_not_kept_waiting(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    scene s = scene_begin(&r);
    CHECK_ERR(pawl_lock_acquire(s.reader[0], PATIENCE_MS), PAWL_OK);
    use(s.reader[1], 10);
    record done;
    record_init(&done);
    CHECK_ERR(pawl_lock_acquire_start(s.writer, PAWL_WAIT_FOREVER, record_done, &done), PAWL_OK);
    record_await_event(&r, PAWL_EVENT_YIELD, 1);
    CHECK_ERR(pawl_lock_release(s.reader[0]), PAWL_OK);
    record_await_done(&done, 1);
    assert_int_equal(done.done_err, PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(s.reader[1], 0), PAWL_ERR_BUSY);
    CHECK_ERR(pawl_lock_release(s.writer), PAWL_OK);
    use(s.reader[1], 10);
    scene_end(&s);
}

static void test_a_loss_is_that_of_all_who_read(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *reader[READERS];
    for (int i = 0; i < READERS; i++) reader[i] = reader_new(client, name, 600, &r);
    CHECK_ERR(pawl_lock_acquire(reader[0], PATIENCE_MS), PAWL_OK);
    use(reader[1], 10);
    use(reader[2], 10);
    CHECK_ERR(pawl_lock_acquire(reader[2], 0), PAWL_OK); /* held, and lent */
    uint64_t fence = pawl_lock_fence(reader[0]);
    CHECK_ERR(pawl_break(other, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
    record_await_event(&r, PAWL_EVENT_LOST, 2);
    CHECK(!pawl_lock_is_held(reader[2]));
    CHECK_ERR(pawl_lock_release(reader[0]), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(reader[1]), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_release(reader[2]), PAWL_ERR_LOST);
    for (int i = 0; i < READERS; i++) use(reader[i], 1);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 2);
    for (int i = 0; i < READERS; i++) pawl_lock_free(reader[i]);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_close_takes_all(void **state)
{
    (void)state;
    scene s = scene_begin(NULL);
    CHECK_ERR(pawl_lock_acquire(s.reader[0], PATIENCE_MS), PAWL_OK);
    use(s.reader[1], 10);
    use(s.reader[2], 10);
    CHECK_ERR(pawl_lock_acquire(s.reader[2], 0), PAWL_OK);
    pawl_client_close(s.client);
    CHECK(!pawl_lock_is_held(s.reader[0]) && !pawl_lock_is_held(s.reader[2]));
    CHECK_ERR(pawl_lock_acquire(s.reader[1], 0), PAWL_ERR_CLOSED);
    check_writer_comes(&s);
    s.client = NULL;
    scene_end(&s);
}

/* ---- Many at a time ------------------------------------------------------------------------- */

enum { RACERS = 6, ROUNDS = 200 };

typedef struct course {
    atomic_int readers, writers;
} course;

typedef struct racer {
    course *course;
    pawl_lock *lock;
    bool writes;
    pthread_t thread;
} racer;

static void *run_race(void *arg)
{
    racer *r = arg;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_ERR(pawl_lock_acquire(r->lock, PATIENCE_MS), PAWL_OK);
        atomic_fetch_add(r->writes ? &r->course->writers : &r->course->readers, 1);
        int writers = atomic_load(&r->course->writers), readers = atomic_load(&r->course->readers);
        CHECK(r->writes ? writers == 1 && readers == 0 : writers == 0); /* law 1 */
        atomic_fetch_sub(r->writes ? &r->course->writers : &r->course->readers, 1);
        CHECK_ERR(pawl_lock_release(r->lock), PAWL_OK);
    }
    return NULL;
}

static void test_races_of_readers_and_a_writer(void **state)
{
    (void)state;
    pawl_client *clients[2] = {stage_client(NULL), stage_client(NULL)};
    const char *name = stage_name();
    course field = {0};
    racer racers[RACERS + 1];
    for (int i = 0; i <= RACERS; i++) {
        bool writes = i == RACERS;
        pawl_lock *lock = writes ? lock_new(clients[1], name, 30000)
                                 : reader_new(clients[i >= RACERS - 1], name, 30000, NULL);
        racers[i] = (racer){.course = &field, .lock = lock, .writes = writes};
        CHECK(pthread_create(&racers[i].thread, NULL, run_race, &racers[i]) == 0);
    }
    for (int i = 0; i <= RACERS; i++) CHECK(pthread_join(racers[i].thread, NULL) == 0);
    for (int i = 0; i <= RACERS; i++) pawl_lock_free(racers[i].lock);
    pawl_client_close(clients[0]);
    pawl_client_close(clients[1]);
    pawl_client *other = stage_client(NULL);
    stage_await_free(other, name);
    pawl_client_close(other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_comes_back_has_the_lease_of_who_stays),
        cmocka_unit_test(test_nothing_is_kept_when_the_last_one_goes),
        cmocka_unit_test(test_who_holds_goes_on_when_the_other_leaves),
        cmocka_unit_test(test_whoever_stays_may_be_freed_or_detached),
        cmocka_unit_test(test_a_writer_is_not_kept_waiting),
        cmocka_unit_test(test_a_loss_is_that_of_all_who_read),
        cmocka_unit_test(test_close_takes_all),
        cmocka_unit_test(test_races_of_readers_and_a_writer),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
