/* SPDX-License-Identifier: MIT */
/*
 * The only reader of clocks in this store.
 *
 * The times of leases are in CLOCK_BOOTTIME of the machine: it goes on during suspend, nobody can
 * set it, and it is the same for all processes of one kernel. A process in a time namespace sees it
 * shifted by the namespace's offset, which is subtracted again. boot_id tells to which run of the
 * kernel the numbers belong; a container may have a boot_id of its own, which tells less
 * (sqlite_host.c).
 */
#ifndef PAWL_SQLITE_CLOCK_H
#define PAWL_SQLITE_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define PAWL__BOOT_ID_LEN 36
#define PAWL__BOOT_ROOM   48 /* the id, followed by " own" if it is not the kernel's */

typedef struct pawl__sqlite_clock {
    int64_t shift_ns; /* what this process's time namespace adds to the machine's clock */
    char boot_id[PAWL__BOOT_ROOM];
} pawl__sqlite_clock;

/* 0 or PAWL_ERR_SYSTEM with one line in reterr_message (PAWL_MESSAGE_MAX bytes). */
int pawl__sqlite_clock_init(pawl__sqlite_clock *clock, char *reterr_message);

/* Whether a kernel has made the id: then another id means another run of the kernel. */
bool pawl__sqlite_boot_is_kernels(const char *boot_id);

/* The machine's instant, the same in every process. */
int64_t pawl__sqlite_clock_now(const pawl__sqlite_clock *clock);

/* This process's instant, for its own time limits; works without init. */
int64_t pawl__sqlite_clock_local(void);

/* Wall time in µs, the seed of fences; 0 if the clock stands before 1970. */
int64_t pawl__sqlite_clock_wall_us(void);

/* The CLOCK_MONOTONIC time in span_ns from now, for pthread_cond_timedwait. */
struct timespec pawl__sqlite_clock_after(int64_t span_ns);

/*
 * Reads the boottime offset out of the text of /proc/PID/timens_offsets; 0 if
 * it has none, -1 if it is malformed.
 */
int pawl__sqlite_parse_timens(const char *text, int64_t *ret_shift_ns);

#endif
