/* SPDX-License-Identifier: MIT */
/*
 * Goal: what once, elections and latches leave at the store is what docs/composed.md says, to the
 * letter, and is read as it says. Method: a store that writes down what is published and reports
 * the value that the test has chosen; argv[1] is its directory.
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

#define DAY_MS INT64_C(86400000)

/* ---- The store ------------------------------------------------------------------------------ */

static struct {
    char value[PAWL_STORED_MAX + 1];
    size_t value_len;
    int64_t keep_ms, watch_ms;
    unsigned read_flags;
    uint64_t publication;
    bool has_token;
} asked; /* written in the loop before the answer, read behind it */

static _Atomic(const pawl_value *) there; /* what READ reports */
static _Atomic(const pawl_value *) later; /* NULL, or what it reports from the second time on */
static atomic_int reads, fails_at;        /* so many; the one that fails, from 1 */
static _Atomic(const pawl_info *) holder; /* what INSPECT reports */

static bool answers(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    if (request->verb == PAWL_VERB_READ) {
        int number = atomic_fetch_add(&reads, 1) + 1;
        reply->value = atomic_load(&there);
        if (number > 1 && atomic_load(&later)) reply->value = atomic_load(&later);
        if (number == atomic_load(&fails_at)) {
            reply->outcome = PAWL_FAILED;
            reply->err = PAWL_ERR_PERMISSION;
        }
        asked.read_flags = request->flags;
        asked.watch_ms = request->ttl_ms;
    }
    if (request->verb == PAWL_VERB_INSPECT) host->row(host, request->id, atomic_load(&holder));
    if (request->verb != PAWL_VERB_PUBLISH) return true;
    memset(asked.value, 0, sizeof asked.value);
    memcpy(asked.value, request->value, request->value_len);
    asked.value_len = request->value_len;
    asked.keep_ms = request->keep_ms;
    asked.publication = request->publication;
    asked.has_token = request->token && strlen(request->token) == PAWL_TOKEN_LEN;
    return true;
}

static pawl_client *client_of_it(void)
{
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.store_timeout_ms = PATIENCE_MS; /* a busy machine may be late, the answer is not */
    pawl_client *client = scripted_client(&opts);
    script->answers = answers;
    memset(&asked, 0, sizeof asked);
    atomic_store(&later, NULL);
    atomic_store(&fails_at, 0);
    return client;
}

static void is_published(const char *value, int64_t keep_ms)
{
    assert_string_equal(asked.value, value);
    assert_int_equal(asked.value_len, strlen(value));
    assert_int_equal(asked.keep_ms, keep_ms);
    assert_true(asked.has_token);
}

static pawl_value value_of(const char *text)
{
    return (pawl_value){.bytes = text,
                        .len = strlen(text),
                        .fence = 4,
                        .at_us = 5000000,
                        .now_us = 6000000,
                        .owner = "ann"};
}

static const pawl_value none = {.bytes = "", .owner = "", .now_us = 6000000};

/* ---- Latches -------------------------------------------------------------------------------- */

static pawl_latch *latch_of(pawl_client *client, uint32_t count, int64_t keep_ms)
{
    pawl_latch_opts opts;
    pawl_latch *latch;
    pawl_latch_opts_init(&opts);
    opts.count = count;
    if (keep_ms) opts.keep_ms = keep_ms;
    CHECK_ERR(pawl_latch_new(client, "latch", 5, &opts, &latch), PAWL_OK);
    return latch;
}

static void a_count_is_published(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_latch *latch = latch_of(client, 5, 0), *kept = latch_of(client, 1, PAWL_LATCH_KEEP_MAX_MS);
    atomic_store(&there, &none);
    assert_int_equal(pawl_latch_left(latch), 5);
    CHECK_ERR(pawl_latch_count_down(latch, 2, PATIENCE_MS), PAWL_OK);
    is_published("pawl latch 1 5 3", DAY_MS);
    assert_int_equal(pawl_latch_left(latch), 3);
    uint64_t publication = asked.publication;
    assert_true(publication > 0);
    pawl_value value = value_of("pawl latch 1 5 3");
    atomic_store(&there, &value);
    CHECK_ERR(pawl_latch_count_down(latch, 3, PATIENCE_MS), PAWL_OK);
    is_published("pawl latch 1 5 0", DAY_MS);
    assert_true(asked.publication > publication);
    assert_int_equal(pawl_latch_left(latch), 0);
    value = value_of("pawl latch 1 5 0"); /* it counts no further */
    CHECK_ERR(pawl_latch_count_down(latch, 1, PATIENCE_MS), PAWL_OK);
    is_published("pawl latch 1 5 0", DAY_MS);
    atomic_store(&there, &none);
    CHECK_ERR(pawl_latch_count_down(kept, 1, PATIENCE_MS), PAWL_OK);
    is_published("pawl latch 1 1 0", PAWL_LATCH_KEEP_MAX_MS);
    pawl_latch_free(kept);
    pawl_latch_free(latch);
    pawl_client_close(client);
}

