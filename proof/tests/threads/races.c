/* SPDX-License-Identifier: MIT */
/*
 * Order, and accesses that have none.
 *
 * Each thread has a vector clock. What releases (unlock, post, an atomic store with release order,
 * a write to a descriptor) leaves a copy at the object, what acquires joins it. Each word remembers
 * its latest accesses in four cells (thread, clock, bytes, write); an access to the same bytes by
 * another thread, one of the two a write, that is not in the past of this one, is a race: a
 * finding, whatever the values. So a lock that is missing is found in every schedule that comes
 * near it.
 */
#include "harness.h"

#include "cells.h"
#include "races.h"
#include "snapshot.h"

#include <string.h>

#define OBJECTS 2048
#define PLACES  (2 * OBJECTS) /* a power of two */

typedef struct order_object {
    const void *object;
    clockv clock;
    uint64_t hash, reads;
} order_object;

/* Where an object is, if it was made in this run. */
typedef struct place {
    uint32_t run, number;
    const void *object;
} place;

static struct order {
    uint32_t run, count;
    place places[PLACES];
    order_object objects[OBJECTS]; /* in the order in which they were first used */
} * order;

static order_object *make_object(place *p, const void *object)
{
    if (order->count == OBJECTS) fail("harness", "too many objects");
    *p = (place){.run = order->run, .number = order->count++, .object = object};
    order_object *o = &order->objects[p->number];
    *o = (order_object){.object = object};
    return o;
}

static order_object *find(const void *object)
{
    size_t at = ((uintptr_t)object >> 2) * 0x9e3779b1u;
    for (;; at++) {
        place *p = &order->places[at & (PLACES - 1)];
        if (p->run != order->run) return make_object(p, object);
        if (p->object == object) return &order->objects[p->number];
    }
}

void clock_join(clockv *into, const clockv *from)
{
    for (int i = 0; i < THREADS_MAX; i++)
        if (from->at[i] > into->at[i]) into->at[i] = from->at[i];
}

void order_start(void *room)
{
    order = room;
}

size_t order_size(void)
{
    return sizeof *order;
}

void order_reset(void)
{
    order->run++;
    order->count = 0;
}

void order_keep(void)
{
    snapshot_keep(order, offsetof(struct order, objects));
    snapshot_keep(order->objects, order->count * sizeof order->objects[0]);
}

void order_runs_now(const thread *me)
{
    S->now_cell = CELL(me->id, me->clock.at[me->id], 0, 0);
}

void clock_tick(thread *me)
{
    me->clock.at[me->id]++;
    order_runs_now(me);
}

void order_acquire(const void *object)
{
    if (S->running) clock_join(&self()->clock, &find(object)->clock);
}

void order_release(const void *object)
{
    if (!S->running) return;
    thread *me = self();
    clock_join(&find(object)->clock, &me->clock);
    clock_tick(me);
}

void order_spawned(thread *parent, thread *child)
{
    child->clock = parent->clock;
    child->clock.at[child->id]++;
    clock_tick(parent);
    child->hash ^= parent->hash;
}

void order_joined(thread *child)
{
    clock_join(&self()->clock, &child->clock);
}

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 31)) * UINT64_C(0x7fb5d329728ea185);
    x = (x ^ (x >> 27)) * UINT64_C(0x81dadef4bc2dd44d);
    return x ^ (x >> 33);
}

void explore_saw(uint64_t outcome)
{
    self()->hash = mix(self()->hash + outcome + 1);
}

void explore_note(thread *t, const void *object, bool writes)
{
    order_object *o = find(object);
    t->hash = mix(t->hash * 3 + o->hash + (writes ? 2 * o->reads + 1 : 0));
    if (writes) {
        o->hash = t->hash;
        o->reads = 0;
    } else {
        o->reads += t->hash;
    }
}

/* ---- Accesses
 * --------------------------------------------------------------------------------------- */

static void check_freed(uint32_t first, bool writes)
{
    if (first == CELL_FREED)
        fail("use after free", "%s %s what was freed", self()->name, writes ? "writes" : "reads");
    if (first == CELL_NOWHERE)
        fail("overflow", "%s %s past the end of a block", self()->name,
             writes ? "writes" : "reads");
}

/* A frame that its thread has left: what lay in it is gone. */
static void check_foreign_stack(uintptr_t address)
{
    int owner = memory_stack_owner(address);
    const thread *t = &S->threads[owner];
    if (owner >= S->count || t->state != THREAD_LIVES || address + 128 < (uintptr_t)t->sp)
        fail("use after return", "%s touches the stack of %s where nothing is any more",
             self()->name, t->name);
}

static inline void check_stack(uintptr_t address)
{
    int owner = memory_stack_owner(address);
    if (owner >= 0 && owner != S->current) check_foreign_stack(address);
}

static void fail_race(uint32_t cell, bool writes)
{
    fail("race", "%s %s what %s %s, and nothing orders the two", self()->name,
         writes ? "writes" : "reads", S->threads[CELL_THREAD(cell)].name,
         CELL_WRITES(cell) ? "wrote" : "read");
}

