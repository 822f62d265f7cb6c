/* SPDX-License-Identifier: MIT */
/*
 * Goal: a question reaches the store as it was asked, and its answer the caller as it was given;
 * all else is an error that says why. Method: a store that writes down what it is asked, and
 * answers as the test says; argv[1] is its directory.
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

#define TOKEN "0123456789abcdef0123456789abcdef00000001"

/* ---- The store ------------------------------------------------------------------------------ */

static struct {
    int count;
    pawl_verb verb;
    char name[PAWL_NAME_MAX + 1], token[PAWL_TOKEN_LEN + 1], owner[PAWL_OWNER_MAX + 1];
    size_t name_len;
    bool is_terminated;
    int64_t ttl_ms;
    uint64_t fence;
} asked; /* written in the loop before the answer, read behind it */

static _Atomic(const pawl_reply *) said; /* NULL: what the fake store says by itself */
static _Atomic(const pawl_info *) row;
static _Atomic(const pawl_finding *) finding;

static bool writes_down(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    asked.count++;
    asked.verb = request->verb;
    asked.name_len = request->name_len;
    asked.is_terminated = request->name[request->name_len] == '\0';
    memcpy(asked.name, request->name, request->name_len);
    asked.name[request->name_len] = '\0';
    snprintf(asked.token, sizeof asked.token, "%s", request->token ? request->token : "");
    snprintf(asked.owner, sizeof asked.owner, "%s", request->owner ? request->owner : "");
    asked.ttl_ms = request->ttl_ms;
    asked.fence = request->fence;
    if (atomic_load(&row)) host->row(host, request->id, atomic_load(&row));
    if (atomic_load(&finding)) host->finding(host, request->id, atomic_load(&finding));
    if (!atomic_load(&said)) return true;
    uint64_t id = reply->id;
    *reply = *atomic_load(&said);
    reply->id = id;
    return true;
}

static pawl_client *client_of_it(void)
{
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.owner = "who asks";
    opts.store_timeout_ms = PATIENCE_MS; /* a busy machine may be late, the answer is not */
    pawl_client *client = scripted_client(&opts);
    memset(&asked, 0, sizeof asked);
    atomic_store(&said, NULL);
    atomic_store(&row, NULL);
    atomic_store(&finding, NULL);
    script->answers = writes_down;
    return client;
}

static bool count_infos(const pawl_info *info, void *userdata)
{
    (void)info;
    ++*(int *)userdata;
    return true;
}

/* Each question about "ab" by its verb; returns its error. */
static int ask(pawl_client *client, pawl_verb verb, int64_t wait_ms)
{
    int count = 0;
    switch (verb) {
    case PAWL_VERB_RENEW:
        return pawl_token_renew(client, "ab!", 2, TOKEN, 1234, wait_ms, NULL);
    case PAWL_VERB_RELEASE:
        return pawl_token_release(client, "ab!", 2, TOKEN, wait_ms);
    case PAWL_VERB_BREAK:
        return pawl_break(client, "ab!", 2, 77, wait_ms);
    case PAWL_VERB_INSPECT:
        return pawl_inspect(client, "ab!", 2, wait_ms, count_infos, &count);
    default:
        return pawl_list(client, "ab!", 2, wait_ms, count_infos, &count);
    }
}

static const pawl_verb verbs[] = {PAWL_VERB_RENEW, PAWL_VERB_RELEASE, PAWL_VERB_BREAK,
                                  PAWL_VERB_INSPECT, PAWL_VERB_LIST};

#define VERBS (sizeof verbs / sizeof *verbs)

/* So that what is not written is not zero by chance. */
__attribute__((noinline)) static void litter_the_stack(void)
{
    volatile char litter[16384];
    for (size_t i = 0; i < sizeof litter; i++) litter[i] = 'x';
}

/* ---- What is asked -------------------------------------------------------------------------- */

