/* SPDX-License-Identifier: MIT */
/*
 * The client's clock (law 2): over any interval it advances at least as much as CLOCK_BOOTTIME and
 * as CLOCK_MONOTONIC_RAW, less 1 ms. The first goes on during suspend; nobody can slow the second
 * down.
 *
 * Only clock.c reads clocks in this directory.
 */
#ifndef PAWL_RUNTIME_CLOCK_H
#define PAWL_RUNTIME_CLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* One clock out of two. Tests make their own with invented readings. */
typedef struct pawl__clock {
    int64_t (*read_boot)(void *ctx);
    int64_t (*read_raw)(void *ctx);
    void *ctx;
    _Atomic int64_t boot_offset; /* both only grow */
    _Atomic int64_t raw_offset;
    _Atomic int64_t seen;  /* a reading not long ago */
    _Atomic int64_t drift; /* by how much they have run apart: the sum of all that was raised */
} pawl__clock;

/* Lets both clocks agree on the reading of the first. */
void pawl__clock_start(pawl__clock *clock);
/* An instant, ns. Any thread; async-signal-safe. */
int64_t pawl__clock_read(pawl__clock *clock);
/* The same, and what the first clock itself showed just before. */
int64_t pawl__clock_read_both(pawl__clock *clock, int64_t *ret_boot);

/*
 * Whether a reading now would be before `until`. Reads only one clock if that is enough. ret_about:
 * if true, the reading, or at most 1 ms less.
 */
bool pawl__clock_is_before(pawl__clock *clock, int64_t until, int64_t *ret_about);

/* The process's clock. Start it before the first reading; starting again does nothing. */
void pawl__now_start(void);
int64_t pawl__now(void);
int64_t pawl__now_and_boot(int64_t *ret_boot);
/* By how much the two clocks have run apart since the process began, ns. Any thread. */
int64_t pawl__now_drift(void);
bool pawl__now_is_before(int64_t until, int64_t *ret_about);

/* The instant by CLOCK_MONOTONIC, or just before it: for pthread_cond_clockwait. */
struct timespec pawl__wait_end(int64_t until);

/* ---- An alarm: a descriptor that becomes readable at an instant, suspend or not ------------- */

typedef struct pawl__alarm {
    int fd;
    bool by_boottime; /* its clock is the one that pawl__now_and_boot shows */
    int64_t at;       /* it fires at this instant or before; PAWL__NEVER: it is not set */
} pawl__alarm;

/* 0 or a negative errno. */
int pawl__alarm_open(pawl__alarm *alarm);
/*
 * Makes it fire at `at` or somewhat before, never after. An alarm that is set
 * for an earlier instant stays as it is: waking once too often is cheaper than a
 * system call for each new deadline. now < at; boot was shown just before `now`.
 */
void pawl__alarm_set(pawl__alarm *alarm, int64_t now, int64_t boot, int64_t at);
/* To be called when the descriptor is readable. */
void pawl__alarm_take(pawl__alarm *alarm);

#endif
