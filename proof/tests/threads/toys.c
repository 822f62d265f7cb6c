/* SPDX-License-Identifier: MIT */
/*
 * The harness's own test, TAP: each bad toy is found, each good one is explored completely (the
 * weak ones: in so many random schedules) without a finding.
 */
#include "toys.h"

#include "explore.h"
#include "files.h"
#include "run.h"

#include <stdio.h>
#include <string.h>

#define PREEMPTIONS 3
#define RUNS_MAX    200000
#define WEAK_RUNS   3000

typedef struct toy {
    const char *name;
    void (*run)(void);
    const char *check;
    bool weak;
} toy;

static const toy toys[] = {
#define TOY_ENTRY(name, check, weak) {#name, toy_##name, check, weak},
    TOY_LIST(TOY_ENTRY)
#undef TOY_ENTRY
};

void toy_expect(bool holds, const char *what)
{
    if (!holds) fail("toy", "%s", what);
}

void toy_fork(void (*child)(void *), void *arg)
{
    process_fork(false, false, child, arg);
}

static void run_toy(void *arg)
{
    ((const toy *)arg)->run();
    memory_check_leaks();
}

static bool run_weak(const toy *t, explored *ret)
{
    *ret = (explored){.complete = true};
    for (uint64_t seed = 1; seed <= WEAK_RUNS; seed++) {
        schedule plan = {
            .strategy = STRATEGY_RANDOM, .seed = seed, .switch_chance = 400, .stale_chance = 300};
        sched_run(&plan, run_toy, (void *)(uintptr_t)t, false);
        ret->runs++;
        if (S->finding.found) return true;
    }
    return false;
}

static bool is_as_expected(const toy *t, bool found, const explored *e)
{
    if (!*t->check) return !found && e->complete;
    return found && strcmp(S->finding.check, t->check) == 0;
}

/* A schedule that failed fails again when it is replayed. */
static bool fails_again(const toy *t, const schedule *plan)
{
    char check[sizeof S->finding.check];
    if (t->weak || !*t->check) return true;
    memcpy(check, S->finding.check, sizeof check);
    sched_run(plan, run_toy, (void *)(uintptr_t)t, false);
    return S->finding.found && strcmp(S->finding.check, check) == 0;
}

int toys_run(bool verbose)
{
    int wrong = 0, count = (int)(sizeof toys / sizeof toys[0]);
    printf("1..%d\n", count);
    for (int i = 0; i < count; i++) {
        const toy *t = &toys[i];
        explored e;
        schedule plan;
        S->on_step = NULL;
        S->on_idle = NULL;
        bool found = t->weak
                         ? run_weak(t, &e)
                         : explore(run_toy, (void *)(uintptr_t)t, PREEMPTIONS, RUNS_MAX, &e, &plan);
        bool good = is_as_expected(t, found, &e);
        if (verbose && found) printf("# %s: %s\n", S->finding.check, S->finding.text);
        if (good && !fails_again(t, &plan)) good = false;
        printf("%sok %d %s (%llu runs, %llu states)\n", good ? "" : "not ", i + 1, t->name,
               (unsigned long long)e.runs, (unsigned long long)e.states);
        wrong += !good;
    }
    return wrong ? 1 : 0;
}
