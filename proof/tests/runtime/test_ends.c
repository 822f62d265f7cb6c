/* SPDX-License-Identifier: MIT */
/*
 * Goal: who is in a call, a callback or a turn finds what it uses until it has left, whoever
 * frees or closes meanwhile; and whatever a store does, or does not, callers come back. Method:
 * a store that does what the test says at the moment that it chooses; argv[1] is its directory.
 */
#define _GNU_SOURCE
#include "runtime/visit.h"
#include "scripted.h"
#include "stage.h"

#include "../../../src/engine/lease.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <errno.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

static pawl_client *open_scripted(pawl_callbacks callbacks)
{
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.callbacks = callbacks;
    return scripted_client(&opts);
}

static void *run_close(void *client)
{
    return pawl_client_close(client);
}

/* ---- A gate where the loop or a callback stops ----------------------------------------------- */

static sem_t entered, may_go;

static void gate_init(void)
{
    sem_init(&entered, 0, 0);
    sem_init(&may_go, 0, 0);
}

static void await(sem_t *sem)
{
    while (sem_wait(sem) != 0) continue;
}

static void stop_here(void)
{
    sem_post(&entered);
    await(&may_go);
}

/* ---- A grant that is over before its caller has it ------------------------------------------- */

/* The grant comes, and then the loop stands still until the lease is over. */
static bool granted_and_overtaken(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    if (request->verb != PAWL_VERB_ACQUIRE) return true;
    host->reply(host, reply);
    for (int64_t until = pawl__now() + 40 * PAWL__NS_PER_MS; pawl__now() < until;) sched_yield();
    return false;
}

static void test_a_grant_that_is_over_is_no_success(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    script->answers = granted_and_overtaken;
    pawl_lock *lock = lock_new(client, "a", 20);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_ERR_LOST);
    CHECK(!pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Several wishes of one claim ------------------------------------------------------------- */

static bool lost_at_the_gate(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_RENEW) return true;
    stop_here();
    reply->outcome = PAWL_NOT_OWNER;
    return true;
}

/* The loss asks for a release behind a detach that waits: the first wish ends the claim. */
static void test_detached_and_freed_while_the_loss_comes(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    gate_init();
    script->answers = lost_at_the_gate;
    pawl_lock *lock = lock_new(client, "a", 300);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    await(&entered);
    CHECK_ERR(pawl_lock_detach(lock), PAWL_OK);
    pawl_lock_free(lock);
    sem_post(&may_go);
    lock = lock_new(client, "b", 60000); /* behind that in the driver's list */
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Close beside others --------------------------------------------------------------------- */

static void test_a_closed_client_starts_no_thread(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    pawl_lock *lock = lock_new(client, "a", 60000);
    record r;
    record_init(&r);
    pawl_client_close(client);
    CHECK_ERR(pawl_lock_acquire_start(lock, 0, record_done, &r), PAWL_ERR_CLOSED);
    CHECK_ERR(pawl_lock_release_start(lock, record_done, &r), PAWL_ERR_CLOSED);
    assert_false(client->calls.thread_started);
    pawl_lock_free(lock);
    assert_int_equal(record_dones(&r), 0);
}

static atomic_int inside, most_inside, ended;

static void end_at_the_gate(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    (void)err;
    (void)userdata;
    int now = ++inside;
    if (now > most_inside) most_inside = now;
    if (ended++ == 0) stop_here();
    inside--;
}

static void *run_dispatch(void *client)
{
    while (pawl_client_dispatch(client) == 0) sched_yield();
    return NULL;
}

static void *run_wait(void *client)
{
    while (pawl_client_wait(client, -1, 100) == 0) continue;
    return NULL;
}

/* One thread is in a callback, another closes: it does not run the next callback beside it. */
static void close_beside_a_callback(pawl_callbacks callbacks, void *(*run)(void *))
{
    pawl_client *client = open_scripted(callbacks);
    pawl_lock *a = lock_new(client, "a", 60000), *b = lock_new(client, "b", 60000);
    gate_init();
    inside = most_inside = ended = 0;
    CHECK_ERR(pawl_lock_acquire_start(a, PATIENCE_MS, end_at_the_gate, NULL), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire_start(b, PATIENCE_MS, end_at_the_gate, NULL), PAWL_OK);
    pthread_t runner, closer;
    CHECK(pthread_create(&runner, NULL, run, client) == 0);
    await(&entered);
    CHECK(pthread_create(&closer, NULL, run_close, client) == 0);
    stage_pass(100); /* gives a close that does not wait the time to be caught */
    assert_int_equal(ended, 1);
    CHECK(pthread_tryjoin_np(closer, NULL) == EBUSY);
    sem_post(&may_go);
    CHECK(pthread_join(runner, NULL) == 0 && pthread_join(closer, NULL) == 0);
    assert_int_equal(ended, 2);
    assert_int_equal(most_inside, 1);
    pawl_lock_free(a);
    pawl_lock_free(b);
}

static void test_close_beside_dispatch(void **state)
{
    (void)state;
    close_beside_a_callback(PAWL_CALLBACKS_DISPATCH, run_dispatch);
}

static void test_close_beside_wait(void **state)
{
    (void)state;
    close_beside_a_callback(PAWL_CALLBACKS_WAIT, run_wait);
}

/* Whoever is in a call, wherever it is there, has left before anything goes. */
static void test_close_waits_for_its_visitors(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    pawl__visit visit;
    CHECK_ERR(pawl__enter(client, &visit), PAWL_OK);
    pthread_mutex_unlock(&client->gate.mutex);
    pthread_t closer;
    CHECK(pthread_create(&closer, NULL, run_close, client) == 0);
    stage_pass(100);
    assert_non_null(client->pump.base);
    CHECK(pthread_tryjoin_np(closer, NULL) == EBUSY);
    pawl__leave_unlocked(&visit);
    CHECK(pthread_join(closer, NULL) == 0);
}

static bool refuses_tokens(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb == PAWL_VERB_RELEASE) reply->outcome = PAWL_NOT_OWNER;
    return true;
}

