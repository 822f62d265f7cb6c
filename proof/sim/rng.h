/* SPDX-License-Identifier: MIT */
/*
 * Randomness of a run. Every (entity, purpose) draws from a stream of its own, so that
 * leaving out one fault while shrinking changes as little as possible of the rest.
 */
#ifndef PAWL_SIM_RNG_H
#define PAWL_SIM_RNG_H

#include "../../src/base/random.h"

#include <stdbool.h>

typedef enum sim_purpose {
    SIM_RNG_CONFIG = 1, /* entity 0 */
    SIM_RNG_NEMESIS,    /* entity 0 */
    SIM_RNG_CLOCK,      /* entity: client, or 100 for the server */
    SIM_RNG_UP,         /* entity: connection; delays towards the server */
    SIM_RNG_DOWN,       /* entity: connection; delays towards the client */
    SIM_RNG_LINK,       /* entity: client; back-off */
    SIM_RNG_ENGINE,     /* entity: client; the seed of its engines */
    SIM_RNG_CALLER,     /* entity: caller; what it wants, for how long */
    SIM_RNG_SERVER,     /* entity 0; snapshots, what is evicted */
    SIM_RNG_FAULT,      /* entity: number of the fault; its own draws */
    SIM_RNG_KINDS,      /* entity 0; which kinds of lock there are */
    SIM_RNG_STORE,      /* entity 0; options of the store */
    SIM_RNG_TOGETHER    /* entity 0; whether requests travel together */
} sim_purpose;

typedef struct sim_rng {
    uint64_t state;
} sim_rng;

static inline sim_rng sim_rng_make(uint64_t seed, unsigned entity, sim_purpose purpose)
{
    uint64_t s = seed * UINT64_C(0x9e3779b97f4a7c15) + ((uint64_t)purpose << 32 | entity);
    sim_rng rng = {.state = pawl__random_next(&s)};
    return rng;
}

/* 0 .. n - 1; 0 for n < 1. */
static inline int64_t sim_below(sim_rng *rng, int64_t n)
{
    uint64_t draw = pawl__random_next(&rng->state); /* drawn in any case: streams stay aligned */
    return n < 1 ? 0 : (int64_t)(draw % (uint64_t)n);
}

static inline int64_t sim_between(sim_rng *rng, int64_t low, int64_t high)
{
    return low + sim_below(rng, high - low + 1);
}

static inline bool sim_chance(sim_rng *rng, int per_thousand)
{
    return sim_below(rng, 1000) < per_thousand;
}

#endif
