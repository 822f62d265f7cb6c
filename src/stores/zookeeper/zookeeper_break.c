/* SPDX-License-Identifier: MIT */
/* The steps of BREAK: of those who hold, the one with that fence is ended. */
#define _GNU_SOURCE
#include "zookeeper_ask.h"

static pawl__zk_step list_and_break;

static void after_breaking(pawl_store *store, pawl__zk_op *op)
{
    if (op->gone)
        list_and_break(store, op);
    else
        pawl__zk_say(store, op, PAWL_RELEASED);
}

static const pawl__zk_node *of_fence(const pawl__zk_op *op)
{
    for (size_t i = 0; i < op->held_count; i++)
        if (op->held[i].ours && (uint64_t)op->held[i].created == op->fence) return &op->held[i];
    return NULL;
}

static void after_seeing(pawl_store *store, pawl__zk_op *op)
{
    const pawl__zk_node *node = of_fence(op);
    if (pawl__zk_ends_others(store, op, list_and_break)) return;
    if (!node) {
        pawl__zk_say(store, op, PAWL_NOT_OWNER);
    } else {
        op->wrote = true;
        pawl__zk_end_node(store, op, node, after_breaking);
    }
}

static void see(pawl_store *store, pawl__zk_op *op)
{
    if (op->held_count == 0) {
        pawl__zk_say(store, op, PAWL_NOT_OWNER);
        return;
    }
    pawl__zk_read_held(store, op, after_seeing);
}

static void list_and_break(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_list(store, op, see);
}

void pawl__zk_begin_break(pawl_store *store, pawl__zk_op *op)
{
    list_and_break(store, op);
}
