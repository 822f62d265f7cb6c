/* SPDX-License-Identifier: MIT */
/*
 * The steps of ACQUIRE, RENEW and RELEASE. A step asks one or several things at once, and goes on
 * when all are answered. The order and its reasons are in zookeeper_store.h.
 */
#define _GNU_SOURCE
#include "../../base/capacity.h"
#include "zookeeper_ask.h"

#include <stdio.h>
#include <string.h>

/* ---- Nodes that a client of ours may own ---------------------------------------------------- */

/* Our node is one that this store does not know: from before a lost answer, or another client's. */
static void read_own(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then)
{
    op->then = then;
    pawl__zk_read_node(store, op, PAWL__ZK_OWN, &op->view.own);
    pawl__zk_op_clock(store, op);
}

/* It was read. False: it has failed, or is over, or cannot be kept; that is dealt with. */
static bool may_keep(pawl_store *store, pawl__zk_op *op, pawl__zk_step *again)
{
    const pawl__zk_node *own = &op->view.own;
    bool is_foreign = own->session && own->session != zoo_client_id(store->handle.zh)->client_id;
    if (op->gone)
        again(store, op);
    else if (!own->ours)
        pawl__zk_fail(store, op, PAWL_ERR_WRONG_TYPE,
                      "a node of this token has something else in it");
    else if (pawl__zk_left_ms(store, own) == 0)
        pawl__zk_end_node(store, op, own, again);
    else if (is_foreign)
        pawl__zk_fail(
            store, op, PAWL_ERR_UNSUPPORTED,
            "this lock lives in the session of the client that took it: only that one can keep "
            "it; what others shall keep is taken detached");
    else
        return true;
    return false;
}

static void keep(pawl_store *store, pawl__zk_op *op, pawl__zk_step *again)
{
    pawl__zk_place *p = pawl__zk_place_note(store, op, &op->view.own);
    if (!p) {
        pawl__zk_fail(store, op, PAWL_ERR_NO_MEMORY, NULL);
        return;
    }
    p->holds = false; /* the next list shows whether it does */
    int64_t left_ms = pawl__zk_left_ms(store, &op->view.own);
    op->view.own.changed_ms += op->view.own.life_ms - left_ms; /* as if it were written now */
    pawl__zk_place_written(store, p, &op->view.own, left_ms);
    again(store, op);
}

/* What was written or created is noted. False: without memory, or it is refused. */
static bool note_writing(pawl_store *store, pawl__zk_op *op, pawl__zk_place **p)
{
    if (*p && op->is_news &&
        pawl__zk_place_was_over(*p, &op->written)) { /* it does not come back */
        pawl__zk_delete(store, op->parent, (*p)->child, op->written.version);
        op->own_gone = true;
    }
    if (*p && op->own_gone) {
        pawl__zk_place_drop(store, *p);
        *p = NULL;
    }
    if (op->created.child[0] && !*p) {
        *p = pawl__zk_place_note(store, op, &op->created);
        if (!*p) {
            pawl__zk_delete(store, op->parent, op->created.child, -1);
            pawl__zk_fail(store, op, PAWL_ERR_NO_MEMORY, NULL);
            return false;
        }
        op->written = op->created;
    }
    if (*p && op->is_news)
        pawl__zk_place_written(store, *p, &op->written, pawl__zk_life_of(op, op->was_lease));
    op->is_news = false;
    return true;
}

/* What is asked now cannot live in the session, where the node is. */
static bool is_too_much(pawl_store *store, pawl__zk_op *op, const pawl__zk_place *p)
{
    if (!p->in_session) return false;
    if (!(op->flags & PAWL_ASK_DETACHED) && pawl__zk_fits_session(store, op->ttl_ms)) return false;
    pawl__zk_fail(
        store, op, PAWL_ERR_UNSUPPORTED,
        "this lock lives in its client's session: it cannot be detached, nor have a ttl of more "
        "than three quarters of the session's time-out, unless it was acquired so");
    return true;
}

/* ---- ACQUIRE: others are there --------------------------------------------------------------- */

