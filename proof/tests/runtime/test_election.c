/* SPDX-License-Identifier: MIT */
/* Goal: who leads is known to everybody, as pawl/composed.h says, on every store with values. */
#include "pawl/composed.h"
#include "stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

/* ---- What observers were told ---------------------------------------------------------- */

typedef struct seen {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int count;
    char text[64][PAWL_LEADER_VALUE_MAX + 64]; /* "-" nobody, "? ERR", else "OWNER=VALUE" */
} seen;

static void write_text(const pawl_leader *leader, char *text, size_t room)
{
    if (leader->err)
        snprintf(text, room, "? %s", pawl_err_name(leader->err));
    else if (!leader->leads)
        snprintf(text, room, "-");
    else
        snprintf(text, room, "%.50s=%s", leader->owner, leader->value ? leader->value : "");
}

static void see(const pawl_leader *leader, void *userdata)
{
    seen *s = userdata;
    pthread_mutex_lock(&s->mutex);
    write_text(leader, s->text[s->count % 64], sizeof s->text[0]);
    s->count++;
    pthread_cond_broadcast(&s->cond);
    pthread_mutex_unlock(&s->mutex);
}

static void seen_init(seen *s)
{
    memset(s, 0, sizeof *s);
    pthread_mutex_init(&s->mutex, NULL);
    pthread_cond_init(&s->cond, NULL);
}

/* Until the latest that was told is this. */
static void await_seen(seen *s, const char *text)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&s->mutex);
    while (!s->count || strcmp(s->text[(s->count - 1) % 64], text) != 0)
        if (pthread_cond_timedwait(&s->cond, &s->mutex, &until))
            FAIL_TEST("waited for \"%s\", the latest is \"%s\"", text,
                      s->count ? s->text[(s->count - 1) % 64] : "");
    pthread_mutex_unlock(&s->mutex);
}

static int seen_count(seen *s)
{
    pthread_mutex_lock(&s->mutex);
    int count = s->count;
    pthread_mutex_unlock(&s->mutex);
    return count;
}

static void note_text(const pawl_leader *leader, void *userdata)
{
    write_text(leader, userdata, PAWL_LEADER_VALUE_MAX + 64);
}

static void leader_is(pawl_client *client, const char *name, const char *text)
{
    static char room[PAWL_LEADER_VALUE_MAX + 64];
    room[0] = '\0';
    CHECK_ERR(pawl_election_leader(client, name, strlen(name), PATIENCE_MS, note_text, room),
              PAWL_OK);
    assert_string_equal(room, text);
}

static pawl_client *client_called(const char *owner)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.owner = owner;
    return stage_client(&opts);
}

/* ---- Cases ------------------------------------------------------------------------------ */

static void a_leader_is_known_by_what_it_proclaims(void **state)
{
    (void)state;
    pawl_client *a = client_called("a"), *b = client_called("b");
    const char *name = stage_name();
    pawl_lock *one = lock_new(a, name, 30000), *two = lock_new(b, name, 30000);
    leader_is(b, name, "-");
    CHECK_ERR(pawl_election_proclaim(one, "x", 1, PATIENCE_MS), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK);
    leader_is(b, name, "a=");
    CHECK_ERR(pawl_election_proclaim(one, "here", 4, PATIENCE_MS), PAWL_OK);
    leader_is(b, name, "a=here");
    CHECK_ERR(pawl_election_proclaim(one, "there", 5, PATIENCE_MS), PAWL_OK);
    leader_is(b, name, "a=there");
    CHECK_ERR(pawl_election_resign(one, PATIENCE_MS), PAWL_OK);
    assert_false(pawl_lock_is_held(one));
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    leader_is(a, name, "b="); /* not what its predecessor was known by */
    CHECK_ERR(pawl_election_proclaim(two, NULL, 0, PATIENCE_MS), PAWL_OK);
    leader_is(a, name, "b=");
    CHECK_ERR(pawl_lock_release_wait(two, PATIENCE_MS), PAWL_OK);
    leader_is(a, name, "-");
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_client_close(a);
    pawl_client_close(b);
}

