/* SPDX-License-Identifier: MIT */
/* A set of slots of a semaphore, one bit for each: slot 0 is the lowest bit of byte 0. */
#ifndef PAWL_SQLITE_SLOTS_H
#define PAWL_SQLITE_SLOTS_H

#include "pawl/types.h"

#include <string.h>

#define PAWL__SLOT_BYTES (PAWL_CAPACITY_MAX / 8)

typedef struct pawl__slots {
    uint8_t bits[PAWL__SLOT_BYTES];
} pawl__slots;

static inline bool pawl__slots_has(const pawl__slots *slots, uint32_t slot)
{
    return slots->bits[slot / 8] >> (slot % 8) & 1;
}

static inline void pawl__slots_add(pawl__slots *slots, uint32_t slot)
{
    slots->bits[slot / 8] |= (uint8_t)(1u << (slot % 8));
}

static inline uint32_t pawl__slots_count(const pawl__slots *slots)
{
    uint32_t count = 0;
    for (size_t i = 0; i < PAWL__SLOT_BYTES; i++)
        count += (uint32_t)__builtin_popcount(slots->bits[i]);
    return count;
}

static inline void pawl__slots_join(pawl__slots *into, const pawl__slots *from)
{
    for (size_t i = 0; i < PAWL__SLOT_BYTES; i++) into->bits[i] |= from->bits[i];
}

/* Writes their numbers, the lowest first; returns how many. ret_list has room for
 * PAWL_CAPACITY_MAX. */
static inline size_t pawl__slots_list(const pawl__slots *slots, uint16_t *ret_list)
{
    size_t count = 0;
    for (uint16_t slot = 0; slot < PAWL_CAPACITY_MAX; slot++)
        if (pawl__slots_has(slots, slot)) ret_list[count++] = slot;
    return count;
}

#endif
