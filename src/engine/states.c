/* SPDX-License-Identifier: MIT */
/* The table of moves, the invariants, and what happens when one breaks. */
#include "lease.h"

#include <stdlib.h>

void (*pawl__engine_on_broken)(const char *what);

#define TO(state) (1u << PAWL__LEASE_##state)

/* From each state, the states that may follow. Leases in RELEASING, and those never asked for, end
 * when they are freed. */
static const unsigned moves[PAWL__LEASE_STATES] = {
    [PAWL__LEASE_ABSENT] = TO(REQUESTING),
    [PAWL__LEASE_REQUESTING] = TO(QUEUED) | TO(UNKNOWN) | TO(HELD) | TO(RELEASING),
    [PAWL__LEASE_QUEUED] = TO(UNKNOWN) | TO(HELD) | TO(RELEASING),
    [PAWL__LEASE_UNKNOWN] = TO(QUEUED) | TO(HELD) | TO(RELEASING),
    [PAWL__LEASE_HELD] = TO(IDLE) | TO(DOUBT) | TO(LOST) | TO(RELEASING),
    [PAWL__LEASE_IDLE] = TO(HELD) | TO(LOST) | TO(RELEASING),
    [PAWL__LEASE_DOUBT] = TO(HELD) | TO(LOST) | TO(RELEASING),
    [PAWL__LEASE_LOST] = TO(RELEASING),
    [PAWL__LEASE_RELEASING] = 0,
};

#define SAME(state) _Static_assert((int)PAWL__LEASE_##state == (int)PAWL_LEASE_##state, #state);
SAME(ABSENT)
SAME(REQUESTING)
SAME(QUEUED)
SAME(UNKNOWN)
SAME(HELD)
SAME(IDLE)
SAME(DOUBT)
SAME(LOST)
SAME(RELEASING)

const char *pawl_lease_state_name(pawl_lease_state state)
{
    static const char *const names[PAWL__LEASE_STATES] = {
        [PAWL__LEASE_ABSENT] = "absent",       [PAWL__LEASE_REQUESTING] = "requesting",
        [PAWL__LEASE_QUEUED] = "queued",       [PAWL__LEASE_UNKNOWN] = "unknown",
        [PAWL__LEASE_HELD] = "held",           [PAWL__LEASE_IDLE] = "idle",
        [PAWL__LEASE_DOUBT] = "doubt",         [PAWL__LEASE_LOST] = "lost",
        [PAWL__LEASE_RELEASING] = "releasing",
    };
    return (unsigned)state < PAWL__LEASE_STATES ? names[state] : "?";
}

void pawl__lease_move(pawl__engine *e, pawl__lease *lease, pawl__lease_state to)
{
    pawl__lease_touch(e, lease);
    if (lease->state == to) return;
    unsigned allowed = lease->state < PAWL__LEASE_STATES ? moves[lease->state] : 0;
    if (!(allowed & (1u << to))) {
        pawl__engine_break(e, "a lease made a move that its table does not allow");
        return;
    }
    e->confirmed_count -= pawl__lease_is_confirmed(lease);
    e->tended_count -= pawl__lease_is_tended(lease);
    pawl__lease_state from = lease->state;
    lease->state = (uint8_t)to;
    e->confirmed_count += pawl__lease_is_confirmed(lease);
    e->tended_count += pawl__lease_is_tended(lease);
    pawl__lease_tell_move(e, lease, from, to);
}

static const char *check_holder(const pawl__lease *lease)
{
    const pawl__want *want = lease->want;
    if (lease->state == PAWL__LEASE_RELEASING) return NULL; /* `want` awaits the release */
    if (!pawl__lease_is_held(lease))
        return want ? "L1: a lease that is not held has a holder" : NULL;
    if (!want) return "L1: a held lease has no holder";
    for (uint32_t i = 0; (want = pawl__lease_holder_at(lease, i)); i++) {
        if (want->lease != lease) return "L1: the holder points at another lease";
        if (want->state != PAWL__WANT_HOLDING) return "L1: the holder does not hold";
    }
    return NULL;
}

