/* SPDX-License-Identifier: MIT */
/*
 * A look at a name: which keys a transaction reads, and what they say of who holds and who waits.
 * The rule is one for all modes: in the order of creation each key holds, as long as it fits beside
 * those before it. Keys never change their order and only disappear, so who holds goes on holding.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <string.h>

/* More keys of permits are not read: there are not so many slots, so those behind them wait. */
#define PERMITS_READ (PAWL_CAPACITY_MAX + 1)

/* The keys of a mode begin with this; exclusive ones and those of strangers lie behind the others.
 */
static pawl__etcd_bytes begin_of(const pawl__etcd_question *q, pawl_mode mode)
{
    pawl__etcd_bytes begin;
    pawl__etcd_key_make(&begin, q->start, mode, "");
    return begin;
}

static size_t own_responses(const pawl__etcd_question *q)
{
    return q->own_count + (q->created != 0);
}

/*
 * Where the responses are, behind those of the own keys and the first of all. It is known of which
 * mode our own key is, or would be, unless it may be in several places. Then nothing of the other
 * family stands below the name, as long as ours does (rule 9), and whether an exclusive lock
 * holds the first key alone tells. 0: not asked for.
 */
typedef struct places {
    size_t first, exclusive, permits, before, count;
} places;

static places places_of(const pawl__etcd_question *q)
{
    bool any = q->own_count > 1 || q->created;
    places p = {.first = own_responses(q), .count = own_responses(q) + 1};
    if (any || q->mode == PAWL_MODE_SHARED) p.exclusive = p.count++;
    if (any || q->mode == PAWL_MODE_PERMIT) p.permits = p.count++;
    if (q->asks_before) p.before = p.count++;
    return p;
}

size_t pawl__etcd_view_size(const pawl__etcd_question *q)
{
    return places_of(q).count;
}

void pawl__etcd_view_ask(pawl__etcd_text *body, const pawl__etcd_question *q)
{
    pawl__etcd_bytes exclusive = begin_of(q, PAWL_MODE_EXCLUSIVE);
    pawl__etcd_bytes permits = begin_of(q, PAWL_MODE_PERMIT),
                     shared = begin_of(q, PAWL_MODE_SHARED);
    places p = places_of(q);
    pawl__etcd_range range;
    for (size_t i = 0; i < q->own_count; i++)
        pawl__etcd_add_range(body, &(pawl__etcd_range){.key = &q->own[i]}, i > 0);
    range = (pawl__etcd_range){.key = q->start, .end = q->end, .limit = 1, .at = q->created};
    if (q->created) pawl__etcd_add_range(body, &range, false);
    range.at = 0;
    pawl__etcd_add_range(body, &range, own_responses(q) > 0);
    range.key = &exclusive;
    if (p.exclusive) pawl__etcd_add_range(body, &range, true);
    range = (pawl__etcd_range){.key = &permits, .end = &shared, .limit = PERMITS_READ};
    if (p.permits) pawl__etcd_add_range(body, &range, true);
    if (!p.before) return;
    range = (pawl__etcd_range){.key = q->mode == PAWL_MODE_SHARED ? &exclusive : q->start,
                               .end = q->end,
                               .limit = 1,
                               .before = q->before,
                               .newest_first = true,
                               .keys_only = true};
    pawl__etcd_add_range(body, &range, true);
}

/* ---- Reading ------------------------------------------------------------------------------- */

static bool read_one(const pawl_store *store, json_t *answer, size_t at,
                     pawl__etcd_entry *ret_entry, bool *ret_has, int64_t *ret_count)
{
    json_t *kvs = pawl__etcd_kvs(answer, at, ret_count), *kv = json_array_get(kvs, 0);
    *ret_has = kv != NULL;
    return !kv || pawl__etcd_entry_read(kv, store->config.prefix, ret_entry);
}

static bool read_own(const pawl_store *store, json_t *answer, const pawl__etcd_question *q,
                     pawl__etcd_view *view)
{
    for (size_t i = 0; i < own_responses(q) && !view->has_own; i++) {
        int64_t count;
        if (!read_one(store, answer, i, &view->own, &view->has_own, &count)) return false;
        if (!view->has_own || q->created) continue;
        if (!pawl__etcd_same_bytes(&view->own.key, &q->own[i])) return false;
    }
    return true;
}

/* ---- Permits ------------------------------------------------------------------------------- */

/* The lowest that are free. False: there are not so many. */
static bool take_slots(pawl__etcd_slots *taken, uint32_t units, uint32_t capacity,
                       pawl__etcd_slots *ret_slots)
{
    memset(ret_slots, 0, sizeof *ret_slots);
    for (uint32_t slot = 0; units > 0 && slot < capacity; slot++) {
        if (pawl__etcd_slot(taken, slot)) continue;
        pawl__etcd_slot_set(taken, slot);
        pawl__etcd_slot_set(ret_slots, slot);
        units--;
    }
    return units == 0;
}

