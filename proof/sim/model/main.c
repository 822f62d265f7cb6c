/* SPDX-License-Identifier: MIT */
/* pawl-sim-model: explores each model; the right variant must hold, each wrong one fail. */
#include "model.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define STATES_MAX 40000000 /* about 2 GB */

static double seconds_now(void)
{
    struct timespec now;
    timespec_get(&now, TIME_UTC);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static bool run(const model *m, int variant, int size)
{
    double begin = seconds_now();
    exploration e = explore(m, variant, size, STATES_MAX);
    bool ok = variant == 0 ? !e.broken && !e.too_many : e.broken != NULL;
    printf("%s  %s, %s, %s: ", ok ? "ok  " : "FAIL", m->name, m->sizes[size], m->variants[variant]);
    if (e.broken)
        printf("%s after %" PRIu64 " steps", e.broken, e.depth - 1);
    else
        printf("%s", e.too_many ? "not finished" : "complete, nothing wrong");
    printf(" (%" PRIu64 " states, %.1f s)\n", e.states, seconds_now() - begin);
    fflush(stdout);
    return ok;
}

/* The right variant completely; each wrong one until it fails. */
typedef struct step {
    const model *m;
    int size;
    bool right, wrong, deep;
} step;

static const step plan[] = {
    {&model_handoff, 0, true, false, false}, {&model_handoff, 1, true, false, true},
    {&model_handoff, 3, true, false, true},  {&model_handoff, 2, false, true, false},
    {&model_modes, 0, true, false, false},   {&model_modes, 1, true, false, false},
    {&model_modes, 2, true, false, false},   {&model_modes, 3, true, false, true},
    {&model_modes, 4, false, true, false},   {&model_modes, 4, true, false, true},
    {&model_permits, 0, true, true, false},  {&model_restart, 0, true, true, false},
    {&model_restart, 1, true, false, false}, {&model_quorum, 0, true, true, false},
};

int main(int argc, char **argv)
{
    bool ok = true, deep = argc > 1 && strcmp(argv[1], "--deep") == 0;
    if (argc > 1 && !deep) {
        fputs("usage: pawl-sim-model [--deep]\n", stderr);
        return 64;
    }
    for (size_t i = 0; i < sizeof plan / sizeof plan[0]; i++) {
        if (plan[i].deep && !deep) continue;
        for (int v = 0; plan[i].m->variants[v]; v++)
            if (v == 0 ? plan[i].right : plan[i].wrong) ok = run(plan[i].m, v, plan[i].size) && ok;
    }
    return ok ? 0 : 1;
}
