/* SPDX-License-Identifier: MIT */
/*
 * pawl-threads: the library's threads under a controlled scheduler. docs/testing.md says what is
 * run and judged. Exit status: 0 nothing was found, 1 something was, 64 wrong usage.
 */
#define _GNU_SOURCE
#include "run.h"

#include "explore.h"
#include "files.h"
#include "races.h"

#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

int __real_clock_gettime(clockid_t clock, struct timespec *ret);

typedef struct options {
    uint64_t seed;
    uint64_t seeds;
    double seconds;
    int strategy; /* -1: by the seed */
    bool trace, hash, keep_going, no_shrink, toys;
    int explore, floors; /* preemptions, -1: none */
    int only;            /* of these the program with that number; 0: all */
    const char *flavour; /* NULL: all */
} options;

static const char usage[] =
    "usage: pawl-threads [--seed N] [--seeds N | --seconds S] [--strategy random|pct|weak]\n"
    "                    [--flavour NAME] [--trace] [--hash] [--keep-going] [--no-shrink]\n"
    "       pawl-threads --explore PREEMPTIONS | --floors PREEMPTIONS [--only NUMBER]\n"
    "       pawl-threads --toys\n";

/* Of the processor: a busy machine makes no difference. */
static double seconds_now(void)
{
    struct timespec t;
    __real_clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void *room(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED) abort();
    return p;
}

static void start(void)
{
    order_start(room(order_size()));
    atomics_start(room(atomics_size()));
    files_start(room(files_size()));
    loop_start(room(loop_size()));
    process_start(room(process_size()));
    files_offer_module(&hostile_ops);
    run_start(room(sizeof *R));
    explore_start();
    sched_start();
    run_watch();
}

/* ---- A crash
 * ---------------------------------------------------------------------------------------- */

/*
 * It is a finding like any other: the run ends, and a smaller program is sought. The next run
 * begins with everything set back. A crash of the harness itself ends all.
 */
static void on_crash(int signal)
{
    if (S->running && !S->finding.found) fail("crash", "signal %d", signal);
    char text[160];
    int length =
        snprintf(text, sizeof text, "\nFOUND crash: signal %d\n  seed %llu, step %u, in %s\n",
                 signal, (unsigned long long)S->plan.seed, S->steps, self()->name);
    if (write(STDOUT_FILENO, text, (size_t)length) != length) _exit(2);
    _exit(1);
}

/* The stack that overflowed is not one to stand on. */
static void watch_for_crashes(void)
{
    const size_t size = (size_t)64 * 1024;
    const stack_t other = {.ss_sp = room(size), .ss_size = size};
    sigaltstack(&other, NULL);
    const struct sigaction action = {.sa_handler = on_crash, .sa_flags = SA_ONSTACK | SA_NODEFER};
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL};
    for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
        sigaction(signals[i], &action, NULL);
}

/* ---- One seed
 * ---------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* Three strategies in turn; each with and without a clock that jumps. */
static void plan_of(uint64_t seed, int strategy, schedule *ret)
{
    static const int chances[] = {20, 80, 250, 600};
    uint64_t x = mix(seed ^ 77);
    memset(ret, 0, sizeof *ret);
    ret->seed = seed;
    if (strategy < 0) strategy = (int)(seed % 3);
    ret->strategy = strategy == 1 ? STRATEGY_PCT : STRATEGY_RANDOM;
    ret->depth = 1 + (int)(x % 5);
    ret->switch_chance = chances[x >> 8 & 3];
    ret->time_chance = (x >> 12 & 3) ? 0 : 400;
    ret->spurious_chance = (x >> 16 & 7) ? 0 : 30;
    ret->stale_chance = strategy == 2 ? 200 : 0;
}

static void report(const options *o, uint64_t seed, program *p, schedule *plan)
{
    trouble first = S->finding;
    printf("\nFOUND %s: %s\n  seed %llu, step %u, in %s\n", first.check, first.text,
           (unsigned long long)seed, first.step, S->threads[first.thread].name);
    if (o->no_shrink) return;
    fflush(stdout);
    int runs = shrink(p, plan, first.check);
    sched_run(plan, run_body, p, true);
    printf("after %d runs the smallest program that fails so (%d switches):\n", runs,
           plan->switch_count);
    program_print(p);
    timeline_print();
    printf("%s: %s\nagain: pawl-threads --seed %llu\n", S->finding.check, S->finding.text,
           (unsigned long long)seed);
}