static void observers_are_told_of_each_change(void **state)
{
    (void)state;
    seen s;
    seen_init(&s);
    pawl_client *a = client_called("a"), *b = client_called("b"), *c = client_called("c");
    char name[PAWL_NAME_MAX];
    snprintf(name, sizeof name, "%s", stage_name());
    pawl_lock *one = lock_new(a, name, 60000), *two = lock_new(b, name, 60000);
    pawl_observer *observer;
    CHECK_ERR(pawl_election_observe(c, name, strlen(name), see, &s, &observer), PAWL_OK);
    await_seen(&s, "-");
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(one, "1", 1, PATIENCE_MS), PAWL_OK);
    await_seen(&s, "a=1"); /* by a push: its own look is 20 s away */
    CHECK_ERR(pawl_election_proclaim(one, "2", 1, PATIENCE_MS), PAWL_OK);
    await_seen(&s, "a=2");
    CHECK_ERR(pawl_election_resign(one, PATIENCE_MS), PAWL_OK);
    await_seen(&s, "-");
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(two, "3", 1, PATIENCE_MS), PAWL_OK);
    await_seen(&s, "b=3");
    assert_null(pawl_observer_stop(observer));
    int count = seen_count(&s);
    CHECK_ERR(pawl_election_proclaim(two, "4", 1, PATIENCE_MS), PAWL_OK);
    leader_is(c, name, "b=4");
    assert_int_equal(seen_count(&s), count);
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_client_close(a);
    pawl_client_close(b);
    pawl_client_close(c);
}

/* It says nothing, and its lease is left to run out. */
static void the_silent_end_of_a_leader_is_seen_when_its_lease_is_over(void **state)
{
    (void)state;
    seen s;
    seen_init(&s);
    pawl_client *a = client_called("a"), *c = client_called("c");
    const char *name = stage_name();
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = 1000;
    opts.flags = PAWL_LOCK_DETACHED;
    CHECK_ERR(pawl_lock_new(a, name, strlen(name), &opts, &lock), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, "1", 1, PATIENCE_MS), PAWL_OK);
    pawl_observer *observer;
    CHECK_ERR(pawl_election_observe(c, name, strlen(name), see, &s, &observer), PAWL_OK);
    await_seen(&s, "a=1");
    CHECK_ERR(pawl_lock_detach(lock), PAWL_OK);
    await_seen(&s, "-");
    pawl_observer_stop(observer);
    pawl_lock_free(lock);
    pawl_client_close(a);
    pawl_client_close(c);
}

