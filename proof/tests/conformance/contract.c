/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "contract_rules.h"

#include "../support/check.h"

#include <stdlib.h>
#include <string.h>

#define MS INT64_C(1000000)

/* ---- The set of stories --------------------------------------------------------------- */

typedef struct story_set {
    story *at;
    int count;
} story_set;

static story_set set_new(void)
{
    story_set set = {.at = calloc(CONTRACT_STORIES, sizeof(story))};
    CHECK(set.at != NULL);
    return set;
}

static bool same_owner(const contract_owner *a, const contract_owner *b)
{
    return a->token == b->token && a->client == b->client && a->detached == b->detached &&
           a->ttl_ms == b->ttl_ms && a->gone == b->gone && a->moved == b->moved;
}

static bool touch(range a, range b)
{
    return a.lo <= b.hi && b.lo <= a.hi;
}

static void stretch(range *a, range b)
{
    a->lo = smaller(a->lo, b.lo);
    a->hi = larger(a->hi, b.hi);
}

/* The same but for instants that are not apart. */
static bool same_story(const story *a, const story *b)
{
    if (a->held != b->held || a->waiting != b->waiting || a->fence != b->fence) return false;
    if (a->last != b->last || a->drew_for_nobody != b->drew_for_nobody) return false;
    if (memcmp(a->unseen, b->unseen, sizeof(a->unseen)) != 0) return false;
    if (a->may_wait != b->may_wait || a->waits != b->waits) return false;
    if (a->value != b->value || a->value_fence != b->value_fence) return false;
    if (a->held && a->published != b->published) return false;
    if (a->yield_to != b->yield_to || a->yield_token != b->yield_token) return false;
    if (a->held && !(same_owner(&a->holder, &b->holder) && touch(a->holder.until, b->holder.until)))
        return false;
    for (int i = 0; i < a->waiting; i++)
        if (!same_owner(&a->queue[i], &b->queue[i]) ||
            !touch(a->queue[i].until, b->queue[i].until) ||
            !touch(a->queue[i].since, b->queue[i].since))
            return false;
    return true;
}

static void merge(story *into, const story *from)
{
    if (into->held) {
        stretch(&into->holder.until, from->holder.until);
        stretch(&into->granted, from->granted);
        into->behind_least = (int)smaller(into->behind_least, from->behind_least);
        into->behind_most = (int)larger(into->behind_most, from->behind_most);
    }
    for (int i = 0; i < into->waiting; i++) {
        stretch(&into->queue[i].until, from->queue[i].until);
        stretch(&into->queue[i].since, from->queue[i].since);
    }
    into->now = smaller(into->now, from->now);
}

static void set_add(story_set *set, const story *s)
{
    for (int i = 0; i < set->count; i++)
        if (same_story(&set->at[i], s)) {
            merge(&set->at[i], s);
            return;
        }
    CHECK(set->count < CONTRACT_STORIES);
    set->at[set->count++] = *s;
}

/* The next combination of choices; false when all were tried. */
static bool choose_otherwise(attempt *a)
{
    while (a->known && a->choices[a->known - 1]) a->known--;
    if (a->known) a->choices[a->known - 1] = true;
    return a->known > 0;
}

typedef void (*event_fn)(attempt *a, const void *event);

/* Adds what the store may be in if the event took place between the two instants. */
static void explain(const contract *c, const story *s, range when, event_fn take, const void *event,
                    story_set *to)
{
    attempt a = {.of = c};
    do {
        a.s = *s;
        a.t = (range){larger(when.lo - c->store.grain_ns, s->now), when.hi + c->store.grain_ns};
        a.taken = 0;
        a.impossible = false;
        take(&a, event);
        if (!a.impossible) set_add(to, &a.s);
    } while (choose_otherwise(&a));
}

static bool is_next(const contract_ask *asks, int at, unsigned done)
{
    if (done & 1u << at) return false;
    for (int i = 0; i < at; i++)
        if (asks[i].client == asks[at].client && !(done & 1u << i)) return false;
    return true;
}

/* In every order that keeps each client's own order. */
static void apply_all(const contract *c, const story_set *from, const contract_ask *asks, int count,
                      unsigned done, story_set *ret_to)
{
    if (done == (1u << count) - 1) {
        for (int i = 0; i < from->count; i++) set_add(ret_to, &from->at[i]);
        return;
    }
    for (int i = 0; i < count; i++) {
        if (!is_next(asks, i, done)) continue;
        story_set next = set_new();
        range when = {asks[i].sent_at, asks[i].answered_at};
        for (int k = 0; k < from->count; k++)
            explain(c, &from->at[k], when, attempt_request, &asks[i], &next);
        apply_all(c, &next, asks, count, done | 1u << i, ret_to);
        free(next.at);
    }
}

/* ---- The interface -------------------------------------------------------------------- */

void contract_init(contract *c, contract_store store)
{
    *c = (contract){.store = store, .count = 1};
    c->stories = calloc(CONTRACT_STORIES, sizeof(story));
    CHECK(c->stories != NULL);
    c->stories[0].yield_to = -1;
}

void contract_free(contract *c)
{
    free(c->stories);
}

const char *contract_label(int token)
{
    static const char *const labels[CONTRACT_TOKENS] = {"t0", "t1", "t2", "t3", "t4"};
    return labels[token];
}

