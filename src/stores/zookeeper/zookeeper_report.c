/* SPDX-License-Identifier: MIT */
/* INSPECT and LIST: the nodes of the names, and what is in them. A sync comes first, so that a
 * server that is behind shows nobody who has gone. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NODES_MAX 20000 /* of one report */
#define SYNCED    1

typedef struct shown_name {
    char name[PAWL_NAME_MAX + 1];
    size_t name_len;
} shown_name;

typedef struct shown_node {
    size_t of; /* the name's index */
    bool gone;
    pawl__zk_node node;
} shown_node;

typedef struct report {
    size_t name_count, node_count, room;
    shown_name *names;
    shown_node *nodes;
    pawl_waiter_info *waiters;
    pawl_holder_info *holders;
    bool failed, too_many;
} report;

static void end_report(pawl_store *store, pawl__zk_op *op)
{
    report *r = op->report;
    (void)store;
    free(r->names);
    free(r->nodes);
    free(r->waiters);
    free(r->holders);
    free(r);
    op->report = NULL;
}

/* ---- Rows ---------------------------------------------------------------------------------- */

static int64_t age_ms(const pawl__zk_node *node)
{
    int64_t us = pawl__zk_wall_us() - node->since_us;
    return us < 0 || node->since_us <= 0 ? 0 : us / 1000;
}

static bool is_there(const pawl_store *store, const shown_node *shown)
{
    return !shown->gone && !pawl__zk_is_gone(store, &shown->node);
}

/* Until somebody ends it it is there. */
static int64_t shown_ms(const pawl_store *store, const pawl__zk_node *node)
{
    int64_t left_ms = pawl__zk_left_ms(store, node);
    return left_ms == 0 ? 1 : left_ms;
}

static const char *owner_of(const pawl__zk_node *node)
{
    return node->ours ? node->owner : "somebody who is not pawl";
}

/* The name is held until the last of them has gone; the other members are those of the latest. */
static void show_holder(const pawl_store *store, const pawl__zk_op *op, const pawl__zk_node *node,
                        pawl_info *info)
{
    const report *r = op->report;
    int64_t left_ms = shown_ms(store, node);
    bool mine = op->token[0] && strcmp(node->token, op->token) == 0;
    bool is_longer = !info->held || left_ms < 0 || left_ms > info->remaining_ms;
    if (is_longer && (!info->held || info->remaining_ms >= 0)) info->remaining_ms = left_ms;
    info->held = true;
    info->foreign = !node->ours;
    info->mine = info->mine || mine;
    info->owner = owner_of(node);
    info->fence = (uint64_t)node->created;
    info->mode = node->want.mode;
    info->capacity = node->want.capacity;
    info->holder_count++;
    if (info->holders_shown == PAWL_HOLDERS_SHOWN_MAX) return;
    r->holders[info->holders_shown++] = (pawl_holder_info){.owner = info->owner,
                                                           .remaining_ms = left_ms,
                                                           .fence = info->fence,
                                                           .mode = node->want.mode,
                                                           .units = node->want.units,
                                                           .mine = mine};
}

static void show_waiter(const pawl_store *store, const pawl__zk_op *op, const pawl__zk_node *node,
                        pawl_info *info)
{
    const report *r = op->report;
    info->waiter_count++;
    if (info->waiters_shown == PAWL_WAITERS_SHOWN_MAX) return;
    r->waiters[info->waiters_shown++] = (pawl_waiter_info){.owner = owner_of(node),
                                                           .age_ms = age_ms(node),
                                                           .place_ms = shown_ms(store, node),
                                                           .mode = node->want.mode,
                                                           .units = node->want.units};
}

/* Whether it fits beside those before it; then it is one of them. */
static bool goes_beside(pawl__zk_want *all, const pawl__zk_want *one)
{
    bool is_first = all->units == 0;
    bool both_read = all->mode == PAWL_MODE_SHARED && one->mode == PAWL_MODE_SHARED;
    if (one->mode == PAWL_MODE_PERMIT && (is_first || all->mode == PAWL_MODE_PERMIT)) {
        if (is_first) *all = (pawl__zk_want){one->mode, 0, one->capacity};
        all->units += one->units;
        return one->capacity == all->capacity && all->units <= all->capacity;
    }
    if (is_first) *all = (pawl__zk_want){one->mode, 1, 0};
    return is_first || both_read;
}