static void a_latch_reads_what_is_one(void **state)
{
    static const struct {
        const char *text;
        int err;
        uint32_t left;
    } cases[] = {
        {"pawl latch 1 5 5", PAWL_OK, 5},
        {"pawl latch 1 5 1", PAWL_OK, 1},
        {"pawl latch 1 5 0", PAWL_OK, 0},
        {"pawl latch 1 5 6", PAWL_ERR_KIND, 5},
        {"pawl latch 1 5", PAWL_ERR_KIND, 5},
        {"pawl latch 1 ", PAWL_ERR_KIND, 5},
        {"pawl latch 2 5 5", PAWL_ERR_KIND, 5},
        {"pawl once 1 5 1", PAWL_ERR_KIND, 5},
        {"", PAWL_ERR_KIND, 5},
        {"pawl latch 1 4 4", PAWL_ERR_COUNT, 5},
        {"pawl latch 1 6 6", PAWL_ERR_COUNT, 5},
    };
    (void)state;
    pawl_client *client = client_of_it();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pawl_latch *latch = latch_of(client, 5, 0);
        pawl_value value = value_of(cases[i].text);
        atomic_store(&there, &value);
        int err = pawl_latch_look(latch, PATIENCE_MS);
        if (err != cases[i].err) FAIL_TEST("\"%s\": %s", cases[i].text, pawl_err_name(err));
        assert_int_equal(pawl_latch_left(latch), cases[i].left);
        assert_int_equal(asked.read_flags, 0);
        pawl_latch_free(latch);
    }
    pawl_client_close(client);
}

/* It only goes down; who is told that it went up begins with what is there now. */
static void a_latch_that_went_up_is_broken_once(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_latch *latch = latch_of(client, 5, 0);
    pawl_value value = value_of("pawl latch 1 5 2");
    atomic_store(&there, &value);
    CHECK_ERR(pawl_latch_look(latch, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_latch_look(latch, PATIENCE_MS), PAWL_OK); /* the same is no news */
    value = value_of("pawl latch 1 5 3");
    CHECK_ERR(pawl_latch_look(latch, PATIENCE_MS), PAWL_ERR_BROKEN);
    assert_int_equal(pawl_latch_left(latch), 5);
    CHECK_ERR(pawl_latch_look(latch, PATIENCE_MS), PAWL_OK);
    assert_int_equal(pawl_latch_left(latch), 3);
    pawl_latch_free(latch);
    pawl_client_close(client);
}

static void who_waits_for_a_latch_watches(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_latch *latch = latch_of(client, 5, 0);
    atomic_store(&there, &none);
    CHECK_ERR(pawl_latch_wait(latch, 0), PAWL_ERR_BUSY);
    assert_int_equal(asked.read_flags, 0);
    CHECK_ERR(pawl_latch_wait(latch, 1), PAWL_ERR_TIMEOUT);
    assert_int_equal(asked.read_flags, PAWL_ASK_WATCH);
    assert_int_equal(asked.watch_ms, 60000);
    CHECK_ERR(pawl_latch_look(latch, PATIENCE_MS), PAWL_OK); /* no more */
    assert_int_equal(asked.read_flags, 0);
    pawl_value value = value_of("pawl latch 1 5 0");
    atomic_store(&there, &value);
    CHECK_ERR(pawl_latch_wait(latch, 0), PAWL_OK);
    CHECK_ERR(pawl_latch_wait(latch, PATIENCE_MS), PAWL_OK);
    pawl_latch_free(latch);
    pawl_client_close(client);
}

static void keep_leader(const pawl_leader *leader, void *userdata)
{
    pawl_leader *kept = userdata;
    assert_int_equal(leader->size, sizeof *leader);
    assert_string_equal(leader->owner, leader->leads ? "joe" : "");
    if (leader->value) assert_string_equal(leader->value, "at 7");
    *kept = *leader;
}

/* ---- Once ----------------------------------------------------------------------------------- */

static pawl_once *once_of(pawl_client *client, int64_t every_ms, uint64_t flags)
{
    pawl_once_opts opts;
    pawl_once *once;
    pawl_once_opts_init(&opts);
    opts.every_ms = every_ms;
    opts.flags = flags;
    CHECK_ERR(pawl_once_new(client, "once", 4, &opts, &once), PAWL_OK);
    return once;
}

static void a_run_is_published(void **state)
{
    static const struct {
        int64_t every_ms, keep_ms;
        uint64_t flags;
        bool succeeds;
        const char *value;
    } cases[] = {
        {PAWL_ONCE_EVERY_MIN_MS, 7 * DAY_MS, 0, true, "pawl once 1 6000000 1"},
        {7 * DAY_MS, 21 * DAY_MS, 0, false, "pawl once 1 6000000 2"},
        {DAY_MS, 7 * DAY_MS, PAWL_ONCE_KEEP_ON_FAILURE, false, "pawl once 1 6000000 3"},
        {DAY_MS, 7 * DAY_MS, PAWL_ONCE_KEEP_ON_FAILURE, true, "pawl once 1 6000000 1"},
        {PAWL_ONCE_EVERY_MAX_MS, PAWL_KEEP_MAX_MS, 0, true, "pawl once 1 6000000 1"},
    };
    (void)state;
    pawl_client *client = client_of_it();
    atomic_store(&there, &none);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pawl_once *once = once_of(client, cases[i].every_ms, cases[i].flags);
        CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_NOT_HELD);
        CHECK_ERR(pawl_once_begin(once, PATIENCE_MS), PAWL_OK);
        CHECK_ERR(pawl_once_end(once, cases[i].succeeds, PATIENCE_MS), PAWL_OK);
        is_published(cases[i].value, cases[i].keep_ms);
        assert_false(pawl_lock_is_held(pawl_once_lock(once)));
        CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_NOT_HELD);
        pawl_once_free(once);
    }
    pawl_client_close(client);
}

