/* SPDX-License-Identifier: MIT */
/*
 * Atomic operations, as weak as their order allows.
 *
 * Each atomic word keeps its latest stores with the thread and clock of each, and what a release
 * store published. A load may see any of them that is not older than one which it must know: one
 * in its own past, one that its thread has seen before, and for sequentially consistent loads the
 * latest sequentially consistent store. So a store without order may be seen late, and two of them
 * in the other order, as on a machine with store buffers; a read-modify-write sees the latest.
 */
#include "harness.h"

#include "cells.h"
#include "races.h"
#include "snapshot.h"

#include <string.h>

#define WORDS       1024
#define PLACES      (2 * WORDS) /* a power of two */
#define STORES_KEPT 4

typedef struct store {
    uint64_t value;
    uint32_t number; /* in the word's order */
    int thread;
    uint32_t clock;
    bool releases;
    clockv published;
} store;

typedef struct word {
    uintptr_t address;
    bool by_several; /* stored to since there is more than one thread */
    uint32_t count;  /* of stores */
    uint32_t last_seq;
    uint32_t seen[THREADS_MAX];
    store stores[STORES_KEPT]; /* the one of number n at n % STORES_KEPT */
} word;

/* Where a word is, if it was made in this run. Few and small: they are looked at all the time. */
typedef struct place {
    uint32_t run, number;
    uintptr_t address;
} place;

static struct atomics {
    uint32_t run, count;
    place places[PLACES];
    word words[WORDS]; /* in the order in which they were first used */
} * atomics;

size_t atomics_size(void)
{
    return sizeof *atomics;
}

void atomics_start(void *room)
{
    atomics = room;
}

void atomics_reset(void)
{
    atomics->run++;
    atomics->count = 0;
}

void atomics_keep(void)
{
    snapshot_keep(atomics, offsetof(struct atomics, words));
    snapshot_keep(atomics->words, atomics->count * sizeof atomics->words[0]);
}

static word *make_word(place *p, uintptr_t address)
{
    if (atomics->count == WORDS) fail("harness", "too many atomic words");
    *p = (place){.run = atomics->run, .number = atomics->count++, .address = address};
    word *w = &atomics->words[p->number];
    w->address = address;
    w->by_several = false;
    w->count = w->last_seq = 0;
    memset(w->seen, 0, sizeof w->seen);
    return w;
}

static word *find(uintptr_t address)
{
    size_t at = (address >> 2) * 0x9e3779b1u;
    for (;; at++) {
        place *p = &atomics->places[at & (PLACES - 1)];
        if (p->run != atomics->run) return make_word(p, address);
        if (p->address == address) return &atomics->words[p->number];
    }
}

void atomics_forget(uintptr_t address, size_t size)
{
    for (uint32_t i = 0; i < atomics->count; i++) {
        word *w = &atomics->words[i];
        if (w->address - address >= size) continue;
        w->count = w->last_seq = 0;
        memset(w->seen, 0, sizeof w->seen);
    }
}

/* A plain store in between (a structure that is set as a whole) begins the history anew. */
static word *find_current(uintptr_t address, uint64_t value)
{
    word *w = find(address);
    if (w->count > 0 && w->stores[w->count % STORES_KEPT].value == value) return w;
    w->count++;
    store *s = &w->stores[w->count % STORES_KEPT];
    *s = (store){.value = value, .number = w->count};
    w->last_seq = w->count;
    for (int i = 0; i < THREADS_MAX; i++) w->seen[i] = w->count;
    return w;
}

static bool must_know(const thread *me, const store *s)
{
    return s->clock <= me->clock.at[s->thread];
}

/* The oldest store that this load may still see. */
static uint32_t oldest_seen(const word *w, const thread *me, bool seq)
{
    uint32_t oldest = w->count >= STORES_KEPT ? w->count - STORES_KEPT + 1 : 1;
    if (w->seen[me->id] > oldest) oldest = w->seen[me->id];
    if (seq && w->last_seq > oldest) oldest = w->last_seq;
    for (uint32_t n = w->count; n > oldest; n--)
        if (must_know(me, &w->stores[n % STORES_KEPT])) return n;
    return oldest;
}

