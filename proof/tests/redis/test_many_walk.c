/* SPDX-License-Identifier: MIT */
/*
 * The scripts beside the memory model: random requests in all modes go to both, and both must
 * answer, push and report the same. No lease ends while a walk lasts; what ends by time has its
 * own tests. The fences are numbers of different clocks: what must agree is which is which.
 */
#define _GNU_SOURCE
#include "rig.h"

#include "../support/beside_model.h"
#include "stores/memory/memory_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TOKENS = 7, STEPS = 250, SEEDS = 40, NEWS_MAX = 64 };

#define LONG_MS PAWL_TTL_MAX_MS

typedef struct news {
    pawl_push_kind kind;
    char token[PAWL_TOKEN_LEN + 1];
    uint64_t fence;
    bool waiting;
    size_t slot_count;
    uint16_t slots[8];
} news;

typedef struct box {
    news items[NEWS_MAX];
    int count;
} box;

typedef struct walk {
    rig *rig;
    pawl__memory *memory;
    uint64_t random, seed;
    int step;
    bool permits; /* this walk prefers them */
    char tokens[TOKENS][PAWL_TOKEN_LEN + 1];
    pawl_request wishes[TOKENS]; /* a token asks for the same as long as it lives */
    uint32_t changes[TOKENS];
    fence_pairs fences;
    box real, modelled;
    const pawl_info *row; /* of the model */
} walk;

static uint64_t draw(walk *w, uint64_t below)
{
    return draw_below(&w->random, below);
}

#define AGREE(w, condition)                                                                        \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %" PRIu64 ", step %d: %s", (w)->seed, (w)->step, #condition);           \
    } while (0)

/* ---- What was said unasked ------------------------------------------------------------------- */

static void put_news(box *to, const pawl_push *push)
{
    assert_true(to->count < NEWS_MAX && push->slot_count <= 8);
    news *n = &to->items[to->count++];
    *n = (news){.kind = push->kind,
                .fence = push->kind == PAWL_PUSH_GRANT ? push->fence : 0,
                .waiting = push->waiting,
                .slot_count = push->slot_count};
    if (push->token) memcpy(n->token, push->token, PAWL_TOKEN_LEN + 1);
    if (push->slot_count) memcpy(n->slots, push->slots, push->slot_count * sizeof(uint16_t));
}

static void on_push(void *ctx, void *whom, const pawl_push *push)
{
    (void)whom;
    put_news(&((walk *)ctx)->modelled, push);
}

static void hear_all(walk *w)
{
    rig_must(w->rig, "PUBLISH pawl:inbox:test %s", "r pawl:marker");
    for (;;) {
        const pawl_push *push = rig_hear(w->rig);
        if (push->name_len == 6) return;
        put_news(&w->real, push);
    }
}

/* Grants in their order, what is said to holders in any. */
static int by_kind_and_token(const void *a, const void *b)
{
    const news *x = a, *y = b;
    if (x->kind != y->kind) return (int)x->kind - (int)y->kind;
    if (x->kind == PAWL_PUSH_GRANT) return x->fence < y->fence ? -1 : x->fence > y->fence;
    return strcmp(x->token, y->token);
}

static void same_fence(walk *w, uint64_t real, uint64_t modelled)
{
    AGREE(w, fences_agree(&w->fences, real, modelled));
}

static void same_news(walk *w)
{
    AGREE(w, w->real.count == w->modelled.count);
    qsort(w->real.items, (size_t)w->real.count, sizeof(news), by_kind_and_token);
    qsort(w->modelled.items, (size_t)w->modelled.count, sizeof(news), by_kind_and_token);
    for (int i = 0; i < w->real.count; i++) {
        const news *a = &w->real.items[i], *b = &w->modelled.items[i];
        AGREE(w, a->kind == b->kind && strcmp(a->token, b->token) == 0);
        AGREE(w, a->waiting == b->waiting && a->slot_count == b->slot_count);
        AGREE(w, memcmp(a->slots, b->slots, a->slot_count * sizeof(uint16_t)) == 0);
        if (a->kind == PAWL_PUSH_GRANT) same_fence(w, a->fence, b->fence);
    }
    w->real.count = w->modelled.count = 0;
}

/* ---- Answers --------------------------------------------------------------------------------- */

