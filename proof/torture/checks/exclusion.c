/* SPDX-License-Identifier: MIT */
/*
 * Two that exclude each other never hold at once, nor more permits than there are: [return of
 * acquire, promised end] of two processes never overlap. On one kernel's clock this is exact,
 * without tolerance: the store granted before acquire returned, and nobody may be granted before
 * the other's promise has ended.
 */
#include "checks.h"

#include <inttypes.h>
#include <string.h>

/* The store granted `a`, forgot it (or took it for run out), and then granted `b`. */
static bool is_forgotten(const torture_history *h, const torture_hit *hit, const torture_hold *a,
                         const torture_hold *b)
{
    return a->asked <= hit->forgets_until && b->start >= hit->forgets_from &&
           a->end <= hit->forgets_until + h->ttl_max_ms * TORTURE_MS;
}

bool torture_is_announced(const torture_history *h, const torture_hold *a, const torture_hold *b)
{
    for (size_t i = 0; i < h->hit_count; i++) {
        const torture_hit *hit = &h->hits[i];
        if (!hit->forgets_from) continue;
        /* A late reply may report the older grant as the second one. */
        if (is_forgotten(h, hit, a, b) || is_forgotten(h, hit, b, a)) return true;
    }
    return false;
}

static void judge_pair(const torture_history *h, const torture_hold *a, const torture_hold *b,
                       torture_report *report)
{
    if (torture_same(a->life->who, b->life->who) || !torture_excludes(a, b)) return;
    if (torture_is_announced(h, a, b)) {
        report->exempt++;
        return;
    }
    int64_t until = a->end < b->end ? a->end : b->end;
    torture_guilty(report,
                   "lock %d: %d.%d (fence %" PRIu64 ") and %d.%d (fence %" PRIu64
                   ") both held it for %.3f ms from %" PRId64,
                   a->lock, a->life->who.slot, a->life->who.life, a->fence, b->life->who.slot,
                   b->life->who.life, b->fence, (double)(until - b->start) / 1e6, b->start);
}

/* Another client of the same process must not get the lock. */
static void judge_rivals(const torture_history *h, const torture_hold *hold, torture_report *report)
{
    for (size_t i = 0; i < hold->life->count; i++) {
        const torture_record *r = &hold->life->records[i];
        if (r->note != TORTURE_RIVAL || r->lock != hold->lock || r->number != 0) continue;
        if (r->at < hold->start || r->at >= hold->end) continue;
        torture_hold rival = {.life = hold->life, .lock = r->lock, .asked = r->at, .start = r->at};
        if (torture_is_announced(h, hold, &rival)) {
            report->exempt++;
            continue;
        }
        torture_guilty(report,
                       "lock %d: %d.%d held it (fence %" PRIu64
                       ") and got it by another client of its own",
                       hold->lock, hold->life->who.slot, hold->life->who.life, hold->fence);
    }
}

/* `count` that hold a semaphore when this one comes, itself among them. */
static void judge_capacity(const torture_history *h, const torture_hold *const *open, size_t count,
                           const torture_hold *hold, torture_report *report)
{
    int units = 0;
    bool announced = false;
    for (size_t i = 0; i < count; i++) {
        units += torture_units(open[i]);
        announced |= open[i] != hold && torture_is_announced(h, open[i], hold);
    }
    if (hold->lock != h->permits_lock || units <= h->capacity || hold->end <= hold->start) return;
    if (announced) {
        report->exempt++;
        return;
    }
    torture_guilty(
        report, "lock %d: %d of %d permits were held when %d.%d (fence %" PRIu64 ") came",
        hold->lock, units, h->capacity, hold->life->who.slot, hold->life->who.life, hold->fence);
}

void torture_check_exclusion(const torture_history *h, const torture_hold *holds, size_t count,
                             torture_report *report)
{
    const torture_hold **open = calloc(count + 1, sizeof(const torture_hold *));
    if (!open) exit(TORTURE_SYSTEM);
    for (int lock = 0; lock < h->locks; lock++) {
        size_t opened = 0;
        for (size_t i = 0; i < count; i++) {
            const torture_hold *hold = &holds[i];
            if (hold->lock != lock) continue;
            judge_rivals(h, hold, report);
            size_t kept = 0;
            for (size_t j = 0; j < opened; j++) {
                if (open[j]->end <= hold->start) continue;
                open[kept++] = open[j];
                if (hold->end > hold->start) judge_pair(h, open[j], hold, report);
            }
            opened = kept;
            open[opened++] = hold;
            judge_capacity(h, open, opened, hold, report);
        }
    }
    free(open);
}
