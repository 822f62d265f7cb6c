/* SPDX-License-Identifier: MIT */
/* What the steps of ACQUIRE, RENEW, RELEASE and BREAK share. */
#ifndef PAWL_ZOOKEEPER_ASK_H
#define PAWL_ZOOKEEPER_ASK_H

#include "zookeeper_store.h"

typedef enum pawl__zk_asked {
    PAWL__ZK_CREATED = 0,
    PAWL__ZK_WRITTEN, /* our node */
    PAWL__ZK_LISTED,  /* the children */
    PAWL__ZK_FIRST,   /* read */
    PAWL__ZK_BEFORE,
    PAWL__ZK_OWN,
    PAWL__ZK_DELETED,  /* our node */
    PAWL__ZK_OTHER,    /* a node that is over, or broken, was deleted */
    PAWL__ZK_PARENT,   /* the node of the name was created */
    PAWL__ZK_ANYTHING, /* a sync, or a look at the clock */
    PAWL__ZK_HELD      /* and more: read, that node of op->held */
} pawl__zk_asked;

bool pawl__zk_wants_queue(const pawl__zk_op *op);
/* Whether who asks for the name will probably wait, as it was the last time: then its node is
 * created as a place. A wrong guess costs one writing. */
bool *pawl__zk_expects_wait(pawl_store *store, const pawl__zk_op *op);

/* Answers to the host. */
void pawl__zk_say(pawl_store *store, pawl__zk_op *op, pawl_outcome outcome);
void pawl__zk_say_held(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p);
/* Unknown, if anything was written. */
void pawl__zk_fail(pawl_store *store, pawl__zk_op *op, pawl_err err, const char *message);

/* Questions. child NULL: of the name's node itself. */
void pawl__zk_op_ask(pawl_store *store, pawl__zk_op *op, int what, const char *child,
                     pawl__zk_question question);
/* For who asks past that: one was answered so. When all are, it goes on with op->then. */
void pawl__zk_op_answered(pawl_store *store, pawl__zk_op *op, int rc);
/* It goes round too often: others change the name all the time. It has failed then. */
bool pawl__zk_may_go_on(pawl_store *store, pawl__zk_op *op);
void pawl__zk_list(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then);
void pawl__zk_read_node(pawl_store *store, pawl__zk_op *op, int what, const pawl__zk_node *node);
void pawl__zk_op_clock(pawl_store *store, pawl__zk_op *op);
int64_t pawl__zk_life_of(const pawl__zk_op *op, bool is_lease);
void pawl__zk_write_own(pawl_store *store, pawl__zk_op *op, pawl__zk_place *p, bool is_lease);
/* Whether a lease of that ttl is over before its session can be. */
bool pawl__zk_fits_session(const pawl_store *store, int64_t ttl_ms);
void pawl__zk_create(pawl_store *store, pawl__zk_op *op, bool is_lease, pawl__zk_step *then);
/* It goes by itself when it has been empty for a while. */
void pawl__zk_create_parent(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then);
/* A node whose time is over, as it was seen; then all begins again. */
void pawl__zk_end_node(pawl_store *store, pawl__zk_op *op, const pawl__zk_node *node,
                       pawl__zk_step *then);
/* Of the holder, or of who is before us, the time is over: it is deleted. */
bool pawl__zk_ends_others(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then);
/* Reads those of op->held, and the clock. */
void pawl__zk_read_held(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then);

/* ---- zookeeper_permit.c --------------------------------------------------------------------- */

/* Our node fits by its name: reads which permits others have, and writes which are ours. `then`: it
 * is written, or gone. `again`: everything is looked at once more. `waits`: one before ours has not
 * said yet which ones it has; that one is view.before. */
void pawl__zk_seek_permits(pawl_store *store, pawl__zk_op *op, pawl__zk_step *then,
                           pawl__zk_step *again, pawl__zk_step *waits);

#endif