/*
 * What follows looks at the four cells of a word at once. A lane of a comparison is all ones where
 * it is true. An empty cell is a read of nothing by thread 0 at the beginning: it races with nobody
 * and is covered by everything.
 */
typedef uint64_t halves __attribute__((vector_size(16)));

static inline bool any(cells_of_word lanes)
{
    halves h = (halves)lanes;
    return h[0] | h[1];
}

/* One bit for each lane that is true. */
static inline uint32_t bits_of(cells_of_word lanes)
{
    halves h = (halves)(lanes & (cells_of_word){1, 2, 4, 8});
    uint64_t both = h[0] | h[1];
    return (uint32_t)(both | both >> 32);
}

/* `mine` in the first lane that is free, or else in one that has to go. */
static inline cells_of_word with_mine(cells_of_word cells, uint32_t is_free, uint32_t mine)
{
    static const uint8_t first[] = {0, 0, 1, 0, 2, 0, 1, 0, 3, 0, 1, 0, 2, 0, 1, 0};
    uint32_t at = is_free ? first[is_free] : CELL_CLOCK(mine) & (CELLS - 1);
    cells_of_word lane = (cells_of_word){0, 1, 2, 3} == at;
    return (cells & ~lane) | (lane & mine);
}

static inline cells_of_word are_own(cells_of_word cells, uint32_t mine)
{
    return CELL_THREAD(cells ^ mine) == 0;
}

/* More than the first. */
static inline bool has_rest(cells_of_word cells)
{
    halves rest = (halves)(cells & (cells_of_word){0, ~0u, ~0u, ~0u});
    return rest[0] | rest[1];
}

/* Those in the past of this thread. */
static inline cells_of_word are_past(cells_of_word cells, const thread *me)
{
    typedef int32_t clocks __attribute__((vector_size(16)));
    clocks known;
    for (int i = 0; i < CELLS; i++) known[i] = (int32_t)me->clock.at[CELL_THREAD(cells[i])];
    return (cells_of_word)((clocks)CELL_CLOCK(cells) <= known);
}

/* The same bytes, by another thread, one of the two a write, and nothing orders them. */
static inline cells_of_word are_races(cells_of_word cells, uint32_t mine, cells_of_word ordered)
{
    cells_of_word apart = (cells & mine & CELL(0, 0, 0xff, 0)) == 0;
    cells_of_word reads = ((cells | mine) & 1u) == 0;
    return ~(apart | reads | ordered);
}

static void fail_race_with_one_of(cells_of_word cells, cells_of_word races, uint32_t mine)
{
    if (S->in_child) return;
    for (int i = 0; i < CELLS; i++)
        if (races[i]) fail_race(cells[i], CELL_WRITES(mine));
}

/*
 * Takes the place of one that it covers: what is ordered after this access is ordered after that,
 * too, and it is of no other bytes and nothing that this is not. Of four that must all be kept one
 * goes. (Without branches, for none of them could be foretold.)
 */
static void access_word_slowly(cells_of_word *word, uint32_t mine)
{
    cells_of_word cells = *word;
    if (cells[0] >= CELL_NOWHERE) check_freed(cells[0], CELL_WRITES(mine));
    cells_of_word ordered = are_own(cells, mine) | are_past(cells, self());
    cells_of_word races = are_races(cells, mine, ordered);
    if (any(races)) fail_race_with_one_of(cells, races, mine);
    cells_of_word within = (cells & ~mine & CELL(0, 0, 0xff, 1)) == 0;
    cells_of_word covered = within & ordered;
    *word = with_mine(cells & ~covered, bits_of(covered), mine);
}

/* The same thread at the same time of its clock: what is ordered behind the one is behind both. */
static inline cells_of_word says_all(cells_of_word cells, uint32_t mine)
{
    return ((cells ^ mine) & (CELL(31, 0x3ffff, 0, 0) | mine)) == 0;
}

/* This thread's own, of no other bytes and nothing that `mine` is not: it need not be kept. */
static inline bool is_outdone(uint32_t cell, uint32_t mine)
{
    return !CELL_THREAD(cell ^ mine) && !(cell & ~mine & CELL(0, 0, 0xff, 1));
}

/* Most are of a word that nobody has touched, or this thread alone, at the same bytes. */
static inline void access_word(uint32_t *cells, uint32_t mine)
{
    cells_of_word *word = (cells_of_word *)cells, all = *word;
    if (!has_rest(all) && (all[0] == 0 || is_outdone(all[0], mine)))
        *word = (cells_of_word){mine};
    else if (!any(says_all(all, mine)))
        access_word_slowly(word, mine);
}

static inline uint32_t my_cell(uint32_t bytes, bool writes)
{
    return S->now_cell | CELL(0, 0, bytes, writes);
}

/* Of one word or less. */
static inline void access_few(uintptr_t address, size_t size, bool writes)
{
    size_t in_word = address & 7;
    if (in_word + size > 8) {
        access_memory(address, size, writes);
        return;
    }
    if (!S->running || S->quiet) return;
    check_stack(address);
    uint32_t *cells = memory_cells(address);
    if (cells) access_word(cells, my_cell(((1u << size) - 1) << in_word, writes));
}