static const store *choose_store(word *w, bool seq)
{
    thread *me = self();
    uint32_t chosen = w->count;
    if (S->plan.stale_chance > 0 && (int)sched_draw(DRAW_STALE, 1024) < S->plan.stale_chance) {
        uint32_t oldest = oldest_seen(w, me, seq);
        chosen = w->count - sched_draw(DRAW_STALE, w->count - oldest + 1);
    }
    w->seen[me->id] = chosen;
    return &w->stores[chosen % STORES_KEPT];
}

static bool acquires(int order)
{
    return order == __ATOMIC_ACQUIRE || order == __ATOMIC_CONSUME || order == __ATOMIC_ACQ_REL ||
           order == __ATOMIC_SEQ_CST;
}

static bool releases(int order)
{
    return order == __ATOMIC_RELEASE || order == __ATOMIC_ACQ_REL || order == __ATOMIC_SEQ_CST;
}

/* Static words that nobody has stored to since the threads began are no points. */
static void point(const char *what, uintptr_t address, uint64_t value, bool writes)
{
    access_memory_freed(address);
    if (!S->running || S->quiet) return;
    word *w = find_current(address, value);
    if (writes && S->count > 1) w->by_several = true;
    if (memory_is_static(address) && !w->by_several) return;
    sched_point(what, (const void *)address, writes);
}

static uint64_t on_load(uintptr_t address, uint64_t value, int order)
{
    if (!S->running || S->quiet) return value;
    word *w = find_current(address, value);
    const store *s = choose_store(w, order == __ATOMIC_SEQ_CST);
    if (acquires(order) && s->releases) clock_join(&self()->clock, &s->published);
    return s->value;
}

/* A compare-and-swap that fails has seen the latest. */
static uint64_t latest(uintptr_t address, uint64_t value, int order)
{
    if (!S->running || S->quiet) return value;
    word *w = find_current(address, value);
    const store *s = &w->stores[w->count % STORES_KEPT];
    w->seen[S->current] = w->count;
    if (acquires(order) && s->releases) clock_join(&self()->clock, &s->published);
    return value;
}

/* rmw: it goes on with what the store before it had published. */
static void on_store(uintptr_t address, uint64_t before, uint64_t value, int order, bool rmw)
{
    if (!S->running || S->quiet) return;
    word *w = find_current(address, before);
    thread *me = self();
    const store *last = &w->stores[w->count % STORES_KEPT];
    store s = {
        .value = value, .number = w->count + 1, .thread = me->id, .clock = me->clock.at[me->id]};
    if (rmw && last->releases) {
        s.releases = true;
        s.published = last->published;
    }
    if (rmw && acquires(order) && last->releases) clock_join(&me->clock, &last->published);
    if (releases(order)) {
        s.releases = true;
        clock_join(&s.published, &me->clock);
    }
    w->count++;
    w->stores[w->count % STORES_KEPT] = s;
    w->seen[me->id] = w->count;
    if (order == __ATOMIC_SEQ_CST) w->last_seq = w->count;
    clock_tick(me);
}

/* ---- What the compiler calls
 * ------------------------------------------------------------------------ */