static atomic_int answered;

static void *release_by_token(void *client)
{
    static const char token[] = "0123456789abcdef0123456789abcdef00000001";
    int err = pawl_token_release(client, "a", 1, token, PATIENCE_MS);
    answered = 1;
    CHECK(err == PAWL_ERR_LOST || err == PAWL_ERR_CLOSED);
    return NULL;
}

/* The call says something about its answer: the client must still be there. */
static void test_close_beside_calls_by_token(void **state)
{
    (void)state;
    for (int i = 0; i < 50; i++) {
        pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
        pawl_lock *keeps_it = lock_new(client, "b", 60000); /* the client answers CLOSED */
        script->answers = refuses_tokens;
        pthread_t thread;
        answered = 0;
        CHECK(pthread_create(&thread, NULL, release_by_token, client) == 0);
        while (!script->submitted[PAWL_VERB_RELEASE] && !answered) sched_yield();
        pawl_client_close(client);
        CHECK(pthread_join(thread, NULL) == 0);
        pawl_lock_free(keeps_it);
    }
}

/* ---- Cancellation ---------------------------------------------------------------------------- */

static void *dispatch_canceled(void *client)
{
    pthread_cancel(pthread_self());
    (void)pawl_client_dispatch(client);
    pthread_testcancel();
    return NULL;
}

static void test_a_canceled_dispatch_keeps_no_mutex(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_DISPATCH);
    pthread_t thread;
    void *result;
    CHECK(pthread_create(&thread, NULL, dispatch_canceled, client) == 0);
    CHECK(pthread_join(thread, &result) == 0 && result == PTHREAD_CANCELED);
    assert_int_equal(pthread_mutex_trylock(&client->gate.mutex), 0);
    pthread_mutex_unlock(&client->gate.mutex);
    pawl_client_close(client);
}

static bool stops_at_the_gate(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    (void)reply;
    if (request->verb == PAWL_VERB_INSPECT) stop_here();
    return true;
}

static bool no_info(const pawl_info *info, void *userdata)
{
    (void)info;
    (void)userdata;
    return true;
}

static void *look(void *client)
{
    CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, no_info, NULL), PAWL_OK);
    return NULL;
}

static void *fork_canceled(void *arg)
{
    (void)arg;
    pthread_cancel(pthread_self());
    pid_t child = fork(); /* waits in its handler for who drives */
    if (child == 0) _exit(0);
    int status;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL);
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, NULL);
    pthread_testcancel();
    return NULL;
}

static void test_a_canceled_fork_keeps_no_mutex(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    gate_init();
    script->answers = stops_at_the_gate;
    pthread_t looker, forker;
    void *result;
    CHECK(pthread_create(&looker, NULL, look, client) == 0);
    await(&entered);
    CHECK(pthread_create(&forker, NULL, fork_canceled, NULL) == 0);
    CHECK(pthread_join(forker, &result) == 0 && result == PTHREAD_CANCELED);
    sem_post(&may_go);
    CHECK(pthread_join(looker, NULL) == 0);
    pawl_client_close(client);
}

