/* SPDX-License-Identifier: MIT */
/*
 * Goal: a retained lease is one to everybody else: another client, another handle,
 * the retention and the close get it at once, a loss is told once, and only if it
 * was held (laws 1, 2, 6). What it costs is in test_retained_cost.c.
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
#include <sys/wait.h>
#include <unistd.h>

#define LONG_MS 60000 /* a retention that does not end by itself here */

static pawl_lock *keeping(pawl_client *client, const char *name, int64_t retain_ms, record *events)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.retain_ms = retain_ms;
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

static void test_a_handle_takes_its_lease_again(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = keeping(client, name, LONG_MS, NULL);
    use(lock, 1);
    uint64_t fence = pawl_lock_fence(lock);
    use(lock, 100);
    assert_int_equal(pawl_lock_fence(lock), fence);
    assert_int_equal(pawl_lock_remaining_ms(lock), 0);
    assert_true(stage_view(client, name).held);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_release_wait(lock, 0), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_detach(lock), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_STATE);
    assert_true(pawl_lock_remaining_ms(lock) > 0);
    CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
    record r;
    record_init(&r);
    use(lock, 3);
    CHECK_ERR(pawl_lock_acquire_start(lock, 0, record_done, &r), PAWL_OK);
    record_await_done(&r, 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    assert_int_equal(pawl_lock_fence(lock), fence);
    CHECK_ERR(pawl_lock_detach(lock), PAWL_OK);
    CHECK_ERR(pawl_break(client, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    stage_await_free(client, name);
    pawl_client_close(client);
}

static void test_another_handle_of_the_client_takes_it(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *a = keeping(client, name, LONG_MS, NULL), *b = keeping(client, name, LONG_MS, NULL);
    for (int i = 0; i < 20; i++) {
        use(a, 3);
        CHECK_ERR(pawl_lock_acquire(b, 0), PAWL_OK); /* even one who would not wait */
        assert_int_equal(pawl_lock_fence(b), pawl_lock_fence(a));
        CHECK_ERR(pawl_lock_acquire(a, 0), PAWL_ERR_BUSY);
        CHECK_ERR(pawl_lock_release(b), PAWL_OK);
        use(b, 3);
        CHECK_ERR(pawl_lock_acquire(b, 0), PAWL_OK);
        CHECK_ERR(pawl_lock_acquire(a, 0), PAWL_ERR_BUSY);
        CHECK_ERR(pawl_lock_release(b), PAWL_OK);
    }
    pawl_lock_free(a);
    pawl_lock_free(b);
    pawl_client_close(client);
}

static void test_the_retention_ends_by_itself(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *lock = keeping(client, name, 30, NULL);
    use(lock, 1000);
    stage_await_free(other, name);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    stage_pass(100); /* the timer finds it held, and must leave it so */
    assert_true(pawl_lock_is_held(lock));
    assert_true(stage_view(other, name).held);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    stage_await_free(other, name);
    use(lock, 10);
    pawl_lock_free(lock); /* what is left of the retention goes on */
    stage_await_free(other, name);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_another_client_gets_it_at_once(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock *mine = keeping(client, name, LONG_MS, NULL);
    pawl_lock *theirs = keeping(other, name, LONG_MS, NULL);
    for (int i = 0; i < 10; i++) {
        use(mine, 10);
        uint64_t fence = pawl_lock_fence(mine);
        use(theirs, 10);
        assert_true(pawl_lock_fence(theirs) > fence);
    }
    pawl_lock_free(mine);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_a_loss_is_told_once_and_only_if_held(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    const char *name = stage_name();
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = RENEWED_SOON_MS; /* a renewal finds the loss soon */
    opts.retain_ms = LONG_MS;
    opts.on_event = record_event;
    opts.event_userdata = &r;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);

    use(lock, 10);
    uint64_t fence = pawl_lock_fence(lock);
    CHECK_ERR(pawl_break(other, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
    pawl_lock *theirs = lock_new(other, name, 5000);
    CHECK_ERR(pawl_lock_acquire(theirs, PATIENCE_MS), PAWL_OK);
    int while_held = 0; /* the news may come just when it is held: then it is told */
    for (int64_t end = stage_now_ms() + PATIENCE_MS; stage_now_ms() < end;) {
        int err = pawl_lock_acquire(lock, 0); /* until it has heard of the break */
        if (err == PAWL_ERR_BUSY) break;
        CHECK_ERR(err, PAWL_OK);
        err = pawl_lock_release(lock);
        if (!err) continue;
        CHECK_ERR(err, PAWL_ERR_LOST);
        while_held++;
    }
    assert_true(while_held <= 1);
    record_await_event(&r, PAWL_EVENT_LOST, while_held); /* it comes on another thread */
    CHECK_ERR(pawl_lock_release_wait(theirs, PATIENCE_MS), PAWL_OK);

    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK); /* held, and lent */
    assert_true(pawl_lock_fence(lock) > fence);
    fence = pawl_lock_fence(lock);
    CHECK_ERR(pawl_break(other, name, strlen(name), fence, PATIENCE_MS), PAWL_OK);
    record_await_event(&r, PAWL_EVENT_LOST, while_held + 1);
    assert_false(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    use(lock, 10);
    assert_true(pawl_lock_fence(lock) > fence);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), while_held + 1);
    pawl_lock_free(lock);
    pawl_lock_free(theirs);
    pawl_client_close(client);
    pawl_client_close(other);
}

static void test_renewals_go_on_while_it_is_lent(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = RENEWED_SOON_MS;
    opts.retain_ms = LONG_MS;
    const char *name = stage_name();
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    use(lock, 2);
    uint64_t fence = pawl_lock_fence(lock);
    stage_pass(RENEWED_SOON_MS + 200);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_OK);
    assert_int_equal(pawl_lock_fence(lock), fence);
    stage_pass(RENEWED_SOON_MS + 200);
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void test_close_takes_retained_and_held_ones(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL), *other = stage_client(NULL);
    char retained_name[32], held_name[32];
    snprintf(retained_name, sizeof retained_name, "%s", stage_name());
    snprintf(held_name, sizeof held_name, "%s", stage_name());
    pawl_lock *retained = keeping(client, retained_name, LONG_MS, NULL);
    pawl_lock *held = keeping(client, held_name, LONG_MS, NULL);
    use(retained, 3);
    use(held, 3);
    CHECK_ERR(pawl_lock_acquire(held, 0), PAWL_OK);
    pid_t child = fork();
    if (child == 0) {
        bool nothing = !pawl_lock_is_held(held) && pawl_lock_release(held) == PAWL_ERR_FORKED &&
                       pawl_lock_acquire(retained, 0) == PAWL_ERR_FORKED;
        _exit(nothing ? 0 : 1);
    }
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child && status == 0);
    pawl_client_close(client);
    stage_await_free(other, retained_name);
    stage_await_free(other, held_name);
    assert_false(pawl_lock_is_held(held));
    CHECK_ERR(pawl_lock_release(held), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_acquire(retained, 0), PAWL_ERR_CLOSED);
    pawl_lock_free(retained);
    pawl_lock_free(held);
    pawl_client_close(other);
}

/* ---- Races ---------------------------------------------------------------------------------- */

#define RACERS 6
#define ROUNDS 400

typedef struct course {
    atomic_int inside;
    uint64_t last_fence; /* guarded by the lock that is tested: TSan would see a second holder */
} course;

typedef struct racer {
    course *course;
    pawl_lock *lock;
    pthread_t thread;
} racer;

static void *run_race(void *arg)
{
    racer *r = arg;
    for (int i = 0; i < ROUNDS; i++) {
        int err = pawl_lock_acquire(r->lock, PATIENCE_MS);
        CHECK_ERR(err, PAWL_OK);
        CHECK(atomic_fetch_add(&r->course->inside, 1) == 0); /* law 1 */
        uint64_t fence = pawl_lock_fence(r->lock);
        CHECK(fence >= r->course->last_fence); /* law 3 */
        r->course->last_fence = fence;
        atomic_fetch_sub(&r->course->inside, 1);
        CHECK_ERR(pawl_lock_release(r->lock), PAWL_OK);
    }
    return NULL;
}

/* Two clients with three handles each, all of which keep their lease: yields and recalls. */
static void test_races_of_handles_and_clients(void **state)
{
    (void)state;
    pawl_client *clients[2] = {stage_client(NULL), stage_client(NULL)};
    const char *name = stage_name();
    course field = {0};
    racer racers[RACERS];
    for (int i = 0; i < RACERS; i++) {
        int64_t retain_ms = i % 3 == 0 ? 1 : LONG_MS;
        racers[i] =
            (racer){.course = &field, .lock = keeping(clients[i % 2], name, retain_ms, NULL)};
        CHECK(pthread_create(&racers[i].thread, NULL, run_race, &racers[i]) == 0);
    }
    for (int i = 0; i < RACERS; i++) CHECK(pthread_join(racers[i].thread, NULL) == 0);
    for (int i = 0; i < RACERS; i++) pawl_lock_free(racers[i].lock);
    pawl_client_close(clients[0]);
    pawl_client_close(clients[1]);
    pawl_client *other = stage_client(NULL);
    stage_await_free(other, name);
    pawl_client_close(other);
}

static void *share_a_handle(void *arg)
{
    racer *r = arg;
    for (int i = 0; i < 20 * ROUNDS; i++) {
        int err = pawl_lock_acquire(r->lock, PATIENCE_MS);
        if (err) { /* the other thread has it, or waits for it */
            CHECK_ERR(err, PAWL_ERR_STATE);
            continue;
        }
        CHECK(atomic_fetch_add(&r->course->inside, 1) == 0);
        atomic_fetch_sub(&r->course->inside, 1);
        CHECK_ERR(pawl_lock_release(r->lock), PAWL_OK);
    }
    return NULL;
}

/* Two threads use one handle whose retention ends all the time. */
static void test_races_on_one_handle(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    const char *name = stage_name();
    course field = {0};
    pawl_lock *lock = keeping(client, name, 1, NULL);
    racer racers[2];
    for (int i = 0; i < 2; i++) {
        racers[i] = (racer){.course = &field, .lock = lock};
        CHECK(pthread_create(&racers[i].thread, NULL, share_a_handle, &racers[i]) == 0);
    }
    for (int i = 0; i < 2; i++) CHECK(pthread_join(racers[i].thread, NULL) == 0);
    stage_await_free(client, name);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static void *use_until_closed(void *arg)
{
    racer *r = arg;
    for (;;) {
        int err = pawl_lock_acquire(r->lock, PATIENCE_MS);
        if (err == PAWL_ERR_CLOSED) return NULL;
        CHECK_ERR(err, PAWL_OK);
        err = pawl_lock_release(r->lock);
        if (err == PAWL_ERR_CLOSED) return NULL;
        CHECK_ERR(err, PAWL_OK);
    }
}

static void test_races_with_close(void **state)
{
    (void)state;
    pawl_client *other = stage_client(NULL);
    for (int i = 0; i < 20; i++) {
        const char *name = stage_name();
        pawl_client *client = stage_client(NULL);
        racer r = {.lock = keeping(client, name, LONG_MS, NULL)};
        use(r.lock, 1);
        CHECK(pthread_create(&r.thread, NULL, use_until_closed, &r) == 0);
        pawl_client_close(client);
        CHECK(pthread_join(r.thread, NULL) == 0);
        assert_false(pawl_lock_is_held(r.lock));
        pawl_lock_free(r.lock);
        stage_await_free(other, name);
    }
    pawl_client_close(other);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_handle_takes_its_lease_again),
        cmocka_unit_test(test_another_handle_of_the_client_takes_it),
        cmocka_unit_test(test_the_retention_ends_by_itself),
        cmocka_unit_test(test_another_client_gets_it_at_once),
        cmocka_unit_test(test_a_loss_is_told_once_and_only_if_held),
        cmocka_unit_test(test_renewals_go_on_while_it_is_lent),
        cmocka_unit_test(test_close_takes_retained_and_held_ones),
        cmocka_unit_test(test_races_of_handles_and_clients),
        cmocka_unit_test(test_races_on_one_handle),
        cmocka_unit_test(test_races_with_close),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
