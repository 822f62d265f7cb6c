/* SPDX-License-Identifier: MIT */
/* The store has answered a request. What the answer means depends on the verb and the state. */
#include "lease.h"

/* The first waiters set a timer for the end of the holder's lease; the others rely on their
 * refresh. */
#define FIRST_WAITERS         4
#define FIRST_STAGGER_MS      25
/* A holder that renews shortly before its end each time must not make us ask without pause. */
#define RECHECK_PAUSE_MS      5
/* A late ask may arrive after its release; so the release is repeated once after this time. */
#define LATE_REQUEST_PAUSE_MS 1000

static bool is_transient(pawl_err err)
{
    pawl_err_class cls = pawl_err_class_of(err);
    return cls == PAWL_CLASS_RETRY || cls == PAWL_CLASS_UNKNOWN;
}

static void set_reason(pawl__engine *e, const pawl_reply *reply)
{
    pawl__engine_set_message(e, reply->message ? reply->message : pawl_err_text(reply->err));
}

/* ---- ACQUIRE -------------------------------------------------------------- */

static int64_t next_refresh(const pawl__engine *e, const pawl__lease *lease,
                            const pawl_reply *reply)
{
    int64_t at = pawl__instant_add(lease->base_at, pawl__plan_renew_ns(lease->ttl_ms));
    if (reply->position < 0 || reply->position >= FIRST_WAITERS || reply->holder_ms < 0) return at;
    int64_t pause_ms = reply->holder_ms + 1 + reply->position * FIRST_STAGGER_MS;
    if (pause_ms < RECHECK_PAUSE_MS) pause_ms = RECHECK_PAUSE_MS;
    return pawl__instant_min(at, pawl__instant_add(e->now, pawl__ms_to_ns(pause_ms)));
}

/* Whether a lease may have been granted and have run out since the last acknowledged ask. */
static bool was_out_of_touch(const pawl__engine *e, const pawl__lease *lease)
{
    return pawl__lease_place_end(lease) <= e->now;
}

static void on_queued(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    lease->answered = lease->queued = true;
    pawl__lease_heard(e, lease);
    if (was_out_of_touch(e, lease) && !PAWL_MUTANT(old_push_believed)) lease->out_of_touch = true;
    if (reply->fence > lease->group->last_fence && !PAWL_MUTANT(old_push_believed))
        lease->group->last_fence =
            reply->fence;            /* drawn before: our grant will have a larger one */
    lease->base_at = lease->sent_at; /* a later hand-off counts from here (law 2) */
    pawl__lease_move(e, lease, PAWL__LEASE_QUEUED);
    pawl__engine_set_message(e, "");
    pawl__group_refuse(e, lease->group, PAWL_ERR_BUSY, true);
    if (pawl__list_empty(&lease->group->wants)) {
        pawl__lease_leave(e, lease);
        return;
    }
    if (lease->recheck) {
        pawl__lease_ask(e, lease);
        return;
    }
    int64_t at = next_refresh(e, lease, reply);
    if (PAWL_MUTANT(push_without_timer)) at = PAWL__NEVER;
    pawl__lease_plan(e, lease, at > e->now ? at : e->now + RECHECK_PAUSE_MS * PAWL__NS_PER_MS);
}

/* The store did not queue us: no caller wanted to queue when we asked. */
static void on_busy(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    lease->answered = true;
    pawl__lease_heard(e, lease);
    pawl__engine_set_message(e, reply->message);
    pawl__group_refuse(e, lease->group, PAWL_ERR_BUSY, true);
    if (!pawl__list_empty(&lease->group->wants)) {
        pawl__lease_ask(e, lease);
        return;
    }
    if (lease->late_request)
        pawl__lease_leave(e, lease);
    else
        pawl__lease_drop(e, lease);
}

static void on_ask_failed(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    lease->err = (int16_t)reply->err;
    set_reason(e, reply);
    if (reply->err == PAWL_ERR_UNAVAILABLE) { /* the link or the want's timer decides */
        pawl__lease_retry(e, lease);
        return;
    }
    pawl__group_refuse(e, lease->group, reply->err, is_transient(reply->err));
    if (!pawl__list_empty(&lease->group->wants)) {
        pawl__lease_retry(e, lease);
        return;
    }
    if (lease->state == PAWL__LEASE_REQUESTING) /* this was its only ask (L7) */
        pawl__lease_drop(e, lease);
    else
        pawl__lease_leave(e, lease);
}

static void on_ask_unknown(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    lease->late_request = true;
    lease->err = (int16_t)reply->err;
    set_reason(e, reply);
    if (PAWL_MUTANT(retry_with_new_token)) pawl__lease_draw_token(e, lease);
    pawl__lease_move(e, lease, PAWL__LEASE_UNKNOWN); /* law 4: ask again with the same token */
    pawl__lease_retry(e, lease);
}

/* The push of a hand-off has overtaken the answer to a refresh: only what was sent after the grant
 * is news. */
static void on_ask_while_held(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    if (reply->outcome == PAWL_GRANTED && reply->fence == lease->fence) {
        pawl__lease_extended(e, lease, lease->sent_at);
        if (reply->waiting) pawl__lease_wanted(e, lease);
        return;
    }
    if (reply->outcome == PAWL_QUEUED && reply->fence >= lease->fence) {
        pawl__lease_not_ours(e, lease,
                             NULL); /* queued again: the push told of a grant that is over */
        return;
    }
    if (reply->outcome == PAWL_UNKNOWN) lease->late_request = true;
    pawl__lease_renew(e, lease); /* it compares tokens, and so decides */
}

static void granted(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    pawl__grant grant = {reply->fence, reply->waiting, reply->slots, reply->slot_count};
    pawl__lease_granted(e, lease, &grant);
}

