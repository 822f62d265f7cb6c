/* SPDX-License-Identifier: MIT */
/*
 * Makes one instant from two clocks.
 *
 * B(t) = CLOCK_BOOTTIME + boot_offset and R(t) = CLOCK_MONOTONIC_RAW +
 * raw_offset; an instant is max(B, R). Offsets never shrink, and a reading is
 * returned only when B and R were seen within GAP_MAX_NS of each other;
 * otherwise the offset of the one that lags is raised first.
 *
 * Why the span between two instants is at least each clock's own span less
 * GAP_MAX_NS: let n1 be read at t1 and n2 at a later t2. At t1 neither clock was
 * more than GAP_MAX_NS ahead of the other, so n1 <= B(t1) + GAP_MAX_NS. Offsets
 * only grow, so n2 >= B(t2) >= B(t1) + (the span of BOOTTIME). Hence n2 - n1 >=
 * (the span of BOOTTIME) - GAP_MAX_NS; for RAW the same.
 *
 * The two readings are not made at one moment. B is read first: if R then seems
 * ahead by d <= GAP_MAX_NS, the true B at R's moment is at least what was read,
 * so the bound holds a fortiori; if B seems ahead, R was read later and is behind
 * by no more than that. A thread that was preempted between them sees a large
 * false gap, so before an offset is raised the gap is measured by reading B, R and
 * B again: RAW lags by no less than B(before) - R, BOOTTIME lags by no less than
 * R - B(after), and both are what is certain whatever happened in between.
 *
 * Why one clock often settles whether an instant is still ahead: let n be a reading
 * made at s, and B(t) be read now. B(s) >= n - GAP_MAX_NS, so BOOTTIME has
 * advanced by at most d = B(t) - n + GAP_MAX_NS since. The kernel lets it be slewed
 * slow by 10 % and 500 ppm at most, so RAW has advanced by less than 9/8 d, and R(t) <= n +
 * 9/8 d. (If raw_offset was raised meanwhile, that put R at B at most.) Hence a full reading
 * now would be at most the larger of B(t) and n + 9/8 d. What is not before that bound
 * is asked of both clocks.
 */
#define _GNU_SOURCE
#include "clock.h"

#include "../base/instant.h"

#include <errno.h>
#include <pthread.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define GAP_MAX_NS    PAWL__NS_PER_MS         /* how far apart the two may be seen */
#define CLOSE_FROM_NS (GAP_MAX_NS / 2)        /* also close gaps that would be too wide soon */
#define WINDOW_NS     (100 * PAWL__NS_PER_US) /* three readings within this time were not preempted */
#define TRIES_MAX     64
#define SEEN_FRESH_NS (50 * PAWL__NS_PER_MS) /* a reading is useful as a bound for this long */

static int64_t load(const _Atomic int64_t *offset)
{
    return atomic_load_explicit(offset, memory_order_relaxed);
}

/* Raises an offset from the value `seen`; does nothing if another thread was faster. */
static void raise_offset(pawl__clock *clock, _Atomic int64_t *offset, int64_t seen, int64_t by)
{
    bool raised = atomic_compare_exchange_strong_explicit(
        offset, &seen, seen + by, memory_order_relaxed, memory_order_relaxed);
    if (raised) atomic_fetch_add_explicit(&clock->drift, by, memory_order_relaxed);
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

void pawl__clock_start(pawl__clock *clock)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int64_t before = clock->read_boot(clock->ctx);
        int64_t raw = clock->read_raw(clock->ctx);
        int64_t after = clock->read_boot(clock->ctx);
        atomic_store(&clock->boot_offset, 0);
        atomic_store(&clock->raw_offset, before - raw);
        if (after - before <= WINDOW_NS) return;
    }
}

/*
 * This thread was preempted at every attempt: raises each offset by all that its clock might lag.
 * Then leases age too fast, which is safe.
 */
static int64_t mend_blindly(pawl__clock *clock)
{
    int64_t before = clock->read_boot(clock->ctx) + load(&clock->boot_offset);
    int64_t raw = clock->read_raw(clock->ctx) + load(&clock->raw_offset);
    int64_t after = clock->read_boot(clock->ctx) + load(&clock->boot_offset);
    if (after > raw) atomic_fetch_add(&clock->raw_offset, after - raw);
    if (raw > before) atomic_fetch_add(&clock->boot_offset, raw - before);
    return larger(after, raw);
}

/* Measures the gap, closes it, and reads again until the gap is small. */
static int64_t mend(pawl__clock *clock)
{
    for (int i = 0; i < TRIES_MAX; i++) {
        int64_t boot_offset = load(&clock->boot_offset);
        int64_t raw_offset = load(&clock->raw_offset);
        int64_t before = clock->read_boot(clock->ctx) + boot_offset;
        int64_t raw = clock->read_raw(clock->ctx) + raw_offset;
        int64_t after = clock->read_boot(clock->ctx) + boot_offset;
        if (after - before > WINDOW_NS) continue;
        int64_t raw_lags = before - raw, boot_lags = raw - after;
        if (raw_lags > CLOSE_FROM_NS) raise_offset(clock, &clock->raw_offset, raw_offset, raw_lags);
        if (boot_lags > CLOSE_FROM_NS)
            raise_offset(clock, &clock->boot_offset, boot_offset, boot_lags);
        int64_t gap_max = GAP_MAX_NS - WINDOW_NS; /* `after` is a window later than `before` */
        if (raw_lags <= gap_max && boot_lags <= gap_max) return larger(after, raw);
    }
    return mend_blindly(clock);
}

