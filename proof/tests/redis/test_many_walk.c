/* SPDX-License-Identifier: MIT */
/*
 * The scripts beside the memory model: random requests in all modes go to both,
 * and both must answer, push and report the same. The fences are numbers of
 * different clocks: what must agree is which is which.
 *
 * In half of the walks no lease ends. In the others the server's clock stands
 * still but for the steps that the walk draws, and the model has the same one:
 * leases and places end before, between and behind requests, and the speed of
 * the machine decides nothing.
 */
#define _GNU_SOURCE
#include "clock_stage.h"

#include "../support/beside_model.h"
#include "stores/memory/memory_model.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TOKENS = 7, STEPS = 250, SEEDS = 40, NEWS_MAX = 64 };

#define MS INT64_C(1000000)

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
    bool permits;               /* this walk prefers them */
    bool ends;                  /* in this walk leases end */
    int64_t now;                /* the model's clock, in ns; if leases end, the server's too */
    bool unswept;               /* what ended before the step may go with what the step does */
    bool is_over;               /* what follows is not comparable */
    int64_t place_ends[TOKENS]; /* of a token that waits; 0: it does not */
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

/* ---- Time
 * ------------------------------------------------------------------------------------
 */

/* The server's clock stands still here. One that asks it only once in a while
 * follows. */
static void set_clock(walk *w)
{
    atomic_store(&server_clock->ahead_ns, w->now - atomic_load(&server_clock->since_ns));
    while (llabs(server_ms(w->rig) - w->now / MS) > 1) {
    }
}

/*
 * A lease is 6 ms longer than some tens and a place, two thirds of it, 4 ms,
 * and the clock makes steps of tens: so nothing ends within 4 ms of an instant
 * at which it is asked for.
 */
static int64_t draw_ttl(walk *w)
{
    if (!w->ends) return LONG_MS / (1 + (uint32_t)draw(w, 4));
    return 6 + 30 * (1 + (int64_t)draw(w, 4));
}

/* By nothing, so that fences are drawn by the last one; by so little that
 * nothing ends; or more. */
static void let_time_pass(walk *w)
{
    uint64_t kind = w->ends ? draw(w, 4) : 0;
    if (kind == 0) return;
    w->now += kind < 3 ? 2000 : 10 * MS * (1 + (int64_t)draw(w, 5));
    set_clock(w);
}

/* Whether the token waited, and not for so long as its place lasted. */
static bool came_late(const walk *w, int token)
{
    return w->place_ends[token] && w->place_ends[token] <= w->now;
}

/* Rests of the same time, on clocks of which one counts in whole ms. */
static bool same_rest(const walk *w, int64_t real, int64_t modelled)
{
    return !w->ends || llabs(real - modelled) <= 3;
}

/* ---- What was said unasked
 * ------------------------------------------------------------------- */

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

/* Whether somebody waits, who would be asked to yield for it: a place that is
 * over may count. */
static bool same_waiting(const walk *w, bool real, bool modelled)
{
    return real == modelled || (w->ends && real);
}

/*
 * Who yields is compared where no place ends. And who asks when its turn has come is told by the
 * reply; the model grants first, and says it twice.
 */
static void drop_news(box *from, const char *asker)
{
    int kept = 0;
    for (int i = 0; i < from->count; i++) {
        const news *n = &from->items[i];
        if (n->kind == PAWL_PUSH_YIELD) continue;
        if (n->kind == PAWL_PUSH_GRANT && strcmp(n->token, asker) == 0) continue;
        from->items[kept++] = *n;
    }
    from->count = kept;
}

/* And who was granted waits no more. */
static void keep_grants(walk *w, const char *asker)
{
    drop_news(&w->real, asker);
    drop_news(&w->modelled, asker);
    for (int i = 0; i < w->real.count; i++)
        for (int k = 0; k < TOKENS; k++)
            if (w->real.items[i].kind == PAWL_PUSH_GRANT &&
                strcmp(w->real.items[i].token, w->tokens[k]) == 0)
                w->place_ends[k] = 0;
}

