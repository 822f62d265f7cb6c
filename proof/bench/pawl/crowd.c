/* SPDX-License-Identifier: MIT */
/* Many clients, or many names: asynchronous, so that a waiter is no thread of its own. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../driver/processes.h"
#include "workloads.h"

#define CONNECT_WITHIN_MS 60000 /* ten thousand at once */
#define WARMING_NS        10000000
#define STACK_BYTES       (256 * 1024)

typedef struct name_state {
    _Atomic int inside;
    /* Written by the holder only. */
    int last_client; /* number + 1 */
    int64_t released_ns;
} name_state;

typedef struct client_count {
    _Alignas(64) _Atomic uint64_t acquired, handovers; /* within the window */
} client_count;

typedef struct crowd {
    pthread_barrier_t asked, start, done, leave;
    _Atomic bool measuring, stop;
    _Atomic uint64_t grants, overlaps;
    _Atomic int64_t cpu_ns, resident; /* of all client processes */
    bench_histogram gaps;             /* of the only name; guarded by its lock */
    int names;
    bool in_loops; /* a thread of ours works for each client, and pawl starts none */
    const bench_args *args;
    name_state *states;
    client_count *counts;
} crowd;

typedef struct handle {
    crowd *crowd;
    pawl_lock *lock;
    int client, name;
} handle;

static void must(int err, const char *what)
{
    if (err) bench_die("pawl: %s: %s", what, pawl_err_text(err));
}

/* ---- A handle: on the thread of its client ---------------------------------------------- */

static void inside(handle *c, int64_t now)
{
    crowd *all = c->crowd;
    name_state *name = &all->states[c->name];
    client_count *mine = &all->counts[c->client];
    if (atomic_fetch_add(&name->inside, 1) != 0) atomic_fetch_add(&all->overlaps, 1);
    atomic_fetch_add(&all->grants, 1);
    if (all->measuring) {
        atomic_fetch_add(&mine->acquired, 1);
        if (name->last_client != c->client + 1) {
            atomic_fetch_add(&mine->handovers, 1);
            if (all->names == 1) bench_histogram_add(&all->gaps, now - name->released_ns);
        }
    }
    name->last_client = c->client + 1;
    name->released_ns = bench_now_ns();
    atomic_fetch_sub(&name->inside, 1);
}

static void on_granted(pawl_lock *lock, int err, void *userdata)
{
    handle *c = userdata;
    must(err, "acquire");
    inside(c, bench_now_ns());
    must(pawl_lock_release(lock), "release");
    if (c->crowd->stop) return;
    must(pawl_lock_acquire_start(lock, PAWL_WAIT_FOREVER, on_granted, c), "acquire");
}

/* ---- A process --------------------------------------------------------------------------- */

static pawl_client *open_client(const crowd *all)
{
    pawl_open_opts opts;
    char message[PAWL_MESSAGE_MAX];
    pawl_client *client;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = CONNECT_WITHIN_MS;
    if (all->in_loops) opts.callbacks = PAWL_CALLBACKS_WAIT;
    if (pawl_client_open(all->args->url, &opts, &client, message)) bench_die("pawl: %s", message);
    return client;
}

static void *loop_main(void *client)
{
    for (;;)
        if (pawl_client_wait(client, -1, PAWL_WAIT_FOREVER) < 0) bench_die("pawl: wait");
}

static void work_for(pawl_client *client)
{
    pthread_attr_t attributes;
    pthread_t thread;
    if (pthread_attr_init(&attributes) || pthread_attr_setstacksize(&attributes, STACK_BYTES) ||
        pthread_create(&thread, &attributes, loop_main, client))
        bench_die("no thread");
    pthread_detach(thread);
}

static void want_all(crowd *all, int client, handle *handles)
{
    pawl_client *connection = open_client(all);
    char name[40];
    for (int i = 0; i < all->names; i++) {
        handles[i] = (handle){.crowd = all, .client = client, .name = i};
        int length = snprintf(name, sizeof name, "crowd-%d", i);
        must(pawl_lock_new(connection, name, (size_t)length, NULL, &handles[i].lock), "new");
        must(pawl_lock_acquire_start(handles[i].lock, PAWL_WAIT_FOREVER, on_granted, &handles[i]),
             "acquire");
    }
    if (all->in_loops) work_for(connection);
}

