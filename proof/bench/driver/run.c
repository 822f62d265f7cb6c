/* SPDX-License-Identifier: MIT */
/*
 * The frame of a run. The processes share one piece of memory. In it lie
 * the witness (how many are inside), the last release and the counts; what a
 * holder writes is guarded by the lock under test, and the witness shows whether the lock works.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "driver.h"
#include "processes.h"

#define STACK_BYTES (256 * 1024) /* a thousand clients are a thousand threads */

typedef struct count {
    _Alignas(64) uint64_t acquired; /* within the window */
    uint64_t total;                 /* from the start until the last release */
    int64_t longest_wait_ns;
} count;

typedef struct shared {
    pthread_barrier_t warm, start, done, leave;
    _Atomic bool stop;
    int64_t until_ns;
    _Atomic int inside;
    _Atomic uint64_t overlaps;
    _Atomic int64_t cpu_ns; /* of all client processes, within the window */
    /* Written by the holder only. */
    int last_client;
    int64_t released_ns;
    uint64_t handovers;
    bench_histogram times; /* gaps between holders, or how long acquisitions took */
    count counts[BENCH_CLIENTS_MAX];
} shared;

typedef enum mode { PAIRS, ACQUIRE, CONTEND, SHARE, THREADS, MODES } mode;

static const char *const mode_names[MODES] = {"pairs", "acquire", "contend", "share", "threads"};

typedef struct run {
    const bench_driver *driver;
    const bench_args *args;
    mode mode;
    shared *shared;
} plan;

typedef struct client {
    const plan *run;
    void *connection; /* shared by the process, or NULL: it makes its own */
    int number;
} client;

/* ---- One client ------------------------------------------------------------------ */

/* The lock was just acquired: notes who had it before, and since when it was free. */
static void enter(shared *s, int me, int64_t asked_ns)
{
    int64_t now = bench_now_ns();
    if (atomic_fetch_add(&s->inside, 1) != 0) atomic_fetch_add(&s->overlaps, 1);
    count *mine = &s->counts[me];
    mine->total++;
    if (now > s->until_ns) return;
    mine->acquired++;
    if (now - asked_ns > mine->longest_wait_ns) mine->longest_wait_ns = now - asked_ns;
    if (s->released_ns && s->last_client != me) {
        s->handovers++;
        bench_histogram_add(&s->times, now - s->released_ns);
    }
}

static void leave(shared *s, int me)
{
    s->last_client = me;
    atomic_fetch_sub(&s->inside, 1);
    s->released_ns = bench_now_ns();
}

static void contend(const plan *run, void *lock, int me)
{
    shared *s = run->shared;
    while (!s->stop) {
        int64_t asked = bench_now_ns();
        run->driver->acquire(lock);
        enter(s, me, asked);
        leave(s, me);
        run->driver->release(lock);
    }
}

static void pairs(const plan *run, void *lock, int me)
{
    shared *s = run->shared;
    uint64_t done = 0;
    while (!s->stop) {
        run->driver->acquire(lock);
        run->driver->release(lock);
        done++;
    }
    s->counts[me].acquired = s->counts[me].total = done;
}

static void acquire_alone(const plan *run, void *lock, int me)
{
    const bench_driver *driver = run->driver;
    shared *s = run->shared;
    while (!s->stop) {
        int64_t before = bench_now_ns();
        driver->acquire(lock);
        bench_histogram_add(&s->times, bench_now_ns() - before);
        (driver->release_and_wait ? driver->release_and_wait : driver->release)(lock);
        s->counts[me].acquired++;
    }
    s->counts[me].total = s->counts[me].acquired;
}