/* A client whose loop does not become free has its share of the time of a fork, and no more. */
static void test_a_stuck_client_leaves_a_fork_time_for_the_others(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD); /* the first that a fork meets */
    pawl_client *other = open_scripted(PAWL_CALLBACKS_THREAD);
    gate_init();
    script->answers = stops_at_the_gate;
    pthread_t looker;
    CHECK(pthread_create(&looker, NULL, look, client) == 0);
    await(&entered);
    int status = 1;
    for (int tries = 0; status != 0 && tries < 100; tries++) { /* the machine may be busy */
        pid_t child = fork();
        if (child == 0)
            _exit(!pawl__gate_is_quiet(&other->gate) || pawl__gate_is_quiet(&client->gate));
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
    }
    assert_int_equal(status, 0);
    sem_post(&may_go);
    CHECK(pthread_join(looker, NULL) == 0);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* ---- A driver that does not come back ----------------------------------------------------------
 */

static pthread_t stuck;
static atomic_bool is_stuck;

/* Only in the thread of the user's that drives, not when the client's own has the loop. */
static bool sticks(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    (void)reply;
    if (request->verb != PAWL_VERB_INSPECT || !pthread_equal(stuck, pthread_self())) return true;
    is_stuck = true;
    stop_here();
    return true;
}

static void *look_until_stuck(void *client)
{
    stuck = pthread_self();
    while (!is_stuck) (void)look(client);
    return NULL;
}

/* The loss is told by the clock, though the thread that has engine and loop is stuck in them. */
static void test_a_stuck_driver_holds_up_no_loss(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    gate_init();
    script->answers = sticks;
    record r;
    record_init(&r);
    pawl_lock *lock = lock_with_events(client, "b", 300, record_event, &r);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pthread_t looker;
    CHECK(pthread_create(&looker, NULL, look_until_stuck, client) == 0);
    await(&entered);
    record_await_event(&r, PAWL_EVENT_LOST, 1);
    assert_false(pawl_lock_is_held(lock));
    sem_post(&may_go);
    CHECK(pthread_join(looker, NULL) == 0);
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_int_equal(record_events(&r, PAWL_EVENT_LOST), 1);
}

/* ---- Numbers that come round ----------------------------------------------------------------- */

static void cycle(pawl_client *client, int count)
{
    pawl_lock *lock = lock_new(client, "a", 60000);
    for (int i = 0; i < count; i++) {
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_lock_release_wait(lock, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, no_info, NULL), PAWL_OK);
    }
    pawl_lock_free(lock);
}

static void test_numbers_of_requests_come_round(void **state)
{
    (void)state;
    static const uint32_t ends[] = {UINT32_MAX / 2, UINT32_MAX};
    pawl_client *client = open_scripted(PAWL_CALLBACKS_WAIT); /* nobody else drives */
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++) {
        client->pump.engine->next_request = ends[i] - 5;
        client->queries.last_id = ends[i] - 5;
        cycle(client, 10);
    }
    assert_true(client->pump.engine->next_request < 100 && client->queries.last_id < 100);
    pawl_client_close(client);
}

static void test_a_token_number_comes_round(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_WAIT);
    client->pump.pool.counter = UINT32_MAX - 2;
    cycle(client, 6);
    assert_true(client->pump.pool.counter < 10);
    pawl_client_close(client);
}

static void test_a_token_version_comes_round(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_WAIT);
    pawl_lock *lock = lock_new(client, "a", 60000);
    lock->token_version = UINT32_MAX - 3; /* even: nobody writes */
    char last[PAWL_TOKEN_LEN + 1] = "";
    for (int i = 0; i < 6; i++) {
        pawl_token token;
        CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
        pawl_lock_token(lock, &token);
        assert_int_equal(strlen(token.text), PAWL_TOKEN_LEN);
        assert_string_not_equal(token.text, last);
        memcpy(last, token.text, sizeof last);
        CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    }
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Stores that break their word ------------------------------------------------------------ */

static bool never(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    (void)request;
    (void)reply;
    return false;
}

static void test_a_store_that_never_answers_keeps_nobody(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    pawl_lock *lock = lock_new(client, "a", 60000), *held = lock_new(client, "b", 1000);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    script->answers = never;
    int64_t start = stage_now_ms();
    CHECK_ERR(pawl_inspect(client, "a", 1, 200, no_info, NULL), PAWL_ERR_UNKNOWN);
    CHECK_ERR(pawl_list(client, "", 0, PAWL_WAIT_FOREVER, no_info, NULL), PAWL_ERR_UNKNOWN);
    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_lock_acquire(lock, 0), PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(pawl_lock_release_wait(held, PAWL_WAIT_FOREVER), PAWL_ERR_LOST);
    if (stage_now_ms() - start > 10000) FAIL_TEST("it took %ld ms", (long)(stage_now_ms() - start));
    pawl_lock_free(lock);
    pawl_lock_free(held);
    pawl_client_close(client);
}

