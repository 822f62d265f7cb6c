/* SPDX-License-Identifier: MIT */
/* The life of a held lease: granted, given to a local want, extended, in doubt, wanted, lost, given
 * up. */
#include "lease.h"

#include <stdlib.h>
#include <string.h>

/* So many grants in a row may come after their deadline; then the store counts as too slow. */
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

bool pawl__lease_reserve_readers(pawl__lease *lease, uint32_t count)
{
    pawl__readers *readers = lease->readers;
    if (readers ? readers->room >= count : count == 0) return true;
    uint32_t room = count < 8 ? 8 : count * 2;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the list is one of pointers */
    readers = realloc(readers, sizeof *readers + room * sizeof readers->wants[0]);
    if (!readers) return false;
    if (!lease->readers) readers->count = 0;
    readers->room = room;
    lease->readers = readers;
    return true;
}

static void add_holder(pawl__lease *lease, pawl__want *want)
{
    if (!lease->want)
        lease->want = want;
    else
        lease->readers->wants[lease->readers->count++] = want;
}

static uint32_t more_readers(const pawl__lease *lease)
{
    bool shared = lease->group->mode == PAWL_MODE_SHARED;
    return shared && lease->readers ? lease->readers->count : 0;
}

/* The last reader moves to the place of the one that leaves. */
void pawl__lease_remove_holder(pawl__lease *lease, pawl__want *want)
{
    uint32_t more = more_readers(lease);
    pawl__want *last = more ? lease->readers->wants[more - 1] : NULL;
    if (more) lease->readers->count--;
    if (lease->want == want) {
        lease->want = last;
        return;
    }
    for (uint32_t i = 0; i < more; i++)
        if (lease->readers->wants[i] == want) lease->readers->wants[i] = last;
}

void pawl__lease_give(pawl__engine *e, pawl__lease *lease, pawl__want *want)
{
    pawl__want_decided(e, want);
    if (lease->want && PAWL_MUTANT(join_renews)) lease->base_at = e->now;
    add_holder(lease, want);
    if (PAWL_MUTANT(ttl_changes_hands)) lease->ttl_ms = want->ttl_ms;
    want->lease = lease;
    want->state = PAWL__WANT_HOLDING;
    want->after_doubt = false;
    pawl__lease_move(e, lease, PAWL__LEASE_HELD);
    pawl__lease_arm(e, lease);
    pawl__want_tell(e, want, PAWL__ACT_GRANTED, PAWL_OK);
}

/* A grant that is over before callers are told must not be told (laws 2 and 6). */
static void ask_about_dead_grant(pawl__engine *e, pawl__lease *lease)
{
    if (lease->state != PAWL__LEASE_UNKNOWN) pawl__lease_move(e, lease, PAWL__LEASE_UNKNOWN);
    if (++lease->dead_grants < DEAD_GRANTS_MAX) {
        pawl__lease_ask(e, lease);
        return;
    }
    pawl__engine_set_message(e,
                             "the store answers more slowly than the ttl allows: use a longer ttl");
    pawl__group_refuse(e, lease->group, PAWL_ERR_UNAVAILABLE, false);
    pawl__lease_leave(e, lease);
}

/* Waiting readers get the lease together; other waiters wait for the next lease. */
static void give_to_those_who_wait(pawl__engine *e, pawl__lease *lease)
{
    pawl__group *group = lease->group;
    pawl__lease_give(e, lease, pawl__group_first_want(group));
    if (group->mode != PAWL_MODE_SHARED) return;
    for (pawl__link *l = group->wants.next, *next; l != &group->wants; l = next) {
        next = l->next;
        pawl__want *want = pawl__container(l, pawl__waiting, in_queue)->want;
        if (!pawl__lease_suits(e, lease, want)) continue;
        if (!pawl__lease_reserve_readers(lease, more_readers(lease) + 1)) return; /* later */
        pawl__lease_give(e, lease, want);
    }
}

/* False: the store has granted something else than we asked for. */
static bool take_slots(pawl__lease *lease, const pawl__grant *grant)
{
    if (lease->group->mode != PAWL_MODE_PERMIT) return true;
    pawl__permits *permits = lease->permits;
    if (grant->slot_count != permits->units) return false;
    memcpy(permits->slots, grant->slots, permits->units * sizeof permits->slots[0]);
    for (uint16_t i = 0; PAWL_MUTANT(permits_not_told) && i < permits->units; i++)
        permits->slots[i] = i;
    return true;
}