static void process_main(int number, void *userdata)
{
    crowd *all = userdata;
    int clients = all->args->threads;
    size_t before = bench_resident_bytes();
    handle *handles = calloc((size_t)clients * (size_t)all->names, sizeof *handles);
    if (!handles) bench_die("out of memory");
    for (int i = 0; i < clients; i++) {
        want_all(all, number * clients + i, handles + (size_t)i * (size_t)all->names);
    }
    pthread_barrier_wait(&all->asked);
    pthread_barrier_wait(&all->start);
    int64_t cpu = bench_cpu_ns();
    pthread_barrier_wait(&all->done);
    atomic_fetch_add(&all->cpu_ns, bench_cpu_ns() - cpu);
    atomic_fetch_add(&all->resident, (int64_t)(bench_resident_bytes() - before));
    pthread_barrier_wait(&all->leave);
    pthread_barrier_wait(&all->leave);
    _exit(0); /* the server is about to be emptied: nothing is closed */
}

/* ---- The parent ---------------------------------------------------------------------------- */

static void print(const crowd *all)
{
    int clients = all->args->processes * all->args->threads;
    double handles = (double)clients * all->names, sum = 0, squares = 0;
    uint64_t handovers = 0;
    for (int i = 0; i < clients; i++) {
        double acquired = (double)all->counts[i].acquired;
        sum += acquired;
        squares += acquired * acquired;
        handovers += all->counts[i].handovers;
    }
    printf("{\"driver\": \"pawl\", \"workload\": \"%s\", \"clients\": %d, \"names\": %d, "
           "\"seconds\": %g, \"acquired\": %.0f, \"handovers\": %llu, \"jain\": %.4f, "
           "\"client_cpu_us\": %lld, \"resident_each\": %.0f, \"overlaps\": %llu",
           all->args->workload, clients, all->names, all->args->seconds, sum,
           (unsigned long long)handovers, squares > 0 ? sum * sum / (clients * squares) : 0,
           (long long)all->cpu_ns / 1000, (double)all->resident / handles,
           (unsigned long long)all->overlaps);
    if (all->gaps.count) {
        printf(", \"gap_p50_ns\": %lld, \"gap_p99_ns\": %lld",
               (long long)bench_histogram_quantile(&all->gaps, 0.5),
               (long long)bench_histogram_quantile(&all->gaps, 0.99));
    }
    puts("}");
}

static crowd *crowd_new(const bench_args *args, int names, bool in_loops)
{
    size_t clients = (size_t)args->processes * (size_t)args->threads;
    unsigned processes = (unsigned)args->processes;
    crowd *all = bench_shared_new(sizeof *all);
    if (names < 1) bench_die("crowd-NAMES: a positive number");
    all->args = args;
    all->names = names;
    all->in_loops = in_loops;
    all->states = bench_shared_new((size_t)names * sizeof *all->states);
    all->counts = bench_shared_new(clients * sizeof *all->counts);
    bench_barrier_init(&all->asked, processes + 1);
    bench_barrier_init(&all->start, processes + 1);
    bench_barrier_init(&all->done, processes + 1);
    bench_barrier_init(&all->leave, processes + 1);
    return all;
}

void workload_crowd(const bench_args *args, int names, bool in_loops)
{
    crowd *all = crowd_new(args, names, in_loops);
    uint64_t handles = (uint64_t)args->processes * (uint64_t)args->threads * (uint64_t)names;
    bench_fork(args->processes, process_main, all);
    pthread_barrier_wait(&all->asked);
    /* Until each handle has had its turn, on average: then all are connected and queue. */
    while (all->grants < handles) bench_sleep_until(bench_now_ns() + WARMING_NS);
    bench_wait_for_go();
    pthread_barrier_wait(&all->start);
    all->measuring = true;
    bench_sleep_until(bench_now_ns() + (int64_t)(args->seconds * 1e9));
    all->measuring = false;
    pthread_barrier_wait(&all->done);
    pthread_barrier_wait(&all->leave);
    print(all);
    bench_wait_for_end();
    all->stop = true;
    pthread_barrier_wait(&all->leave);
}