static void same_reply(walk *w, const pawl_reply *real, const pawl_reply *modelled)
{
    if (real->outcome != modelled->outcome || real->err != modelled->err)
        fail_msg("seed %" PRIu64 ", step %d: outcome %d %s %s, the model says %d %s", w->seed,
                 w->step, (int)real->outcome, pawl_err_name(real->err),
                 real->message ? real->message : "", (int)modelled->outcome,
                 pawl_err_name(modelled->err));
    AGREE(w, real->waiting == modelled->waiting);
    AGREE(w, real->position == modelled->position);
    AGREE(w, real->slot_count == modelled->slot_count ||
                 (real->outcome == PAWL_CONFIRMED && real->slot_count == 0));
    AGREE(w, memcmp(real->slots ? real->slots : (const uint16_t[1]){0},
                    modelled->slots ? modelled->slots : (const uint16_t[1]){0},
                    real->slot_count * sizeof(uint16_t)) == 0);
    if (real->outcome == PAWL_GRANTED || real->outcome == PAWL_CONFIRMED)
        same_fence(w, real->fence, modelled->fence);
}

static void same_rows(walk *w, const pawl_info *real, const pawl_info *modelled)
{
    AGREE(w, real->held == modelled->held && real->mine == modelled->mine && !real->foreign);
    AGREE(w, real->holder_count == modelled->holder_count);
    AGREE(w, real->waiter_count == modelled->waiter_count);
    for (size_t i = 0; i < real->holder_count; i++) {
        const pawl_holder_info *a = &real->holders[i], *b = &modelled->holders[i];
        AGREE(w, a->mode == b->mode && a->units == b->units && a->mine == b->mine);
        AGREE(w, strcmp(a->owner, b->owner) == 0);
        same_fence(w, a->fence, b->fence);
    }
    for (size_t i = 0; i < real->waiter_count; i++) {
        const pawl_waiter_info *a = &real->waiters[i], *b = &modelled->waiters[i];
        AGREE(w, a->mode == b->mode && a->units == b->units && strcmp(a->owner, b->owner) == 0);
    }
    if (!real->held) return;
    AGREE(w, real->mode == modelled->mode && real->capacity == modelled->capacity);
    AGREE(w, strcmp(real->owner, modelled->owner) == 0);
    same_fence(w, real->fence, modelled->fence);
}

static void on_row(void *ctx, const pawl_info *info)
{
    walk *w = ctx;
    const answer *a =
        rig_expect(w->rig, ask_inspect("x", w->tokens[w->step % TOKENS]), PAWL_REPORTED);
    same_rows(w, &a->info, info);
}

/* ---- A step ---------------------------------------------------------------------------------- */

static pawl_reply model(walk *w, const pawl_request *request)
{
    pawl_reply reply;
    pawl__memory_out out = {.ctx = w, .push = on_push, .row = on_row};
    /* The model's clock stands still, so no lease ends; its fences grow by ones. */
    pawl__memory_time time = {.now = 1, .wall_us = 1};
    pawl__memory_apply(w->memory, &time, w, request, &out, &reply);
    return reply;
}

static void new_token(walk *w, int token)
{
    memcpy(w->tokens[token], fresh_token(), PAWL_TOKEN_LEN + 1);
    w->changes[token] = 0;
    w->wishes[token] = draw_wish(&w->random, w->permits);
}

static pawl_request draw_step(walk *w, int token, char *owner)
{
    pawl_request r = draw_request(&w->random, w->permits, &w->wishes[token]);
    owner[0] = (char)('a' + token);
    r.name = "x";
    r.name_len = 1;
    r.token = w->tokens[token];
    r.owner = owner;
    r.ttl_ms = LONG_MS / (1 + (uint32_t)draw(w, 4));
    if (r.verb == PAWL_VERB_CHANGE) {
        if (draw(w, 4)) w->changes[token]++;
        r.change = w->changes[token] + (uint32_t)draw(w, 2);
        if (draw(w, 8) == 0) r.change = 1;
    }
    return r;
}

/*
 * What the keys say beside each other (docs/protocol.md, "Several holders"): as many holders as the
 * lock key counts, each with its record, with the permits that it says are taken, and it expires
 * with the last of them; everybody who waits has a record; nothing is left of others. The ttls of a
 * walk are hours apart: what a busy machine lets pass between two steps of a script is no mistake.
 */