static void a_leader_that_was_paused_beyond_its_lease_says_nothing(void **state)
{
    (void)state;
    pawl_client *a = client_called("a"), *b = client_called("b");
    const char *name = stage_name();
    pawl_lock *one = lock_new(a, name, 30000), *two = lock_new(b, name, 30000);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_break(b, name, strlen(name), pawl_lock_fence(one), PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(two, "b", 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(one, "a", 1, PATIENCE_MS), PAWL_ERR_LOST);
    leader_is(a, name, "b=b");
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_client_close(a);
    pawl_client_close(b);
}

static pawl_lock *retained_lock(pawl_client *client, const char *name)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.retain_ms = 60000;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

/* The next leader is one of the same client, or the same handle: nothing of the one before is its.
 */
static void a_leader_of_the_same_client_is_another_leader(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *a = client_called("a");
    const char *name = stage_name();
    pawl_lock *one = retained_lock(a, name), *two = retained_lock(a, name);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(one), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(one, PATIENCE_MS), PAWL_OK); /* it was retained */
    CHECK_ERR(pawl_election_proclaim(one, "1", 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(two, PATIENCE_MS, record_done, &r), PAWL_OK);
    uint64_t fence = pawl_lock_fence(one);
    CHECK_ERR(pawl_lock_release(one), PAWL_OK);
    record_await_done(&r, 1);
    assert_true(pawl_lock_fence(two) > fence);
    leader_is(a, name, "a=");
    fence = pawl_lock_fence(two);
    CHECK_ERR(pawl_election_resign(two, PATIENCE_MS), PAWL_OK);
    leader_is(a, name, "-");
    CHECK_ERR(pawl_lock_acquire(two, PATIENCE_MS), PAWL_OK);
    assert_true(pawl_lock_fence(two) > fence);
    leader_is(a, name, "a=");
    pawl_lock_free(one);
    pawl_lock_free(two);
    pawl_client_close(a);
}

static void calls_that_do_not_wait(void **state)
{
    (void)state;
    record r;
    record_init(&r);
    pawl_client *a = client_called("a");
    const char *name = stage_name();
    pawl_lock *lock = lock_new(a, name, 30000);
    CHECK_ERR(pawl_election_proclaim_start(lock, "x", 1, 0, record_done, &r), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_election_resign_start(lock, 0, record_done, &r), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim_start(lock, "x", 1, PATIENCE_MS, record_done, &r), PAWL_OK);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_OK);
    leader_is(a, name, "a=x");
    CHECK_ERR(pawl_election_resign_start(lock, PATIENCE_MS, record_done, &r), PAWL_OK);
    record_await_done(&r, 2);
    assert_int_equal(r.done_err, PAWL_OK);
    assert_false(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(a);
    assert_int_equal(record_dones(&r), 2);
}

static void a_client_that_closes_ends_its_observers(void **state)
{
    (void)state;
    seen s;
    seen_init(&s);
    pawl_client *c = client_called("c");
    const char *name = stage_name();
    pawl_observer *observer;
    CHECK_ERR(pawl_election_observe(c, name, strlen(name), see, &s, &observer), PAWL_OK);
    await_seen(&s, "-");
    pawl_client_close(c);
    assert_null(pawl_observer_stop(observer));
    assert_null(pawl_observer_stop(NULL));
    assert_int_equal(seen_count(&s), 1);
}

static void values_of_all_lengths(void **state)
{
    (void)state;
    static char longest[PAWL_LEADER_VALUE_MAX + 1], wanted[PAWL_LEADER_VALUE_MAX + 8];
    pawl_client *a = client_called("a");
    const char *name = stage_name();
    pawl_lock *lock = lock_new(a, name, 30000);
    memset(longest, 'v', PAWL_LEADER_VALUE_MAX);
    snprintf(wanted, sizeof wanted, "a=%s", longest);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, longest, PAWL_LEADER_VALUE_MAX, PATIENCE_MS), PAWL_OK);
    leader_is(a, name, wanted);
    CHECK_ERR(pawl_election_proclaim(lock, longest, PAWL_LEADER_VALUE_MAX + 1, PATIENCE_MS),
              PAWL_ERR_VALUE);
    leader_is(a, name, wanted);
    CHECK_ERR(pawl_election_proclaim(NULL, "x", 1, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_election_proclaim(lock, NULL, 1, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_election_resign(NULL, 0), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_election_leader(a, name, strlen(name), 0, NULL, NULL), PAWL_ERR_ARGUMENT);
    pawl_observer *observer = NULL;
    CHECK_ERR(pawl_election_observe(a, "", 0, see, NULL, &observer), PAWL_ERR_NAME);
    CHECK_ERR(pawl_election_observe(a, name, strlen(name), NULL, NULL, &observer),
              PAWL_ERR_ARGUMENT);
    assert_null(observer);
    pawl_lock_free(lock);
    pawl_client_close(a);
}

/* One name is for one kind of thing. */
static void a_job_is_no_election_and_an_election_no_job(void **state)
{
    (void)state;
    pawl_client *a = client_called("a");
    char name[PAWL_NAME_MAX];
    snprintf(name, sizeof name, "%s", stage_name());
    pawl_once_opts opts;
    pawl_once *once;
    pawl_once_opts_init(&opts);
    opts.every_ms = PAWL_ONCE_EVERY_MAX_MS;
    CHECK_ERR(pawl_once_new(a, name, strlen(name), &opts, &once), PAWL_OK);
    CHECK_ERR(pawl_once_begin(once, 0), PAWL_OK);
    CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_leader(a, name, strlen(name), PATIENCE_MS, note_text, NULL),
              PAWL_ERR_KIND);
    pawl_lock *lock = lock_new(a, name, 30000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, "x", 1, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_once_begin(once, 0), PAWL_ERR_KIND);
    pawl_lock_free(lock);
    pawl_once_free(once);
    pawl_client_close(a);
}

