/* SPDX-License-Identifier: MIT */
/*
 * The restart guard: beside the locks lies the server's run_id. Where it
 * differs or is missing, the server may have forgotten grants, and gives none until one
 * largest ttl has passed. Leases are short or long; a client stops at its deadline, which
 * comes before the store's expiry; the server may restart at any moment with everything,
 * with an older state, or with nothing. Wanted: never two that hold.
 */
#include "model.h"

#include <string.h>

#define CLIENTS_MAX  3
#define RESTARTS_MAX 2

enum { RIGHT, NO_GUARD, OWN_TTL, MISSING_IS_NEW };
static const char *const variants[] = {"right", "no guard",
                                       "the guard waits for the asker's own ttl",
                                       "a missing run_id means a new server", NULL};

enum { NOTHING, SHORT, LONG };

typedef struct state {
    uint8_t holds[CLIENTS_MAX]; /* by its own clock: NOTHING, SHORT, LONG */
    uint8_t old[CLIENTS_MAX];   /* that lease was granted before the latest restart */
    uint8_t owner;              /* at the server: client + 1; 0: nobody */
    uint8_t stale;              /* the owner that an older state has */
    uint8_t run;                /* of the server */
    uint8_t noted;              /* run_id beside the locks; 0: missing */
    uint8_t stale_noted;
    uint8_t refusing; /* grants none: the guard's time runs */
    uint8_t crashed;  /* mask: clients that renew no more */
} state;

static void begin(void *to, int variant, int size)
{
    state s;
    memset(&s, 0, sizeof s);
    (void)variant, (void)size;
    s.run = 1;
    s.noted = s.stale_noted = 1; /* the server begins with its run_id noted */
    memcpy(to, &s, sizeof s);
}

/* The script's first look: does the run_id still match? */
static bool is_open(state *s, int variant)
{
    if (variant == NO_GUARD || s->noted == s->run) return !s->refusing;
    if (variant == MISSING_IS_NEW && s->noted == 0) {
        s->noted = s->run;
        return true;
    }
    s->noted = s->run;
    s->refusing = 1;
    return false;
}

static void acquire(explorer *x, const state *from, int c, int kind, int variant)
{
    state s = *from;
    if (s.holds[c]) return;
    bool open = is_open(&s, variant);
    if (!open && variant == OWN_TTL && kind == SHORT && s.refusing) {
        /* It has waited for a short ttl: earlier short leases are over, long ones are not. */
        open = true;
        for (int i = 0; i < CLIENTS_MAX; i++)
            if (s.old[i] && s.holds[i] == SHORT) open = false;
    }
    if (open && !s.owner) {
        s.owner = (uint8_t)(c + 1);
        s.holds[c] = (uint8_t)kind;
        s.old[c] = 0;
    }
    explorer_reach(x, &s);
}

static void release(explorer *x, const state *from, int c)
{
    state s = *from;
    if (!s.holds[c]) return;
    s.holds[c] = s.old[c] = 0;
    if (s.owner == c + 1) s.owner = 0;
    explorer_reach(x, &s);
    s = *from; /* its deadline comes, or it dies: the server learns nothing */
    s.holds[c] = s.old[c] = 0;
    explorer_reach(x, &s);
}

static void renew(explorer *x, const state *from, int c)
{
    state s = *from;
    if (!s.holds[c]) return;
    if (s.owner == c + 1) {
        s.old[c] = 0;
    } else {
        s.holds[c] = s.old[c] = 0; /* not the owner: lost */
    }
    explorer_reach(x, &s);
}

/* The server's lease ends only after its holder's own deadline (law 2). */
static void expire(explorer *x, const state *from)
{
    state s = *from;
    if (!s.owner || s.holds[s.owner - 1]) return;
    s.owner = 0;
    explorer_reach(x, &s);
}

static void restart(explorer *x, const state *from, int memory)
{
    state s = *from;
    if (s.run > RESTARTS_MAX) return;
    s.run++;
    s.refusing = 0;
    for (int c = 0; c < CLIENTS_MAX; c++) s.old[c] = s.holds[c] != NOTHING;
    if (memory == 1) {
        s.owner = s.stale;
        s.noted = s.stale_noted;
    }
    if (memory == 2) s.owner = s.noted = 0;
    explorer_reach(x, &s);
}

static void remember(explorer *x, const state *from)
{
    state s = *from;
    s.stale = s.owner;
    s.stale_noted = s.noted;
    explorer_reach(x, &s);
}

/* One largest ttl has passed since the guard began, so every earlier lease is over. */
static void guard_ends(explorer *x, const state *from)
{
    state s = *from;
    if (!s.refusing) return;
    for (int c = 0; c < CLIENTS_MAX; c++)
        if (s.old[c] && s.holds[c]) return;
    s.refusing = 0;
    explorer_reach(x, &s);
}

static void follow(explorer *x, const void *from, int variant, int size)
{
    state s;
    memcpy(&s, from, sizeof s);
    for (int c = 0; c < size + 2; c++) {
        acquire(x, &s, c, SHORT, variant);
        acquire(x, &s, c, LONG, variant);
        release(x, &s, c);
        renew(x, &s, c);
    }
    expire(x, &s);
    for (int memory = 0; memory < 3; memory++) restart(x, &s, memory);
    remember(x, &s);
    guard_ends(x, &s);
}

static const char *check(const void *at)
{
    state s;
    int holders = 0;
    memcpy(&s, at, sizeof s);
    for (int c = 0; c < CLIENTS_MAX; c++) holders += s.holds[c] != NOTHING;
    return holders > 1 ? "two clients hold the lock" : NULL;
}

static const char *const sizes[] = {"2 clients", "3 clients", NULL};

const model model_restart = {"restart guard", variants, sizes, sizeof(state), begin, follow, check};