/* `from` to `to`: the nodes of the name, in the order of their numbers. As in zookeeper_view.c the
 * first ones hold. */
static void show(pawl_store *store, pawl__zk_op *op, size_t name, size_t from, size_t to)
{
    report *r = op->report;
    pawl_info info = {.size = sizeof info,
                      .name = r->names[name].name,
                      .name_len = r->names[name].name_len,
                      .owner = "",
                      .holders = r->holders,
                      .waiters = r->waiters};
    bool fits = true;
    pawl__zk_want all = {0};
    for (size_t i = from; i < to; i++) {
        const pawl__zk_node *node = &r->nodes[i].node;
        if (!is_there(store, &r->nodes[i])) continue;
        fits = fits && goes_beside(&all, &node->want);
        if (fits)
            show_holder(store, op, node, &info);
        else
            show_waiter(store, op, node, &info);
    }
    if (info.held || op->verb == PAWL_VERB_INSPECT) store->host->row(store->host, op->id, &info);
}

static int by_name_and_number(const void *left, const void *right)
{
    const shown_node *a = left, *b = right;
    if (a->of != b->of) return a->of < b->of ? -1 : 1;
    if (a->node.number == b->node.number) return 0;
    return pawl__zk_is_before(a->node.number, b->node.number) ? -1 : 1;
}

static void finish(pawl_store *store, pawl__zk_op *op)
{
    report *r = op->report;
    pawl_reply reply = {.id = op->id, .outcome = PAWL_REPORTED, .position = -1, .holder_ms = -1};
    size_t from = 0, to;
    if (r->node_count) qsort(r->nodes, r->node_count, sizeof *r->nodes, by_name_and_number);
    for (size_t name = 0; name < r->name_count; name++, from = to) {
        for (to = from; to < r->node_count && r->nodes[to].of == name;) to++;
        show(store, op, name, from, to);
    }
    pawl__zk_answer_op(store, op, &reply);
}

/* ---- Reading -------------------------------------------------------------------------------- */

static bool has_failed(pawl_store *store, pawl__zk_op *op)
{
    char message[PAWL_MESSAGE_MAX];
    const report *r = op->report;
    if (op->rc != ZOK) {
        snprintf(message, sizeof message, "%.400s: %.100s", op->parent, zerror(op->rc));
        pawl__zk_fail_op(store, op, PAWL_FAILED, pawl__zk_err_of(op->rc), message);
    } else if (r->failed) {
        pawl__zk_fail_op(store, op, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
    } else if (r->too_many) {
        pawl__zk_fail_op(store, op, PAWL_FAILED, PAWL_ERR_STORE_BUSY,
                         "more than 20000 nodes would be shown: ask for a longer prefix");
    } else {
        return false;
    }
    return true;
}

static void go_on(pawl_store *store, pawl__zk_op *op)
{
    if (op->asker.count > 0 || !pawl__zk_is_up(store) || has_failed(store, op)) return;
    op->then(store, op);
}

static void on_node(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    shown_node *shown = &((report *)op->report)->nodes[call->what];
    if (answer->rc == ZOK) {
        pawl__zk_data_read(answer->data, answer->data_len, &shown->node);
        pawl__zk_read_stat(&shown->node, answer->stat);
    } else if (answer->rc == ZNONODE) {
        shown->gone = true;
    } else {
        op->rc = answer->rc;
    }
    go_on(call->store, op);
}

/* Of the sync, and of a look at the clock. */
static void on_nothing(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    if (call->what == SYNCED && answer->rc != ZOK) op->rc = answer->rc;
    go_on(call->store, pawl__container(call->asker, pawl__zk_op, asker));
}

static void read_nodes(pawl_store *store, pawl__zk_op *op)
{
    const report *r = op->report;
    char path[PAWL__ZK_PATH_MAX + 1], full[PAWL__ZK_FULL_MAX + 1];
    op->then = finish;
    for (size_t i = 0; i < r->node_count; i++) {
        const shown_name *name = &r->names[r->nodes[i].of];
        pawl__zk_path_make(path, store->config.prefix, name->name, name->name_len);
        pawl__zk_path_join(full, path, r->nodes[i].node.child);
        pawl__zk_ask(store, &op->asker, &(pawl__zk_question){.kind = PAWL__ZK_GET, .path = full},
                     (int)i, on_node);
    }
    if (r->node_count) pawl__zk_look_at_clock(store, &op->asker, 0, on_nothing);
    go_on(store, op);
}

static void add_node(report *r, size_t of, const pawl__zk_node *node)
{
    if (r->node_count == NODES_MAX) r->too_many = true;
    if (r->too_many || r->failed) return;
    if (r->node_count == r->room) {
        size_t room = r->room ? 2 * r->room : 64;
        shown_node *more = realloc(r->nodes, room * sizeof *more);
        r->failed = !more;
        if (!more) return;
        r->nodes = more;
        r->room = room;
    }
    r->nodes[r->node_count++] = (shown_node){.of = of, .node = *node};
}

static void on_children(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    pawl__zk_node node;
    if (answer->rc != ZOK && answer->rc != ZNONODE) op->rc = answer->rc;
    for (int32_t i = 0; answer->rc == ZOK && i < answer->names->count; i++)
        if (pawl__zk_child_read(answer->names->data[i], &node))
            add_node(op->report, (size_t)call->what, &node);
    go_on(call->store, op);
}

static void list_nodes(pawl_store *store, pawl__zk_op *op)
{
    const report *r = op->report;
    char path[PAWL__ZK_PATH_MAX + 1];
    op->then = read_nodes;
    for (size_t i = 0; i < r->name_count; i++) {
        pawl__zk_path_make(path, store->config.prefix, r->names[i].name, r->names[i].name_len);
        pawl__zk_ask(store, &op->asker,
                     &(pawl__zk_question){.kind = PAWL__ZK_CHILDREN, .path = path}, (int)i,
                     on_children);
    }
    go_on(store, op);
}

/* ---- Names ---------------------------------------------------------------------------------- */

static int by_bytes(const void *left, const void *right)
{
    const shown_name *a = left, *b = right;
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, len);
    if (order != 0 || a->name_len == b->name_len) return order;
    return a->name_len < b->name_len ? -1 : 1;
}

