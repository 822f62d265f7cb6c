/* SPDX-License-Identifier: MIT */
/*
 * The term: what the live file says about the database beside it, behind its own header.
 *
 * A holder that has the database open does not see at once that the file was removed, moved or
 * replaced; it sees it with its next request. Whoever finds another file in its place must
 * therefore know until when leases of the one before may be believed. That instant stands in the
 * live file: no lease is granted or extended beyond it before it was written there.
 *
 * The order matters. Who grants writes the instant first and then looks whether the
 * database is still in its place; who comes to a new one finds it in place first and then
 * reads. So one of the two sees the other.
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
