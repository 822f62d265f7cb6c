/* SPDX-License-Identifier: MIT */
/*
 * From a run that fails to the smallest that fails in the same check: first the program (users,
 * calls, habits, handles), each candidate with some seeds of the schedule; then the schedule,
 * written down as the switches that it makes beyond "who runs goes on": fewer and fewer of them.
 */
#include "run.h"

#include <string.h>

#define SEEDS_TRY 60
#define RUNS_MAX  40000

typedef struct shrinker {
    program best;
    schedule plan;
    const char *check;
    int runs;
} shrinker;

static bool fails_alike(shrinker *sh, const program *p, const schedule *plan)
{
    sh->runs++;
    sched_run(plan, run_body, (void *)(uintptr_t)p, false);
    return S->finding.found && strcmp(S->finding.check, sh->check) == 0;
}

static bool fails_with_some_seed(shrinker *sh, const program *p)
{
    for (int i = 0; i < SEEDS_TRY && sh->runs < RUNS_MAX; i++) {
        schedule plan = sh->plan;
        plan.seed += (uint64_t)i * 977;
        if (!fails_alike(sh, p, &plan)) continue;
        sh->best = *p;
        sh->plan = plan;
        return true;
    }
    return false;
}

static bool drop_call(shrinker *sh, int user, int at)
{
    program p = sh->best;
    p.user[user].count--;
    memmove(&p.user[user].ops[at], &p.user[user].ops[at + 1],
            (size_t)(p.user[user].count - at) * sizeof(op));
    return fails_with_some_seed(sh, &p);
}

static bool drop_calls(shrinker *sh)
{
    bool any = false;
    for (int u = 0; u < sh->best.users; u++)
        for (int i = sh->best.user[u].count; i-- > 0;) any |= drop_call(sh, u, i);
    return any;
}

static bool drop_users(shrinker *sh)
{
    bool any = false;
    for (int u = sh->best.users; u-- > 1;) {
        if (u != sh->best.users - 1 || sh->best.user[u].count > 0) continue;
        program p = sh->best;
        p.users--;
        any |= fails_with_some_seed(sh, &p);
    }
    return any;
}

typedef bool change(program *p, int n);

static bool calm_store(program *p, int n)
{
    memset(&p->habits, 0, sizeof p->habits);
    return n == 0;
}

static bool no_habit(program *p, int n)
{
    int *habits[] = {&p->habits.late,      &p->habits.lost,  &p->habits.push_lost,
                     &p->habits.push_late, &p->habits.never, &p->habits.link_down,
                     &p->habits.yield,     &p->habits.twice, &p->habits.wrong_id,
                     &p->habits.guarded};
    if (n >= (int)(sizeof habits / sizeof habits[0])) return false;
    *habits[n] = 0;
    return true;
}

static bool no_callback(program *p, int n)
{
    if (n >= p->users * OPS_MAX) return false;
    p->user[n / OPS_MAX].ops[n % OPS_MAX].then = OP_NOTHING;
    return true;
}

static bool plain_handle(program *p, int n)
{
    if (n >= p->handles * 2) return false;
    p->handle[n / 2].on_event = OP_NOTHING;
    if (n % 2) p->handle[n / 2].events = false;
    if (!(n % 2)) p->handle[n / 2].retain_ms = 0;
    return true;
}

static bool no_stall(program *p, int n)
{
    p->stall_ms = 0;
    return n == 0;
}

static bool no_log(program *p, int n)
{
    if (n >= p->clients) return false;
    p->client[n].log = false;
    return true;
}

static bool no_probe(program *p, int n)
{
    p->probed = false;
    return n == 0;
}

static bool no_trace(program *p, int n)
{
    if (n >= p->clients) return false;
    p->client[n].traced = false;
    return true;
}

static change *const changes[] = {calm_store, no_habit, no_callback, plain_handle,
                                  no_stall,   no_log,   no_trace,    no_probe};

/* What differs in padding only is tried once more than needed. */
static bool is_same(const program *a, const program *b)
{
    return memcmp(a, b, sizeof *a) == 0; /* NOLINT(bugprone-suspicious-memory-comparison) */
}

static bool simplify(shrinker *sh)
{
    bool any = false;
    for (size_t c = 0; c < sizeof changes / sizeof changes[0]; c++) {
        program p = sh->best;
        for (int n = 0; changes[c](&p, n) && sh->runs < RUNS_MAX; n++, p = sh->best)
            if (!is_same(&p, &sh->best)) any |= fails_with_some_seed(sh, &p);
    }
    return any;
}

/* ---- The schedule
 * -------------------------------------------------------------------------------------- */

static bool write_down(shrinker *sh)
{
    if (!fails_alike(sh, &sh->best, &sh->plan)) return false;
    schedule plan = sh->plan;
    plan.strategy = STRATEGY_REPLAY;
    plan.switch_count = S->recorded;
    memcpy(plan.switches, S->record, (size_t)S->recorded * sizeof plan.switches[0]);
    if (!fails_alike(sh, &sh->best, &plan)) return false;
    sh->plan = plan;
    return true;
}

static bool drop_switches(shrinker *sh, int at, int count)
{
    schedule plan = sh->plan;
    if (at + count > plan.switch_count) count = plan.switch_count - at;
    plan.switch_count -= count;
    memmove(&plan.switches[at], &plan.switches[at + count],
            (size_t)(plan.switch_count - at) * sizeof plan.switches[0]);
    if (!fails_alike(sh, &sh->best, &plan)) return false;
    sh->plan = plan;
    return true;
}

static void fewer_switches(shrinker *sh)
{
    for (int part = sh->plan.switch_count; part >= 1; part /= 2)
        for (int at = 0; at < sh->plan.switch_count && sh->runs < RUNS_MAX;)
            if (!drop_switches(sh, at, part)) at += part;
}

int shrink(program *p, schedule *plan, const char *check)
{
    shrinker sh = {.best = *p, .plan = *plan, .check = check};
    bool smaller = true;
    while (smaller && sh.runs < RUNS_MAX) {
        smaller = drop_calls(&sh);
        smaller |= drop_users(&sh);
        smaller |= simplify(&sh);
    }
    if (write_down(&sh)) fewer_switches(&sh);
    *p = sh.best;
    *plan = sh.plan;
    return sh.runs;
}
