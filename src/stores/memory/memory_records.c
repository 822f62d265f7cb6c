/* SPDX-License-Identifier: MIT */
/* Records and those in them: made, found, moved between lists, freed. */
#include "memory_state.h"

#include <stdlib.h>

/* ---- Records ------------------------------------------------------------------ */

pawl__record *pawl__record_find(const pawl__memory *m, const char *name, size_t name_len)
{
    pawl__entry *entry = pawl__table_find(&m->table, name, name_len);
    return entry ? pawl__container(entry, pawl__record, entry) : NULL;
}

pawl__record *pawl__record_new(pawl__memory *m, const char *name, size_t name_len)
{
    pawl__record *r = calloc(1, sizeof(*r) + name_len + 1);
    if (!r) return NULL;
    memcpy(r->name, name, name_len);
    r->name_len = name_len;
    r->fence = m->fence_floor;
    pawl__list_init(&r->holders);
    pawl__list_init(&r->waiters);
    pawl__list_init(&r->broken);
    if (!pawl__table_add(&m->table, &r->entry, r->name, name_len)) {
        free(r);
        return NULL;
    }
    pawl__list_append(&m->all, &r->in_all);
    return r;
}

void pawl__record_free(pawl__memory *m, pawl__record *r)
{
    while (r->waiter_count) pawl__waiter_remove(r, pawl__owner_of(r->waiters.next));
    while (r->holder_count) pawl__holder_remove(r, pawl__owner_of(r->holders.next));
    pawl__broken_expire(r, INT64_MAX);
    if (r->fence > m->fence_floor) m->fence_floor = r->fence;
    pawl__table_remove(&m->table, &r->entry);
    pawl__list_remove(&r->in_all);
    free(r);
}

void pawl__record_put(pawl__memory *m, pawl__record *r)
{
    if (r->holder_count || r->waiter_count) return;
    r->capacity = 0; /* the next may ask for another kind */
    pawl__broken_expire(r, m->now);
    if (!r->broken_count) pawl__record_free(m, r);
}

/* ---- Those who hold or wait ------------------------------------------------------ */

void pawl__owner_fill(pawl__owner *owner, void *client, const pawl_request *request)
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

pawl__owner *pawl__owner_new(const pawl__call *call, void *client, const pawl_request *request)
{
    uint32_t units = request->mode == PAWL_MODE_PERMIT ? request->units : 0;
    pawl__owner *owner = calloc(1, sizeof(*owner) + units * sizeof(owner->slots[0]));
    if (!owner) return NULL;
    memcpy(owner->token, request->token, PAWL_TOKEN_LEN);
    owner->since = call->now;
    owner->mode = (uint8_t)request->mode;
    owner->units = units;
    pawl__owner_fill(owner, client, request);
    return owner;
}

void pawl__holder_add(pawl__record *r, pawl__owner *owner)
{
    pawl__list_append(&r->holders, &owner->in_list);
    r->holder_count++;
    r->units += owner->units;
}

void pawl__holder_remove(pawl__record *r, pawl__owner *holder)
{
    pawl__list_remove(&holder->in_list);
    r->holder_count--;
    r->units -= holder->units;
    if (r->upgrader == holder) r->upgrader = NULL;
    free(holder);
}

void pawl__waiter_add(pawl__record *r, pawl__owner *owner)
{
    pawl__list_append(&r->waiters, &owner->in_list);
    r->waiter_count++;
}

void pawl__waiter_remove(pawl__record *r, pawl__owner *waiter)
{
    pawl__list_remove(&waiter->in_list);
    r->waiter_count--;
    free(waiter);
}

pawl__owner *pawl__holder_find(const pawl__record *r, const char *token)
{
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next)
        if (pawl__owner_has(pawl__owner_of(l), token)) return pawl__owner_of(l);
    return NULL;
}

pawl__owner *pawl__waiter_find(const pawl__record *r, const char *token, int64_t *ret_position)
{
    int64_t position = 0;
    for (const pawl__link *l = r->waiters.next; l != &r->waiters; l = l->next, position++)
        if (pawl__owner_has(pawl__owner_of(l), token)) {
            *ret_position = position;
            return pawl__owner_of(l);
        }
    return NULL;
}

void pawl__lease_extend(const pawl__call *call, pawl__owner *holder)
{
    holder->until = pawl__instant_add(call->now, pawl__ms_to_ns(holder->ttl_ms));
}

void pawl__place_extend(const pawl__call *call, pawl__owner *waiter)
{
    waiter->until = pawl__instant_add(call->now, pawl_place_span(pawl__ms_to_ns(waiter->ttl_ms)));
}