static void the_question_is_the_callers(void **state)
{
    (void)state;
    pawl_client *client = client_of_it();
    for (size_t i = 0; i < VERBS; i++) {
        memset(&asked, 0, sizeof asked);
        litter_the_stack();
        CHECK_ERR(ask(client, verbs[i], PATIENCE_MS), PAWL_OK);
        bool has_token = verbs[i] == PAWL_VERB_RENEW || verbs[i] == PAWL_VERB_RELEASE;
        assert_int_equal(asked.count, 1);
        assert_int_equal(asked.verb, verbs[i]);
        assert_int_equal(asked.name_len, 2);
        assert_string_equal(asked.name, "ab");
        assert_true(asked.is_terminated);
        assert_string_equal(asked.token, has_token ? TOKEN : "");
        assert_string_equal(asked.owner, "who asks");
        assert_int_equal(asked.ttl_ms, verbs[i] == PAWL_VERB_RENEW ? 1234 : 0);
        assert_int_equal(asked.fence, verbs[i] == PAWL_VERB_BREAK ? 77 : 0);
    }
    litter_the_stack();
    int count = 0;
    CHECK_ERR(pawl_list(client, NULL, 0, PATIENCE_MS, count_infos, &count), PAWL_OK);
    assert_int_equal(asked.name_len, 0);
    assert_true(asked.is_terminated);
    pawl_client_close(client);
}

/* The longest name and the longest spans are good, what is longer is refused and not asked. */
static void questions_have_bounds(void **state)
{
    (void)state;
    char name[PAWL_NAME_MAX + 1];
    memset(name, 'n', sizeof name);
    int count = 0;
    pawl_client *client = client_of_it();
    CHECK_ERR(pawl_inspect(client, name, PAWL_NAME_MAX, PATIENCE_MS, count_infos, &count), PAWL_OK);
    assert_int_equal(asked.name_len, PAWL_NAME_MAX);
    CHECK_ERR(pawl_list(client, name, PAWL_NAME_MAX, PATIENCE_MS, count_infos, &count), PAWL_OK);
    assert_int_equal(asked.name_len, PAWL_NAME_MAX);
    static const int64_t good[] = {PAWL_TTL_MIN_MS, PAWL_TTL_MAX_MS};
    for (size_t i = 0; i < 2; i++) {
        CHECK_ERR(pawl_token_renew(client, "a", 1, TOKEN, good[i], PATIENCE_MS, NULL), PAWL_OK);
        assert_int_equal(asked.ttl_ms, good[i]);
    }
    asked.count = 0;
    CHECK_ERR(pawl_token_renew(client, "a", 1, TOKEN, PAWL_TTL_MIN_MS - 1, 1, NULL), PAWL_ERR_TTL);
    CHECK_ERR(pawl_token_renew(client, "a", 1, TOKEN, PAWL_TTL_MAX_MS + 1, 1, NULL), PAWL_ERR_TTL);
    CHECK_ERR(pawl_list(client, name, sizeof name, 1, count_infos, &count), PAWL_ERR_NAME);
    CHECK_ERR(pawl_list(client, "a\0b", 3, 1, count_infos, &count), PAWL_ERR_NAME);
    CHECK_ERR(pawl_inspect(client, name, sizeof name, 1, count_infos, &count), PAWL_ERR_NAME);
    for (size_t i = 0; i < VERBS; i++)
        CHECK_ERR(ask(client, verbs[i], PAWL_WAIT_FOREVER - 1), PAWL_ERR_ARGUMENT);
    assert_int_equal(asked.count, 0);
    CHECK_ERR(ask(client, PAWL_VERB_INSPECT, PAWL_WAIT_FOREVER), PAWL_OK);
    pawl_client_close(client);
}

static void caps_have_the_callers_size(void **state)
{
    enum { FIRST = offsetof(pawl_caps, modes) + sizeof(unsigned), SANE = 4096 };
    static union {
        pawl_caps caps;
        unsigned char bytes[SANE + 1];
    } room;
    (void)state;
    pawl_client *client = client_of_it();
    memset(&room, 0x5a, sizeof room);
    CHECK_ERR(pawl_client_caps_sized(client, PATIENCE_MS, &room.caps, FIRST), PAWL_OK);
    assert_int_equal(room.caps.size, FIRST);
    assert_true(room.caps.modes & 1u << PAWL_MODE_PERMIT);
    for (size_t i = FIRST; i < sizeof room.bytes; i++) assert_int_equal(room.bytes[i], 0x5a);
    CHECK_ERR(pawl_client_caps_sized(client, PATIENCE_MS, &room.caps, SANE), PAWL_OK);
    assert_int_equal(room.caps.size, sizeof(pawl_caps));
    assert_true(room.caps.values);
    assert_int_equal(room.bytes[SANE - 1], 0);
    assert_int_equal(room.bytes[SANE], 0x5a);
    CHECK_ERR(pawl_client_caps_sized(client, 1, &room.caps, SANE + 1), PAWL_ERR_ARGUMENT);
    CHECK_ERR(pawl_client_caps_sized(client, 1, &room.caps, FIRST - 1), PAWL_ERR_ARGUMENT);
    pawl_client_close(client);
}

