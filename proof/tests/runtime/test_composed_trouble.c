/* SPDX-License-Identifier: MIT */
/*
 * Goal: what is built on locks asks again where the store did not answer, and says "unknown" where
 * it never does. Method: a store that does what the test says; argv[1] is its directory.
 */
#include "pawl/composed.h"
#include "scripted.h"
#include "stage.h"

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

static pawl_once *begin(pawl_client *client, int silences)
{
    pawl_once_opts opts;
    pawl_once *once;
    pawl_once_opts_init(&opts);
    opts.every_ms = 3600000;
    atomic_store(&unanswered, silences);
    script->answers = answers;
    CHECK_ERR(pawl_once_new(client, "job", 3, &opts, &once), PAWL_OK);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_success_whose_answer_is_lost_is_said_again),
        cmocka_unit_test(a_success_that_is_never_answered_is_unknown),
        cmocka_unit_test(a_refusal_after_silence_is_unknown),
        cmocka_unit_test(a_count_whose_answer_is_lost_is_said_again_and_counts_once),
        cmocka_unit_test(a_resignation_whose_word_is_lost_releases),
    };
    if (argc < 2) return 64;
    scripted_load(argv[1]);
    return cmocka_run_group_tests_name("composed trouble", cases, NULL, NULL);
}
