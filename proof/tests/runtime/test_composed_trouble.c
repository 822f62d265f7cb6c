/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is built on locks asks again where the store did not answer, and says "unknown" where
 * it never does. Method: a store that does what the test says; argv[1] is its directory.
 */
#include "pawl/composed.h"
#include "scripted.h"
#include "stage.h"

#include <sched.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static const pawl_value nothing = {.bytes = "", .owner = "", .now_us = 1000000};
static atomic_int unanswered; /* so many PUBLISH are not answered */
static atomic_bool refuses;   /* then the store says that the token does not hold */

static bool answers(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    if (request->verb == PAWL_VERB_READ) reply->value = &nothing;
    bool publishes = request->verb == PAWL_VERB_PUBLISH;
    if (publishes && !atomic_load(&unanswered) && atomic_load(&refuses))
        reply->outcome = PAWL_NOT_OWNER;
    if (!publishes || atomic_load(&unanswered) == 0) return true;
    atomic_fetch_sub(&unanswered, 1);
    reply->outcome = PAWL_UNKNOWN;
    reply->err = PAWL_ERR_UNAVAILABLE;
    return true;
}

static pawl_once *once_of(pawl_client *client)
{
    pawl_once_opts opts;
    pawl_once *once;
    pawl_once_opts_init(&opts);
    opts.every_ms = 3600000;
    CHECK_ERR(pawl_once_new(client, "job", 3, &opts, &once), PAWL_OK);
    return once;
}

static pawl_once *begin(pawl_client *client, int silences)
{
    atomic_store(&unanswered, silences);
    script->answers = answers;
    pawl_once *once = once_of(client);
    CHECK_ERR(pawl_once_begin(once, 0), PAWL_OK);
    return once;
}

static void a_success_whose_answer_is_lost_is_said_again(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_once *once = begin(client, 3);
    CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_OK);
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_PUBLISH]), 4);
    pawl_once_free(once);
    pawl_client_close(client);
}

static void a_success_that_is_never_answered_is_unknown(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_once *once = begin(client, 1000000);
    CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_UNKNOWN);
    assert_true(atomic_load(&script->submitted[PAWL_VERB_PUBLISH]) > 1);
    assert_false(pawl_lock_is_held(pawl_once_lock(once)));
    pawl_once_free(once);
    pawl_client_close(client);
}

/* The first try may have been carried out, whatever the second one finds. */
static void a_refusal_after_silence_is_unknown(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_once *once = begin(client, 1);
    atomic_store(&refuses, true);
    CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_UNKNOWN);
    CHECK_ERR(pawl_once_begin(once, 0), PAWL_OK);
    CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_LOST);
    atomic_store(&refuses, false);
    pawl_once_free(once);
    pawl_client_close(client);
}

static pawl_latch *latch_of(pawl_client *client)
{
    pawl_latch_opts opts;
    pawl_latch *latch;
    pawl_latch_opts_init(&opts);
    opts.count = 3;
    script->answers = answers;
    CHECK_ERR(pawl_latch_new(client, "latch", 5, &opts, &latch), PAWL_OK);
    return latch;
}

static void a_count_whose_answer_is_lost_is_said_again_and_counts_once(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_latch *latch = latch_of(client);
    atomic_store(&unanswered, 2);
    CHECK_ERR(pawl_latch_count_down(latch, 1, PATIENCE_MS), PAWL_OK);
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_PUBLISH]), 3);
    assert_int_equal(pawl_latch_left(latch), 2);
    atomic_store(&unanswered, 1000000);
    CHECK_ERR(pawl_latch_count_down(latch, 1, PATIENCE_MS), PAWL_ERR_BROKEN); /* READ says: none */
    CHECK_ERR(pawl_latch_count_down(latch, 1, PATIENCE_MS), PAWL_ERR_UNKNOWN);
    pawl_latch_free(latch);
    pawl_client_close(client);
}

static _Atomic int64_t asked_ttl_ms;

static bool answers_and_remembers_the_ttl(pawl_host *host, const pawl_request *request,
                                          pawl_reply *reply)
{
    if (request->verb == PAWL_VERB_ACQUIRE) atomic_store(&asked_ttl_ms, request->ttl_ms);
    return answers(host, request, reply);
}