#define ATOMICS(bits, T)                                                                           \
    T __tsan_atomic##bits##_load(const volatile T *p, int order);                                  \
    void __tsan_atomic##bits##_store(volatile T *p, T value, int order);                           \
    T __tsan_atomic##bits##_exchange(volatile T *p, T value, int order);                           \
    T __tsan_atomic##bits##_fetch_add(volatile T *p, T value, int order);                          \
    T __tsan_atomic##bits##_fetch_sub(volatile T *p, T value, int order);                          \
    T __tsan_atomic##bits##_fetch_and(volatile T *p, T value, int order);                          \
    T __tsan_atomic##bits##_fetch_or(volatile T *p, T value, int order);                           \
    T __tsan_atomic##bits##_fetch_xor(volatile T *p, T value, int order);                          \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile T *p, T *expected, T value,         \
                                                      int order, int failure);                     \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile T *p, T *expected, T value,           \
                                                    int order, int failure);                       \
    T __tsan_atomic##bits##_load(const volatile T *p, int order)                                   \
    {                                                                                              \
        point("loads", (uintptr_t)p, *p, false);                                                   \
        return (T)on_load((uintptr_t)p, *p, order);                                                \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile T *p, T value, int order)                            \
    {                                                                                              \
        point("stores", (uintptr_t)p, *p, true);                                                   \
        on_store((uintptr_t)p, *p, value, order, false);                                           \
        *p = value;                                                                                \
    }                                                                                              \
    static T change##bits(volatile T *p, T value, int order)                                       \
    {                                                                                              \
        T before = *p;                                                                             \
        on_store((uintptr_t)p, before, value, order, true);                                        \
        *p = value;                                                                                \
        return before;                                                                             \
    }                                                                                              \
    T __tsan_atomic##bits##_exchange(volatile T *p, T value, int order)                            \
    {                                                                                              \
        point("exchanges", (uintptr_t)p, *p, true);                                                \
        return change##bits(p, value, order);                                                      \
    }                                                                                              \
    T __tsan_atomic##bits##_fetch_add(volatile T *p, T value, int order)                           \
    {                                                                                              \
        point("adds", (uintptr_t)p, *p, true);                                                     \
        return change##bits(p, (T)(*p + value), order);                                            \
    }                                                                                              \
    T __tsan_atomic##bits##_fetch_sub(volatile T *p, T value, int order)                           \
    {                                                                                              \
        point("subtracts", (uintptr_t)p, *p, true);                                                \
        return change##bits(p, (T)(*p - value), order);                                            \
    }                                                                                              \
    T __tsan_atomic##bits##_fetch_and(volatile T *p, T value, int order)                           \
    {                                                                                              \
        point("ands", (uintptr_t)p, *p, true);                                                     \
        return change##bits(p, (T)(*p & value), order);                                            \
    }                                                                                              \
    T __tsan_atomic##bits##_fetch_or(volatile T *p, T value, int order)                            \
    {                                                                                              \
        point("ors", (uintptr_t)p, *p, true);                                                      \
        return change##bits(p, (T)(*p | value), order);                                            \
    }                                                                                              \
    T __tsan_atomic##bits##_fetch_xor(volatile T *p, T value, int order)                           \
    {                                                                                              \
        point("xors", (uintptr_t)p, *p, true);                                                     \
        return change##bits(p, (T)(*p ^ value), order);                                            \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile T *p, T *expected, T value,         \
                                                      int order, int failure)                      \
    {                                                                                              \
        point("compares and swaps", (uintptr_t)p, *p, true);                                       \
        if (*p == *expected) {                                                                     \
            change##bits(p, value, order);                                                         \
            return 1;                                                                              \
        }                                                                                          \
        *expected = (T)latest((uintptr_t)p, *p, failure);                                          \
        return 0;                                                                                  \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile T *p, T *expected, T value,           \
                                                    int order, int failure)                        \
    {                                                                                              \
        return __tsan_atomic##bits##_compare_exchange_strong(p, expected, value, order, failure);  \
    }
ATOMICS(8, uint8_t)
ATOMICS(16, uint16_t)
ATOMICS(32, uint32_t)
ATOMICS(64, uint64_t)

void __tsan_atomic_thread_fence(int order);
void __tsan_atomic_thread_fence(int order)
{
    (void)order;
    order_acquire(atomics);
    order_release(atomics);
}

void __tsan_atomic_signal_fence(int order);
void __tsan_atomic_signal_fence(int order)
{
    (void)order;
}