static void on_names(pawl__zk_call *call, const pawl__zk_answer *answer)
{
    pawl__zk_op *op = pawl__container(call->asker, pawl__zk_op, asker);
    report *r = op->report;
    int32_t count = answer->rc == ZOK ? answer->names->count : 0;
    if (answer->rc != ZOK && answer->rc != ZNONODE) op->rc = answer->rc;
    r->names = calloc((size_t)count + 1, sizeof *r->names);
    r->failed = !r->names;
    r->too_many = count > NODES_MAX;
    for (int32_t i = 0; !r->failed && i < count; i++) {
        shown_name *to = &r->names[r->name_count];
        if (!pawl__zk_name_read(answer->names->data[i], to->name, &to->name_len)) continue;
        if (to->name_len < op->name_len || memcmp(to->name, op->name, op->name_len) != 0) continue;
        r->name_count++;
    }
    if (!r->failed && r->name_count) qsort(r->names, r->name_count, sizeof *r->names, by_bytes);
    go_on(call->store, op);
}

void pawl__zk_begin_report(pawl_store *store, pawl__zk_op *op)
{
    report *r = op->report = calloc(1, sizeof *r);
    op->end_report = end_report;
    if (r) r->waiters = calloc(PAWL_WAITERS_SHOWN_MAX, sizeof *r->waiters);
    if (r) r->holders = calloc(PAWL_HOLDERS_SHOWN_MAX, sizeof *r->holders);
    if (r && op->verb == PAWL_VERB_INSPECT) r->names = calloc(1, sizeof *r->names);
    if (!r || !r->waiters || !r->holders || (op->verb == PAWL_VERB_INSPECT && !r->names)) {
        pawl__zk_fail_op(store, op, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
        return;
    }
    op->then = list_nodes;
    pawl__zk_ask(store, &op->asker,
                 &(pawl__zk_question){.kind = PAWL__ZK_SYNC, .path = store->config.prefix}, SYNCED,
                 on_nothing);
    if (op->verb == PAWL_VERB_INSPECT) {
        r->name_count = 1;
        r->names[0].name_len = op->name_len;
        memcpy(r->names[0].name, op->name, sizeof op->name);
        list_nodes(store, op);
    } else {
        pawl__zk_ask(store, &op->asker,
                     &(pawl__zk_question){.kind = PAWL__ZK_CHILDREN, .path = store->config.prefix},
                     0, on_names);
    }
}