static pawl_once_info look(pawl_once *once, const pawl_value *value, int wanted)
{
    pawl_once_info info;
    atomic_store(&there, value);
    CHECK_ERR(pawl_once_look(once, PATIENCE_MS), wanted);
    pawl_once_last(once, &info);
    return info;
}

static void what_is_known_of_a_run(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_once *once = once_of(client, 2000, 0);
    pawl_once_info info = look(once, &none, PAWL_OK);
    assert_int_equal(info.size, sizeof info);
    assert_true(info.due && info.outcome == PAWL_ONCE_NEVER && !info.began_us && !info.fence);
    assert_string_equal(info.owner, "");
    assert_int_equal(info.now_us, 6000000);
    assert_int_equal(info.next_us, 8000000);
    pawl_value value = value_of("pawl once 1 6000000 1");
    info = look(once, &value, PAWL_OK);
    assert_false(info.due);
    assert_int_equal(info.outcome, PAWL_ONCE_SUCCEEDED);
    assert_int_equal(info.began_us, 6000000);
    assert_int_equal(info.ended_us, 5000000);
    assert_int_equal(info.fence, 4);
    assert_string_equal(info.owner, "ann");
    value = value_of("pawl once 1 5999999 1"); /* the period before */
    assert_true(look(once, &value, PAWL_OK).due);
    value = value_of("pawl once 1 7999999 3");
    assert_false(look(once, &value, PAWL_OK).due);
    value = value_of("pawl once 1 6000000 2"); /* it gave its period back */
    info = look(once, &value, PAWL_OK);
    assert_true(info.due && info.outcome == PAWL_ONCE_FAILED);
    static const char *const bad[] = {"pawl once 1 6000000 0", "pawl once 1 6000000 4",
                                      "pawl once 1 6000000", "pawl once 2 6000000 1", ""};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        value = value_of(bad[i]);
        assert_int_equal(look(once, &value, PAWL_ERR_KIND).outcome,
                         PAWL_ONCE_FAILED); /* as before */
        CHECK_ERR(pawl_once_begin(once, PATIENCE_MS), PAWL_ERR_KIND);
    }
    pawl_once_free(once);
    pawl_client_close(client);
}

/* Periods go on before 1970 as they do after it. */
static void a_clock_before_1970_has_periods(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_once *once = once_of(client, 2000, 0);
    pawl_value value = value_of("pawl once 1 -2000000 1");
    value.now_us = -1;
    pawl_once_info info = look(once, &value, PAWL_OK);
    assert_false(info.due);
    assert_int_equal(info.next_us, 0);
    value.now_us = 0;
    assert_true(look(once, &value, PAWL_OK).due);
    value.now_us = -2000001;
    assert_int_equal(look(once, &value, PAWL_OK).next_us, -2000000);
    pawl_once_free(once);
    pawl_client_close(client);
}

