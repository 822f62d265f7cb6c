/* SPDX-License-Identifier: MIT */
/*
 * Looking again instead of sleeping.
 *
 * To put a thread to sleep and to wake it costs more than a round trip to a server on
 * the same machine, above all on a virtual machine (docs/performance.md). So while somebody
 * waits, the driver looks again and again for what the store says, for SPIN_NS at most, and
 * between two looks lets others have the processor, for the store may need this very one.
 *
 * That is worth it only where the store is near. So each kind of waiting has a hope: a wait that
 * ended in time raises it, one that did not lowers it by more, and without hope there is
 * only a try now and then. Renewals and callbacks that nobody waits for are never spun for.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <sched.h>

#define SPIN_NS    (200 * PAWL__NS_PER_US)
#define HOPE_MAX   4
#define HOPE_LOSS  2
#define TRIES_EACH 32 /* of the waits without hope one is tried */

#define NO_WAIT  INT64_C(0)
#define GIVEN_UP PAWL__NEVER

void pawl__spin_init(pawl__spin *spin)
{
    cpu_set_t cpus;
    *spin = (pawl__spin){.hope = {1, 1}};
    spin->allowed = sched_getaffinity(0, sizeof cpus, &cpus) == 0 && CPU_COUNT(&cpus) > 1;
}

static bool is_worth_it(pawl__spin *spin)
{
    return spin->hope[spin->kind] > 0 || ++spin->hopeless[spin->kind] % TRIES_EACH == 0;
}

bool pawl__spin_again(pawl__spin *spin)
{
    if (!spin->allowed || spin->since == GIVEN_UP) return false;
    int64_t now = pawl__now();
    if (spin->since == NO_WAIT) {
        spin->kind = spin->under_way > 0 ? PAWL__AWAITS_ANSWER : PAWL__AWAITS_PUSH;
        spin->since = is_worth_it(spin) ? now : GIVEN_UP;
        return spin->since == now;
    }
    if (now - spin->since < SPIN_NS) return true;
    int8_t *hope = &spin->hope[spin->kind];
    *hope = *hope > HOPE_LOSS ? (int8_t)(*hope - HOPE_LOSS) : 0;
    spin->since = GIVEN_UP;
    return false;
}

void pawl__spin_begin(pawl__spin *spin)
{
    spin->since = NO_WAIT;
}

void pawl__spin_heard(pawl__spin *spin)
{
    bool in_time = spin->since != NO_WAIT && spin->since != GIVEN_UP;
    if (in_time && spin->hope[spin->kind] < HOPE_MAX) spin->hope[spin->kind]++;
    spin->since = NO_WAIT;
}