void pawl__lease_granted(pawl__engine *e, pawl__lease *lease, const pawl__grant *grant)
{
    uint64_t fence = grant->fence;
    if (!take_slots(lease, grant)) {
        pawl__engine_set_message(e,
                                 "the store granted another number of permits than was asked for");
        pawl__group_refuse(e, lease->group, PAWL_ERR_PROTOCOL, false);
        pawl__lease_leave(e, lease);
        return;
    }
    if (fence <= lease->group->last_fence) { /* law 3, and fail closed */
        pawl__engine_set_message(
            e, "the store's fence did not grow: its memory and its clock went back");
        pawl__group_refuse(e, lease->group, PAWL_ERR_FENCE, false);
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
    lease->group->last_fence = fence;
    lease->alone = lease->group->mode == PAWL_MODE_EXCLUSIVE;
    give_to_those_who_wait(e, lease);
    pawl__group_refuse(e, lease->group, PAWL_ERR_BUSY, true);
    if (grant->waiting || lease->wanted_early) pawl__lease_wanted(e, lease);
    plan_renewal(e, lease);
}

void pawl__lease_extended(pawl__engine *e, pawl__lease *lease, int64_t sent_at)
{
    lease->base_at = sent_at;
    if (PAWL_MUTANT(renewal_from_reply)) lease->base_at = e->now;
    lease->handed = false; /* from now on the lease has its whole ttl */
    pawl__lease_heard(e, lease);
    plan_renewal(e, lease);
    if (!pawl__lease_is_held(lease)) return;
    bool after_doubt = lease->state == PAWL__LEASE_DOUBT;
    pawl__lease_move(e, lease, PAWL__LEASE_HELD);
    pawl__want *want;
    for (uint32_t i = 0; (want = pawl__lease_holder_at(lease, i)); i++) {
        want->after_doubt |= after_doubt;
        pawl__want_tell(e, want, PAWL__ACT_EXTENDED, PAWL_OK);
    }
}

static void tell_holders(pawl__engine *e, const pawl__lease *lease, pawl__action_kind kind,
                         pawl_err err)
{
    pawl__want *want;
    for (uint32_t i = 0; (want = pawl__lease_holder_at(lease, i)); i++)
        pawl__want_tell(e, want, kind, err);
}

void pawl__lease_doubted(pawl__engine *e, pawl__lease *lease, pawl_err err)
{
    lease->err = (int16_t)err;
    if (lease->state != PAWL__LEASE_HELD) return;
    pawl__lease_move(e, lease, PAWL__LEASE_DOUBT);
    tell_holders(e, lease, PAWL__ACT_DOUBT, err);
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
    tell_holders(e, lease, PAWL__ACT_YIELD, PAWL_OK);
}

/* Others see one label for the whole life of a lease. */
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

/* Whether the lease still has the mode of its group. */
static bool is_whole(const pawl__lease *lease)
{
    if (PAWL_MUTANT(weaker_lease_passed)) return true;
    return lease->mode == lease->group->mode && !lease->changing;
}

/* Passing on locally is unlimited while nobody else waits, and bounded once somebody does. */
static bool may_pass(pawl__engine *e, pawl__lease *lease, const pawl__want *next)
{
    if (!next || lease->state != PAWL__LEASE_HELD || !is_whole(lease)) return false;
    if (!pawl__lease_suits(e, lease, next)) return false;
    if (!lease->yield || PAWL_MUTANT(sharing_without_budget)) return true;
    return lease->share_count++ < e->opts.share_count_max && e->now < lease->until;
}

bool pawl__lease_may_be_joined(pawl__engine *e, pawl__lease *lease, const pawl__want *want)
{
    bool nobody_waits = pawl__list_empty(&lease->group->wants);
    if (lease->mode != PAWL_MODE_SHARED || !nobody_waits) return false;
    if (!pawl__lease_reserve_readers(lease, more_readers(lease) + 1)) return false;
    if (PAWL_MUTANT(joined_without_budget) && lease->state == PAWL__LEASE_HELD)
        return is_whole(lease) && pawl__lease_suits(e, lease, want);
    return may_pass(e, lease, want);
}

void pawl__lease_returned(pawl__engine *e, pawl__lease *lease, const pawl__want *by,
                          bool ends_lease)
{
    if (lease->want && !PAWL_MUTANT(first_reader_ends_all)) return; /* others still hold it */
    pawl__want *next = pawl__group_first_want(lease->group);
    if (!ends_lease && may_pass(e, lease, next)) {
        pawl__lease_give(e, lease, next);
        return;
    }
    bool keeps = !ends_lease && by->retain_ms > 0 && !e->keeps_nothing && !lease->yield &&
                 is_whole(lease) && !pawl__lease_is_in_the_way(lease) &&
                 lease->mode != PAWL_MODE_PERMIT; /* others cannot find its group */
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
    bool held = pawl__lease_is_held(lease);
    pawl__lease_move(e, lease, PAWL__LEASE_LOST);
    while (held && lease->want) {
        pawl__want *holder = lease->want;
        pawl__lease_remove_holder(lease, holder);
        pawl__upgrade_ends(e, holder, err);
        holder->lease = NULL;
        holder->state = PAWL__WANT_LOST;
        if (PAWL_MUTANT(readers_not_told) && lease->want) continue;
        if (!PAWL_MUTANT(loss_never_told)) pawl__want_tell(e, holder, PAWL__ACT_LOST, err);
    }
    pawl__lease_leave(e, lease); /* the store compares: it ends early, or nothing happens */
}

static void say_broken(pawl__engine *e, const char *by)
{
    static const char words[] = "broken by ";
    const size_t len = sizeof words - 1;
    pawl__engine_set_message(e, by);
    memmove(e->message + len, e->message, sizeof e->message - len - 1);
    memcpy(e->message, words, len);
    e->message[sizeof e->message - 1] = '\0';
}

void pawl__lease_not_ours(pawl__engine *e, pawl__lease *lease, const char *broken_by)
{
    if (broken_by)
        say_broken(e, broken_by);
    else
        pawl__engine_set_message(e, "the store says that the lease is not ours any more");
    pawl__lease_lost(e, lease, PAWL_ERR_LOST); /* law 5: final */
}

void pawl__group_start(pawl__engine *e, pawl__group *group)
{
    pawl__want *first = pawl__group_first_want(group);
    if (!first || group->lease) return;
    if (e->broken) {
        pawl__group_refuse(e, group, PAWL_ERR_INTERNAL, false);
        return;
    }
    pawl__lease *lease = pawl__lease_new(e, group, first);
    if (!lease) {
        pawl__engine_set_message(e, pawl_err_text(PAWL_ERR_NO_MEMORY));
        pawl__group_refuse(e, group, PAWL_ERR_NO_MEMORY, false);
        return;
    }
    pawl__lease_move(e, lease, PAWL__LEASE_REQUESTING);
    pawl__lease_ask(e, lease);
}

void pawl__lease_drop(pawl__engine *e, pawl__lease *lease)
{
    pawl__group *group = lease->group;
    group->refs++; /* the group outlives the lease */
    pawl__lease_free(e, lease);
    pawl__group_start(e, group);
    group->refs--;
    pawl__group_put(e, group);
}

void pawl__lease_leave(pawl__engine *e, pawl__lease *lease)
{
    bool heard = lease->asked;
    if (PAWL_MUTANT(cancel_leaves_place) && lease->state == PAWL__LEASE_QUEUED) heard = false;
    if (PAWL_MUTANT(late_grant_kept) && lease->state == PAWL__LEASE_REQUESTING) heard = false;
    if (PAWL_MUTANT(unknown_not_released) && lease->state == PAWL__LEASE_UNKNOWN) heard = false;
    if (!heard) { /* the store has not heard of it */
        pawl__lease_drop(e, lease);
        return;
    }
    lease->group->lease = NULL;
    pawl__lease_move(e, lease, PAWL__LEASE_RELEASING);
    /* Whatever was sent until now, confirmed or not, will have run out one ttl from now. */
    int64_t life = pawl__ms_to_ns(lease->ttl_ms);
    if (PAWL_MUTANT(release_gives_up_early)) life /= 2;
    lease->until = pawl__instant_add(e->now, life);
    pawl__lease_send_release(e, lease);
    pawl__group_start(e, lease->group);
}

void pawl__group_clear_way(pawl__engine *e, const pawl__group *group, pawl_mode wanted)
{
    pawl__group *next;
    if (PAWL_MUTANT(idle_in_the_way)) return;
    for (pawl__group *other = &pawl__group_name(group)->first; other; other = next) {
        next = other->next; /* a group may go with its lease */
        pawl__lease *lease = other->in_use && other != group ? other->lease : NULL;
        if (lease && lease->state == PAWL__LEASE_IDLE && pawl__lease_bars(lease, wanted))
            pawl__lease_leave(e, lease);
    }
}

void pawl__lease_leave_if_unneeded(pawl__engine *e, pawl__lease *lease)
{
    if (pawl__lease_waits(lease) && pawl__list_empty(&lease->group->wants))
        pawl__lease_leave(e, lease);
}