/* ---- What is answered ----------------------------------------------------------------------- */

/* What the caller hears of each outcome that is no failure. */
static int wanted(pawl_verb verb, pawl_outcome outcome)
{
    bool is_report = verb == PAWL_VERB_INSPECT || verb == PAWL_VERB_LIST;
    if (is_report) return outcome == PAWL_REPORTED ? PAWL_OK : PAWL_ERR_PROTOCOL;
    if (outcome == (verb == PAWL_VERB_RENEW ? PAWL_CONFIRMED : PAWL_RELEASED)) return PAWL_OK;
    bool is_refusal =
        outcome == PAWL_NOT_OWNER || (verb == PAWL_VERB_RELEASE && outcome == PAWL_LEFT);
    if (!is_refusal) return PAWL_ERR_PROTOCOL;
    return verb == PAWL_VERB_BREAK ? PAWL_ERR_NOT_HELD : PAWL_ERR_LOST;
}

static void each_outcome_means_one_thing(void **state)
{
    (void)state;
    char message[PAWL_MESSAGE_MAX];
    pawl_client *client = client_of_it();
    for (size_t i = 0; i < VERBS; i++) {
        for (int outcome = PAWL_GRANTED; outcome < PAWL_FAILED; outcome++) {
            pawl_reply reply = {.outcome = (pawl_outcome)outcome, .fence = 9};
            atomic_store(&said, &reply);
            int err = ask(client, verbs[i], PATIENCE_MS);
            if (err != wanted(verbs[i], (pawl_outcome)outcome))
                FAIL_TEST("verb %d, outcome %d: %s", verbs[i], outcome, pawl_err_name(err));
            pawl_client_message(client, message);
            if (err == PAWL_ERR_LOST)
                assert_string_equal(message, "the token does not hold the lock");
            if (err == PAWL_ERR_NOT_HELD)
                assert_string_equal(message, "the lock is free, or its fence is another one");
            if (err == PAWL_ERR_PROTOCOL)
                assert_string_equal(message, pawl_err_text(PAWL_ERR_PROTOCOL));
        }
    }
    pawl_client_close(client);
}

static void a_failure_is_told_in_the_stores_words(void **state)
{
    (void)state;
    char message[PAWL_MESSAGE_MAX];
    pawl_client *client = client_of_it();
    pawl_reply failed = {.outcome = PAWL_FAILED, .err = PAWL_ERR_STORE_FULL, .message = "no\nroom"};
    pawl_reply lost = {.outcome = PAWL_UNKNOWN, .err = PAWL_ERR_STORE_FULL};
    for (size_t i = 0; i < VERBS; i++) {
        atomic_store(&said, &failed);
        CHECK_ERR(ask(client, verbs[i], PATIENCE_MS), PAWL_ERR_STORE_FULL);
        pawl_client_message(client, message);
        assert_string_equal(message, "no?room");
        pawl_client_reason(client, PAWL_ERR_STORE_FULL, message);
        assert_string_equal(message, "no?room, at fake:scripted");
        atomic_store(&said, &lost); /* it may have been done */
        CHECK_ERR(ask(client, verbs[i], PATIENCE_MS), PAWL_ERR_UNKNOWN);
        pawl_client_message(client, message);
        assert_string_equal(message, pawl_err_text(PAWL_ERR_UNKNOWN));
    }
    pawl_client_close(client);
}

static void a_renewal_has_the_stores_fence(void **state)
{
    (void)state;
    uint64_t fence = 1;
    pawl_client *client = client_of_it();
    pawl_reply good = {.outcome = PAWL_CONFIRMED, .fence = 4711};
    pawl_reply bad = {.outcome = PAWL_NOT_OWNER, .fence = 4712};
    atomic_store(&said, &good);
    CHECK_ERR(pawl_token_renew(client, "a", 1, TOKEN, 1000, PATIENCE_MS, &fence), PAWL_OK);
    assert_int_equal(fence, 4711);
    atomic_store(&said, &bad);
    CHECK_ERR(pawl_token_renew(client, "a", 1, TOKEN, 1000, PATIENCE_MS, &fence), PAWL_ERR_LOST);
    assert_int_equal(fence, 4711);
    pawl_client_close(client);
}

