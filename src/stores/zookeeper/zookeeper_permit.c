/* SPDX-License-Identifier: MIT */
/*
 * Which permits our node has: the lowest that nobody before it has. Names alone do not tell them,
 * as who came first may have gone. So each writes them into its node, and nobody has any before all
 * those before it have written theirs. What is written stays as long as the node: those behind rely
 * on it. Hence also a writing whose answer is lost is repeated with the same ones.
 */
#define _GNU_SOURCE
#include "zookeeper_ask.h"

static bool take_lowest(pawl__zk_slots *taken, const pawl__zk_want *want, pawl__zk_slots *ret_slots)
{
    uint32_t units = want->units;
    *ret_slots = (pawl__zk_slots){0};
    for (uint32_t slot = 0; units > 0 && slot < want->capacity; slot++) {
        if (pawl__zk_slot(taken, slot)) continue;
        pawl__zk_slot_set(ret_slots, slot);
        units--;
    }
    return units == 0;
}

/* The first that has not written yet; NULL: all have, and `taken` is what they have. */
static const pawl__zk_node *owing(const pawl__zk_op *op, pawl__zk_slots *ret_taken)
{
    *ret_taken = (pawl__zk_slots){0};
    for (size_t i = 0; i < op->held_count; i++) {
        const pawl__zk_node *node = &op->held[i];
        if (!node->child[0]) continue;
        if (!node->ours || !node->has_slots) return node;
        for (size_t byte = 0; byte < sizeof ret_taken->bits; byte++)
            ret_taken->bits[byte] |= node->slots.bits[byte];
    }
    return NULL;
}

static void after_reading(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_slots taken;
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (!p) {
        op->again(store, op);
        return;
    }
    if (pawl__zk_ends_others(store, op, op->again)) return;
    const pawl__zk_node *before = owing(op, &taken);
    if (before) {
        op->view.before = *before;
        op->view.is_next = false;
        op->view.has_before = true;
        op->waits(store, op);
    } else if (!p->has_slots &&
               !take_lowest(&taken, &p->want, &p->slots)) { /* somebody has written nonsense */
        pawl__zk_fail(store, op, PAWL_ERR_WRONG_TYPE,
                      "other nodes have more permits than there are");
    } else {
        p->has_slots = true;
        op->then = op->written_them;
        pawl__zk_write_own(store, op, p, true);
    }
}

void pawl__zk_seek_permits(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then,
                           pawl__zk_step *again, pawl__zk_step *waits)
{
    if (!pawl__zk_may_go_on(store, op)) return;
    op->written_them = then;
    op->again = again;
    op->waits = waits;
    pawl__zk_read_held(store, op, after_reading);
}
