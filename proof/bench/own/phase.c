/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "phase.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "../../../src/cli/exit_codes.h"
#include "../../../src/cli/message.h"

#define PROGRESS_MS   500
#define WAIT_LIMIT_MS 60000 /* a longer wait is a failure, not a queue */
#define RETAIN_MS     60000 /* longer than a phase usually lasts */
#define CACHED_BATCH                                                                               \
    64 /* reading a clock takes as long as such a pair: one in so many is timed                    \
        */

/* One name, and who is inside. */
typedef struct place {
    atomic_int inside;
    atomic_int last_worker; /* number + 1 */
    atomic_uint_fast64_t last_fence;
} bench_place;

typedef struct worker {
    struct run *run;
    int number;
    pthread_t thread;
    bool started;
    pawl_client *client; /* its own, or worker 0's */
    pawl_lock **locks;   /* its names, taken in turn */
    int first, count;    /* which of the places they are */
    int next;
    atomic_uint_fast64_t pairs, all_pairs; /* within the time; and after it */
    uint64_t handovers;
    histogram waits;
} worker;

typedef struct run {
    const bench_setup *setup;
    const bench_phase *phase;
    atomic_int ready; /* threads that have held a lock once */
    atomic_bool go, stop;
    bench_place *places;
    worker *workers;
    atomic_uint_fast64_t overlaps, slips;
    atomic_int first_error;
} run;

const char *const bench_kind_names[BENCH_KINDS] = {
    "uncontended", "contended", "cached", "threads", "names", "readers", "permits", "several"};

/* Atomic, because the kernel may give the signal to any thread; without a lock, as a handler
 * needs it (C11 7.14.1.1). */
static atomic_bool interrupted;
_Static_assert(ATOMIC_BOOL_LOCK_FREE == 2, "a signal handler writes it");

void bench_phase_stop(void)
{
    atomic_store(&interrupted, true);
}

bool bench_phase_was_stopped(void)
{
    return atomic_load(&interrupted);
}

const char *bench_phase_title(const bench_phase *phase, char buf[BENCH_TITLE_MAX])
{
    switch (phase->kind) {
    case BENCH_CONTENDED:
        snprintf(buf, BENCH_TITLE_MAX, "%d clients, one key", phase->threads);
        return buf;
    case BENCH_CACHED:
        snprintf(buf, BENCH_TITLE_MAX, "1 client, cached lease");
        return buf;
    case BENCH_THREADS:
        snprintf(buf, BENCH_TITLE_MAX, "%d threads, a key each", phase->threads);
        return buf;
    case BENCH_NAMES:
        snprintf(buf, BENCH_TITLE_MAX, "%d threads, %d keys", phase->threads, phase->names);
        return buf;
    case BENCH_READERS:
        snprintf(buf, BENCH_TITLE_MAX, "%d readers, one key", phase->threads);
        return buf;
    case BENCH_PERMITS:
        snprintf(buf, BENCH_TITLE_MAX, "%d clients, %d permits", phase->threads, phase->names);
        return buf;
    case BENCH_SEVERAL:
        snprintf(buf, BENCH_TITLE_MAX, "1 client, %d keys at once", phase->names);
        return buf;
    case BENCH_UNCONTENDED:
    case BENCH_KINDS:
        break;
    }
    snprintf(buf, BENCH_TITLE_MAX, "1 client");
    return buf;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_RAW, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void sleep_ms(int64_t ms)
{
    struct timespec span = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};
    nanosleep(&span, NULL);
}

/* ---- A worker ------------------------------------------------------------------ */

static bool failed(run *r, int err)
{
    if (!err) return false;
    int none = 0;
    atomic_compare_exchange_strong(&r->first_error, &none, err);
    atomic_store(&r->stop, true);
    return true;
}

