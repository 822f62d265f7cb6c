/* SPDX-License-Identifier: MIT */
/* What a request of one lock asks the server, what is answered, and what it tells the host. */
#define _GNU_SOURCE
#include "zookeeper_ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool pawl__zk_wants_queue(const pawl__zk_op *op)
{
    return op->verb == PAWL_VERB_ACQUIRE && op->flags & PAWL_ASK_QUEUE;
}

bool *pawl__zk_expects_wait(pawl_store *store, const pawl__zk_op *op)
{
    return &store->expects_wait[op->hash % PAWL__ZK_GUESSES];
}

/* ---- Answers to the host -------------------------------------------------------------------- */

static int64_t sooner(const pawl_store *store, int64_t ms, const pawl__zk_node *node)
{
    int64_t left_ms = pawl__zk_left_ms(store, node);
    return left_ms < 0 || (ms >= 0 && ms < left_ms) ? ms : left_ms;
}

/* Until the first of those whom we know ends; negative: never. */
static int64_t holder_ms(const pawl_store *store, const pawl__zk_op *op)
{
    const pawl__zk_view *view = &op->view;
    int64_t ms = pawl__zk_left_ms(store, &view->first);
    for (size_t i = 0; i < op->held_count; i++)
        if (op->held[i].child[0]) ms = sooner(store, ms, &op->held[i]);
    return pawl__zk_is_holder(view, &view->before) ? sooner(store, ms, &view->before) : ms;
}

void pawl__zk_say(pawl_store *store, pawl__zk_op *op, pawl_outcome outcome)
{
    pawl_reply reply = {.id = op->id, .outcome = outcome, .position = -1, .holder_ms = -1};
    const pawl__zk_view *view = &op->view;
    if (outcome == PAWL_QUEUED) {
        reply.fence = (uint64_t)view->first.created;
        reply.position = view->position;
    }
    if (outcome == PAWL_QUEUED || outcome == PAWL_BUSY) reply.holder_ms = holder_ms(store, op);
    if (outcome == PAWL_BUSY)
        reply.message = view->first.ours ? view->first.owner : "somebody who is not pawl";
    pawl__zk_answer_op(store, op, &reply);
}

void pawl__zk_say_held(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p)
{
    pawl_reply reply = {.id = op->id,
                        .outcome = op->verb == PAWL_VERB_RENEW ? PAWL_CONFIRMED : PAWL_GRANTED,
                        .fence = p->fence,
                        .position = -1,
                        .holder_ms = -1,
                        .waiting = op->view.count > op->view.holders};
    uint16_t slots[PAWL_CAPACITY_MAX];
    *pawl__zk_expects_wait(store, op) = reply.waiting;
    reply.slot_count = p->has_slots ? pawl__zk_slots_list(&p->slots, slots) : 0;
    if (reply.slot_count) reply.slots = slots;
    if (op->is_turn)
        pawl__zk_place_granted(store, p, reply.waiting);
    else
        pawl__zk_place_holds(store, p, reply.waiting);
    pawl__zk_answer_op(store, op, &reply);
}

void pawl__zk_fail(pawl_store *store, pawl__zk_op *op, pawl_err err, const char *message)
{
    pawl__zk_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED, err, message);
}

static void fail_by(pawl_store *store, pawl__zk_op *op)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%.400s: %.100s", op->parent, zerror(op->rc));
    pawl__zk_fail(store, op, pawl__zk_err_of(op->rc), message);
}

/* ---- Answers of the server ------------------------------------------------------------------ */

static void take_node(pawl__zk_op *op, pawl__zk_node *node, const pawl__zk_answer *answer)
{
    if (answer->rc == ZNONODE) op->gone = true;
    if (answer->rc != ZOK) return;
    pawl__zk_data_read(answer->data, answer->data_len, node);
    pawl__zk_read_stat(node, answer->stat);
}

/* Who waits for another one goes on waiting when the first one has gone. */
static bool needs_first(const pawl__zk_view *view)
{
    return !view->has_own || view->before.number == view->first.number;
}

/* One that is gone is nobody's. */
static void take_held(pawl__zk_op *op, pawl__zk_node *node, const pawl__zk_answer *answer)
{
    if (answer->rc == ZNONODE) node->child[0] = '\0';
    if (answer->rc != ZOK) return;
    pawl__zk_data_read(answer->data, answer->data_len, node);
    pawl__zk_read_stat(node, answer->stat);
    if (node->number == op->view.first.number) op->view.first = *node;
}