/* It holds if the store says that it is held, and by that token. */
static void a_check_needs_the_token(void **state)
{
    (void)state;
    int64_t left = -7;
    pawl_info info = {.size = sizeof info, .name = "a", .name_len = 1, .remaining_ms = 40};
    pawl_client *client = client_of_it();
    CHECK_ERR(pawl_token_check(client, "a", 1, TOKEN, PATIENCE_MS, &left), PAWL_ERR_LOST);
    atomic_store(&row, &info);
    for (int i = 0; i < 4; i++) {
        info.held = i & 1;
        info.mine = i & 2;
        CHECK_ERR(pawl_token_check(client, "a", 1, TOKEN, PATIENCE_MS, &left),
                  i == 3 ? PAWL_OK : PAWL_ERR_LOST);
        assert_string_equal(asked.token, TOKEN);
        assert_int_equal(asked.verb, PAWL_VERB_INSPECT);
        assert_int_equal(left, i == 3 ? 40 : -7);
    }
    CHECK_ERR(pawl_token_check(client, "a", 1, TOKEN, PATIENCE_MS, NULL), PAWL_OK);
    pawl_client_close(client);
}

/* ---- Reports -------------------------------------------------------------------------------- */

static void look_at_it(const pawl_info *info)
{
    assert_int_equal(info->size, sizeof *info);
    assert_int_equal(info->name_len, 3);
    assert_string_equal(info->name, "a b");
    assert_string_equal(info->owner, "joe");
    assert_int_equal(info->waiters_shown, 2);
    assert_string_equal(info->waiters[0].owner, "");
    assert_string_equal(info->waiters[1].owner, "w2");
    assert_int_equal(info->waiters[1].age_ms, 22);
    assert_int_equal(info->holders_shown, 2);
    assert_string_equal(info->holders[0].owner, "h1");
    assert_string_equal(info->holders[1].owner, "");
    assert_int_equal(info->holders[1].fence, 12);
    assert_int_equal(info->holder_count, 3);
    assert_string_equal(info->broken_by, "ann");
    assert_int_equal(info->broken_fence, 5);
}

static bool see_whole(const pawl_info *info, void *userdata)
{
    look_at_it(info);
    ++*(int *)userdata;
    return true;
}

/* The store's strings are gone when the caller reads them. */
static void a_report_is_copied_whole(void **state)
{
    (void)state;
    int seen = 0;
    char name[] = "a b", owner[] = "joe", waiter[] = "w2", holder[] = "h1", breaker[] = "ann";
    pawl_waiter_info waiters[] = {{.age_ms = 11}, {.owner = waiter, .age_ms = 22}};
    pawl_holder_info holders[] = {{.owner = holder, .fence = 11}, {.fence = 12}};
    pawl_info info = {.size = sizeof info,
                      .name = name,
                      .name_len = 3,
                      .held = true,
                      .owner = owner,
                      .waiters = waiters,
                      .waiter_count = 2,
                      .waiters_shown = 2,
                      .holders = holders,
                      .holder_count = 3,
                      .holders_shown = 2,
                      .broken_by = breaker,
                      .broken_fence = 5};
    pawl_client *client = client_of_it();
    atomic_store(&row, &info);
    CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, see_whole, &seen), PAWL_OK);
    assert_int_equal(seen, 1);
    pawl_client_close(client);
}

static bool see_one_holder(const pawl_info *info, void *userdata)
{
    assert_int_equal(info->holder_count, 1);
    assert_int_equal(info->holders_shown, 1);
    assert_string_equal(info->holders[0].owner, "joe");
    assert_int_equal(info->holders[0].remaining_ms, 40);
    assert_int_equal(info->holders[0].fence, 6);
    assert_int_equal(info->holders[0].mode, PAWL_MODE_UPDATE);
    assert_true(info->holders[0].mine);
    assert_null(info->broken_by);
    ++*(int *)userdata;
    return true;
}

static bool see_nothing(const pawl_info *info, void *userdata)
{
    assert_string_equal(info->name, "");
    assert_string_equal(info->owner, "");
    assert_int_equal(info->name_len, 0);
    assert_int_equal(info->waiters_shown, 0);
    assert_int_equal(info->holders_shown, 0);
    assert_int_equal(info->fence, 3);
    assert_null(info->broken_by); /* behind what that store knows */
    ++*(int *)userdata;
    return true;
}

