/* SPDX-License-Identifier: MIT */
/*
 * The memory model on invented time: against an oracle in random walks, and in
 * what a real clock does not show (clocks that go back, garbage).
 */
#define _GNU_SOURCE
#include "base/random.h"
#include "oracle.h"
#include "stores/memory/memory_model.h"

#include <inttypes.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#define MS INT64_C(1000000)

typedef struct table {
    pawl__memory *memory;
    pawl__memory_time time;
    int granted_token; /* by the latest operation's push; -1: none */
    uint64_t granted_fence;
    int rows;
    int64_t broken_ms; /* in the latest row; -1: it names nobody */
} table;

/* ---- A hand on the model ---------------------------------------------------------------- */

static const char *token_text(int token)
{
    static char text[PAWL_TOKEN_LEN + 1];
    snprintf(text, sizeof(text), "%040d", token);
    return text;
}

static void on_push(void *ctx, void *client, const pawl_push *push)
{
    table *t = ctx;
    assert_non_null(client);
    if (push->kind != PAWL_PUSH_GRANT) return;
    t->granted_token = (int)strtol(push->token, NULL, 10);
    t->granted_fence = push->fence;
}

static void on_row(void *ctx, const pawl_info *info)
{
    table *t = ctx;
    t->rows++;
    t->broken_ms = info->broken_by ? info->broken_ms : -1;
}

static pawl_reply apply(table *t, pawl_request request, const char *name, int token)
{
    pawl__memory_out out = {.ctx = t, .push = on_push, .row = on_row};
    pawl_reply reply;
    request.name = name;
    request.name_len = strlen(name);
    request.token = token >= 0 ? token_text(token) : NULL;
    request.owner = "owner";
    t->granted_token = -1;
    t->rows = 0;
    pawl__memory_apply(t->memory, &t->time, t, &request, &out, &reply);
    return reply;
}

static pawl_reply acquire(table *t, const char *name, int token, int64_t ttl_ms, unsigned flags)
{
    return apply(t, (pawl_request){.verb = PAWL_VERB_ACQUIRE, .ttl_ms = ttl_ms, .flags = flags},
                 name, token);
}

static pawl_reply release(table *t, const char *name, int token)
{
    return apply(t, (pawl_request){.verb = PAWL_VERB_RELEASE}, name, token);
}

static int begin(void **state)
{
    table *t = calloc(1, sizeof(*t));
    t->memory = pawl__memory_new(7, 0);
    t->time = (pawl__memory_time){.now = 1000 * MS, .wall_us = 1700000000000000};
    *state = t;
    return t->memory ? 0 : -1;
}

static int end(void **state)
{
    table *t = *state;
    pawl__memory_free(t->memory);
    free(t);
    return 0;
}

/* ---- Against the oracle --------------------------------------------------------------------- */

static void same(uint64_t seed, int step, const pawl_reply *reply, const table *t,
                 const oracle_answer *wanted)
{
    bool ok = reply->outcome == wanted->outcome && t->granted_token == wanted->granted_token;
    if (wanted->outcome == PAWL_GRANTED || wanted->outcome == PAWL_CONFIRMED)
        ok = ok && reply->fence == wanted->fence && reply->waiting == wanted->waiting;
    if (wanted->outcome == PAWL_QUEUED) ok = ok && reply->position == wanted->position;
    if (!ok)
        fail_msg("seed %" PRIu64 " step %d: outcome %d fence %" PRIu64 " position %" PRId64
                 " handed to %d; the oracle says %d, %" PRIu64 ", %" PRId64 ", %d",
                 seed, step, (int)reply->outcome, reply->fence, reply->position, t->granted_token,
                 (int)wanted->outcome, wanted->fence, wanted->position, wanted->granted_token);
}