static void take_created(pawl__zk_op *op, const pawl__zk_answer *answer)
{
    if (answer->rc == ZNONODE) op->parentless = true;
    if (answer->rc != ZOK) return;
    const char *slash = strrchr(answer->path, '/');
    op->is_news = slash && pawl__zk_child_read(slash + 1, &op->created);
    if (op->is_news)
        pawl__zk_read_stat(&op->created, answer->stat);
    else
        op->rc = ZAPIERROR;
}

static void take_list(pawl__zk_op *op, const pawl__zk_answer *answer)
{
    const struct String_vector *names = answer->rc == ZOK ? answer->names : NULL;
    op->trouble = pawl__zk_view_read(names, op->token, &op->want, &op->view);
    bool reads = op->verb == PAWL_VERB_BREAK || op->view.first.want.mode == PAWL_MODE_PERMIT;
    op->held_count = 0;
    if (!op->trouble && reads && !pawl__zk_holders_read(names, op))
        op->trouble = PAWL_ERR_NO_MEMORY;
}

static bool is_usual(int rc)
{
    return rc == ZOK || rc == ZNONODE || rc == ZBADVERSION || rc == ZNODEEXISTS;
}

void pawl__zk_op_answered(pawl_store *store, pawl__zk_op *op, int rc)
{
    if (!is_usual(rc) && op->rc == ZOK) op->rc = rc;
    if (op->asker.count > 0) return;
    if (op->trouble)
        pawl__zk_fail(store, op, op->trouble, NULL);
    else if (op->rc != ZOK)
        fail_by(store, op);
    else
        op->then(store, op);
}

static void on_answer(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    pawl_store *store = call->store;
    switch ((pawl__zk_asked)call->what) {
    case PAWL__ZK_CREATED:
        take_created(op, answer);
        break;
    case PAWL__ZK_WRITTEN:
        op->own_gone = answer->rc != ZOK;
        op->is_news = answer->rc == ZOK;
        if (op->is_news) pawl__zk_read_stat(&op->written, answer->stat);
        break;
    case PAWL__ZK_LISTED:
        take_list(op, answer);
        break;
    case PAWL__ZK_FIRST:
        if (answer->rc != ZNONODE || needs_first(&op->view)) take_node(op, &op->view.first, answer);
        break;
    case PAWL__ZK_BEFORE:
        take_node(op, &op->view.before, answer);
        break;
    case PAWL__ZK_OWN:
        take_node(op, &op->view.own, answer);
        break;
    case PAWL__ZK_DELETED:
        op->own_gone = answer->rc != ZOK;
        break;
    case PAWL__ZK_OTHER:
        op->gone = answer->rc != ZOK;
        break;
    case PAWL__ZK_PARENT:
        if (answer->rc == ZNONODE)
            pawl__zk_break(store, PAWL_ERR_UNAVAILABLE, "the node of the URL's path is gone");
        break;
    case PAWL__ZK_ANYTHING:
        break;
    case PAWL__ZK_HELD:
    default:
        take_held(op, &op->held[call->what - PAWL__ZK_HELD], answer);
        break;
    }
    pawl__zk_op_answered(store, op, answer->rc);
}

/* ---- Questions ------------------------------------------------------------------------------ */

void pawl__zk_op_ask(pawl_store *store, pawl__zk_op *op, int what, const char *child,
                     pawl__zk_question question)
{
    char path[PAWL__ZK_FULL_MAX + 1];
    question.path = op->parent;
    if (child) {
        pawl__zk_path_join(path, op->parent, child);
        question.path = path;
    }
    pawl__zk_ask(store, &op->asker, &question, what, on_answer);
}

bool pawl__zk_may_go_on(pawl_store *store, pawl__zk_op *op)
{
    op->gone = op->own_gone = op->parentless = false;
    if (op->rounds++ < PAWL__ZK_ROUNDS_MAX) return true;
    pawl__zk_fail(store, op, PAWL_ERR_STORE_BUSY,
                  "others change this lock's nodes all the time: ask again");
    return false;
}

void pawl__zk_list(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then)
{
    if (!pawl__zk_may_go_on(store, op)) return;
    op->then = then;
    pawl__zk_op_ask(store, op, PAWL__ZK_LISTED, NULL,
                    (pawl__zk_question){.kind = PAWL__ZK_CHILDREN});
}

void pawl__zk_read_node(pawl_store *store, pawl__zk_op *op, int what, const pawl__zk_node *node)
{
    pawl__zk_op_ask(store, op, what, node->child, (pawl__zk_question){.kind = PAWL__ZK_GET});
}

