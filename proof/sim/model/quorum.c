/* SPDX-License-Identifier: MIT */
/*
 * Tokens of a quorum: three nodes, each with an owner and a counter.
 *
 *   ACQ(v)     if nobody owns it: owner = v, ctr = ctr + 1, answer ctr
 *   F          = the largest of a majority of answers
 *   SEAL(v, F) accepted iff owner = v and ctr <= F; then ctr = F
 *   reported   when a majority accepted
 *
 * Keys may expire at any moment, messages arrive late or never, replies may be lost.
 * Wanted: reported tokens differ, and one reported before another began is smaller.
 */
#include "model.h"

#include <string.h>

#define NODES 3
#define MAX_A 3

enum { RIGHT, NO_SEAL, SEAL_WITHOUT_OWNER, SEAL_WITHOUT_COUNTER, ONE_SEAL_IS_ENOUGH, NODE_FORGETS };
static const char *const variants[] = {"right",
                                       "no seal",
                                       "seal without the owner's test",
                                       "seal without the counter's test",
                                       "one seal is enough",
                                       "a node restarts empty",
                                       NULL};

typedef struct acquisition {
    uint8_t answer[NODES]; /* 0: not asked yet, 1: refused, 2 + ctr: granted */
    uint8_t seal[NODES];   /* 0: not asked yet, 1: refused, 2: accepted */
    uint8_t token;         /* chosen F; 0: none yet */
    uint8_t reported;
    uint8_t began;
    uint8_t before; /* mask of those that had been reported when it began */
} acquisition;

typedef struct state {
    uint8_t owner[NODES]; /* acquisition + 1; 0: nobody */
    uint8_t ctr[NODES];
    acquisition a[MAX_A];
    uint8_t count, forgot;
} state;

static void begin(void *to, int variant, int size)
{
    state s;
    memset(&s, 0, sizeof s);
    (void)variant;
    s.count = (uint8_t)(size + 2);
    memcpy(to, &s, sizeof s);
}

static void acquire(explorer *x, const state *from, int a, int n)
{
    state s = *from;
    acquisition *q = &s.a[a];
    if (q->answer[n]) return;
    if (!q->began)
        for (int b = 0; b < s.count; b++) q->before |= (uint8_t)(s.a[b].reported << b);
    q->began = 1;
    if (s.owner[n]) {
        q->answer[n] = 1;
    } else {
        s.owner[n] = (uint8_t)(a + 1);
        s.ctr[n]++;
        q->answer[n] = (uint8_t)(2 + s.ctr[n]);
    }
    explorer_reach(x, &s);
}

/* The client counts any majority of grants: other replies may be lost or late. */
static void choose(explorer *x, const state *from, int a, int variant)
{
    if (from->a[a].token) return;
    for (int mask = 0; mask < 1 << NODES; mask++) {
        int grants = 0;
        uint8_t most = 0;
        for (int n = 0; n < NODES; n++) {
            if (!(mask & 1 << n)) continue;
            uint8_t answer = from->a[a].answer[n];
            if (answer < 2) break;
            grants++;
            if (answer - 2 > most) most = (uint8_t)(answer - 2);
        }
        if (grants < 2 || grants != __builtin_popcount((unsigned)mask)) continue;
        state s = *from;
        s.a[a].token = most;
        if (variant == NO_SEAL) s.a[a].reported = 1;
        explorer_reach(x, &s);
    }
}

static void seal(explorer *x, const state *from, int a, int n, int variant)
{
    state s = *from;
    acquisition *q = &s.a[a];
    if (!q->token || q->seal[n] || variant == NO_SEAL) return;
    bool owner = s.owner[n] == a + 1 || variant == SEAL_WITHOUT_OWNER;
    bool counter = s.ctr[n] <= q->token || variant == SEAL_WITHOUT_COUNTER;
    q->seal[n] = owner && counter ? 2 : 1;
    if (q->seal[n] == 2 && s.ctr[n] < q->token) s.ctr[n] = q->token;
    explorer_reach(x, &s);
}

static void report(explorer *x, const state *from, int a, int variant)
{
    state s = *from;
    int accepted = 0;
    for (int n = 0; n < NODES; n++) accepted += s.a[a].seal[n] == 2;
    if (s.a[a].reported || accepted < (variant == ONE_SEAL_IS_ENOUGH ? 1 : 2)) return;
    s.a[a].reported = 1;
    explorer_reach(x, &s);
}

static void lose(explorer *x, const state *from, int n, int variant)
{
    state s = *from;
    if (s.owner[n]) {
        s.owner[n] = 0; /* expired, or released */
        explorer_reach(x, &s);
    }
    if (variant != NODE_FORGETS || s.forgot) return;
    s.forgot = 1;
    s.owner[n] = s.ctr[n] = 0;
    explorer_reach(x, &s);
}

static void follow(explorer *x, const void *from, int variant, int size)
{
    state s;
    (void)size;
    memcpy(&s, from, sizeof s);
    for (int a = 0; a < s.count; a++) {
        for (int n = 0; n < NODES; n++) acquire(x, &s, a, n);
        choose(x, &s, a, variant);
        for (int n = 0; n < NODES; n++) seal(x, &s, a, n, variant);
        report(x, &s, a, variant);
    }
    for (int n = 0; n < NODES; n++) lose(x, &s, n, variant);
}

static const char *check(const void *at)
{
    state s;
    memcpy(&s, at, sizeof s);
    for (int a = 0; a < s.count; a++) {
        for (int b = 0; b < s.count; b++) {
            if (a == b || !s.a[a].reported || !s.a[b].reported) continue;
            if (s.a[a].token == s.a[b].token) return "two grants were reported with one token";
            if (s.a[b].before & 1 << a && s.a[a].token > s.a[b].token)
                return "a later grant was reported with a smaller token";
        }
    }
    return NULL;
}

static const char *const sizes[] = {"2 acquisitions", "3 acquisitions", NULL};

const model model_quorum = {"quorum tokens", variants, sizes, sizeof(state), begin, follow, check};
