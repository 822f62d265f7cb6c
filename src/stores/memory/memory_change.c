/* SPDX-License-Identifier: MIT */
/* CHANGE: a holder gets another mode (rule 10 of pawl/store.h). And how requests are answered. */
#include "memory_state.h"

/* ---- Replies ----------------------------------------------------------------------- */

void pawl__say_failed(pawl_err err, pawl_reply *reply)
{
    reply->outcome = PAWL_FAILED;
    reply->err = err;
}

void pawl__say_held(const pawl__record *r, const pawl__owner *holder, pawl_outcome outcome,
                    pawl_reply *reply)
{
    reply->outcome = outcome;
    reply->fence = holder->fence;
    reply->waiting = pawl__record_is_awaited(r, holder);
    reply->slots = holder->units ? holder->slots : NULL;
    reply->slot_count = holder->units;
}

void pawl__say_not_owner(const pawl__call *call, const pawl__record *r, const pawl_request *request,
                         pawl_reply *reply)
{
    const pawl__broken *note = pawl__broken_of(call->memory, r, request->token);
    reply->outcome = PAWL_NOT_OWNER;
    reply->message = note && note->by[0] ? note->by : NULL;
}

/* Until the first of them ends; rounded up: who sleeps for so long finds the lease expired. */
static int64_t holder_ms(const pawl__call *call, const pawl__record *r)
{
    if (!r->holder_count) return 0;
    int64_t first = PAWL__NEVER;
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next)
        first = pawl__instant_min(first, pawl__owner_of(l)->until);
    return pawl__ms_until(call->now, pawl__instant_add(first, PAWL__NS_PER_MS - 1));
}

void pawl__say_queued(const pawl__call *call, const pawl__record *r, int64_t position,
                      pawl_reply *reply)
{
    reply->outcome = PAWL_QUEUED;
    reply->position = position;
    reply->holder_ms = holder_ms(call, r);
    reply->fence = r->fence;
}

void pawl__say_busy(const pawl__call *call, const pawl__record *r, pawl_reply *reply)
{
    reply->outcome = PAWL_BUSY;
    reply->holder_ms = holder_ms(call, r);
    reply->message = r->holder_count ? pawl__owner_of(r->holders.prev)->label : NULL;
}

/* ---- CHANGE -------------------------------------------------------------------------- */

static void set_mode(const pawl__call *call, pawl__record *r, pawl__owner *holder, pawl_mode mode,
                     pawl_reply *reply)
{
    holder->mode = (uint8_t)mode;
    if (r->upgrader == holder) r->upgrader = NULL;
    pawl__record_grant_leading(call, r);
    pawl__say_held(r, holder, PAWL_GRANTED, reply);
}

static void upgrade(const pawl__call *call, pawl__record *r, pawl__owner *holder, bool queues,
                    pawl_reply *reply)
{
    if (r->holder_count == 1 && !pawl__record_has_fence(call, r)) {
        pawl__say_failed(PAWL_ERR_CORRUPT, reply);
        return;
    }
    if (r->holder_count == 1) {
        pawl__record_upgrade(call, r, holder);
        pawl__say_held(r, holder, PAWL_GRANTED, reply);
        return;
    }
    if (!queues) {
        r->upgrader = NULL;
        pawl__record_grant_leading(call, r);
        pawl__say_busy(call, r, reply);
        return;
    }
    bool is_first = !pawl__record_is_awaited(r, NULL);
    r->upgrader = holder;
    holder->upgrade_until =
        pawl__instant_add(call->now, pawl_place_span(pawl__ms_to_ns(holder->ttl_ms)));
    pawl__say_queued(call, r, 0, reply);
    if (is_first) pawl__record_ask_to_yield(call, r, holder);
}

void pawl__memory_change(const pawl__call *call, pawl__record *r, const pawl_request *request,
                         pawl_reply *reply)
{
    pawl__owner *holder = pawl__holder_find(r, request->token);
    if (!holder || request->change < holder->change) { /* law 5; and what came late */
        pawl__say_not_owner(call, r, request, reply);
        return;
    }
    holder->ttl_ms = request->ttl_ms;
    pawl__lease_extend(call, holder);
    pawl_mode from = (pawl_mode)holder->mode;
    if (request->mode == from || pawl_mode_is_downgrade(from, request->mode)) {
        holder->change = request->change;
        set_mode(call, r, holder, request->mode, reply);
    } else if (from == PAWL_MODE_UPDATE && request->mode == PAWL_MODE_EXCLUSIVE) {
        holder->change = request->change;
        upgrade(call, r, holder, request->flags & PAWL_ASK_QUEUE, reply);
    } else {
        pawl__say_failed(PAWL_ERR_MODE, reply);
    }
}
