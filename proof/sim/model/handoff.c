/* SPDX-License-Identifier: MIT */
/*
 * Hand-off with expiry, crash and lost messages. One name; clients that want it a few
 * times, each time with a token of its own; the store as acquire.lua and release.lua have
 * it: holder, fence, queue. Leases and places may end at any moment.
 *
 * Time is reduced to what law 2 needs. A client's deadline counts from the sending of the
 * ask that the store acknowledged last, its base. A base is BEFORE the store's latest
 * grant to the token (or its extension), or AFTER it; when that lease ends at the store,
 * every deadline from a base BEFORE it has passed: the base is DEAD, and who holds by it
 * has lost. A base AFTER it promises nothing of the kind: nobody may hold an old grant
 * by it.
 */
#include "model.h"

#include <string.h>

#define CLIENTS_MAX 3

enum {
    RIGHT,
    OLD_PUSH_BELIEVED,
    DEADLINE_FROM_REPLY,
    DEAD_GRANT_GIVEN,
    RELEASE_WITHOUT_COMPARE,
    ONE_TOKEN_PER_CLIENT,
    FENCE_WITH_THE_PLACE
};
static const char *const variants[] = {"right",
                                       "a push of an old grant is believed",
                                       "the deadline counts from the reply",
                                       "a grant is given after its deadline",
                                       "release without compare",
                                       "one token per client",
                                       "the fence is drawn with the place",
                                       NULL};

enum { IDLE, WAITING, HOLDING, DONE, CRASHED };
enum { NO_BASE, BEFORE, AFTER, DEAD };
enum { NOTHING, SAYS_QUEUED, SAYS_GRANTED };

/* What bounds the model: clients, acquisitions of each, grants in all. */
static const struct bounds {
    uint8_t clients, tokens, grants;
} bounds[] = {{2, 1, 4}, {3, 1, 2}, {2, 2, 4}, {2, 2, 2}};

typedef struct client {
    uint8_t phase;
    uint8_t token;      /* number of the acquisition, from 1 */
    uint8_t base;       /* of the latest acknowledged ask, or of the first */
    uint8_t hold_fence; /* while HOLDING */
    uint8_t floor;      /* the fence that the latest QUEUED told */
    uint8_t ask;        /* under way: its sending is BEFORE, AFTER or DEAD; 0: none */
    uint8_t reply;      /* under way */
    uint8_t reply_base;
    uint8_t reply_fence;
    uint8_t push; /* fence of a push under way; 0: none */
    uint8_t push_token;
    uint8_t release; /* token of a release under way */
    uint8_t ghost;   /* token of an ask of a connection that is no more */
    uint8_t told;    /* the largest fence reported before it began to want */
} client;

typedef struct place {
    uint8_t client, token, fence; /* client + 1; fence: of the wrong variant */
} place;

typedef struct state {
    client c[CLIENTS_MAX];
    place queue[CLIENTS_MAX * 2];
    uint8_t length;
    uint8_t holder, holder_token; /* client + 1 */
    uint8_t fence;                /* the latest that was drawn */
    uint8_t told;                 /* the largest that was reported */
    uint8_t grants;
    struct bounds bound;
    uint8_t broken; /* number of a complaint */
} state;

static const char *const complaints[] = {NULL, "two clients hold the lock",
                                         "a fence was reported that is not the largest",
                                         "the store drew a fence that did not grow"};

static void begin(void *to, int variant, int size)
{
    state s;
    memset(&s, 0, sizeof s);
    (void)variant;
    s.bound = bounds[size];
    memcpy(to, &s, sizeof s);
}

static bool same_token(int variant, uint8_t a, uint8_t b)
{
    return a == b || variant == ONE_TOKEN_PER_CLIENT;
}

/* ---- The store -------------------------------------------------------------- */

static void rebase(uint8_t *base)
{
    if (*base == AFTER) *base = BEFORE;
}

/* The store made it the holder, or extended it: what was sent until now is before that. */
static void set_lease(client *c)
{
    rebase(&c->base);
    rebase(&c->ask);
    rebase(&c->reply_base);
}

static void grant(state *s, int to, uint8_t token, uint8_t fence)
{
    if (fence <= s->fence) s->broken = 3;
    s->fence = fence;
    s->holder = (uint8_t)(to + 1);
    s->holder_token = token;
    s->grants++;
    if (s->c[to].token == token) set_lease(&s->c[to]);
}

static void take_first(state *s)
{
    s->length--;
    memmove(&s->queue[0], &s->queue[1], s->length * sizeof s->queue[0]);
    memset(&s->queue[s->length], 0, sizeof s->queue[0]);
}