static void a_report_is_completed(void **state)
{
    (void)state;
    int seen = 0;
    pawl_client *client = client_of_it();
    pawl_info one = {.size = sizeof one,
                     .name = "a",
                     .name_len = 1,
                     .held = true,
                     .owner = "joe",
                     .remaining_ms = 40,
                     .fence = 6,
                     .mode = PAWL_MODE_UPDATE,
                     .mine = true};
    atomic_store(&row, &one);
    CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, see_one_holder, &seen), PAWL_OK);
    /* A store for an older pawl, and one that counts what it does not give. */
    pawl_info bad = {.size = offsetof(pawl_info, broken_by),
                     .name_len = 5,
                     .fence = 3,
                     .waiters_shown = 4,
                     .holders_shown = 4,
                     .broken_by = "nobody"};
    atomic_store(&row, &bad);
    CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, see_nothing, &seen), PAWL_OK);
    assert_int_equal(seen, 2);
    pawl_client_close(client);
}

static void see_finding(const pawl_finding *told, void *userdata)
{
    assert_int_equal(told->size, sizeof *told);
    assert_int_equal(told->severity, PAWL_SEVERITY_WARNING);
    assert_string_equal(told->topic, "top?ic");
    assert_string_equal(told->text, "te?xt");
    assert_string_equal(told->advice, *(int *)userdata ? "" : "ad?vice");
    ++*(int *)userdata;
}

static void a_finding_is_one_line(void **state)
{
    (void)state;
    int seen = 0;
    pawl_client *client = client_of_it();
    pawl_reply reported = {.outcome = PAWL_REPORTED};
    pawl_finding told = {.size = sizeof told,
                         .severity = PAWL_SEVERITY_WARNING,
                         .topic = "top\nic",
                         .text = "te\nxt",
                         .advice = "ad\nvice"};
    atomic_store(&said, &reported);
    atomic_store(&finding, &told);
    CHECK_ERR(pawl_doctor(client, PATIENCE_MS, see_finding, &seen), PAWL_OK);
    assert_int_equal(asked.verb, PAWL_VERB_DOCTOR);
    assert_true(asked.is_terminated && asked.name_len == 0);
    told.advice = NULL;
    CHECK_ERR(pawl_doctor(client, PATIENCE_MS, see_finding, &seen), PAWL_OK);
    assert_int_equal(seen, 2);
    pawl_reply other = {.outcome = PAWL_CONFIRMED};
    atomic_store(&said, &other);
    CHECK_ERR(pawl_doctor(client, PATIENCE_MS, see_finding, &seen), PAWL_ERR_PROTOCOL);
    assert_int_equal(seen, 2);
    pawl_client_close(client);
}

/* ---- How long a question waits -------------------------------------------------------------- */

static _Atomic uint64_t unanswered; /* id of a request that is answered later */
static _Atomic int64_t answer_at_ms;

static bool is_kept(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    (void)host;
    (void)reply;
    atomic_store(&answer_at_ms, stage_now_ms() + 300);
    atomic_store(&unanswered, request->id);
    return false;
}

static void answers_later(pawl_host *host)
{
    uint64_t id = atomic_load(&unanswered);
    if (!id || stage_now_ms() < atomic_load(&answer_at_ms)) return;
    atomic_store(&unanswered, 0);
    pawl_reply reply = {.id = id, .outcome = PAWL_REPORTED};
    host->reply(host, &reply);
}

/* Who does not wait for others waits for the answer, as long as answers take. */
static void a_question_has_the_usual_time_for_its_answer(void **state)
{
    (void)state;
    int count = 0;
    pawl_client *client = client_of_it();
    script->answers = is_kept;
    script->ticks = answers_later;
    CHECK_ERR(pawl_inspect(client, "a", 1, 0, count_infos, &count), PAWL_OK);
    CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, count_infos, &count), PAWL_OK);
    script->ticks = NULL;
    script->answers = NULL;
    pawl_client_close(client);
}

static void is_down(pawl_host *host)
{
    host->link(host, false, PAWL_ERR_UNAVAILABLE, "down");
}

static pawl_client *client_without_link(int64_t store_timeout_ms)
{
    record log;
    record_init(&log);
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.store_timeout_ms = store_timeout_ms;
    opts.log = record_log;
    opts.log_userdata = &log;
    pawl_client *client = scripted_client(&opts);
    script->ticks = is_down;
    record_await_line(&log, "down");
    return client;
}

