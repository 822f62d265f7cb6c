/* SPDX-License-Identifier: MIT */
/* Makes intervals of the records. */
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
 * INTERNAL) gives its leases back before it can say so; then only what was asked counts. What is
 * lost before its upgrade has returned may have the larger fence already.
 */
static void cut_at_loss(torture_hold *hold, const torture_record *r, int64_t confirmed)
{
    bool its_upgrade = hold->mode == PAWL_MODE_UPDATE && r->fence > hold->fence;
    if (r->fence != hold->fence && !its_upgrade) return;
    bool inside = pawl_err_class_of((int)r->number) == PAWL_CLASS_INTERNAL;
    cut(hold, inside ? confirmed : r->at);
}

/* One process and one lock, of which it uses one handle at a time. */
typedef struct follower {
    gathering *all;
    torture_hold next;          /* what it asks for */
    torture_hold open;          /* what it has; life NULL: nothing */
    int64_t confirmed;          /* the latest word that it has it */
    int64_t changing, promised; /* when it asked to change the mode; until when it had it then */
    pawl_mode lower_to;
} follower;

static void close_open(follower *f)
{
    if (f->open.life) add(f->all, f->open);
    f->open.life = NULL;
}

static void ask(follower *f, const torture_record *r)
{
    if (f->open.parted) close_open(f);
    f->next.asked = r->at;
    f->next.slots = 0;
}

/* A fence that this process has had on this lock: the lease was kept, not granted anew. */
static bool had_fence(const follower *f, uint64_t fence)
{
    for (size_t i = f->all->count; i-- > 0;) {
        const torture_hold *hold = &f->all->holds[i];
        if (hold->life != f->next.life || hold->lock != f->next.lock) break;
        if (hold->fence == fence) return true;
    }
    return false;
}

static void got(follower *f, const torture_record *r)
{
    f->open = f->next;
    f->open.start = f->open.end = f->confirmed = r->at;
    f->open.fence = r->fence;
    f->open.again = had_fence(f, r->fence);
    f->next.mode = PAWL_MODE_EXCLUSIVE; /* the default */
    promise(&f->open, r);
}

/* From the return of the upgrade on it is exclusive; the next look tells for how long. */
static void raised(follower *f, const torture_record *r)
{
    if (!f->open.life || r->number != PAWL_OK) return;
    torture_hold high = f->open;
    cut(&f->open, r->at);
    close_open(f);
    high.asked = f->changing;
    high.start = high.end = r->at;
    high.fence = r->fence;
    high.mode = PAWL_MODE_EXCLUSIVE;
    high.raised = true;
    high.again = false;
    f->open = high;
}

/* It may be done as soon as it is asked for, and then others may hold, too. */
static void lower(follower *f, const torture_record *r)
{
    f->changing = r->at;
    f->promised = f->open.end;
    f->lower_to = (pawl_mode)r->number;
    cut(&f->open, r->at);
}

static void lowered(follower *f, const torture_record *r)
{
    if (!f->open.life || r->number != PAWL_OK) return;
    torture_hold low = f->open;
    close_open(f);
    low.asked = low.start = f->changing;
    low.end = f->promised;
    low.mode = f->lower_to;
    low.again = true;
    f->open = low;
}

static void part(follower *f, const torture_record *r)
{
    if (!f->open.life || r->number <= 0) return; /* lost before */
    promise(&f->open, r);
    f->open.parted = true;
}

static void let_go(follower *f, const torture_record *r)
{
    if (f->open.life) cut(&f->open, r->at);
    close_open(f);
}

static void follow(follower *f, const torture_record *r)
{
    switch (r->note) {
    case TORTURE_AS:
        f->next.mode = (pawl_mode)r->number;
        break;
    case TORTURE_ASK:
        ask(f, r);
        break;
    case TORTURE_SLOTS:
        f->next.slots = r->number;
        break;
    case TORTURE_GOT:
        got(f, r);
        break;
    case TORTURE_HELD:
        if (f->open.life) promise(&f->open, r);
        f->confirmed = r->at;
        break;
    case TORTURE_RAISE:
        f->changing = r->at;
        break;
    case TORTURE_RAISED:
        raised(f, r);
        break;
    case TORTURE_LOWER:
        lower(f, r);
        break;
    case TORTURE_LOWERED:
        lowered(f, r);
        break;
    case TORTURE_PARTED:
        part(f, r);
        break;
    case TORTURE_TOLD:
        if (f->open.life) cut_at_loss(&f->open, r, f->confirmed);
        break;
    case TORTURE_LETGO:
        let_go(f, r);
        break;
    default:
        break;
    }
}

