/* SPDX-License-Identifier: MIT */
/*
 * The rules of store.h, in the order in which every operation applies them:
 *
 *  1. settle: an expired lease ends, expired places end, a lock that is free and
 *     waited for goes to the first waiter (no barging: a newcomer comes after).
 *  2. the operation itself, comparing whole tokens (law 5).
 *  3. a record with neither holder nor waiters is dropped; its fence stays in
 *     fence_floor, so that the next grant of the name is still larger (law 3).
 */
#include "memory_model.h"

#include "memory_state.h"

#include <stdlib.h>
#include <string.h>

pawl__memory *pawl__memory_new(uint64_t hash_seed, uint64_t fence_floor)
{
    pawl__memory *m = calloc(1, sizeof(*m));
    if (!m) return NULL;
    m->table.seed = hash_seed;
    m->fence_floor = fence_floor;
    pawl__list_init(&m->all);
    return m;
}

/* ---- Records ------------------------------------------------------------------ */

static pawl__record *record_find(const pawl__memory *m, const char *name, size_t name_len)
{
    pawl__entry *entry = pawl__table_find(&m->table, name, name_len);
    return entry ? pawl__container(entry, pawl__record, entry) : NULL;
}

static pawl__record *record_new(pawl__memory *m, const char *name, size_t name_len)
{
    pawl__record *r = calloc(1, sizeof(*r) + name_len + 1);
    if (!r) return NULL;
    memcpy(r->name, name, name_len);
    r->name_len = name_len;
    r->fence = m->fence_floor;
    pawl__list_init(&r->waiters);
    if (!pawl__table_add(&m->table, &r->entry, r->name, name_len)) {
        free(r);
        return NULL;
    }
    pawl__list_append(&m->all, &r->in_all);
    return r;
}

static void waiter_remove(pawl__record *r, pawl__owner *waiter)
{
    pawl__list_remove(&waiter->in_queue);
    r->waiter_count--;
    free(waiter);
}

static void record_free(pawl__memory *m, pawl__record *r)
{
    while (r->waiter_count) waiter_remove(r, pawl__owner_of(pawl__list_first(&r->waiters)));
    free(r->holder);
    if (r->fence > m->fence_floor) m->fence_floor = r->fence;
    pawl__table_remove(&m->table, &r->entry);
    pawl__list_remove(&r->in_all);
    free(r);
}

static void record_put(pawl__memory *m, pawl__record *r)
{
    if (!r->holder && !r->waiter_count) record_free(m, r);
}

void pawl__memory_free(pawl__memory *m)
{
    if (!m) return;
    for (pawl__link *first; (first = pawl__list_first(&m->all));)
        record_free(m, pawl__container(first, pawl__record, in_all));
    pawl__table_done(&m->table);
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
    return m->table.count;
}

/* ---- Parties -------------------------------------------------------------------- */

static bool has_token(const pawl__owner *owner, const char *token)
{
    return owner && token && strcmp(owner->token, token) == 0; /* law 5: the whole token */
}

static void owner_fill(pawl__owner *owner, void *client, const pawl_request *request)
{
    owner->client = client;
    owner->ttl_ms = request->ttl_ms;
    owner->detached = request->flags & PAWL_ASK_DETACHED;
    const char *label = request->owner ? request->owner : "";
    size_t len = strlen(label);
    if (len > PAWL_OWNER_MAX) len = PAWL_OWNER_MAX;
    memcpy(owner->label, label, len);
    owner->label[len] = '\0';
}

static pawl__owner *owner_new(const pawl__call *call, void *client, const pawl_request *request)
{
    pawl__owner *owner = calloc(1, sizeof(*owner));
    if (!owner) return NULL;
    memcpy(owner->token, request->token, PAWL_TOKEN_LEN);
    owner->since = call->now;
    owner_fill(owner, client, request);
    return owner;
}

static void lease_extend(const pawl__call *call, pawl__owner *holder)
{
    holder->until = pawl__instant_add(call->now, pawl__ms_to_ns(holder->ttl_ms));
}

static void place_extend(const pawl__call *call, pawl__owner *waiter)
{
    waiter->until = pawl__instant_add(call->now, pawl_place_span(pawl__ms_to_ns(waiter->ttl_ms)));
}

static pawl__owner *waiter_find(pawl__record *r, const char *token, int64_t *ret_position)
{
    int64_t position = 0;
    for (pawl__link *l = r->waiters.next; l != &r->waiters; l = l->next, position++)
        if (has_token(pawl__owner_of(l), token)) {
            *ret_position = position;
            return pawl__owner_of(l);
        }
    return NULL;
}

/* ---- Granting --------------------------------------------------------------------- */

static void tell(const pawl__call *call, const pawl__record *r, void *client, const pawl_push *push)
{
    pawl_push whole = *push;
    whole.name = r->name;
    whole.name_len = r->name_len;
    if (client) call->out->push(call->out->ctx, client, &whole);
}

