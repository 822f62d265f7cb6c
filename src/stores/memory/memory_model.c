/* SPDX-License-Identifier: MIT */
/*
 * The rules of store.h, in the order in which every operation applies them:
 *
 *  1. advance: expired leases and places end, and from the head of the queue all come in who
 *     fit beside those that hold (no barging: a newcomer comes after).
 *  2. the operation itself, comparing whole tokens (law 5).
 *  3. a record with neither holders nor waiters nor notes is dropped; its fence stays in
 *     fence_floor, so that the next grant of the name is still larger (law 3).
 */
#include "memory_model.h"

#include "memory_state.h"

#include <stdlib.h>

pawl__memory *pawl__memory_new(uint64_t hash_seed, uint64_t fence_floor)
{
    pawl__memory *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    m->table.seed = hash_seed;
    m->fence_floor = fence_floor;
    m->values.seed = hash_seed;
    pawl__list_init(&m->all);
    pawl__list_init(&m->all_values);
    return m;
}

void pawl__memory_free(pawl__memory *m)
{
    if (!m) return;
    for (pawl__link *first; (first = pawl__list_first(&m->all));)
        pawl__record_free(m, pawl__container(first, pawl__record, in_all));
    pawl__table_done(&m->table);
    pawl__values_free(m);
    free(m);
}

uint64_t pawl__memory_last_fence(const pawl__memory *m)
{
    uint64_t last = m->fence_floor;
    for (const pawl__link *l = m->all.next; l != &m->all; l = l->next) {
        uint64_t fence = pawl__container(l, const pawl__record, in_all)->fence;
        if (fence > last) last = fence;
    }
    return last;
}

size_t pawl__memory_count(const pawl__memory *m)
{
    size_t count = 0;
    for (const pawl__link *l = m->all.next; l != &m->all; l = l->next) {
        const pawl__record *r = pawl__container(l, pawl__record, in_all);
        count += r->holder_count > 0 || r->waiter_count > 0;
    }
    return count;
}

/* Checks the two records that were checked longest ago, so that nothing dead stays for ever. */
static void collect_some(const pawl__call *call)
{
    pawl__memory *m = call->memory;
    for (int i = 0; i < 2; i++) {
        pawl__link *first = pawl__list_first(&m->all);
        if (!first) return;
        pawl__list_remove(first);
        pawl__list_append(&m->all, first);
        pawl__record *r = pawl__container(first, pawl__record, in_all);
        pawl__record_advance(call, r);
        pawl__record_put(m, r);
    }
}

/* ---- Verbs ---------------------------------------------------------------------------- */

static void grant_new(const pawl__call *call, pawl__record *r, void *client,
                      const pawl_request *request, pawl_reply *reply)
{
    pawl__owner *owner = pawl__owner_new(call, client, request);
    if (!owner || !pawl__record_has_fence(call, r)) {
        pawl__say_failed(owner ? PAWL_ERR_CORRUPT : PAWL_ERR_NO_MEMORY, reply);
        free(owner);
        return;
    }
    pawl__record_grant(call, r, owner);
    pawl__say_held(r, owner, PAWL_GRANTED, reply);
}

static void queue_new(const pawl__call *call, pawl__record *r, void *client,
                      const pawl_request *request, pawl_reply *reply)
{
    if (r->waiter_count >= PAWL__MEMORY_WAITERS_MAX) {
        pawl__say_failed(PAWL_ERR_STORE_FULL, reply);
        return;
    }
    pawl__owner *owner = pawl__owner_new(call, client, request);
    if (!owner) {
        pawl__say_failed(PAWL_ERR_NO_MEMORY, reply);
        return;
    }
    bool is_first = !pawl__record_is_awaited(r, NULL);
    pawl__place_extend(call, owner);
    pawl__say_queued(call, r, (int64_t)r->waiter_count, reply);
    pawl__waiter_add(r, owner);
    if (is_first) /* the holders learn of later ones with their next renewal */
        pawl__record_ask_to_yield(call, r, owner);
}

/* Nobody holds it, and nobody can be granted it any more. */
static bool nothing_is_left(const pawl__call *call, const pawl__record *r)
{
    return !r->holder_count && !pawl__record_has_fence(call, r);
}

/*
 * The token waits already, for what does not fit, or no fence is left that it could get: it keeps
 * its place, or gives it up.
 */
