/* SPDX-License-Identifier: MIT */
/* From records to intervals. */
#include "history_read.h"

#include "pawl/types.h"

#include <string.h>

typedef struct gathering {
    torture_hold *holds;
    size_t count, room;
} gathering;

static torture_hold *add(gathering *g, torture_hold hold)
{
    if (g->count == g->room) {
        g->room = g->room ? 2 * g->room : 1024;
        g->holds = realloc(g->holds, g->room * sizeof *g->holds);
        if (!g->holds) exit(TORTURE_SYSTEM);
    }
    g->holds[g->count] = hold;
    return &g->holds[g->count++];
}

static void promise(torture_hold *hold, const torture_record *r)
{
    int64_t until = r->at + r->number * TORTURE_MS;
    if (until > hold->end) hold->end = until;
}

static void cut(torture_hold *hold, int64_t at)
{
    if (at < hold->end) hold->end = at;
}

/*
 * Told of a loss: from then on nothing was promised. A client that failed inside (class
 * INTERNAL) gives its leases back before it can say so; then only what was asked counts.
 */
static void cut_at_loss(torture_hold *hold, const torture_record *r, int64_t confirmed)
{
    if (r->fence != hold->fence) return;
    bool inside = pawl_err_class_of((int)r->number) == PAWL_CLASS_INTERNAL;
    cut(hold, inside ? confirmed : r->at);
}

/* The holds of one process on one lock; a process has one handle for each lock. */
static void gather(gathering *g, const torture_life *life, int lock)
{
    torture_hold open = {0};
    int64_t asked = 0, confirmed = 0;
    for (size_t i = 0; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->lock != lock) continue;
        switch (r->note) {
        case TORTURE_ASK:
            if (open.life && open.parted) {
                add(g, open);
                open.life = NULL;
            }
            asked = r->at;
            break;
        case TORTURE_GOT:
            open = (torture_hold){life, lock, asked, r->at, r->at, r->fence, false};
            promise(&open, r);
            confirmed = r->at;
            break;
        case TORTURE_HELD:
            if (open.life) promise(&open, r);
            confirmed = r->at;
            break;
        case TORTURE_PARTED:
            if (!open.life || r->number <= 0) break; /* lost before */
            promise(&open, r);
            open.parted = true;
            break;
        case TORTURE_TOLD:
            if (open.life) cut_at_loss(&open, r, confirmed);
            break;
        case TORTURE_LETGO:
            if (!open.life) break;
            cut(&open, r->at);
            add(g, open);
            open.life = NULL;
            break;
        default:
            break;
        }
    }
    if (!open.life) return;
    if (life->killed_at && !open.parted) cut(&open, life->killed_at);
    add(g, open);
}

/* ---- Broken ---------------------------------------------------------------------------- */

/* What became of a break: false if the store said that there was no such hold. */
static bool may_have_broken(const torture_life *life, size_t i)
{
    const torture_record *begin = &life->records[i];
    for (i++; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->note == TORTURE_BROKE && r->lock == begin->lock)
            return r->number != PAWL_ERR_NOT_HELD;
    }
    return true; /* nobody knows */
}

/* The earliest break of that hold; INT64_MAX if there was none. */
static int64_t broken_at(const torture_history *h, int lock, uint64_t fence)
{
    int64_t at = INT64_MAX;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            if (r->note != TORTURE_BREAK || r->lock != lock || r->fence != fence) continue;
            if (r->at < at && may_have_broken(life, k)) at = r->at;
        }
    }
    return at;
}

bool torture_is_broken(const torture_history *history, int lock, uint64_t fence, int64_t at)
{
    return broken_at(history, lock, fence) <= at;
}

static int by_start(const void *a, const void *b)
{
    const torture_hold *x = a, *y = b;
    return x->start < y->start ? -1 : x->start > y->start;
}

torture_hold *torture_holds(const torture_history *history, size_t *ret_count)
{
    gathering g = {0};
    for (size_t i = 0; i < history->life_count; i++) {
        for (int lock = 0; lock < history->locks; lock++) gather(&g, &history->lives[i], lock);
    }
    for (size_t i = 0; i < g.count; i++)
        cut(&g.holds[i], broken_at(history, g.holds[i].lock, g.holds[i].fence));
    if (g.count) qsort(g.holds, g.count, sizeof *g.holds, by_start);
    *ret_count = g.count;
    return g.holds;
}

bool torture_is_hurt(const torture_history *history, torture_who who, int64_t from, int64_t to)
{
    int64_t after_ns = history->aftermath_ms * TORTURE_MS;
    for (size_t i = 0; i < history->hit_count; i++) {
        const torture_hit *hit = &history->hits[i];
        bool concerns = hit->hurts == TORTURE_HURTS_ALL ||
                        (hit->hurts == TORTURE_HURTS_ITS_WORKER && torture_same(hit->who, who));
        bool lasts = strncmp(hit->fault, "stop-", 5) == 0; /* others without an end are instants */
        int64_t end = hit->end ? hit->end : lasts ? INT64_MAX - after_ns : hit->begin;
        if (concerns && hit->begin <= to && end + after_ns >= from) return true;
    }
    return false;
}

int64_t torture_stopped_ns(const torture_history *history, torture_who who, int64_t from,
                           int64_t to)
{
    int64_t sum = 0;
    for (size_t i = 0; i < history->hit_count; i++) {
        const torture_hit *hit = &history->hits[i];
        if (strncmp(hit->fault, "stop-", 5) != 0 || !torture_same(hit->who, who)) continue;
        int64_t begin = hit->begin > from ? hit->begin : from;
        int64_t end = hit->end && hit->end < to ? hit->end : to;
        if (end > begin) sum += end - begin;
    }
    return sum;
}
