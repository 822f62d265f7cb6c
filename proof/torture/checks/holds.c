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
            asked = r->at;
            break;
        case TORTURE_GOT:
            open = (torture_hold){life, lock, asked, r->at, r->at, r->fence};
            promise(&open, r);
            confirmed = r->at;
            break;
        case TORTURE_HELD:
            if (open.life) promise(&open, r);
            confirmed = r->at;
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
    if (life->killed_at) cut(&open, life->killed_at);
    add(g, open);
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