static pawl__zk_step after_acquire;

static void list_and_acquire(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_list(store, op, after_acquire);
}

static void after_busy(pawl_store *store, pawl__zk_op *op)
{
    if (!pawl__zk_ends_others(store, op, list_and_acquire)) pawl__zk_say(store, op, PAWL_BUSY);
}

static void after_waiting(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p && !note_writing(store, op, &p)) return;
    op->created.child[0] = '\0';
    if (!p || p->holds) { /* it may have its turn already */
        list_and_acquire(store, op);
        return;
    }
    /* Where the one before ours has gone meanwhile, the watch says so: our place is what it was. */
    if (!op->gone && pawl__zk_ends_others(store, op, list_and_acquire)) return;
    *pawl__zk_expects_wait(store, op) = true;
    pawl__zk_place_waits(store, p, &op->view);
    pawl__zk_say(store, op, PAWL_QUEUED);
}

/* Our node is behind another one: it is a place now. The watch does not wait for the answers, so
 * that a turn that comes at once is heard at once. */
static void wait(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p)
{
    pawl__zk_view *view = &op->view;
    bool second = view->before.number == view->first.number;
    op->then = after_waiting;
    if (!op->was_place) pawl__zk_write_own(store, op, p, false);
    if (view->is_next) {
        pawl__zk_read_held(store, op, after_waiting);
        return;
    }
    if (!second) pawl__zk_read_node(store, op, PAWL__ZK_BEFORE, &view->before);
    pawl__zk_read_node(store, op, PAWL__ZK_FIRST, &view->first);
    if (p->want.mode == PAWL_MODE_PERMIT) return;
    p->is_asked = true; /* two who decide would tell of two turns */
    pawl__zk_place_waits(store, p, view);
}

/* Whether the time of anybody is over who is in the way. */
static void look_at_others(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then)
{
    pawl__zk_view *view = &op->view;
    if (op->held_count) {
        pawl__zk_read_held(store, op, then);
        return;
    }
    op->then = then;
    if (view->before.number != view->first.number)
        pawl__zk_read_node(store, op, PAWL__ZK_BEFORE, &view->before);
    pawl__zk_read_node(store, op, PAWL__ZK_FIRST, &view->first);
    pawl__zk_op_clock(store, op);
}

static void after_leaving(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p) pawl__zk_place_drop(store, p);
    op->created.child[0] = '\0';
    list_and_acquire(store, op);
}

static void leave(pawl_store *store, pawl__zk_op *op, const pawl__zk_place *p)
{
    op->then = after_leaving;
    op->was_lease = op->was_place = false;
    pawl__zk_op_ask(store, op, PAWL__ZK_DELETED, p->child,
                    (pawl__zk_question){.kind = PAWL__ZK_DELETE, .version = -1});
}

static void after_giving_up(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p) pawl__zk_place_drop(store, p);
    pawl__zk_say(store, op, PAWL_BUSY);
}

/* Who asks without a place gives up the one it has. But its turn may have come, if the time of who
 * was before it is over: so that is looked at first, and decides. */
static void after_looking_ahead(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (pawl__zk_ends_others(store, op, list_and_acquire)) return;
    if (!p || p->holds) {
        list_and_acquire(store, op);
        return;
    }
    leave(store, op, p);
    op->then = after_giving_up;
}

/* Rule 3: whether it may have what it asks for, as it has a node that wanted that. */
static bool covers(const pawl__zk_want *own, bool holds, const pawl__zk_want *asked)
{
    if (own->mode == PAWL_MODE_PERMIT && asked->mode == PAWL_MODE_PERMIT)
        return holds ? own->units >= asked->units : own->units == asked->units;
    return own->mode == asked->mode || (holds && pawl_mode_covers(own->mode, asked->mode));
}

