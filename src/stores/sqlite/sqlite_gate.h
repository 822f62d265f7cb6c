/* SPDX-License-Identifier: MIT */
/*
 * The one way into SQLite, and what a fork does to it.
 *
 * A child of fork gets a copy of everything that SQLite remembers: mutexes that a thread of the
 * parent held, and which locks on a database "this process" has. The mutexes would never be
 * released, and the child does not have the locks, because POSIX locks are not inherited. If the
 * child opened the same file while it has the copied connections, SQLite would take no locks,
 * because it believes that it has them. So
 *
 *   - a fork waits, for a moment, until no thread of ours is inside SQLite;
 *   - a child closes the copies before it opens a database of its own. With the last connection
 *     SQLite forgets the file's locks, too;
 *   - if the fork could not wait so long, or ran no handlers (_Fork, clone), the child gets
 *     PAWL_ERR_FORKED; after exec it has an SQLite of its own.
 *
 * The copies are not closed in the handler itself: most children only call exec, and a program that
 * uses SQLite in other threads may have forked while they held SQLite's mutexes.
 */
#ifndef PAWL_SQLITE_GATE_H
#define PAWL_SQLITE_GATE_H

#include "../../base/list.h"

#include <stdbool.h>
#include <sys/types.h>

/* Which file it is, whatever its name. ino 0: not known. */
typedef struct pawl__sqlite_file {
    dev_t dev;
    ino_t ino;
} pawl__sqlite_file;

/* A connection, part of its pawl__sqlite_db. */
typedef struct pawl__sqlite_visitor {
    pawl__link in_gate;
    pawl__sqlite_file file;  /* the database */
    pawl__sqlite_file index; /* FILE-shm, as SQLite has it open */
} pawl__sqlite_visitor;

/* Closes the copy of a connection in a child. */
typedef void (*pawl__sqlite_abandon)(pawl__sqlite_visitor *copy);

/*
 * Call it before a store is opened: makes the gate, and closes the copies that a fork has left.
 * PAWL_OK, or PAWL_ERR_FORKED with one line in reterr_message (PAWL_MESSAGE_MAX bytes).
 */
int pawl__sqlite_gate_open(pawl__sqlite_abandon abandon, char *reterr_message);

/*
 * In a child: whether the descriptor numbers of the parent's store still belong to the inherited
 * files. A daemon closes all descriptors, and its own files may then have the same numbers; so the
 * numbers of the parent's store must not be closed then.
 */
bool pawl__sqlite_gate_has_inherited(void);

/* Call them around everything that calls SQLite. Waits while a fork is under way. */
void pawl__sqlite_gate_enter(void);
/* Enters if that needs no waiting: the thread that a fork waits for must not wait for the fork. */
bool pawl__sqlite_gate_try_enter(void);
void pawl__sqlite_gate_leave(void);

/* Whether a fork waits: a thread that waits inside for another process should leave. */
bool pawl__sqlite_gate_is_wanted(void);

/*
 * Inside the gate: call _add when the connection is open, _remove when it is closed. All
 * connections of a process to one file share one index of its log: a new one gets that of those
 * that are there. If there is none, visitor->index is not known.
 */
void pawl__sqlite_gate_add(pawl__sqlite_visitor *visitor, pawl__sqlite_file file);
/* The index that the first of them has found. */
void pawl__sqlite_gate_note_index(pawl__sqlite_visitor *visitor, pawl__sqlite_file index);
void pawl__sqlite_gate_remove(pawl__sqlite_visitor *visitor);

#endif