static void same_news(walk *w, const char *asker)
{
    if (w->ends) keep_grants(w, asker);
    AGREE(w, w->real.count == w->modelled.count);
    qsort(w->real.items, (size_t)w->real.count, sizeof(news), by_kind_and_token);
    qsort(w->modelled.items, (size_t)w->modelled.count, sizeof(news), by_kind_and_token);
    for (int i = 0; i < w->real.count; i++) {
        const news *a = &w->real.items[i], *b = &w->modelled.items[i];
        AGREE(w, a->kind == b->kind && strcmp(a->token, b->token) == 0);
        AGREE(w, (w->ends || a->waiting == b->waiting) && a->slot_count == b->slot_count);
        bool same = memcmp(a->slots, b->slots, a->slot_count * sizeof(uint16_t)) == 0;
        AGREE(w, same || w->unswept);
        if (!same) w->is_over = true;
        if (a->kind == PAWL_PUSH_GRANT) same_fence(w, a->fence, b->fence);
    }
    w->real.count = w->modelled.count = 0;
}

/* ---- Answers
 * ---------------------------------------------------------------------------------
 */

static void same_reply(walk *w, const pawl_reply *real, const pawl_reply *modelled)
{
    if (real->outcome != modelled->outcome || real->err != modelled->err)
        fail_msg("seed %" PRIu64 ", step %d: outcome %d %s %s, the model says %d %s", w->seed,
                 w->step, (int)real->outcome, pawl_err_name(real->err),
                 real->message ? real->message : "", (int)modelled->outcome,
                 pawl_err_name(modelled->err));
    AGREE(w, same_waiting(w, real->waiting, modelled->waiting));
    /* A place that is over goes when its turn comes. */
    AGREE(w,
          real->position == modelled->position || (w->ends && real->position > modelled->position));
    /* One that gives up its place lets others in: the model looks before, the server behind. */
    AGREE(w, same_rest(w, real->holder_ms, modelled->holder_ms) ||
                 (real->outcome == PAWL_BUSY && real->holder_ms < modelled->holder_ms));
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
        AGREE(w, same_rest(w, a->remaining_ms, b->remaining_ms));
        same_fence(w, a->fence, b->fence);
    }
    for (size_t i = 0; i < real->waiter_count; i++) {
        const pawl_waiter_info *a = &real->waiters[i], *b = &modelled->waiters[i];
        AGREE(w, a->mode == b->mode && a->units == b->units && strcmp(a->owner, b->owner) == 0);
        AGREE(w, same_rest(w, a->place_ms, b->place_ms));
    }
    if (!real->held) return;
    AGREE(w, real->mode == modelled->mode && real->capacity == modelled->capacity);
    AGREE(w, strcmp(real->owner, modelled->owner) == 0);
    AGREE(w, same_rest(w, real->remaining_ms, modelled->remaining_ms));
    same_fence(w, real->fence, modelled->fence);
}

static void on_row(void *ctx, const pawl_info *info)
{
    walk *w = ctx;
    const answer *a =
        rig_expect(w->rig, ask_inspect("x", w->tokens[w->step % TOKENS]), PAWL_REPORTED);
    same_rows(w, &a->info, info);
}

/* ---- A step
 * ----------------------------------------------------------------------------------
 */

static pawl_reply model(walk *w, const pawl_request *request)
{
    pawl_reply reply;
    pawl__memory_out out = {.ctx = w, .push = on_push, .row = on_row};
    pawl__memory_time time = {.now = w->now, .wall_us = 1}; /* its fences grow by ones */
    pawl__memory_apply(w->memory, &time, w, request, &out, &reply);
    return reply;
}

static void new_token(walk *w, int token)
{
    memcpy(w->tokens[token], fresh_token(), PAWL_TOKEN_LEN + 1);
    w->changes[token] = 0;
    w->place_ends[token] = 0;
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
    r.ttl_ms = draw_ttl(w);
    if (r.verb == PAWL_VERB_CHANGE) {
        if (draw(w, 4)) w->changes[token]++;
        r.change = w->changes[token] + (uint32_t)draw(w, 2);
        if (draw(w, 8) == 0) r.change = 1;
    }
    return r;
}

/*
 * What the keys say beside each other (docs/protocol.md, "Several holders"): as
 * many holders as the lock key counts, each with its record, with the permits
 * that it says are taken, and it expires with the last of them; everybody who
 * waits has a record; nothing is left of others, and nothing stays for ever.
 * Where no lease ends, ttls are hours apart: what a busy machine lets pass
 * between two steps of a script is no mistake.
 */
