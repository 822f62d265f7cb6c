/* SPDX-License-Identifier: MIT */
/*
 * The kinds of lock beside the exclusive one, in turn in one process, so that a busy machine
 * slows them all: pairs of each alone, and what it takes until the last waiting reader is told.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads.h"

#define TURN        50 /* batches of one kind before the next */
#define LOCAL_BATCH 100
#define CAPACITY    8
#define SEVERAL     3

static void must(int err, const char *what)
{
    if (err) bench_die("pawl: %s: %s", what, pawl_err_text(err));
}

/* ---- Pairs ------------------------------------------------------------------------------ */

typedef struct kind {
    const char *name;
    pawl_lock *lock;
    int batch; /* pairs that are timed together: those that ask nobody are short */
    bench_histogram
        *times; /* of a batch: the median is less moved by a busy machine than the mean */
} kind;

static pawl_lock *new_lock(pawl_client *client, const char *name, pawl_mode mode)
{
    pawl_lock *lock;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.mode = mode;
    if (mode == PAWL_MODE_PERMIT) opts.capacity = CAPACITY;
    must(pawl_lock_new(client, name, strlen(name), &opts, &lock), "new");
    return lock;
}

static void run_batch(const kind *k)
{
    int64_t began = bench_now_ns();
    for (int i = 0; i < k->batch; i++) {
        must(pawl_lock_acquire(k->lock, PAWL_WAIT_FOREVER), "acquire");
        must(pawl_lock_release(k->lock), "release");
    }
    bench_histogram_add(k->times, bench_now_ns() - began);
}

void workload_kinds(const bench_args *args, pawl_client *client)
{
    static const char *const names[SEVERAL] = {"kinds-1", "kinds-2", "kinds-3"};
    pawl_lock *several, *reader = new_lock(client, "kinds-local", PAWL_MODE_SHARED);
    must(pawl_lock_new_all(client, names, SEVERAL, NULL, &several), "new");
    must(pawl_lock_acquire(reader, PAWL_WAIT_FOREVER), "acquire");
    kind kinds[] = {
        {"exclusive", new_lock(client, "kinds-x", PAWL_MODE_EXCLUSIVE), 1, NULL},
        {"shared", new_lock(client, "kinds-s", PAWL_MODE_SHARED), 1, NULL},
        {"permit", new_lock(client, "kinds-p", PAWL_MODE_PERMIT), 1, NULL},
        {"several", several, 1, NULL},
        /* Beside the reader that holds already: nobody is asked. */
        {"local", new_lock(client, "kinds-local", PAWL_MODE_SHARED), LOCAL_BATCH, NULL},
    };
    size_t count = sizeof kinds / sizeof kinds[0];
    for (size_t i = 0; i < count; i++) {
        kinds[i].times = calloc(1, sizeof *kinds[i].times);
        if (!kinds[i].times) bench_die("out of memory");
        run_batch(&kinds[i]); /* scripts are loaded */
        *kinds[i].times = (bench_histogram){0};
    }
    bench_wait_for_go();
    int64_t until = bench_now_ns() + (int64_t)(args->seconds * 1e9);
    while (bench_now_ns() < until)
        for (size_t i = 0; i < count * TURN; i++) run_batch(&kinds[i / TURN]);
    printf("{\"driver\": \"pawl\", \"workload\": \"kinds\"");
    for (size_t i = 0; i < count; i++)
        printf(", \"%s_ns\": %.2f", kinds[i].name,
               (double)bench_histogram_quantile(kinds[i].times, 0.5) / kinds[i].batch);
    puts("}");
    bench_wait_for_end();
}

/* ---- Readers behind a writer ------------------------------------------------------------ */

typedef struct crowd {
    pawl_client *observer;
    pawl_client **clients;
    pawl_lock **readers;
    pawl_lock *writer;
    atomic_int told;
} crowd;

static void on_told(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    crowd *c = userdata;
    must(err, "acquire");
    atomic_fetch_add(&c->told, 1);
}

static bool count_waiters(const pawl_info *info, void *ret_count)
{
    *(size_t *)ret_count = info->waiter_count;
    return false;
}

static void until_waiting(const crowd *c, size_t count)
{
    const char *name = pawl_lock_name(c->writer);
    for (size_t seen = 0; seen != count;)
        must(pawl_inspect(c->observer, name, strlen(name), PAWL_WAIT_FOREVER, count_waiters, &seen),
             "inspect");
}

/* From the writer's release until the last of so many readers has its lease. */
static int64_t wake(crowd *c, int count)
{
    must(pawl_lock_acquire(c->writer, PAWL_WAIT_FOREVER), "acquire");
    atomic_store(&c->told, 0);
    for (int i = 0; i < count; i++)
        must(pawl_lock_acquire_start(c->readers[i], PAWL_WAIT_FOREVER, on_told, c), "acquire");
    until_waiting(c, (size_t)count);
    int64_t began = bench_now_ns();
    must(pawl_lock_release(c->writer), "release");
    while (atomic_load(&c->told) < count) sched_yield();
    int64_t took = bench_now_ns() - began;
    for (int i = 0; i < count; i++) must(pawl_lock_release(c->readers[i]), "release");
    return took;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

#define TURNS_MAX 1000

static int64_t median(int64_t *values, int count)
{
    qsort(values, (size_t)count, sizeof *values, compare_ns);
    return values[count / 2];
}

static void open_crowd(const bench_args *args, crowd *c)
{
    char message[PAWL_MESSAGE_MAX];
    c->clients = calloc((size_t)args->threads, sizeof *c->clients);
    c->readers = calloc((size_t)args->threads, sizeof *c->readers);
    if (!c->clients || !c->readers) bench_die("out of memory");
    c->writer = new_lock(c->observer, "wake", PAWL_MODE_EXCLUSIVE);
    for (int i = 0; i < args->threads; i++) {
        must(pawl_client_open(args->url, NULL, &c->clients[i], message), message);
        c->readers[i] = new_lock(c->clients[i], "wake", PAWL_MODE_SHARED);
    }
}

void workload_wake(const bench_args *args, pawl_client *client)
{
    static int64_t one[TURNS_MAX], all[TURNS_MAX];
    crowd c = {.observer = client};
    int turns = 0;
    open_crowd(args, &c);
    (void)wake(&c, args->threads); /* connections and scripts are there */
    bench_wait_for_go();
    int64_t until = bench_now_ns() + (int64_t)(args->seconds * 1e9);
    for (; turns < TURNS_MAX && (turns == 0 || bench_now_ns() < until); turns++) {
        one[turns] = wake(&c, 1);
        all[turns] = wake(&c, args->threads);
    }
    printf("{\"driver\": \"pawl\", \"workload\": \"wake\", \"turns\": %d, \"wake_one_ns\": %lld, "
           "\"wake_all_ns\": %lld}\n",
           turns, (long long)median(one, turns), (long long)median(all, turns));
    bench_wait_for_end();
}