void access_memory(uintptr_t address, size_t size, bool writes)
{
    if (!S->running || S->quiet) return;
    check_stack(address);
    uint32_t *cells = memory_cells(address);
    if (!cells) return;
    for (; size > 0; cells += CELLS) {
        size_t in_word = address & 7, here = 8 - in_word;
        if (here > size) here = size;
        access_word(cells, my_cell(((1u << here) - 1) << in_word, writes));
        address += here;
        size -= here;
    }
}

static void check_block_word(cells_of_word cells, uint32_t mine)
{
    if (!S->running || S->quiet) return;
    if (cells[0] >= CELL_NOWHERE) check_freed(cells[0], true);
    cells_of_word races = are_races(cells, mine, are_own(cells, mine) | are_past(cells, self()));
    if (any(races)) fail_race_with_one_of(cells, races, mine);
}

/* Most words of a block were touched as the one before. */
void access_block(uintptr_t address, size_t size)
{
    uint32_t mine = my_cell(0xff, true);
    cells_of_word *word = (cells_of_word *)memory_cells(address), *end = word + (size + 7) / 8;
    cells_of_word good = {mine};
    for (; word < end; word++) {
        cells_of_word cells = *word;
        if (any(cells ^ good)) check_block_word(cells, mine);
        good = cells;
        *word = (cells_of_word){CELL_FREED};
    }
}

void access_memory_freed(uintptr_t address)
{
    if (!S->running || S->quiet) return;
    check_stack(address);
    const uint32_t *cells = memory_cells(address);
    if (cells && cells[0] >= CELL_NOWHERE) check_freed(cells[0], true);
}

/* ---- What the compiler calls
 * --------------------------------------------------------------------------- */

#define ACCESS(name, size, writes)                                                                 \
    void __tsan_##name(void *p);                                                                   \
    void __tsan_##name(void *p)                                                                    \
    {                                                                                              \
        access_few((uintptr_t)p, size, writes);                                                    \
    }
#define RANGE(name, size, writes)                                                                  \
    void __tsan_##name(void *p);                                                                   \
    void __tsan_##name(void *p)                                                                    \
    {                                                                                              \
        access_memory((uintptr_t)p, size, writes);                                                 \
    }
ACCESS(read1, 1, false)
ACCESS(read2, 2, false)
ACCESS(read4, 4, false)
ACCESS(read8, 8, false)
RANGE(read16, 16, false)
ACCESS(write1, 1, true)
ACCESS(write2, 2, true)
ACCESS(write4, 4, true)
ACCESS(write8, 8, true)
RANGE(write16, 16, true)
ACCESS(unaligned_read2, 2, false)
ACCESS(unaligned_read4, 4, false)
ACCESS(unaligned_read8, 8, false)
RANGE(unaligned_read16, 16, false)
ACCESS(unaligned_write2, 2, true)
ACCESS(unaligned_write4, 4, true)
ACCESS(unaligned_write8, 8, true)
RANGE(unaligned_write16, 16, true)

void __tsan_read_range(void *p, size_t size);
void __tsan_read_range(void *p, size_t size)
{
    access_memory((uintptr_t)p, size, false);
}

void __tsan_write_range(void *p, size_t size);
void __tsan_write_range(void *p, size_t size)
{
    access_memory((uintptr_t)p, size, true);
}

void __tsan_init(void);
void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc);
void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void);
void __tsan_func_exit(void)
{
}

/* ---- Copies, which the compiler leaves to the library
 * --------------------------------------------------- */

void *__real_memcpy(void *to, const void *from, size_t size);
void *__real_memmove(void *to, const void *from, size_t size);
void *__real_memset(void *to, int byte, size_t size);
int __real_memcmp(const void *a, const void *b, size_t size);
void *__wrap_memcpy(void *to, const void *from, size_t size);
void *__wrap_memmove(void *to, const void *from, size_t size);
void *__wrap_memset(void *to, int byte, size_t size);
int __wrap_memcmp(const void *a, const void *b, size_t size);

static bool watched(void)
{
    return S && S->running && !S->quiet;
}

void *__wrap_memcpy(void *to, const void *from, size_t size)
{
    if (watched()) {
        access_memory((uintptr_t)from, size, false);
        access_memory((uintptr_t)to, size, true);
    }
    return __real_memcpy(to, from, size);
}

void *__wrap_memmove(void *to, const void *from, size_t size)
{
    if (watched()) {
        access_memory((uintptr_t)from, size, false);
        access_memory((uintptr_t)to, size, true);
    }
    return __real_memmove(to, from, size);
}

void *__wrap_memset(void *to, int byte, size_t size)
{
    if (watched()) access_memory((uintptr_t)to, size, true);
    return __real_memset(to, byte, size);
}

int __wrap_memcmp(const void *a, const void *b, size_t size)
{
    if (watched()) {
        access_memory((uintptr_t)a, size, false);
        access_memory((uintptr_t)b, size, false);
    }
    return __real_memcmp(a, b, size);
}
