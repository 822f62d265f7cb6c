/* SPDX-License-Identifier: MIT */
/*
 * TAP: all schedules of each program, up to some preemptions, then random ones in which a load may
 * see an older store; and nothing is found.
 */
#include "floors.h"

#include "explore.h"
#include "run.h"

#include <stdio.h>

#define RUNS_MAX  400000
#define WEAK_RUNS 5000

typedef struct floor_program {
    const char *name;
    void (*run)(void);
    bool spins; /* it has schedules without end */
} floor_program;

static const floor_program programs[] = {
#define FLOOR_ENTRY(name) {#name, floor_##name, false},
    FLOOR_LIST(FLOOR_ENTRY)
#undef FLOOR_ENTRY
#define FLOOR_ENTRY(name) {#name, floor_##name, true},
        SPINNING_FLOOR_LIST(FLOOR_ENTRY)
#undef FLOOR_ENTRY
};

void floor_expect(bool holds, const char *what)
{
    if (!holds) fail("floor", "%s", what);
}

static void run_program(void *arg)
{
    ((const floor_program *)arg)->run();
    memory_check_leaks();
}

static bool run_weakly(const floor_program *f, schedule *ret_plan)
{
    for (uint64_t seed = 1; seed <= WEAK_RUNS; seed++) {
        *ret_plan = (schedule){
            .strategy = STRATEGY_RANDOM, .seed = seed, .switch_chance = 400, .stale_chance = 300};
        sched_run(ret_plan, run_program, (void *)(uintptr_t)f, false);
        if (S->finding.found) return true;
    }
    return false;
}

static bool explore_one(int number, const floor_program *f, int preemptions)
{
    explored e = {.complete = true};
    schedule plan;
    void *arg = (void *)(uintptr_t)f;
    bool found = !f->spins && explore(run_program, arg, preemptions, RUNS_MAX, &e, &plan);
    if (!found) found = run_weakly(f, &plan);
    bool good = !found && e.complete;
    printf("%sok %d %s (%llu runs, %llu states%s)\n", good ? "" : "not ", number, f->name,
           (unsigned long long)e.runs, (unsigned long long)e.states, e.complete ? "" : ", not all");
    if (!found) return good;
    printf("FOUND %s: %s\n  seed %d\n", S->finding.check, S->finding.text, number);
    sched_run(&plan, run_program, (void *)(uintptr_t)f, true);
    timeline_print();
    return false;
}

int floors_run(int preemptions, int only)
{
    int wrong = 0, count = (int)(sizeof programs / sizeof programs[0]);
    S->on_step = NULL;
    S->on_idle = NULL;
    printf("1..%d\n", only ? 1 : count);
    for (int i = 0; i < count; i++)
        if (!only || only == i + 1) wrong += !explore_one(i + 1, &programs[i], preemptions);
    return wrong ? 1 : 0;
}
