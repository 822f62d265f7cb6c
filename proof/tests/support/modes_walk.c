/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "modes_walk.h"

#include "beside_model.h"
#include "stores/memory/memory_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { TOKENS = 6, CLIENTS = 3, STEPS = 60, NEWS_MAX = 64 };

typedef struct asker {
    client *client;
    char token[PAWL_TOKEN_LEN + 1];
    char label[2];
    uint64_t fence; /* of its latest grant */
    pawl_request wish;
} asker;

typedef struct news {
    asker *who;
    uint64_t fence;
    uint32_t slots;
} news;

typedef struct walk {
    client *clients[CLIENTS];
    pawl__memory *memory;
    uint64_t seed, random;
    int step;
    bool permits;
    const char *name;
    asker askers[TOKENS];
    fence_pairs fences;
    news news[NEWS_MAX];
    int news_count;
    size_t holders, waiters; /* of the model's report */
} walk;

static struct {
    unsigned outcomes[PAWL_UNKNOWN + 1], pushes;
} total;

#define AGREE(w, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %" PRIu64 ", step %d: %s (line %d)", (w)->seed, (w)->step, #condition,  \
                     __LINE__);                                                                    \
    } while (0)

static uint32_t bits_of(const uint16_t *slots, size_t count)
{
    uint32_t bits = 0;
    for (size_t i = 0; i < count; i++) bits |= 1u << slots[i];
    return bits;
}

/* ---- The model ------------------------------------------------------------------------------- */

static void on_push(void *ctx, void *whom, const pawl_push *push)
{
    walk *w = ctx;
    if (push->kind != PAWL_PUSH_GRANT) return;
    CHECK(w->news_count < NEWS_MAX);
    w->news[w->news_count++] =
        (news){.who = whom, .fence = push->fence, .slots = bits_of(push->slots, push->slot_count)};
}

static void on_row(void *ctx, const pawl_info *info)
{
    walk *w = ctx;
    w->holders = info->holder_count;
    w->waiters = info->waiter_count;
}

/* The model's clock stands still, so no lease ends; its fences grow by ones. */
static void model(walk *w, asker *a, const pawl_request *request, pawl_reply *ret_reply)
{
    static const pawl__memory_time standing = {.now = 1, .wall_us = 1};
    pawl__memory_out out = {.ctx = w, .push = on_push, .row = on_row};
    pawl__memory_apply(w->memory, &standing, a, request, &out, ret_reply);
}

/* ---- Draws ----------------------------------------------------------------------------------- */

/* These stores have no update locks. */
static void new_token(walk *w, asker *a)
{
    snprintf(a->token, sizeof a->token, "%s", fresh_token());
    a->fence = 0;
    do a->wish = draw_wish(&w->random, w->permits);
    while (a->wish.mode == PAWL_MODE_UPDATE);
}

static pawl_request draw_step(walk *w, const asker *a)
{
    pawl_request request;
    do request = draw_request(&w->random, w->permits, &a->wish);
    while (request.verb == PAWL_VERB_CHANGE);
    request.name = w->name;
    request.name_len = strlen(w->name);
    request.token = a->token;
    request.owner = a->label;
    request.ttl_ms = LONG_MS;
    return request;
}

/* ---- Asking both ----------------------------------------------------------------------------- */

static void same_answer(walk *w, asker *a, const pawl_reply *real, const pawl_reply *modelled)
{
    if (real->outcome != modelled->outcome || real->err != modelled->err)
        fail_msg("seed %" PRIu64 ", step %d: outcome %d %s, the model says %d %s", w->seed, w->step,
                 (int)real->outcome, pawl_err_name(real->err), (int)modelled->outcome,
                 pawl_err_name(modelled->err));
    total.outcomes[real->outcome]++;
    if (real->outcome != PAWL_GRANTED && real->outcome != PAWL_CONFIRMED) return;
    AGREE(w, real->waiting == modelled->waiting);
    uint32_t slots = bits_of(real->slots, real->slot_count);
    AGREE(w, real->outcome == PAWL_CONFIRMED ||
                 slots == bits_of(modelled->slots, modelled->slot_count));
    AGREE(w, fences_agree(&w->fences, real->fence, modelled->fence));
    a->fence = real->fence;
}