/* If it dies meanwhile, the others wait for that. */
static void who_counts_has_the_lease_that_was_chosen(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_latch_opts opts;
    pawl_latch *latch;
    pawl_latch_opts_init(&opts);
    opts.count = 1;
    opts.ttl_ms = 7000;
    atomic_store(&unanswered, 0);
    script->answers = answers_and_remembers_the_ttl;
    CHECK_ERR(pawl_latch_new(client, "latch", 5, &opts, &latch), PAWL_OK);
    CHECK_ERR(pawl_latch_count_down(latch, 1, PATIENCE_MS), PAWL_OK);
    assert_int_equal(atomic_load(&asked_ttl_ms), 7000);
    pawl_latch_free(latch);
    pawl_client_close(client);
}

/* ---- A grant that is over before its caller has it ----------------------------------------- */

#define OVER_MS 100

static atomic_int overtaken; /* so many grants */
static const char *of_whom;  /* of names that end so */

static bool overtakes_grants(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    static const uint16_t first_slot = 0;
    size_t len = strlen(of_whom);
    (void)answers(host, request, reply);
    if (request->verb != PAWL_VERB_ACQUIRE) return true;
    if (request->units) {
        reply->slots = &first_slot;
        reply->slot_count = 1;
    }
    bool is_its = request->name_len >= len &&
                  memcmp(request->name + request->name_len - len, of_whom, len) == 0;
    if (!is_its || atomic_load(&overtaken) == 0) return true;
    atomic_fetch_sub(&overtaken, 1);
    host->reply(host, reply);
    int64_t until = stage_now_ms() + 2 * (int64_t)OVER_MS;
    while (stage_now_ms() < until) sched_yield();
    return false;
}

static pawl_client *overtaken_client(const char *whom)
{
    pawl_client *client = scripted_client(NULL);
    atomic_store(&unanswered, 0);
    atomic_store(&overtaken, 1);
    of_whom = whom;
    script->answers = overtakes_grants;
    return client;
}

/* Leases are short: on a busy machine a later one may be over, too. */
static void until_it_works(int (*call)(void *of), void *of)
{
    int64_t begin = stage_now_ms();
    for (int err = PAWL_ERR_LOST; err; err = call(of))
        if (stage_now_ms() - begin > PATIENCE_MS) FAIL_TEST("it stays %s", pawl_err_name(err));
    assert_int_equal(atomic_load(&overtaken), 0);
}

static int count(void *latch)
{
    return pawl_latch_count_down(latch, 1, 1000);
}

static void a_latch_whose_grant_was_over_may_be_asked_again(void **state)
{
    (void)state;
    pawl_client *client = overtaken_client("");
    pawl_latch_opts opts;
    pawl_latch *latch;
    pawl_latch_opts_init(&opts);
    opts.count = 3;
    opts.ttl_ms = OVER_MS;
    CHECK_ERR(pawl_latch_new(client, "latch", 5, &opts, &latch), PAWL_OK);
    until_it_works(count, latch);
    pawl_latch_free(latch);
    pawl_client_close(client);
}

static int begin_run(void *once)
{
    return pawl_once_begin(once, 1000);
}

static void a_once_whose_grant_was_over_may_be_asked_again(void **state)
{
    (void)state;
    pawl_client *client = overtaken_client("");
    pawl_lock_opts of_lock;
    pawl_once_opts opts;
    pawl_once *once;
    pawl_lock_opts_init(&of_lock);
    of_lock.ttl_ms = OVER_MS;
    pawl_once_opts_init(&opts);
    opts.every_ms = 3600000;
    opts.lock = &of_lock;
    CHECK_ERR(pawl_once_new(client, "job", 3, &opts, &once), PAWL_OK);
    until_it_works(begin_run, once);
    pawl_once_free(once);
    pawl_client_close(client);
}

/* ---- Freed while the store is asked ---------------------------------------------------------- */

static sem_t entered, may_go;
static atomic_int reads; /* READ, or what is kept back, until the one that is */
static pawl_reply kept;  /* the loop's */

static bool keeps_back_a_read(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)answers(host, request, reply);
    if (request->verb != PAWL_VERB_READ || atomic_fetch_sub(&reads, 1) != 1) return true;
    kept = *reply;
    sem_post(&entered);
    return false;
}

static void answers_when_it_may(pawl_host *host)
{
    if (sem_trywait(&may_go) == 0) host->reply(host, &kept);
}

