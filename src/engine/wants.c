/* SPDX-License-Identifier: MIT */
/* What callers are told: each notice once; the last notice of a want ends it (law 6). */
#include "lease.h"

#include <string.h>

void pawl__engine_set_message(pawl__engine *e, const char *message)
{
    size_t len = message ? strlen(message) : 0;
    if (len >= sizeof e->message) len = sizeof e->message - 1;
    if (len) memcpy(e->message, message, len);
    e->message[len] = '\0';
}

_Static_assert(PAWL__ACT_CHANGED == 8, "a bit for each kind but SEND fits into want->out");

static uint8_t bit_of(pawl__action_kind kind)
{
    return (uint8_t)(1u << (kind - 1));
}

void pawl__want_tell(pawl__engine *e, pawl__want *want, pawl__action_kind kind, pawl_err err)
{
    want->out |= bit_of(kind);
    if (kind == PAWL__ACT_CHANGED)
        want->change_err = (int8_t)err;
    else if (err)
        want->err = (int8_t)err;
    if (want->listed) return;
    want->listed = true;
    want->next_out = NULL;
    *e->out_wants_end = want;
    e->out_wants_end = &want->next_out;
}

void pawl__want_decided(pawl__engine *e, pawl__want *want)
{
    pawl__list_remove(&want->waiting->in_queue);
    pawl__heap_clear(&e->timers, &want->waiting->timer);
    want->waiting = NULL;
    e->want_count--;
}

void pawl__upgrade_ends(pawl__engine *e, pawl__want *want, pawl_err err)
{
    if (!want->waiting) return;
    pawl__heap_clear(&e->timers, &want->waiting->timer);
    want->waiting = NULL;
    e->want_count--;
    pawl__want_tell(e, want, PAWL__ACT_CHANGED, err);
}

void pawl__want_refuse(pawl__engine *e, pawl__want *want, pawl_err err)
{
    pawl__want_decided(e, want);
    pawl__want_tell(e, want, PAWL__ACT_REFUSED, err);
}

void pawl__group_refuse(pawl__engine *e, pawl__group *group, pawl_err err, bool only_impatient)
{
    for (pawl__link *l = group->wants.next, *next; l != &group->wants; l = next) {
        next = l->next;
        const pawl__waiting *waiting = pawl__container(l, pawl__waiting, in_queue);
        if (only_impatient && !pawl__waiting_is_hasty(waiting)) continue;
        pawl__want_refuse(e, waiting->want, err);
    }
}

int64_t pawl__silence_end(const pawl__engine *e)
{
    if (e->opts.unreachable_ms < 0) return PAWL__NEVER;
    return pawl__instant_add(e->now, pawl__ms_to_ns(e->opts.unreachable_ms));
}

void pawl__waiting_arm(pawl__engine *e, pawl__waiting *waiting)
{
    int64_t at = waiting->wait_until == 0 ? PAWL__NEVER : waiting->wait_until;
    at = pawl__instant_min(at, waiting->unreachable_at);
    if (at != PAWL__NEVER)
        pawl__heap_set(&e->timers, &waiting->timer, at);
    else
        pawl__heap_clear(&e->timers, &waiting->timer);
}

void pawl__lease_silent(pawl__engine *e, pawl__lease *lease)
{
    pawl__group *group = lease->group;
    if (lease->silent || group->lease != lease) return;
    lease->silent = true;
    for (pawl__link *l = group->wants.next; l != &group->wants; l = l->next) {
        pawl__waiting *waiting = pawl__container(l, pawl__waiting, in_queue);
        if (waiting->unreachable_at == PAWL__NEVER) waiting->unreachable_at = pawl__silence_end(e);
        pawl__waiting_arm(e, waiting);
    }
}

void pawl__lease_heard(pawl__engine *e, pawl__lease *lease)
{
    lease->err = 0;
    if (!lease->silent) return;
    lease->silent = false;
    pawl__group *group = lease->group;
    for (pawl__link *l = group->wants.next; l != &group->wants; l = l->next) {
        pawl__waiting *waiting = pawl__container(l, pawl__waiting, in_queue);
        if (pawl__waiting_is_hasty(waiting)) continue; /* it needs an answer of its own */
        waiting->unreachable_at = PAWL__NEVER;
        pawl__waiting_arm(e, waiting);
    }
}

/* The order: grants, then changes and extensions, then notices, then losses, then endings. */
static pawl__action_kind first_to_tell(const pawl__want *want)
{
    static const pawl__action_kind before_released[] = {
        PAWL__ACT_GRANTED, PAWL__ACT_CHANGED, PAWL__ACT_EXTENDED, PAWL__ACT_DOUBT,
        PAWL__ACT_YIELD,   PAWL__ACT_LOST,    PAWL__ACT_REFUSED};
    for (size_t i = 0; i < sizeof before_released / sizeof before_released[0]; i++)
        if (want->out & bit_of(before_released[i])) return before_released[i];
    return PAWL__ACT_RELEASED;
}

/* The first want in the list has nothing more to be told: removes it. */
static void unlist_first(pawl__engine *e)
{
    pawl__want *want = e->out_wants;
    e->out_wants = want->next_out;
    if (!e->out_wants) e->out_wants_end = &e->out_wants;
    want->listed = false;
    want->err = 0;
}

bool pawl__tell_next(pawl__engine *e, pawl__action *ret_action)
{
    pawl__want *want = e->out_wants;
    if (!want) return false;
    const pawl__lease *lease = want->lease;
    pawl__action_kind kind = first_to_tell(want);
    want->out &= (uint8_t)~bit_of(kind);
    int8_t err = kind == PAWL__ACT_CHANGED ? want->change_err : want->err;
    *ret_action = (pawl__action){.kind = kind,
                                 .want = want,
                                 .err = (pawl_err)err,
                                 .message = err ? e->message : "",
                                 .deadline = lease ? pawl__lease_deadline(lease) : 0,
                                 .fence = lease ? lease->fence : 0,
                                 .token = lease ? pawl__lease_token(e, lease) : "",
                                 .after_doubt = want->after_doubt};
    if (lease && lease->mode == PAWL_MODE_PERMIT) {
        ret_action->slots = lease->permits->slots;
        ret_action->slot_count = lease->permits->units;
    }
    if (kind == PAWL__ACT_EXTENDED) want->after_doubt = false;
    if (!want->out) unlist_first(e);
    if (kind == PAWL__ACT_REFUSED || kind == PAWL__ACT_RELEASED) {
        want->state = PAWL__WANT_NONE;
        want->lease = NULL;
    }
    return true;
}
