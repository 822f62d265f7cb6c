/* SPDX-License-Identifier: MIT */
/* Having a lease: granted, given to a local want, extended, doubted, wanted, lost, left. */
#include "lease.h"

#include <string.h>

/* Grants in a row that may come after their deadline before we call the store too slow. */
#define DEAD_GRANTS_MAX 3

static void plan_renewal(pawl__engine *e, pawl__lease *lease)
{
    int64_t due = pawl__instant_add(lease->base_at, pawl__plan_renew_ns(lease->ttl_ms));
    if (lease->handed) {
        int64_t soon = pawl__instant_add(e->now, pawl__plan_confirm_ns(lease->ttl_ms));
        due = pawl__instant_min(due, soon);
    }
    if (lease->request || lease->send) {
        due = PAWL__NEVER; /* the answer plans the next one */
    } else if (lease->recheck) {
        lease->recheck = false;
        pawl__lease_renew(e, lease);
        return;
    }
    pawl__lease_plan(e, lease, due > e->now ? due : e->now);
}

void pawl__lease_give(pawl__engine *e, pawl__lease *lease, pawl__want *want)
{
    pawl__want_decided(e, want);
    lease->want = want;
    if (PAWL_MUTANT(ttl_changes_hands)) lease->ttl_ms = want->ttl_ms;
    want->lease = lease;
    want->state = PAWL__WANT_HOLDING;
    want->after_doubt = false;
    pawl__lease_move(e, lease, PAWL__LEASE_HELD);
    pawl__lease_arm(e, lease);
    pawl__want_tell(e, want, PAWL__ACT_GRANTED, PAWL_OK);
}

/* A grant that is over before it is reported must not be reported (laws 2 and 6). */
static void ask_about_dead_grant(pawl__engine *e, pawl__lease *lease)
{
    if (lease->state != PAWL__LEASE_UNKNOWN) pawl__lease_move(e, lease, PAWL__LEASE_UNKNOWN);
    if (++lease->dead_grants < DEAD_GRANTS_MAX) {
        pawl__lease_ask(e, lease);
        return;
    }
    pawl__engine_say(e, "the store answers more slowly than the ttl allows: use a longer ttl");
    pawl__slot_refuse(e, lease->slot, PAWL_ERR_UNAVAILABLE, false);
    pawl__lease_leave(e, lease);
}

void pawl__lease_granted(pawl__engine *e, pawl__lease *lease, uint64_t fence, bool waiting)
{
    if (fence <= lease->slot->last_fence) { /* law 3, and fail closed */
        pawl__engine_say(e, "the store's fence did not grow: its memory and its clock went back");
        pawl__slot_refuse(e, lease->slot, PAWL_ERR_FENCE, false);
        pawl__lease_leave(e, lease);
        return;
    }
    lease->answered = true;
    pawl__lease_heard(e, lease);
    if (pawl__lease_deadline(lease) <= e->now && !PAWL_MUTANT(dead_grant_given)) {
        ask_about_dead_grant(e, lease);
        return;
    }
    lease->dead_grants = 0;
    lease->fence = fence;
    lease->slot->last_fence = fence;
    pawl__lease_give(e, lease, pawl__slot_first_want(lease->slot));
    pawl__slot_refuse(e, lease->slot, PAWL_ERR_BUSY, true);
    if (waiting || lease->wanted_early) pawl__lease_wanted(e, lease);
    plan_renewal(e, lease);
}

void pawl__lease_extended(pawl__engine *e, pawl__lease *lease, int64_t sent_at)
{
    lease->base_at = sent_at;
    if (PAWL_MUTANT(renewal_from_reply)) lease->base_at = e->now;
    lease->handed = false; /* from now on it has its whole ttl */
    pawl__lease_heard(e, lease);
    plan_renewal(e, lease);
    pawl__want *holder = pawl__lease_holder(lease);
    if (!holder) return;
    holder->after_doubt |= lease->state == PAWL__LEASE_DOUBT;
    pawl__lease_move(e, lease, PAWL__LEASE_HELD);
    pawl__want_tell(e, holder, PAWL__ACT_EXTENDED, PAWL_OK);
}

void pawl__lease_doubted(pawl__engine *e, pawl__lease *lease, pawl_err err)
{
    lease->err = (int16_t)err;
    if (lease->state != PAWL__LEASE_HELD) return;
    pawl__lease_move(e, lease, PAWL__LEASE_DOUBT);
    pawl__want_tell(e, lease->want, PAWL__ACT_DOUBT, err);
}

void pawl__lease_wanted(pawl__engine *e, pawl__lease *lease)
{
    if (lease->state == PAWL__LEASE_IDLE) {
        if (PAWL_MUTANT(cached_kept_after_yield)) return;
        pawl__lease_leave(e, lease);
        return;
    }
    if (lease->yield) return;
    lease->yield = true;
    lease->share_count = 0;
    lease->until = pawl__instant_add(e->now, pawl__ms_to_ns(e->opts.share_ms_max));
    pawl__want_tell(e, lease->want, PAWL__ACT_YIELD, PAWL_OK);
}