static bool run_seed(const options *o, uint64_t seed)
{
    program p;
    schedule plan;
    program_generate(seed, &p);
    plan_of(seed, o->strategy, &plan);
    sched_run(&plan, run_body, &p, o->trace);
    bool found = S->finding.found;
    if (o->trace) {
        program_print(&p);
        timeline_print();
    }
    if (o->hash)
        printf("seed %llu: %u steps, %016llx\n", (unsigned long long)seed, S->steps,
               (unsigned long long)S->trace_hash);
    if (found) report(o, seed, &p, &plan);
    return found;
}

static int run_seeds(const options *o)
{
    double begin = seconds_now();
    uint64_t steps = 0, calls = 0, grants = 0, n = 0, found = 0;
    uint64_t seed = o->seed;
    for (; n < o->seeds; n++, seed++) {
        if (o->seconds > 0 && seconds_now() - begin > o->seconds) break;
        while (o->flavour && strcmp(program_flavour(seed), o->flavour) != 0) seed++;
        bool bad = run_seed(o, seed);
        steps += S->steps;
        calls += R->calls;
        grants += R->grants;
        found += bad;
        if (bad && !o->keep_going) break;
    }
    double took = seconds_now() - begin;
    printf("%llu schedules, %llu steps, %llu calls, %llu grants in %.1f s: %.0f schedules/s; %llu "
           "findings\n",
           (unsigned long long)n, (unsigned long long)steps, (unsigned long long)calls,
           (unsigned long long)grants, took, (double)n / took, (unsigned long long)found);
    return found ? 1 : 0;
}

/* ---- The command line
 * ------------------------------------------------------------------------------------ */

static int strategy_of(const char *name)
{
    static const char *const names[] = {"random", "pct", "weak"};
    for (int i = 0; i < 3; i++)
        if (strcmp(name, names[i]) == 0) return i;
    fputs(usage, stderr);
    exit(64);
}

/* One that some seed has. */
static const char *flavour_of(const char *name)
{
    for (uint64_t seed = 1; seed < 1000; seed++)
        if (strcmp(program_flavour(seed), name) == 0) return name;
    fputs(usage, stderr);
    exit(64);
}

static options parse(int argc, char **argv)
{
    static const struct option known[] = {{"seed", 1, 0, 's'},       {"seeds", 1, 0, 'n'},
                                          {"seconds", 1, 0, 't'},    {"strategy", 1, 0, 'S'},
                                          {"flavour", 1, 0, 'F'},    {"trace", 0, 0, 'T'},
                                          {"hash", 0, 0, 'H'},       {"explore", 1, 0, 'e'},
                                          {"floors", 1, 0, 'f'},     {"only", 1, 0, 'o'},
                                          {"keep-going", 0, 0, 'k'}, {"no-shrink", 0, 0, 'N'},
                                          {"toys", 0, 0, 'y'},       {0}};
    options o = {.seed = 1, .seeds = 1, .strategy = -1, .explore = -1, .floors = -1};
    for (int c; (c = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        if (c == 's') o.seed = strtoull(optarg, NULL, 10);
        if (c == 'n') o.seeds = strtoull(optarg, NULL, 10);
        if (c == 't') o.seconds = strtod(optarg, NULL);
        if (c == 't') o.seeds = UINT64_MAX;
        if (c == 'S') o.strategy = strategy_of(optarg);
        if (c == 'F') o.flavour = flavour_of(optarg);
        if (c == 'T') o.trace = true;
        if (c == 'H') o.hash = true;
        if (c == 'k') o.keep_going = true;
        if (c == 'N') o.no_shrink = true;
        if (c == 'f') o.floors = (int)strtol(optarg, NULL, 10);
        if (c == 'e') o.explore = (int)strtol(optarg, NULL, 10);
        if (c == 'o') o.only = (int)strtol(optarg, NULL, 10);
        if (c == 'y') o.toys = true;
        if (c != '?') continue;
        fputs(usage, stderr);
        exit(64);
    }
    return o;
}

int main(int argc, char **argv)
{
    options *o = room(sizeof *o);
    *o = parse(argc, argv);
    start();
    watch_for_crashes();
    if (o->toys) return toys_run(true);
    if (o->floors >= 0) return floors_run(o->floors, o->only);
    if (o->explore >= 0) return explore_programs(o->explore, o->only);
    return run_seeds(o);
}