/* Rule 9: the name is of another kind as long as its first node lives. */
static pawl_err misfit(const pawl__zk_op *op)
{
    const pawl__zk_node *first = &op->view.first;
    bool permits = op->want.mode == PAWL_MODE_PERMIT;
    if (!op->view.has_first || !first->token[0] || strcmp(first->token, op->token) == 0)
        return PAWL_OK;
    if (permits != (first->want.mode == PAWL_MODE_PERMIT)) return PAWL_ERR_KIND;
    return permits && first->want.capacity != op->want.capacity ? PAWL_ERR_CAPACITY : PAWL_OK;
}

/* ---- ACQUIRE -------------------------------------------------------------------------------- */

/* We have no node. */
static void come(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_view *view = &op->view;
    op->was_lease = op->was_place = false;
    if (!view->has_before) {
        pawl__zk_create(store, op, op->want.mode != PAWL_MODE_PERMIT, after_acquire);
    } else if (pawl__zk_wants_queue(op)) {
        pawl__zk_create(store, op, false, after_acquire);
    } else {
        look_at_others(store, op, after_busy);
    }
}

static void after_reading_own(pawl_store *store, pawl__zk_op *op)
{
    if (may_keep(store, op, list_and_acquire)) keep(store, op, pawl__zk_begin_acquire);
}

static void after_taking_permits(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p && !note_writing(store, op, &p)) return;
    if (p)
        pawl__zk_say_held(store, op, p);
    else
        list_and_acquire(store, op);
}

/* One before ours has not said which permits it has: it does so at once, or ends. */
static void wait_for_another(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (!pawl__zk_wants_queue(op)) {
        leave(store, op, p);
        op->then = after_giving_up;
        return;
    }
    pawl__zk_place_waits(store, p, &op->view);
    pawl__zk_say(store, op, PAWL_QUEUED);
}

static void go_on_with(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p)
{
    pawl__zk_view *view = &op->view;
    if (view->twin[0]) pawl__zk_delete(store, op->parent, view->twin, -1);
    if (view->has_before) {
        if (pawl__zk_wants_queue(op))
            wait(store, op, p);
        else
            look_at_others(store, op, after_looking_ahead);
    } else if (op->was_lease) {
        pawl__zk_say_held(store, op, p);
    } else if (p->want.mode == PAWL_MODE_PERMIT) {
        pawl__zk_seek_permits(store, op, after_taking_permits, list_and_acquire, wait_for_another);
    } else if (pawl__zk_may_go_on(store, op)) { /* a place, and its turn has come */
        op->then = after_acquire;
        pawl__zk_write_own(store, op, p, true);
        pawl__zk_op_ask(store, op, PAWL__ZK_LISTED, NULL,
                        (pawl__zk_question){.kind = PAWL__ZK_CHILDREN});
    }
}

static void after_misfit(pawl_store *store, pawl__zk_op *op)
{
    char text[PAWL__CAPACITY_MESSAGE_MAX];
    const char *message = NULL;
    pawl_err err = misfit(op);
    if (pawl__zk_ends_others(store, op, list_and_acquire)) return;
    if (err == PAWL_ERR_CAPACITY)
        message = pawl__capacity_message(op->view.first.want.capacity, op->want.capacity, text);
    pawl__zk_fail_op(store, op, PAWL_FAILED, err, message);
}

/* Our node goes; then it is seen whether the first one is still alive. */
static void refuse_kind(pawl_store *store, pawl__zk_op *op, const pawl__zk_place *p)
{
    if (p) {
        leave(store, op, p);
        return;
    }
    op->view.has_before = false;
    op->then = after_misfit;
    pawl__zk_read_node(store, op, PAWL__ZK_FIRST, &op->view.first);
    pawl__zk_op_clock(store, op);
}

/* Our node wanted something else: it stays as it is. */
static void refuse_mode(pawl_store *store, pawl__zk_op *op)
{
    if (op->view.twin[0]) pawl__zk_delete(store, op->parent, op->view.twin, -1);
    pawl__zk_fail_op(store, op, PAWL_FAILED, PAWL_ERR_MODE, NULL);
}

