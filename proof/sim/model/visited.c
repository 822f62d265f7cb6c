/* SPDX-License-Identifier: MIT */
/*
 * Breadth-first over all states. The visited set keeps 128-bit hashes: with 10^8 states
 * the chance of one hidden collision is about 10^-23. Breadth-first so that what is found
 * wrong is found on a shortest way.
 */
#include "model.h"

#include <stdlib.h>
#include <string.h>

typedef struct print {
    uint64_t high, low; /* both zero: a free slot */
} print;

struct explorer {
    const model *m;
    print *slots;
    size_t room; /* a power of two */
    uint64_t states;
    unsigned char *now, *next; /* states of this depth and of the following */
    size_t now_count, next_count, next_room;
};

static uint64_t mix(uint64_t h)
{
    h = (h ^ (h >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    h = (h ^ (h >> 27)) * UINT64_C(0x94d049bb133111eb);
    return h ^ (h >> 31);
}

static print print_of(const unsigned char *state, size_t size)
{
    print p = {UINT64_C(0x9e3779b97f4a7c15), UINT64_C(0xd1b54a32d192ed03)};
    for (size_t i = 0; i < size; i += 8) {
        uint64_t word = 0;
        memcpy(&word, state + i, size - i < 8 ? size - i : 8);
        p.high = mix(p.high ^ word);
        p.low = mix(p.low + word * UINT64_C(0x9fb21c651e98df25) + i);
    }
    if (!p.high && !p.low) p.low = 1;
    return p;
}

static bool insert(print *slots, size_t room, print p)
{
    for (size_t i = (size_t)p.low & (room - 1);; i = (i + 1) & (room - 1)) {
        if (slots[i].high == p.high && slots[i].low == p.low) return false;
        if (slots[i].high || slots[i].low) continue;
        slots[i] = p;
        return true;
    }
}

static void grow(explorer *x)
{
    size_t room = x->room * 2;
    print *slots = calloc(room, sizeof *slots);
    if (!slots) abort();
    for (size_t i = 0; i < x->room; i++)
        if (x->slots[i].high || x->slots[i].low) (void)insert(slots, room, x->slots[i]);
    free(x->slots);
    x->slots = slots;
    x->room = room;
}

void explorer_reach(explorer *x, const void *state)
{
    size_t size = x->m->state_size;
    if (x->states * 10 > x->room * 7) grow(x);
    if (!insert(x->slots, x->room, print_of(state, size))) return;
    x->states++;
    if (x->next_count == x->next_room) {
        x->next_room = x->next_room ? x->next_room * 2 : 1024;
        x->next = realloc(x->next, x->next_room * size);
        if (!x->next) abort();
    }
    memcpy(x->next + size * x->next_count++, state, size);
}

static const char *look_at_depth(explorer *x, int variant, int number)
{
    for (size_t i = 0; i < x->now_count; i++) {
        const unsigned char *state = x->now + i * x->m->state_size;
        const char *broken = x->m->check(state);
        if (broken) return broken;
        x->m->follow(x, state, variant, number);
    }
    return NULL;
}

exploration explore(const model *m, int variant, int size, uint64_t states_max)
{
    unsigned char first[MODEL_STATE_MAX] = {0};
    explorer x = {.m = m, .room = 1024};
    exploration result = {0};
    x.slots = calloc(x.room, sizeof *x.slots);
    if (!x.slots) abort();
    m->begin(first, variant, size);
    explorer_reach(&x, first);
    while (x.next_count && !result.broken && !result.too_many) {
        free(x.now);
        x.now = x.next;
        x.now_count = x.next_count;
        x.next = NULL;
        x.next_count = x.next_room = 0;
        result.broken = look_at_depth(&x, variant, size);
        result.too_many = x.states > states_max;
        result.depth++;
    }
    result.states = x.states;
    free(x.now);
    free(x.next);
    free(x.slots);
    return result;
}
