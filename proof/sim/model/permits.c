/* SPDX-License-Identifier: MIT */
/*
 * Permits of a semaphore that has two: clients that want one or both, a queue in strict order of
 * arrival, leases and places that end at any moment, requests and answers that are lost. A client
 * stops at its deadline, which comes before the store's expiry. A lost message is one that
 * never arrives: the next message replaces it. A client comes again when the store has nothing of
 * it left. Wanted: no permit has two holders, nobody who fits is left waiting, who wants both
 * is not passed by those who want one, and the fences of each permit grow.
 */
#include "alike.h"
#include "model.h"
#include "queue.h"

#include <string.h>

#define CLIENTS_MAX 3
#define CAPACITY    2
#define ALL         3 /* a bit for each permit */

enum { RIGHT, LEAK, TWICE, SMALL_PASS, WAKES_ONE, ANOTHERS_RELEASE, ONE_FENCE };
static const char *const variants[] = {"right",
                                       "the permits of who ran out are not free again",
                                       "who wants one gets the first, free or not",
                                       "who wants one passes who waits for both",
                                       "a release of both lets in one",
                                       "a release frees the first permit, whoever has it",
                                       "permits keep the fence of the semaphore",
                                       NULL};

enum { FRESH, ASKS, HOLDS, DONE };
enum { NOTHING, ACQUIRE, RELEASE };
enum { FINE, TWO_HOLDERS, OVERTAKEN, FENCE };

typedef struct client {
    uint8_t phase, units;
    uint8_t believes; /* permits */
    uint8_t up, down, down_slots, down_fence;
    uint8_t held, fence; /* at the store */
} client;

typedef struct state {
    client of[CLIENTS_MAX];
    uint8_t queue[CLIENTS_MAX]; /* client + 1 */
    uint8_t taken;              /* permits, as the store counts them */
    uint8_t last_fence, told[CAPACITY], wrong;
} state;

static void forget_what_means_nothing(state *s, int c)
{
    client *of = &s->of[c];
    if (!of->held) of->fence = 0;
    if (of->phase != DONE) return;
    of->down = of->down_slots = of->down_fence = 0;
    if (!of->held && !queue_has(s->queue, CLIENTS_MAX, c))
        memset(of, 0, sizeof *of); /* it comes again */
}

static void reach(explorer *x, const state *at)
{
    state s = *at;
    uint8_t *fences[2 * CLIENTS_MAX + 1 + CAPACITY] = {&s.last_fence};
    for (int i = 0; i < CAPACITY; i++) fences[1 + i] = &s.told[i];
    for (int c = 0; c < CLIENTS_MAX; c++) {
        forget_what_means_nothing(&s, c);
        fences[1 + CAPACITY + 2 * c] = &s.of[c].fence;
        fences[2 + CAPACITY + 2 * c] = &s.of[c].down_fence;
    }
    alike_numbers(fences, sizeof fences / sizeof fences[0]);
    alike_clients(s.of, sizeof s.of[0], s.queue, CLIENTS_MAX);
    explorer_reach(x, &s);
}

static void begin(void *to, int variant, int size)
{
    (void)variant, (void)size;
    memset(to, 0, sizeof(state));
}

/* ---- The store ------------------------------------------------------------------ */

static int count(int slots)
{
    return (slots & 1) + (slots >> 1 & 1);
}

static bool fits(const state *s, int units, int variant)
{
    if (variant == TWICE && units == 1) return true;
    return units <= CAPACITY - count(s->taken);
}

static void grant(state *s, int c, int variant)
{
    client *to = &s->of[c];
    uint8_t slots = ALL;
    if (to->units == 1) slots = s->taken & 1 && variant != TWICE ? 2 : 1;
    to->held = slots;
    s->taken |= slots;
    if (variant != ONE_FENCE || !s->last_fence) s->last_fence++;
    to->fence = s->last_fence;
    to->down = 1;
    to->down_slots = slots;
    to->down_fence = to->fence;
}

static void serve(state *s, int variant)
{
    while (s->queue[0]) {
        int c = s->queue[0] - 1;
        if (!fits(s, s->of[c].units, variant)) return;
        queue_take_out(s->queue, CLIENTS_MAX, c);
        grant(s, c, variant);
        if (variant == WAKES_ONE) return;
    }
}