/* The head of the queue gets it, and a push that may be lost. */
static void hand_off(state *s, int variant)
{
    s->holder = s->holder_token = 0;
    while (s->length) {
        place head = s->queue[0];
        take_first(s);
        client *c = &s->c[head.client - 1];
        if (c->phase == CRASHED) continue; /* nobody hears it */
        uint8_t fence = (uint8_t)(s->fence + 1);
        if (variant == FENCE_WITH_THE_PLACE) fence = head.fence;
        grant(s, head.client - 1, head.token, fence);
        c->push = fence;
        c->push_token = head.token;
        return;
    }
}

static int place_of(const state *s, int client_number, uint8_t token, int variant)
{
    for (int i = 0; i < s->length; i++)
        if (s->queue[i].client == client_number + 1 &&
            same_token(variant, s->queue[i].token, token))
            return i;
    return -1;
}

static void execute_ask(state *s, int number, uint8_t token, int variant, uint8_t *ret_says,
                        uint8_t *ret_fence)
{
    if (s->holder == number + 1 && same_token(variant, s->holder_token, token)) {
        if (s->c[number].token == token) set_lease(&s->c[number]);
        *ret_says = SAYS_GRANTED;
        *ret_fence = s->fence;
        return;
    }
    if (!s->holder && s->length && s->grants < s->bound.grants &&
        !(s->queue[0].client == number + 1 && s->queue[0].token == token))
        hand_off(s, variant);
    if (!s->holder && s->grants < s->bound.grants) {
        if (s->length) take_first(s);
        grant(s, number, token, (uint8_t)(s->fence + 1));
        *ret_says = SAYS_GRANTED;
        *ret_fence = s->fence;
        return;
    }
    if (place_of(s, number, token, variant) < 0 && s->length < CLIENTS_MAX * 2) {
        uint8_t fence = variant == FENCE_WITH_THE_PLACE ? (uint8_t)(s->fence + 1) : 0;
        s->queue[s->length++] = (place){(uint8_t)(number + 1), token, fence};
    }
    *ret_says = SAYS_QUEUED;
    *ret_fence = s->fence;
}

static void execute_release(state *s, int number, uint8_t token, int variant)
{
    bool mine = s->holder == number + 1 && same_token(variant, s->holder_token, token);
    if (variant == RELEASE_WITHOUT_COMPARE) mine = s->holder != 0;
    int at = place_of(s, number, token, variant);
    if (at >= 0) {
        s->length--;
        memmove(&s->queue[at], &s->queue[at + 1], (size_t)(s->length - at) * sizeof s->queue[0]);
        memset(&s->queue[s->length], 0, sizeof s->queue[0]);
    }
    if (mine && (s->length == 0 || s->grants < s->bound.grants)) hand_off(s, variant);
}

/* ---- Clients ---------------------------------------------------------------- */

static void hold(state *s, int number, uint8_t fence, uint8_t base)
{
    client *c = &s->c[number];
    c->phase = HOLDING;
    c->hold_fence = fence;
    c->base = base;
    if (fence <= c->told) s->broken = 2;
    if (fence > s->told) s->told = fence;
    for (int i = 0; i < s->bound.clients; i++)
        if (i != number && s->c[i].phase == HOLDING) s->broken = 1;
}

static void leave(const state *s, client *c)
{
    c->phase = c->token == s->bound.tokens ? DONE : IDLE;
    c->release = c->token;
    c->hold_fence = c->base = c->floor = 0;
    if (c->ask) c->ghost = c->token;
    c->ask = c->reply = c->reply_base = c->reply_fence = 0;
}

static void want(explorer *x, const state *from, int number)
{
    state s = *from;
    client *c = &s.c[number];
    if (c->phase != IDLE) return;
    c->phase = WAITING;
    c->token++;
    c->told = s.told;
    c->base = AFTER; /* the first ask's sending; no grant was before */
    c->ask = AFTER;
    explorer_reach(x, &s);
}

/* Asks again: a refresh, or after a lost reply; what was under way may still arrive. */
static void ask_again(explorer *x, const state *from, int number)
{
    state s = *from;
    client *c = &s.c[number];
    if (c->phase != WAITING || c->ask || c->reply) return;
    c->ask = AFTER;
    explorer_reach(x, &s);
}

static void read_reply(explorer *x, const state *from, int number, int variant)
{
    state s = *from;
    client *c = &s.c[number];
    if (!c->reply) return;
    uint8_t says = c->reply, base = c->reply_base, fence = c->reply_fence;
    c->reply = c->reply_base = c->reply_fence = 0;
    explorer_reach(x, &s); /* lost on the way */
    if (variant == DEADLINE_FROM_REPLY) base = AFTER;
    if (c->phase == HOLDING && says == SAYS_QUEUED && fence >= c->hold_fence) {
        leave(&s, c);
    } else if (c->phase == WAITING && says == SAYS_QUEUED) {
        c->base = base;
        if (variant != OLD_PUSH_BELIEVED) c->floor = fence;
    } else if (c->phase == WAITING && says == SAYS_GRANTED) {
        c->base = base;
        if (base != DEAD || variant == DEAD_GRANT_GIVEN) hold(&s, number, fence, base);
    }
    explorer_reach(x, &s);
}

