/* SPDX-License-Identifier: MIT */
/*
 * What lies in the node of a value, in a folder of its own, because the name's node goes when
 * nobody holds it:
 *
 *     PREFIX/.pawl-values/NAME  =  pawl1 v FENCE KEEP_MS AFTER_US OWNER_LEN LEASES\n
 *                                  then for each of LEASES: CZXID NUMBER PUBLICATION\n
 *                                  then the owner's label and the bytes
 *
 * The leases are those that live and have published: the largest publication of each is remembered.
 * Who publishes leaves out those whose node is gone.
 *
 * When it was published is the node's mtime, the leader's clock, rounded up, but not before
 * AFTER_US: of two values the later one has the later time under another leader, too.
 */
#ifndef PAWL_ZOOKEEPER_WRITTEN_H
#define PAWL_ZOOKEEPER_WRITTEN_H

#include "zookeeper_store.h"

#define PAWL__ZK_LEASES_MAX  128 /* that live and have published beside one name */
#define PAWL__ZK_WRITTEN_MAX (128 + PAWL__ZK_LEASES_MAX * 64 + PAWL_OWNER_MAX + PAWL_STORED_MAX)
#define PAWL__ZK_US_PER_MS   1000

typedef struct pawl__zk_published {
    int64_t created; /* its fence */
    int32_t number;  /* in the node's name */
    bool lives;
    uint64_t publication; /* the largest */
} pawl__zk_published;

/* What lies there, and what becomes of it. */
typedef struct pawl__zk_value {
    bool is_there;       /* its node */
    int32_t version;     /* of its node */
    uint64_t fence;      /* 0: nothing was published */
    int64_t fence_of_us; /* PUBLISH: of our pawl__zk_published */
    int64_t keep_ms, at_us, changed_ms;
    size_t lease_count;
    pawl__zk_published leases[PAWL__ZK_LEASES_MAX];
    char owner[PAWL_OWNER_MAX + 1];
    size_t len;
    char bytes[PAWL_STORED_MAX + 1];
} pawl__zk_value;

/* The answer to a GET; what is nothing of pawl's is no value. */
void pawl__zk_value_read(pawl__zk_value *value, const pawl__zk_answer *answer);
/* The value of a PUBLISH that follows the one that was read. */
size_t pawl__zk_value_write(const pawl__zk_op *op, const pawl__zk_value *before,
                            char ret_text[PAWL__ZK_WRITTEN_MAX]);
bool pawl__zk_value_is_over(const pawl_store *store, const pawl__zk_value *value);
/* It has not been a value for a while. */
bool pawl__zk_value_is_garbage(const pawl_store *store, const pawl__zk_answer *answer);

#endif