static void acquire(state *s, int c, int variant)
{
    client *of = &s->of[c];
    if (of->held) {
        of->down = 1;
        of->down_slots = of->held;
        of->down_fence = of->fence;
        return;
    }
    if (queue_has(s->queue, CLIENTS_MAX, c)) return;
    bool passes = variant == SMALL_PASS && of->units == 1;
    if ((!s->queue[0] || passes) && fits(s, of->units, variant)) {
        if (s->queue[0]) s->wrong = OVERTAKEN;
        grant(s, c, variant);
        return;
    }
    int n = 0;
    while (s->queue[n]) n++;
    s->queue[n] = (uint8_t)(c + 1);
}

static void part(state *s, int c)
{
    client *of = &s->of[c];
    s->taken &= (uint8_t)~of->held;
    of->held = of->down = of->down_slots = of->down_fence = 0;
}

static void release(state *s, int c, int variant)
{
    queue_take_out(s->queue, CLIENTS_MAX, c);
    if (variant == ANOTHERS_RELEASE && s->of[c].held) s->taken &= 2;
    part(s, c);
    serve(s, variant);
}

static void arrive(explorer *x, const state *from, int c, int variant)
{
    state s = *from;
    client *of = &s.of[c];
    int what = of->up;
    if (!what) return;
    of->up = 0;
    if (what == ACQUIRE)
        acquire(&s, c, variant);
    else
        release(&s, c, variant);
    reach(x, &s);
}

static void expire(explorer *x, const state *from, int c, int variant)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->held && !of->believes) { /* an answer under way is dead */
        uint8_t taken = s.taken;
        part(&s, c);
        if (variant == LEAK) s.taken = taken;
        serve(&s, variant);
        reach(x, &s);
    }
    s = *from;
    if (!queue_has(s.queue, CLIENTS_MAX, c)) return;
    queue_take_out(s.queue, CLIENTS_MAX, c);
    serve(&s, variant);
    reach(x, &s);
}

/* ---- A client --------------------------------------------------------------------- */

static void ask(explorer *x, const state *from, int c)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->phase == ASKS && !of->up) { /* again */
        of->up = ACQUIRE;
        reach(x, &s);
    }
    if (of->phase != FRESH) return;
    of->phase = ASKS;
    of->up = ACQUIRE;
    for (int units = 1; units <= CAPACITY; units++) {
        of->units = (uint8_t)units;
        reach(x, &s);
    }
}

static void hear(explorer *x, const state *from, int c)
{
    state s = *from;
    client *of = &s.of[c];
    if (!of->down) return;
    uint8_t slots = of->down_slots, fence = of->down_fence;
    of->down = of->down_slots = of->down_fence = 0;
    if (of->phase == ASKS) {
        of->phase = HOLDS;
        of->believes = slots;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (i != c && s.of[i].believes & slots) s.wrong = TWO_HOLDERS;
        for (int i = 0; i < CAPACITY; i++) {
            if (!(slots >> i & 1)) continue;
            if (fence <= s.told[i]) s.wrong = FENCE;
            s.told[i] = fence;
        }
    }
    reach(x, &s);
}

static void end(explorer *x, const state *from, int c)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->phase != ASKS && of->phase != HOLDS) return;
    of->phase = DONE; /* it gives back, gives up, or its deadline comes */
    of->believes = 0;
    of->up = RELEASE;
    reach(x, &s);
}

static void follow(explorer *x, const void *from, int variant, int size)
{
    (void)size;
    state s;
    memcpy(&s, from, sizeof s);
    for (int c = 0; c < CLIENTS_MAX; c++) {
        ask(x, &s, c);
        arrive(x, &s, c, variant);
        hear(x, &s, c);
        end(x, &s, c);
        expire(x, &s, c, variant);
    }
}

static const char *check(const void *at)
{
    state s;
    int held = 0;
    memcpy(&s, at, sizeof s);
    if (s.wrong == TWO_HOLDERS) return "a permit has two holders";
    if (s.wrong == OVERTAKEN) return "who wants one passed who waits for both";
    if (s.wrong == FENCE) return "a permit's fence did not grow";
    for (int c = 0; c < CLIENTS_MAX; c++) {
        if (s.of[c].held & held) return "the store gave a permit twice";
        held |= s.of[c].held;
    }
    int head = s.queue[0] - 1;
    if (head >= 0 && s.of[head].units <= CAPACITY - count(held))
        return "one who fits was left waiting";
    return NULL;
}

static const char *const sizes[] = {"3 clients, 2 permits", NULL};

_Static_assert(sizeof(state) <= MODEL_STATE_MAX, "a state is small");

const model model_permits = {"permits", variants, sizes, sizeof(state), begin, follow, check};
