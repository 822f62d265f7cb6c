/* SPDX-License-Identifier: MIT */
/*
 * Names of nodes, and what is in them. The layout is that of Curator's InterProcessMutex, so that
 * both exclude each other on one path (Curator's StandardLockInternalsDriver and ProtectedMode):
 *
 *     PREFIX/NAME                               of a lock; a container: it goes when it is empty
 *     PREFIX/NAME/_c_TOKEN-lock-0000000007      of who holds it or waits; the number is ZooKeeper's
 *
 * Curator looks at what stands behind "lock-" alone. A shared lock's node is called as one of its
 * InterProcessReadWriteLock, _c_TOKEN-__READ__0000000007, and with curator=readwrite in the URL an
 * exclusive lock's _c_TOKEN-__WRIT__0000000007: no name is one for both of Curator's classes. pawl
 * takes any of them for what it is. Permits have names of pawl's own, with units and capacity:
 * _c_TOKEN-permit-2x10-0000000007. In the node is one line of pawl's:
 *
 *     pawl1 h|w LIFE_MS SINCE_US OWNER
 *     pawl1 p LIFE_MS SINCE_US SLOTS OWNER
 *
 * h: written as a lease; w: written as a place in the queue; p: as a lease of these permits.
 * LIFE_MS counts from the node's mtime. SLOTS: two hex digits for each eight, the lowest first.
 */
#ifndef PAWL_ZOOKEEPER_NAME_H
#define PAWL_ZOOKEEPER_NAME_H

#include "pawl/store.h"

#include <stdbool.h>

#define PAWL__ZK_OWN_NODES  ".pawl-" /* nodes of PREFIX that are no lock's begin so */
#define PAWL__ZK_PREFIX_MAX 128
#define PAWL__ZK_FOLDER_MAX (PAWL__ZK_PREFIX_MAX + 16)
#define PAWL__ZK_PATH_MAX   (PAWL__ZK_PREFIX_MAX + 1 + 3 * PAWL_NAME_MAX + 1)
#define PAWL__ZK_CHILD_MAX  128
#define PAWL__ZK_FULL_MAX   (PAWL__ZK_PATH_MAX + 1 + PAWL__ZK_CHILD_MAX)
#define PAWL__ZK_SLOT_BYTES (PAWL_CAPACITY_MAX / 8)
#define PAWL__ZK_DATA_MAX   (PAWL_OWNER_MAX + 80 + 2 * PAWL__ZK_SLOT_BYTES)

/* Some permits of a semaphore, a bit for each. */
typedef struct pawl__zk_slots {
    uint8_t bits[PAWL__ZK_SLOT_BYTES];
} pawl__zk_slots;

static inline bool pawl__zk_slot(const pawl__zk_slots *slots, uint32_t slot)
{
    return slots->bits[slot / 8] >> slot % 8 & 1u;
}

static inline void pawl__zk_slot_set(pawl__zk_slots *slots, uint32_t slot)
{
    slots->bits[slot / 8] |= (uint8_t)(1u << slot % 8);
}

/* What a token asks for. */
typedef struct pawl__zk_want {
    pawl_mode mode;
    uint32_t units, capacity; /* PERMIT */
} pawl__zk_want;

/* One node of a lock, as a list of children and a read have shown it. */
typedef struct pawl__zk_node {
    char child[PAWL__ZK_CHILD_MAX + 1];
    int32_t number;
    pawl__zk_want want;
    char token[PAWL_TOKEN_LEN + 1]; /* "": its name is not pawl's */
    /* Of a read. */
    bool ours; /* what is in it was written by pawl */
    bool is_lease;
    bool has_slots;
    int64_t life_ms, since_us;
    int64_t created, changed; /* zxids */
    int64_t changed_ms;       /* by the leader's clock */
    int64_t session;          /* 0: it belongs to none */
    int32_t version;
    char owner[PAWL_OWNER_MAX + 1];
    pawl__zk_slots slots; /* if has_slots */
} pawl__zk_node;

/* PREFIX/NAME, or of one node below it; room: PAWL__ZK_PATH_MAX, PAWL__ZK_FULL_MAX. */
void pawl__zk_path_make(char *to, const char *prefix, const char *name, size_t name_len);
void pawl__zk_path_join(char *to, const char *parent, const char *child);
/* The folder of values, and where the value beside a name lies; room: PAWL__ZK_FOLDER_MAX,
 * PAWL__ZK_FULL_MAX. */
void pawl__zk_values_folder(char *to, const char *prefix);
void pawl__zk_value_path_make(char *to, const char *prefix, const char *name, size_t name_len);
/* The name of a child of PREFIX; ret_name has PAWL_NAME_MAX + 1 bytes. False: it is none. */
bool pawl__zk_name_read(const char *child, char *ret_name, size_t *ret_len);

/* "_c_TOKEN-lock-": ZooKeeper appends the number. read_write: the name of an exclusive one is that
 * of InterProcessReadWriteLock. */
void pawl__zk_child_make(char *to, const char *token, const pawl__zk_want *want, bool read_write);
/* False: it has no number, so it is nobody who holds or waits. */
bool pawl__zk_child_read(const char *child, pawl__zk_node *ret_node);
/* The numbers wrap around. */
bool pawl__zk_is_before(int32_t a, int32_t b);

/* slots: of a lease of permits; else NULL. */
size_t pawl__zk_data_write(char *to, bool is_lease, int64_t life_ms, int64_t since_us,
                           const pawl__zk_slots *slots, const char *owner);
/* Fills in what is in the node. */
void pawl__zk_data_read(const char *data, size_t len, pawl__zk_node *node);

#endif
