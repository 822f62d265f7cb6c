/* SPDX-License-Identifier: MIT */
/* The memory model against a plain oracle, in random walks through all modes on invented time. */
#define _GNU_SOURCE
#include "base/random.h"
#include "oracle_modes.h"
#include "stores/memory/memory_model.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* cmocka wants the four above first */
#include <cmocka.h>

#define MS INT64_C(1000000)

enum { STEPS = 300, TOKENS = 7, SEEDS = 3000 };

typedef struct walk {
    pawl__memory *memory;
    pawl__memory_time time;
    modes_oracle oracle;
    uint64_t seed, random;
    int step;
    bool permits; /* this walk prefers them */
    uint32_t changes[TOKENS];
    int handed[ORACLE_ROOM];
    int handed_count;
    unsigned seen[PAWL_UNKNOWN + 1]; /* answers to all walks, by outcome */
    unsigned upgrades, groups;
} walk;

static uint64_t draw(walk *w, uint64_t below)
{
    return pawl__random_next(&w->random) % below;
}

static uint32_t bits_of(const uint16_t *slots, size_t count)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) bits |= 1u << slots[i];
    return bits;
}

static void on_push(void *ctx, void *client, const pawl_push *push)
{
    walk *w = ctx;
    assert_non_null(client);
    if (push->kind != PAWL_PUSH_GRANT) return;
    int token = (int)strtol(push->token, NULL, 10);
    w->handed[w->handed_count++] = token;
    for (int i = 0; i < w->oracle.count; i++) { /* which was asked before the model */
        const modes_owner *owner = &w->oracle.owners[i];
        if (owner->token != token) continue;
        assert_int_equal(owner->slots, bits_of(push->slots, push->slot_count));
    }
}

/* ---- One step ------------------------------------------------------------------------------- */

static pawl_mode draw_mode(walk *w)
{
    if (draw(w, 20) == 0) return w->permits ? PAWL_MODE_SHARED : PAWL_MODE_PERMIT;
    static const pawl_mode often[] = {PAWL_MODE_SHARED, PAWL_MODE_SHARED, PAWL_MODE_SHARED,
                                      PAWL_MODE_UPDATE, PAWL_MODE_UPDATE, PAWL_MODE_EXCLUSIVE};
    return w->permits ? PAWL_MODE_PERMIT : often[draw(w, 6)];
}

static pawl_request draw_request(walk *w, int token)
{
    static const int64_t ttls[] = {30, 60, 200, 1000};
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_ACQUIRE, PAWL_VERB_ACQUIRE,
                                      PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW,   PAWL_VERB_RELEASE,
                                      PAWL_VERB_RELEASE, PAWL_VERB_CHANGE,  PAWL_VERB_CHANGE,
                                      PAWL_VERB_BREAK};
    pawl_request r = {.verb = verbs[draw(w, 10)],
                      .mode = draw_mode(w),
                      .ttl_ms = ttls[draw(w, 4)],
                      .flags = draw(w, 4) ? PAWL_ASK_QUEUE : 0};
    if (r.mode == PAWL_MODE_PERMIT) {
        r.capacity = draw(w, 30) ? 5 : 4;
        r.units = (uint32_t)draw(w, 4) + (draw(w, 20) != 0);
    }
    if (r.verb == PAWL_VERB_BREAK && w->oracle.count)
        r.fence = w->oracle.owners[draw(w, (uint64_t)w->oracle.count)].fence;
    if (r.verb == PAWL_VERB_CHANGE) { /* mostly a new one; now and then one that comes late */
        if (draw(w, 2)) r.mode = PAWL_MODE_EXCLUSIVE;
        w->changes[token] += (uint32_t)draw(w, 3);
        r.change = w->changes[token] - (draw(w, 5) == 0 && w->changes[token]);
    }
    return r;
}

static void compare(const walk *w, const pawl_reply *reply, const modes_answer *wanted)
{
    bool ok = reply->outcome == wanted->outcome && w->handed_count == wanted->handed_count;
    for (int i = 0; ok && i < wanted->handed_count; i++) ok = w->handed[i] == wanted->handed[i];
    if (wanted->outcome == PAWL_GRANTED || wanted->outcome == PAWL_CONFIRMED)
        ok = ok && reply->fence == wanted->fence && reply->waiting == wanted->waiting &&
             bits_of(reply->slots, reply->slot_count) == wanted->slots;
    if (wanted->outcome == PAWL_QUEUED) ok = ok && reply->position == wanted->position;
    if (wanted->outcome == PAWL_FAILED) ok = ok && reply->err == wanted->err;
    if (!ok)
        fail_msg("seed %" PRIu64 " step %d: outcome %d err %d fence %" PRIu64 " position %" PRId64
                 " handed to %d; the oracle says %d, %d, %" PRIu64 ", %" PRId64 ", %d",
                 w->seed, w->step, (int)reply->outcome, (int)reply->err, reply->fence,
                 reply->position, w->handed_count, (int)wanted->outcome, (int)wanted->err,
                 wanted->fence, wanted->position, wanted->handed_count);
}

static void step(walk *w)
{
    char text[PAWL_TOKEN_LEN + 1];
    pawl_reply reply;
    pawl__memory_out out = {.ctx = w, .push = on_push};
    int token = (int)draw(w, TOKENS);
    w->time.now += (int64_t)draw(w, 12) * MS;
    w->time.wall_us += draw(w, 2);
    if (draw(w, 50) == 0) w->time.wall_us -= 100; /* somebody sets the clock */
    pawl_request request = draw_request(w, token);
    snprintf(text, sizeof(text), "%040d", token);
    request.name = "x";
    request.name_len = 1;
    request.token = text;
    request.owner = "owner";
    w->handed_count = 0;
    modes_answer wanted = modes_apply(&w->oracle, w->time.now, w->time.wall_us, token, &request);
    pawl__memory_apply(w->memory, &w->time, w, &request, &out, &reply);
    compare(w, &reply, &wanted);
    w->seen[reply.outcome]++;
    w->groups += wanted.handed_count > 2;
    w->upgrades += request.verb == PAWL_VERB_CHANGE && reply.outcome == PAWL_QUEUED;
}

static void begin(walk *w, uint64_t seed)
{
    w->seed = w->random = seed;
    w->permits = seed % 3 == 0;
    w->memory = pawl__memory_new(7, 0);
    assert_non_null(w->memory);
    w->time = (pawl__memory_time){.now = 1000 * MS, .wall_us = 1700000000000000};
    memset(&w->oracle, 0, sizeof(w->oracle));
    memset(w->changes, 0, sizeof(w->changes));
}

static void the_model_agrees_with_the_oracle_in_all_modes(void **state)
{
    walk w = {0};
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        begin(&w, seed);
        for (w.step = 0; w.step < STEPS; w.step++) step(&w);
        pawl__memory_free(w.memory);
    }
    static const pawl_outcome all[] = {PAWL_GRANTED,  PAWL_QUEUED, PAWL_BUSY,      PAWL_CONFIRMED,
                                       PAWL_RELEASED, PAWL_LEFT,   PAWL_NOT_OWNER, PAWL_FAILED};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        assert_true(w.seen[all[i]] > SEEDS); /* the walks came everywhere */
    assert_in_range(w.upgrades, SEEDS / 2, UINT32_MAX);
    assert_in_range(w.groups, SEEDS / 10, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(the_model_agrees_with_the_oracle_in_all_modes),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
