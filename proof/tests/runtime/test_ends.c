/* SPDX-License-Identifier: MIT */
/*
 * Goal: who is in a call, a callback or a turn finds what it uses until it has left, whoever
 * frees or closes meanwhile; and whatever a store does, or does not, callers come back. Method:
 * a store that does what the test says at the moment that it chooses; argv[1] is its directory.
 */
#define _GNU_SOURCE
#include "pawl/composed.h"
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
    int err;
    do { /* on a busy machine the grant may be over before the engine hears of it */
        err = pawl_lock_acquire(lock, PATIENCE_MS);
    } while (err == PAWL_ERR_UNAVAILABLE);
    CHECK_ERR(err, PAWL_ERR_LOST);
    CHECK(!pawl_lock_is_held(lock));
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- Several wishes of one acquisition ----------------------------------------------------------
 */

static bool lost_at_the_gate(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb != PAWL_VERB_RENEW) return true;
    stop_here();
    reply->outcome = PAWL_NOT_OWNER;
    return true;
}

/* The loss asks for a release behind a detach that waits: the first wish ends the acquisition. */
static void test_detached_and_freed_while_the_loss_comes(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_THREAD);
    gate_init();
    script->answers = lost_at_the_gate;
    pawl_lock *lock = lock_new(client, "a", RENEWED_SOON_MS);
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

/* Each thread has left its call, wherever it was in it, before anything is freed. */
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

/* Only in a thread of the program that owns the loop, not if the client's own thread has it. */
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
    cpu_set_t processors;
    CHECK(sched_getaffinity(0, sizeof processors, &processors) == 0);
    if (CPU_COUNT(&processors) == 1) skip_case("a caller looks for answers on two processors only");
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

/* The number of a lease's change does not come round: what is smaller came late (rule 10). So the
 * lease is over then, and nobody is kept out by it. */
static void test_the_changes_of_a_lease_end(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_lock_opts lock_opts;
    pawl_client *client, *other = NULL;
    pawl_lock *lock, *writer;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_WAIT; /* nobody else drives */
    CHECK_ERR(pawl_client_open("memory:ends", &opts, &client, NULL), PAWL_OK);
    CHECK_ERR(pawl_client_open("memory:ends", NULL, &other, NULL), PAWL_OK);
    pawl_lock_opts_init(&lock_opts);
    lock_opts.mode = PAWL_MODE_UPDATE;
    lock_opts.ttl_ms = 600000; /* what is over before has not run out */
    CHECK_ERR(pawl_lock_new(client, "changed", 7, &lock_opts, &lock), PAWL_OK);
    writer = lock_new(other, "changed", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl__engine *engine = client->pump.engine;
    for (size_t i = 0; i < engine->lease_room; i++)
        if (engine->leases[i]) engine->leases[i]->change = UINT32_MAX - 1;
    CHECK_ERR(pawl_lock_upgrade(lock, PATIENCE_MS), PAWL_OK); /* the last number */
    CHECK_ERR(pawl_lock_downgrade(lock, PAWL_MODE_SHARED), PAWL_OK);
    for (int64_t start = stage_now_ms(); pawl_lock_is_held(lock);) {
        CHECK(stage_now_ms() - start < PATIENCE_MS);
        (void)pawl_client_wait(client, -1, 10);
    }
    CHECK_ERR(pawl_lock_release(lock), PAWL_ERR_LOST);
    CHECK_ERR(pawl_lock_acquire(writer, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(writer), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK); /* the next lease counts anew */
    CHECK_ERR(pawl_lock_upgrade(lock, PATIENCE_MS), PAWL_OK);
    pawl_lock_free(lock);
    pawl_lock_free(writer);
    pawl_client_close(client);
    pawl_client_close(other);
}

/* News are counted to be told apart from those of before. */
static void test_news_come_round(void **state)
{
    (void)state;
    pawl_latch *latch, *counter;
    pawl_client *client;
    pawl_latch_opts opts;
    CHECK_ERR(pawl_client_open("memory:ends", NULL, &client, NULL), PAWL_OK);
    pawl_latch_opts_init(&opts);
    opts.count = 4;
    CHECK_ERR(pawl_latch_new(client, "news", 4, &opts, &latch), PAWL_OK);
    CHECK_ERR(pawl_latch_new(client, "news", 4, &opts, &counter), PAWL_OK);
    pthread_mutex_lock(&client->gate.mutex);
    CHECK(pawl__gate_take(&client->gate, PAWL__NEVER)); /* who owns the loop counts them */
    client->queries.news = UINT32_MAX - 1;
    pawl__gate_give(&client->gate);
    pthread_mutex_unlock(&client->gate.mutex);
    record r;
    record_init(&r);
    CHECK_ERR(pawl_latch_wait_start(latch, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    for (int i = 0; i < 4; i++) CHECK_ERR(pawl_latch_count_down(counter, 1, PATIENCE_MS), PAWL_OK);
    record_await_done(&r, 1);
    CHECK_ERR(r.done_err, PAWL_OK);
    pawl_latch_free(latch);
    pawl_latch_free(counter);
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
    lock->token.version = UINT32_MAX - 3; /* even: nobody writes */
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

/* Nobody else waits for these locks, and still neither release waits for the next request. */
static void test_releases_are_sent_at_once(void **state)
{
    (void)state;
    pawl_client *client = open_scripted(PAWL_CALLBACKS_WAIT);
    pawl_lock *released = lock_new(client, "a", 60000), *held = lock_new(client, "b", 60000);
    CHECK_ERR(pawl_lock_acquire(released, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(released), PAWL_OK);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 1);
    pawl_lock_free(released);
    pawl_lock_free(held);
    assert_int_equal(script->submitted[PAWL_VERB_RELEASE], 2);
    pawl_client_close(client);
}

/* A caller cannot take the loop while a fork waits for it, so it relies on the owner after that. */
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
        cmocka_unit_test(test_the_changes_of_a_lease_end),
        cmocka_unit_test(test_news_come_round),
        cmocka_unit_test(test_a_token_number_comes_round),
        cmocka_unit_test(test_a_token_version_comes_round),
        cmocka_unit_test(test_a_store_that_never_answers_keeps_nobody),
        cmocka_unit_test(test_a_store_that_falls_silent_keeps_no_waiter),
        cmocka_unit_test(test_a_list_that_is_asked_again_has_each_row_once),
        cmocka_unit_test(test_releases_are_sent_at_once),
        cmocka_unit_test(test_a_release_beside_a_fork_leaves_at_once),
    };
    CHECK(argc == 2);
    scripted_load(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
