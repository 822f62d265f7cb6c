/* SPDX-License-Identifier: MIT */
/*
 * Whether increments are lost. Each is a read, some work, and a write of one more; the
 * resource's journal shows the writes that it accepted, in its order. With the fence none
 * is lost, whatever pauses there were. The same number is also kept without a fence: its lost
 * increments are what trust in time alone costs; they are printed, not judged.
 */
#include "checks.h"

#include <inttypes.h>

static void follow_plain(const torture_history *h, int lock, torture_report *report)
{
    int64_t last = 0;
    for (size_t i = 0; i < h->write_count; i++) {
        const torture_write *w = &h->writes[i];
        if (w->fenced || w->lock != lock) continue;
        report->plain++;
        if (w->value <= last) report->plain_lost++;
        last = w->value;
    }
}

static void follow_fenced(const torture_history *h, int lock, torture_report *report)
{
    int64_t last = 0;
    uint64_t fence = 0;
    for (size_t i = 0; i < h->write_count; i++) {
        const torture_write *w = &h->writes[i];
        if (!w->fenced || w->lock != lock) continue;
        report->fenced++;
        if (w->value != last + 1) {
            torture_guilty(report,
                           "lock %d: %d.%d wrote %" PRId64 " over %" PRId64 " under fence %" PRIu64,
                           lock, w->who.slot, w->who.life, w->value, last, w->fence);
        }
        if (w->fence < fence) {
            torture_guilty(report, "lock %d: fence %" PRIu64 " was accepted after %" PRIu64, lock,
                           w->fence, fence);
        }
        last = w->value;
        fence = w->fence;
    }
}

/* Compares what workers were told with the journal; an outcome that was not told stays open. */
static void compare(const torture_history *h, const torture_life *life, int lock,
                    torture_report *report)
{
    int64_t begun = 0, told = 0, refused = 0, found = 0;
    for (size_t i = 0; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->lock != lock) continue;
        if (r->note == TORTURE_ADD) begun++;
        if (r->note == TORTURE_ADDED) told++;
        if (r->note == TORTURE_REFUSED) report->refused++;
        if (r->note == TORTURE_REFUSED && r->number > 0) refused++;
    }
    for (size_t i = 0; i < h->write_count; i++) {
        const torture_write *w = &h->writes[i];
        if (w->fenced && w->lock == lock && torture_same(w->who, life->who)) found++;
    }
    if (found >= told && found <= begun - refused) return;
    torture_guilty(report,
                   "lock %d: %d.%d was told of %" PRId64 " increments, began %" PRId64
                   ", the resource has %" PRId64,
                   lock, life->who.slot, life->who.life, told, begun - refused, found);
}

void torture_check_resource(const torture_history *h, const torture_hold *holds, size_t count,
                            torture_report *report)
{
    (void)holds;
    (void)count;
    for (int lock = 0; lock < h->locks; lock++) {
        follow_plain(h, lock, report);
        if (h->no_fences) continue; /* nothing to compare */
        follow_fenced(h, lock, report);
        for (size_t i = 0; i < h->life_count; i++) compare(h, &h->lives[i], lock, report);
    }
}