static void ask_again(const pawl__call *call, pawl__record *r, pawl__owner *waiter,
                      int64_t position, void *client, const pawl_request *request,
                      pawl_reply *reply)
{
    if (!(request->flags & PAWL_ASK_QUEUE)) {
        pawl__say_busy(call, r, reply);
        pawl__waiter_remove(r, waiter);
        pawl__record_grant_leading(call, r); /* those behind it may fit */
        return;
    }
    if (nothing_is_left(call, r)) {
        pawl__say_failed(PAWL_ERR_CORRUPT, reply);
        return;
    }
    pawl__owner_fill(waiter, client, request);
    pawl__place_extend(call, waiter);
    pawl__say_queued(call, r, position, reply);
}

/* A name is of one kind while anything of it lives (rule 9). */
static pawl_err misfit(const pawl__record *r, const pawl_request *request)
{
    bool asks_permit = request->mode == PAWL_MODE_PERMIT;
    if (asks_permit && !pawl__permits_fit(request->units, request->capacity)) return PAWL_ERR_UNITS;
    if (!r->holder_count && !r->waiter_count) return PAWL_OK;
    if (asks_permit != (r->capacity != 0)) return PAWL_ERR_KIND;
    return asks_permit && request->capacity != r->capacity ? PAWL_ERR_CAPACITY : PAWL_OK;
}

/* Rule 3: who holds less than it asks for has to change it, or release. */
static bool covers(const pawl__owner *holder, const pawl_request *request)
{
    uint32_t asked = request->mode == PAWL_MODE_PERMIT ? request->units : 0;
    return pawl_mode_covers(holder->mode, request->mode) && holder->units >= asked;
}

static void acquire_from(const pawl__call *call, pawl__record *r, void *client,
                         const pawl_request *request, pawl_reply *reply)
{
    int64_t position;
    pawl__record_advance(call, r);
    pawl_err err = misfit(r, request);
    if (err) {
        pawl__say_failed(err, reply);
        if (err == PAWL_ERR_CAPACITY)
            reply->message =
                pawl__capacity_message(r->capacity, request->capacity, call->memory->said);
        return;
    }
    r->capacity = request->mode == PAWL_MODE_PERMIT ? request->capacity : 0;
    pawl__owner *holder = pawl__holder_find(r, request->token);
    if (holder && !covers(holder, request)) {
        pawl__say_failed(PAWL_ERR_MODE, reply);
        return;
    }
    if (holder) { /* rule 3: the same grant, a full ttl */
        pawl__owner_fill(holder, client, request);
        pawl__lease_extend(call, holder);
        pawl__say_held(r, holder, PAWL_GRANTED, reply);
        return;
    }
    pawl__owner *waiter = pawl__waiter_find(r, request->token, &position);
    if (waiter) {
        ask_again(call, r, waiter, position, client, request, reply);
        return;
    }
    bool fits =
        !pawl__record_is_awaited(r, NULL) && pawl__record_fits(r, request->mode, request->units);
    if (fits || nothing_is_left(call, r)) {
        grant_new(call, r, client, request, reply);
        return;
    }
    if (request->flags & PAWL_ASK_QUEUE) {
        queue_new(call, r, client, request, reply);
        return;
    }
    pawl__say_busy(call, r, reply);
}

static void acquire(const pawl__call *call, void *client, const pawl_request *request,
                    pawl_reply *reply)
{
    pawl__memory *m = call->memory;
    collect_some(call);
    pawl__record *r = pawl__record_find(m, request->name, request->name_len);
    if (!r && m->table.count >= PAWL__MEMORY_LOCKS_MAX) {
        pawl__say_failed(PAWL_ERR_STORE_FULL, reply);
        return;
    }
    if (!r) r = pawl__record_new(m, request->name, request->name_len);
    if (!r) {
        pawl__say_failed(PAWL_ERR_NO_MEMORY, reply);
        return;
    }
    acquire_from(call, r, client, request, reply);
    pawl__record_put(m, r);
}

static void renew(const pawl__call *call, pawl__record *r, const pawl_request *request,
                  pawl_reply *reply)
{
    pawl__owner *holder = pawl__holder_find(r, request->token);
    if (!holder) { /* law 5: nothing comes back */
        pawl__say_not_owner(call, r, request, reply);
        return;
    }
    holder->ttl_ms = request->ttl_ms;
    pawl__lease_extend(call, holder);
    pawl__say_held(r, holder, PAWL_CONFIRMED, reply);
}

static void release(const pawl__call *call, pawl__record *r, const pawl_request *request,
                    pawl_reply *reply)
{
    int64_t position;
    pawl__owner *owner;
    if ((owner = pawl__holder_find(r, request->token))) {
        pawl__holder_remove(r, owner);
        reply->outcome = PAWL_RELEASED;
    } else if ((owner = pawl__waiter_find(r, request->token, &position))) {
        pawl__waiter_remove(r, owner);
        reply->outcome = PAWL_LEFT;
    }
    pawl__record_grant_leading(call, r); /* a waiter has left: those behind it may fit */
}