static void *client_main(void *argument)
{
    client *c = argument;
    const plan *run = c->run;
    const bench_driver *driver = run->driver;
    void *connection = c->connection ? c->connection : driver->connect(run->args);
    char name[40];

    /* Connections, scripts and caches are there before the window opens. */
    snprintf(name, sizeof name, "warm-%d", c->number);
    void *warm = driver->lock(connection, name);
    for (int i = 0; i < 2; i++) {
        driver->acquire(warm);
        (driver->release_and_wait ? driver->release_and_wait : driver->release)(warm);
    }
    snprintf(name, sizeof name, "bench-%d", run->mode == THREADS ? c->number : 0);
    void *lock = driver->lock(connection, name);
    pthread_barrier_wait(&run->shared->warm);
    pthread_barrier_wait(&run->shared->start);

    switch (run->mode) {
    case PAIRS:
    case THREADS:
        pairs(run, lock, c->number);
        break;
    case ACQUIRE:
        acquire_alone(run, lock, c->number);
        break;
    case CONTEND:
    case SHARE:
        contend(run, lock, c->number);
        break;
    case MODES:
        break;
    }
    return NULL;
}

/* ---- One process ------------------------------------------------------------------ */

static void process_main(int number, void *userdata)
{
    const plan *run = userdata;
    const bench_args *args = run->args;
    bool one = run->mode == SHARE || run->mode == THREADS;
    void *connection = one ? run->driver->connect(args) : NULL;
    client *clients = calloc((size_t)args->threads, sizeof *clients);
    pthread_t *threads = calloc((size_t)args->threads, sizeof *threads);
    pthread_attr_t attributes;
    if (!clients || !threads || pthread_attr_init(&attributes) ||
        pthread_attr_setstacksize(&attributes, STACK_BYTES)) {
        bench_die("out of memory");
    }
    for (int i = 0; i < args->threads; i++) {
        clients[i] = (client){run, connection, number * args->threads + i};
        if (pthread_create(&threads[i], &attributes, client_main, &clients[i])) {
            bench_die("cannot start thread %d", i);
        }
    }
    pthread_barrier_wait(&run->shared->start);
    int64_t cpu = bench_cpu_ns();
    for (int i = 0; i < args->threads; i++) pthread_join(threads[i], NULL);
    atomic_fetch_add(&run->shared->cpu_ns, bench_cpu_ns() - cpu);
    pthread_barrier_wait(&run->shared->done);
    pthread_barrier_wait(&run->shared->leave);
    if (run->driver->end) run->driver->end();
    pthread_barrier_wait(&run->shared->leave);
    _exit(0);
}

/* ---- The parent ---------------------------------------------------------------------- */

/* Jain's index of fairness: 1 when all got the same, 1/n when one got all. */
static double jain(const shared *s, int clients)
{
    double sum = 0, squares = 0;
    for (int i = 0; i < clients; i++) {
        double x = (double)s->counts[i].acquired;
        sum += x;
        squares += x * x;
    }
    return squares > 0 ? sum * sum / (clients * squares) : 0;
}

/* What the process with the fewest got; 1: its fair share. */
static double least_share(const shared *s, const bench_args *args, uint64_t acquired)
{
    uint64_t least = UINT64_MAX;
    for (int p = 0; p < args->processes; p++) {
        uint64_t sum = 0;
        for (int t = 0; t < args->threads; t++) sum += s->counts[p * args->threads + t].acquired;
        if (sum < least) least = sum;
    }
    return acquired ? (double)least * args->processes / (double)acquired : 0;
}