static const char keys_check[] =
    "local held = redis.call('GET', KEYS[1])\n"
    "local time = redis.call('TIME')\n"
    "local now = time[1] * 1000 + math.floor(time[2] / 1000)\n"
    "local many, capacity, updater, upgrade, slots = string.match(held or '',\n"
    "    '^several clients of pawl hold this; pawl show tells: (%d+) (%d+) "
    "(%S+) (%d+) (%S+)$')\n"
    "local alone = string.match(held or '', 'tells: =%S+ %d+ %S+ (%d+) 3 ')\n"
    "many = tonumber(many or 0)\n"
    "local line = redis.call('ZRANGE', KEYS[3], 0, -1, 'WITHSCORES')\n"
    "local latest, taken = 0, {}\n"
    "for i = 1, #line, 2 do\n"
    "    local holds = i <= 2 * many\n"
    "    local text = redis.call('HGET', KEYS[4], (holds and ':' or '') .. "
    "line[i])\n"
    "    if (tonumber(line[i + 1]) < 0) ~= holds then return 'a score of ' .. "
    "line[i] end\n"
    "    if not text then return 'no record of ' .. line[i] end\n"
    "    if holds then latest = math.max(latest, -line[i + 1]) end\n"
    "    local mode, list = string.match(text, '^3 ([sup]) %d+ [%d+]+ %d+ "
    "(%S+) ')\n"
    "    if holds and not mode then return 'the record ' .. text end\n"
    "    if holds and (mode == 'u') ~= (line[i] == updater) then return 'the "
    "updater' end\n"
    "    for slot in string.gmatch(holds and list or '', '%d+') do\n"
    "        if taken[slot + 1] then return 'a slot twice' end\n"
    "        taken[slot + 1] = true\n"
    "    end\n"
    "end\n"
    "if redis.call('HLEN', KEYS[4]) ~= #line / 2 then return 'records without "
    "a place' end\n"
    "for at = 1, many > 0 and #slots or 0 do\n"
    "    if (string.sub(slots, at, at) == '1') ~= (taken[at] or false) then "
    "return slots end\n"
    "end\n"
    "local life = redis.call('PTTL', KEYS[1])\n"
    "if alone and #line > 0 then return 'one is alone, and others are there' "
    "end\n"
    "if alone then many, latest = 1, tonumber(alone) end\n"
    "local about = tonumber(ARGV[1])\n"
    "if many > 0 and math.abs(now + life - latest) > about then return "
    "'another expiry' end\n"
    "if life > 0 and redis.call('PTTL', KEYS[2]) < life then return 'the fence "
    "goes first' end\n"
    "for i = 3, #line > 0 and 4 or 0 do\n"
    "    if many > 0 and redis.call('PTTL', KEYS[i]) < life - about then "
    "return KEYS[i] end\n"
    "end\n"
    "for _, key in ipairs(KEYS) do\n"
    "    if redis.call('PTTL', key) == -1 then return 'for ever: ' .. key end\n"
    "end\n"
    "return ''\n";

static void keys_agree(walk *w)
{
    const char *complaint = rig_text(w->rig, "EVAL %s 4 pawl:x {pawl:x}:f {pawl:x}:q {pawl:x}:w %d",
                                     keys_check, w->ends ? 3 : 60000);
    if (*complaint)
        fail_msg("seed %" PRIu64 ", step %d: the keys: %s", w->seed, w->step, complaint);
}

static void note_place(walk *w, int token, const pawl_request *request, const pawl_reply *reply)
{
    if (request->verb == PAWL_VERB_ACQUIRE)
        w->place_ends[token] =
            reply->outcome == PAWL_QUEUED ? w->now + request->ttl_ms * 2 * MS / 3 : 0;
    if (request->verb == PAWL_VERB_RELEASE) w->place_ends[token] = 0;
}

/*
 * The reply to one that comes when its place is over. As long as its turn has
 * not come it may still stand where it stood, and the model has taken it out:
 * then what follows is not comparable.
 */
static bool late_reply_is_good(walk *w, const pawl_request *request, const pawl_reply *real,
                               const pawl_reply *modelled)
{
    if (request->verb == PAWL_VERB_RELEASE && real->outcome == PAWL_LEFT) {
        AGREE(w, modelled->outcome == PAWL_NOT_OWNER);
        return true;
    }
    if (request->verb == PAWL_VERB_ACQUIRE && real->outcome == PAWL_QUEUED) {
        AGREE(w, modelled->outcome == PAWL_QUEUED);
        return false;
    }
    same_reply(w, real, modelled);
    return true;
}

/*
 * What has ended goes and is handed on before one goes by itself. Else the server does both in one,
 * and the next ones may get other permits than those of the model.
 */
static void sweep(walk *w)
{
    pawl_request request = ask_release("x", fresh_token());
    (void)rig_expect(w->rig, request, PAWL_NOT_OWNER);
    (void)model(w, &request);
}

