/* SPDX-License-Identifier: MIT */
/*
 * Hand-off with expiry, crash and lost messages. One name; clients that want it a few
 * times, each time with a token of its own; the store as acquire.lua and release.lua have
 * it: holder, fence, queue. Leases and places may end at any moment.
 *
 * Time is reduced to what law 2 needs. A client's deadline counts from the sending of the
 * ask that the store acknowledged last, its base. A base is BEFORE the store's latest word
 * about the token (it queued it, granted it, or extended it), or AFTER it. There are two
 * terms. A place ends some time after that word, and a lease that it was handed ends at the
 * same moment: then every deadline that counts the term of a place from a base BEFORE it has
 * passed, and the base is LAPSED. A lease that was granted or extended ends a whole ttl after
 * that word: then every deadline from a base BEFORE it has passed, and the base is DEAD. Who
 * holds by what has passed has lost. A base AFTER it promises nothing of the kind: nobody
 * may hold an old grant by it.
 *
 * The second client's connection may be cut. It is passed over then, and keeps its place.
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
    FENCE_WITH_THE_PLACE,
    HANDED_FOR_A_TTL,
    QUEUED_CONFIRMS,
    CUT_IS_DROPPED
};
static const char *const variants[] = {"right",
                                       "a push of an old grant is believed",
                                       "the deadline counts from the reply",
                                       "a grant is given after its deadline",
                                       "release without compare",
                                       "one token per client",
                                       "the fence is drawn with the place",
                                       "what was handed on is believed for a whole ttl",
                                       "a place that was confirmed confirms the lease",
                                       "who is cut loses its place",
                                       NULL};

enum { IDLE, WAITING, HOLDING, DONE, CRASHED };
enum { NO_BASE, BEFORE, AFTER, LAPSED, DEAD };
enum { NOTHING, SAYS_QUEUED, SAYS_GRANTED, SAYS_NOT_YOURS };

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
    uint8_t ask;        /* under way: its sending is BEFORE, AFTER, LAPSED or DEAD; 0: none */
    uint8_t renews;     /* what is under way is a renewal */
    uint8_t whole;      /* while HOLDING: its deadline counts a whole ttl */
    uint8_t reply;      /* under way */
    uint8_t reply_base;
    uint8_t reply_fence;
    uint8_t push; /* fence of a push under way; 0: none */
    uint8_t push_token;
    uint8_t release;    /* token of a release under way */
    uint8_t late_token; /* token of an ask of a connection that is no more */
    uint8_t told;       /* the largest fence reported before it began to want */
    uint8_t cut;        /* its connection is gone, it will be back */
    uint8_t owed;       /* its place stands: only its own end may take it */
} client;

typedef struct place {
    uint8_t client, token, fence; /* client + 1; fence: of the wrong variant */
} place;

typedef struct state {
    client c[CLIENTS_MAX];
    place queue[CLIENTS_MAX * 2];
    uint8_t length;
    uint8_t holder, holder_token; /* client + 1 */
    uint8_t handed;               /* the lease ends when the place would have */
    uint8_t fence;                /* the latest that was drawn */
    uint8_t told;                 /* the largest that was reported */
    uint8_t grants;
    struct bounds bound;
    uint8_t broken; /* number of a complaint */
} state;

static const char *const complaints[] = {
    NULL, "two clients hold the lock", "a fence was reported that is not the largest",
    "the store drew a fence that did not grow", "a client that was away lost its place"};

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

/* The store's word about the token: what was sent until now is before that. */
static void set_term(client *c)
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
    s->handed = 0;
    s->grants++;
    if (s->c[to].token == token) s->c[to].owed = 0;
}

static void take_out(state *s, int at)
{
    s->length--;
    memmove(&s->queue[at], &s->queue[at + 1], (size_t)(s->length - at) * sizeof s->queue[0]);
    memset(&s->queue[s->length], 0, sizeof s->queue[0]);
}

static bool is_away(const state *s, place of)
{
    return s->c[of.client - 1].cut;
}

