/* SPDX-License-Identifier: MIT */
/* A small deterministic stream for jitter and simulations (Vigna's splitmix64). Not for secrets. */
#ifndef PAWL_BASE_RANDOM_H
#define PAWL_BASE_RANDOM_H

#include <stdint.h>

static inline uint64_t pawl__random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Between 75 % and 125 % of span: retries of many clients spread out. */
static inline int64_t pawl__random_jitter(uint64_t *state, int64_t span)
{
    return span - span / 4 + (int64_t)(pawl__random_next(state) % (uint64_t)(span / 2 + 1));
}

#endif
