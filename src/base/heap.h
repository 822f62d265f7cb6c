/* SPDX-License-Identifier: MIT */
/*
 * Timers in a binary heap, intrusive: the owner embeds a pawl__timer. Equal
 * instants fire in the order in which they were set.
 */
#ifndef PAWL_BASE_HEAP_H
#define PAWL_BASE_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pawl__timer {
    int64_t at;
    uint32_t order;         /* of setting; breaks ties. Wraps around: see heap.c */
    uint32_t position : 30; /* in the heap, from 1; 0: not set */
    uint32_t kind : 2;      /* the owner's, to know what contains this timer */
} pawl__timer;

typedef struct pawl__heap {
    pawl__timer **slots; /* slots[0] is the earliest */
    size_t count, room;
    uint32_t order;
} pawl__heap;

#define PAWL__HEAP_MAX ((size_t)(1u << 30) - 1) /* timers in one heap */

/* Makes room for `count` timers in all; false when out of memory. Then setting cannot fail. */
bool pawl__heap_reserve(pawl__heap *heap, size_t count);
void pawl__heap_done(pawl__heap *heap);

/* Sets or moves a timer. The room for it must have been reserved. */
void pawl__heap_set(pawl__heap *heap, pawl__timer *timer, int64_t at);
void pawl__heap_clear(pawl__heap *heap, pawl__timer *timer);

/* The earliest timer or NULL. */
pawl__timer *pawl__heap_first(const pawl__heap *heap);

static inline bool pawl__timer_is_set(const pawl__timer *timer)
{
    return timer->position != 0;
}

#endif
