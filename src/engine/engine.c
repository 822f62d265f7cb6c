/* SPDX-License-Identifier: MIT */
/* The engine's interface: makes it, steps it, fetches its actions and its next deadline. */
#include "lease.h"

#include <stdlib.h>
#include <string.h>

void pawl__engine_opts_init(pawl__engine_opts *opts)
{
    *opts = (pawl__engine_opts){
        .owner = "", .unreachable_ms = 5000, .share_count_max = 64, .share_ms_max = 20};
}

pawl__engine *pawl__engine_new(const pawl__engine_opts *opts)
{
    pawl__engine *e = calloc(1, sizeof *e);
    if (!e) return NULL;
    e->opts = *opts;
    e->random = opts->seed;
    e->names.seed = pawl__random_next(&e->random);
    e->now = INT64_MIN;
    e->out_wants_end = &e->out_wants;
    return e;
}

pawl__engine *pawl__engine_free(pawl__engine *e)
{
    if (!e) return NULL;
    e->opts.moved = NULL; /* nobody is told */
    for (size_t i = 0; i < e->lease_room; i++) {
        pawl__lease *lease = e->leases[i];
        if (!lease) continue;
        pawl__list_init(&lease->group->wants);
        lease->timer.position = 0; /* the whole heap is freed: it contains timers of wants */
        pawl__lease_free(e, lease);
    }
    pawl__heap_done(&e->timers);
    pawl__table_done(&e->names);
    free(e->leases);
    free(e);
    return NULL;
}

static void take(pawl__engine *e, const pawl__event *event)
{
    switch (event->kind) {
    case PAWL__EV_TIME:
        return;
    case PAWL__EV_WANT:
        pawl__on_want(e, event->want);
        return;
    case PAWL__EV_CANCEL:
        pawl__on_cancel(e, event->want);
        return;
    case PAWL__EV_RELEASE:
        pawl__on_release(e, event->want, event->await_store, event->ends_lease);
        return;
    case PAWL__EV_DETACH:
        pawl__on_detach(e, event->want);
        return;
    case PAWL__EV_CHANGE:
        pawl__on_change(e, event);
        return;
    case PAWL__EV_REPLY:
        pawl__on_reply(e, event->reply);
        return;
    case PAWL__EV_PUSH:
        pawl__on_push(e, event->push);
        return;
    case PAWL__EV_LINK:
        pawl__on_link(e, event);
        return;
    case PAWL__EV_KEEP_NOTHING:
        pawl__on_keep_nothing(e);
        return;
    case PAWL__EV_CLOSE:
        pawl__on_close(e);
        return;
    }
    pawl__engine_break(e, "an event is of no kind");
}

void pawl__engine_step(pawl__engine *e, int64_t now, const pawl__event *event)
{
    if (now > e->now) e->now = now;
    if (PAWL_MUTANT(news_before_time)) take(e, event);
    pawl__on_time(e);
    if (!PAWL_MUTANT(news_before_time)) take(e, event);
    pawl__leases_check_touched(e);
    if (e->broken) pawl__engine_fail_closed(e);
}

bool pawl__engine_next(pawl__engine *e, pawl__action *ret_action)
{
    return pawl__send_next(e, ret_action) || pawl__tell_next(e, ret_action);
}

int64_t pawl__engine_deadline(const pawl__engine *e)
{
    const pawl__timer *first = pawl__heap_first(&e->timers);
    return first ? first->at : PAWL__NEVER;
}

pawl__want *pawl__engine_holder(const pawl__engine *e, const char *name, size_t name_len,
                                pawl_mode mode)
{
    const pawl__name_state *state = pawl__name_find(e, name, name_len);
    const pawl__group *group = state ? pawl__group_of(state, mode) : NULL;
    return group && group->lease ? pawl__lease_holder(group->lease) : NULL;
}

bool pawl__want_is_wanted(const pawl__want *want)
{
    const pawl__lease *lease = want->lease;
    return !lease || lease->yield || !pawl__list_empty(&lease->group->wants);
}

pawl__want *pawl__want_holder_at(const pawl__want *want, uint32_t i)
{
    return want->lease ? pawl__lease_holder_at(want->lease, i) : NULL;
}

bool pawl__want_had_queued(const pawl__want *want)
{
    return want->lease && want->lease->queued;
}

bool pawl__engine_busy(const pawl__engine *e)
{
    return e->lease_count != 0 || e->out_wants;
}

bool pawl__engine_awaits_store(const pawl__engine *e)
{
    return e->lease_count != e->confirmed_count;
}

bool pawl__engine_tends(const pawl__engine *e)
{
    return e->tended_count != 0;
}

bool pawl__engine_releases(const pawl__engine *e)
{
    for (size_t i = 0; i < e->lease_room; i++)
        if (e->leases[i] && e->leases[i]->state == PAWL__LEASE_RELEASING) return true;
    return false;
}

size_t pawl__engine_lease_count(const pawl__engine *e)
{
    return e->lease_count;
}

static size_t waiting_for(const pawl__lease *lease)
{
    const pawl__group *group = lease->group;
    size_t count = 0;
    if (pawl__lease_is_held(lease) && lease->want->waiting) count++; /* upgrade */
    if (group->lease != lease) return count;
    for (const pawl__link *l = group->wants.next; l != &group->wants; l = l->next) count++;
    return count;
}

const char *pawl__engine_check(const pawl__engine *e)
{
    size_t leases = 0, confirmed = 0, tended = 0, wants = 0;
    for (size_t i = 0; i < e->lease_room; i++) {
        const pawl__lease *lease = e->leases[i];
        if (!lease) continue;
        const char *broken = pawl__lease_check(e, lease);
        if (broken) return broken;
        leases++;
        confirmed += pawl__lease_is_confirmed(lease);
        tended += pawl__lease_is_tended(lease);
        wants += waiting_for(lease);
    }
    if (leases != e->lease_count || confirmed != e->confirmed_count || tended != e->tended_count)
        return "the number of leases is wrong";
    return wants == e->want_count ? NULL : "L6: somebody waits for no lease";
}