/* What the model tells comes from the store as well, in some order. */
static void same_news(walk *w)
{
    for (int i = 0; i < w->news_count; i++) {
        const news *item = &w->news[i];
        const seen_push *push =
            client_await_push(item->who->client, PAWL_PUSH_GRANT, item->who->token);
        AGREE(w, fences_agree(&w->fences, push->push.fence, item->fence));
        AGREE(w, bits_of(push->push.slots, push->push.slot_count) == item->slots);
        item->who->fence = push->push.fence;
        total.pushes++;
    }
    w->news_count = 0;
}

static void same_rows(walk *w)
{
    pawl_request look = ask_inspect(w->name, NULL);
    pawl_reply reply;
    model(w, NULL, &look, &reply);
    const seen_reply *r = client_ask(w->clients[0], &look);
    AGREE(w, r->reply.outcome == PAWL_REPORTED);
    const pawl_info *row = client_row(w->clients[0], r->reply.id, 0);
    AGREE(w, row && row->holder_count == w->holders && row->waiter_count == w->waiters);
}

/* Each grant has a token of its own, so that what is told of one is not taken for another's. */
static void renew_tokens(walk *w, const pawl_request *request, asker *a, pawl_outcome outcome)
{
    if (outcome != PAWL_RELEASED && outcome != PAWL_LEFT) return;
    if (request->verb == PAWL_VERB_RELEASE) new_token(w, a);
    if (request->verb != PAWL_VERB_BREAK) return;
    for (int i = 0; i < TOKENS; i++)
        if (w->askers[i].fence == request->fence) new_token(w, &w->askers[i]);
}

static void take_step(walk *w)
{
    asker *a = &w->askers[draw_below(&w->random, TOKENS)];
    pawl_request request = draw_step(w, a), modelled = request;
    pawl_reply reply;
    if (request.verb == PAWL_VERB_BREAK) {
        const fence_pair *fence = draw_fence(&w->fences, &w->random);
        if (!fence) return;
        request.fence = fence->real;
        modelled.fence = fence->modelled;
    }
    const seen_reply *r = client_ask(a->client, &request);
    model(w, a, &modelled, &reply);
    same_answer(w, a, &r->reply, &reply);
    renew_tokens(w, &request, a, r->reply.outcome);
    same_news(w);
    same_rows(w);
}

/* ---- Walks ----------------------------------------------------------------------------------- */

static void walk_once(walk *w, test_loop *loop, const store_address *address, uint64_t seed)
{
    *w = (walk){.seed = seed, .random = seed, .permits = seed % 2 == 0, .name = rig_name()};
    w->memory = pawl__memory_new(seed, 0);
    for (int i = 0; i < CLIENTS; i++) w->clients[i] = client_up(loop, address, "walk");
    for (int i = 0; i < TOKENS; i++) {
        asker *a = &w->askers[i];
        a->client = w->clients[i % CLIENTS];
        a->label[0] = (char)('a' + i);
        new_token(w, a);
    }
    for (w->step = 0; w->step < STEPS; w->step++) take_step(w);
    for (int i = 0; i < CLIENTS; i++) client_close(w->clients[i]);
    pawl__memory_free(w->memory);
}

void modes_walk(test_loop *loop, const store_address *address, uint64_t seed, uint64_t seeds)
{
    static const pawl_outcome all[] = {PAWL_GRANTED,  PAWL_QUEUED, PAWL_BUSY,      PAWL_CONFIRMED,
                                       PAWL_RELEASED, PAWL_LEFT,   PAWL_NOT_OWNER, PAWL_FAILED};
    static walk w;
    for (uint64_t i = 0; i < seeds; i++) walk_once(&w, loop, address, seed + i);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) /* it was no idle walk */
        assert_true(total.outcomes[all[i]] > 0);
    assert_true(total.pushes > seeds);
}