/* The next fence (law 3); false: there is none that is larger. */
static bool draw_fence(const pawl__call *call, pawl__record *r)
{
    uint64_t fence = r->fence + 1 > call->wall_us ? r->fence + 1 : call->wall_us;
    if (fence > PAWL__MEMORY_FENCE_MAX) return false;
    r->fence = fence;
    return true;
}

/*
 * The lock goes to the first waiter, if there is one: only it is told. That does not extend:
 * the lease ends when the place would have (rule 8).
 */
static void hand_off(const pawl__call *call, pawl__record *r)
{
    pawl__link *first = pawl__list_first(&r->waiters);
    if (r->holder || !first || !draw_fence(call, r)) return;
    pawl__owner *next = pawl__owner_of(first);
    pawl__list_remove(first);
    r->waiter_count--;
    r->holder = next;
    tell(call, r, next->client,
         &(pawl_push){.kind = PAWL_PUSH_GRANT,
                      .token = next->token,
                      .fence = r->fence,
                      .waiting = r->waiter_count > 0});
}

static void drop_holder(pawl__record *r)
{
    free(r->holder);
    r->holder = NULL;
}

static void settle(const pawl__call *call, pawl__record *r)
{
    if (r->holder && r->holder->until <= call->now) drop_holder(r);
    for (pawl__link *l = r->waiters.next, *next; l != &r->waiters; l = next) {
        next = l->next;
        if (pawl__owner_of(l)->until <= call->now) waiter_remove(r, pawl__owner_of(l));
    }
    hand_off(call, r);
}

/* Looks at the two records that were looked at longest ago: nothing dead stays for ever. */
static void collect_some(const pawl__call *call)
{
    pawl__memory *m = call->memory;
    for (int i = 0; i < 2; i++) {
        pawl__link *first = pawl__list_first(&m->all);
        if (!first) return;
        pawl__list_remove(first);
        pawl__list_append(&m->all, first);
        pawl__record *r = pawl__container(first, pawl__record, in_all);
        settle(call, r);
        record_put(m, r);
    }
}

/* ---- Replies ----------------------------------------------------------------------- */

static void fail(pawl_reply *reply, pawl_err err)
{
    reply->outcome = PAWL_FAILED;
    reply->err = err;
}

static void say_held(const pawl__record *r, pawl_outcome outcome, pawl_reply *reply)
{
    reply->outcome = outcome;
    reply->fence = r->fence;
    reply->waiting = r->waiter_count > 0;
}

/* Rounded up: who sleeps for so long finds the lease expired. */
static int64_t holder_ms(const pawl__call *call, const pawl__record *r)
{
    if (!r->holder) return 0;
    return pawl__ms_until(call->now, pawl__instant_add(r->holder->until, PAWL__NS_PER_MS - 1));
}

static void say_queued(const pawl__call *call, const pawl__record *r, int64_t position,
                       pawl_reply *reply)
{
    reply->outcome = PAWL_QUEUED;
    reply->position = position;
    reply->holder_ms = holder_ms(call, r);
    reply->fence = r->fence;
}

static void say_busy(const pawl__call *call, const pawl__record *r, pawl_reply *reply)
{
    reply->outcome = PAWL_BUSY;
    reply->holder_ms = holder_ms(call, r);
    reply->message = r->holder ? r->holder->label : NULL;
}

/* ---- Verbs ---------------------------------------------------------------------------- */

static void grant_new(const pawl__call *call, pawl__record *r, void *client,
                      const pawl_request *request, pawl_reply *reply)
{
    pawl__owner *owner = owner_new(call, client, request);
    if (!owner || !draw_fence(call, r)) {
        fail(reply, owner ? PAWL_ERR_CORRUPT : PAWL_ERR_NO_MEMORY);
        free(owner);
        return;
    }
    r->holder = owner;
    lease_extend(call, owner);
    say_held(r, PAWL_GRANTED, reply);
}

static void queue_new(const pawl__call *call, pawl__record *r, void *client,
                      const pawl_request *request, pawl_reply *reply)
{
    if (r->waiter_count >= PAWL__MEMORY_WAITERS_MAX) {
        fail(reply, PAWL_ERR_STORE_FULL);
        return;
    }
    pawl__owner *owner = owner_new(call, client, request);
    if (!owner) {
        fail(reply, PAWL_ERR_NO_MEMORY);
        return;
    }
    place_extend(call, owner);
    pawl__list_append(&r->waiters, &owner->in_queue);
    say_queued(call, r, (int64_t)r->waiter_count++, reply);
    if (r->waiter_count == 1) /* the holder learns of later ones with its next renewal */
        tell(call, r, r->holder->client,
             &(pawl_push){.kind = PAWL_PUSH_YIELD, .token = r->holder->token, .fence = r->fence});
}

/* The token waits already: it keeps its place, or gives it up. Another holds the lock, or no fence
   is left that it could get. */
