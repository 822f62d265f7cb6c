/* SPDX-License-Identifier: MIT */
/*
 * What no single record shows: a healthy store loses leases, serves out of order, or needs many
 * times the commands that the same work needs without faults.
 */
#include "checks.h"

#include <inttypes.h>

/* ---- losses -------------------------------------------------------------------------- */

#define LOST_SHARE 50 /* on a busy machine one hold in 50 may be lost without a fault */

/*
 * A loss is told at the deadline, so at most one ttl after the lease was last confirmed: in that
 * time something was hurt, or its aftermath went on.
 */
static bool is_explained(const torture_history *h, torture_who who, int64_t at)
{
    return torture_is_hurt(h, who, at - h->ttl_max_ms * TORTURE_MS, at);
}

static int64_t unexplained_losses(const torture_history *h)
{
    int64_t lost = 0;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            lost += r->note == TORTURE_TOLD && !is_explained(h, life->who, r->at) &&
                    !torture_is_broken(h, r->lock, r->fence, r->at);
        }
    }
    return lost;
}

void torture_check_losses(const torture_history *h, const torture_hold *holds, size_t count,
                          torture_report *report)
{
    int64_t calm = 0, lost = unexplained_losses(h);
    for (size_t i = 0; i < count; i++) {
        calm += !is_explained(h, holds[i].life->who, holds[i].end);
    }
    if (lost <= 1 + calm / LOST_SHARE || torture_is_thin(h, holds, count)) return;
    torture_guilty(report,
                   "%" PRId64 " locks were lost while nothing was hurt, of %" PRId64
                   " that were held then",
                   lost, calm);
}

/* ---- order ----------------------------------------------------------------------------- */

#define PASSED_MAX 8
#define ARRIVAL_NS (50 * TORTURE_MS) /* two that ask at about the same time come in any order */

/*
 * A process that takes a kept lease again and again passes once: it has one fence. An upgrade
 * goes before all who queue.
 */
static int passed_by(const torture_history *h, const torture_hold *holds, size_t count,
                     const torture_hold *waiter)
{
    int passed = 0;
    for (size_t i = 0; i < count && holds[i].start < waiter->start; i++) {
        const torture_hold *other = &holds[i];
        if (other->lock != waiter->lock || other->asked <= waiter->asked + ARRIVAL_NS) continue;
        if (torture_same(other->life->who, waiter->life->who)) continue;
        if (other->again || other->raised) continue;
        passed++;
    }
    bool hurt = torture_is_hurt(h, waiter->life->who, waiter->asked, waiter->start);
    return hurt ? 0 : passed; /* a fault may cost a place */
}

void torture_check_order(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    if (h->no_fences || h->no_queue) return; /* that algorithm, or that store, has no queue */
    if (torture_is_thin(h, holds, count)) return;
    for (size_t i = 0; i < count; i++) {
        int passed = passed_by(h, holds, count, &holds[i]);
        if (passed <= PASSED_MAX) continue;
        torture_guilty(report,
                       "lock %d: %d.%d waited for %.0f ms, and %d that came later were served",
                       holds[i].lock, holds[i].life->who.slot, holds[i].life->who.life,
                       (double)(holds[i].start - holds[i].asked) / TORTURE_MS, passed);
    }
}

/* ---- pace ------------------------------------------------------------------------------ */

#define SLOWER_MAX     3  /* times, if all faults are harmless */
#define DEARER_MAX     2  /* times the commands of a grant */
#define COMMANDS_SPARE 20 /* of a grant: connections that come and go */

typedef struct span {
    int64_t grants, ns;
} span;

static span measure(const torture_hold *holds, size_t count, int64_t from, int64_t to)
{
    span s = {.ns = to - from};
    for (size_t i = 0; i < count; i++) s.grants += holds[i].start >= from && holds[i].start < to;
    return s;
}

/* Only harmless faults came, nothing stood still, and nobody starved: then everything goes on as
 * before. */
static bool nobody_is_hurt(const torture_history *h)
{
    if (h->pause_count || h->hunger_count) return false;
    for (size_t i = 0; i < h->hit_count; i++) {
        if (h->hits[i].hurts != TORTURE_HURTS_NOBODY) return false;
    }
    return true;
}

static void judge_speed(const span *warm, const span *later, torture_report *report)
{
    double before = (double)warm->grants / (double)warm->ns;
    double after = (double)later->grants / (double)later->ns;
    if (after * SLOWER_MAX >= before) return;
    torture_guilty(report, "%.0f grants a second fell to %.0f, and nothing was hurt", before * 1e9,
                   after * 1e9);
}

static void judge_cost(double before, double after, const char *when, torture_report *report)
{
    if (after <= DEARER_MAX * before + COMMANDS_SPARE) return;
    torture_guilty(report, "a grant cost the server %.0f commands, and %.0f %s", before, after,
                   when);
}

static double cost(int64_t commands, const span *s)
{
    return (double)commands / (double)(s->grants ? s->grants : 1);
}

void torture_check_pace(const torture_history *h, const torture_hold *holds, size_t count,
                        torture_report *report)
{
    if (!h->hurt_at || !h->over_at || !count) return; /* an old history without the comparison */
    span warm = measure(holds, count, holds[0].start, h->hurt_at);
    span hurt = measure(holds, count, h->hurt_at, h->calm_at);
    span calm = measure(holds, count, h->calm_at, h->over_at);
    if (warm.grants < TORTURE_WARM_GRANTS_MIN) {
        torture_thin(report, "%" PRId64 " grants before the first fault: nothing to compare with",
                     warm.grants);
        return;
    }
    bool harmless = nobody_is_hurt(h);
    if (harmless) judge_speed(&warm, &hurt, report);
    if (h->hurt_commands <= 0 || h->calm_commands < 0 || h->over_commands < h->calm_commands)
        return;
    double before = cost(h->hurt_commands, &warm);
    judge_cost(before, cost(h->over_commands - h->calm_commands, &calm), "in the calm", report);
    if (!harmless || h->calm_commands < h->hurt_commands) return; /* it was restarted */
    judge_cost(before, cost(h->calm_commands - h->hurt_commands, &hurt), "while it was hurt",
               report);
}
