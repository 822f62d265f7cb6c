/* SPDX-License-Identifier: MIT */
/*
 * Shared, update and exclusive: readers beside each other and beside one who may write later,
 * who upgrades when they have gone; a queue in strict order of arrival; leases and places that
 * end at any moment; requests and answers that are lost, and changes of a mode that come late.
 * A client stops at its deadline, which comes before the store's expiry: so an answer that is
 * still under way when a lease ends is never believed. A lost message never arrives: the next
 * message replaces it. A client comes again when the store has nothing of it left.
 * Wanted: no two hold that exclude each other, nobody who fits is left waiting, and the fence of
 * a writer is the largest so far.
 */
#include "alike.h"
#include "model.h"
#include "queue.h"

#include <string.h>

#define CLIENTS_MAX 3

enum {
    RIGHT,
    TWO_UPDATERS,
    BESIDE_READER,
    LATE_CHANGE,
    PUSH_BELIEVED,
    WAKES_ONE,
    DOWNGRADE_WAKES_NONE,
    PASSES_WRITER,
    KEEPS_FENCE,
    READERS_NOT_STOPPED
};
static const char *const variants[] = {"right",
                                       "update beside update",
                                       "an upgrade is granted beside a reader",
                                       "a change that comes late is done",
                                       "the push of an upgrade is believed",
                                       "a release lets in one reader only",
                                       "a downgrade lets nobody in",
                                       "a reader passes a writer that waits",
                                       "an upgrade draws no fence",
                                       "an upgrade stops no reader",
                                       NULL};

enum { NONE, S, U, X };                       /* modes */
enum { FRESH, ASKS, HOLDS, DONE };            /* phases of a client */
enum { NOTHING, ACQUIRE, RELEASE, CHANGE };   /* requests */
enum { SILENCE, GRANTED, CHANGED, UPGRADED }; /* answers, and the push of an upgrade */
enum { FINE, BESIDE, OVERTAKEN, FENCE };      /* what was seen */

typedef struct client {
    uint8_t phase, mode, believes, upgrading, number;
    uint8_t alone; /* the last answer said: exclusive */
    uint8_t up, up_to, up_number;
    uint8_t late_to, late_number; /* a change that was given up, and may still arrive */
    uint8_t down, down_number, down_fence;
    /* At the store: */
    uint8_t held, fence, seen, pending;
} client;

typedef struct state {
    client of[CLIENTS_MAX];
    uint8_t queue[CLIENTS_MAX]; /* client + 1 */
    uint8_t clients, last_fence, told, told_writer, wrong;
} state;

static int changes_of(int size)
{
    static const int changes[] = {3, 0, 1, 2, 3};
    return changes[size];
}

static void begin(void *to, int variant, int size)
{
    state s = {.clients = size == 0 ? 2 : 3};
    (void)variant;
    memcpy(to, &s, sizeof s);
}

static bool excludes(int a, int b)
{
    return a == X || b == X || (a == U && b == U);
}

/* ---- The store ---------------------------------------------------------------- */

static bool fits(const state *s, int c, int mode, int variant)
{
    for (int i = 0; i < CLIENTS_MAX; i++) {
        int other = s->of[i].held;
        if (i == c || !other) continue;
        if (variant == TWO_UPDATERS && mode == U && other == U) continue;
        if (excludes(mode, other)) return false;
    }
    return true;
}

static void grant(state *s, int c, int mode, int answer)
{
    client *to = &s->of[c];
    to->held = (uint8_t)mode;
    to->fence = ++s->last_fence;
    to->down = (uint8_t)answer;
    to->down_fence = to->fence;
}

/* Grants the upgrade that waits ahead of all, if it is alone now; true: nobody else may come in. */
static bool serve_upgrade(state *s, int variant)
{
    for (int c = 0; c < CLIENTS_MAX; c++) {
        client *of = &s->of[c];
        if (!of->pending) continue;
        bool alone = fits(s, c, X, variant);
        if (alone) {
            of->down_number = of->pending;
            of->pending = 0;
            grant(s, c, X, UPGRADED);
        }
        return alone || variant != READERS_NOT_STOPPED;
    }
    return false;
}

static void serve(state *s, int variant)
{
    if (serve_upgrade(s, variant)) return;
    while (s->queue[0]) {
        int c = s->queue[0] - 1;
        if (!fits(s, c, s->of[c].mode, variant)) return;
        queue_take_out(s->queue, CLIENTS_MAX, c);
        grant(s, c, s->of[c].mode, GRANTED);
        if (variant == WAKES_ONE) return;
    }
}

/* ---- One state of those that differ in names only --------------------------------- */

static void forget_what_means_nothing(state *s, int c)
{
    client *of = &s->of[c];
    bool known = of->held || queue_has(s->queue, CLIENTS_MAX, c);
    if (!of->held) of->fence = of->seen = of->pending = 0;
    if (!of->down) of->down_number = of->down_fence = 0;
    if (of->phase != DONE) return;
    of->down = of->down_number = of->down_fence = 0;
    if (!known) memset(of, 0, sizeof *of); /* it comes again, with a new token */
}

