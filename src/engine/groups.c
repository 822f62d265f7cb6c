/* SPDX-License-Identifier: MIT */
/* Making and freeing names, groups and leases; finding them by name and by request. */
#include "lease.h"

#include "../base/modes.h"

#include <stdlib.h>
#include <string.h>

pawl__name_state *pawl__name_find(const pawl__engine *e, const char *name, size_t name_len)
{
    pawl__entry *entry = pawl__table_find(&e->names, name, name_len);
    return entry ? pawl__container(entry, pawl__name_state, entry) : NULL;
}

static pawl__name_state *name_new(pawl__engine *e, const pawl__want *want)
{
    pawl__name_state *name = calloc(1, sizeof *name + want->name_len + 1u);
    if (!name) return NULL;
    memcpy(name->name, want->name, want->name_len);
    if (!pawl__table_add(&e->names, &name->entry, name->name, want->name_len)) {
        free(name);
        return NULL;
    }
    return name;
}

static void name_put(pawl__engine *e, pawl__name_state *name)
{
    if (name->first.in_use || name->first.next) return; /* it has groups */
    pawl__table_remove(&e->names, &name->entry);
    free(name);
}

pawl__group *pawl__group_of(const pawl__name_state *name, pawl_mode mode)
{
    if (mode == PAWL_MODE_PERMIT) return NULL;
    const pawl__group *group = &name->first;
    while (group && (!group->in_use || group->mode != mode)) group = group->next;
    return (pawl__group *)group;
}

/* Takes the group inside the name, unless it is in use. */
static pawl__group *allocate_group(pawl__name_state *name)
{
    if (!name->first.in_use) {
        name->first.is_first = true;
        return &name->first;
    }
    pawl__more_group *more = calloc(1, sizeof *more);
    if (!more) return NULL;
    more->of = name;
    more->group.next = name->first.next;
    name->first.next = &more->group;
    return &more->group;
}

static pawl__group *group_new(pawl__name_state *name, pawl_mode mode)
{
    pawl__group *group = allocate_group(name);
    if (!group) return NULL;
    group->in_use = true;
    group->mode = (uint8_t)mode;
    group->last_fence = 0;
    pawl__list_init(&group->wants);
    return group;
}

pawl__group *pawl__group_get(pawl__engine *e, const pawl__want *want)
{
    pawl__name_state *name = pawl__name_find(e, want->name, want->name_len);
    if (!name) name = name_new(e, want);
    if (!name) return NULL;
    pawl__group *group = pawl__group_of(name, (pawl_mode)want->mode);
    if (!group) group = group_new(name, (pawl_mode)want->mode);
    if (!group) name_put(e, name);
    return group;
}

void pawl__group_put(pawl__engine *e, pawl__group *group)
{
    if (group->refs) return; /* wants wait for one of those leases (L6) */
    pawl__name_state *name = pawl__group_name(group);
    group->in_use = false;
    if (!group->is_first) {
        pawl__group **at = &name->first.next;
        while (*at != group) at = &(*at)->next;
        *at = group->next;
        free(pawl__container(group, pawl__more_group, group));
    }
    name_put(e, name);
}

/* Only the store can count permits. */
bool pawl__lease_bars(const pawl__lease *lease, pawl_mode wanted)
{
    return wanted != PAWL_MODE_PERMIT && lease->mode != PAWL_MODE_PERMIT &&
           !pawl__mode_fits(wanted, (pawl_mode)lease->mode);
}

bool pawl__lease_is_in_the_way(const pawl__lease *lease)
{
    const pawl__group *other = &pawl__group_name(lease->group)->first;
    for (; other; other = other->next) {
        if (!other->in_use || other == lease->group) continue;
        bool waits = !pawl__list_empty(&other->wants);
        if (waits && pawl__lease_bars(lease, (pawl_mode)other->mode)) return true;
        if (other->lease && pawl__lease_upgrades(other->lease)) return true;
    }
    return false;
}

