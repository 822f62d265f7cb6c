/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "snapshot.h"

#include "harness.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PARTS_MAX 256
#define ROOM_SIZE ((size_t)256 * 1024 * 1024) /* used as far as needed */

static struct snapshot {
    int count;
    size_t used;
    struct part {
        void *from;
        size_t at, size;
    } parts[PARTS_MAX];
    char bytes[ROOM_SIZE];
} * snapshot; /* no static data: that is put back as well */

void *__real_memcpy(void *to, const void *from, size_t size);

void snapshot_start(void)
{
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE;
    snapshot = mmap(NULL, sizeof *snapshot, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (snapshot == MAP_FAILED) abort();
}

void snapshot_keep(void *from, size_t size)
{
    if (size == 0) return;
    if (snapshot->count == PARTS_MAX || size > ROOM_SIZE - snapshot->used) abort();
    snapshot->parts[snapshot->count++] =
        (struct part){.from = from, .at = snapshot->used, .size = size};
    __real_memcpy(snapshot->bytes + snapshot->used, from, size);
    snapshot->used += size;
}

void snapshot_take(void)
{
    snapshot->count = 0;
    snapshot->used = 0;
    sched_keep();
    memory_keep();
    order_keep();
    atomics_keep();
    files_keep();
    loop_keep();
    process_keep();
    run_keep();
}

void snapshot_put_back(void)
{
    memory_forget_child();
    for (int i = 0; i < snapshot->count; i++) {
        const struct part *p = &snapshot->parts[i];
        __real_memcpy(p->from, snapshot->bytes + p->at, p->size);
    }
}
