/* SPDX-License-Identifier: MIT */
/* One real ensemble for a test program, addresses on it, and what a stranger does to it. */
#ifndef PAWL_TESTS_ZOOKEEPER_RIG_H
#define PAWL_TESTS_ZOOKEEPER_RIG_H

#define LONG_MS 20000 /* it fits into a session of the usual time-out */

#include "../support/store_rig.h"
#include "../support/zookeeper_server.h"

/* Ends the program with 77 and the reason if there is no server to start. */
void rig_need_server(void);

/* Of the group: an ensemble and a loop, which the cases share. */
int rig_begin(void **state);
int rig_begin_with(int members);
/* One server, with more lines of its configuration. */
int rig_begin_set(const char *lines);
int rig_end(void **state);
zookeeper_server *rig_server(void);
test_loop *rig_loop(void);

/* The store, at all members. */
store_address rig_address(void);
client *rig_up(const char *owner);

/* A stranger, with a session of its own: the children of a lock's node, as "a b c"; creates one
 * with that text in it; deletes all, or creates one as Curator does. */
const char *rig_children(const char *name);
void rig_delete_all(const char *name);
void rig_create(const char *name, const char *prefix, const char *text);
/* Writes another text into the one that begins so. */
void rig_write(const char *name, const char *prefix, const char *text);
/* Takes from everybody the right to read the node at that path, or gives it back. */
void rig_hide(const char *path, bool hide);
/* Ends the client's session, as the servers do when they have not heard of it for too long. */
void rig_end_session(client *c);

/* A process of its own, in a session of so many ms, asks that, is granted it and is killed; when it
 * had asked. */
int64_t rig_hold_and_die(client *other, const char *session_ms, pawl_request request);

#endif
