/* SPDX-License-Identifier: MIT */
/*
 * Many readers of one name, in several processes, beside as many exclusive locks on names of their
 * own: first these for half of the time, then those.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/processes.h"
#include "workloads.h"

enum { EXCLUSIVE, SHARED, PHASES };

typedef struct board { /* shared by all processes */
    pthread_barrier_t ready, begin[PHASES], end[PHASES];
    _Atomic uint64_t pairs[PHASES];
    const bench_args *args;
} board;

typedef struct reader {
    board *board;
    pawl_lock *locks[PHASES];
} reader;

static void must(int err, const char *what)
{
    if (err) bench_die("pawl: %s: %s", what, pawl_err_text(err));
}

static uint64_t run_pairs(pawl_lock *lock, double seconds)
{
    uint64_t pairs = 0;
    int64_t until = bench_now_ns() + (int64_t)(seconds * 1e9);
    for (; bench_now_ns() < until; pairs++) {
        must(pawl_lock_acquire(lock, PAWL_WAIT_FOREVER), "acquire");
        must(pawl_lock_release(lock), "release");
    }
    return pairs;
}

static void *reader_main(void *userdata)
{
    reader *r = userdata;
    for (int i = 0; i < PHASES; i++) run_pairs(r->locks[i], 0.01); /* scripts are loaded */
    pthread_barrier_wait(&r->board->ready);
    for (int i = 0; i < PHASES; i++) {
        pthread_barrier_wait(&r->board->begin[i]);
        uint64_t pairs = run_pairs(r->locks[i], r->board->args->seconds / PHASES);
        atomic_fetch_add(&r->board->pairs[i], pairs);
        pthread_barrier_wait(&r->board->end[i]);
    }
    return NULL;
}

static pawl_lock *new_lock(pawl_client *client, const char *name, pawl_mode mode)
{
    pawl_lock *lock;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = mode;
    must(pawl_lock_new(client, name, strlen(name), &opts, &lock), "new");
    return lock;
}

static void process_main(int number, void *userdata)
{
    board *b = userdata;
    char message[PAWL_MESSAGE_MAX], name[40];
    pawl_client *client;
    pthread_t threads[BENCH_CLIENTS_MAX];
    reader *readers = calloc((size_t)b->args->threads, sizeof *readers);
    if (!readers) bench_die("out of memory");
    must(pawl_client_open(b->args->url, NULL, &client, message), message);
    for (int i = 0; i < b->args->threads; i++) {
        snprintf(name, sizeof name, "readers-%d-%d", number, i);
        readers[i] = (reader){.board = b,
                              .locks = {new_lock(client, name, PAWL_MODE_EXCLUSIVE),
                                        new_lock(client, "readers", PAWL_MODE_SHARED)}};
        if (pthread_create(&threads[i], NULL, reader_main, &readers[i]))
            bench_die("cannot start a thread");
    }
    for (int i = 0; i < b->args->threads; i++) pthread_join(threads[i], NULL);
    pawl_client_close(client);
}

void workload_readers(const bench_args *args)
{
    board *b = bench_shared_new(sizeof *b);
    unsigned parties = (unsigned)(args->processes * args->threads) + 1;
    b->args = args;
    bench_barrier_init(&b->ready, parties);
    for (int i = 0; i < PHASES; i++) {
        bench_barrier_init(&b->begin[i], parties);
        bench_barrier_init(&b->end[i], parties);
    }
    bench_fork(args->processes, process_main, b);
    pthread_barrier_wait(&b->ready);
    bench_wait_for_go();
    for (int i = 0; i < PHASES; i++) {
        pthread_barrier_wait(&b->begin[i]);
        pthread_barrier_wait(&b->end[i]);
    }
    printf("{\"driver\": \"pawl\", \"workload\": \"readers\", \"exclusive_per_s\": %.0f, "
           "\"shared_per_s\": %.0f}\n",
           (double)atomic_load(&b->pairs[EXCLUSIVE]) * PHASES / args->seconds,
           (double)atomic_load(&b->pairs[SHARED]) * PHASES / args->seconds);
    bench_wait_for_end();
}
