/* SPDX-License-Identifier: MIT */
/* One real cluster for a test program, addresses on it, and what a stranger does to it. */
#ifndef PAWL_TESTS_ETCD_RIG_H
#define PAWL_TESTS_ETCD_RIG_H

#include "../support/etcd_server.h"
#include "../support/store_rig.h"

/* Ends the program with 77 and the reason if there is no server to start. */
void rig_need_server(void);

/* Of the group: a cluster and a loop, which the cases share. */
int rig_begin(void **state);
int rig_begin_with(int members);
/* One member, with more arguments; tls as for etcd_server_start_with. */
int rig_begin_one(const char *const *arguments, bool tls);
int rig_end(void **state);
etcd_server *rig_server(void);
test_loop *rig_loop(void);

/* The store, at all members. */
store_address rig_address(void);

/* POSTs to the first member past the store; requires that the answer has that text. */
void rig_command(const char *path, const char *json, const char *expected);
/* From here on the server wants a login; there is root, whose password is "secret". */
void rig_demand_login(void);
void rig_command_as_root(const char *path, const char *json);
/* The name's keys are deleted by a stranger, or their leases revoked. */
void rig_remove(const char *name);
void rig_revoke(const char *name);

#endif