static void reach(explorer *x, const state *at)
{
    state s = *at;
    uint8_t *fences[2 * CLIENTS_MAX + 3] = {&s.last_fence, &s.told, &s.told_writer};
    for (int c = 0; c < CLIENTS_MAX; c++) {
        client *of = &s.of[c];
        forget_what_means_nothing(&s, c);
        fences[3 + 2 * c] = &of->fence;
        fences[4 + 2 * c] = &of->down_fence;
    }
    alike_numbers(fences, sizeof fences / sizeof fences[0]);
    alike_clients(s.of, sizeof s.of[0], s.queue, s.clients);
    explorer_reach(x, &s);
}

static bool upgrade_waits(const state *s)
{
    for (int c = 0; c < CLIENTS_MAX; c++)
        if (s->of[c].pending) return true;
    return false;
}

static void acquire(state *s, int c, int variant)
{
    client *of = &s->of[c];
    if (of->held) {
        of->down = GRANTED;
        of->down_fence = of->fence;
        return;
    }
    bool waits = queue_has(s->queue, CLIENTS_MAX, c),
         passes = variant == PASSES_WRITER && of->mode == S;
    bool stopped = upgrade_waits(s) && variant != READERS_NOT_STOPPED;
    if (!waits && (!s->queue[0] || passes) && !stopped && fits(s, c, of->mode, variant)) {
        if (s->queue[0] || upgrade_waits(s)) s->wrong = OVERTAKEN;
        grant(s, c, of->mode, GRANTED);
    } else if (!waits) {
        int n = 0;
        while (s->queue[n]) n++;
        s->queue[n] = (uint8_t)(c + 1);
    }
}

static void release(state *s, int c, int variant)
{
    client *of = &s->of[c];
    queue_take_out(s->queue, CLIENTS_MAX, c);
    of->held = of->pending = of->down = 0;
    serve(s, variant);
}

static void answer_change(client *of, int number)
{
    of->down = CHANGED;
    of->down_number = (uint8_t)number;
    of->down_fence = of->fence;
}

static void upgrade(state *s, int c, int number, int variant)
{
    client *of = &s->of[c];
    bool alone = fits(s, c, X, variant);
    bool reader_ignored = variant == BESIDE_READER && of->held == U;
    if (!alone && !reader_ignored) {
        of->pending = (uint8_t)number;
        return;
    }
    of->pending = 0;
    of->held = X;
    if (variant != KEEPS_FENCE) of->fence = ++s->last_fence;
    answer_change(of, number);
}

static void change(state *s, int c, int to, int number, int variant)
{
    client *of = &s->of[c];
    if (!of->held) return;
    if (number < of->seen && variant != LATE_CHANGE) return;
    of->seen = (uint8_t)number;
    if (to == X && of->held == U) {
        upgrade(s, c, number, variant);
        return;
    }
    if (to < of->held) of->held = (uint8_t)to;
    of->pending = 0;
    answer_change(of, number);
    if (variant != DOWNGRADE_WAKES_NONE) serve(s, variant);
}

static void arrive(explorer *x, const state *from, int c, int variant)
{
    state s = *from;
    client *of = &s.of[c];
    if (!of->up) return;
    int what = of->up, to = of->up_to, number = of->up_number;
    of->up = of->up_to = of->up_number = 0;
    if (what == ACQUIRE) acquire(&s, c, variant);
    if (what == RELEASE) release(&s, c, variant);
    if (what == CHANGE) change(&s, c, to, number, variant);
    reach(x, &s);
}

static void late_arrives(explorer *x, const state *from, int c, int variant)
{
    state s = *from;
    client *of = &s.of[c];
    if (!of->late_to) return;
    int to = of->late_to, number = of->late_number, down = of->down;
    of->late_to = of->late_number = 0;
    change(&s, c, to, number, variant);
    if (of->down == CHANGED && of->down_number == number) of->down = (uint8_t)down;
    reach(x, &s);
}

/* ---- A client -------------------------------------------------------------------- */

static void send(client *of, int what, int to, int number)
{
    if (of->up == CHANGE) { /* its connection was cut, and it may come late */
        of->late_to = of->up_to;
        of->late_number = of->up_number;
    }
    of->up = (uint8_t)what;
    of->up_to = (uint8_t)to;
    of->up_number = (uint8_t)number;
}

static void ask(explorer *x, const state *from, int c)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->phase == ASKS && !of->up) { /* again */
        send(of, ACQUIRE, 0, 0);
        reach(x, &s);
    }
    for (int mode = S; of->phase == FRESH && mode <= X; mode++) {
        s = *from;
        of->phase = ASKS;
        of->mode = (uint8_t)mode;
        send(of, ACQUIRE, 0, 0);
        reach(x, &s);
        of->phase = FRESH;
    }
}