static void walk(table *t, uint64_t seed, const char *name)
{
    enum { STEPS = 400, TOKENS = 6 };
    static const int64_t ttls[] = {10, 30, 60, 1000};
    uint64_t random = seed;
    oracle o = {0};
    o.fence = pawl__memory_last_fence(t->memory);
    for (int step = 0; step < STEPS; step++) {
        uint64_t r = pawl__random_next(&random);
        int token = (int)(r % TOKENS);
        int64_t ttl_ms = ttls[r >> 8 & 3];
        bool queue = r >> 16 & 3;
        oracle_answer wanted;
        pawl_reply reply;
        t->time.now += (int64_t)(r >> 24 & 15) * MS;
        t->time.wall_us += r >> 28 & 1;
        if ((r >> 32) % 50 == 0) t->time.wall_us -= 100; /* somebody sets the clock */
        int64_t now = t->time.now;
        uint64_t wall = t->time.wall_us;
        switch (r >> 40 & 7) {
        case 0:
        case 1:
        case 2:
        case 3:
            reply = acquire(t, name, token, ttl_ms, queue ? PAWL_ASK_QUEUE : 0);
            wanted = oracle_acquire(&o, now, wall, token, ttl_ms, queue);
            break;
        case 4:
            reply =
                apply(t, (pawl_request){.verb = PAWL_VERB_RENEW, .ttl_ms = ttl_ms}, name, token);
            wanted = oracle_renew(&o, now, wall, token, ttl_ms);
            break;
        case 5:
        case 6:
            reply = release(t, name, token);
            wanted = oracle_release(&o, now, wall, token);
            break;
        default: {
            uint64_t fence = o.fence - (r >> 48 & 1);
            reply = apply(t, (pawl_request){.verb = PAWL_VERB_BREAK, .fence = fence}, name, -1);
            wanted = oracle_break(&o, now, wall, fence);
        }
        }
        same(seed, step, &reply, t, &wanted);
    }
}

static void the_model_agrees_with_the_oracle(void **state)
{
    for (uint64_t seed = 1; seed <= 2000; seed++) {
        table *t = *state;
        walk(t, seed, "x");
        end(state);
        assert_int_equal(begin(state), 0);
    }
}

/* ---- What a real clock does not show ---------------------------------------------- */

static void fences_grow_when_the_wall_clock_goes_back(void **state)
{
    table *t = *state;
    uint64_t last = 0;
    for (int i = 0; i < 100; i++) {
        pawl_reply reply = acquire(t, "x", i, 1000, 0);
        assert_int_equal(reply.outcome, PAWL_GRANTED);
        assert_true(reply.fence > last);
        last = reply.fence;
        release(t, "x", i); /* the record goes, its fence must not be forgotten */
        assert_int_equal(pawl__memory_count(t->memory), 0);
        t->time.wall_us -= 1000000;
    }
}

static void a_successor_starts_above_the_floor(void **state)
{
    table *t = *state;
    uint64_t fence = acquire(t, "x", 1, 1000, 0).fence;
    assert_int_equal(pawl__memory_last_fence(t->memory), fence);
    pawl__memory_free(t->memory);
    t->memory = pawl__memory_new(7, fence);
    t->time.wall_us -= 1000000;
    assert_true(acquire(t, "x", 2, 1000, 0).fence > fence);
}

/* As in the other stores: after the last fence there is an error, and no grant. */
static void fences_end_at_2_53(void **state)
{
    table *t = *state;
    const uint64_t last = UINT64_C(1) << 53;
    pawl__memory_free(t->memory);
    t->memory = pawl__memory_new(7, last - 1);
    assert_true(acquire(t, "x", 1, 1000, 0).fence == last);
    assert_int_equal(acquire(t, "x", 2, 1000, PAWL_ASK_QUEUE).outcome, PAWL_QUEUED);
    assert_int_equal(release(t, "x", 1).outcome, PAWL_RELEASED);
    assert_int_equal(t->granted_token, -1);    /* nothing is handed on */
    for (int token = 2; token <= 3; token++) { /* who waits, and who comes */
        pawl_reply reply = acquire(t, "x", token, 1000, PAWL_ASK_QUEUE);
        assert_int_equal(reply.outcome, PAWL_FAILED);
        assert_int_equal(reply.err, PAWL_ERR_CORRUPT);
    }
    assert_int_equal(acquire(t, "x", 2, 1000, 0).outcome, PAWL_BUSY); /* it leaves the queue */
    assert_int_equal(acquire(t, "y", 4, 1000, 0).err, PAWL_ERR_CORRUPT);
    assert_int_equal(pawl__memory_count(t->memory), 0);
    assert_true(pawl__memory_last_fence(t->memory) == last);
}

static void an_older_now_is_taken_as_the_latest(void **state)
{
    table *t = *state;
    assert_int_equal(acquire(t, "x", 1, 100, 0).outcome, PAWL_GRANTED);
    t->time.now += 101 * MS;
    assert_int_equal(acquire(t, "y", 1, 100, 0).outcome, PAWL_GRANTED);
    t->time.now -= 100 * MS; /* another client read its clock a little earlier */
    assert_int_equal(acquire(t, "x", 2, 100, 0).outcome, PAWL_GRANTED);
}

