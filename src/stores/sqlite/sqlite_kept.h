/* SPDX-License-Identifier: MIT */
/*
 * What a connection knows of the file without reading it: as long as nobody else has committed
 * anything, the row `host` and the row of the name that it worked on last are what they were.
 */
#ifndef PAWL_SQLITE_KEPT_H
#define PAWL_SQLITE_KEPT_H

#include "pawl/store.h"
#include "sqlite_inbox.h"

/* A holder or a waiter: its token, where pushes go, how to see that its process is dead. */
typedef struct pawl__owner {
    char token[PAWL_TOKEN_LEN + 1];
    char client[PAWL__CLIENT_ID_LEN + 1];
    char label[PAWL_OWNER_MAX + 1];
    int64_t live, pid, pid_ns;
} pawl__owner;

typedef struct pawl__lock_row {
    bool held;  /* as the row says: it may have expired, its holder may be dead */
    bool many;  /* the holders are in `hold`: nobody is in this row */
    bool found; /* there is a row */
    pawl__owner owner;
    uint64_t fence;     /* the last one that was drawn; 0: unknown */
    int64_t expires_at; /* many: when it is time to look whether anybody is left */
} pawl__lock_row;

typedef struct pawl__kept {
    bool has_host;         /* the row `host` is known */
    bool has_lock;         /* `lock` is the row of the name, and nobody waits for it */
    unsigned data_version; /* SQLite's, after our last commit */
    size_t name_len;
    char name[PAWL_NAME_MAX];
    pawl__lock_row lock;
} pawl__kept;

#endif