/* Whoever has the lock looks again: meanwhile another one may have run. */
static void a_run_looks_again_under_the_lock(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_once *once = once_of(client, 2000, 0);
    pawl_value done = value_of("pawl once 1 6000000 1"), other = value_of("pawl latch 1 5 5");
    const pawl_value *const found[] = {&done, &other};
    for (size_t i = 0; i < sizeof found / sizeof *found; i++) {
        atomic_store(&there, &none);
        atomic_store(&later, found[i]);
        atomic_store(&reads, 0);
        CHECK_ERR(pawl_once_begin(once, PATIENCE_MS), i ? PAWL_ERR_KIND : PAWL_ERR_DONE);
        assert_int_equal(atomic_load(&reads), 2);
        assert_false(pawl_lock_is_held(pawl_once_lock(once)));
        CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_NOT_HELD);
    }
    pawl_once_free(once);
    pawl_client_close(client);
}

/* Why a look failed is told, whichever it was, and nothing stays held. */
static void a_look_that_fails_ends_the_call(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    atomic_store(&there, &none);
    for (int i = 1; i <= 2; i++) {
        pawl_once *once = once_of(client, 2000, 0);
        atomic_store(&reads, 0);
        atomic_store(&fails_at, i);
        CHECK_ERR(pawl_once_begin(once, PATIENCE_MS), PAWL_ERR_PERMISSION);
        assert_int_equal(atomic_load(&reads), i);
        assert_false(pawl_lock_is_held(pawl_once_lock(once)));
        CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_ERR_NOT_HELD);
        CHECK_ERR(pawl_once_begin(once, PATIENCE_MS), PAWL_OK); /* the next one */
        CHECK_ERR(pawl_once_end(once, true, PATIENCE_MS), PAWL_OK);
        pawl_once_free(once);
    }
    pawl_latch *latch = latch_of(client, 5, 0);
    int published = atomic_load(&script->submitted[PAWL_VERB_PUBLISH]);
    for (int i = 0; i < 3; i++) {
        atomic_store(&reads, 0);
        atomic_store(&fails_at, 1);
        CHECK_ERR(i == 0   ? pawl_latch_count_down(latch, 1, PATIENCE_MS)
                  : i == 1 ? pawl_latch_wait(latch, PATIENCE_MS)
                           : pawl_latch_look(latch, PATIENCE_MS),
                  PAWL_ERR_PERMISSION);
        assert_int_equal(pawl_latch_left(latch), 5);
    }
    assert_int_equal(atomic_load(&script->submitted[PAWL_VERB_PUBLISH]), published);
    CHECK_ERR(pawl_latch_count_down(latch, 1, PATIENCE_MS), PAWL_OK); /* the lock was given back */
    pawl_latch_free(latch);
    atomic_store(&reads, 0);
    atomic_store(&fails_at, 1);
    CHECK_ERR(pawl_election_leader(client, "lead", 4, PATIENCE_MS, keep_leader, NULL),
              PAWL_ERR_PERMISSION);
    pawl_client_close(client);
}

static void what_is_known_has_the_callers_size(void **state)
{
    enum { MORE = 8 };
    struct {
        pawl_once_info info;
        unsigned char more[2 * MORE];
    } room;
    (void)state;
    pawl_client *client = client_of_it();
    pawl_once *once = once_of(client, 2000, 0);
    look(once, &none, PAWL_OK);
    memset(&room, 0x5a, sizeof room);
    pawl_once_last_sized(once, &room.info, sizeof room.info + MORE);
    assert_int_equal(room.info.size, sizeof room.info);
    assert_int_equal(room.info.next_us, 8000000);
    assert_int_equal(room.more[MORE - 1], 0);
    assert_int_equal(room.more[MORE], 0x5a);
    memset(&room, 0x5a, sizeof room);
    pawl_once_last_sized(once, &room.info, sizeof(size_t));
    assert_int_equal(room.info.size, sizeof(size_t));
    assert_int_equal(((unsigned char *)&room)[sizeof(size_t)], 0x5a);
    memset(&room, 0x5a, sizeof room);
    pawl_once_last_sized(once, &room.info, sizeof(size_t) - 1);
    pawl_once_last_sized(NULL, &room.info, sizeof room.info);
    pawl_once_last_sized(once, NULL, sizeof room.info);
    for (size_t i = 0; i < sizeof room; i++) assert_int_equal(((unsigned char *)&room)[i], 0x5a);
    pawl_once_free(once);
    pawl_client_close(client);
}

