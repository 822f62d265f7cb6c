/* SPDX-License-Identifier: MIT */
/*
 * A random walk over one store: clients, names, tokens, steps drawn from a seed, and
 * the contract that judges each answer. walk_lies.c stands between the two and lies.
 */
#ifndef PAWL_TESTS_WALK_H
#define PAWL_TESTS_WALK_H

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

extern const walk_lie walk_lies[];
extern const size_t walk_lie_count;

#endif
