/* SPDX-License-Identifier: MIT */
/*
 * The steps of ACQUIRE, RENEW and RELEASE: each is one request to the server, and what its
 * answer leads to. The order and its reasons are in etcd_store.h.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/capacity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NEAR_PLACES 4 /* who waits further back need not know when the holder's lease ends */

static pawl__etcd_op *op_of(pawl__etcd_call *call)
{
    return pawl__container(call, pawl__etcd_op, call);
}

static bool wants_queue(const pawl__etcd_op *op)
{
    return op->verb == PAWL_VERB_ACQUIRE && op->flags & PAWL_ASK_QUEUE;
}

/* For the key that was just seen, and the one before it. */
static pawl__etcd_question ask_own(const pawl__etcd_op *op)
{
    return (pawl__etcd_question){.own = &op->key,
                                 .own_count = 1,
                                 .start = &op->start,
                                 .end = &op->end,
                                 .mode = op->mode,
                                 .asks_before = true,
                                 .before = op->view.own.created};
}

/* ---- The holder's rest --------------------------------------------------------------------- */

static void tell_place(pawl_store *store, pawl__etcd_op *op)
{
    if (!wants_queue(op))
        pawl__etcd_say(store, op, PAWL_BUSY);
    else if (pawl__etcd_watch_turn(store, op))
        pawl__etcd_say(store, op, PAWL_QUEUED);
    else
        pawl__etcd_fail_op(store, op, PAWL_UNKNOWN, PAWL_ERR_NO_MEMORY, NULL);
}

static void on_holder_rest(pawl_store *store, pawl__etcd_call *call,
                           const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate == PAWL__ETCD_DONE) op->holder_ms = pawl__etcd_left_ms(answer->root);
    if (op->holder_ms == 0) op->holder_ms = -1; /* it has let go meanwhile: the rest is another's */
    tell_place(store, op);
}

/* The lock is not to be had now. */
static void wait_or_be_busy(pawl_store *store, pawl__etcd_op *op)
{
    if (!wants_queue(op)) pawl__etcd_unwatch(store, op->token);
    bool is_far = wants_queue(op) && op->view.position >= NEAR_PLACES;
    if (is_far || !op->view.has_first || !op->view.first.lease) {
        tell_place(store, op);
        return;
    }
    pawl__etcd_lease_question(&op->call.body, op->view.first.lease);
    op->call.answered = on_holder_rest;
    pawl__etcd_ask(store, &op->call, "/v3/lease/timetolive", false);
}

/* ---- Our key exists: it is kept, and its lease begins anew ------------------------------------
 */

static pawl__etcd_step look, verify, queue_up, exchange;

/* How long the lease of our key must last, for a holder or for a place. */
static int64_t needed_ms(const pawl__etcd_op *op)
{
    return op->view.holds ? op->ttl_ms : pawl_place_span(op->ttl_ms);
}

static int64_t needed_s(const pawl__etcd_op *op)
{
    return pawl__etcd_lease_s(needed_ms(op));
}

/* Our key is known now, and is put again as it is; of permits that hold, with the slots. */
static void take_own(pawl_store *store, pawl__etcd_op *op)
{
    const pawl__etcd_view *view = &op->view;
    if (op->spare && op->spare == view->own.lease)
        op->spare = 0; /* a put that was late has come */
    else
        pawl__etcd_give_spare_back(store, op);
    op->key = view->own.key;
    op->mode = view->own.mode;
    op->units = view->own.units;
    op->capacity = view->own.capacity;
    op->has_slots = op->mode == PAWL_MODE_PERMIT && view->holds;
    op->takes = op->has_slots && !view->own.has_slots;
    op->slots = view->slots;
}

static void keep_place_or_lock(pawl_store *store, pawl__etcd_op *op)
{
    bool fits = op->view.own.lease_s == needed_s(op) && op->view.own.lease;
    int64_t leased_at = pawl__etcd_leased_at(store, op->token, op->view.own.lease);
    op->lease_s = needed_s(op);
    op->lease = op->view.own.lease;
    if (fits && pawl__etcd_lasts(store, op->lease_s, leased_at, needed_ms(op))) {
        op->leased_at = leased_at;
        verify(store, op);
    } else if (fits)
        pawl__etcd_keep_alive(store, op, verify);
    else
        pawl__etcd_grant(store, op, needed_ms(op), exchange);
}