/* Others are shown one label for the whole of a lease. */
static bool same_owner(const pawl__engine *e, const pawl__lease *lease, const pawl__want *want)
{
    const char *owner = want->owner ? want->owner : e->opts.owner;
    return owner == lease->owner || strcmp(owner, lease->owner) == 0;
}

bool pawl__lease_suits(const pawl__engine *e, const pawl__lease *lease, const pawl__want *want)
{
    return same_owner(e, lease, want) && want->flags == lease->flags &&
           (want->ttl_ms == lease->ttl_ms || PAWL_MUTANT(ttl_changes_hands));
}

/* Local passing is free while nobody else waits, and bounded once somebody does. */
static bool may_pass(pawl__engine *e, pawl__lease *lease, const pawl__want *next)
{
    if (!next || lease->state != PAWL__LEASE_HELD || !pawl__lease_suits(e, lease, next))
        return false;
    if (!lease->yield || PAWL_MUTANT(sharing_without_budget)) return true;
    return lease->share_count++ < e->opts.share_count_max && e->now < lease->until;
}

void pawl__lease_returned(pawl__engine *e, pawl__lease *lease, const pawl__want *by)
{
    lease->want = NULL;
    pawl__want *next = pawl__slot_first_want(lease->slot);
    if (may_pass(e, lease, next)) {
        pawl__lease_give(e, lease, next);
        return;
    }
    bool keeps = by->retain_ms > 0 && !e->keeps_nothing && !lease->yield;
    if (!next && keeps && lease->state == PAWL__LEASE_HELD) {
        lease->until = pawl__instant_add(e->now, pawl__ms_to_ns(by->retain_ms));
        pawl__lease_move(e, lease, PAWL__LEASE_IDLE);
        pawl__lease_arm(e, lease);
        return;
    }
    pawl__lease_leave(e, lease);
}

void pawl__lease_lost(pawl__engine *e, pawl__lease *lease, pawl_err err)
{
    pawl__want *holder = pawl__lease_holder(lease);
    pawl__lease_move(e, lease, PAWL__LEASE_LOST);
    if (holder) {
        lease->want = NULL;
        holder->lease = NULL;
        holder->state = PAWL__WANT_LOST;
        if (!PAWL_MUTANT(loss_never_told)) pawl__want_tell(e, holder, PAWL__ACT_LOST, err);
    }
    pawl__lease_leave(e, lease); /* the store compares: it frees early, or does nothing */
}

void pawl__slot_start(pawl__engine *e, pawl__slot *slot)
{
    pawl__want *first = pawl__slot_first_want(slot);
    if (!first || slot->lease) return;
    if (e->broken) {
        pawl__slot_refuse(e, slot, PAWL_ERR_INTERNAL, false);
        return;
    }
    pawl__lease *lease = pawl__lease_new(e, slot, first);
    if (!lease) {
        pawl__engine_say(e, pawl_err_text(PAWL_ERR_NO_MEMORY));
        pawl__slot_refuse(e, slot, PAWL_ERR_NO_MEMORY, false);
        return;
    }
    pawl__lease_move(e, lease, PAWL__LEASE_REQUESTING);
    pawl__lease_ask(e, lease);
}

void pawl__lease_drop(pawl__engine *e, pawl__lease *lease)
{
    pawl__slot *slot = lease->slot;
    slot->refs++; /* the slot outlives the lease */
    pawl__lease_free(e, lease);
    pawl__slot_start(e, slot);
    slot->refs--;
    pawl__slot_put(e, slot);
}

void pawl__lease_leave(pawl__engine *e, pawl__lease *lease)
{
    bool heard = lease->asked;
    if (PAWL_MUTANT(cancel_leaves_place) && lease->state == PAWL__LEASE_QUEUED) heard = false;
    if (PAWL_MUTANT(late_grant_kept) && lease->state == PAWL__LEASE_REQUESTING) heard = false;
    if (PAWL_MUTANT(unknown_not_released) && lease->state == PAWL__LEASE_UNKNOWN) heard = false;
    if (!heard) { /* by the store */
        pawl__lease_drop(e, lease);
        return;
    }
    lease->slot->lease = NULL;
    pawl__lease_move(e, lease, PAWL__LEASE_RELEASING);
    /* Whatever was sent so far, confirmed or not, has run out one ttl from now. */
    int64_t life = pawl__ms_to_ns(lease->ttl_ms);
    if (PAWL_MUTANT(release_gives_up_early)) life /= 2;
    lease->until = pawl__instant_add(e->now, life);
    pawl__lease_send_release(e, lease);
    pawl__slot_start(e, lease->slot);
}

void pawl__lease_settle(pawl__engine *e, pawl__lease *lease)
{
    if (pawl__lease_waits(lease) && pawl__list_empty(&lease->slot->wants))
        pawl__lease_leave(e, lease);
}