static void print(const plan *run)
{
    const bench_args *args = run->args;
    const shared *s = run->shared;
    int clients = args->processes * args->threads;
    uint64_t acquired = 0, total = 0;
    int64_t longest = 0;
    for (int i = 0; i < clients; i++) {
        acquired += s->counts[i].acquired;
        total += s->counts[i].total;
        if (s->counts[i].longest_wait_ns > longest) longest = s->counts[i].longest_wait_ns;
    }
    printf("{\"driver\": \"%s\", \"workload\": \"%s\", \"clients\": %d, \"seconds\": %g, "
           "\"acquired\": %llu, \"total\": %llu, \"client_cpu_us\": %lld",
           run->driver->name, args->workload, clients, args->seconds, (unsigned long long)acquired,
           (unsigned long long)total, (long long)s->cpu_ns / 1000);
    const char *timed = run->mode == ACQUIRE ? "acquire" : "gap";
    if (s->times.count) {
        printf(", \"%s_p50_ns\": %lld, \"%s_p99_ns\": %lld, \"%s_max_ns\": %lld", timed,
               (long long)bench_histogram_quantile(&s->times, 0.5), timed,
               (long long)bench_histogram_quantile(&s->times, 0.99), timed,
               (long long)s->times.max_ns);
    }
    if (run->mode == CONTEND || run->mode == SHARE) {
        printf(", \"handovers\": %llu, \"jain\": %.4f, \"least_share\": %.4f, "
               "\"longest_wait_ns\": %lld, \"overlaps\": %llu",
               (unsigned long long)s->handovers, jain(s, clients), least_share(s, args, acquired),
               (long long)longest, (unsigned long long)s->overlaps);
    }
    puts("}");
}

static shared *shared_new(const bench_args *args)
{
    shared *s = bench_shared_new(sizeof *s);
    unsigned processes = (unsigned)args->processes, threads = (unsigned)args->threads;
    bench_barrier_init(&s->warm, processes * threads + 1);
    bench_barrier_init(&s->start, processes * (threads + 1) + 1);
    bench_barrier_init(&s->done, processes + 1);
    bench_barrier_init(&s->leave, processes + 1);
    return s;
}

static void measure(plan *run)
{
    shared *s = run->shared;
    bench_fork(run->args->processes, process_main, run);
    pthread_barrier_wait(&s->warm);
    bench_wait_for_go();
    s->until_ns = bench_now_ns() + (int64_t)(run->args->seconds * 1e9);
    pthread_barrier_wait(&s->start);
    bench_sleep_until(s->until_ns);
    s->stop = true;
    pthread_barrier_wait(&s->done);
    print(run);
    bench_wait_for_end();
    pthread_barrier_wait(&s->leave);
    pthread_barrier_wait(&s->leave); /* they die with us, and have said good-bye by then */
}

/* ---- The command line ------------------------------------------------------------------- */

static void parse(int argc, char **argv, bench_args *ret_args)
{
    if (argc != 5) bench_die("usage: %s URL WORKLOAD CLIENTS|PROCESSESxTHREADS SECONDS", argv[0]);
    bench_args args = {.url = argv[1], .workload = argv[2], .seconds = strtod(argv[4], NULL)};
    if (sscanf(argv[3], "%dx%d", &args.processes, &args.threads) != 2) {
        args.processes = 1;
        args.threads = (int)strtol(argv[3], NULL, 10);
    }
    if (args.processes < 1 || args.threads < 1 || !(args.seconds > 0)) {
        bench_die("numbers are positive");
    }
    *ret_args = args;
}

/* A thousand clients need more descriptors than the usual 1024. */
static void raise_limits(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files)) return;
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
}

int bench_main(const bench_driver *driver, int argc, char **argv)
{
    bench_args args;
    parse(argc, argv, &args);
    raise_limits();
    if (driver->other && driver->other(&args)) return 0;
    if (strcmp(args.workload, "wire") == 0) bench_wire(driver, &args);
    if (strcmp(args.workload, "wakeup") == 0) {
        bench_wakeup(driver, &args);
        return 0;
    }

    plan run = {.driver = driver, .args = &args, .mode = MODES};
    for (mode m = 0; m < MODES; m++) {
        if (strcmp(args.workload, mode_names[m]) == 0) run.mode = m;
    }
    if (run.mode == MODES) bench_die("%s does not know the workload %s", argv[0], args.workload);
    if (args.processes * args.threads > BENCH_CLIENTS_MAX) bench_die("too many clients");
    run.shared = shared_new(&args);
    measure(&run);
    return 0;
}
