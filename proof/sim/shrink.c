/* SPDX-License-Identifier: MIT */
/*
 * From a failing run to the smallest that fails in the same way: first the list of
 * faults (halves, then smaller parts: ddmin), then fewer clients, callers and habits, a
 * shorter run, shorter faults; at last other seeds, for the one that fails soonest. A
 * candidate counts if the same check fails, at any time.
 */
#include "shrink.h"

#include "sim.h"

#include <string.h>

#define RUNS_MAX  4000
#define SEEDS_TRY 20  /* for a simpler run */
#define SEEDS_MAX 400 /* a small scenario runs in well under a millisecond */

typedef struct shrinker {
    sim_config best;
    const char *check;
    int runs;
    uint64_t events; /* until the best one fails */
} shrinker;

static bool fails_alike(shrinker *sh, const sim_config *candidate)
{
    sim_totals totals;
    sim_failure failure;
    uint64_t hash;
    bool failed;
    sh->runs++;
    sim_run(candidate, NULL, &totals, &failure, &failed, &hash);
    if (!failed || strcmp(failure.check, sh->check) != 0) return false;
    sh->best = *candidate;
    sh->events = totals.events;
    return true;
}

/* Everything else is in the scenario, so the seed only decides the draws. */
static bool fails_with_some_seed(shrinker *sh, const sim_config *simpler)
{
    for (int i = 0; i < SEEDS_TRY; i++) {
        sim_config candidate = *simpler;
        candidate.seed += (uint64_t)i;
        if (fails_alike(sh, &candidate)) return true;
    }
    return false;
}

static void find_soonest(shrinker *sh)
{
    uint64_t first = sh->best.seed;
    for (int i = 1; i <= SEEDS_MAX; i++) {
        shrinker other = *sh;
        sim_config candidate = sh->best;
        candidate.seed = first + (uint64_t)i;
        bool sooner = fails_alike(&other, &candidate) && other.events < sh->events;
        sh->runs++;
        if (!sooner) continue;
        sh->best = other.best;
        sh->events = other.events;
    }
}

static int faults_left(const sim_config *c)
{
    int left = 0;
    for (int i = 0; i < c->fault_count; i++) left += !c->faults[i].skipped;
    return left;
}

/* Skips the faults number first .. first + count - 1 of those that are left. */
static void skip(sim_config *c, int first, int count)
{
    int rank = 0;
    for (int i = 0; i < c->fault_count; i++) {
        if (c->faults[i].skipped) continue;
        if (rank >= first && rank < first + count) c->faults[i].skipped = true;
        rank++;
    }
}

static void drop_faults(shrinker *sh)
{
    for (int part = faults_left(&sh->best); part >= 1; part /= 2) {
        for (int first = 0; first < faults_left(&sh->best) && sh->runs < RUNS_MAX;) {
            sim_config candidate = sh->best;
            skip(&candidate, first, part);
            if (!fails_alike(sh, &candidate)) first += part;
        }
    }
}

typedef void change(sim_config *c);

static void fewer_clients(sim_config *c)
{
    if (c->clients > 1) c->clients--;
}
static void fewer_callers(sim_config *c)
{
    if (c->callers > 1) c->callers--;
}
static void one_name(sim_config *c)
{
    c->names = 1;
}
static void one_ttl(sim_config *c)
{
    c->mixed_ttl = false;
}
static void no_retention(sim_config *c)
{
    c->retain = false;
}
static void all_patient(sim_config *c)
{
    c->impatient = false;
}
static void no_detach(sim_config *c)
{
    c->detach = false;
}
static void no_mistakes(sim_config *c)
{
    c->mistaken = 0;
}
static void only_exclusive(sim_config *c)
{
    c->modes = false;
}
static void only_locks(sim_config *c)
{
    c->capacity = 0;
}
static void no_tail(sim_config *c)
{
    c->tail_per_thousand = 0;
    c->monitor = false;
}
static void whole_calls(sim_config *c)
{
    c->halves = 0;
    c->apart = false;
}
static void no_chorus(sim_config *c)
{
    c->chorus = false;
}
static void shorter_faults(sim_config *c)
{
    for (int i = 0; i < c->fault_count; i++) c->faults[i].for_us /= 2;
}
static void same_delay(sim_config *c)
{
    c->delay_max_us = c->delay_min_us;
}
static void shorter_calm(sim_config *c)
{
    c->calm_ms /= 2;
}
static void earlier_heal(sim_config *c)
{
    c->heal_ms = c->heal_ms * 3 / 4;
}
static void earlier_faults(sim_config *c)
{
    for (int i = 0; i < c->fault_count; i++) c->faults[i].at_us = c->faults[i].at_us * 2 / 3;
}
static void more_thought(sim_config *c) /* fewer grants before the one that matters */
{
    if (c->think_max_us < c->ttl_ms * 4000) c->think_max_us *= 2;
}
static void longer_holds(sim_config *c)
{
    if (c->hold_max_us < c->ttl_ms * 500) c->hold_max_us *= 2;
}

static change *const changes[] = {fewer_clients, fewer_callers,  one_name,     one_ttl,
                                  no_retention,  all_patient,    no_detach,    no_tail,
                                  no_mistakes,   only_exclusive, only_locks,   same_delay,
                                  whole_calls,   no_chorus,      shorter_calm, earlier_faults,
                                  earlier_heal,  shorter_faults, more_thought, longer_holds};

static bool simplify(shrinker *sh)
{
    bool any = false;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        for (int tries = 0; tries < 8 && sh->runs < RUNS_MAX; tries++) {
            sim_config candidate = sh->best;
            changes[i](&candidate);
            /* A copy, so its padding is the same; else one run would be for nothing. */
            /* NOLINTNEXTLINE(bugprone-suspicious-memory-comparison) */
            if (memcmp(&candidate, &sh->best, sizeof candidate) == 0) break;
            if (!fails_with_some_seed(sh, &candidate)) break;
            any = true;
        }
    }
    return any;
}

int sim_shrink(sim_config *config, const char *check)
{
    shrinker sh = {.best = *config, .check = check, .events = UINT64_MAX};
    (void)fails_alike(&sh, config);
    do {
        drop_faults(&sh);
    } while (simplify(&sh) && sh.runs < RUNS_MAX);
    find_soonest(&sh);
    *config = sh.best;
    return sh.runs;
}