/* Checks mutual exclusion during the measurement. */
static void check_inside(worker *w, bench_place *place, uint64_t fence, bool counted)
{
    run *r = w->run;
    if (r->phase->kind == BENCH_READERS) { /* they are inside together, and come in any order */
        if (r->setup->hold_ms > 0) sleep_ms(r->setup->hold_ms);
        return;
    }
    if (atomic_fetch_add(&place->inside, 1) != 0) atomic_fetch_add(&r->overlaps, 1);
    uint64_t last = atomic_exchange(&place->last_fence, fence);
    /* A lease that the client kept is acquired again under the same fence. */
    bool grew = r->phase->kind == BENCH_CACHED ? fence >= last : fence > last;
    if (!grew) atomic_fetch_add(&r->slips, 1);
    int before = atomic_exchange(&place->last_worker, w->number + 1);
    if (counted && before && before != w->number + 1) w->handovers++;
    if (r->setup->hold_ms > 0) sleep_ms(r->setup->hold_ms);
    atomic_fetch_sub(&place->inside, 1);
}

/* Of several names the first one; of a semaphore each slot is a place. */
static void check_lock(worker *w, bench_place *place, const pawl_lock *lock, bool counted)
{
    bool several = w->run->phase->kind == BENCH_SEVERAL;
    uint64_t fence = pawl_lock_fence(several ? pawl_lock_part(lock, 0) : lock);
    uint16_t slot = 0;
    bool has_slot = w->run->phase->kind == BENCH_PERMITS && pawl_lock_slots(lock, &slot, 1) == 1;
    check_inside(w, has_slot ? &w->run->places[slot] : place, fence, counted);
}

static void count_pairs(worker *w, uint64_t pairs, bool in_time)
{
    atomic_fetch_add_explicit(&w->all_pairs, pairs, memory_order_relaxed);
    if (in_time) atomic_fetch_add_explicit(&w->pairs, pairs, memory_order_relaxed);
}

static bool one_pair(worker *w, bool measured)
{
    run *r = w->run;
    pawl_lock *lock = w->locks[w->next];
    bench_place *place = &r->places[w->first + w->next];
    w->next = (w->next + 1) % w->count;
    int64_t began = now_ns();
    if (failed(r, pawl_lock_acquire(lock, WAIT_LIMIT_MS))) return false;
    int64_t held = now_ns();
    bool in_time = measured && !atomic_load(&r->stop);
    check_lock(w, place, lock, in_time);
    if (failed(r, pawl_lock_release(lock))) return false;
    if (!measured) return true;
    count_pairs(w, 1, in_time);
    if (in_time) histogram_add(&w->waits, held - began);
    return true;
}

/* These pairs are not checked, so that only the lock is measured. */
static bool cached_pairs(worker *w)
{
    pawl_lock *lock = w->locks[0];
    for (int i = 1; i < CACHED_BATCH; i++) {
        if (failed(w->run, pawl_lock_acquire(lock, WAIT_LIMIT_MS))) return false;
        if (failed(w->run, pawl_lock_release(lock))) return false;
    }
    count_pairs(w, CACHED_BATCH - 1, true);
    return true;
}

static void *work(void *arg)
{
    worker *w = arg;
    run *r = w->run;
    bool fine = one_pair(w, false); /* connecting and loading scripts is not measured */
    atomic_fetch_add(&r->ready, 1);
    while (fine && !atomic_load(&r->go)) sleep_ms(1);
    while (fine && !atomic_load(&r->stop)) {
        fine = one_pair(w, true);
        if (fine && r->phase->kind == BENCH_CACHED && r->setup->hold_ms == 0)
            fine = cached_pairs(w);
    }
    return NULL;
}

/* ---- Clients and locks ------------------------------------------------------------- */

static bool has_own_client(bench_kind kind)
{
    return kind == BENCH_CONTENDED || kind == BENCH_READERS || kind == BENCH_PERMITS;
}

static int name_count(const bench_phase *phase)
{
    if (phase->kind == BENCH_NAMES) return phase->names;
    return phase->kind == BENCH_THREADS ? phase->threads : 1;
}

/* The places of this worker: all share the only one, or each has its part. */
static void share_places(worker *w, const bench_phase *phase)
{
    int names = name_count(phase);
    if (names == 1) {
        w->first = 0;
        w->count = 1;
        return;
    }
    w->first = (int)((int64_t)names * w->number / phase->threads);
    w->count = (int)((int64_t)names * (w->number + 1) / phase->threads) - w->first;
}

static int place_count(const bench_phase *phase)
{
    return phase->kind == BENCH_PERMITS ? phase->names : name_count(phase);
}