static pawl_client *client_that_keeps_back_read(int which, record *r)
{
    record_init(r);
    sem_init(&entered, 0, 0);
    sem_init(&may_go, 0, 0);
    atomic_store(&reads, which);
    atomic_store(&unanswered, 0);
    pawl_client *client = scripted_client(NULL);
    script->answers = keeps_back_a_read;
    script->ticks = answers_when_it_may;
    return client;
}

/* Nothing was published, and the locks that were taken are released. */
static void goes_on_canceled(pawl_client *client, record *r, int acquired)
{
    sem_post(&may_go);
    record_await_done(r, 1);
    assert_int_equal(r->done_err, PAWL_ERR_CANCELED);
    pawl_client_close(client);
    assert_int_equal(record_dones(r), 1);
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_ACQUIRE]), acquired);
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_RELEASE]), acquired);
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_PUBLISH]), 0);
}

static void once_freed_at_read(int which, int acquired)
{
    record r;
    pawl_client *client = client_that_keeps_back_read(which, &r);
    pawl_once *once = once_of(client);
    CHECK_ERR(pawl_once_begin_start(once, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    while (sem_wait(&entered) != 0) continue;
    pawl_once_free(once);
    goes_on_canceled(client, &r, acquired);
}

static void a_once_that_is_freed_while_it_asks_whether_it_is_due_takes_nothing(void **state)
{
    (void)state;
    once_freed_at_read(1, 0);
}

static void a_once_that_is_freed_while_it_asks_again_under_the_lock_gives_back(void **state)
{
    (void)state;
    once_freed_at_read(2, 1);
}

static bool keeps_back_a_read_and_is_busy(pawl_host *host, const pawl_request *request,
                                          pawl_reply *reply)
{
    if (request->verb == PAWL_VERB_ACQUIRE) reply->outcome = PAWL_BUSY;
    return keeps_back_a_read(host, request, reply);
}

/* It waited for the store; that the lock is held it learns when its time is over. */
static void a_once_whose_question_took_all_its_time_has_timed_out(void **state)
{
    (void)state;
    record r;
    pawl_client *client = client_that_keeps_back_read(1, &r);
    script->answers = keeps_back_a_read_and_is_busy;
    pawl_once *once = once_of(client);
    CHECK_ERR(pawl_once_begin_start(once, 5, record_done, &r), PAWL_OK);
    while (sem_wait(&entered) != 0) continue;
    stage_pass(10);
    sem_post(&may_go);
    record_await_done(&r, 1);
    assert_int_equal(r.done_err, PAWL_ERR_TIMEOUT);
    pawl_once_free(once);
    pawl_client_close(client);
}

static pawl_latch *latch_of_two(pawl_client *client)
{
    pawl_latch_opts opts;
    pawl_latch *latch;
    pawl_latch_opts_init(&opts);
    opts.count = 2;
    CHECK_ERR(pawl_latch_new(client, "latch", 5, &opts, &latch), PAWL_OK);
    return latch;
}

static void a_latch_that_is_freed_while_it_counts_counts_nothing(void **state)
{
    (void)state;
    record r;
    pawl_client *client = client_that_keeps_back_read(1, &r);
    pawl_latch *latch = latch_of_two(client);
    CHECK_ERR(pawl_latch_count_down_start(latch, 1, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    while (sem_wait(&entered) != 0) continue;
    pawl_latch_free(latch);
    goes_on_canceled(client, &r, 1);
}

static void a_latch_that_is_freed_while_it_looks_waits_no_more(void **state)
{
    (void)state;
    record r;
    pawl_client *client = client_that_keeps_back_read(1, &r);
    pawl_latch *latch = latch_of_two(client);
    CHECK_ERR(pawl_latch_wait_start(latch, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    while (sem_wait(&entered) != 0) continue;
    pawl_latch_free(latch);
    goes_on_canceled(client, &r, 0);
}

/* A resignation counts by its release, whatever becomes of the word to observers. */
static void a_resignation_whose_word_is_lost_releases(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_lock *lock = lock_new(client, "lead", 30000);
    script->answers = answers;
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    atomic_store(&unanswered, 2);
    CHECK_ERR(pawl_election_proclaim(lock, "v", 1, PATIENCE_MS), PAWL_OK);
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_PUBLISH]), 3);
    atomic_store(&unanswered, 1000000);
    CHECK_ERR(pawl_election_proclaim(lock, "w", 1, 0), PAWL_ERR_UNKNOWN);
    assert_true(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_election_resign(lock, PATIENCE_MS), PAWL_OK);
    assert_false(pawl_lock_is_held(lock));
    pawl_lock_free(lock);
    pawl_client_close(client);
    assert_true(atomic_load(&script->submitted[PAWL_VERB_RELEASE]) > 0);
}

static void never(const pawl_leader *leader, void *userdata)
{
    (void)leader;
    (void)userdata;
    fail_msg("there is nothing to observe");
}

/* It is told at once, and does not ask again and again. */
static void an_observer_is_refused_where_there_are_no_values(void **state)
{
    (void)state;
    pawl_open_opts opts;
    pawl_client *client;
    pawl_caps caps;
    pawl_observer *observer = NULL;
    scripted_opts(&opts);
    CHECK_ERR(pawl_client_open("fake:valueless", &opts, &client, NULL), PAWL_OK);
    CHECK_ERR(pawl_client_caps(client, PATIENCE_MS, &caps), PAWL_OK);
    CHECK_ERR(pawl_election_observe(client, "lead", 4, never, NULL, &observer),
              PAWL_ERR_UNSUPPORTED);
    assert_null(observer);
    pawl_client_close(client);
}

/* ---- Closed while the store is asked --------------------------------------------------------- */

static atomic_int kept_verb;
static atomic_bool is_kept, is_refused; /* refused: the answer is that the token does not hold */

/* The answer comes when the close has begun: with that of the release, by which it gives back. */
static bool answers_once_closing(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    static const uint16_t first_slot = 0;
    (void)answers(host, request, reply);
    if (request->verb == PAWL_VERB_ACQUIRE && request->units) {
        reply->slots = &first_slot;
        reply->slot_count = 1;
    }
    bool keeps = (int)request->verb == atomic_load(&kept_verb) && atomic_fetch_sub(&reads, 1) == 1;
    if (keeps) {
        kept = *reply;
        if (atomic_load(&is_refused)) kept.outcome = PAWL_NOT_OWNER;
        atomic_store(&is_kept, true);
        sem_post(&entered);
        return false;
    }
    if (request->verb == PAWL_VERB_RELEASE && atomic_exchange(&is_kept, false))
        host->reply(host, &kept);
    return true;
}

static pawl_client *client_that_answers_once_closing(pawl_verb verb, int which, record *r)
{
    record_init(r);
    sem_init(&entered, 0, 0);
    atomic_store(&reads, which);
    atomic_store(&kept_verb, (int)verb);
    atomic_store(&is_kept, false);
    atomic_store(&is_refused, verb == PAWL_VERB_PUBLISH);
    atomic_store(&unanswered, 0);
    pawl_client *client = scripted_client(NULL);
    script->answers = answers_once_closing;
    return client;
}

static void close_tells(pawl_client *client, record *r, int expected)
{
    pawl_client_close(client);
    assert_int_equal(record_dones(r), 1);
    assert_int_equal(r->done_err, expected);
}

static void closed_is_told(pawl_client *client, record *r)
{
    while (sem_wait(&entered) != 0) continue;
    close_tells(client, r, PAWL_ERR_CLOSED);
}

static void a_barrier_whose_client_closes_is_closed_and_not_lost(void **state)
{
    (void)state;
    record r;
    pawl_client *client = client_that_answers_once_closing(PAWL_VERB_READ, 1, &r);
    pawl_barrier_opts opts;
    pawl_barrier *barrier;
    pawl_barrier_opts_init(&opts);
    opts.parties = 2;
    CHECK_ERR(pawl_barrier_new(client, "b", 1, &opts, &barrier), PAWL_OK);
    CHECK_ERR(pawl_barrier_wait_start(barrier, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    closed_is_told(client, &r);
    pawl_barrier_free(barrier);
}

static void a_once_whose_client_closes_is_closed_and_not_lost(void **state)
{
    (void)state;
    record r;
    pawl_client *client = client_that_answers_once_closing(PAWL_VERB_READ, 2, &r);
    pawl_once *once = once_of(client);
    CHECK_ERR(pawl_once_begin_start(once, PAWL_WAIT_FOREVER, record_done, &r), PAWL_OK);
    closed_is_told(client, &r);
    pawl_once_free(once);
}

/* The store has been asked to count, and keeps its answer. */
static pawl_latch *counts_until_close(pawl_client **ret_client, record *r)
{
    *ret_client = client_that_answers_once_closing(PAWL_VERB_PUBLISH, 1, r);
    pawl_latch *latch = latch_of_two(*ret_client);
    CHECK_ERR(pawl_latch_count_down_start(latch, 1, PAWL_WAIT_FOREVER, record_done, r), PAWL_OK);
    return latch;
}

static void a_count_that_the_close_outruns_is_closed_and_not_lost(void **state)
{
    (void)state;
    record r;
    pawl_client *client;
    pawl_latch *latch = counts_until_close(&client, &r);
    closed_is_told(client, &r);
    pawl_latch_free(latch);
}

/* The store may have counted it. */
static void a_count_without_an_answer_before_the_close_is_unknown(void **state)
{
    (void)state;
    record r;
    pawl_client *client;
    pawl_latch *latch = counts_until_close(&client, &r);
    while (sem_wait(&entered) != 0) continue;
    atomic_store(&is_kept, false); /* so it is never given */
    close_tells(client, &r, PAWL_ERR_UNKNOWN);
    pawl_latch_free(latch);
}

static void who_proclaims_after_the_close_has_not_lost(void **state)
{
    (void)state;
    pawl_client *client = scripted_client(NULL);
    pawl_lock *lock = lock_new(client, "lead", 30000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    pawl_client_close(client);
    CHECK_ERR(pawl_election_proclaim(lock, "v", 1, 0), PAWL_ERR_CLOSED);
    pawl_lock_free(lock);
}

static bool silent_about_leases(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    (void)reply;
    return request->verb != PAWL_VERB_ACQUIRE;
}

/* All names are tried first: that, too, is part of the one wait. */
static void several_names_are_waited_for_as_long_as_the_caller_says(void **state)
{
    (void)state;
    const char *const names[] = {"a", "b"};
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.store_timeout_ms = PAWL_WAIT_FOREVER;
    pawl_client *client = scripted_client(&opts);
    pawl_lock *lock;
    CHECK_ERR(pawl_lock_new_all(client, names, 2, NULL, &lock), PAWL_OK);
    script->answers = silent_about_leases;
    CHECK_ERR(pawl_lock_acquire(lock, 50), PAWL_ERR_TIMEOUT);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_success_whose_answer_is_lost_is_said_again),
        cmocka_unit_test(several_names_are_waited_for_as_long_as_the_caller_says),
        cmocka_unit_test(a_success_that_is_never_answered_is_unknown),
        cmocka_unit_test(a_refusal_after_silence_is_unknown),
        cmocka_unit_test(a_count_whose_answer_is_lost_is_said_again_and_counts_once),
        cmocka_unit_test(who_counts_has_the_lease_that_was_chosen),
        cmocka_unit_test(a_latch_whose_grant_was_over_may_be_asked_again),
        cmocka_unit_test(a_once_whose_grant_was_over_may_be_asked_again),
        cmocka_unit_test(a_once_that_is_freed_while_it_asks_whether_it_is_due_takes_nothing),
        cmocka_unit_test(a_once_that_is_freed_while_it_asks_again_under_the_lock_gives_back),
        cmocka_unit_test(a_once_whose_question_took_all_its_time_has_timed_out),
        cmocka_unit_test(a_latch_that_is_freed_while_it_counts_counts_nothing),
        cmocka_unit_test(a_latch_that_is_freed_while_it_looks_waits_no_more),
        cmocka_unit_test(a_resignation_whose_word_is_lost_releases),
        cmocka_unit_test(an_observer_is_refused_where_there_are_no_values),
        cmocka_unit_test(a_barrier_whose_client_closes_is_closed_and_not_lost),
        cmocka_unit_test(a_once_whose_client_closes_is_closed_and_not_lost),
        cmocka_unit_test(a_count_that_the_close_outruns_is_closed_and_not_lost),
        cmocka_unit_test(a_count_without_an_answer_before_the_close_is_unknown),
        cmocka_unit_test(who_proclaims_after_the_close_has_not_lost),
    };
    if (argc < 2) return 64;
    scripted_load(argv[1]);
    return cmocka_run_group_tests_name("composed trouble", cases, NULL, NULL);
}
