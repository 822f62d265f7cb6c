/* SPDX-License-Identifier: MIT */
/* What the random walks of a store beside the memory model have in common: draws, and fences. */
#ifndef PAWL_TESTS_BESIDE_MODEL_H
#define PAWL_TESTS_BESIDE_MODEL_H

#include "pawl/store.h"

#include <stdbool.h>
#include <stdint.h>

/* ---- Draws ----------------------------------------------------------------------------------- */

uint64_t draw_below(uint64_t *random, uint64_t below);

/* A mode; now and then one that does not fit what is held. permits: mostly those. */
pawl_mode draw_mode(uint64_t *random, bool permits);

/* Mode, capacity and units that a token asks for as long as it lives. */
pawl_request draw_wish(uint64_t *random, bool permits);

/* A request without name, token and owner. An acquisition asks for what is wished. */
pawl_request draw_request(uint64_t *random, bool permits, const pawl_request *wish);

/* ---- Fences ---------------------------------------------------------------------------------- */

/* They are numbers of different clocks: what must agree is which is which. */
typedef struct fence_pair {
    uint64_t real, modelled;
} fence_pair;

enum { FENCE_PAIRS_MAX = 2048 };

typedef struct fence_pairs {
    fence_pair pairs[FENCE_PAIRS_MAX];
    int count;
} fence_pairs;

/*
 * Whether both have seen this fence, or it is new to both and stands in the same order to all
 * others: the model's grow, so the store's do.
 */
bool fences_agree(fence_pairs *fences, uint64_t real, uint64_t modelled);

/* One of the latest, which may hold still. NULL: there was none yet. */
const fence_pair *draw_fence(const fence_pairs *fences, uint64_t *random);

#endif