/* A lease of another length: the key moves to it, and the old one is revoked then. */
static void exchange(pawl_store *store, pawl__etcd_op *op)
{
    op->lease = op->spare;
    verify(store, op);
}

static void leave_queue(pawl_store *store, pawl__etcd_op *op);

/* Rules 3 and 9: whether what is asked for fits what is there. */
static pawl_err misfit(const pawl__etcd_op *op)
{
    const pawl__etcd_view *view = &op->view;
    const pawl__etcd_entry *own = &view->own;
    bool permits = op->mode == PAWL_MODE_PERMIT;
    if (view->has_first && view->first.token[0]) {
        if (permits != (view->first.mode == PAWL_MODE_PERMIT)) return PAWL_ERR_KIND;
        if (permits && op->capacity != view->first.capacity) return PAWL_ERR_CAPACITY;
    }
    if (!view->has_own) return PAWL_OK;
    bool covers = pawl_mode_covers(own->mode, op->mode) && own->units >= op->units;
    bool same = own->mode == op->mode && own->units == op->units; /* else it loses its place */
    return view->holds ? (covers ? PAWL_OK : PAWL_ERR_MODE) : (same ? PAWL_OK : PAWL_ERR_MODE);
}

static void fail_misfit(pawl_store *store, pawl__etcd_op *op, pawl_err err)
{
    char text[PAWL__CAPACITY_MESSAGE_MAX];
    const char *message = NULL;
    if (err == PAWL_ERR_CAPACITY)
        message = pawl__capacity_message(op->view.first.capacity, op->capacity, text);
    pawl__etcd_fail_op(store, op, PAWL_FAILED, err, message);
}

/* It was seen to hold, wait or have no key. */
static void decide_again(pawl_store *store, pawl__etcd_op *op)
{
    const pawl__etcd_view *view = &op->view;
    bool acquires = op->verb == PAWL_VERB_ACQUIRE;
    pawl_err err = acquires ? misfit(op) : PAWL_OK;
    if (err) {
        fail_misfit(store, op, err);
    } else if (!view->has_own && !acquires) {
        pawl__etcd_unwatch(store, op->token);
        pawl__etcd_say(store, op, PAWL_NOT_OWNER);
    } else if (!view->has_own) {
        if (pawl__etcd_may_go_on(store, op)) pawl__etcd_begin_acquire(store, op);
    } else if (!acquires && !view->holds) {
        pawl__etcd_say(store, op, PAWL_NOT_OWNER);
    } else if (!view->holds && !wants_queue(op)) {
        leave_queue(store, op);
    } else {
        take_own(store, op);
        keep_place_or_lock(store, op);
    }
}

static void on_look(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE)
        pawl__etcd_op_trouble(store, op, answer);
    else if (pawl__etcd_take_view(store, op, answer->root, pawl__etcd_ask_whole(op)))
        decide_again(store, op);
}

static void look(pawl_store *store, pawl__etcd_op *op)
{
    if (!pawl__etcd_may_go_on(store, op)) return;
    pawl__etcd_add(&op->call.body, "{\"success\":[");
    pawl__etcd_add_view(op, pawl__etcd_ask_whole(op));
    pawl__etcd_ask_txn(store, op, false, on_look);
}

/* The key is still ours, and lives on. */
static void tell_kept(pawl_store *store, pawl__etcd_op *op)
{
    op->wrote = false;
    bool untold = op->mode == PAWL_MODE_PERMIT && !op->has_slots;
    if (!op->view.holds) {
        wait_or_be_busy(store, op);
    } else if (op->lease_s < needed_s(op) || untold) { /* it was a place, and has become the lock */
        look(store, op);
    } else {
        pawl__etcd_watch_hold(store, op);
        pawl__etcd_say(store, op, op->verb == PAWL_VERB_RENEW ? PAWL_CONFIRMED : PAWL_GRANTED);
    }
}