/* As docs/composed.md tells: the others give way to the one that the leader has named. */
static void a_leader_hands_the_lead_to_the_candidate_that_it_names(void **state)
{
    (void)state;
    seen s;
    record of_early, of_wanted;
    seen_init(&s);
    record_init(&of_early);
    record_init(&of_wanted);
    pawl_client *a = client_called("a"), *b = client_called("b"), *c = client_called("c");
    char name[PAWL_NAME_MAX];
    snprintf(name, sizeof name, "%s", stage_name());
    pawl_lock *leader = lock_new(a, name, 60000), *early = lock_new(b, name, 60000),
              *wanted = lock_new(c, name, 60000);
    pawl_observer *observer;
    CHECK_ERR(pawl_lock_acquire(leader, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(early, PAWL_WAIT_FOREVER, record_done, &of_early), PAWL_OK);
    stage_await_waiters(a, name, 1);
    CHECK_ERR(pawl_lock_acquire_start(wanted, PAWL_WAIT_FOREVER, record_done, &of_wanted), PAWL_OK);
    stage_await_waiters(a, name, 2);
    CHECK_ERR(pawl_election_observe(b, name, strlen(name), see, &s, &observer), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(leader, "next is c", 9, PATIENCE_MS), PAWL_OK);
    await_seen(&s, "a=next is c");
    CHECK_ERR(pawl_lock_cancel(early), PAWL_OK);
    record_await_done(&of_early, 1);
    assert_int_equal(of_early.done_err, PAWL_ERR_CANCELED);
    stage_await_waiters(a, name, 1);
    CHECK_ERR(pawl_lock_acquire_start(early, PAWL_WAIT_FOREVER, record_done, &of_early), PAWL_OK);
    stage_await_waiters(a, name, 2);
    CHECK_ERR(pawl_election_resign(leader, PATIENCE_MS), PAWL_OK);
    record_await_done(&of_wanted, 1);
    assert_int_equal(of_wanted.done_err, PAWL_OK);
    assert_int_equal(record_dones(&of_early), 1);
    CHECK_ERR(pawl_election_resign(wanted, PATIENCE_MS), PAWL_OK);
    record_await_done(&of_early, 2);
    assert_int_equal(of_early.done_err, PAWL_OK);
    pawl_observer_stop(observer);
    pawl_lock_free(leader);
    pawl_lock_free(early);
    pawl_lock_free(wanted);
    pawl_client_close(a);
    pawl_client_close(b);
    pawl_client_close(c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_leader_is_known_by_what_it_proclaims),
        cmocka_unit_test(observers_are_told_of_each_change),
        cmocka_unit_test(the_silent_end_of_a_leader_is_seen_when_its_lease_is_over),
        cmocka_unit_test(a_leader_that_was_paused_beyond_its_lease_says_nothing),
        cmocka_unit_test(a_leader_of_the_same_client_is_another_leader),
        cmocka_unit_test(calls_that_do_not_wait),
        cmocka_unit_test(a_client_that_closes_ends_its_observers),
        cmocka_unit_test(values_of_all_lengths),
        cmocka_unit_test(a_job_is_no_election_and_an_election_no_job),
        cmocka_unit_test(a_leader_hands_the_lead_to_the_candidate_that_it_names),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests_name("election", cases, NULL, NULL);
    stage_end();
    return failed;
}
