/* SPDX-License-Identifier: MIT */
/*
 * The term: what the live file says about the database beside it, behind its own header.
 *
 * If the file is removed, moved or replaced, a holder that has the database open sees that only
 * with its next request. So a process that finds another file in its place must know until when
 * leases of the earlier file may be held. The live file contains that instant: no lease is granted
 * or extended beyond it before it is written there.
 *
 * The order matters. A process that grants first writes the instant, then checks that the database
 * is still in its place. A process that opens a new database first finds it in its place, then
 * reads the instant. So one of the two sees the other.
 */
#ifndef PAWL_SQLITE_TERM_H
#define PAWL_SQLITE_TERM_H

#include "sqlite_clock.h"

#include <sys/types.h>

#define PAWL__TERM_AT 48 /* behind the header of the live file */

typedef struct pawl__term {
    ino_t inode;      /* of the database; 0: there is no term */
    int64_t until;    /* the last instant of a lease that is tied to a process; 0: none */
    int64_t detached; /* and of one that is not */
    char boot[PAWL__BOOT_ROOM];
} pawl__term;

void pawl__term_read(int live_fd, pawl__term *ret_term);
/* 0 or -1 with errno. */
int pawl__term_write(int live_fd, const pawl__term *term);

#endif
