/* SPDX-License-Identifier: MIT */
/*
 * A model of the store contract: state and operations, without thread, clock or I/O. The memory
 * store is this model with a mutex; tests and the simulator compare other stores with it.
 *
 * Time comes in with each operation. Nothing happens by itself: the next operation on a name
 * notices what has expired, and hands the lock to the first waiter whose place is still alive.
 */
#ifndef PAWL_STORES_MEMORY_MODEL_H
#define PAWL_STORES_MEMORY_MODEL_H

#include "pawl/store.h"

#define PAWL__MEMORY_LOCKS_MAX   1000000u /* names known at once; law 8 */
#define PAWL__MEMORY_WAITERS_MAX 100000u  /* in one queue; law 8 */
/* The same bound as in other stores: larger numbers are not exact in doubles and JSON. No clock
 * reaches it before 2255.
 */
#define PAWL__MEMORY_FENCE_MAX   (UINT64_C(1) << 53)

typedef struct pawl__memory pawl__memory;

typedef struct pawl__memory_time {
    int64_t now;      /* instant: expiry is computed by it (rule 5) */
    uint64_t wall_us; /* since 1970: fences start from it (rule 6) */
} pawl__memory_time;

/* Where an operation puts its pushes and rows. Borrowed for the call. */
typedef struct pawl__memory_out {
    void *ctx;
    void (*push)(void *ctx, void *client, const pawl_push *push);
    void (*row)(void *ctx, const pawl_info *info);
} pawl__memory_out;

/* No fence at or below `fence_floor` will be drawn. NULL when out of memory. */
pawl__memory *pawl__memory_new(uint64_t hash_seed, uint64_t fence_floor);
void pawl__memory_free(pawl__memory *memory);

/*
 * Does what the request asks (any verb but DOCTOR) for `client`, the address to which pushes about
 * its token go, and fills the reply. The reply's message and value are borrowed until the next
 * operation.
 */
void pawl__memory_apply(pawl__memory *memory, const pawl__memory_time *time, void *client,
                        const pawl_request *request, const pawl__memory_out *out,
                        pawl_reply *ret_reply);

/* The client is gone: its places, and its leases that are not detached, go with it. */
void pawl__memory_leave(pawl__memory *memory, const pawl__memory_time *time, void *client,
                        const pawl__memory_out *out);

/* The largest fence drawn or heard of: the floor for a successor. */
uint64_t pawl__memory_last_fence(const pawl__memory *memory);

/* Names that are held or waited for, or were when last looked at. */
size_t pawl__memory_count(const pawl__memory *memory);

#endif
