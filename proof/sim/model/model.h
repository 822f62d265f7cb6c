/* SPDX-License-Identifier: MIT */
/*
 * Small models of the protocols, explored completely: every order of everything that may
 * happen, with messages late or lost and leases that end at any moment. No clocks and no
 * probabilities; a mistake that the random simulator finds once in a million runs is
 * found here in a second, if the model can have it at all. Each has wrong variants that must fail.
 */
#ifndef PAWL_SIM_MODEL_H
#define PAWL_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_STATE_MAX 96

typedef struct explorer explorer;

typedef struct model {
    const char *name;
    const char *const *variants; /* the first is the right one; NULL-terminated */
    const char *const *sizes;    /* what a size means, in words; NULL-terminated */
    size_t state_size;
    void (*begin)(void *state, int variant, int size);
    /* Calls explorer_reach for each state that may follow. */
    void (*follow)(explorer *x, const void *state, int variant, int size);
    /* NULL, or what is wrong with this state. */
    const char *(*check)(const void *state);
} model;

/* A state that may follow the one that is being looked at. */
void explorer_reach(explorer *x, const void *state);

typedef struct exploration {
    uint64_t states;
    const char *broken; /* NULL: nothing is wrong in any state */
    uint64_t depth;     /* steps to the broken one */
    bool too_many;      /* the limit came first */
} exploration;

/* Everything reachable, or until something is wrong. */
exploration explore(const model *m, int variant, int size, uint64_t states_max);

extern const model model_handoff, model_modes, model_permits, model_quorum, model_restart;

#endif