static void after_acquire(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (op->parentless) {
        pawl__zk_create_parent(store, op, pawl__zk_begin_acquire);
        return;
    }
    if (!note_writing(store, op, &p)) return;
    const pawl__zk_view *view = &op->view;
    if (p && (!view->has_own || strcmp(view->own.child, p->child) != 0)) {
        /* It is gone, or this is a younger node of the same token. */
        if (view->has_own) pawl__zk_delete(store, op->parent, p->child, -1);
        pawl__zk_place_drop(store, p);
        p = NULL;
    }
    op->created.child[0] = '\0';
    if (misfit(op))
        refuse_kind(store, op, p);
    else if (view->has_own && !covers(&view->own.want, !view->has_before, &op->want))
        refuse_mode(store, op);
    else if (p)
        go_on_with(store, op, p);
    else if (view->has_own)
        read_own(store, op, after_reading_own);
    else
        come(store, op);
}

void pawl__zk_begin_acquire(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find_live(store, op->token);
    op->was_lease = op->was_place = false;
    if (p && is_too_much(store, op, p)) return;
    if (p && !covers(&p->want, p->holds, &op->want)) {
        pawl__zk_fail(store, op, PAWL_ERR_MODE, NULL);
        return;
    }
    if (p && (p->holds || pawl__zk_wants_queue(op))) {
        if (!pawl__zk_may_go_on(store, op)) return;
        op->then = after_acquire;
        pawl__zk_write_own(store, op, p, p->holds);
        pawl__zk_op_ask(store, op, PAWL__ZK_LISTED, NULL,
                        (pawl__zk_question){.kind = PAWL__ZK_CHILDREN});
    } else if (!p && pawl__zk_wants_queue(op)) {
        bool waits = *pawl__zk_expects_wait(store, op) || pawl__zk_waits_for(store, op->parent);
        pawl__zk_create(store, op, op->want.mode != PAWL_MODE_PERMIT && !waits, after_acquire);
    } else {
        list_and_acquire(store, op);
    }
}

/* ---- The token neither holds nor waits ------------------------------------------------------ */

static pawl__zk_step not_owner;

static void list_and_move_on(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_list(store, op, not_owner);
}

static void after_first(pawl_store *store, pawl__zk_op *op)
{
    if (!pawl__zk_ends_others(store, op, list_and_move_on)) pawl__zk_say(store, op, PAWL_NOT_OWNER);
}

/* Law 7: whoever asks moves on what has run out. */
static void not_owner(pawl_store *store, pawl__zk_op *op)
{
    op->view.has_before = false;
    if (!op->view.has_first) {
        pawl__zk_say(store, op, PAWL_NOT_OWNER);
        return;
    }
    op->then = after_first;
    pawl__zk_read_node(store, op, PAWL__ZK_FIRST, &op->view.first);
    pawl__zk_op_clock(store, op);
}

/* ---- RENEW ---------------------------------------------------------------------------------- */

static pawl__zk_step after_renew;

static void after_reading_renewed(pawl_store *store, pawl__zk_op *op)
{
    if (op->view.has_before)
        not_owner(store, op);
    else if (may_keep(store, op, list_and_move_on))
        keep(store, op, pawl__zk_begin_renew);
}

static void renew(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p)
{
    if (is_too_much(store, op, p) || !pawl__zk_may_go_on(store, op)) return;
    op->then = after_renew;
    pawl__zk_write_own(store, op, p, true);
    pawl__zk_op_ask(store, op, PAWL__ZK_LISTED, NULL,
                    (pawl__zk_question){.kind = PAWL__ZK_CHILDREN});
}

static void list_and_renew(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_list(store, op, after_renew);
}

static void after_renewing_permits(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p && !note_writing(store, op, &p)) return;
    if (p)
        pawl__zk_say_held(store, op, p);
    else
        list_and_renew(store, op);
}

