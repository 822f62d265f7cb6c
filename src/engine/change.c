/* SPDX-License-Identifier: MIT */
/*
 * Another mode for a holder (rule 10 of pawl/store.h).
 *
 * A downgrade counts at once: a holder that believes in a weaker mode harms nobody. An upgrade
 * counts when the store has granted it in the answer to its own request. Until a change has a final
 * answer, it is sent instead of the renewal. Each change has a larger number than the one before,
 * so that a late one does nothing.
 */
#include "lease.h"

/* A dead reader is noticed when its lease is over; it must not make us ask without pause. */
#define RECHECK_PAUSE_MS 5

/*
 * Only a caller that waits is told of the end. The caller of a downgrade has gone on long ago, and
 * might mistake the notice for the end of a later upgrade (law 1).
 */
static void tell_change(pawl__engine *e, const pawl__event *event, pawl_err err,
                        const char *message)
{
    if (!event->waiting) return;
    pawl__engine_set_message(e, message);
    pawl__want_tell(e, event->want, PAWL__ACT_CHANGED, err);
}

/* From now on the store must be told of the change. */
static void begin(pawl__engine *e, pawl__lease *lease, pawl_mode to)
{
    if (!PAWL_MUTANT(change_numbers_repeat) || !lease->change) lease->change++;
    lease->change_to = (uint8_t)to & 3u;
    lease->changing = true;
    lease->change_sent = false;
    pawl__lease_touch(e, lease);
    if (lease->request)
        lease->recheck = true; /* L5: one at a time */
    else
        pawl__lease_renew(e, lease);
}

/*
 * A store that was killed may have lost its last writes. If a downgrade was among them, it would
 * keep others out of what nobody holds, for as long as it is renewed. (Of a lost upgrade the
 * renewal's answer tells, by its fence.)
 */
void pawl__change_again(pawl__engine *e, pawl__lease *lease)
{
    bool is_downgraded = lease->change && lease->mode != PAWL_MODE_EXCLUSIVE;
    if (is_downgraded && !lease->changing)
        begin(e, lease, (pawl_mode)lease->mode);
    else
        pawl__lease_renew(e, lease);
}

/* ---- What the caller wants --------------------------------------------------------- */