void pawl__zk_op_clock(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_look_at_clock(store, &op->asker, PAWL__ZK_ANYTHING, on_answer);
}

int64_t pawl__zk_life_of(const pawl__zk_op *op, bool is_lease)
{
    return is_lease ? op->ttl_ms : pawl_place_span(op->ttl_ms);
}

void pawl__zk_write_own(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p, bool is_lease)
{
    char data[PAWL__ZK_DATA_MAX];
    is_lease = is_lease || p->has_slots;
    if (op->is_turn) op->ttl_ms = pawl__ms_until(store->host->now(), p->end.at);
    size_t len = pawl__zk_data_write(data, is_lease, pawl__zk_life_of(op, is_lease), p->since_us,
                                     p->has_slots ? &p->slots : NULL, op->owner);
    op->wrote = p->is_written = true;
    op->was_lease = is_lease;
    op->was_place = !is_lease;
    pawl__zk_op_ask(
        store, op, PAWL__ZK_WRITTEN, p->child,
        (pawl__zk_question){.kind = PAWL__ZK_SET, .data = data, .data_len = len, .version = -1});
}

bool pawl__zk_fits_session(const pawl_store *store, int64_t ttl_ms)
{
    return ttl_ms <= store->session_ms / 4 * 3;
}

void pawl__zk_create(pawl_store *store, pawl__zk_op *op, bool is_lease, pawl__zk_step *then)
{
    char data[PAWL__ZK_DATA_MAX], child[PAWL__ZK_CHILD_MAX + 1];
    bool in_session = !(op->flags & PAWL_ASK_DETACHED) && pawl__zk_fits_session(store, op->ttl_ms);
    if (!pawl__zk_may_go_on(store, op)) return;
    size_t len = pawl__zk_data_write(data, is_lease, pawl__zk_life_of(op, is_lease), op->since_us,
                                     NULL, op->owner);
    pawl__zk_child_make(child, op->token, &op->want, store->config.read_write);
    op->then = then;
    op->wrote = true;
    op->was_lease = is_lease;
    op->was_place = !is_lease;
    op->created.child[0] = '\0';
    pawl__zk_op_ask(store, op, PAWL__ZK_CREATED, child,
                    (pawl__zk_question){.kind = PAWL__ZK_CREATE,
                                        .data = data,
                                        .data_len = len,
                                        .mode = in_session ? ZOO_EPHEMERAL_SEQUENTIAL
                                                           : ZOO_PERSISTENT_SEQUENTIAL});
    pawl__zk_op_ask(store, op, PAWL__ZK_LISTED, NULL,
                    (pawl__zk_question){.kind = PAWL__ZK_CHILDREN});
}

void pawl__zk_create_parent(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then)
{
    op->then = then;
    pawl__zk_op_ask(
        store, op, PAWL__ZK_PARENT, NULL,
        (pawl__zk_question){.kind = PAWL__ZK_CREATE, .data = "", .mode = ZOO_CONTAINER});
}

void pawl__zk_end_node(pawl_store *store, pawl__zk_op *op, const pawl__zk_node *node,
                       pawl__zk_step *then)
{
    op->then = then;
    pawl__zk_op_ask(store, op, PAWL__ZK_OTHER, node->child,
                    (pawl__zk_question){.kind = PAWL__ZK_DELETE, .version = node->version});
}

void pawl__zk_read_held(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then)
{
    op->then = then;
    for (size_t i = 0; i < op->held_count; i++)
        pawl__zk_read_node(store, op, PAWL__ZK_HELD + (int)i, &op->held[i]);
    pawl__zk_op_clock(store, op);
    if (op->asker.count == 0) then(store, op);
}

static const pawl__zk_node *over(const pawl_store *store, const pawl__zk_op *op)
{
    for (size_t i = 0; i < op->held_count; i++)
        if (op->held[i].child[0] && pawl__zk_left_ms(store, &op->held[i]) == 0) return &op->held[i];
    return NULL;
}

bool pawl__zk_ends_others(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then)
{
    const pawl__zk_view *view = &op->view;
    const pawl__zk_node *held = over(store, op);
    if (op->gone)
        then(store, op);
    else if (held)
        pawl__zk_end_node(store, op, held, then);
    else if (pawl__zk_left_ms(store, &view->first) == 0)
        pawl__zk_end_node(store, op, &view->first, then);
    else if (view->has_before && view->before.number != view->first.number &&
             pawl__zk_left_ms(store, &view->before) == 0)
        pawl__zk_end_node(store, op, &view->before, then);
    else
        return false;
    return true;
}
