/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "spin.h"

#include "../base/instant.h"
#include "clock.h"

#include <sched.h>

#define SCORE_MAX  4
#define SCORE_LOSS 2
#define TRIES_EACH 32 /* with a score of 0, one of so many waits spins */

#define NO_WAIT  INT64_C(0)
#define GIVEN_UP PAWL__NEVER

void pawl__spin_init(pawl__spin *spin)
{
    cpu_set_t cpus;
    *spin = (pawl__spin){.score = {1, 1}};
    spin->allowed = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1;
}

static bool is_worth_it(pawl__spin *spin)
{
    return spin->score[spin->kind] > 0 || ++spin->zero_waits[spin->kind] % TRIES_EACH == 0;
}

bool pawl__spin_again(pawl__spin *spin)
{
    if (!spin->allowed || spin->since == GIVEN_UP) return false;
    int64_t now = pawl__now();
    if (spin->since == NO_WAIT) {
        spin->kind = spin->under_way > 0 ? PAWL__SPIN_ANSWER : PAWL__SPIN_PUSH;
        spin->since = is_worth_it(spin) ? now : GIVEN_UP;
        return spin->since == now;
    }
    if (now - spin->since < PAWL__SPIN_NS) return true;
    int8_t *score = &spin->score[spin->kind];
    *score = *score > SCORE_LOSS ? (int8_t)(*score - SCORE_LOSS) : 0;
    spin->since = GIVEN_UP;
    return false;
}

void pawl__spin_begin(pawl__spin *spin)
{
    spin->since = NO_WAIT;
}

bool pawl__spin_goes_on(const pawl__spin *spin)
{
    return spin->since != NO_WAIT && spin->since != GIVEN_UP;
}

void pawl__spin_heard(pawl__spin *spin)
{
    if (pawl__spin_goes_on(spin) && spin->score[spin->kind] < SCORE_MAX) spin->score[spin->kind]++;
    spin->since = NO_WAIT;
}
