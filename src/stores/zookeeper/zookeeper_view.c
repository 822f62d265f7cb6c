/* SPDX-License-Identifier: MIT */
/*
 * What a list of the children says: who holds, who waits, and for whom ours waits. In the order of
 * their numbers each node holds, as long as it fits beside those before it: the first one, and if
 * it is shared all up to the first that is exclusive; of permits as many as there are. Nodes never
 * change their order and only disappear, so who holds goes on holding. A node of permits that holds
 * by this rule has them only when it has also written which ones (zookeeper_permit.c).
 */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The oldest node of the token. */
static void take_own(pawl__zk_view *view, const pawl__zk_node *node)
{
    bool older = !view->has_own || pawl__zk_is_before(node->number, view->own.number);
    if (view->has_own)
        snprintf(view->twin, sizeof view->twin, "%s", older ? view->own.child : node->child);
    if (older) view->own = *node;
    view->has_own = true;
}

static void take_node(pawl__zk_view *view, const pawl__zk_node *node)
{
    view->count++;
    if (!view->has_first || pawl__zk_is_before(node->number, view->first.number))
        view->first = *node;
    view->has_first = true;
    if (node->want.mode == PAWL_MODE_SHARED) return;
    if (!view->has_writer || pawl__zk_is_before(node->number, view->writer))
        view->writer = node->number;
    view->has_writer = true;
}

bool pawl__zk_is_holder(const pawl__zk_view *view, const pawl__zk_node *node)
{
    if (node->number == view->first.number) return true;
    if (node->want.mode != view->first.want.mode) return false;
    if (node->want.mode == PAWL_MODE_PERMIT)
        return !view->has_cut || pawl__zk_is_before(node->number, view->cut);
    return node->want.mode == PAWL_MODE_SHARED &&
           (!view->has_writer || pawl__zk_is_before(node->number, view->writer));
}

/* ---- Permits ------------------------------------------------------------------------------- */

size_t pawl__zk_slots_list(const pawl__zk_slots *slots, uint16_t ret_list[PAWL_CAPACITY_MAX])
{
    size_t count = 0;
    for (uint16_t slot = 0; slot < PAWL_CAPACITY_MAX; slot++)
        if (pawl__zk_slot(slots, slot)) ret_list[count++] = slot;
    return count;
}

typedef struct item {
    int32_t number;
    pawl__zk_want want;
} item;

static int by_number(const void *left, const void *right)
{
    const item *a = left, *b = right;
    return a->number == b->number ? 0 : pawl__zk_is_before(a->number, b->number) ? -1 : 1;
}

/* Where those begin who do not fit. */
static void cut(pawl__zk_view *view, const item *items, size_t count)
{
    uint32_t capacity = view->first.want.capacity;
    for (size_t i = 0; i < count && !view->has_cut; i++) {
        const pawl__zk_want *want = &items[i].want;
        bool fits = want->mode == PAWL_MODE_PERMIT && want->capacity == capacity &&
                    view->units + want->units <= capacity;
        if (fits) view->units += want->units;
        view->has_cut = !fits;
        view->cut = items[i].number;
    }
}

static bool count_permits(pawl__zk_view *view, const struct String_vector *names)
{
    pawl__zk_node node;
    size_t count = 0;
    if (view->first.want.mode != PAWL_MODE_PERMIT) return true;
    item *items = calloc(view->count, sizeof *items);
    if (!items) return false;
    for (int32_t i = 0; names && i < names->count; i++)
        if (pawl__zk_child_read(names->data[i], &node))
            items[count++] = (item){.number = node.number, .want = node.want};
    qsort(items, count, sizeof *items, by_number);
    cut(view, items, count);
    free(items);
    return true;
}

/* Whether we may have them, by the names: ours is among those that fit, or would come behind them.
 */
static bool permits_fit(const pawl__zk_view *view, const pawl__zk_want *want)
{
    if (view->has_own) return pawl__zk_is_holder(view, &view->own);
    return !view->has_cut && view->units + want->units <= view->first.want.capacity;
}

/* ---- Reading ------------------------------------------------------------------------------- */

static bool goes_beside(pawl_mode one, pawl_mode other)
{
    return one == PAWL_MODE_SHARED && other == PAWL_MODE_SHARED;
}

/* One of those before ours. */
static void pass(pawl__zk_view *view, pawl_mode mode, const pawl__zk_node *node)
{
    if (!pawl__zk_is_holder(view, node)) view->position++;
    if (goes_beside(mode, node->want.mode)) return;
    if (view->has_before && pawl__zk_is_before(node->number, view->before.number)) return;
    view->before = *node;
    view->has_before = true;
}

static void judge(pawl__zk_view *view, const struct String_vector *names, const pawl__zk_want *want)
{
    pawl__zk_node node;
    for (int32_t i = 0; names && i < names->count; i++) {
        if (!pawl__zk_child_read(names->data[i], &node)) continue;
        view->holders += pawl__zk_is_holder(view, &node);
        if (!view->has_own || pawl__zk_is_before(node.number, view->own.number))
            pass(view, want->mode, &node);
    }
    if (!view->has_before || view->first.want.mode != PAWL_MODE_PERMIT) return;
    view->has_before = want->mode != PAWL_MODE_PERMIT || !permits_fit(view, want);
    view->is_next = view->has_before && pawl__zk_is_holder(view, &view->before);
}

pawl_err pawl__zk_view_read(const struct String_vector *names, const char *token,
                            const pawl__zk_want *want, pawl__zk_view *ret_view)
{
    pawl__zk_node node;
    pawl__zk_view *view = ret_view;
    memset(view, 0, sizeof *view);
    for (int32_t i = 0; names && i < names->count; i++) {
        if (strlen(names->data[i]) > PAWL__ZK_CHILD_MAX)
            return PAWL_ERR_WRONG_TYPE; /* nobody makes a node of so long a name for a lock */
        if (!pawl__zk_child_read(names->data[i], &node)) continue;
        if (*token && strcmp(node.token, token) == 0) take_own(view, &node);
        take_node(view, &node);
    }
    if (view->has_first && !count_permits(view, names)) return PAWL_ERR_NO_MEMORY;
    judge(view, names, view->has_own ? &view->own.want : want);
    return PAWL_OK;
}

static bool is_asked(const pawl__zk_view *view, const pawl__zk_node *node)
{
    bool before = !view->has_own || pawl__zk_is_before(node->number, view->own.number);
    return before && pawl__zk_is_holder(view, node);
}

bool pawl__zk_holders_read(const struct String_vector *names, pawl__zk_op *op)
{
    size_t count = op->view.holders;
    free(op->held);
    op->held_count = 0;
    op->held = calloc(count + 1, sizeof *op->held);
    for (int32_t i = 0; op->held && names && i < names->count && op->held_count < count; i++) {
        pawl__zk_node *to = &op->held[op->held_count];
        op->held_count += pawl__zk_child_read(names->data[i], to) && is_asked(&op->view, to);
    }
    return op->held != NULL;
}