/* ---- Elections ------------------------------------------------------------------------------ */

static void a_leader_publishes(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    pawl_lock *lock = lock_new(client, "lead", 60000);
    CHECK_ERR(pawl_election_proclaim(lock, "v", 1, PATIENCE_MS), PAWL_ERR_NOT_HELD);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, "at 7", 4, PATIENCE_MS), PAWL_OK);
    is_published("pawl leads 1\nat 7", 30 * DAY_MS);
    CHECK_ERR(pawl_election_proclaim(lock, NULL, 0, PATIENCE_MS), PAWL_OK);
    is_published("pawl leads 1\n", 30 * DAY_MS);
    CHECK_ERR(pawl_election_proclaim(lock, NULL, 1, PATIENCE_MS), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_election_proclaim(NULL, "v", 1, PATIENCE_MS), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_election_proclaim(lock, "v", 1, PAWL_WAIT_FOREVER - 1), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_election_resign(lock, PATIENCE_MS), PAWL_OK);
    is_published("pawl leads 0\n", 60000);
    assert_false(pawl_lock_is_held(lock));
    CHECK_ERR(pawl_election_resign(lock, PATIENCE_MS), PAWL_ERR_NOT_HELD);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* What is said counts with the lease under which it was said. */
static void who_leads_and_what_it_says(void **state)
{
    static const struct {
        const char *text;
        bool held;
        uint64_t said_by; /* the holder has 4; 0: nothing was said */
        int err;
        bool leads, speaks;
    } cases[] = {
        {"pawl leads 1\nat 7", true, 4, PAWL_OK, true, true},
        {"pawl leads 1\nat 7", true, 3, PAWL_OK, true, false},
        {"pawl leads 1\nat 7", false, 4, PAWL_OK, false, false},
        {"pawl leads 0\n", true, 4, PAWL_OK, false, false},
        {"pawl leads 0\n", true, 3, PAWL_OK, true, false},
        {"", true, 0, PAWL_OK, true, false},
        {"", false, 0, PAWL_OK, false, false},
        {"pawl leads 1", true, 4, PAWL_ERR_KIND, false, false},
        {"pawl leads 2\nat 7", true, 4, PAWL_ERR_KIND, false, false},
    };
    (void)state;
    pawl_client *client = client_of_it();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        pawl_leader leader = {.leads = !cases[i].leads};
        pawl_value value = value_of(cases[i].text);
        value.fence = cases[i].said_by;
        pawl_info info = {.size = sizeof info,
                          .name = "lead",
                          .name_len = 4,
                          .held = cases[i].held,
                          .owner = "joe",
                          .fence = 4,
                          .remaining_ms = 77};
        atomic_store(&there, &value);
        atomic_store(&holder, &info);
        int err = pawl_election_leader(client, "lead", 4, PATIENCE_MS, keep_leader, &leader);
        if (err != cases[i].err) FAIL_TEST("%zu: %s", i, pawl_err_name(err));
        if (err) continue;
        assert_int_equal(leader.leads, cases[i].leads);
        assert_int_equal(leader.fence, cases[i].leads ? 4 : 0);
        assert_int_equal(leader.remaining_ms, cases[i].leads ? 77 : 0);
        assert_int_equal(leader.value != NULL, cases[i].speaks);
        assert_int_equal(leader.value_len, cases[i].speaks ? 4 : 0);
    }
    pawl_client_close(client);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_count_is_published),
        cmocka_unit_test(a_latch_reads_what_is_one),
        cmocka_unit_test(a_latch_that_went_up_is_broken_once),
        cmocka_unit_test(who_waits_for_a_latch_watches),
        cmocka_unit_test(a_run_is_published),
        cmocka_unit_test(what_is_known_of_a_run),
        cmocka_unit_test(a_clock_before_1970_has_periods),
        cmocka_unit_test(a_run_looks_again_under_the_lock),
        cmocka_unit_test(a_look_that_fails_ends_the_call),
        cmocka_unit_test(what_is_known_has_the_callers_size),
        cmocka_unit_test(a_leader_publishes),
        cmocka_unit_test(who_leads_and_what_it_says),
    };
    CHECK(argc == 2);
    check_cases_run_here();
    scripted_load(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
