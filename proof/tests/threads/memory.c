/* SPDX-License-Identifier: MIT */
/*
 * Memory of a run: stacks and heaps at fixed addresses, and for each word four cells that say who
 * touched it (races.c). Nothing is given out twice in a run: so whatever was freed is known.
 * Each thread allocates from a heap of its own: what it gets depends on nobody else.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "cells.h"
#include "snapshot.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define GAP   16
#define BELOW 256 /* where a context is kept on the stack (switch.c), its frame begins below it */

typedef struct block {
    uint64_t magic;
    size_t size;
    void *caller;
    int thread;
    bool live;
    struct block *next; /* of the same heap, the newest first */
} block;

#define MAGIC UINT64_C(0x70617762626c6f63)

typedef struct heap {
    size_t used;
    block *newest;
} heap;

static struct memory {
    shadow shadow;
    heap heaps[THREADS_MAX];
    size_t live;
} * M;

shadow *memory_shadow; /* M's */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void __real_free(void *p);
char *__real_strdup(const char *text);
char *__real_strndup(const char *text, size_t max);
void *__real_memset(void *to, int byte, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *old, size_t size);
void __wrap_free(void *p);
char *__wrap_strdup(const char *text);
char *__wrap_strndup(const char *text, size_t max);

static void *reserve(uint64_t at, size_t size)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | (at ? MAP_FIXED_NOREPLACE : 0);
    void *p = mmap((void *)(uintptr_t)at, size, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (p == MAP_FAILED) {
        perror("pawl-threads: mmap");
        abort();
    }
    return p;
}

static size_t statics_cells_size(void)
{
    return (memory_shadow->static_size / 8 + 2) * CELLS * sizeof(uint32_t);
}

void memory_start(void)
{
    reserve(BASE, REGION_SIZE);
    M = reserve(0, sizeof *M);
    shadow *m = memory_shadow = &M->shadow;
    reserve(CELLS_BASE, REGION_SIZE / 8 * CELLS * sizeof(uint32_t));
    m->static_size = (size_t)(_end - __data_start);
    m->static_cells = reserve(0, statics_cells_size());
    memory_reset();
}

static uintptr_t heap_base(int id)
{
    return BASE + STACKS_SIZE + (size_t)id * HEAP_SIZE;
}

static uintptr_t stack_top(int id)
{
    return BASE + ((size_t)id + 1) * STACK_SIZE;
}

/* The gaps between blocks and freed blocks are marked, so that an access to them is found. */
static void mark(uintptr_t from, size_t size, uint32_t value)
{
    cells_of_word *word = (cells_of_word *)memory_cells(from);
    for (size_t i = 0; i < (size + 7) / 8; i++) word[i] = (cells_of_word){value};
}

static void forget(uintptr_t from, size_t size)
{
    memset(memory_cells(from), 0, size / 8 * CELLS * sizeof(uint32_t));
}

void memory_reset(void)
{
    shadow *m = memory_shadow;
    memset(M->heaps, 0, sizeof M->heaps); /* each block that is given out has its cells set */
    memset(m->static_cells, 0, statics_cells_size());
    for (int i = 0; i < THREADS_MAX; i++) {
        uintptr_t top = stack_top(i);
        uintptr_t low = m->stack_low[i];
        if (low && low < top) forget(low, top - low);
        m->stack_low[i] = top;
    }
    M->live = 0;
}

static void keep_cells(uintptr_t from, size_t size)
{
    snapshot_keep(memory_cells(from), size / 8 * CELLS * sizeof(uint32_t));
}

void memory_keep(void)
{
    const shadow *m = memory_shadow;
    snapshot_keep(M, sizeof *M);
    snapshot_keep(m->static_cells, statics_cells_size());
    for (int i = 0; i < S->count; i++) {
        uintptr_t sp = (uintptr_t)S->threads[i].sp - BELOW, top = stack_top(i);
        snapshot_keep((void *)sp, top - sp);
        keep_cells(m->stack_low[i], top - m->stack_low[i]);
        snapshot_keep((void *)heap_base(i), M->heaps[i].used);
        keep_cells(heap_base(i), M->heaps[i].used);
    }
}

