/* SPDX-License-Identifier: MIT */
/*
 * Who is alive: the lock file `<db>-live`.
 *
 * Each store object keeps an OFD write lock on one random byte of that file for
 * as long as it lives; the offset stands in its rows. The kernel drops the lock
 * when the last descriptor goes, however the process ends. So a byte that is
 * free belongs to nobody alive, and whoever sees that may take the lease back.
 *
 * That conclusion is only right about one and the same file. Hence the file carries a
 * random id and its own inode number, and the database says which id its offsets belong
 * to: a file that was deleted, replaced or copied proves nothing about anybody (law 1).
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

/* Offset values in rows that are no offsets. */
#define PAWL__LIVE_DETACHED 0    /* the lease is not tied to any process */
#define PAWL__LIVE_UNKNOWN  (-1) /* tied, but nothing can be proved: only the clock counts */

typedef struct pawl__sqlite_live {
    pthread_mutex_t mutex; /* the worker re-opens while the loop asks */
    pawl__link in_registry;
    int fd;          /* -1: not available */
    int old_fd;      /* its predecessor, whose byte stays locked until that is of no more use */
    int64_t offset;  /* our byte, or PAWL__LIVE_UNKNOWN */
    int64_t file_id; /* -1: none was opened */
} pawl__sqlite_live;

/* Registers the handlers of fork, once; init does it, too. */
void pawl__sqlite_live_start(void);

void pawl__sqlite_live_init(pawl__sqlite_live *live);

struct stat;

/*
 * Opens `path` (a new one gets mode and, if we are root, owner of the database) and locks a byte of
 * our own. If the file does not carry `file_id` it is given a fresh id: *ret_file_id then differs
 * from file_id and the caller, who holds the database's write lock, must write it down and untie
 * all rows. Returns 0 or -1 with errno; then nothing is tied and nobody is found dead.
 */
int pawl__sqlite_live_open(pawl__sqlite_live *live, const char *path, const struct stat *db_stat,
                           int64_t file_id, int64_t *ret_file_id);
/*
 * For one who may only read the file: opens `path` without a byte of our own, if it carries
 * `file_id`. If not, or if it cannot be read, nobody is found dead. A byte that we have from
 * before stays ours, and with it the file.
 */
void pawl__sqlite_live_open_to_look(pawl__sqlite_live *live, const char *path, int64_t file_id);
/*
 * The database names a file that cannot be opened. Ours proves nothing about anybody then, and our
 * byte in it must not stand in new rows; rows of before may, so it stays locked.
 */
void pawl__sqlite_live_lose(pawl__sqlite_live *live);
/* The database is known to name our file: the one before it may go. */
void pawl__sqlite_live_drop_previous(pawl__sqlite_live *live);
void pawl__sqlite_live_close(pawl__sqlite_live *live);

/* What the file at `path` says, whoever it belongs to. */
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
