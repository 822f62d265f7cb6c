/* SPDX-License-Identifier: MIT */
/*
 * Law 3, by the order of operations in real time and not by the order of reports: a grant that
 * was returned before another was asked for has the smaller fence. A reply that was late may
 * report a small one after a large one. Restarts and failovers are no excuse: the store's clock
 * does not go back here. A process that kept its lease (retain_ms) has the same fence again;
 * then nobody whom it excludes may have had a larger one meanwhile.
 */
#include "checks.h"

#include "pawl/types.h"

#include <inttypes.h>

typedef const torture_hold *hold_ref;

static int by_asked(const void *a, const void *b)
{
    hold_ref x = *(const hold_ref *)a, y = *(const hold_ref *)b;
    return x->asked < y->asked ? -1 : x->asked > y->asked;
}

static int by_fence(const void *a, const void *b)
{
    hold_ref x = *(const hold_ref *)a, y = *(const hold_ref *)b;
    if (x->fence != y->fence) return x->fence < y->fence ? -1 : 1;
    return x->start < y->start ? -1 : x->start > y->start;
}

static void say(torture_report *report, hold_ref a, hold_ref b, const char *what)
{
    torture_guilty(report, "lock %d: %d.%d got fence %" PRIu64 ", %s %d.%d got %" PRIu64, a->lock,
                   a->life->who.slot, a->life->who.life, a->fence, what, b->life->who.slot,
                   b->life->who.life, b->fence);
}

/*
 * A lease that was kept: no grant that had returned and excludes it has a larger fence. But one
 * that somebody broke may be taken again until its renewal finds that out (check "broken" has how
 * long).
 */
static void check_again(const torture_history *h, const hold_ref *by_start, size_t n,
                        hold_ref again, torture_report *report)
{
    if (torture_is_broken(h, again->lock, again->fence, again->start)) return;
    for (size_t i = 0; i < n && by_start[i]->start < again->asked; i++) {
        if (by_start[i]->fence <= again->fence || !torture_excludes(by_start[i], again)) continue;
        say(report, by_start[i], again, "and later");
        return;
    }
}

static void check_order(const torture_history *h, const hold_ref *by_start, hold_ref *refs,
                        size_t n, torture_report *report)
{
    hold_ref largest = NULL;
    size_t returned = 0;
    qsort(refs, n, sizeof(hold_ref), by_asked);
    for (size_t i = 0; i < n; i++) {
        for (; returned < n && by_start[returned]->start < refs[i]->asked; returned++) {
            if (!largest || by_start[returned]->fence > largest->fence)
                largest = by_start[returned];
        }
        if (refs[i]->again) {
            check_again(h, by_start, n, refs[i], report);
        } else if (largest && largest->fence > refs[i]->fence) {
            say(report, largest, refs[i], "and later");
        }
    }
}

static void check_unique(hold_ref *refs, size_t n, torture_report *report)
{
    qsort(refs, n, sizeof(hold_ref), by_fence);
    for (size_t i = 1; i < n; i++) {
        if (refs[i]->fence == refs[i - 1]->fence &&
            !torture_same(refs[i]->life->who, refs[i - 1]->life->who)) {
            say(report, refs[i - 1], refs[i], "and also");
        }
    }
}

static bool is_loss(const torture_record *r)
{
    return r->note == TORTURE_TOLD || r->note == TORTURE_GONE ||
           (r->note == TORTURE_FREED && r->number == PAWL_ERR_LOST);
}

/* Whether this very fence was lost before the call that got it was begun. */
static bool was_lost(const torture_life *life, size_t at, const torture_record *got)
{
    bool asked = false;
    for (size_t i = at; i-- > 0;) {
        const torture_record *r = &life->records[i];
        if (r->lock != got->lock) continue;
        if (r->note == TORTURE_ASK) asked = true;
        if (asked && is_loss(r) && r->fence == got->fence) return true;
    }
    return false;
}

/*
 * A lease that was told to be lost does not come back (law 5): who asks after that gets another
 * fence. A loss that comes while the call is about to return may be told before it has.
 */
static void check_revived(const torture_history *h, const torture_life *life, int lock,
                          torture_report *report)
{
    uint64_t lost = 0, lost_when_asked = 0;
    bool shared = torture_is_shared(h, lock);
    for (size_t i = 0; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->lock != lock) continue;
        if (is_loss(r) && r->fence > lost) lost = r->fence;
        if (r->note == TORTURE_ASK) lost_when_asked = lost;
        if (r->note != TORTURE_GOT || r->fence > lost_when_asked) continue;
        if (shared && !was_lost(life, i, r)) continue; /* a lease beside the one that was lost */
        torture_guilty(report, "lock %d: %d.%d was told that fence %" PRIu64 " is lost, and got it",
                       lock, life->who.slot, life->who.life, r->fence);
    }
}

/* An upgrade is a grant: it draws a larger fence. */
static void check_raised(const torture_life *life, int lock, torture_report *report)
{
    uint64_t before = 0;
    for (size_t i = 0; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->lock != lock) continue;
        if (r->note == TORTURE_RAISE) before = r->fence;
        if (r->note != TORTURE_RAISED || r->number != 0 || r->fence > before) continue;
        torture_guilty(report,
                       "lock %d: %d.%d had fence %" PRIu64 ", and was raised with fence %" PRIu64,
                       lock, life->who.slot, life->who.life, before, r->fence);
    }
}

void torture_check_fence(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    if (h->no_fences) return;
    hold_ref *by_start = calloc(count + 1, sizeof(hold_ref));
    hold_ref *refs = calloc(count + 1, sizeof(hold_ref));
    if (!by_start || !refs) exit(TORTURE_SYSTEM);
    for (int lock = 0; lock < h->locks; lock++) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            if (holds[i].lock == lock) by_start[n++] = &holds[i];
        }
        for (size_t i = 0; i < n; i++) refs[i] = by_start[i];
        check_order(h, by_start, refs, n, report);
        check_unique(refs, n, report);
        for (size_t i = 0; i < h->life_count; i++) {
            check_revived(h, &h->lives[i], lock, report);
            check_raised(&h->lives[i], lock, report);
        }
    }
    free(by_start);
    free(refs);
}
