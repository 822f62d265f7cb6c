/* SPDX-License-Identifier: MIT */
/* Who may hold beside whom, and who comes next: rules 6, 8, 9 and 11 of pawl/store.h. */
#include "memory_state.h"

#define MODES (PAWL_MODE_PERMIT + 1)

/* The table of pawl_mode. Permits are counted instead. */
static const bool fits_beside[MODES][MODES] = {
    [PAWL_MODE_SHARED] = {[PAWL_MODE_SHARED] = true, [PAWL_MODE_UPDATE] = true},
    [PAWL_MODE_UPDATE] = {[PAWL_MODE_SHARED] = true},
};

bool pawl__record_fits(const pawl__record *r, pawl_mode mode, uint32_t units)
{
    if (mode == PAWL_MODE_PERMIT) return r->units + units <= r->capacity;
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next)
        if (!fits_beside[mode][pawl__owner_of(l)->mode]) return false;
    return true;
}

bool pawl__record_is_awaited(const pawl__record *r, const pawl__owner *but)
{
    return r->waiter_count > 0 || (r->upgrader && r->upgrader != but);
}

void pawl__record_tell(const pawl__call *call, const pawl__record *r, void *client,
                       const pawl_push *push)
{
    pawl_push whole = *push;
    whole.name = r->name;
    whole.name_len = r->name_len;
    if (client) call->out->push(call->out->ctx, client, &whole);
}

/* ---- Granting ------------------------------------------------------------------------ */

static uint64_t next_fence(const pawl__call *call, const pawl__record *r)
{
    return r->fence + 1 > call->wall_us ? r->fence + 1 : call->wall_us; /* law 3 */
}

bool pawl__record_has_fence(const pawl__call *call, const pawl__record *r)
{
    return next_fence(call, r) <= PAWL__MEMORY_FENCE_MAX;
}

static void draw_fence(const pawl__call *call, pawl__record *r, pawl__owner *owner)
{
    owner->fence = r->fence = next_fence(call, r);
}

/* Rule 11: the lowest that are free. */
static void take_slots(const pawl__record *r, pawl__owner *owner)
{
    bool taken[PAWL_CAPACITY_MAX] = {false};
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next) {
        const pawl__owner *holder = pawl__owner_of(l);
        for (uint32_t i = 0; i < holder->units; i++) taken[holder->slots[i]] = true;
    }
    uint32_t count = 0;
    for (uint16_t slot = 0; count < owner->units && slot < r->capacity; slot++)
        if (!taken[slot]) owner->slots[count++] = slot;
}

static void make_holder(const pawl__call *call, pawl__record *r, pawl__owner *owner)
{
    if (owner->units) take_slots(r, owner);
    pawl__holder_add(r, owner);
    draw_fence(call, r, owner);
}

void pawl__record_grant(const pawl__call *call, pawl__record *r, pawl__owner *owner)
{
    make_holder(call, r, owner);
    pawl__lease_extend(call, owner);
}

static void tell_grant(const pawl__call *call, const pawl__record *r, const pawl__owner *holder)
{
    pawl__record_tell(call, r, holder->client,
                      &(pawl_push){.kind = PAWL_PUSH_GRANT,
                                   .token = holder->token,
                                   .fence = holder->fence,
                                   .waiting = pawl__record_is_awaited(r, NULL),
                                   .slots = holder->units ? holder->slots : NULL,
                                   .slot_count = holder->units});
}

void pawl__record_upgrade(const pawl__call *call, pawl__record *r, pawl__owner *holder)
{
    holder->mode = PAWL_MODE_EXCLUSIVE;
    r->upgrader = NULL;
    draw_fence(call, r, holder);
}

/* The first that waits comes in. It is not extended: its lease ends with its place (rule 8). */
static void hand_off(const pawl__call *call, pawl__record *r, pawl__owner *next)
{
    pawl__list_remove(&next->in_list);
    r->waiter_count--;
    make_holder(call, r, next);
}

void pawl__record_grant_leading(const pawl__call *call, pawl__record *r)
{
    if (!pawl__record_has_fence(call, r)) return;
    if (r->upgrader) { /* it waits ahead of all, and lets nobody pass */
        pawl__owner *holder = r->upgrader;
        if (r->holder_count > 1) return;
        pawl__record_upgrade(call, r, holder);
        tell_grant(call, r, holder);
        return;
    }
    const pawl__link *last = r->holders.prev; /* the holders behind it were granted just now */
    while (r->waiter_count) {
        pawl__owner *next = pawl__owner_of(r->waiters.next);
        if (!pawl__record_fits(r, next->mode, next->units)) break;
        if (!pawl__record_has_fence(call, r)) break;
        hand_off(call, r, next);
    }
    for (const pawl__link *l = last->next; l != &r->holders; l = l->next)
        tell_grant(call, r, pawl__owner_of(l));
}

/* ---- What time ends ---------------------------------------------------------------------- */

void pawl__record_advance(const pawl__call *call, pawl__record *r)
{
    for (pawl__link *l = r->holders.next, *next; l != &r->holders; l = next) {
        next = l->next;
        if (pawl__owner_of(l)->until <= call->now) pawl__holder_remove(r, pawl__owner_of(l));
    }
    for (pawl__link *l = r->waiters.next, *next; l != &r->waiters; l = next) {
        next = l->next;
        if (pawl__owner_of(l)->until <= call->now) pawl__waiter_remove(r, pawl__owner_of(l));
    }
    if (r->upgrader && r->upgrader->upgrade_until <= call->now) r->upgrader = NULL;
    pawl__record_grant_leading(call, r);
}

void pawl__record_ask_to_yield(const pawl__call *call, pawl__record *r, const pawl__owner *waiting)
{
    bool upgrades = waiting == r->upgrader;
    pawl_mode wanted = upgrades ? PAWL_MODE_EXCLUSIVE : (pawl_mode)waiting->mode;
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next) {
        const pawl__owner *holder = pawl__owner_of(l);
        if (holder == waiting || fits_beside[wanted][holder->mode]) continue;
        pawl__record_tell(
            call, r, holder->client,
            &(pawl_push){.kind = PAWL_PUSH_YIELD, .token = holder->token, .fence = holder->fence});
    }
}