static void believe(state *s, int c, int mode)
{
    client *of = &s->of[c];
    uint8_t fence = of->down_fence;
    of->believes = (uint8_t)mode;
    for (int i = 0; i < CLIENTS_MAX; i++)
        if (i != c && s->of[i].believes && excludes(mode, s->of[i].believes)) s->wrong = BESIDE;
    /* If the store did not hear of the downgrade, it still holds alone: it keeps its fence. */
    uint8_t above = mode == X ? s->told : s->told_writer;
    if (fence < above || (fence == above && !of->alone)) s->wrong = FENCE;
    of->alone = mode == X;
    if (fence > s->told) s->told = fence;
    if (mode == X && fence > s->told_writer) s->told_writer = fence;
}

static void hear(explorer *x, const state *from, int c, int variant)
{
    state s = *from;
    client *of = &s.of[c];
    int what = of->down, number = of->down_number;
    if (!what) return;
    of->down = 0;
    if (what == GRANTED && of->phase == ASKS) {
        of->phase = HOLDS;
        believe(&s, c, of->mode);
    }
    if (what == CHANGED && of->phase == HOLDS && !of->upgrading && number == of->number)
        of->alone = of->believes == X; /* else it went down, or the upgrade is taken back */
    bool mine = of->phase == HOLDS && of->upgrading && number == of->number;
    if (what == UPGRADED && of->upgrading && of->phase == HOLDS && variant != PUSH_BELIEVED) {
        if (!of->up) send(of, CHANGE, X, of->number); /* it is asked about */
    } else if ((what == CHANGED && mine) ||
               (what == UPGRADED && of->phase == HOLDS && of->upgrading)) {
        of->upgrading = 0;
        believe(&s, c, X);
    }
    of->down_number = of->down_fence = 0;
    reach(x, &s);
}

static void end(explorer *x, const state *from, int c)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->phase != ASKS && of->phase != HOLDS) return;
    of->phase = DONE; /* it gives back, gives up, or its deadline comes */
    of->believes = of->upgrading = 0;
    send(of, RELEASE, 0, 0);
    reach(x, &s);
}

static void want_change(explorer *x, const state *from, int c, int changes_max)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->phase != HOLDS || of->number >= changes_max) return;
    for (int to = S; to <= X; to++) {
        s = *from;
        bool down = to < of->believes, back = to == U && of->believes == U && of->upgrading;
        bool up = of->believes == U && to == X && !of->upgrading;
        if (!down && !back && !up) continue;
        of->number++;
        of->upgrading = up;
        if (down) of->believes = (uint8_t)to;
        send(of, CHANGE, to, of->number);
        reach(x, &s);
    }
    s = *from;
    if (of->number && !of->up) { /* not answered: the same again */
        int to = of->upgrading ? X : of->believes;
        send(of, CHANGE, to, of->number);
        reach(x, &s);
    }
}

/* ---- Time ------------------------------------------------------------------------- */

static void expire(explorer *x, const state *from, int c, int variant)
{
    state s = *from;
    client *of = &s.of[c];
    if (of->held && !of->believes) {
        of->held = of->pending = of->seen = 0;
        of->down = of->down_number = of->down_fence = 0; /* a dead grant */
        serve(&s, variant);
        reach(x, &s);
    }
    s = *from;
    if (queue_has(s.queue, CLIENTS_MAX, c)) {
        queue_take_out(s.queue, CLIENTS_MAX, c);
        serve(&s, variant);
        reach(x, &s);
        return;
    }
    if (!of->pending) return;
    of->pending = 0; /* its place ahead of all */
    serve(&s, variant);
    reach(x, &s);
}

static void follow(explorer *x, const void *from, int variant, int size)
{
    state s;
    memcpy(&s, from, sizeof s);
    for (int c = 0; c < s.clients; c++) {
        ask(x, &s, c);
        arrive(x, &s, c, variant);
        late_arrives(x, &s, c, variant);
        hear(x, &s, c, variant);
        end(x, &s, c);
        want_change(x, &s, c, changes_of(size));
        expire(x, &s, c, variant);
    }
}

static const char *check(const void *at)
{
    state s;
    memcpy(&s, at, sizeof s);
    if (s.wrong == BESIDE) return "two hold of whom one excludes the other";
    if (s.wrong == OVERTAKEN) return "one came in before those who waited";
    if (s.wrong == FENCE) return "a fence was told that is not the largest";
    for (int c = 0; c < CLIENTS_MAX; c++) {
        const client *of = &s.of[c];
        if (of->believes > of->held) return "a client believes in more than the store has given";
    }
    int head = s.queue[0] - 1;
    if (head >= 0 && !upgrade_waits(&s) && fits(&s, head, s.of[head].mode, RIGHT))
        return "one who fits was left waiting";
    return NULL;
}

static const char *const sizes[] = {
    "2 clients, 3 changes each time", "3 clients, no change",
    "3 clients, 1 change each time",  "3 clients, 2 changes each time",
    "3 clients, 3 changes each time", NULL};

_Static_assert(sizeof(state) <= MODEL_STATE_MAX, "a state is small");

const model model_modes = {"modes", variants, sizes, sizeof(state), begin, follow, check};