/* All of them or none: key-0, key-1 and so on. */
static int new_several(const worker *w, const pawl_lock_opts *opts, pawl_lock **ret_lock)
{
    const bench_setup *setup = w->run->setup;
    int count = w->run->phase->names;
    char room[PAWL_NAMES_MAX][PAWL_NAME_MAX + 16];
    const char *names[PAWL_NAMES_MAX];
    for (int i = 0; i < count; i++) {
        snprintf(room[i], sizeof room[i], "%s-%d", setup->key, i);
        names[i] = room[i];
    }
    int err = pawl_lock_new_all(w->client, names, (size_t)count, opts, ret_lock);
    return err ? cli_fail(w->client, "bench", setup->key, err) : 0;
}

static int new_lock(const worker *w, int place, pawl_lock **ret_lock)
{
    const bench_setup *setup = w->run->setup;
    const bench_phase *phase = w->run->phase;
    char name[PAWL_NAME_MAX + 16];
    int length = snprintf(name, sizeof name, "%s", setup->key);
    if (name_count(phase) > 1) length = snprintf(name, sizeof name, "%s-%d", setup->key, place);
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = setup->ttl_ms;
    opts.retain_ms = phase->kind == BENCH_CACHED ? RETAIN_MS : 0;
    if (phase->kind == BENCH_READERS) opts.mode = PAWL_MODE_SHARED;
    if (phase->kind == BENCH_PERMITS) {
        opts.mode = PAWL_MODE_PERMIT;
        opts.capacity = (uint32_t)phase->names;
    }
    if (phase->kind == BENCH_SEVERAL) return new_several(w, &opts, ret_lock);
    int err = pawl_lock_new(w->client, name, (size_t)length, &opts, ret_lock);
    return err ? cli_fail(w->client, "bench", name, err) : 0;
}

static int worker_open(worker *w)
{
    const bench_setup *setup = w->run->setup;
    const worker *first = &w->run->workers[0];
    bool own = w == first || has_own_client(w->run->phase->kind);
    w->client = first->client;
    int code =
        own ? cli_client_open(setup->common, setup->store, PAWL_CALLBACKS_THREAD, &w->client) : 0;
    share_places(w, w->run->phase);
    w->locks = calloc((size_t)w->count, sizeof(pawl_lock *));
    if (!code && !w->locks) {
        cli_error("out of memory");
        code = CLI_EXIT_SYSTEM;
    }
    for (int i = 0; i < w->count && !code; i++) code = new_lock(w, w->first + i, &w->locks[i]);
    return code;
}

static void worker_close(worker *w)
{
    for (int i = 0; w->locks && i < w->count; i++) pawl_lock_free(w->locks[i]);
    free(w->locks);
    if (w == &w->run->workers[0] || w->client != w->run->workers[0].client) {
        pawl_client_close(w->client);
    }
}

/* Worker 0 last: its client may be that of all. */
static void close_all(run *r, int opened)
{
    for (int i = opened - 1; i >= 0; i--) worker_close(&r->workers[i]);
}

/* ---- The phase --------------------------------------------------------------------- */

static uint64_t sum(const run *r, bool in_time)
{
    uint64_t total = 0;
    for (int i = 0; i < r->phase->threads; i++) {
        const worker *w = &r->workers[i];
        total += atomic_load_explicit(in_time ? &w->pairs : &w->all_pairs, memory_order_relaxed);
    }
    return total;
}

static void show_progress(const run *r, int64_t elapsed_ms, bool last)
{
    char title[BENCH_TITLE_MAX];
    bool terminal = isatty(STDERR_FILENO);
    fprintf(stderr, "%s%s: %s%s: %.1f of %.1f s, %" PRIu64 " acquisitions%s",
            terminal ? "\r\033[K" : "", cli_program, r->setup->progress,
            bench_phase_title(r->phase, title), (double)elapsed_ms / 1000,
            (double)r->setup->duration_ms / 1000, sum(r, true), terminal && !last ? "" : "\n");
}

