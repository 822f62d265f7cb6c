/* SPDX-License-Identifier: MIT */
/*
 * The one way into SQLite, and what a fork does to it.
 *
 * A child of fork gets a copy of everything that SQLite remembers: mutexes that some thread of
 * the parent held, and which locks on a database "this process" has. The mutexes would never be
 * given back, and the locks are not the child's: POSIX locks are not inherited. If the child opened
 * the same file beside the copied connections, SQLite would take no locks, since it has some. So
 *
 *   - a fork waits, for a moment, until no thread of ours is inside SQLite;
 *   - a child closes the copies before it opens a database of its own. With the last connection
 *     SQLite forgets the file's locks, too;
 *   - where the fork could not wait so long, or ran no handlers (_Fork, clone), the child is
 *     refused with PAWL_ERR_FORKED: exec gives it a SQLite of its own.
 *
 * The copies are not closed in the handler itself: most children only call exec, and a program
 * that uses SQLite in other threads may have forked while these hold SQLite's mutexes.
 */
#ifndef PAWL_SQLITE_GATE_H
#define PAWL_SQLITE_GATE_H

#include "../../base/list.h"

#include <stdbool.h>

/* A connection, part of its pawl__sqlite_db. */
typedef struct pawl__sqlite_visitor {
    pawl__link in_gate;
} pawl__sqlite_visitor;

/* Closes the copy of a connection in a child. */
typedef void (*pawl__sqlite_abandon)(pawl__sqlite_visitor *copy);

/*
 * Before a store is opened: makes the gate, and closes what a fork has left behind. PAWL_OK, or
 * PAWL_ERR_FORKED with one line in reterr_message (PAWL_MESSAGE_MAX bytes).
 */
int pawl__sqlite_gate_open(pawl__sqlite_abandon abandon, char *reterr_message);

/*
 * In a child: whether the numbers of descriptors that it knows from its parent still are the
 * inherited ones. A daemon closes all of them, and then files of its own may have the same numbers:
 * what its parent's store has is not closed then.
 */
bool pawl__sqlite_gate_has_inherited(void);

/* Around all that calls SQLite. Waits while a fork is under way. */
void pawl__sqlite_gate_enter(void);
void pawl__sqlite_gate_leave(void);

/* Whether a fork waits: whoever waits inside for another process had better come out. */
bool pawl__sqlite_gate_is_wanted(void);

/* Inside the gate: the connection is open; it is closed. */
void pawl__sqlite_gate_add(pawl__sqlite_visitor *visitor);
void pawl__sqlite_gate_remove(pawl__sqlite_visitor *visitor);

#endif
