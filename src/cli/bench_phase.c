/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "bench_phase.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "exit_codes.h"
#include "message.h"

#define PROGRESS_MS   500
#define WAIT_LIMIT_MS 60000 /* a wait as long as this is a fault, not a queue */

typedef struct phase {
    const bench_plan *plan;
    atomic_bool stop;
    atomic_int ready; /* threads whose client has held the lock once */
    atomic_bool go;
    atomic_int inside; /* holders at this moment */
    atomic_uint_fast64_t last_fence;
    atomic_uint_fast64_t pairs, overlaps, fence_slips;
    atomic_int first_error;
} phase;

typedef struct worker {
    phase *phase;
    pthread_t thread;
    pawl_client *client;
    pawl_lock *lock;
    histogram waits;
} worker;

static volatile sig_atomic_t interrupted;

void bench_phase_stop(void)
{
    interrupted = 1;
}

bool bench_phase_was_stopped(void)
{
    return interrupted;
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

static bool failed(phase *p, int err)
{
    if (!err) return false;
    int none = 0;
    atomic_compare_exchange_strong(&p->first_error, &none, err);
    atomic_store(&p->stop, true);
    return true;
}

/* What a lock is for, checked while it is measured. */
static void check_inside(phase *p, uint64_t fence)
{
    if (atomic_fetch_add(&p->inside, 1) != 0) atomic_fetch_add(&p->overlaps, 1);
    uint64_t last = atomic_exchange(&p->last_fence, fence);
    /* A lease that the client kept is acquired again under the same fence. */
    bool grew = p->plan->retain_ms > 0 ? fence >= last : fence > last;
    if (!grew) atomic_fetch_add(&p->fence_slips, 1);
    if (p->plan->hold_ms > 0) sleep_ms(p->plan->hold_ms);
    atomic_fetch_sub(&p->inside, 1);
}

static bool one_pair(worker *w, histogram *waits)
{
    phase *p = w->phase;
    int64_t began = now_ns();
    if (failed(p, pawl_lock_acquire(w->lock, WAIT_LIMIT_MS))) return false;
    int64_t held = now_ns();
    check_inside(p, pawl_lock_fence(w->lock));
    if (failed(p, pawl_lock_release(w->lock))) return false;
    if (!waits) return true;
    histogram_add(waits, held - began);
    atomic_fetch_add(&p->pairs, 1);
    return true;
}

static void *work(void *arg)
{
    worker *w = arg;
    phase *p = w->phase;
    bool fine = one_pair(w, NULL); /* connecting and loading scripts is not measured */
    atomic_fetch_add(&p->ready, 1);
    while (fine && !atomic_load(&p->go)) sleep_ms(1);
    while (fine && !atomic_load(&p->stop)) fine = one_pair(w, &w->waits);
    return NULL;
}

static int worker_open(worker *w, phase *p)
{
    const bench_plan *plan = p->plan;
    w->phase = p;
    int code = cli_client_open(plan->common, plan->store, PAWL_CALLBACKS_THREAD, &w->client);
    if (code) return code;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = plan->ttl_ms;
    opts.retain_ms = plan->retain_ms;
    int err = pawl_lock_new(w->client, plan->key, strlen(plan->key), &opts, &w->lock);
    return err ? cli_fail(w->client, "bench", plan->key, err) : 0;
}

static void worker_close(worker *w)
{
    w->lock = pawl_lock_free(w->lock);
    w->client = pawl_client_close(w->client);
}

/* ---- The phase --------------------------------------------------------------------- */

static void show_progress(const phase *p, int64_t elapsed_ms, bool last)
{
    bool terminal = isatty(STDERR_FILENO);
    fprintf(stderr, "%s%s: %s: %4.1f of %.1f s, %" PRIu64 " acquisitions%s", terminal ? "\r" : "",
            cli_program, p->plan->title, (double)elapsed_ms / 1000,
            (double)p->plan->duration_ms / 1000, (uint64_t)atomic_load(&p->pairs),
            terminal && !last ? "" : "\n");
}

/* Watches the clock while the workers work. Returns the measured time in ns. */
static int64_t watch(phase *p)
{
    while (atomic_load(&p->ready) < p->plan->threads && !interrupted) sleep_ms(1);
    int64_t began = now_ns(), elapsed_ms = 0, shown_ms = 0;
    atomic_store(&p->go, true);
    while (elapsed_ms < p->plan->duration_ms && !atomic_load(&p->stop) && !interrupted) {
        int64_t left = p->plan->duration_ms - elapsed_ms;
        sleep_ms(left < 20 ? left : 20);
        elapsed_ms = (now_ns() - began) / 1000000;
        if (p->plan->common->quiet || elapsed_ms - shown_ms < PROGRESS_MS) continue;
        shown_ms = elapsed_ms;
        show_progress(p, elapsed_ms, false);
    }
    atomic_store(&p->stop, true);
    if (!p->plan->common->quiet) show_progress(p, elapsed_ms, true);
    return now_ns() - began;
}

static void collect(phase *p, worker *workers, int64_t took_ns, bench_result *ret_result)
{
    *ret_result = (bench_result){
        .seconds = (double)took_ns / 1e9,
        .overlaps = atomic_load(&p->overlaps),
        .fence_slips = atomic_load(&p->fence_slips),
    };
    for (int i = 0; i < p->plan->threads; i++) {
        histogram_merge(&ret_result->waits, &workers[i].waits);
    }
    ret_result->pairs = ret_result->waits.count;
}

int bench_phase_run(const bench_plan *plan, bench_result *ret_result)
{
    phase p = {.plan = plan};
    int code = 0, started = 0;
    int64_t took_ns = 1;
    worker *workers = calloc((size_t)plan->threads, sizeof *workers);
    if (!workers) {
        cli_error("out of memory");
        return CLI_EXIT_SYSTEM;
    }
    for (int i = 0; i < plan->threads && !code; i++) code = worker_open(&workers[i], &p);
    for (; started < plan->threads && !code; started++) {
        if (pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0) continue;
        cli_error("bench: cannot start thread %d", started + 1);
        code = CLI_EXIT_SYSTEM;
        break;
    }
    if (!code) took_ns = watch(&p);
    atomic_store(&p.stop, true);
    atomic_store(&p.go, true);
    for (int i = 0; i < started; i++) pthread_join(workers[i].thread, NULL);

    int err = atomic_load(&p.first_error);
    if (!code && err) code = cli_fail(workers[0].client, "bench", plan->key, err);
    if (!code) collect(&p, workers, took_ns, ret_result);
    for (int i = 0; i < plan->threads; i++) worker_close(&workers[i]);
    free(workers);
    return code;
}