static void on_verified(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    int64_t old = op->view.own.lease;
    if (answer->fate != PAWL__ETCD_DONE) {
        if (answer->no_lease && op->lease == op->spare) op->spare = 0;
        if (answer->no_lease)
            look(store, op);
        else if (answer->err == PAWL_ERR_STORE_FULL && !op->bare && !op->takes &&
                 op->lease != op->spare)
            op->bare = true, verify(store, op);
        else
            pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (!pawl__etcd_succeeded(answer->root)) {
        op->wrote = false; /* there is nothing that could have been extended */
        look(store, op);
        return;
    }
    if (!pawl__etcd_take_view(store, op, answer->root, ask_own(op))) return;
    if (!op->view.has_own) {
        pawl__etcd_not_understood(store);
        return;
    }
    if (op->spare == op->lease) {
        op->spare = 0;
        pawl__etcd_revoke(store, old);
    }
    tell_kept(store, op);
}

/*
 * The proof: if our key is still as we have seen it, it is put again, with the lease. Else another
 * client with our token may have moved it to another lease, and ours is about to be revoked. A
 * server that has no room left refuses puts, and then the compare alone must do.
 */
static void verify(pawl_store *store, pawl__etcd_op *op)
{
    const pawl__etcd_entry *own = &op->view.own;
    if (!op->lease) { /* it is over, or will be soon */
        look(store, op);
        return;
    }
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    pawl__etcd_add_unchanged(&op->call.body, &op->key, own->changed);
    if (op->takes) { /* whoever put something since may have taken the same slots */
        pawl__etcd_add(&op->call.body, ",");
        pawl__etcd_add_no_news(&op->call.body, &op->start, &op->end, op->view.revision);
    }
    pawl__etcd_add(&op->call.body, "],\"success\":[");
    pawl__etcd_add_view(op, ask_own(op));
    if (op->verb == PAWL_VERB_RENEW) snprintf(op->owner, sizeof op->owner, "%s", own->owner);
    if (!op->bare) pawl__etcd_put_own(op, own->since_us, op->lease, true);
    op->wrote = true;
    pawl__etcd_ask_txn(store, op, !op->bare, on_verified);
}

/* ---- ACQUIRE ------------------------------------------------------------------------------- */

/* Our key was just created, by the transaction of this revision. */
static void note_own(pawl__etcd_op *op, bool holds)
{
    op->view.has_own = true;
    op->view.holds = holds;
    op->view.own.key = op->key;
    op->view.own.mode = op->mode;
    op->view.own.created = op->view.own.changed = op->view.revision;
    op->view.own.lease = op->lease = op->spare;
    op->view.own.lease_s = op->lease_s;
    op->spare = 0;
}

/* What is before the key that is about to be put: our token has none, for certain. */
static pawl__etcd_question ask_new(const pawl__etcd_op *op)
{
    pawl__etcd_question question = pawl__etcd_ask_whole(op);
    question.own_count = 0;
    question.asks_before = true;
    return question;
}

/* Somebody may have revoked the lease in the moment before: then another one is taken. */
static void put_failed(pawl_store *store, pawl__etcd_op *op, const pawl__etcd_answer *answer)
{
    op->wrote = op->wrote || answer->fate == PAWL__ETCD_UNKNOWN;
    if (!answer->no_lease) {
        pawl__etcd_op_trouble(store, op, answer);
    } else if (pawl__etcd_may_go_on(store, op)) {
        op->spare = op->place.id = 0; /* one of them */
        pawl__etcd_begin_acquire(store, op);
    }
}

/* Our key is in the queue; what the view shows is from just before. */
static void have_queued(pawl_store *store, pawl__etcd_op *op)
{
    bool fits = op->view.fits || !op->view.count; /* it was free by then */
    pawl__etcd_found(store, op, !fits);
    op->misfit = misfit(op); /* the semaphore is another one than the one that was looked at */
    if (op->mode == PAWL_MODE_EXCLUSIVE) op->view.position = op->view.count - 1;
    note_own(op, false);
    op->wrote = true;
    if (op->misfit) {
        leave_queue(store, op);
    } else if (fits) {
        look(store, op);
    } else {
        op->wrote = false;
        wait_or_be_busy(store, op);
    }
}

static void on_queued(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE)
        put_failed(store, op, answer);
    else if (!pawl__etcd_succeeded(answer->root)) /* it is there, or the name is of another kind */
        look(store, op);
    else if (pawl__etcd_take_view(store, op, answer->root, ask_new(op)))
        have_queued(store, op);
}

/* The compares and the put of a new place. */
static void add_place(pawl__etcd_op *op, int64_t lease)
{
    pawl__etcd_add_no_own(op, false);
    pawl__etcd_add_one_family(op, true);
    pawl__etcd_add(&op->call.body, "],\"success\":[");
    pawl__etcd_add_view(op, ask_new(op));
    pawl__etcd_put_own(op, pawl__etcd_wall_us(), lease, true);
}

