/* SPDX-License-Identifier: MIT */
/*
 * Names that several hold at once: readers and writers of one lock, and a semaphore. The drivers of
 * the peers do the same (RedissonSeveral.java, frame.js, frame.py), and say the same of it.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "workloads.h"

#define TURNS       20 /* one of them is to write */
#define STAGGER     7  /* no common divisor with TURNS: writers are spread over the clients */
#define PERMITS     8
#define STACK_BYTES (256 * 1024)

typedef enum class { READ, WRITE, PERMIT, CLASSES } class;

typedef struct tally { /* of one client; its own thread writes it, all read waits_since */
    _Alignas(64) _Atomic uint64_t waits_since; /* the number of its question; UINT64_MAX: none */
    uint64_t acquired[CLASSES], total;
    int64_t longest_ns[CLASSES];
    bench_histogram passed; /* of each acquisition to write: how many passed it */
    uint64_t handovers, last_grant;
    pawl_lock *locks[CLASSES];
} tally;

typedef struct board {
    const bench_args *args;
    bool permits;
    pawl_client *client; /* if all use one */
    pthread_barrier_t ready, start;
    _Atomic bool stop;
    int64_t until_ns;
    _Atomic uint64_t asked, granted, overlaps;
    _Atomic int inside[CLASSES];
    tally *tallies;
} board;

typedef struct runner {
    board *board;
    int number;
} runner;

static void must(int err, const char *what)
{
    if (err) bench_die("pawl: %s: %s", what, pawl_err_text(err));
}

static pawl_lock *new_lock(pawl_client *client, const char *name, class kind)
{
    static const pawl_mode modes[CLASSES] = {PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE,
                                             PAWL_MODE_PERMIT};
    pawl_lock *lock;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = BENCH_TTL_MS;
    opts.mode = modes[kind];
    if (kind == PERMIT) opts.capacity = PERMITS;
    must(pawl_lock_new(client, name, strlen(name), &opts, &lock), "new");
    return lock;
}

/* ---- One acquisition ---------------------------------------------------------------------- */

/* How many asked after question `mine` and got in before it. */
static uint64_t count_passed(const board *b, uint64_t mine, uint64_t granted_before)
{
    uint64_t earlier = mine; /* questions before it that are answered */
    for (int i = 0; i < b->args->threads; i++) earlier -= b->tallies[i].waits_since < mine;
    return granted_before > earlier ? granted_before - earlier : 0;
}

/* The rule of the lock: readers together, a writer alone, so many permits. */
static bool fits(const board *b, class kind)
{
    if (kind == PERMIT) return b->inside[PERMIT] <= PERMITS;
    return b->inside[WRITE] == 0 || (b->inside[WRITE] == 1 && b->inside[READ] == 0);
}

static void acquire(board *b, tally *me, class kind)
{
    int64_t asked_ns = bench_now_ns();
    uint64_t mine = atomic_fetch_add(&b->asked, 1);
    me->waits_since = mine;
    must(pawl_lock_acquire(me->locks[kind], PAWL_WAIT_FOREVER), "acquire");
    int64_t now = bench_now_ns();
    me->waits_since = UINT64_MAX;
    uint64_t before = atomic_fetch_add(&b->granted, 1);
    atomic_fetch_add(&b->inside[kind], 1);
    if (!fits(b, kind)) atomic_fetch_add(&b->overlaps, 1);

    me->total++;
    if (now <= b->until_ns) {
        me->acquired[kind]++;
        if (now - asked_ns > me->longest_ns[kind]) me->longest_ns[kind] = now - asked_ns;
        if (kind == WRITE) bench_histogram_add(&me->passed, (int64_t)count_passed(b, mine, before));
        /* Handed over by others: at least as many as there are permits came between. */
        if (kind == PERMIT && me->total > 1 && before - me->last_grant > PERMITS) me->handovers++;
    }
    me->last_grant = before;
}

static void release(board *b, tally *me, class kind)
{
    atomic_fetch_sub(&b->inside[kind], 1);
    must(pawl_lock_release(me->locks[kind]), "release");
}

/* ---- One client ------------------------------------------------------------------------------ */

static void open_client(board *b, int number)
{
    char name[40], message[PAWL_MESSAGE_MAX];
    pawl_client *own = b->client;
    tally *me = &b->tallies[number];
    me->waits_since = UINT64_MAX;
    if (!own) must(pawl_client_open(b->args->url, NULL, &own, message), message);
    class first = b->permits ? PERMIT : READ, last = b->permits ? PERMIT : WRITE;
    for (class kind = first; kind <= last; kind++) {
        snprintf(name, sizeof name, "warm-%d-%d", number, (int)kind);
        pawl_lock *warm = new_lock(own, name, kind);
        must(pawl_lock_acquire(warm, PAWL_WAIT_FOREVER), "acquire");
        must(pawl_lock_release_wait(warm, PAWL_WAIT_FOREVER), "release");
        me->locks[kind] = new_lock(own, "bench-0", kind);
    }
}