pawl__want *pawl__group_first_want(const pawl__group *group)
{
    pawl__link *first = pawl__list_first(&group->wants);
    return first ? pawl__container(first, pawl__waiting, in_queue)->want : NULL;
}

/* Request ids are (sequence << 32 | index + 1): so a lease is found without a search, and stale ids
 * are refused. */
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

/* Makes room for one more lease, and for its timer. */
static bool reserve_lease(pawl__engine *e)
{
    if (e->lease_count == e->lease_room && !grow_leases(e)) return false;
    return pawl__heap_reserve(&e->timers, e->want_count + e->lease_count + 1);
}

/* Takes the lease inside the group, unless an older lease of the name still uses it. */
static pawl__lease *allocate(pawl__group *group)
{
    if (group->first_in_use) return calloc(1, sizeof(pawl__lease));
    group->first_in_use = true;
    group->first = (pawl__lease){0};
    return &group->first;
}

/* What a lease needs beside its struct: its own label, and permits. */
typedef struct belongings {
    char *owner;
    pawl__permits *permits;
} belongings;

static pawl__permits *permits_of(const pawl__waiting *waiting)
{
    pawl__permits *permits = calloc(1, sizeof *permits + waiting->units * sizeof(uint16_t));
    if (!permits) return NULL;
    permits->units = waiting->units;
    permits->capacity = waiting->capacity;
    return permits;
}

static bool get_belongings(const pawl__want *first, belongings *ret_all)
{
    bool permits = first->mode == PAWL_MODE_PERMIT;
    *ret_all = (belongings){0};
    if (first->owner) ret_all->owner = copy_text(first->owner);
    if (permits) ret_all->permits = permits_of(first->waiting);
    return (ret_all->owner || !first->owner) && (ret_all->permits || !permits);
}

static void deallocate(pawl__engine *e, pawl__lease *lease)
{
    pawl__group *group = lease->group;
    if (lease->owner != e->opts.owner) free((char *)lease->owner);
    free(group->mode == PAWL_MODE_PERMIT ? (void *)lease->permits : (void *)lease->readers);
    if (lease == &group->first)
        group->first_in_use = false;
    else
        free(lease);
}

pawl__lease *pawl__lease_new(pawl__engine *e, pawl__group *group, const pawl__want *first)
{
    belongings own;
    pawl__lease *lease = NULL;
    if (get_belongings(first, &own) && reserve_lease(e)) lease = allocate(group);
    if (!lease) {
        free(own.owner);
        free(own.permits);
        return NULL;
    }
    lease->owner = own.owner ? own.owner : e->opts.owner;
    lease->permits = own.permits;
    lease->mode = group->mode & 3u;
    lease->group = group;
    lease->index = free_index(e);
    lease->timer.kind = PAWL__TIMER_LEASE;
    lease->ttl_ms = first->ttl_ms;
    lease->flags = first->flags & 3u;
    lease->next_at = PAWL__NEVER;
    pawl__lease_draw_token(e, lease);
    e->leases[lease->index] = lease;
    e->lease_count++;
    group->lease = lease;
    group->refs++;
    return lease;
}

void pawl__lease_free(pawl__engine *e, pawl__lease *lease)
{
    pawl__group *group = lease->group;
    pawl__lease_tell_move(e, lease, lease->state, PAWL__LEASE_ABSENT);
    if (group->lease == lease) group->lease = NULL;
    pawl__heap_clear(&e->timers, &lease->timer);
    pawl__lease_unmark(e, lease);
    e->leases[lease->index] = NULL;
    e->free_hint = lease->index;
    e->lease_count--;
    e->confirmed_count -= pawl__lease_is_confirmed(lease);
    e->tended_count -= pawl__lease_is_tended(lease);
    deallocate(e, lease);
    group->refs--;
    pawl__group_put(e, group);
}