static void note_fence(contract *c, int token, uint64_t fence)
{
    if (contract_fence_owner(c, fence) >= 0) return;
    CHECK(c->fence_count < CONTRACT_FENCES);
    c->fences[c->fence_count].token = token;
    c->fences[c->fence_count++].fence = fence;
}

/* False, and nothing changed, if no story is left. */
static bool become(contract *c, story_set set)
{
    bool possible = set.count > 0;
    if (possible) {
        memcpy(c->stories, set.at, (size_t)set.count * sizeof(story));
        c->count = set.count;
        if (c->count > c->most) c->most = c->count;
    }
    free(set.at);
    return possible;
}

bool contract_answered(contract *c, const contract_ask *asks, int count)
{
    story_set from = {.at = c->stories, .count = c->count}, to = set_new();
    for (int i = 0; i < from.count; i++) from.at[i].yield_to = -1;
    apply_all(c, &from, asks, count, 0, &to);
    if (!become(c, to)) return false;
    for (int i = 0; i < count; i++) {
        pawl_outcome outcome = asks[i].reply.outcome;
        if (outcome != PAWL_GRANTED && outcome != PAWL_CONFIRMED) continue;
        note_fence(c, asks[i].token, asks[i].reply.fence);
    }
    return true;
}

bool contract_heard(contract *c, int client, int token, const pawl_push *push, int64_t at)
{
    if (push->kind != PAWL_PUSH_GRANT) return true; /* a hint that binds nobody */
    contract_news news = {.client = client, .token = token, .push = push};
    story_set to = set_new();
    for (int i = 0; i < c->count; i++)
        explain(c, &c->stories[i], (range){0, at}, attempt_news, &news, &to);
    if (!become(c, to)) return false;
    note_fence(c, token, push->fence);
    return true;
}

static void owner_gone(const contract *c, contract_owner *p, range when, bool holds)
{
    p->gone = true;
    p->gone_at = when;
    if (c->store.instant_release && !(holds && p->detached)) p->until = earlier_of(p->until, when);
    if (c->store.leaves && !holds) p->until.lo = smaller(p->until.lo, when.lo);
}

void contract_closed(contract *c, int client, range when)
{
    for (int i = 0; i < c->count; i++) {
        story *s = &c->stories[i];
        contract_forget_client(s, client);
        if (s->held && s->holder.client == client && !s->holder.gone)
            owner_gone(c, &s->holder, when, true);
        for (int k = 0; k < s->waiting; k++)
            if (s->queue[k].client == client && !s->queue[k].gone)
                owner_gone(c, &s->queue[k], when, false);
    }
}

int64_t contract_boundary(const contract *c, int64_t after)
{
    int64_t next = 0;
    for (int i = 0; i < c->count; i++) {
        const story *s = &c->stories[i];
        for (int k = -1; k < s->waiting; k++) {
            if (k < 0 && !s->held) continue;
            int64_t until = k < 0 ? s->holder.until.lo : s->queue[k].until.lo;
            if (until > after && (!next || until < next)) next = until;
        }
    }
    return next;
}

int64_t contract_end(const contract *c)
{
    return c->stories[0].held ? c->stories[0].holder.until.hi : 0;
}

bool contract_owes_grant(const contract *c, int *ret_client, int *ret_token)
{
    const contract_owner *first = &c->stories[0].holder;
    if (!c->store.queues) return false;
    for (int i = 0; i < c->count; i++) {
        const story *s = &c->stories[i];
        if (!s->held || s->fence || s->holder.gone) return false;
        if (s->holder.token != first->token || s->holder.client != first->client) return false;
    }
    *ret_client = first->client;
    *ret_token = first->token;
    return true;
}

bool contract_owes_yield(const contract *c, int *ret_client, int *ret_token)
{
    const story *first = &c->stories[0];
    for (int i = 0; i < c->count; i++) {
        const story *s = &c->stories[i];
        if (s->yield_to != first->yield_to || s->yield_token != first->yield_token) return false;
    }
    *ret_client = first->yield_to;
    *ret_token = first->yield_token;
    return first->yield_to >= 0;
}

int contract_holder(const contract *c)
{
    return c->stories[0].held ? c->stories[0].holder.token : -1;
}

uint64_t contract_fence(const contract *c)
{
    return c->stories[0].last;
}

bool contract_at_rest(const contract *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->stories[i].held || c->stories[i].waiting) return false;
    return true;
}

static void print_owner(FILE *out, const contract_owner *p, int64_t zero)
{
    fprintf(out, "%s of c%d%s%s, ttl %d ms, until %.3f..%.3f", contract_label(p->token), p->client,
            p->detached ? ", detached" : "", p->gone ? ", gone" : "", (int)p->ttl_ms,
            (double)(p->until.lo - zero) / MS, (double)(p->until.hi - zero) / MS);
}

void contract_print(const contract *c, FILE *out, int64_t zero)
{
    for (int i = 0; i < c->count; i++) {
        const story *s = &c->stories[i];
        fprintf(out, "    largest fence %llu; ", (unsigned long long)s->last);
        if (!s->held) fputs("free", out);
        if (s->held) fprintf(out, "fence %llu, held by ", (unsigned long long)s->fence);
        if (s->value) fprintf(out, "value %d, ", s->value);
        if (s->held) print_owner(out, &s->holder, zero);
        for (int k = 0; k < s->waiting; k++) {
            fputs("\n        waits ", out);
            print_owner(out, &s->queue[k], zero);
        }
        fputc('\n', out);
    }
}