static int64_t keep_seen(pawl__clock *clock, int64_t now)
{
    int64_t seen = load(&clock->seen);
    if (now - seen > SEEN_FRESH_NS || now < seen) /* not each time, because all threads share it */
        atomic_store_explicit(&clock->seen, now, memory_order_relaxed);
    return now;
}

int64_t pawl__clock_read_both(pawl__clock *clock, int64_t *ret_boot)
{
    *ret_boot = clock->read_boot(clock->ctx);
    int64_t boot = *ret_boot + load(&clock->boot_offset);
    int64_t raw = clock->read_raw(clock->ctx) + load(&clock->raw_offset);
    int64_t gap = boot - raw;
    if (gap > GAP_MAX_NS || gap < -GAP_MAX_NS) return keep_seen(clock, mend(clock));
    return keep_seen(clock, gap > 0 ? boot : raw);
}

int64_t pawl__clock_read(pawl__clock *clock)
{
    int64_t boot;
    return pawl__clock_read_both(clock, &boot);
}

bool pawl__clock_is_before(pawl__clock *clock, int64_t until, int64_t *ret_about)
{
    int64_t seen = load(&clock->seen); /* read before the clock: an older value is safe */
    int64_t boot = clock->read_boot(clock->ctx) + load(&clock->boot_offset);
    int64_t span = boot - seen + GAP_MAX_NS;
    bool fresh = seen && span >= 0 && span <= 2 * SEEN_FRESH_NS;
    if (!fresh || boot >= until || seen + span + span / 8 >= until) {
        int64_t now = pawl__clock_read(clock);
        if (now >= until) return false;
        boot = now;
    }
    *ret_about = boot;
    return true;
}

/* ---- The process's clock -------------------------------------------------------------------- */

static int64_t read_clock(clockid_t id)
{
    struct timespec t;
    if (clock_gettime(id, &t) != 0) clock_gettime(CLOCK_MONOTONIC, &t); /* a sandbox forbids it */
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static int64_t read_boottime(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_BOOTTIME);
}

static int64_t read_monotonic_raw(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC_RAW);
}

static pawl__clock process_clock = {.read_boot = read_boottime, .read_raw = read_monotonic_raw};

static void start_process_clock(void)
{
    pawl__clock_start(&process_clock);
}

void pawl__now_start(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start_process_clock);
}

int64_t pawl__now(void)
{
    return pawl__clock_read(&process_clock);
}

int64_t pawl__now_and_boot(int64_t *ret_boot)
{
    return pawl__clock_read_both(&process_clock, ret_boot);
}

int64_t pawl__now_drift(void)
{
    return load(&process_clock.drift);
}

bool pawl__now_is_before(int64_t until, int64_t *ret_about)
{
    return pawl__clock_is_before(&process_clock, until, ret_about);
}

static struct timespec to_timespec(int64_t ns)
{
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

/* CLOCK_MONOTONIC is read first: who is stopped between the two looks wakes too early, not late. */
struct timespec pawl__wait_end(int64_t until)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t before = (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
    int64_t span_ns = until - pawl__now();
    return to_timespec(pawl__instant_add(before, span_ns > 0 ? span_ns : 0));
}

/* ---- Alarm ---------------------------------------------------------------------------------- */

int pawl__alarm_open(pawl__alarm *alarm)
{
    struct timespec t;
    alarm->at = PAWL__NEVER;
    alarm->fd = timerfd_create(CLOCK_BOOTTIME, TFD_NONBLOCK | TFD_CLOEXEC);
    alarm->by_boottime = alarm->fd >= 0 && clock_gettime(CLOCK_BOOTTIME, &t) == 0;
    if (alarm->fd < 0) alarm->fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    return alarm->fd < 0 ? -errno : 0;
}

/*
 * The timer uses BOOTTIME, which may run up to 8.3 % slow. So it is set to nine tenths of the time
 * that is left, then set again, until little is left.
 *
 * It is set to an instant and not to a span: a thread that is stopped after its look at the clock
 * (by a signal's handler, SIGSTOP, suspend) would set a span that much too late, and who comes
 * after it relies on the alarm. In a sandbox without one of the clocks only a span is left.
 */
static int64_t aim(int64_t now, int64_t at)
{
    int64_t span = at - now;
    return span > 10 * PAWL__NS_PER_MS ? span / 10 * 9 : span;
}

void pawl__alarm_set(pawl__alarm *alarm, int64_t now, int64_t boot, int64_t at)
{
    if (alarm->at <= at) return;
    int64_t from = alarm->by_boottime ? boot : 0;
    struct itimerspec when = {.it_value = to_timespec(from + aim(now, at))};
    int flags = alarm->by_boottime ? TFD_TIMER_ABSTIME : 0;
    if (timerfd_settime(alarm->fd, flags, &when, NULL) == 0) alarm->at = at;
}

void pawl__alarm_take(pawl__alarm *alarm)
{
    uint64_t count;
    if (read(alarm->fd, &count, sizeof count) < 0 && errno == EAGAIN) return;
    alarm->at = PAWL__NEVER;
}