static void upgrade(pawl__engine *e, const pawl__event *event)
{
    pawl__want *want = event->want;
    pawl__waiting *waiting = event->waiting;
    if (!e->link_up && waiting->wait_until == 0) {
        tell_change(e, event, (pawl_err)e->link_err, e->link_message);
        return;
    }
    if (!pawl__heap_reserve(&e->timers, e->want_count + e->lease_count + 1)) {
        tell_change(e, event, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return;
    }
    want->waiting = waiting;
    waiting->want = want;
    waiting->group = NULL;
    waiting->timer = (pawl__timer){.kind = PAWL__TIMER_WANT};
    waiting->unreachable_at = pawl__silence_end(e);
    e->want_count++;
    pawl__waiting_arm(e, waiting);
    pawl__group_clear_way(e, want->lease->group, PAWL_MODE_EXCLUSIVE);
    begin(e, want->lease, PAWL_MODE_EXCLUSIVE);
}

void pawl__on_change(pawl__engine *e, const pawl__event *event)
{
    pawl__want *want = event->want;
    if (want->waiting && event->mode == PAWL_MODE_EXCLUSIVE) return; /* it will be told */
    pawl__upgrade_ends(e, want, PAWL_ERR_CANCELED);
    if (want->state != PAWL__WANT_HOLDING) {
        tell_change(e, event, PAWL_ERR_LOST, "");
        return;
    }
    pawl__lease *lease = want->lease;
    pawl_mode from = (pawl_mode)lease->mode;
    if (from == event->mode) {
        tell_change(e, event, PAWL_OK, "");
    } else if (pawl_mode_is_downgrade(from, event->mode)) {
        lease->mode = (uint8_t)event->mode & 3u;
        if (!PAWL_MUTANT(downgrade_not_told)) begin(e, lease, event->mode);
        tell_change(e, event, PAWL_OK, "");
    } else if (from == PAWL_MODE_UPDATE && event->mode == PAWL_MODE_EXCLUSIVE) {
        upgrade(e, event);
    } else {
        tell_change(e, event, PAWL_ERR_MODE, pawl_err_text(PAWL_ERR_MODE));
    }
}

void pawl__upgrade_given_up(pawl__engine *e, pawl__want *want, pawl_err err)
{
    pawl__lease *lease = want->lease;
    pawl__upgrade_ends(e, want, err);
    if (PAWL_MUTANT(upgrade_not_taken_back)) return;
    begin(e, lease, PAWL_MODE_UPDATE); /* it may have been granted meanwhile: take it back */
}

void pawl__upgrade_is_due(pawl__engine *e, pawl__want *want)
{
    const pawl__waiting *waiting = want->waiting;
    bool out_of_reach = waiting->unreachable_at <= e->now;
    pawl__engine_set_message(e, out_of_reach && !e->link_up ? e->link_message : "");
    pawl__upgrade_given_up(e, want, out_of_reach ? PAWL_ERR_UNAVAILABLE : PAWL_ERR_TIMEOUT);
}

/* ---- What the store answers ---------------------------------------------------------- */

/*
 * Notes whether the store answers the waiting caller, or not (`silent`). Who does not wait has one
 * store timeout in all, also if its request has to wait for the answer to an earlier one (L5).
 */
static void heard(pawl__engine *e, const pawl__lease *lease, bool silent)
{
    pawl__waiting *waiting = lease->want->waiting;
    if (!waiting || waiting->wait_until == 0) return;
    if (!silent)
        waiting->unreachable_at = PAWL__NEVER;
    else if (waiting->unreachable_at == PAWL__NEVER)
        waiting->unreachable_at = pawl__silence_end(e);
    pawl__waiting_arm(e, waiting);
}

static void upgraded(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    lease->mode = PAWL_MODE_EXCLUSIVE;
    lease->fence = lease->group->last_fence = reply->fence;
    pawl__engine_set_message(e, "");
    pawl__upgrade_ends(e, lease->want, PAWL_OK);
}

static void on_granted(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    bool present = lease->change_sent; /* else a newer change follows it */
    bool upgrades = present && pawl__lease_upgrades(lease);
    /* The fence stays if the store has not yet received the downgrade before this upgrade. */
    bool grows = upgrades && !lease->alone;
    if (reply->fence < lease->fence || (grows && reply->fence == lease->fence)) {
        pawl__engine_set_message(
            e, "the store's fence did not grow: its memory and its clock went back");
        pawl__lease_lost(e, lease, PAWL_ERR_FENCE); /* law 3: fail closed */
        return;
    }
    if (upgrades) upgraded(e, lease, reply);
    lease->fence = reply->fence; /* an upgrade that was taken back has drawn a fence, too */
    lease->alone = lease->sent_to == PAWL_MODE_EXCLUSIVE;
    if (present)
        lease->changing = false;
    else
        lease->recheck = true;
    pawl__lease_extended(e, lease, lease->sent_at);
    if (reply->waiting) pawl__lease_wanted(e, lease);
}

/* The upgrade waits ahead of the queue; the lease was renewed. */
static void on_queued(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    pawl__lease_extended(e, lease, lease->sent_at);
    if (PAWL_MUTANT(upgrade_believed_early) && lease->want->waiting) upgraded(e, lease, reply);
    if (lease->send || reply->holder_ms < 0) return;
    int64_t pause_ms = reply->holder_ms + 1;
    if (pause_ms < RECHECK_PAUSE_MS) pause_ms = RECHECK_PAUSE_MS;
    int64_t at = pawl__instant_add(e->now, pawl__ms_to_ns(pause_ms));
    pawl__lease_plan(e, lease, pawl__instant_min(at, lease->next_at));
}

/* The store refuses the change: the holder keeps its mode, and goes on renewing. */
static void on_refused(pawl__engine *e, pawl__lease *lease, pawl_err err)
{
    if (lease->change_sent) {
        lease->changing = false;
        pawl__upgrade_ends(e, lease->want, err);
    }
    pawl__lease_renew(e, lease);
}

static void on_not_done(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    pawl__engine_set_message(e, reply->message ? reply->message : pawl_err_text(reply->err));
    if (reply->outcome == PAWL_FAILED && pawl_err_class_of(reply->err) != PAWL_CLASS_RETRY) {
        on_refused(e, lease, reply->err);
        return;
    }
    bool hasty = lease->want->waiting && lease->want->waiting->wait_until == 0;
    if (PAWL_MUTANT(change_not_repeated)) lease->changing = false;
    heard(e, lease, true);
    pawl__lease_doubted(e, lease, reply->err);
    if (hasty)
        pawl__upgrade_given_up(e, lease->want, reply->err);
    else
        pawl__lease_retry(e, lease);
}

/* L1: somebody holds the lease. One that was given up waits only for its release. */
void pawl__on_change_answer(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    switch (reply->outcome) {
    case PAWL_GRANTED:
        heard(e, lease, false);
        on_granted(e, lease, reply);
        return;
    case PAWL_QUEUED:
        lease->alone = false;
        heard(e, lease, false);
        if (!lease->change_sent) lease->recheck = true;
        on_queued(e, lease, reply);
        return;
    case PAWL_BUSY:
        lease->alone = false;
        if (lease->change_sent) {
            pawl__engine_set_message(e, reply->message);
            lease->changing = false;
            pawl__upgrade_ends(e, lease->want, PAWL_ERR_BUSY);
        } else {
            lease->recheck = true;
        }
        pawl__lease_extended(e, lease, lease->sent_at);
        return;
    case PAWL_NOT_OWNER:
        pawl__lease_not_ours(e, lease, reply->message);
        return;
    case PAWL_FAILED:
    case PAWL_UNKNOWN:
        on_not_done(e, lease, reply);
        return;
    case PAWL_CONFIRMED:
    case PAWL_RELEASED:
    case PAWL_LEFT:
    case PAWL_REPORTED:
        break;
    }
    pawl__engine_break(e, "a store answered CHANGE with another verb's outcome");
}