static const char keys_check[] =
    "local held = redis.call('GET', KEYS[1])\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "local many, capacity, updater, upgrade, slots = string.match(held or '',\n"
    "    '^several clients of pawl hold this; pawl show tells: (%d+) (%d+) (%S+) (%d+) (%S+)$')\n"
    "local alone = string.match(held or '', 'tells: =%S+ %d+ %S+ (%d+) 3 ')\n"
    "many = tonumber(many or 0)\n"
    "local line = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')\n"
    "local latest, taken = 0, {}\n"
    "for i = 1, #line, 2 do\n"
    "    local holds = i <= 2 * many\n"
    "    local text = redis.call('HGET', KEYS[4], (holds and ':' or '') .. line[i])\n"
    "    if (tonumber(line[i + 1]) < 0) ~= holds then return 'a score of ' .. line[i] end\n"
    "    if not text then return 'no record of ' .. line[i] end\n"
    "    if holds then latest = math.max(latest, -line[i + 1]) end\n"
    "    local mode, list = string.match(text, '^3 ([sup]) %d+ [%d+]+ %d+ (%S+) ')\n"
    "    if holds and not mode then return 'the record ' .. text end\n"
    "    if holds and (mode == 'u') ~= (line[i] == updater) then return 'the updater' end\n"
    "    for slot in string.gmatch(holds and list or '', '%d+') do\n"
    "        if taken[slot + 1] then return 'a slot twice' end\n"
    "        taken[slot + 1] = true\n"
    "    end\n"
    "end\n"
    "if redis.call('HLEN', KEYS[4]) ~= #line / 2 then return 'records without a place' end\n"
    "for at = 1, many > 0 and #slots or 0 do\n"
    "    if (string.sub(slots, at, at) == '1') ~= (taken[at] or false) then return slots end\n"
    "end\n"
    "local life = redis.call('PTTL', KEYS[1])\n"
    "if alone and #line > 0 then return 'one is alone, and others are there' end\n"
    "if alone then many, latest = 1, tonumber(alone) end\n"
    "if many > 0 and math.abs(now + life - latest) > 60000 then return 'another expiry' end\n"
    "if life > 0 and redis.call('PTTL', KEYS[2]) < life then return 'the fence goes first' end\n"
    "for i = 3, #line > 0 and 4 or 0 do\n"
    "    if many > 0 and redis.call('PTTL', KEYS[i]) < life - 60000 then return KEYS[i] end\n"
    "end\n"
    "return ''\n";

static void keys_agree(walk *w)
{
    const char *complaint =
        rig_text(w->rig, "EVAL %s 4 pawl:x {pawl:x}:f {pawl:x}:q {pawl:x}:w", keys_check);
    if (*complaint)
        fail_msg("seed %" PRIu64 ", step %d: the keys: %s", w->seed, w->step, complaint);
}

static void take_step(walk *w)
{
    int token = (int)draw(w, TOKENS);
    char owner[2] = "";
    pawl_request request = draw_step(w, token, owner), same = request;
    if (request.verb == PAWL_VERB_BREAK) {
        const fence_pair *fence = draw_fence(&w->fences, &w->random);
        if (!fence) return;
        request.fence = fence->real;
        same.fence = fence->modelled;
    }
    const answer *a = rig_ask(w->rig, &request);
    pawl_reply modelled = model(w, &same);
    assert_int_equal(a->verdict, PAWL__REDIS_DECODED);
    /* The model's message is a label, of which the server's is about the same. */
    pawl_reply real = a->reply;
    same_reply(w, &real, &modelled);
    hear_all(w);
    same_news(w);
    if (w->step % 3 == 0) keys_agree(w);
    pawl_request look = ask_inspect("x", w->tokens[w->step % TOKENS]);
    (void)model(w, &look);
    if (real.outcome == PAWL_RELEASED && request.verb == PAWL_VERB_RELEASE && draw(w, 2))
        new_token(w, token);
}

static void both_say_the_same(void **state)
{
    const char *seeds = getenv("PAWL_SEEDS"); /* FIRST-LAST, for a longer walk */
    uint64_t first = 1, last = SEEDS;
    if (seeds) assert_int_equal(sscanf(seeds, "%" SCNu64 "-%" SCNu64, &first, &last), 2);
    for (uint64_t seed = first; seed <= last; seed++) {
        static walk w;
        w = (walk){.rig = *state, .seed = seed, .random = seed, .permits = seed % 3 == 0};
        rig_must(w.rig, "FLUSHALL");
        w.memory = pawl__memory_new(seed, 0);
        for (int i = 0; i < TOKENS; i++) new_token(&w, i);
        for (w.step = 0; w.step < STEPS; w.step++) take_step(&w);
        for (int i = 0; i < TOKENS; i++) {
            pawl_request request = ask_release("x", w.tokens[i]);
            (void)rig_ask(w.rig, &request);
        }
        hear_all(&w);
        w.real.count = 0;
        pawl__memory_free(w.memory);
    }
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(both_say_the_same),
    };
    return rig_run("redis and the model of all modes", cases, rig_group_begin, rig_group_end);
}
