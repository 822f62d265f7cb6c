/* SPDX-License-Identifier: MIT */
/* The store's queue in a model: for each place, from the first, a client + 1; 0 behind the last. */
#ifndef PAWL_SIM_MODEL_QUEUE_H
#define PAWL_SIM_MODEL_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

static inline bool queue_has(const uint8_t *queue, int places, int c)
{
    for (int i = 0; i < places; i++)
        if (queue[i] == c + 1) return true;
    return false;
}

/* Those behind it move up. */
static inline void queue_take_out(uint8_t *queue, int places, int c)
{
    int n = 0;
    for (int i = 0; i < places; i++)
        if (queue[i] && queue[i] != c + 1) queue[n++] = queue[i];
    while (n < places) queue[n++] = 0;
}

#endif