/* The holds of one process on one lock. */
static void gather(gathering *g, const torture_life *life, int lock)
{
    follower f = {.all = g, .next = {.life = life, .lock = lock}};
    for (size_t i = 0; i < life->count; i++) {
        if (life->records[i].lock == lock) follow(&f, &life->records[i]);
    }
    if (f.open.life && life->killed_at && !f.open.parted) cut(&f.open, life->killed_at);
    close_open(&f);
}

bool torture_excludes(const torture_hold *a, const torture_hold *b)
{
    if (a->mode == PAWL_MODE_PERMIT || b->mode == PAWL_MODE_PERMIT) {
        return a->mode != b->mode || (a->slots & b->slots);
    }
    bool reads = a->mode == PAWL_MODE_SHARED || b->mode == PAWL_MODE_SHARED;
    bool writes = a->mode == PAWL_MODE_EXCLUSIVE || b->mode == PAWL_MODE_EXCLUSIVE;
    return writes || !reads;
}

/* ---- Broken ---------------------------------------------------------------------------- */

/* The outcome of a break: false if the store said that there was no such hold. */
static bool may_have_broken(const torture_life *life, size_t i)
{
    const torture_record *begin = &life->records[i];
    for (i++; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->note == TORTURE_BROKE && r->lock == begin->lock)
            return r->number != PAWL_ERR_NOT_HELD;
    }
    return true; /* unknown */
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

static bool concerns_it(const torture_pause *pause, torture_who who)
{
    return pause->who.slot < 0 || torture_same(pause->who, who);
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
    for (size_t i = 0; i < history->pause_count; i++) {
        const torture_pause *p = &history->pauses[i];
        if (concerns_it(p, who) && p->from <= to && p->until + after_ns >= from) return true;
    }
    for (size_t i = 0; i < history->hunger_count; i++) {
        const torture_hunger *hunger = &history->hungers[i];
        if (hunger->from <= to && hunger->until + after_ns >= from) return true;
    }
    return false;
}

bool torture_is_thin(const torture_history *history, const torture_hold *holds, size_t count)
{
    size_t warm = 0;
    if ((int64_t)count < history->grants_min) return true;
    for (size_t i = 0; i < count; i++) warm += holds[i].start < history->hurt_at;
    return history->hurt_at && warm < TORTURE_WARM_GRANTS_MIN;
}

bool torture_forgets(const torture_history *history, int64_t from, int64_t until)
{
    for (size_t i = 0; i < history->hit_count; i++) {
        const torture_hit *hit = &history->hits[i];
        if (hit->forgets_from && hit->forgets_until >= from && hit->forgets_from <= until)
            return true;
    }
    return false;
}

bool torture_loses(const torture_history *history, int64_t from, int64_t until)
{
    for (size_t i = 0; i < history->hit_count; i++) {
        const torture_hit *hit = &history->hits[i];
        if (hit->loses_from && hit->loses_until >= from && hit->loses_from <= until) return true;
    }
    return false;
}

/* Of two spans that end after `at` the one that begins first, as far as it lies after `at`. */
static void take_earlier(torture_pause *first, int64_t from, int64_t until, int64_t at)
{
    if (until <= at || (first->until && first->from <= from)) return;
    *first = (torture_pause){.from = from > at ? from : at, .until = until};
}

static torture_pause next_stop(const torture_history *history, torture_who who, int64_t at)
{
    torture_pause first = {0};
    for (size_t i = 0; i < history->hit_count && who.slot >= 0; i++) {
        const torture_hit *hit = &history->hits[i];
        if (strncmp(hit->fault, "stop-", 5) != 0 || !torture_same(hit->who, who)) continue;
        take_earlier(&first, hit->begin, hit->end ? hit->end : INT64_MAX, at);
    }
    for (size_t i = 0; i < history->pause_count; i++) {
        const torture_pause *p = &history->pauses[i];
        if (concerns_it(p, who)) take_earlier(&first, p->from, p->until, at);
    }
    return first;
}

int64_t torture_stopped_ns(const torture_history *history, torture_who who, int64_t from,
                           int64_t to)
{
    int64_t sum = 0;
    while (from < to) { /* they may overlap: no instant counts twice */
        torture_pause stop = next_stop(history, who, from);
        if (!stop.until || stop.from >= to) break;
        sum += (stop.until < to ? stop.until : to) - stop.from;
        from = stop.until;
    }
    return sum;
}
