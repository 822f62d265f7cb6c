/* SPDX-License-Identifier: MIT */
/*
 * A random walk over one store: clients, names, tokens, steps drawn from a seed, and
 * the contract that judges each answer. walk_lies.c stands between the two and lies.
 */
#ifndef PAWL_TESTS_WALK_H
#define PAWL_TESTS_WALK_H

#include "../../../src/base/random.h"
#include "conformance.h"
#include "contract.h"

enum { WALK_CLIENTS = 3, WALK_NAMES = 3 };

/* One request, on its way to the store or back. */
typedef struct walk_ask {
    client *client;
    int name;
    contract_ask seen;
} walk_ask;

typedef struct walk_lie walk_lie;

typedef struct walk_name {
    char text[64];
    char tokens[CONTRACT_TOKENS][PAWL_TOKEN_LEN + 1];
    contract contract;
    /* For lies: the last request that queued a token, who sent it; whether it waits. */
    walk_ask queued[CONTRACT_TOKENS];
    bool waits[CONTRACT_TOKENS];
    uint64_t fence_before; /* of the grant before the last */
    uint64_t fence;
    int value_before, value; /* published */
    int published;           /* how many there were, with those that were refused */
    char value_text[12];     /* on its way */
} walk_name;

/* Sends one request past the contract: for lies. */
pawl_outcome walk_ask_unseen(walk_name *name, const walk_ask *ask);

/* What a store that breaks the contract would do, each in its own way. */
struct walk_lie {
    const char *name;
    const char *what;
    void (*before)(walk_name *name, walk_ask *ask); /* may change what is sent, or ask by itself */
    void (*after)(walk_name *name, walk_ask *ask);  /* may change what was answered */
    bool (*push)(pawl_push *push);                  /* may change it; false: it is lost */
    void (*row)(pawl_info *row);
};

/* ---- Drawing -------------------------------------------------------------------------- */

typedef struct dice {
    uint64_t state;
} dice;

static inline int below(dice *d, int n)
{
    return (int)(pawl__random_next(&d->state) % (uint64_t)n);
}

/* A lease that lives in a session cannot be detached later: there one token's always are, and the
 * others' never. */
static inline unsigned detached_for_good(const stage *s, int token)
{
    return s->kind->in_session && token == 0 ? PAWL_ASK_DETACHED : 0;
}

/* The command line; a usage error ends the program. */
typedef struct walk_options {
    uint64_t seed, seeds, steps, seconds;
    const walk_lie *lie;
    bool lies;
} walk_options;

__attribute__((nonnull)) void walk_read_options(walk_options *o, int argc, char **argv);

extern const walk_lie walk_lies[];
extern const size_t walk_lie_count;

#endif