static void queue_up(pawl_store *store, pawl__etcd_op *op)
{
    op->has_slots = false;
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    add_place(op, op->spare);
    pawl__etcd_ask_txn(store, op, true, on_queued);
}

/* Somebody has it. A lease of a place is shorter than ours, unless both are the shortest. */
static void take_place(pawl_store *store, pawl__etcd_op *op)
{
    int64_t seconds = pawl__etcd_lease_s(pawl_place_span(op->ttl_ms));
    if (op->spare && seconds == op->lease_s) {
        queue_up(store, op);
        return;
    }
    pawl__etcd_grant(store, op, pawl_place_span(op->ttl_ms), queue_up);
}

/* ---- One transaction for the lock, or else a place ------------------------------------------- */

/* A lease for the place is at hand, so one transaction does both. */
static bool has_place_lease(pawl_store *store, pawl__etcd_op *op)
{
    if (!wants_queue(op) || op->mode == PAWL_MODE_PERMIT) return false;
    if (op->place.id || op->lease_s == pawl__etcd_lease_s(pawl_place_span(op->ttl_ms))) return true;
    return pawl__etcd_take_place_lease(store, op);
}

static void swap_place_and_spare(pawl__etcd_op *op)
{
    pawl__etcd_kept_lease spare = {
        .id = op->spare, .seconds = op->lease_s, .leased_at = op->leased_at};
    if (!op->place.id) return; /* one lease serves both */
    op->spare = op->place.id;
    op->lease_s = op->place.seconds;
    op->leased_at = op->place.leased_at;
    op->place = spare;
}

static void add_place_or_view(pawl__etcd_op *op)
{
    swap_place_and_spare(op);
    pawl__etcd_add(&op->call.body, "{\"request_txn\":{\"compare\":[");
    add_place(op, op->spare);
    pawl__etcd_add(&op->call.body, "]}}");
    swap_place_and_spare(op);
}

/* It was not free: what has become of the transaction within. */
static void heed_place(pawl_store *store, pawl__etcd_op *op, json_t *root)
{
    json_t *inner = pawl__etcd_inner(root);
    if (!inner) {
        pawl__etcd_not_understood(store);
    } else if (!pawl__etcd_succeeded(inner)) { /* it is there, or the name is of another kind */
        look(store, op);
    } else if (pawl__etcd_take_view(store, op, inner, ask_new(op))) {
        swap_place_and_spare(op);
        have_queued(store, op);
    }
}

static void enter(pawl_store *store, pawl__etcd_op *op);

/* It was not free, and we have got no key by that. */
static void have_tried(pawl_store *store, pawl__etcd_op *op)
{
    pawl_err err = misfit(op);
    if (err)
        fail_misfit(store, op, err);
    else if (op->view.has_own)
        decide_again(store, op);
    else if (op->view.fits)
        enter(store, op);
    else if (wants_queue(op))
        take_place(store, op);
    else
        wait_or_be_busy(store, op);
}

static pawl__etcd_step try;

static void on_tried(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE) {
        put_failed(store, op, answer);
        return;
    }
    if (pawl__etcd_succeeded(answer->root)) {
        pawl__etcd_found(store, op, false);
        op->view = (pawl__etcd_view){.revision = pawl__etcd_revision(answer->root), .count = 1};
        if (op->view.revision <= 0) {
            pawl__etcd_not_understood(store);
            return;
        }
        note_own(op, true);
        pawl__etcd_watch_hold(store, op);
        pawl__etcd_say(store, op, PAWL_GRANTED);
        return;
    }
    pawl__etcd_found(store, op, true);
    if (op->is_brief)
        try(store, op);
    else if (op->may_queue)
        heed_place(store, op, answer->root);
    else if (pawl__etcd_take_view(store, op, answer->root, pawl__etcd_ask_whole(op)))
        have_tried(store, op);
}

/*
 * The compares are there. If they hold our key is put, and holds at once; else it gets a place, or
 * what is there is read. A name that was free the last time is asked for briefly at first: the
 * server reads the whole text, whatever it has to do of it.
 */
