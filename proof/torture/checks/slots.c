/* SPDX-License-Identifier: MIT */
/*
 * A permit that was given back is free again. If the permits of some who have gone are not, all
 * still get their turn, because a semaphore that nobody holds begins anew. So only they notice it
 * who hold one permit, and take and give back another one again and again: they never get the same
 * or a lower one. Others may come between, but seldom each time.
 */
#include "checks.h"

#include <inttypes.h>

#define TRIES_MIN 4 /* fewer say nothing */

void torture_check_slots(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    (void)holds;
    (void)count;
    int64_t tries = 0, never = 0;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            if (r->note != TORTURE_AGAIN || r->number == TORTURE_AGAIN_UNKNOWN) continue;
            tries++;
            never += r->number == TORTURE_AGAIN_NEVER;
        }
    }
    if (tries < TRIES_MIN || 2 * never <= tries) return;
    torture_guilty(report,
                   "lock %d: a permit was not free again after %" PRId64 " of %" PRId64
                   " releases that the store had confirmed",
                   h->permits_lock, never, tries);
}