void memory_forget_child(void)
{
    for (int i = 0; i < S->count; i++)
        forget(memory_shadow->stack_low[i], stack_top(i) - memory_shadow->stack_low[i]);
}

void *memory_stack(int id)
{
    return (void *)(uintptr_t)(BASE + (size_t)id * STACK_SIZE);
}

bool memory_is_static(uintptr_t address)
{
    return address - (uintptr_t)__data_start < M->shadow.static_size;
}

/* ---- Heaps
 * ------------------------------------------------------------------------------------------ */

/* The thread that gets a block counts as the only one that has written it. */
static void mark_new(block *b, size_t room)
{
    size_t words = (b->size + 7) & ~(size_t)7;
    mark((uintptr_t)b, sizeof *b, CELL_NOWHERE);
    mark((uintptr_t)(b + 1) + words, room - sizeof *b - words, CELL_NOWHERE);
    mark((uintptr_t)(b + 1), b->size, S->quiet ? 0 : S->now_cell | CELL(0, 0, 0xff, 1));
}

static void *take(size_t size, int byte, void *caller)
{
    int id = S->current;
    heap *h = &M->heaps[id];
    size_t room = (sizeof(block) + size + GAP + 15) & ~(size_t)15;
    if (h->used + room > HEAP_SIZE) fail("memory", "a heap of the harness is full");
    block *b = (block *)(heap_base(id) + h->used);
    h->used += room;
    *b = (block){.magic = MAGIC,
                 .size = size,
                 .caller = caller,
                 .thread = id,
                 .live = true,
                 .next = h->newest};
    h->newest = b;
    M->live++;
    mark_new(b, room);
    return __real_memset(b + 1, byte, size);
}

static bool is_ours(const void *p)
{
    return (uintptr_t)p - BASE < REGION_SIZE;
}

static block *block_of(void *p)
{
    block *b = (block *)p - 1;
    if (memory_stack_owner((uintptr_t)p) >= 0 || b->magic != MAGIC)
        fail("free", "what was never allocated is freed");
    if (!b->live) fail("double free", "a block of %zu bytes is freed twice", b->size);
    return b;
}

static void give(void *p)
{
    block *b = block_of(p);
    access_block((uintptr_t)p, b->size); /* who still reads it meanwhile has a race */
    b->live = false;
    M->live--;
    atomics_forget((uintptr_t)p, b->size);
}

void *__wrap_malloc(size_t size)
{
    if (!S || !S->running) return __real_malloc(size);
    return take(size, 0xa5, __builtin_return_address(0));
}

void *__wrap_calloc(size_t count, size_t size)
{
    if (!S || !S->running) return __real_calloc(count, size);
    return take(count * size, 0, __builtin_return_address(0));
}

void *__wrap_realloc(void *old, size_t size)
{
    if (!S || !S->running) return __real_realloc(old, size);
    void *p = take(size, 0xa5, __builtin_return_address(0));
    if (!old) return p;
    size_t had = block_of(old)->size;
    memcpy(p, old, had < size ? had : size);
    give(old);
    return p;
}

void __wrap_free(void *p)
{
    if (!p) return;
    if (is_ours(p))
        give(p);
    else
        __real_free(p);
}

char *__wrap_strndup(const char *text, size_t max)
{
    if (!S || !S->running) return __real_strndup(text, max);
    size_t len = strnlen(text, max);
    char *p = take(len + 1, 0xa5, __builtin_return_address(0));
    memcpy(p, text, len);
    p[len] = '\0';
    return p;
}

char *__wrap_strdup(const char *text)
{
    if (!S || !S->running) return __real_strdup(text);
    access_memory((uintptr_t)text, strlen(text) + 1, false);
    return __wrap_strndup(text, strlen(text));
}

size_t memory_live(void)
{
    return M->live;
}

void memory_check_leaks(void)
{
    for (int i = 0; i < THREADS_MAX; i++)
        for (const block *b = M->heaps[i].newest; b; b = b->next)
            if (b->live)
                fail("leak", "%zu blocks are left, one of %zu bytes, allocated by %s at %p",
                     M->live, b->size, S->threads[b->thread].name, b->caller);
}
