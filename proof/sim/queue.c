/* SPDX-License-Identifier: MIT */
#include "queue.h"

#include <stdlib.h>

static bool earlier(const sim_event *a, const sim_event *b)
{
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

void sim_queue_done(sim_queue *queue)
{
    free(queue->slots);
    *queue = (sim_queue){0};
}

static void grow(sim_queue *queue)
{
    queue->room = queue->room ? queue->room * 2 : 256;
    queue->slots = realloc(queue->slots, queue->room * sizeof *queue->slots);
    if (!queue->slots) abort();
}

void sim_queue_put(sim_queue *queue, sim_event event)
{
    if (queue->count == queue->room) grow(queue);
    event.order = ++queue->order;
    size_t i = queue->count++;
    while (i > 0 && earlier(&event, &queue->slots[(i - 1) / 2])) {
        queue->slots[i] = queue->slots[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    queue->slots[i] = event;
}

bool sim_queue_take(sim_queue *queue, sim_event *ret_event)
{
    if (!queue->count) return false;
    *ret_event = queue->slots[0];
    sim_event last = queue->slots[--queue->count];
    size_t i = 0;
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= queue->count) break;
        if (child + 1 < queue->count && earlier(&queue->slots[child + 1], &queue->slots[child]))
            child++;
        if (!earlier(&queue->slots[child], &last)) break;
        queue->slots[i] = queue->slots[child];
        i = child;
    }
    queue->slots[i] = last;
    return true;
}
