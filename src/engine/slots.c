/* SPDX-License-Identifier: MIT */
/* Making and freeing slots and leases; finding them by name and by request. */
#include "lease.h"

#include <stdlib.h>
#include <string.h>

pawl__slot *pawl__slot_find(const pawl__engine *e, const char *name, size_t name_len)
{
    pawl__entry *entry = pawl__table_find(&e->names, name, name_len);
    return entry ? pawl__container(entry, pawl__slot, entry) : NULL;
}

pawl__slot *pawl__slot_get(pawl__engine *e, const pawl__want *want)
{
    pawl__slot *slot = pawl__slot_find(e, want->name, want->name_len);
    if (slot) return slot;
    slot = calloc(1, sizeof *slot + want->name_len + 1u);
    if (!slot) return NULL;
    memcpy(slot->name, want->name, want->name_len);
    slot->mode = want->mode;
    pawl__list_init(&slot->wants);
    if (!pawl__table_add(&e->names, &slot->entry, slot->name, want->name_len)) {
        free(slot);
        return NULL;
    }
    return slot;
}

void pawl__slot_put(pawl__engine *e, pawl__slot *slot)
{
    if (slot->refs) return; /* who waits, waits for one of those leases (L6) */
    pawl__table_remove(&e->names, &slot->entry);
    free(slot);
}

pawl__want *pawl__slot_first_want(const pawl__slot *slot)
{
    pawl__link *first = pawl__list_first(&slot->wants);
    return first ? pawl__container(first, pawl__waiting, in_queue)->want : NULL;
}

/* Request ids are (sequence << 32 | index + 1): found without a search, stale ones refused. */
pawl__lease *pawl__lease_of_request(const pawl__engine *e, uint64_t id)
{
    uint64_t index = (id & UINT32_MAX) - 1, sequence = id >> 32;
    if (!sequence || index >= e->lease_room || !e->leases[index]) return NULL;
    return e->leases[index]->request == sequence ? e->leases[index] : NULL;
}

static char *copy_text(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    return copy ? memcpy(copy, text, size) : NULL;
}

static bool grow_leases(pawl__engine *e)
{
    size_t room = e->lease_room ? e->lease_room * 2 : 8;
    pawl__lease **leases = realloc(e->leases, room * sizeof(pawl__lease *));
    if (!leases) return false;
    memset(leases + e->lease_room, 0, (room - e->lease_room) * sizeof(pawl__lease *));
    e->free_hint = (uint32_t)e->lease_room;
    e->leases = leases;
    e->lease_room = room;
    return true;
}

static uint32_t free_index(pawl__engine *e)
{
    while (e->leases[e->free_hint]) e->free_hint = (e->free_hint + 1) % (uint32_t)e->lease_room;
    return e->free_hint;
}

/* Room for one more, and for its timer. */
static bool reserve_lease(pawl__engine *e)
{
    if (e->lease_count == e->lease_room && !grow_leases(e)) return false;
    return pawl__heap_reserve(&e->timers, e->want_count + e->lease_count + 1);
}

/* The slot's own, unless an older lease of the name still has that. */
static pawl__lease *allocate(pawl__slot *slot)
{
    if (slot->first_in_use) return calloc(1, sizeof(pawl__lease));
    slot->first_in_use = true;
    slot->first = (pawl__lease){0};
    return &slot->first;
}

static void deallocate(pawl__engine *e, pawl__lease *lease)
{
    pawl__slot *slot = lease->slot;
    if (lease->owner != e->opts.owner) free((char *)lease->owner);
    if (lease == &slot->first)
        slot->first_in_use = false;
    else
        free(lease);
}

pawl__lease *pawl__lease_new(pawl__engine *e, pawl__slot *slot, const pawl__want *first)
{
    char *owner = first->owner ? copy_text(first->owner) : NULL;
    pawl__lease *lease = NULL;
    if ((owner || !first->owner) && reserve_lease(e)) lease = allocate(slot);
    if (!lease) {
        free(owner);
        return NULL;
    }
    lease->owner = owner ? owner : e->opts.owner;
    lease->slot = slot;
    lease->index = free_index(e);
    lease->timer.kind = PAWL__TIMER_LEASE;
    lease->ttl_ms = first->ttl_ms;
    lease->flags = first->flags;
    lease->next_at = PAWL__NEVER;
    pawl__lease_draw_token(e, lease);
    e->leases[lease->index] = lease;
    e->lease_count++;
    slot->lease = lease;
    slot->refs++;
    return lease;
}

void pawl__lease_free(pawl__engine *e, pawl__lease *lease)
{
    pawl__slot *slot = lease->slot;
    pawl__lease_tell_move(e, lease, lease->state, PAWL__LEASE_ABSENT);
    if (slot->lease == lease) slot->lease = NULL;
    pawl__heap_clear(&e->timers, &lease->timer);
    pawl__lease_unmark(e, lease);
    e->leases[lease->index] = NULL;
    e->free_hint = lease->index;
    e->lease_count--;
    e->settled_count -= pawl__lease_is_settled(lease);
    e->tended_count -= pawl__lease_is_tended(lease);
    deallocate(e, lease);
    slot->refs--;
    pawl__slot_put(e, slot);
}