typedef struct reader {
    const pawl_store *store;
    json_t *kvs;
    pawl__etcd_entry entry;
} reader;

static bool read_permit(reader *r, size_t i)
{
    return pawl__etcd_entry_read(json_array_get(r->kvs, i), r->store->config.prefix, &r->entry);
}

static bool note_taken(reader *r, pawl__etcd_slots *taken)
{
    for (size_t i = 0; i < json_array_size(r->kvs); i++) {
        if (!read_permit(r, i)) return false;
        for (size_t byte = 0; r->entry.has_slots && byte < sizeof taken->bits; byte++)
            taken->bits[byte] |= r->entry.slots.bits[byte];
    }
    return true;
}

/*
 * Who holds but has not said yet which slots it has, takes the lowest: those before us as well, in
 * thought, so that all come to the same.
 */
static bool read_permits(reader *r, int64_t count, const pawl__etcd_question *q,
                         pawl__etcd_view *view)
{
    pawl__etcd_slots taken = {0}, slots;
    uint64_t units = 0;
    size_t all = json_array_size(r->kvs), waiting = 0;
    bool fit = true, past = false; /* past: behind our own */
    if (!note_taken(r, &taken)) return false;
    for (size_t i = 0; i < all; i++) {
        if (!read_permit(r, i)) return false;
        pawl__etcd_entry *entry = &r->entry;
        bool own = view->has_own && pawl__etcd_same_bytes(&entry->key, &view->own.key);
        if (i == 0) view->capacity = entry->capacity;
        units += entry->units;
        fit =
            fit && entry->token[0] && entry->capacity == view->capacity && units <= view->capacity;
        bool good =
            fit && (entry->has_slots || take_slots(&taken, entry->units, view->capacity, &slots));
        if (own) {
            view->holds = good;
            view->slots = entry->has_slots ? entry->slots : slots;
            view->position = good ? -1 : (int64_t)waiting;
            view->is_next = !good && waiting == 0;
        } else if (!past) {
            view->before = entry->key;
            view->has_before = true;
        }
        past = past || own;
        waiting += !fit;
    }
    if (count > (int64_t)all) waiting += (size_t)count - all;
    view->waiting = waiting > 0;
    if (view->has_own) return true;
    view->is_next = waiting == 0;
    view->position = (int64_t)waiting;
    view->fits = waiting == 0 && units + q->units <= view->capacity &&
                 take_slots(&taken, q->units, view->capacity, &view->slots);
    return true;
}

/* ---- Locks --------------------------------------------------------------------------------- */

static void judge_lock(const pawl__etcd_question *q, int64_t exclusive, bool has_exclusive,
                       int64_t first_exclusive, pawl__etcd_view *view)
{
    bool is_shared = (view->has_own ? view->own.mode : q->mode) == PAWL_MODE_SHARED;
    view->waiting = is_shared ? exclusive > 0 : view->count > 1;
    view->fits = is_shared ? view->count > 0 && !exclusive : !view->count;
    if (!view->has_own) return;
    if (is_shared)
        view->holds = !has_exclusive || view->own.created < first_exclusive;
    else
        view->holds = view->has_first && pawl__etcd_same_bytes(&view->own.key, &view->first.key);
}

/* How many wait before us: known if the one before us holds. */
static int64_t position_of(const pawl__etcd_view *view)
{
    bool is_second = view->has_before && view->has_first &&
                     pawl__etcd_same_bytes(&view->before, &view->first.key);
    return is_second ? 0 : -1;
}

bool pawl__etcd_view_read(const pawl_store *store, json_t *answer, const pawl__etcd_question *q,
                          pawl__etcd_view *ret_view)
{
    pawl__etcd_entry other;
    pawl__etcd_view *view = ret_view;
    int64_t exclusive = 0, permits = 0, count;
    bool has_exclusive = false;
    places p = places_of(q);
    memset(view, 0, sizeof *view);
    view->position = -1;
    view->revision = pawl__etcd_revision(answer);
    if (view->revision <= 0 || !read_own(store, answer, q, view)) return false;
    if (!read_one(store, answer, p.first, &view->first, &view->has_first, &view->count))
        return false;
    if (p.exclusive && !read_one(store, answer, p.exclusive, &other, &has_exclusive, &exclusive))
        return false;
    int64_t first_exclusive = has_exclusive ? other.created : 0;
    reader r = {.store = store};
    if (p.permits) r.kvs = pawl__etcd_kvs(answer, p.permits, &permits);
    if (permits > 0 && view->first.mode == PAWL_MODE_PERMIT)
        return read_permits(&r, permits, q, view);
    judge_lock(q, exclusive, has_exclusive, first_exclusive, view);
    if (!p.before) return true;
    if (!read_one(store, answer, p.before, &other, &view->has_before, &count)) return false;
    if (view->has_before) view->before = other.key;
    view->position = position_of(view);
    return true;
}
