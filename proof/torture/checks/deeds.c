/* SPDX-License-Identifier: MIT */
/* What workers do beside acquiring and releasing: break what others hold, and fork. */
#include "checks.h"

#include <inttypes.h>

/* ---- broken -------------------------------------------------------------------------- */

/* A confirmation from before the break lasts for one ttl, and none comes after it. */
static void judge_belief(const torture_history *h, const torture_life *life,
                         const torture_record *broke, torture_report *report)
{
    int64_t latest = broke->at + h->ttl_max_ms * TORTURE_MS;
    for (size_t i = 0; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        bool believes = r->note == TORTURE_HELD || r->note == TORTURE_GOT;
        if (!believes || r->lock != broke->lock || r->fence != broke->fence) continue;
        int64_t until = r->at + r->number * TORTURE_MS;
        /* A store that forgets may forget the break, too; then the lease holds again. */
        if (until <= latest || torture_forgets(h, broke->at, until)) continue;
        torture_guilty(report,
                       "lock %d: fence %" PRIu64 " was broken, and %d.%d was promised it for %.0f "
                       "ms more",
                       r->lock, r->fence, life->who.slot, life->who.life,
                       (double)(until - broke->at) / TORTURE_MS);
        return;
    }
}

void torture_check_broken(const torture_history *h, const torture_hold *holds, size_t count,
                          torture_report *report)
{
    (void)holds;
    (void)count;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            if (r->note != TORTURE_BROKE || r->number != 0) continue;
            for (size_t j = 0; j < h->life_count; j++) judge_belief(h, &h->lives[j], r, report);
        }
    }
}

/* ---- forks --------------------------------------------------------------------------- */

void torture_check_forks(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    (void)holds;
    (void)count;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            if (r->note != TORTURE_CHILD || r->number == 0) continue;
            torture_guilty(
                report, "lock %d: a child of %d.%d was not refused: it ended with status %" PRId64,
                r->lock, life->who.slot, life->who.life, r->number);
        }
    }
}
