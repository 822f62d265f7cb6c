/* SPDX-License-Identifier: MIT */
/*
 * The requests to the store, and the one timer of each lease.
 *
 * A request is marked in a step and fetched after it. The step happens before the request is sent,
 * so counting from the step's instant is safe (law 2).
 */
#include "lease.h"

/* ---- Those with something to send: a list by index, half as large as one by pointer ---- */

static uint32_t *next_of(pawl__engine *e, uint32_t at)
{
    return at ? &e->leases[at - 1]->out_next : &e->out_first;
}

static uint32_t *prev_of(pawl__engine *e, uint32_t at)
{
    return at ? &e->leases[at - 1]->out_prev : &e->out_last;
}

static void list_last(pawl__engine *e, pawl__lease *lease)
{
    lease->out_prev = e->out_last;
    lease->out_next = 0;
    *next_of(e, e->out_last) = lease->index + 1;
    e->out_last = lease->index + 1;
}

void pawl__lease_unmark(pawl__engine *e, pawl__lease *lease)
{
    if (!lease->send) return;
    lease->send = 0;
    *next_of(e, lease->out_prev) = lease->out_next;
    *prev_of(e, lease->out_next) = lease->out_prev;
}

static void mark(pawl__engine *e, pawl__lease *lease, uint8_t what)
{
    lease->next_at = PAWL__NEVER;
    pawl__lease_arm(e, lease);
    if (!e->link_up) return; /* on_link.c sends what is due when the link is back */
    if (!lease->send) list_last(e, lease);
    lease->send = what;
    lease->sent_at = e->now;
}

/* ---- Asking ---- */

void pawl__lease_ask(pawl__engine *e, pawl__lease *lease)
{
    if (lease->request) { /* only one at a time: after the answer we ask again */
        lease->recheck = true;
        pawl__lease_plan(e, lease, PAWL__NEVER);
        return;
    }
    lease->recheck = false;
    pawl__lease_silent(e, lease);
    mark(e, lease, PAWL__SEND_ASK);
}

/* A change without a final answer is sent instead, because it renews as well. */
void pawl__lease_renew(pawl__engine *e, pawl__lease *lease)
{
    pawl__lease_silent(e, lease);
    mark(e, lease, lease->changing ? PAWL__SEND_CHANGE : PAWL__SEND_RENEW);
}

void pawl__lease_send_release(pawl__engine *e, pawl__lease *lease)
{
    lease->request = 0; /* an older answer no longer matters */
    mark(e, lease, PAWL__SEND_RELEASE);
}

void pawl__lease_retry(pawl__engine *e, pawl__lease *lease)
{
    if (PAWL_MUTANT(retry_without_pause)) {
        pawl__lease_plan(e, lease, e->now);
        return;
    }
    if (PAWL_MUTANT(retry_after_5ms)) {
        pawl__lease_plan(e, lease, pawl__instant_add(e->now, 5 * PAWL__NS_PER_MS));
        return;
    }
    int64_t pause = pawl__random_jitter(&e->random, pawl__plan_retry_ns(lease->ttl_ms));
    pawl__lease_plan(e, lease, pawl__instant_add(e->now, pause));
}

void pawl__lease_plan(pawl__engine *e, pawl__lease *lease, int64_t at)
{
    lease->next_at = at;
    pawl__lease_arm(e, lease);
}

/* Whether any waiting want has time to wait in the store's queue. */
static bool somebody_has_patience(const pawl__group *group)
{
    for (pawl__link *l = group->wants.next; l != &group->wants; l = l->next)
        if (!pawl__waiting_is_hasty(pawl__container(l, pawl__waiting, in_queue))) return true;
    return false;
}

static uint32_t next_sequence(pawl__engine *e)
{
    if (++e->next_request == 0) e->next_request = 1;
    return e->next_request;
}

static pawl_verb verb_of(uint8_t send)
{
    if (send & PAWL__SEND_RELEASE) return PAWL_VERB_RELEASE;
    if (send & PAWL__SEND_CHANGE) return PAWL_VERB_CHANGE;
    return send & PAWL__SEND_RENEW ? PAWL_VERB_RENEW : PAWL_VERB_ACQUIRE;
}

static unsigned ask_flags(const pawl__lease *lease)
{
    unsigned flags = somebody_has_patience(lease->group) ? PAWL_ASK_QUEUE : 0;
    return flags | (lease->flags & PAWL_ASK_DETACHED);
}

/* An upgrade waits in the store only if its caller has time. */
static unsigned change_flags(const pawl__lease *lease)
{
    const pawl__waiting *waiting = lease->want->waiting;
    return waiting && waiting->wait_until != 0 ? PAWL_ASK_QUEUE : 0;
}

/* Fills in the fields that only this verb has. */
static void fill_request(const pawl__lease *lease, pawl_request *request)
{
    request->mode = (pawl_mode)lease->mode;
    if (request->verb == PAWL_VERB_ACQUIRE) {
        request->flags = ask_flags(lease);
        request->mode = (pawl_mode)lease->group->mode;
    }
    if (request->mode == PAWL_MODE_PERMIT) {
        request->units = lease->permits->units;
        request->capacity = lease->permits->capacity;
    }
    if (request->verb == PAWL_VERB_CHANGE) {
        request->flags = change_flags(lease);
        request->mode = (pawl_mode)lease->change_to;
        request->change = lease->change;
    }
}

bool pawl__send_next(pawl__engine *e, pawl__action *ret_action)
{
    if (!e->out_first) return false;
    pawl__lease *lease = e->leases[e->out_first - 1];
    lease->verb = (uint8_t)verb_of(lease->send);
    pawl__lease_unmark(e, lease);
    lease->request = next_sequence(e);
    if (lease->verb == PAWL_VERB_ACQUIRE) {
        if (!lease->asked) lease->base_at = lease->sent_at;
        lease->asked = true;
    }
    *ret_action =
        (pawl__action){.kind = PAWL__ACT_SEND,
                       .message = "",
                       .request = {.id = (uint64_t)lease->request << 32 | (lease->index + 1u),
                                   .verb = (pawl_verb)lease->verb,
                                   .name = pawl__group_name(lease->group)->name,
                                   .name_len = pawl__group_name(lease->group)->entry.key_len,
                                   .token = pawl__lease_token(e, lease),
                                   .owner = lease->owner,
                                   .ttl_ms = lease->ttl_ms,
                                   .answer_by = pawl__instant_add(
                                       lease->sent_at, pawl__plan_answer_ns(lease->ttl_ms))}};
    fill_request(lease, &ret_action->request);
    lease->change_sent = true;
    lease->sent_to = lease->change_to;
    return true;
}

static int64_t wake_at(const pawl__lease *lease)
{
    bool idle = lease->state == PAWL__LEASE_IDLE, leaves = lease->state == PAWL__LEASE_RELEASING;
    int64_t at = lease->next_at;
    if (idle || pawl__lease_is_held(lease)) at = pawl__instant_min(at, pawl__lease_deadline(lease));
    if (idle || leaves) at = pawl__instant_min(at, lease->until);
    return at;
}

void pawl__lease_arm(pawl__engine *e, pawl__lease *lease)
{
    int64_t at = wake_at(lease);
    pawl__lease_touch(e, lease);
    if (at == PAWL__NEVER) {
        pawl__heap_clear(&e->timers, &lease->timer);
        return;
    }
    if (!pawl__timer_is_set(&lease->timer) || lease->timer.at != at)
        pawl__heap_set(&e->timers, &lease->timer, at);
}