static void what_nobody_asks_for_again_is_collected(void **state)
{
    table *t = *state;
    char name[32];
    for (int i = 0; i < 10000; i++) {
        snprintf(name, sizeof(name), "crashed %d", i);
        acquire(t, name, i, 10, 0);
        t->time.now += MS;
    }
    assert_true(pawl__memory_count(t->memory) < 100);
}

static void each_acquisition_looks_at_two_old_records(void **state)
{
    table *t = *state;
    char name[32];
    for (int i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "crashed %d", i);
        acquire(t, name, i, 10, 0);
    }
    t->time.now += 11 * MS;
    for (size_t left = 9; left >= 7; left--) { /* two go, one comes */
        snprintf(name, sizeof(name), "new %zu", left);
        acquire(t, name, (int)left, 1000, 0);
        assert_int_equal(pawl__memory_count(t->memory), left);
    }
}

static int64_t broken_ms(table *t)
{
    apply(t, (pawl_request){.verb = PAWL_VERB_INSPECT}, "x", -1);
    assert_int_equal(t->rows, 1);
    return t->broken_ms;
}

static void break_it(table *t, uint64_t fence)
{
    pawl_reply reply = apply(t, (pawl_request){.verb = PAWL_VERB_BREAK, .fence = fence}, "x", -1);
    assert_int_equal(reply.outcome, PAWL_RELEASED);
}

/* As long as the lease would have lived, at least a minute; and nobody counts it as a lock. */
static void a_note_of_a_break_ends_by_itself(void **state)
{
    table *t = *state;
    break_it(t, acquire(t, "x", 1, 1000, 0).fence);
    assert_int_equal(pawl__memory_count(t->memory), 0);
    t->time.now += (PAWL_BROKEN_KEEP_MS - 1) * MS;
    assert_int_equal(broken_ms(t), PAWL_BROKEN_KEEP_MS - 1);
    t->time.now += MS;
    assert_int_equal(broken_ms(t), -1);
    break_it(t, acquire(t, "x", 2, 3 * PAWL_BROKEN_KEEP_MS, 0).fence);
    t->time.now += (3 * PAWL_BROKEN_KEEP_MS - 1) * MS;
    assert_int_equal(broken_ms(t), 3 * PAWL_BROKEN_KEEP_MS - 1);
    assert_int_equal(acquire(t, "x", 3, 1000, 0).outcome, PAWL_GRANTED);
    t->time.now += MS;
    assert_int_equal(broken_ms(t), -1);
}

/* Of everything that a model may know when it ends, and of what ended before. */
static void live_and_end(void)
{
    table t = {.memory = pawl__memory_new(42, 0), .time = {.now = MS, .wall_us = 1}};
    char name[32];
    for (int i = 0; i < 100; i++) {
        snprintf(name, sizeof(name), "name %d", i);
        acquire(&t, name, 1, 50, 0);
        acquire(&t, name, 2, 1000, PAWL_ASK_QUEUE);
        acquire(&t, name, 3, 1000, PAWL_ASK_QUEUE);
        if (i % 3 == 0) release(&t, name, 2);
        if (i % 4 == 0) release(&t, name, 1);
        t.time.now += MS;
    }
    pawl__memory_free(t.memory);
}

/* A sanitizer's malloc counts nothing here; it finds what leaks by itself. */
static void a_model_leaves_no_memory_behind(void **state)
{
    (void)state;
    for (int i = 0; i < 20; i++) live_and_end(); /* what malloc keeps at hand counts as used */
    size_t before = mallinfo2().uordblks;
    live_and_end();
    assert_int_equal(mallinfo2().uordblks, before);
}

static void a_mode_that_does_not_exist_is_refused(void **state)
{
    table *t = *state;
    pawl_request request = {
        .verb = PAWL_VERB_ACQUIRE, .mode = (pawl_mode)(PAWL_MODE_PERMIT + 1), .ttl_ms = 1000};
    pawl_reply reply = apply(t, request, "x", 1);
    assert_int_equal(reply.outcome, PAWL_FAILED);
    assert_int_equal(reply.err, PAWL_ERR_UNSUPPORTED);
}

#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)

int main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(the_model_agrees_with_the_oracle),
        CASE(fences_grow_when_the_wall_clock_goes_back),
        CASE(a_successor_starts_above_the_floor),
        CASE(fences_end_at_2_53),
        CASE(an_older_now_is_taken_as_the_latest),
        CASE(what_nobody_asks_for_again_is_collected),
        CASE(each_acquisition_looks_at_two_old_records),
        CASE(a_note_of_a_break_ends_by_itself),
        CASE(a_model_leaves_no_memory_behind),
        CASE(a_mode_that_does_not_exist_is_refused),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