static void put_if_so(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_add(&op->call.body, "],\"success\":[");
    pawl__etcd_put_own(op, pawl__etcd_wall_us(), op->spare, false);
    if (op->is_brief) {
        pawl__etcd_ask_txn(store, op, true, on_tried);
        return;
    }
    pawl__etcd_add(&op->call.body, "],\"failure\":[");
    op->may_queue = has_place_lease(store, op);
    if (op->may_queue)
        add_place_or_view(op);
    else
        pawl__etcd_add_view(op, pawl__etcd_ask_whole(op));
    pawl__etcd_ask_txn(store, op, true, on_tried);
}

/* If nobody has it or waits for it, it is ours; a shared lock also if all who have it share it. */
static void try(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_bytes shared, behind;
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    if (op->mode == PAWL_MODE_SHARED) {
        pawl__etcd_key_make(&shared, &op->start, PAWL_MODE_SHARED, "");
        pawl__etcd_key_make(&behind, &op->start, PAWL_MODE_EXCLUSIVE, "");
        pawl__etcd_add_none(op, &op->start, &shared, false);
        pawl__etcd_add_none(op, &behind, &op->end, true);
        pawl__etcd_add_none(op, &op->key, NULL, true);
    } else {
        pawl__etcd_add_none(op, &op->start, &op->end, false);
    }
    op->has_slots = op->mode == PAWL_MODE_PERMIT;
    op->is_brief = !op->has_tried && pawl__etcd_is_quiet(store, op);
    op->has_tried = true;
    memset(&op->slots, 0, sizeof op->slots);
    for (uint32_t slot = 0; slot < op->units; slot++) pawl__etcd_slot_set(&op->slots, slot);
    put_if_so(store, op);
}

/* There is room beside those that hold: it is ours if nobody has put anything since. */
static void enter(pawl_store *store, pawl__etcd_op *op)
{
    if (!pawl__etcd_may_go_on(store, op)) return;
    if (op->mode != PAWL_MODE_PERMIT) {
        try(store, op);
        return;
    }
    op->has_slots = true;
    op->is_brief = false;
    op->slots = op->view.slots;
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    pawl__etcd_add_no_own(op, false);
    pawl__etcd_add(&op->call.body, ",");
    pawl__etcd_add_no_news(&op->call.body, &op->start, &op->end, op->view.revision);
    put_if_so(store, op);
}

void pawl__etcd_begin_acquire(pawl_store *store, pawl__etcd_op *op)
{
    bool first = op->rounds++ == 0;
    bool is_crowded = op->mode == PAWL_MODE_EXCLUSIVE && pawl__etcd_is_crowded(store, op);
    if (first && pawl__etcd_take_loose(store, op))
        look(store, op); /* a put that was late may have come */
    else if (first && pawl__etcd_is_watched(store, op->token))
        look(store, op); /* it holds or waits already */
    else if (wants_queue(op) && (is_crowded || pawl__etcd_is_waited_for(store, &op->start)))
        take_place(store, op); /* it is hardly free; if somebody of us waits, surely not */
    else
        pawl__etcd_grant(store, op, op->ttl_ms, try);
}

/* ---- RENEW ---------------------------------------------------------------------------------- */

static void on_put_again(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    bool refused = answer->no_lease || answer->err == PAWL_ERR_STORE_FULL;
    if (answer->fate != PAWL__ETCD_DONE && !refused) {
        pawl__etcd_op_trouble(store, op, answer);
    } else if (refused || !pawl__etcd_succeeded(answer->root)) {
        op->wrote = false;
        look(store, op);
    } else if (pawl__etcd_take_view(store, op, answer->root, ask_own(op))) {
        if (op->view.has_own && op->view.holds && op->view.own.lease_s == op->lease_s)
            tell_kept(store, op);
        else
            look(store, op);
    }
}

/* The same proof as `verify`, of a key and a lease that need not be read before. */
static void put_again(pawl_store *store, pawl__etcd_op *op)
{
    if (!op->lease) {
        look(store, op);
        return;
    }
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    pawl__etcd_add_compare(&op->call.body, &op->key, NULL, "EQUAL", op->view.own.created);
    pawl__etcd_add_leased(&op->call.body, &op->key, op->lease);
    pawl__etcd_add(&op->call.body, "],\"success\":[");
    pawl__etcd_add_view(op, ask_own(op));
    pawl__etcd_add_put_again(&op->call.body, &op->key, op->lease);
    op->wrote = true;
    pawl__etcd_ask_txn(store, op, true, on_put_again);
}