/* Asks; returns how long that took. */
static int64_t wait_of(pawl_client *client, int64_t wait_ms)
{
    int count = 0;
    int64_t since = stage_now_ms();
    CHECK_ERR(pawl_inspect(client, "a", 1, wait_ms, count_infos, &count), PAWL_ERR_UNAVAILABLE);
    return stage_now_ms() - since;
}

/* Only too short a wait fails here; one without an end ends with the patience of who runs tests. */
static void a_store_that_is_away_is_waited_for_as_long_as_was_said(void **state)
{
    enum { A_DAY_MS = 86400000 };
    (void)state;
    pawl_caps caps;
    pawl_client *client = client_without_link(A_DAY_MS);
    wait_of(client, 0); /* one attempt to connect */
    assert_true(wait_of(client, 100) >= 99);
    pawl_client_close(client);
    client = client_without_link(PAWL_WAIT_FOREVER);
    assert_true(wait_of(client, 100) >= 99);
    pawl_client_close(client);
    client = client_without_link(100);
    assert_true(wait_of(client, PAWL_WAIT_FOREVER) >= 99);
    assert_true(wait_of(client, A_DAY_MS) >= 99);
    pawl_client_close(client);
    script->ticks = NULL;
    /* What the store can do is known when it is there: that the caller awaits as long as it says.
     */
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.store_timeout_ms = 50;
    CHECK_ERR(pawl_client_open("fake:silent", &opts, &client, NULL), PAWL_OK);
    int64_t since = stage_now_ms();
    CHECK_ERR(pawl_client_caps(client, 300, &caps), PAWL_ERR_UNAVAILABLE);
    assert_true(stage_now_ms() - since >= 299);
    pawl_client_close(client);
}

/* A store that keeps no values is asked for none; all else it is asked. */
static void values_are_asked_of_who_keeps_them(void **state)
{
    (void)state;
    int count = 0;
    pawl_client *client = NULL;
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.store_timeout_ms = PATIENCE_MS;
    CHECK_ERR(pawl_client_open("fake:valueless", &opts, &client, NULL), PAWL_OK);
    CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, count_infos, &count), PAWL_OK);
    pawl_lock *lock = lock_new(client, "a", 60000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_election_proclaim(lock, "v", 1, PATIENCE_MS), PAWL_ERR_UNSUPPORTED);
    assert_true(pawl_lock_is_held(lock));
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(client, PAWL_ERR_UNSUPPORTED, reason);
    assert_non_null(strstr(reason, "this store keeps no value beside a lock"));
    pawl_latch_opts of_latch;
    pawl_latch *latch;
    pawl_latch_opts_init(&of_latch);
    of_latch.count = 1;
    CHECK_ERR(pawl_latch_new(client, "b", 1, &of_latch, &latch), PAWL_OK);
    CHECK_ERR(pawl_latch_look(latch, PATIENCE_MS), PAWL_ERR_UNSUPPORTED);
    pawl_latch_free(latch);
    pawl_lock_free(lock);
    pawl_client_close(client);
}

/* ---- What is news of the link --------------------------------------------------------------- */

static _Atomic int link_err; /* 0: up; -1000: says nothing */

static void link_is(pawl_host *host)
{
    int err = atomic_exchange(&link_err, -1000);
    if (err != -1000) host->link(host, !err, (pawl_err)err, err ? pawl_err_name(err) : NULL);
}

static void say_link(int err)
{
    atomic_store(&link_err, err);
    while (atomic_load(&link_err) != -1000) stage_pass(1);
}

/* The log has a line for each change, and none for what it has said before. */
static void a_link_is_news_when_it_changes(void **state)
{
    static const int states[] = {
        PAWL_ERR_UNAVAILABLE, PAWL_ERR_UNAVAILABLE, PAWL_ERR_AUTH, PAWL_ERR_AUTH, PAWL_OK, PAWL_OK,
        PAWL_ERR_AUTH,        PAWL_ERR_LOADING};
    static const char *const lines[] = {"connected to the store", "PAWL_ERR_UNAVAILABLE",
                                        "PAWL_ERR_AUTH",          "connected to the store",
                                        "PAWL_ERR_AUTH",          "PAWL_ERR_LOADING"};
    (void)state;
    record log;
    record_init(&log);
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.log = record_log;
    opts.log_userdata = &log;
    atomic_store(&link_err, -1000);
    pawl_client *client = scripted_client(&opts);
    script->ticks = link_is;
    record_await_line(&log, lines[0]);
    for (size_t i = 0; i < sizeof states / sizeof *states; i++) say_link(states[i]);
    pawl_client_close(client); /* what was to be told has been told when it returns */
    script->ticks = NULL;
    assert_int_equal(log.line_count, sizeof lines / sizeof *lines);
    for (int i = 0; i < log.line_count; i++) assert_string_equal(log.lines[i], lines[i]);
}