static void on_ask(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    if (!pawl__lease_waits(lease)) {
        on_ask_while_held(e, lease, reply);
        return;
    }
    switch (reply->outcome) {
    case PAWL_GRANTED:
        lease->base_at = lease->sent_at;
        if (PAWL_MUTANT(grant_from_reply)) lease->base_at = e->now;
        granted(e, lease, reply);
        return;
    case PAWL_QUEUED:
        on_queued(e, lease, reply);
        return;
    case PAWL_BUSY:
        on_busy(e, lease, reply);
        return;
    case PAWL_FAILED:
        on_ask_failed(e, lease, reply);
        return;
    case PAWL_UNKNOWN:
        on_ask_unknown(e, lease, reply);
        return;
    case PAWL_CONFIRMED:
    case PAWL_RELEASED:
    case PAWL_LEFT:
    case PAWL_NOT_OWNER:
    case PAWL_REPORTED:
        break;
    }
    pawl__engine_break(e, "a store answered ACQUIRE with another verb's outcome");
}

/* ---- RENEW ------------------------------------------------------------------ */

static void on_renewal(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    switch (reply->outcome) {
    case PAWL_CONFIRMED:
        if (reply->fence && reply->fence != lease->fence) { /* not the grant that we know */
            pawl__lease_not_ours(e, lease, NULL);
            return;
        }
        pawl__lease_extended(e, lease, lease->sent_at);
        if (PAWL_MUTANT(yield_for_nobody) || (reply->waiting && !PAWL_MUTANT(yield_not_repeated)))
            pawl__lease_wanted(e, lease);
        return;
    case PAWL_NOT_OWNER:
        if (PAWL_MUTANT(renewal_answer_ignored)) {
            pawl__lease_extended(e, lease, lease->sent_at);
            return;
        }
        pawl__lease_not_ours(e, lease, reply->message);
        return;
    case PAWL_FAILED:
    case PAWL_UNKNOWN: /* a renewal without a confirmation does not count */
        set_reason(e, reply);
        if (PAWL_MUTANT(silence_is_consent)) pawl__lease_extended(e, lease, lease->sent_at);
        pawl__lease_doubted(e, lease, reply->err);
        if (!PAWL_MUTANT(renewal_not_retried)) pawl__lease_retry(e, lease);
        return;
    case PAWL_GRANTED:
    case PAWL_QUEUED:
    case PAWL_BUSY:
    case PAWL_RELEASED:
    case PAWL_LEFT:
    case PAWL_REPORTED:
        break;
    }
    pawl__engine_break(e, "a store answered RENEW with another verb's outcome");
}

/* ---- RELEASE ------------------------------------------------------------------ */

static void tell_releaser(pawl__engine *e, pawl__lease *lease, pawl_err err)
{
    if (!lease->want) return;
    pawl__want_tell(e, lease->want, PAWL__ACT_RELEASED, err);
    lease->want = NULL;
}

static void release_done(pawl__engine *e, pawl__lease *lease, pawl_err err)
{
    tell_releaser(e, lease, err);
    if (!lease->late_request) {
        pawl__lease_drop(e, lease);
        return;
    }
    lease->late_request = false;
    int64_t third = pawl__ms_to_ns(lease->ttl_ms) / 3;
    int64_t pause = pawl__instant_min(third, LATE_REQUEST_PAUSE_MS * PAWL__NS_PER_MS);
    pawl__lease_plan(e, lease, pawl__instant_add(e->now, pause));
}

static void on_release_answer(pawl__engine *e, pawl__lease *lease, const pawl_reply *reply)
{
    switch (reply->outcome) {
    case PAWL_RELEASED:
        release_done(e, lease, PAWL_OK);
        return;
    case PAWL_LEFT:      /* the caller believed that it held */
    case PAWL_NOT_OWNER: /* never reported as a success (law 4) */
        pawl__engine_set_message(e, "the store says that the lease was not ours any more");
        /* Law 4: our own earlier release, whose answer was lost, may have ended it. */
        if (PAWL_MUTANT(loss_called_released)) {
            release_done(e, lease, PAWL_OK);
            return;
        }
        release_done(e, lease, lease->release_unsure ? PAWL_ERR_UNKNOWN : PAWL_ERR_LOST);
        return;
    case PAWL_UNKNOWN:
        lease->late_request = true;
        lease->release_unsure = !PAWL_MUTANT(unsure_called_lost);
        pawl__lease_retry(e, lease);
        return;
    case PAWL_FAILED:
        set_reason(e, reply);
        pawl__lease_retry(e, lease);
        return;
    case PAWL_GRANTED:
    case PAWL_QUEUED:
    case PAWL_BUSY:
    case PAWL_CONFIRMED:
    case PAWL_REPORTED:
        break;
    }
    pawl__engine_break(e, "a store answered RELEASE with another verb's outcome");
}

void pawl__on_reply(pawl__engine *e, const pawl_reply *reply)
{
    pawl__lease *lease = pawl__lease_of_request(e, reply->id);
    if (!lease) return; /* we gave this request up: a release by token has followed it */
    lease->request = 0;
    switch ((pawl_verb)lease->verb) {
    case PAWL_VERB_ACQUIRE:
        on_ask(e, lease, reply);
        return;
    case PAWL_VERB_RENEW:
        on_renewal(e, lease, reply);
        return;
    case PAWL_VERB_RELEASE:
        on_release_answer(e, lease, reply);
        return;
    case PAWL_VERB_CHANGE:
        pawl__on_change_answer(e, lease, reply);
        return;
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_BREAK:
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_PUBLISH:
    case PAWL_VERB_READ:
        break;
    }
    pawl__engine_break(e, "a lease awaits an answer to what no lease asks");
}
