/* SPDX-License-Identifier: MIT */
/*
 * PUBLISH and READ: a value beside a name (rule 12 of pawl/store.h), in a node of its own
 * (zookeeper_written.h). It is written in one step with the proof that the holder's node is there,
 * and only over what was read before: of two that publish at once the later one reads again.
 */
#define _GNU_SOURCE
#include "zookeeper_ask.h"
#include "zookeeper_written.h"

#include <stdlib.h>
#include <string.h>

static void end_value(pawl_store *store, pawl__zk_op *op)
{
    (void)store;
    free(op->report);
    op->report = NULL;
}

static pawl__zk_value *new_value(pawl_store *store, pawl__zk_op *op)
{
    if (!op->report) op->report = calloc(1, sizeof(pawl__zk_value));
    op->end_report = end_value;
    if (!op->report) pawl__zk_fail_op(store, op, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
    return op->report;
}

static void on_value(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    pawl__zk_value_read(op->report, answer);
    pawl__zk_op_answered(call->store, op, answer->rc);
}

static void on_nothing(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op_answered(call->store, pawl__container(call->asker, pawl__zk_op, asker), answer->rc);
}

static void ask_at_value(pawl_store *store, pawl__zk_op *op, pawl__zk_question question,
                         void (*answered)(pawl__zk_call *call, const pawl__zk_answer *answer))
{
    char path[PAWL__ZK_FULL_MAX + 1];
    pawl__zk_value_path_make(path, store->config.prefix, op->name, op->name_len);
    question.path = path;
    pawl__zk_ask(store, &op->asker, &question, 0, answered);
}

/* ---- PUBLISH --------------------------------------------------------------------------------- */

static void tell_published(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_value *v = op->report;
    pawl_reply reply = {.id = op->id,
                        .outcome = PAWL_CONFIRMED,
                        .fence = (uint64_t)v->fence_of_us,
                        .position = -1,
                        .holder_ms = -1};
    pawl__zk_answer_op(store, op, &reply);
}

static void after_publishing(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_value *v = op->report;
    bool sweeps = !op->gone && !v->fence; /* a new one */
    if (op->gone)
        pawl__zk_begin_publish(store, op);
    else
        tell_published(store, op);
    if (sweeps) pawl__zk_sweep(store);
}

static void on_published(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    op->gone = answer->rc != ZOK; /* our node, or the value has changed */
    pawl__zk_op_answered(call->store, op, answer->rc);
}

/* The first value of the name, or of all: an empty node, which is no value yet. */
static void create_node(pawl_store *store, pawl__zk_op *op)
{
    char folder[PAWL__ZK_FOLDER_MAX + 1];
    pawl__zk_values_folder(folder, store->config.prefix);
    op->then = pawl__zk_begin_publish;
    pawl__zk_ask(store, &op->asker,
                 &(pawl__zk_question){
                     .kind = PAWL__ZK_CREATE, .path = folder, .data = "", .mode = ZOO_CONTAINER},
                 0, on_nothing);
    ask_at_value(store, op,
                 (pawl__zk_question){.kind = PAWL__ZK_CREATE, .data = "", .mode = ZOO_PERSISTENT},
                 on_nothing);
}

/* Our lease among those that are remembered; NULL: there are too many. */
static pawl__zk_published *remembered(pawl__zk_value *v, int32_t number)
{
    size_t living = 0;
    for (size_t i = 0; i < v->lease_count; i++)
        if (v->leases[i].lives) v->leases[living++] = v->leases[i];
    v->lease_count = living;
    for (size_t i = 0; i < living; i++)
        if (v->leases[i].created == v->fence_of_us) return &v->leases[i];
    if (living == PAWL__ZK_LEASES_MAX) return NULL;
    v->leases[v->lease_count] = (pawl__zk_published){.created = v->fence_of_us, .number = number};
    return &v->leases[v->lease_count++];
}

static void put_value(pawl_store *store, pawl__zk_op *op)
{
    char text[PAWL__ZK_WRITTEN_MAX], own[PAWL__ZK_FULL_MAX + 1];
    pawl__zk_value *v = op->report;
    if (!v->is_there) {
        create_node(store, op);
        return;
    }
    pawl__zk_published *ours = remembered(v, op->view.own.number);
    if (!ours) {
        pawl__zk_fail(store, op, PAWL_ERR_STORE_FULL, "more than 128 holders of this name publish");
        return;
    }
    if (op->publication && op->publication <= ours->publication) {
        tell_published(store, op); /* it came late, or again */
        return;
    }
    ours->publication = op->publication;
    pawl__zk_path_join(own, op->parent, op->view.own.child);
    op->then = after_publishing;
    op->wrote = true;
    ask_at_value(store, op,
                 (pawl__zk_question){.kind = PAWL__ZK_SET_IF,
                                     .data = text,
                                     .data_len = pawl__zk_value_write(op, v, text),
                                     .version = v->version,
                                     .provided = own},
                 on_published);
}

/* Our node is one that this store does not know. */
static void after_reading_own(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_node *own = &op->view.own;
    pawl__zk_value *v = op->report;
    bool holds = !op->gone && own->ours && pawl__zk_left_ms(store, own) > 0 &&
                 (own->want.mode != PAWL_MODE_PERMIT || own->has_slots);
    if (!holds) {
        pawl__zk_say(store, op, PAWL_NOT_OWNER);
        return;
    }
    v->fence_of_us = own->created;
    put_value(store, op);
}

static void after_looking(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    const pawl__zk_view *view = &op->view;
    pawl__zk_value *v = op->report;
    if (!view->has_own || view->has_before) {
        pawl__zk_say(store, op, PAWL_NOT_OWNER);
    } else if (p && p->holds && strcmp(p->child, view->own.child) == 0) {
        v->fence_of_us = (int64_t)p->fence;
        put_value(store, op);
    } else {
        op->then = after_reading_own;
        pawl__zk_read_node(store, op, PAWL__ZK_OWN, &view->own);
        pawl__zk_op_clock(store, op);
    }
}

/* Behind the value, so that whose lease is not in the list has gone for good. */
static void on_names(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    pawl__zk_value *v = op->report;
    pawl__zk_node node;
    const struct String_vector *names = answer->rc == ZOK ? answer->names : NULL;
    op->trouble = pawl__zk_view_read(names, op->token, &op->want, &op->view);
    for (size_t i = 0; i < v->lease_count; i++) v->leases[i].lives = false;
    for (int32_t n = 0; names && v->lease_count && n < names->count; n++) {
        if (!pawl__zk_child_read(names->data[n], &node)) continue;
        for (size_t i = 0; i < v->lease_count; i++)
            if (v->leases[i].number == node.number) v->leases[i].lives = true;
    }
    pawl__zk_op_answered(call->store, op, answer->rc);
}

/* Who holds goes on holding as long as its node is there: so that alone has to be true when the
 * value is written. */
void pawl__zk_begin_publish(pawl_store *store, pawl__zk_op *op)
{
    bool is_known = pawl__zk_place_find_live(store, op->token) != NULL;
    if (!new_value(store, op) || !pawl__zk_may_go_on(store, op)) return;
    op->then = after_looking;
    if (!is_known) /* another client's lease must show, also on a server that is behind */
        ask_at_value(store, op, (pawl__zk_question){.kind = PAWL__ZK_SYNC}, on_nothing);
    ask_at_value(store, op, (pawl__zk_question){.kind = PAWL__ZK_GET}, on_value);
    pawl__zk_ask(store, &op->asker,
                 &(pawl__zk_question){.kind = PAWL__ZK_CHILDREN, .path = op->parent}, 0, on_names);
}

/* ---- READ ------------------------------------------------------------------------------------ */

static void tell_value(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_value *v = op->report;
    pawl_value told = {
        .bytes = "", .owner = "", .now_us = pawl__zk_time_ms(store) * PAWL__ZK_US_PER_MS};
    if (!pawl__zk_value_is_over(store, v))
        told = (pawl_value){.bytes = v->bytes,
                            .len = v->len,
                            .fence = v->fence,
                            .at_us = v->at_us,
                            .now_us = told.now_us < v->at_us ? v->at_us : told.now_us,
                            .owner = v->owner};
    pawl_reply reply = {
        .id = op->id, .outcome = PAWL_REPORTED, .position = -1, .holder_ms = -1, .value = &told};
    pawl__zk_answer_op(store, op, &reply);
}

/* The sync, so that a server that is behind tells no old value. The watch is set before the value
 * is read. */
void pawl__zk_begin_read(pawl_store *store, pawl__zk_op *op)
{
    if (!new_value(store, op)) return;
    op->then = tell_value;
    ask_at_value(store, op, (pawl__zk_question){.kind = PAWL__ZK_SYNC}, on_nothing);
    pawl_err err = op->flags & PAWL_ASK_WATCH ? pawl__zk_news_watch(store, op) : PAWL_OK;
    if (err) {
        pawl__zk_fail_op(store, op, PAWL_FAILED, err, NULL);
        return;
    }
    ask_at_value(store, op, (pawl__zk_question){.kind = PAWL__ZK_GET}, on_value);
    pawl__zk_op_clock(store, op);
}