static void *runner_main(void *argument)
{
    const runner *c = argument;
    board *b = c->board;
    tally *me = &b->tallies[c->number];
    open_client(b, c->number);
    pthread_barrier_wait(&b->ready);
    pthread_barrier_wait(&b->start);
    for (int turn = c->number * STAGGER; !b->stop; turn++) {
        class kind = b->permits ? PERMIT : turn % TURNS == 0 ? WRITE : READ;
        acquire(b, me, kind);
        release(b, me, kind);
    }
    return NULL;
}

/* ---- What comes of it --------------------------------------------------------------------------
 */

static double jain(const board *b, class kind)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < b->args->threads; i++) {
        double x = (double)b->tallies[i].acquired[kind];
        sum += x;
        squares += x * x;
    }
    return squares > 0 ? sum * sum / (b->args->threads * squares) : 0;
}

static void print(const board *b)
{
    uint64_t acquired[CLASSES] = {0}, total = 0, handovers = 0;
    int64_t longest[CLASSES] = {0};
    bench_histogram passed = {0};
    for (int i = 0; i < b->args->threads; i++) {
        const tally *s = &b->tallies[i];
        total += s->total;
        handovers += s->handovers;
        for (class kind = 0; kind < CLASSES; kind++) {
            acquired[kind] += s->acquired[kind];
            if (s->longest_ns[kind] > longest[kind]) longest[kind] = s->longest_ns[kind];
        }
        bench_histogram_merge(&passed, &s->passed);
    }
    printf("{\"driver\": \"pawl\", \"workload\": \"%s\", \"clients\": %d, \"seconds\": %g, "
           "\"acquired\": %llu, \"total\": %llu, \"overlaps\": %llu",
           b->args->workload, b->args->threads, b->args->seconds,
           (unsigned long long)(acquired[READ] + acquired[WRITE] + acquired[PERMIT]),
           (unsigned long long)total, (unsigned long long)b->overlaps);
    if (b->permits)
        printf(", \"handovers\": %llu, \"jain\": %.4f, \"longest_wait_ns\": %lld}\n",
               (unsigned long long)handovers, jain(b, PERMIT), (long long)longest[PERMIT]);
    else
        printf(", \"reads\": %llu, \"writes\": %llu, \"jain_reads\": %.4f, \"jain_writes\": %.4f, "
               "\"longest_read_ns\": %lld, \"longest_write_ns\": %lld, \"passed_p99\": %lld, "
               "\"passed_max\": %lld}\n",
               (unsigned long long)acquired[READ], (unsigned long long)acquired[WRITE],
               jain(b, READ), jain(b, WRITE), (long long)longest[READ], (long long)longest[WRITE],
               (long long)bench_histogram_quantile(&passed, 0.99), (long long)passed.max_ns);
}

void workload_several(const bench_args *args, bool permits, bool one_client)
{
    board b = {.args = args, .permits = permits};
    char message[PAWL_MESSAGE_MAX];
    unsigned parties = (unsigned)args->threads + 1;
    runner *runners = calloc((size_t)args->threads, sizeof *runners);
    pthread_t *threads = calloc((size_t)args->threads, sizeof *threads);
    pthread_attr_t attributes;
    if (posix_memalign((void **)&b.tallies, _Alignof(tally),
                       sizeof(tally) * (size_t)args->threads) ||
        !runners || !threads || pthread_attr_init(&attributes) ||
        pthread_attr_setstacksize(&attributes, STACK_BYTES)) {
        bench_die("out of memory");
    }
    memset(b.tallies, 0, sizeof(tally) * (size_t)args->threads);
    if (one_client) must(pawl_client_open(args->url, NULL, &b.client, message), message);
    if (pthread_barrier_init(&b.ready, NULL, parties) ||
        pthread_barrier_init(&b.start, NULL, parties)) {
        bench_die("cannot make a barrier");
    }
    for (int i = 0; i < args->threads; i++) {
        runners[i] = (runner){&b, i};
        if (pthread_create(&threads[i], &attributes, runner_main, &runners[i]))
            bench_die("cannot start thread %d", i);
    }
    pthread_barrier_wait(&b.ready);
    bench_wait_for_go();
    b.until_ns = bench_now_ns() + (int64_t)(args->seconds * 1e9);
    pthread_barrier_wait(&b.start);
    bench_sleep_until(b.until_ns);
    b.stop = true;
    for (int i = 0; i < args->threads; i++) pthread_join(threads[i], NULL);
    print(&b);
    bench_wait_for_end();
}
