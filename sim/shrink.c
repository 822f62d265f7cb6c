/* SPDX-License-Identifier: MIT */
/*
 * From a failing run to the smallest that fails in the same way: first the list of
 * faults (halves, then smaller parts: ddmin), then fewer clients, callers and habits, a
 * shorter run, shorter faults. A candidate counts if the same check fails, at any time.
 */
#include "shrink.h"

#include "sim.h"

#include <string.h>

#define RUNS_MAX 600

typedef struct shrinker {
    sim_config best;
    const char *check;
    int runs;
} shrinker;

static bool fails_alike(shrinker *sh, const sim_config *candidate)
{
    sim_totals totals;
    sim_failure failure;
    uint64_t hash;
    bool failed;
    if (sh->runs >= RUNS_MAX) return false;
    sh->runs++;
    sim_run(candidate, NULL, &totals, &failure, &failed, &hash);
    if (!failed || strcmp(failure.check, sh->check) != 0) return false;
    sh->best = *candidate;
    return true;
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
        for (int first = 0; first < faults_left(&sh->best);) {
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
static void no_tail(sim_config *c)
{
    c->tail_per_thousand = 0;
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
static void more_thought(sim_config *c) /* fewer grants before the one that matters */
{
    if (c->think_max_us < c->ttl_ms * 4000) c->think_max_us *= 2;
}

static change *const changes[] = {fewer_clients, fewer_callers, one_name,       one_ttl,
                                  no_retention,  all_patient,   no_detach,      no_tail,
                                  same_delay,    shorter_calm,  earlier_heal,   shorter_faults,
                                  more_thought};

static bool simplify(shrinker *sh)
{
    bool any = false;
    for (size_t i = 0; i < sizeof changes / sizeof changes[0]; i++) {
        for (int tries = 0; tries < 8; tries++) {
            sim_config candidate = sh->best;
            changes[i](&candidate);
            if (memcmp(&candidate, &sh->best, sizeof candidate) == 0) break;
            if (!fails_alike(sh, &candidate)) break;
            any = true;
        }
    }
    return any;
}

int sim_shrink(sim_config *config, const char *check)
{
    shrinker sh = {.best = *config, .check = check};
    do {
        drop_faults(&sh);
    } while (simplify(&sh) && sh.runs < RUNS_MAX);
    *config = sh.best;
    return sh.runs;
}