static void read_push(explorer *x, const state *from, int number, int variant)
{
    state s = *from;
    client *c = &s.c[number];
    if (!c->push) return;
    uint8_t fence = c->push, token = c->push_token;
    c->push = c->push_token = 0;
    explorer_reach(x, &s); /* lost on the way */
    if (c->phase != WAITING || !same_token(variant, token, c->token)) return;
    if (fence <= c->floor) return;
    if (c->base == DEAD && variant != DEAD_GRANT_GIVEN) return;
    hold(&s, number, fence, c->base);
    explorer_reach(x, &s);
}

static void arrive(explorer *x, const state *from, int number, int variant)
{
    state s = *from;
    client *c = &s.c[number];
    if (c->ask) {
        uint8_t says = NOTHING, fence = 0, lost_says, lost_fence;
        state lost = s; /* it never arrives */
        lost.c[number].ask = 0;
        explorer_reach(x, &lost);
        lost = s; /* the connection is given up; it may arrive later */
        lost.c[number].ghost = c->token;
        lost.c[number].ask = 0;
        if (!c->ghost) explorer_reach(x, &lost);
        lost = s; /* executed, and the reply is lost */
        execute_ask(&lost, number, c->token, variant, &lost_says, &lost_fence);
        lost.c[number].ask = 0;
        explorer_reach(x, &lost);
        execute_ask(&s, number, c->token, variant, &says, &fence);
        c->reply = says;
        c->reply_base = c->ask; /* after the grant, if it was one, has been set before */
        c->reply_fence = fence;
        c->ask = 0;
        explorer_reach(x, &s);
    }
    s = *from;
    if (c->ghost) {
        uint8_t says, fence;
        execute_ask(&s, number, c->ghost, variant, &says, &fence);
        c->ghost = 0;
        explorer_reach(x, &s);
    }
    s = *from;
    if (c->release) {
        uint8_t token = c->release;
        c->release = 0;
        explorer_reach(x, &s); /* lost: the lease runs out */
        execute_release(&s, number, token, variant);
        explorer_reach(x, &s);
    }
}

static void stop(explorer *x, const state *from, int number)
{
    state s = *from;
    client *c = &s.c[number];
    if (c->phase == HOLDING || c->phase == WAITING) { /* released, cancelled, or lost */
        leave(&s, c);
        explorer_reach(x, &s);
    }
    s = *from;
    if (number == 0 && c->phase != CRASHED) {
        memset(c, 0, sizeof *c);
        c->phase = CRASHED;
        explorer_reach(x, &s);
    }
}

/* ---- Time ------------------------------------------------------------------- */

static void run_out(uint8_t *base)
{
    if (*base == BEFORE) *base = DEAD;
}

static void lease_ends(explorer *x, const state *from, int variant)
{
    state s = *from;
    if (!s.holder) return;
    client *c = &s.c[s.holder - 1];
    if (c->token == s.holder_token || variant == ONE_TOKEN_PER_CLIENT) {
        if (c->phase == HOLDING && c->base == BEFORE) leave(&s, c);
        run_out(&c->base);
        run_out(&c->ask);
        run_out(&c->reply_base);
    }
    s.holder = s.holder_token = 0;
    explorer_reach(x, &s);
}

static void place_ends(explorer *x, const state *from)
{
    state s = *from;
    if (!s.length) return;
    take_first(&s);
    explorer_reach(x, &s);
}

static void follow(explorer *x, const void *from, int variant, int size)
{
    state s;
    (void)size;
    memcpy(&s, from, sizeof s);
    if (s.broken) return;
    for (int i = 0; i < s.bound.clients; i++) {
        want(x, &s, i);
        ask_again(x, &s, i);
        arrive(x, &s, i, variant);
        read_reply(x, &s, i, variant);
        read_push(x, &s, i, variant);
        stop(x, &s, i);
    }
    lease_ends(x, &s, variant);
    place_ends(x, &s);
}

static const char *check(const void *at)
{
    state s;
    memcpy(&s, at, sizeof s);
    return complaints[s.broken];
}

static const char *const sizes[] = {
    "2 clients, 1 acquisition each, 4 grants", "3 clients, 1 acquisition each, 2 grants",
    "2 clients, 2 acquisitions each, 4 grants", "2 clients, 2 acquisitions each, 2 grants", NULL};

const model model_handoff = {"hand-off", variants, sizes, sizeof(state), begin, follow, check};
