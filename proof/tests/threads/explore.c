/* SPDX-License-Identifier: MIT */
/*
 * All schedules with at most so many preemptions (a switch away from a thread that could go on),
 * depth first. A state is known by what was done so far: each thread has a hash of its steps and of
 * those of others that they depended on (races.c), so two orders of independent steps lead to the
 * same state, and what follows is explored once.
 *
 * The clock stands still while somebody can run, and each draw gives the first choice.
 */
#define _GNU_SOURCE
#include "explore.h"

#include "run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define DEPTH_MAX  20000
#define STATES_MAX ((size_t)1 << 22) /* a power of two */

typedef struct node {
    uint8_t ids[THREADS_MAX];
    uint8_t count, at;
    bool may_stay;
    int8_t usual;
    uint8_t spent; /* preemptions before this choice */
    uint32_t step;
} node;

static struct explorer {
    int depth, forced, budget;
    bool pruned;
    uint64_t states;
    node nodes[DEPTH_MAX];
    uint64_t seen[STATES_MAX];
} * E;

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    x = (x ^ (x >> 32)) * UINT64_C(0xd6e8feb86659fd93);
    return x ^ (x >> 32);
}

static uint64_t signature(int spent)
{
    uint64_t sum = 0;
    for (int i = 0; i < S->count; i++)
        sum += mix(S->threads[i].hash + (uint64_t)i * 7919 + (uint64_t)S->threads[i].state);
    return mix(sum + mix((uint64_t)S->now) + (uint64_t)S->current * 31 + (uint64_t)spent * 131) | 1;
}

/* true: somebody was here before. */
static bool was_seen(uint64_t sig)
{
    for (size_t i = 0; i < 64; i++) {
        uint64_t *at = &E->seen[(sig + i) & (STATES_MAX - 1)];
        if (*at == sig) return true;
        if (*at) continue;
        *at = sig;
        E->states++;
        return false;
    }
    return false; /* crowded here: explored once more, no harm */
}

static int spent_after(const node *n)
{
    return n->spent + (n->may_stay && n->ids[n->at] != (uint8_t)n->usual);
}

/* The one who goes on comes first; if he yields or waits, the next ones are free of charge. */
static void fill(node *n, int count, const uint8_t *ready, int current, bool may_stay, int spent)
{
    *n = (node){.may_stay = may_stay && !self()->yields, .spent = (uint8_t)spent, .step = S->steps};
    n->usual = (int8_t)current;
    if (n->may_stay) n->ids[n->count++] = (uint8_t)current;
    if (n->may_stay && spent >= E->budget) return;
    bool again = !n->may_stay && !self()->yields; /* who yields does not go on: it would for ever */
    for (int i = 0; i < count; i++)               /* after the current one, round */
        if (ready[i] > current) n->ids[n->count++] = ready[i];
    for (int i = 0; i < count; i++)
        if (ready[i] < current || (ready[i] == current && again)) n->ids[n->count++] = ready[i];
}

static int choose(int count, const uint8_t *ready, int current, bool may_stay)
{
    if (E->depth == DEPTH_MAX) fail("harness", "a run has too many choices");
    node *n = &E->nodes[E->depth];
    if (E->depth++ < E->forced) return n->ids[n->at];
    int spent = E->depth > 1 ? spent_after(n - 1) : 0;
    if (was_seen(signature(spent))) {
        E->pruned = true;
        E->depth--;
        sched_end();
    }
    fill(n, count, ready, current, may_stay, spent);
    return n->ids[0];
}

/* The last choice that has another way becomes that way. */
static bool next_path(void)
{
    while (E->depth > 0) {
        node *n = &E->nodes[E->depth - 1];
        if (++n->at < n->count) {
            E->forced = E->depth;
            return true;
        }
        E->depth--;
    }
    return false;
}

static void plan_for(schedule *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->strategy = STRATEGY_EXPLORE;
    plan->still_clock = true;
}

void explore_start(void)
{
    E = mmap(NULL, sizeof *E, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (E == MAP_FAILED) abort();
}

bool explore(void (*body)(void *), void *arg, int preemptions, uint64_t runs_max, explored *ret,
             schedule *ret_plan)
{
    memset(E, 0, sizeof *E);
    E->budget = preemptions;
    S->choose = choose;
    plan_for(ret_plan);
    *ret = (explored){.complete = true};
    do {
        E->depth = 0;
        E->pruned = false;
        sched_run(ret_plan, body, arg, false);
        ret->runs++;
        ret->pruned += E->pruned;
        if (S->finding.found) {
            ret_plan->strategy = STRATEGY_REPLAY;
            ret_plan->switch_count = S->recorded;
            memcpy(ret_plan->switches, S->record, (size_t)S->recorded * sizeof S->record[0]);
            return true;
        }
        if (ret->runs == runs_max) ret->complete = false;
    } while (ret->complete && next_path());
    ret->states = E->states;
    return false;
}