static pawl__owner *holder_of_fence(const pawl__record *r, uint64_t fence)
{
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next)
        if (pawl__owner_of(l)->fence == fence) return pawl__owner_of(l);
    return NULL;
}

/* The broken holder is told to look again; it will find that it is not the owner. */
static void break_lock(const pawl__call *call, pawl__record *r, const pawl_request *request,
                       pawl_reply *reply)
{
    pawl__owner *holder = holder_of_fence(r, request->fence);
    if (!holder) return;
    pawl__record_tell(call, r, holder->client, &(pawl_push){.kind = PAWL_PUSH_RECHECK});
    pawl__broken_add(call, r, holder, request->owner);
    pawl__holder_remove(r, holder);
    pawl__record_grant_leading(call, r);
    reply->outcome = PAWL_RELEASED;
}

typedef void (*change_fn)(const pawl__call *, pawl__record *, const pawl_request *, pawl_reply *);

/* RENEW, RELEASE, BREAK, CHANGE: they change what exists and create nothing. */
static void change(const pawl__call *call, change_fn fn, const pawl_request *request,
                   pawl_reply *reply)
{
    reply->outcome = PAWL_NOT_OWNER;
    pawl__record *r = pawl__record_find(call->memory, request->name, request->name_len);
    if (!r) return;
    pawl__record_advance(call, r);
    fn(call, r, request, reply);
    pawl__record_put(call->memory, r);
}

static pawl__call call_begin(pawl__memory *m, const pawl__memory_time *time,
                             const pawl__memory_out *out)
{
    if (time->now > m->now) m->now = time->now; /* clients read their clocks before our mutex */
    return (pawl__call){.memory = m, .now = m->now, .wall_us = time->wall_us, .out = out};
}

void pawl__memory_apply(pawl__memory *m, const pawl__memory_time *time, void *client,
                        const pawl_request *request, const pawl__memory_out *out,
                        pawl_reply *ret_reply)
{
    pawl__call call = call_begin(m, time, out);
    *ret_reply = (pawl_reply){.id = request->id, .position = -1, .holder_ms = -1};
    if ((unsigned)request->mode > PAWL_MODE_PERMIT) {
        pawl__say_failed(PAWL_ERR_UNSUPPORTED, ret_reply);
        return;
    }
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
        acquire(&call, client, request, ret_reply);
        return;
    case PAWL_VERB_RENEW:
        change(&call, renew, request, ret_reply);
        return;
    case PAWL_VERB_RELEASE:
        change(&call, release, request, ret_reply);
        return;
    case PAWL_VERB_BREAK:
        change(&call, break_lock, request, ret_reply);
        return;
    case PAWL_VERB_INSPECT:
        pawl__memory_inspect(&call, request, ret_reply);
        return;
    case PAWL_VERB_LIST:
        pawl__memory_list(&call, request, ret_reply);
        return;
    case PAWL_VERB_CHANGE:
        change(&call, pawl__memory_change, request, ret_reply);
        return;
    case PAWL_VERB_PUBLISH:
        pawl__memory_publish(&call, request, ret_reply);
        return;
    case PAWL_VERB_READ:
        pawl__memory_read(&call, client, request, &m->told, ret_reply);
        return;
    case PAWL_VERB_DOCTOR: /* there is nothing to find in the model */
        break;
    }
    pawl__say_failed(PAWL_ERR_UNSUPPORTED, ret_reply);
}

/* Its places go, and its leases that are not detached. */
static void leave_record(pawl__record *r, const void *client)
{
    for (pawl__link *l = r->waiters.next, *next; l != &r->waiters; l = next) {
        next = l->next;
        if (pawl__owner_of(l)->client == client) pawl__waiter_remove(r, pawl__owner_of(l));
    }
    for (pawl__link *l = r->holders.next, *next; l != &r->holders; l = next) {
        next = l->next;
        pawl__owner *holder = pawl__owner_of(l);
        if (holder->client != client) continue;
        holder->client = NULL;
        if (!holder->detached) pawl__holder_remove(r, holder);
    }
}

void pawl__memory_leave(pawl__memory *m, const pawl__memory_time *time, void *client,
                        const pawl__memory_out *out)
{
    pawl__call call = call_begin(m, time, out);
    pawl__values_leave(&call, client);
    for (pawl__link *l = m->all.next, *next; l != &m->all; l = next) {
        next = l->next;
        pawl__record *r = pawl__container(l, pawl__record, in_all);
        leave_record(r, client);
        pawl__record_advance(&call, r);
        pawl__record_put(m, r);
    }
}