static bool queues_and_falls_silent(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    static int asked;
    (void)host;
    if (request->verb != PAWL_VERB_ACQUIRE) return true;
    reply->outcome = PAWL_QUEUED;
    return asked++ == 0;
}

/* It stands in the queue, and no refresh of its place is ever answered. */
static void test_a_store_that_falls_silent_keeps_no_waiter(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    pawl_lock *lock = lock_new(client, "a", 300);
    script->answers = queues_and_falls_silent;
    int64_t start = stage_now_ms();
    CHECK_ERR(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), PAWL_ERR_UNAVAILABLE);
    int64_t span = stage_now_ms() - start;
    assert_true(span >= 1000 && span < 10000);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

static atomic_int lists;

static void put_rows(pawl_host *host, uint64_t id)
{
    pawl_info info = {.size = sizeof info, .name = "n", .name_len = 1, .owner = ""};
    host->row(host, id, &info);
    host->row(host, id, &info);
}

static bool list_with_a_break(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    if (request->verb != PAWL_VERB_LIST) return true;
    put_rows(host, request->id);
    if (lists++ > 0) return true;
    host->link(host, false, PAWL_ERR_UNAVAILABLE, "gone for a moment");
    reply->outcome = PAWL_FAILED;
    reply->err = PAWL_ERR_UNAVAILABLE;
    return true;
}

static void link_comes_back(pawl_host *host)
{
    static int told;
    if (lists != 1 || told++) return;
    host->link(host, true, PAWL_OK, NULL);
}

static bool count_row(const pawl_info *info, void *userdata)
{
    (void)info;
    ++*(int *)userdata;
    return true;
}

static void test_a_list_that_is_asked_again_has_each_row_once(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    int rows = 0;
    script->answers = list_with_a_break;
    script->ticks = link_comes_back;
    CHECK_ERR(pawl_list(client, "", 0, PATIENCE_MS, count_row, &rows), PAWL_OK);
    assert_int_equal(lists, 2);
    assert_int_equal(rows, 2);
    pawl_client_close(client);
}

/* ---- The role -------------------------------------------------------------------------------- */

/*
 * A release that waits for the next request goes on waiting when its handle is freed: a program
 * that makes a handle for each acquisition sends as little as one that keeps its handle. What the
 * free itself gives back leaves, and takes it along.
 */
static void test_a_free_sends_what_it_gives_back(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_WAIT);
    pawl_lock *released = lock_new(client, "a", 60000), *held = lock_new(client, "b", 60000);
    CHECK_ERR(pawl_lock_acquire(released, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    client->gate.cycling = true;      /* as if the acquisition had followed a release */
    client->gate.thread_looks_at = 1; /* there is no thread: nobody but us sends it */
    CHECK_ERR(pawl_lock_release(released), PAWL_OK);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 0);
    pawl_lock_free(released);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 0);
    pawl_lock_free(held);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 2);
    pawl_client_close(client);
}

/* Who asks while a fork waits for the role cannot drive, and relies on who has it then. */
static void test_a_release_beside_a_fork_leaves_at_once(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_WAIT);
    pawl_lock *lock = lock_new(client, "a", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    client->gate.owner_wanted++; /* it is free, and the fork has not come round yet */
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 0);
    client->gate.owner_wanted--;
    pid_t child = fork();
    if (child == 0) _exit(0);
    int status;
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 1);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_grant_that_is_over_is_no_success),
        cmocka_unit_test(test_detached_and_freed_while_the_loss_comes),
        cmocka_unit_test(test_a_closed_client_starts_no_thread),
        cmocka_unit_test(test_close_beside_dispatch),
        cmocka_unit_test(test_close_beside_wait),
        cmocka_unit_test(test_close_waits_for_its_visitors),
        cmocka_unit_test(test_close_beside_calls_by_token),
        cmocka_unit_test(test_a_canceled_dispatch_keeps_no_mutex),
        cmocka_unit_test(test_a_canceled_fork_keeps_no_mutex),
        cmocka_unit_test(test_a_stuck_client_leaves_a_fork_time_for_the_others),
        cmocka_unit_test(test_a_stuck_driver_holds_up_no_loss),
        cmocka_unit_test(test_numbers_of_requests_come_round),
        cmocka_unit_test(test_a_token_number_comes_round),
        cmocka_unit_test(test_a_token_version_comes_round),
        cmocka_unit_test(test_a_store_that_never_answers_keeps_nobody),
        cmocka_unit_test(test_a_store_that_falls_silent_keeps_no_waiter),
        cmocka_unit_test(test_a_list_that_is_asked_again_has_each_row_once),
        cmocka_unit_test(test_a_free_sends_what_it_gives_back),
        cmocka_unit_test(test_a_release_beside_a_fork_leaves_at_once),
    };
    CHECK(argc == 2);
    scripted_load(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
