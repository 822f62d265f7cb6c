/* SPDX-License-Identifier: MIT */
/*
 * pawl-torture: real processes on real servers, with faults for a while; then a judge reads what
 * each of them wrote down.
 *
 *   rig/      begins and ends servers, proxy and workers, and deals the faults
 *   faults/   one file for what is hurt, one entry of a table for each fault
 *   worker/   a process that wants locks and notes what it was told
 *   canary.c  tells rig and workers when they could not run
 *   checks/   read a history and judge it; they know nothing of the rest
 *
 * The parts are roles of one program and meet in files: the history, and a page of shared
 * memory (board.h).
 */
#ifndef PAWL_TORTURE_H
#define PAWL_TORTURE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

typedef enum torture_exit {
    TORTURE_OK = 0,
    TORTURE_GUILTY = 1, /* a property was violated */
    TORTURE_THIN = 2,   /* too few grants, or a fault never fired: this run proves nothing */
    TORTURE_USAGE = 64,
    TORTURE_NO_INPUT = 66, /* a history that cannot be read */
    TORTURE_UNAVAILABLE = 69,
    TORTURE_SYSTEM = 71,
    TORTURE_SIGNAL_BASE = 128
} torture_exit;

#define TORTURE_WORKERS_MAX   32
#define TORTURE_EXCLUSIVE_MAX 8
#define TORTURE_LOCKS_MAX     (TORTURE_EXCLUSIVE_MAX + 2) /* one in all modes, and a semaphore */
/* In a history the names of what is built on locks follow those of the locks. */
#define TORTURE_JOB           TORTURE_LOCKS_MAX
#define TORTURE_LATCH         (TORTURE_LOCKS_MAX + 1)
#define TORTURE_BARRIER       (TORTURE_LOCKS_MAX + 2)
#define TORTURE_NAMES_MAX     (TORTURE_LOCKS_MAX + 3)
#define TORTURE_PATH_MAX      3072 /* of a directory: room for the names inside it */
#define TORTURE_FILE_MAX      4096

#define TORTURE_MS INT64_C(1000000) /* in ns */

/* How a name is used: by the one who has it, in all modes of a lock, as a semaphore, or as what is
   built on locks. */
typedef enum torture_kind {
    TORTURE_EXCLUSIVE = 0,
    TORTURE_MODES,
    TORTURE_PERMITS,
    TORTURE_COMPOSED,
    TORTURE_KIND_COUNT
} torture_kind;

extern const char *const torture_kind_words[TORTURE_KIND_COUNT];

#define TORTURE_CAPACITY 3 /* of a semaphore */
#define TORTURE_PARTIES  2 /* of a barrier */
#define TORTURE_COUNT    3 /* of a latch */
#define TORTURE_VARIANTS 3 /* ways to want a name: mode 0 .. 2, or 1 .. 3 permits */

/* Whether a permit that was given back was free again. */
typedef enum torture_again {
    TORTURE_AGAIN_UNKNOWN = 0, /* there was none, or an error said too little */
    TORTURE_AGAIN_FREE,        /* the same one was given again, or a lower one */
    TORTURE_AGAIN_NEVER        /* only higher ones were given */
} torture_again;

/* All processes are on one kernel: this clock orders what they did, also over a suspend. */
static inline int64_t torture_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* Each part draws from a stream of its own: seed and who decide it. */
typedef struct torture_rng {
    unsigned short state[3];
} torture_rng;

static inline torture_rng torture_rng_make(uint64_t seed, unsigned who)
{
    uint64_t s =
        (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) ^ (uint64_t)who * UINT64_C(0xbf58476d1ce4e5b9);
    torture_rng rng = {
        {(unsigned short)(s >> 16), (unsigned short)(s >> 32), (unsigned short)(s >> 48)}};
    return rng;
}

/* low .. high */
static inline int64_t torture_between(torture_rng *rng, int64_t low, int64_t high)
{
    return low + (((int64_t)nrand48(rng->state) << 31) | nrand48(rng->state)) % (high - low + 1);
}

static inline bool torture_chance(torture_rng *rng, int percent)
{
    return torture_between(rng, 1, 100) <= percent;
}

/* Sleeps the whole span, whatever signals come. */
void torture_sleep_ns(int64_t span_ns);

/* "pawl torture: ..." on stderr. */
void torture_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* dir + "/" + name into ret_path (TORTURE_FILE_MAX bytes); returns it. */
const char *torture_path(char *ret_path, const char *dir, const char *name);

#endif
