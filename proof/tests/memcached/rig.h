/* SPDX-License-Identifier: MIT */
/* One real server for a test program, addresses on it, and commands of a stranger. */
#ifndef PAWL_TESTS_MEMCACHED_RIG_H
#define PAWL_TESTS_MEMCACHED_RIG_H

#include "../support/memcached_server.h"
#include "../support/store_rig.h"

/* Ends the program with 77 and the reason if there is no server to start. */
void rig_need_server(void);

/* Of the group: a loop, which the cases share. */
int rig_begin(void **state);
void rig_begin_with(const char *const *arguments); /* of memcached_server_start */
int rig_end(void **state);
memcached_server *rig_server(void);
test_loop *rig_loop(void);

/* The store, at the server's socket or another one, without the guard; or with one of so long. */
store_address rig_address(const char *socket);
store_address rig_guarded(const char *guard_ms);
/* The present item of a lock, by which a stranger reaches it. */
const char *rig_key(const char *name);

/* Sends a command past the store, and requires that the answer begins so. */
void rig_command(const char *expected, const char *command, const char *data);
/* A value as pawl writes it, into the lock's item. */
void rig_put(const char *name, const char *token, uint64_t fence, int seconds);
void rig_remove(const char *name);

/* The one row of an INSPECT. */
const pawl_info *rig_inspect(client *c, const char *name, const char *token);

#endif