/* The first in the queue who is there gets it, and a push that may be lost. */
static void hand_off(state *s, int variant)
{
    s->holder = s->holder_token = s->handed = 0;
    for (int at = 0; at < s->length;) {
        place head = s->queue[at];
        client *c = &s->c[head.client - 1];
        if (is_away(s, head) && variant != CUT_IS_DROPPED) {
            at++;
            continue;
        }
        take_out(s, at);
        if (c->phase == CRASHED || is_away(s, head)) continue; /* nobody hears it */
        uint8_t fence = (uint8_t)(s->fence + 1);
        if (variant == FENCE_WITH_THE_PLACE) fence = head.fence;
        grant(s, head.client - 1, head.token, fence);
        s->handed = 1;
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

/* Nobody who is there stands before it. */
static bool is_its_turn(const state *s, int number, uint8_t token)
{
    int at = 0;
    while (at < s->length && is_away(s, s->queue[at]) && s->queue[at].client != number + 1) at++;
    return at == s->length || (s->queue[at].client == number + 1 && s->queue[at].token == token);
}

static void execute_ask(state *s, int number, uint8_t token, int variant, uint8_t *ret_says,
                        uint8_t *ret_fence)
{
    client *c = &s->c[number];
    if (!s->holder && s->grants < s->bound.grants && !is_its_turn(s, number, token))
        hand_off(s, variant);
    int at = place_of(s, number, token, variant);
    if (c->owed && c->token == token && at < 0) s->broken = 4;
    bool mine = s->holder == number + 1 && same_token(variant, s->holder_token, token);
    if (mine || (!s->holder && s->grants < s->bound.grants)) {
        if (at >= 0 && !mine) take_out(s, at);
        if (!mine) grant(s, number, token, (uint8_t)(s->fence + 1));
        s->handed = 0;
        if (c->token == token) set_term(c);
        *ret_says = SAYS_GRANTED;
        *ret_fence = s->fence;
        return;
    }
    if (at < 0 && s->length < CLIENTS_MAX * 2) {
        uint8_t fence = variant == FENCE_WITH_THE_PLACE ? (uint8_t)(s->fence + 1) : 0;
        s->queue[s->length++] = (place){(uint8_t)(number + 1), token, fence};
    }
    if (c->token == token) {
        set_term(c);
        c->owed = c->phase == WAITING;
    }
    *ret_says = SAYS_QUEUED;
    *ret_fence = s->fence;
}

static void execute_release(state *s, int number, uint8_t token, int variant)
{
    bool mine = s->holder == number + 1 && same_token(variant, s->holder_token, token);
    if (variant == RELEASE_WITHOUT_COMPARE) mine = s->holder != 0;
    int at = place_of(s, number, token, variant);
    if (at >= 0) take_out(s, at);
    if (mine && (s->length == 0 || s->grants < s->bound.grants)) hand_off(s, variant);
}

static uint8_t execute_renewal(state *s, int number, int variant)
{
    client *c = &s->c[number];
    if (s->holder != number + 1 || !same_token(variant, s->holder_token, c->token))
        return SAYS_NOT_YOURS;
    s->handed = 0;
    set_term(c);
    return SAYS_GRANTED;
}

/* ---- Clients ---------------------------------------------------------------- */

static void hold(state *s, int number, uint8_t fence, uint8_t base, bool whole)
{
    client *c = &s->c[number];
    c->phase = HOLDING;
    c->whole = whole;
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
    if (c->ask && !c->renews) c->late_token = c->token;
    c->ask = c->renews = c->reply = c->reply_base = c->reply_fence = 0;
    c->whole = c->owed = 0;
}

static void want(explorer *x, const state *from, int number)
{
    state s = *from;
    client *c = &s.c[number];
    if (c->phase != IDLE || c->cut) return;
    c->phase = WAITING;
    c->token++;
    c->told = s.told;
    c->base = AFTER; /* the first ask's sending; no grant was before */
    c->ask = AFTER;
    explorer_reach(x, &s);
}

/*
 * Asks again: a refresh, or after a lost reply; what was under way may still arrive. Who was
 * handed the lock asks by a renewal, which makes it a whole ttl.
 */
static void ask_again(explorer *x, const state *from, int number)
{
    state s = *from;
    client *c = &s.c[number];
    bool confirms = c->phase == HOLDING && !c->whole;
    if ((c->phase != WAITING && !confirms) || c->ask || c->reply || c->cut) return;
    c->ask = AFTER;
    c->renews = confirms;
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
    bool older = says == SAYS_QUEUED && fence < c->hold_fence; /* from before the hand-off */
    if (c->phase == HOLDING && says != SAYS_GRANTED && !older) {
        leave(&s, c);
    } else if (c->phase == HOLDING && (says == SAYS_GRANTED || variant == QUEUED_CONFIRMS)) {
        c->base = base;
        c->whole = 1;
    } else if (c->phase == WAITING && says == SAYS_QUEUED) {
        c->base = base;
        if (variant != OLD_PUSH_BELIEVED) c->floor = fence;
    } else if (c->phase == WAITING && says == SAYS_GRANTED) {
        c->base = base;
        if (base != DEAD || variant == DEAD_GRANT_GIVEN) hold(&s, number, fence, base, true);
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
    if ((c->base == DEAD || c->base == LAPSED) && variant != DEAD_GRANT_GIVEN) return;
    hold(&s, number, fence, c->base, variant == HANDED_FOR_A_TTL);
    explorer_reach(x, &s);
}

static void arrive(explorer *x, const state *from, int number, int variant)
{
    state s = *from;
    client *c = &s.c[number];
    if (c->ask) {
        uint8_t says = NOTHING, fence = 0;
        bool renews = c->renews;
        state lost = s; /* it never arrives */
        lost.c[number].ask = lost.c[number].renews = 0;
        explorer_reach(x, &lost);
        lost = s; /* the connection is given up; it may arrive later */
        lost.c[number].late_token = c->token;
        lost.c[number].ask = 0;
        if (!c->late_token && !renews) explorer_reach(x, &lost);
        if (renews)
            says = execute_renewal(&s, number, variant);
        else
            execute_ask(&s, number, c->token, variant, &says, &fence);
        c->renews = 0;
        lost = s; /* executed, and the reply is lost */
        lost.c[number].ask = 0;
        explorer_reach(x, &lost);
        c->reply = says;
        c->reply_base = c->ask; /* after the grant, if it was one, has been set before */
        c->reply_fence = fence;
        c->ask = 0;
        explorer_reach(x, &s);
    }
    s = *from;
    if (c->late_token) {
        uint8_t says, fence;
        execute_ask(&s, number, c->late_token, variant, &says, &fence);
        c->late_token = 0;
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

/* Its connection is cut: what was under way to it is lost, what it asked may arrive. It comes back.
 */
static void cut(explorer *x, const state *from, int number)
{
    state s = *from;
    client *c = &s.c[number];
    if (number != 1) return;
    if (c->cut) {
        c->cut = 0;
        if (c->phase == WAITING) c->ask = AFTER; /* at once: its push may have been lost */
        explorer_reach(x, &s);
        return;
    }
    if (c->phase != WAITING || (c->ask && c->late_token)) return;
    if (c->ask) c->late_token = c->token;
    c->cut = 1;
    c->ask = c->reply = c->reply_base = c->reply_fence = c->push = c->push_token = 0;
    explorer_reach(x, &s);
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

/* A term has ended that began after all bases BEFORE it were sent. */
static void run_out(uint8_t *base, bool whole)
{
    if (*base == BEFORE) *base = whole ? DEAD : LAPSED;
    if (*base == LAPSED && whole) *base = DEAD;
}

static void all_run_out(client *c, bool whole)
{
    run_out(&c->base, whole);
    run_out(&c->ask, whole);
    run_out(&c->reply_base, whole);
}

static void lease_ends(explorer *x, const state *from, int variant)
{
    state s = *from;
    if (!s.holder) return;
    client *c = &s.c[s.holder - 1];
    if (c->token == s.holder_token || variant == ONE_TOKEN_PER_CLIENT) {
        uint8_t last = c->whole ? DEAD : LAPSED; /* from this base on its deadline has passed */
        all_run_out(c, !s.handed);
        if (c->phase == HOLDING && c->base >= last) leave(&s, c);
    }
    s.holder = s.holder_token = s.handed = 0;
    explorer_reach(x, &s);
}

static void place_ends(explorer *x, const state *from)
{
    state s = *from;
    if (!s.length) return;
    client *c = &s.c[s.queue[0].client - 1];
    if (c->token == s.queue[0].token) {
        c->owed = 0;
        all_run_out(c, false);
    }
    take_out(&s, 0);
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
        cut(x, &s, i);
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