static void ask_again(const pawl__call *call, pawl__record *r, pawl__owner *waiter,
                      int64_t position, void *client, const pawl_request *request,
                      pawl_reply *reply)
{
    if (!(request->flags & PAWL_ASK_QUEUE)) {
        waiter_remove(r, waiter);
        say_busy(call, r, reply);
        return;
    }
    if (!r->holder) {
        fail(reply, PAWL_ERR_CORRUPT);
        return;
    }
    owner_fill(waiter, client, request);
    place_extend(call, waiter);
    say_queued(call, r, position, reply);
}

static void acquire_from(const pawl__call *call, pawl__record *r, void *client,
                         const pawl_request *request, pawl_reply *reply)
{
    int64_t position;
    settle(call, r);
    if (has_token(r->holder, request->token)) { /* rule 3: the same grant, a full ttl */
        owner_fill(r->holder, client, request);
        lease_extend(call, r->holder);
        say_held(r, PAWL_GRANTED, reply);
        return;
    }
    pawl__owner *waiter = waiter_find(r, request->token, &position);
    if (waiter) {
        ask_again(call, r, waiter, position, client, request, reply);
        return;
    }
    if (!r->holder) {
        grant_new(call, r, client, request, reply);
        return;
    }
    if (request->flags & PAWL_ASK_QUEUE) {
        queue_new(call, r, client, request, reply);
        return;
    }
    say_busy(call, r, reply);
}

static void acquire(const pawl__call *call, void *client, const pawl_request *request,
                    pawl_reply *reply)
{
    pawl__memory *m = call->memory;
    collect_some(call);
    pawl__record *r = record_find(m, request->name, request->name_len);
    if (!r && m->table.count >= PAWL__MEMORY_LOCKS_MAX) {
        fail(reply, PAWL_ERR_STORE_FULL);
        return;
    }
    if (!r) r = record_new(m, request->name, request->name_len);
    if (!r) {
        fail(reply, PAWL_ERR_NO_MEMORY);
        return;
    }
    acquire_from(call, r, client, request, reply);
    record_put(m, r);
}

static void renew(const pawl__call *call, pawl__record *r, const pawl_request *request,
                  pawl_reply *reply)
{
    if (!has_token(r->holder, request->token)) return; /* law 5: nothing comes back */
    r->holder->ttl_ms = request->ttl_ms;
    lease_extend(call, r->holder);
    say_held(r, PAWL_CONFIRMED, reply);
}

static void release(const pawl__call *call, pawl__record *r, const pawl_request *request,
                    pawl_reply *reply)
{
    int64_t position;
    pawl__owner *waiter;
    if (has_token(r->holder, request->token)) {
        drop_holder(r);
        hand_off(call, r);
        reply->outcome = PAWL_RELEASED;
    } else if ((waiter = waiter_find(r, request->token, &position))) {
        waiter_remove(r, waiter);
        reply->outcome = PAWL_LEFT;
    }
}

/* The broken holder is told to look again; it will find that it is not the owner. */
static void break_lock(const pawl__call *call, pawl__record *r, const pawl_request *request,
                       pawl_reply *reply)
{
    if (!r->holder || r->fence != request->fence) return;
    tell(call, r, r->holder->client, &(pawl_push){.kind = PAWL_PUSH_RECHECK});
    drop_holder(r);
    hand_off(call, r);
    reply->outcome = PAWL_RELEASED;
}

typedef void (*change_fn)(const pawl__call *, pawl__record *, const pawl_request *, pawl_reply *);

/* RENEW, RELEASE, BREAK: they change what exists and create nothing. */
static void change(const pawl__call *call, change_fn fn, const pawl_request *request,
                   pawl_reply *reply)
{
    reply->outcome = PAWL_NOT_OWNER;
    pawl__record *r = record_find(call->memory, request->name, request->name_len);
    if (!r) return;
    settle(call, r);
    fn(call, r, request, reply);
    record_put(call->memory, r);
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
    if (request->mode != PAWL_MODE_EXCLUSIVE) {
        fail(ret_reply, PAWL_ERR_UNSUPPORTED);
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
    case PAWL_VERB_DOCTOR: /* the state is never ill; the store speaks for itself */
        break;
    }
    fail(ret_reply, PAWL_ERR_UNSUPPORTED);
}

void pawl__memory_leave(pawl__memory *m, const pawl__memory_time *time, void *client,
                        const pawl__memory_out *out)
{
    pawl__call call = call_begin(m, time, out);
    for (pawl__link *l = m->all.next, *next; l != &m->all; l = next) {
        next = l->next;
        pawl__record *r = pawl__container(l, pawl__record, in_all);
        for (pawl__link *w = r->waiters.next, *after; w != &r->waiters; w = after) {
            after = w->next;
            if (pawl__owner_of(w)->client == client) waiter_remove(r, pawl__owner_of(w));
        }
        if (r->holder && r->holder->client == client) {
            r->holder->client = NULL;
            if (!r->holder->detached) drop_holder(r);
        }
        settle(&call, r);
        record_put(m, r);
    }
}
