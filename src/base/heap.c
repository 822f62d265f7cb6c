/* SPDX-License-Identifier: MIT */
#include "heap.h"

#include <stdlib.h>

/* Which of two timers of one instant was set first. Right while fewer than 2^31 were set between
 * them. */
static bool set_earlier(const pawl__timer *a, const pawl__timer *b)
{
    return (int32_t)(a->order - b->order) < 0;
}

static bool earlier(const pawl__timer *a, const pawl__timer *b)
{
    return a->at != b->at ? a->at < b->at : set_earlier(a, b);
}

static void place(pawl__heap *heap, size_t i, pawl__timer *timer)
{
    heap->slots[i] = timer;
    timer->position = (uint32_t)(i + 1) & PAWL__HEAP_MAX;
}

static void sift_up(pawl__heap *heap, size_t i, pawl__timer *timer)
{
    while (i > 0) {
        size_t parent = (i - 1) / 2;
        if (!earlier(timer, heap->slots[parent])) break;
        place(heap, i, heap->slots[parent]);
        i = parent;
    }
    place(heap, i, timer);
}

static void sift_down(pawl__heap *heap, size_t i, pawl__timer *timer)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= heap->count) break;
        if (child + 1 < heap->count && earlier(heap->slots[child + 1], heap->slots[child])) child++;
        if (!earlier(heap->slots[child], timer)) break;
        place(heap, i, heap->slots[child]);
        i = child;
    }
    place(heap, i, timer);
}

static void sift(pawl__heap *heap, size_t i, pawl__timer *timer)
{
    if (i > 0 && earlier(timer, heap->slots[(i - 1) / 2])) {
        sift_up(heap, i, timer);
        return;
    }
    sift_down(heap, i, timer);
}

bool pawl__heap_reserve(pawl__heap *heap, size_t count)
{
    if (count <= heap->room) return true;
    if (count > PAWL__HEAP_MAX) return false;
    size_t room = heap->room ? heap->room * 2 : 16;
    if (room < count) room = count;
    pawl__timer **slots = realloc(heap->slots, room * sizeof(pawl__timer *));
    if (!slots) return false;
    heap->slots = slots;
    heap->room = room;
    return true;
}

void pawl__heap_done(pawl__heap *heap)
{
    free(heap->slots);
    *heap = (pawl__heap){0};
}

void pawl__heap_set(pawl__heap *heap, pawl__timer *timer, int64_t at)
{
    timer->at = at;
    timer->order = ++heap->order;
    if (!timer->position) {
        size_t last = heap->count++;
        sift_up(heap, last, timer);
        return;
    }
    sift(heap, timer->position - 1, timer);
}

void pawl__heap_clear(pawl__heap *heap, pawl__timer *timer)
{
    if (!timer->position) return;
    size_t i = timer->position - 1;
    timer->position = 0;
    pawl__timer *last = heap->slots[--heap->count];
    if (last != timer) sift(heap, i, last);
}

pawl__timer *pawl__heap_first(const pawl__heap *heap)
{
    return heap->count ? heap->slots[0] : NULL;
}
