/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "process.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <unistd.h>

static _Atomic uint64_t fallback_mark; /* if the kernel cannot wipe memory, a handler does */
static _Atomic uint64_t *mark = &fallback_mark; /* 0 in a child until it asks */
static _Atomic uint64_t last_mark;              /* inherited, so that a child's mark is new */

static void start(void)
{
    size_t size = (size_t)sysconf(_SC_PAGESIZE);
    void *page = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) return;
    if (madvise(page, size, MADV_WIPEONFORK) == 0)
        mark = page;
    else
        munmap(page, size);
}

void pawl__process_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
}

uint64_t pawl__process_mark(void)
{
    uint64_t mine = atomic_load(mark);
    if (mine) return mine;
    uint64_t fresh = atomic_fetch_add(&last_mark, 1) + 1;
    return atomic_compare_exchange_strong(mark, &mine, fresh) ? fresh : mine;
}

bool pawl__process_is(uint64_t whose)
{
    return atomic_load_explicit(mark, memory_order_relaxed) == whose;
}

void pawl__process_is_new(void)
{
    atomic_store(mark, 0);
}