/* A store that says that it is down, and not why, breaks its contract. */
static void a_link_that_is_down_has_an_error(void **state)
{
    static const int nonsense[] = {1, -999};
    (void)state;
    int count = 0;
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.store_timeout_ms = PATIENCE_MS;
    for (size_t i = 0; i < sizeof nonsense / sizeof *nonsense; i++) {
        atomic_store(&link_err, -1000);
        pawl_client *client = scripted_client(&opts);
        script->ticks = link_is;
        CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, count_infos, &count), PAWL_OK);
        say_link(nonsense[i]);
        CHECK_ERR(pawl_inspect(client, "a", 1, PATIENCE_MS, count_infos, &count),
                  PAWL_ERR_PROTOCOL);
        pawl_client_close(client);
        script->ticks = NULL;
    }
}

/* ---- Where the reason lies ------------------------------------------------------------------ */

static _Atomic(const char *) gone;

static void is_gone(pawl_host *host)
{
    const char *why = atomic_exchange(&gone, NULL);
    if (why) host->link(host, false, PAWL_ERR_UNAVAILABLE, why);
}

static void expect_reason(const char *url, const char *why, const char *wanted)
{
    record log;
    record_init(&log);
    pawl_open_opts opts;
    scripted_opts(&opts);
    opts.log = record_log;
    opts.log_userdata = &log;
    pawl_client *client = NULL;
    char reason[PAWL_MESSAGE_MAX];
    CHECK_ERR(pawl_client_open(url, &opts, &client, NULL), PAWL_OK);
    atomic_store(&gone, why);
    script->ticks = is_gone;
    record_await_line(&log, why);
    pawl_client_reason(client, PAWL_ERR_UNAVAILABLE, reason);
    assert_string_equal(reason, wanted);
    pawl_client_close(client);
    script->ticks = NULL;
}

static void a_reason_says_where_once(void **state)
{
    (void)state;
    expect_reason("fake:scripted", "it is gone", "it is gone, at fake:scripted");
    expect_reason("fake:scripted", "scripted is gone", "scripted is gone");
    expect_reason("fake://h:7/scripted", "h:7 is gone", "h:7 is gone, at fake://h:7/scripted");
    expect_reason("fake://h:7/scripted?colour=red", "no h:7/scripted", "no h:7/scripted");
    expect_reason("fake://joe:pw@h:7/scripted?colour=red", "no h:7/scripted", "no h:7/scripted");
    expect_reason("fake://joe:pw@h:7/scripted?colour=red", "it is gone",
                  "it is gone, at fake://joe:***@h:7/scripted?colour=red");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_question_is_the_callers),
        cmocka_unit_test(questions_have_bounds),
        cmocka_unit_test(caps_have_the_callers_size),
        cmocka_unit_test(each_outcome_means_one_thing),
        cmocka_unit_test(a_failure_is_told_in_the_stores_words),
        cmocka_unit_test(a_renewal_has_the_stores_fence),
        cmocka_unit_test(a_check_needs_the_token),
        cmocka_unit_test(a_report_is_copied_whole),
        cmocka_unit_test(a_report_is_completed),
        cmocka_unit_test(a_finding_is_one_line),
        cmocka_unit_test(a_question_has_the_usual_time_for_its_answer),
        cmocka_unit_test(a_store_that_is_away_is_waited_for_as_long_as_was_said),
        cmocka_unit_test(values_are_asked_of_who_keeps_them),
        cmocka_unit_test(a_link_is_news_when_it_changes),
        cmocka_unit_test(a_link_that_is_down_has_an_error),
        cmocka_unit_test(a_reason_says_where_once),
    };
    CHECK(argc == 2);
    check_cases_run_here();
    scripted_load(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