const char *pawl__lease_check(const pawl__engine *e, const pawl__lease *lease)
{
    const char *broken = check_holder(lease);
    if (broken) return broken;
    if ((lease->request || lease->send) && lease->next_at != PAWL__NEVER)
        return "L5: a lease plans to ask before it is answered";
    bool in_group = lease->group->lease == lease;
    switch ((pawl__lease_state)lease->state) {
    case PAWL__LEASE_REQUESTING:
    case PAWL__LEASE_QUEUED:
    case PAWL__LEASE_UNKNOWN:
        if (!in_group) return "L3: a waiting lease is not its group's";
        if (pawl__list_empty(&lease->group->wants)) return "L2: a lease waits for nobody";
        if (lease->fence) return "L4: a lease that waits has a fence";
        if (lease->late_request && lease->state == PAWL__LEASE_REQUESTING)
            return "L7: a lease has forgotten that an ask went unanswered";
        return NULL;
    case PAWL__LEASE_HELD:
    case PAWL__LEASE_DOUBT:
    case PAWL__LEASE_IDLE:
        if (!in_group) return "L3: a held lease is not its group's";
        if (!lease->fence) return "L4: a held lease has no fence";
        if (pawl__lease_deadline(lease) <= e->now) return "L4: a lease is held beyond its deadline";
        if (lease->state == PAWL__LEASE_IDLE && pawl__lease_is_in_the_way(lease))
            return "L8: a lease that nobody uses keeps out who waits here";
        return NULL;
    case PAWL__LEASE_LOST:
    case PAWL__LEASE_RELEASING:
        if (in_group) return "L3: a leaving lease is its group's";
        return NULL;
    case PAWL__LEASE_ABSENT:
    case PAWL__LEASE_STATES:
        break;
    }
    return PAWL__ASTRAY;
}

void pawl__leases_check_touched(pawl__engine *e)
{
    for (uint32_t i = 0; i < e->touched_count; i++) {
        const pawl__lease *lease = e->leases[e->touched[i]];
        const char *broken = lease ? pawl__lease_check(e, lease) : NULL; /* NULL: freed */
        if (broken) pawl__engine_break(e, broken);
    }
    e->touched_count = 0;
}

void pawl__engine_break(pawl__engine *e, const char *what)
{
    if (e->broken) return;
    e->broken = what;
    if (pawl__engine_on_broken) pawl__engine_on_broken(what);
}

/* Tells the holder that it has lost the lock; or, if it does not know of its grant yet, that it got
 * none. */
static void take_away(pawl__engine *e, pawl__want *holder)
{
    pawl__upgrade_ends(e, holder, PAWL_ERR_INTERNAL);
    holder->lease = NULL;
    holder->state = PAWL__WANT_LOST;
    if (holder->out & 1u << (PAWL__ACT_GRANTED - 1)) {
        holder->out = 0;
        pawl__want_tell(e, holder, PAWL__ACT_REFUSED, PAWL_ERR_INTERNAL);
        return;
    }
    pawl__want_tell(e, holder, PAWL__ACT_LOST, PAWL_ERR_INTERNAL);
}

void pawl__engine_fail_closed(pawl__engine *e)
{
    pawl__engine_set_message(e, e->broken); /* and no other message of this step */
    for (size_t i = 0; i < e->lease_room; i++) {
        pawl__lease *lease = e->leases[i];
        if (!lease) continue;
        pawl__group_refuse(e, lease->group, PAWL_ERR_INTERNAL, false);
        /* Wants have a valid state, whatever the lease has. */
        pawl__want *want;
        for (uint32_t n = 0; (want = pawl__lease_holder_at(lease, n)); n++) {
            if (want->state == PAWL__WANT_HOLDING)
                take_away(e, want);
            else
                pawl__want_tell(e, want, PAWL__ACT_RELEASED, PAWL_ERR_UNKNOWN);
        }
        pawl__lease_free(e, lease); /* it runs out by itself at the store */
    }
    e->confirmed_count = e->tended_count = 0; /* leases in wrong states were not counted */
}