/*
 * A waiter whose turn had come leaves, renews or changes, which no client does: the server looks at
 * what it is first, the model grants first. As long as the model then extends, others differ.
 */
static bool asked_before_its_turn(walk *w, int token, const pawl_request *request,
                                  const pawl_reply *real, const pawl_reply *modelled)
{
    if (!w->ends || !w->place_ends[token]) return false;
    if (request->verb == PAWL_VERB_RELEASE)
        return real->outcome == PAWL_LEFT && modelled->outcome == PAWL_RELEASED;
    if (request->verb == PAWL_VERB_ACQUIRE || real->outcome != PAWL_NOT_OWNER) return false;
    w->is_over = modelled->outcome != PAWL_NOT_OWNER;
    return w->is_over;
}

/* False: the walk is over. */
static bool take_step(walk *w)
{
    int token = (int)draw(w, TOKENS);
    char owner[2] = "";
    let_time_pass(w);
    if (came_late(w, token) && draw(w, 12)) new_token(w, token);
    pawl_request request = draw_step(w, token, owner), same = request;
    if (request.verb == PAWL_VERB_BREAK) {
        const fence_pair *fence = draw_fence(&w->fences, &w->random);
        if (!fence) return true;
        request.fence = fence->real;
        same.fence = fence->modelled;
    }
    bool goes = request.verb == PAWL_VERB_RELEASE || request.verb == PAWL_VERB_BREAK;
    w->unswept = w->ends && goes && draw(w, 2);
    if (w->ends && goes && !w->unswept) sweep(w);
    const answer *a = rig_ask(w->rig, &request);
    pawl_reply modelled = model(w, &same);
    AGREE(w, a->verdict == PAWL__REDIS_DECODED);
    /* The model's message is a label, of which the server's is about the same. */
    pawl_reply real = a->reply;
    if (!came_late(w, token)) {
        if (!asked_before_its_turn(w, token, &request, &real, &modelled))
            same_reply(w, &real, &modelled);
    } else if (!late_reply_is_good(w, &request, &real, &modelled)) {
        return false;
    }
    note_place(w, token, &request, &real);
    if (w->is_over) return false;
    hear_all(w);
    same_news(w, request.verb == PAWL_VERB_BREAK ? "" : request.token);
    if (w->step % 3 == 0 || w->is_over) keys_agree(w);
    if (w->is_over) return false;
    pawl_request look = ask_inspect("x", w->tokens[w->step % TOKENS]);
    (void)model(w, &look);
    if (real.outcome == PAWL_RELEASED && request.verb == PAWL_VERB_RELEASE && draw(w, 2))
        new_token(w, token);
    return true;
}

static void take_walk(walk *w)
{
    rig_must(w->rig, "FLUSHALL");
    w->memory = pawl__memory_new(w->seed, 0);
    for (int i = 0; i < TOKENS; i++) new_token(w, i);
    for (w->step = 0; w->step < STEPS && take_step(w); w->step++) {
    }
    for (int i = 0; i < TOKENS; i++) {
        pawl_request request = ask_release("x", w->tokens[i]);
        (void)rig_ask(w->rig, &request);
    }
    hear_all(w);
    pawl__memory_free(w->memory);
}

static void walk_seeds(rig *r, bool ends, int64_t now)
{
    const char *seeds = getenv("PAWL_SEEDS"); /* FIRST-LAST, for a longer walk */
    uint64_t first = 1, last = SEEDS;
    if (seeds) assert_int_equal(sscanf(seeds, "%" SCNu64 "-%" SCNu64, &first, &last), 2);
    for (uint64_t seed = first; seed <= last; seed++) {
        static walk w;
        w = (walk){.rig = r,
                   .seed = seed,
                   .random = seed,
                   .permits = seed % 3 == 0,
                   .ends = ends,
                   .now = now};
        take_walk(&w);
        now = w.now;
    }
}

static void both_say_the_same(void **state)
{
    walk_seeds(*state, false, 1);
}

static void both_say_the_same_when_leases_end(void **state)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    int64_t now = real.tv_sec * 1000 * MS + real.tv_nsec / MS * MS;
    atomic_store(&server_clock->since_ns, now);
    atomic_store(&server_clock->faster_permille, -1000); /* it stands still */
    walk_seeds(*state, true, now);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(both_say_the_same),
        cmocka_unit_test(both_say_the_same_when_leases_end),
    };
    return rig_run("redis and the model of all modes", cases, clock_group_begin, clock_group_end);
}