void pawl__etcd_begin_renew(pawl_store *store, pawl__etcd_op *op)
{
    bool known = pawl__etcd_recall(store, op);
    if (op->mode == PAWL_MODE_PERMIT) known = false; /* its slots are in its value */
    if (!known || op->lease_s != pawl__etcd_lease_s(op->ttl_ms))
        look(store, op);
    else if (pawl__etcd_lasts(store, op->lease_s, op->leased_at, op->ttl_ms))
        put_again(store, op);
    else
        pawl__etcd_keep_alive(store, op, put_again);
}

/* ---- RELEASE, and leaving the queue --------------------------------------------------------- */

static void end_loose(pawl_store *store, pawl__etcd_op *op);

static void on_loose_ended(pawl_store *store, pawl__etcd_call *call,
                           const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE && !answer->no_lease) {
        op->wrote = true;
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    op->spare = 0;
    end_loose(store, op);
}

/* Our token has no key now. A put that is still on its way shall find no lease (rule 4). */
static void end_loose(pawl_store *store, pawl__etcd_op *op)
{
    bool ours = op->view.has_own;
    if (op->spare || pawl__etcd_take_loose(store, op)) {
        pawl__etcd_lease_question(&op->call.body, op->spare);
        op->call.answered = on_loose_ended;
        pawl__etcd_ask(store, &op->call, "/v3/lease/revoke", true);
        return;
    }
    pawl__etcd_say(store, op, !ours ? PAWL_NOT_OWNER : op->view.holds ? PAWL_RELEASED : PAWL_LEFT);
}

static void on_deleted(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (!pawl__etcd_take_view(store, op, answer->root, pawl__etcd_ask_whole(op))) return;
    const pawl__etcd_entry *own = &op->view.own;
    bool ours = op->view.has_own;
    int64_t leased_at = ours ? pawl__etcd_leased_at(store, op->token, own->lease) : 0;
    pawl__etcd_unwatch(store, op->token);
    if (ours && own->lease != op->spare)
        pawl__etcd_part(store, own->lease, own->lease_s, leased_at);
    if (op->misfit)
        fail_misfit(store, op, op->misfit);
    else if (op->verb == PAWL_VERB_ACQUIRE && ours && op->view.holds) /* its turn had come */
        pawl__etcd_begin_acquire(store, op);
    else if (op->verb == PAWL_VERB_ACQUIRE) /* it waited, and does not want to any more */
        wait_or_be_busy(store, op);
    else
        end_loose(store, op);
}

/* Whatever our token has. */
static void delete_own(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_add(&op->call.body, "{\"success\":[");
    pawl__etcd_add_view(op, pawl__etcd_ask_whole(op));
    for (size_t i = 0; i < sizeof op->keys / sizeof op->keys[0]; i++)
        pawl__etcd_add_delete(&op->call.body, &op->keys[i], true);
    pawl__etcd_ask_txn(store, op, true, on_deleted);
}

static void on_let_go(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
    } else if (!pawl__etcd_succeeded(answer->root)) { /* it is not as it was: whatever there is */
        delete_own(store, op);
    } else {
        pawl__etcd_unwatch(store, op->token);
        pawl__etcd_part(store, op->lease, op->lease_s, op->leased_at);
        pawl__etcd_say(store, op, PAWL_RELEASED);
    }
}

/*
 * The usual case: the key by which the token holds is known, and its lease. If both are what this
 * client knows, it held until now, the token has no other key, and the lease has none any more. If
 * the request comes late, or twice, it meets no later key of the token: that one was created later.
 */
static void let_go(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    pawl__etcd_add_compare(&op->call.body, &op->key, NULL, "EQUAL", op->view.own.created);
    pawl__etcd_add_leased(&op->call.body, &op->key, op->lease);
    pawl__etcd_add(&op->call.body, "],\"success\":[");
    pawl__etcd_add_delete(&op->call.body, &op->key, false);
    pawl__etcd_ask_txn(store, op, true, on_let_go);
}

/* A put of the token that may come late takes the long way, at whose end it finds no lease. */
void pawl__etcd_begin_release(pawl_store *store, pawl__etcd_op *op)
{
    if (!pawl__etcd_take_loose(store, op) && pawl__etcd_recall(store, op))
        let_go(store, op);
    else
        delete_own(store, op);
}

static void leave_queue(pawl_store *store, pawl__etcd_op *op)
{
    delete_own(store, op);
}