static void after_renew(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (!note_writing(store, op, &p)) return;
    bool is_own = op->view.has_own && p && strcmp(op->view.own.child, p->child) == 0;
    if (is_own && !op->view.has_before && op->was_lease)
        pawl__zk_say_held(store, op, p);
    else if (is_own && !op->view.has_before && p->want.mode == PAWL_MODE_PERMIT)
        pawl__zk_seek_permits(store, op, after_renewing_permits, list_and_renew, not_owner);
    else if (is_own && !op->view.has_before)
        renew(store, op, p);
    else if (op->view.has_own && !p)
        read_own(store, op, after_reading_renewed);
    else
        not_owner(store, op);
}

void pawl__zk_begin_renew(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find_live(store, op->token);
    op->was_lease = op->was_place = false;
    if (p) snprintf(op->owner, sizeof op->owner, "%s", p->owner);
    if (p && (p->holds || p->has_slots))
        renew(store, op, p);
    else
        list_and_renew(store, op);
}

/* ---- RELEASE -------------------------------------------------------------------------------- */

static void after_release(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p) pawl__zk_place_drop(store, p);
    op->is_leaving = false;
    if (op->own_gone)
        list_and_move_on(store, op);
    else
        pawl__zk_say(store, op, op->view.has_before ? PAWL_LEFT : PAWL_RELEASED);
}

static void release(pawl_store *store, pawl__zk_op *op, const char *child)
{
    op->then = after_release;
    op->wrote = true;
    op->own_gone = false;
    pawl__zk_op_ask(store, op, PAWL__ZK_DELETED, child,
                    (pawl__zk_question){.kind = PAWL__ZK_DELETE, .version = -1});
    pawl__zk_let_next(store, op);
}

static void after_reading_released(pawl_store *store, pawl__zk_op *op)
{
    if (op->gone)
        list_and_move_on(store, op);
    else if (pawl__zk_left_ms(store, &op->view.own) == 0)
        pawl__zk_end_node(store, op, &op->view.own, list_and_move_on);
    else
        release(store, op, op->view.own.child);
}

static void after_seeking(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (op->view.twin[0]) pawl__zk_delete(store, op->parent, op->view.twin, -1);
    if (!op->view.has_own)
        not_owner(store, op);
    else if (p && strcmp(p->child, op->view.own.child) == 0)
        release(store, op, p->child);
    else
        read_own(store, op, after_reading_released);
}

void pawl__zk_begin_release(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find_live(store, op->token);
    if (p && p->holds) {
        release(store, op, p->child);
        return;
    }
    /* What a lost request did must show, also on a server that is behind. */
    if (!p)
        pawl__zk_op_ask(store, op, PAWL__ZK_ANYTHING, NULL,
                        (pawl__zk_question){.kind = PAWL__ZK_SYNC});
    pawl__zk_list(store, op, after_seeking);
}

/* ---- The store's own: our place of permits may hold now -------------------------------------- */

static pawl__zk_step look_again;

static void end_turn(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_fail_op(store, op, PAWL_FAILED, PAWL_OK, NULL);
}

static void keep_waiting(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p) pawl__zk_place_waits(store, p, &op->view);
    end_turn(store, op);
}

static void after_taking(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p && !note_writing(store, op, &p)) return;
    if (p)
        pawl__zk_say_held(store, op, p);
    else
        end_turn(store, op);
}

static void after_looking(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    bool is_own = p && op->view.has_own && strcmp(op->view.own.child, p->child) == 0;
    if (!is_own || p->holds)
        end_turn(store, op);
    else if (op->view.has_before)
        keep_waiting(store, op);
    else
        pawl__zk_seek_permits(store, op, after_taking, look_again, keep_waiting);
}

static void look_again(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_list(store, op, after_looking);
}

void pawl__zk_begin_turn(pawl_store *store, pawl__zk_place *p)
{
    const pawl_request request = {.verb = PAWL_VERB_ACQUIRE,
                                  .mode = p->want.mode,
                                  .units = p->want.units,
                                  .capacity = p->want.capacity,
                                  .flags = PAWL_ASK_QUEUE,
                                  .name = p->name,
                                  .name_len = p->name_len,
                                  .token = p->token,
                                  .owner = p->owner,
                                  .answer_by = PAWL__NEVER};
    p->takes_turn = pawl__zk_take_turn(store, &request, look_again);
}
