/* SPDX-License-Identifier: MIT */
/*
 * Who is alive: the lock file `<db>-live`.
 *
 * Each store object keeps an OFD write lock on one random byte of that file for as long as it
 * lives; its rows contain the offset. The kernel releases the lock when the last descriptor is
 * closed, however the process ends. So the owner of a byte that is free is dead, and whoever sees
 * that may take the lease back.
 *
 * That is true only if both use the same file. So the file contains a random id and its own inode
 * number, and the database contains the id to which its offsets belong: a file that was deleted,
 * replaced or copied proves nothing (law 1).
 *
 * A child of fork() shares the descriptor and would keep a dead parent's byte
 * locked: an atfork handler closes it there. Programs started by exec lose
 * it by close-on-exec.
 */
#ifndef PAWL_SQLITE_LIVE_H
#define PAWL_SQLITE_LIVE_H

#include "../../base/list.h"
#include "sqlite_term.h"

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

/* Values in rows that are not offsets. */
#define PAWL__LIVE_DETACHED 0    /* the lease is not tied to any process */
#define PAWL__LIVE_UNKNOWN  (-1) /* tied, but nothing can be proved: only the clock counts */

typedef struct pawl__sqlite_live {
    pthread_mutex_t mutex; /* the worker may re-open while the loop asks */
    pawl__link in_registry;
    int fd;          /* -1: not available */
    int old_fd;      /* its predecessor, whose byte stays locked as long as it is needed */
    int64_t offset;  /* our byte, or PAWL__LIVE_UNKNOWN */
    int64_t file_id; /* -1: none was opened */
} pawl__sqlite_live;

/* Registers the handlers of fork, once; init does it, too. */
void pawl__sqlite_live_start(void);

void pawl__sqlite_live_init(pawl__sqlite_live *live);

struct stat;

/*
 * Opens `path` (a new one gets mode and, if we are root, owner of the database) and locks a byte of
 * our own. If the file does not contain `file_id` it gets a new id: then *ret_file_id differs from
 * file_id, and the caller, which holds the database's write lock, must write the id down and untie
 * all rows. Returns 0, or -1 with errno; then no lease is tied to us, and nobody is found dead.
 */
int pawl__sqlite_live_open(pawl__sqlite_live *live, const char *path, const struct stat *db_stat,
                           int64_t file_id, int64_t *ret_file_id);
/*
 * For a user who may only read the file: opens `path` without a byte of our own, if it contains
 * `file_id`. If not, or if it cannot be read, nobody is found dead. If we have a byte from before,
 * we keep it, and its file.
 */
void pawl__sqlite_live_open_to_look(pawl__sqlite_live *live, const char *path, int64_t file_id);
/*
 * The database names a file that cannot be opened. Then our file proves nothing, and new rows must
 * not contain our byte; earlier rows may, so it stays locked.
 */
void pawl__sqlite_live_lose(pawl__sqlite_live *live);
/* The database names our file: the one before it may be closed. */
void pawl__sqlite_live_drop_previous(pawl__sqlite_live *live);
void pawl__sqlite_live_close(pawl__sqlite_live *live);

/* The contents of the file at `path`, whoever owns it. */
typedef struct pawl__live_look {
    bool unknown;    /* it is there, and cannot be opened or asked */
    int64_t file_id; /* 0: it is absent, or has no id of its own */
    bool anybody;    /* a byte is locked, perhaps ours */
    pawl__term term;
} pawl__live_look;

void pawl__sqlite_live_look(const char *path, pawl__live_look *ret_look);

/* Whether the owner of the byte is known to be dead. Any thread. */
bool pawl__sqlite_live_is_dead(pawl__sqlite_live *live, int64_t offset);

#endif