/* Watches the clock while the workers work. Returns the measured time in ns. */
static int64_t watch(run *r)
{
    const bench_setup *setup = r->setup;
    int64_t began = now_ns(), elapsed_ms = 0, shown_ms = 0;
    atomic_store(&r->go, true);
    while (elapsed_ms < setup->duration_ms && !atomic_load(&r->stop) &&
           !bench_phase_was_stopped()) {
        int64_t left = setup->duration_ms - elapsed_ms;
        sleep_ms(left < 20 ? left : 20);
        elapsed_ms = (now_ns() - began) / 1000000;
        if (!setup->progress || elapsed_ms - shown_ms < PROGRESS_MS ||
            elapsed_ms >= setup->duration_ms) {
            continue;
        }
        shown_ms = elapsed_ms;
        show_progress(r, elapsed_ms, false);
    }
    atomic_store(&r->stop, true);
    int64_t took = now_ns() - began;
    if (setup->progress) show_progress(r, elapsed_ms, true);
    return took;
}

/* Starts the threads, waits until each has held a lock once, measures, joins them. */
static int go_and_join(run *r, const bench_relay *relay, int64_t *ret_took_ns, uint64_t *ret_sent)
{
    int code = 0;
    for (int i = 0; i < r->phase->threads && !code; i++) {
        worker *w = &r->workers[i];
        w->started = pthread_create(&w->thread, NULL, work, w) == 0;
        if (w->started) continue;
        cli_error("bench: cannot start thread %d", i + 1);
        code = CLI_EXIT_SYSTEM;
    }
    while (!code && atomic_load(&r->ready) < r->phase->threads && !bench_phase_was_stopped()) {
        sleep_ms(1);
    }
    *ret_sent = relay ? bench_relay_count(relay) : 0;
    *ret_took_ns = code ? 1 : watch(r);
    atomic_store(&r->stop, true);
    atomic_store(&r->go, true);
    for (int i = 0; i < r->phase->threads; i++) {
        if (r->workers[i].started) pthread_join(r->workers[i].thread, NULL);
    }
    return code;
}

/* Jain's index: 1 when all got it equally often, 1/n when one got it always. */
static double fairness(const run *r)
{
    double total = 0, squares = 0;
    for (int i = 0; i < r->phase->threads; i++) {
        double pairs = (double)atomic_load(&r->workers[i].pairs);
        total += pairs;
        squares += pairs * pairs;
    }
    return squares > 0 ? total * total / (r->phase->threads * squares) : 1;
}

static void collect(const run *r, int64_t took_ns, bench_result *ret_result)
{
    *ret_result = (bench_result){
        .phase = *r->phase,
        .seconds = (double)took_ns / 1e9,
        .pairs = sum(r, true),
        .all_pairs = sum(r, false),
        .jain = fairness(r),
        .commands = -1,
        .overlaps = atomic_load(&r->overlaps),
        .slips = atomic_load(&r->slips),
    };
    for (int i = 0; i < r->phase->threads; i++) {
        histogram_merge(&ret_result->waits, &r->workers[i].waits);
        ret_result->handovers += r->workers[i].handovers;
    }
}

int bench_phase_run(const bench_setup *setup, const bench_phase *phase, const bench_relay *relay,
                    bench_result *ret_result)
{
    run r = {.setup = setup, .phase = phase};
    int code = 0, opened = 0;
    int64_t took_ns = 1;
    uint64_t sent = 0;
    r.workers = calloc((size_t)phase->threads, sizeof *r.workers);
    r.places = calloc((size_t)place_count(phase), sizeof *r.places);
    if (!r.workers || !r.places) {
        cli_error("out of memory");
        code = CLI_EXIT_SYSTEM;
    }
    for (; opened < phase->threads && !code; opened++) {
        r.workers[opened].run = &r;
        r.workers[opened].number = opened;
        code = worker_open(&r.workers[opened]);
    }
    if (!code) code = go_and_join(&r, relay, &took_ns, &sent);
    int err = atomic_load(&r.first_error);
    if (!code && err) code = cli_fail(r.workers[0].client, "bench", setup->key, err);
    if (!code) collect(&r, took_ns, ret_result);
    close_all(&r, opened);
    /* Closing has sent the last releases. */
    if (!code && relay && ret_result->all_pairs) {
        sent = bench_relay_count(relay) - sent;
        ret_result->commands = (double)sent / (double)ret_result->all_pairs;
    }
    free(r.places);
    free(r.workers);
    return code;
}
