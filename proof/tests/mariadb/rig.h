/* SPDX-License-Identifier: MIT */
/* One real server for a test program, addresses on it, and statements of an administrator. */
#ifndef PAWL_TESTS_MARIADB_RIG_H
#define PAWL_TESTS_MARIADB_RIG_H

#include "../support/mariadb_server.h"
#include "../support/store_rig.h"

#include <mysql.h>

/* Ends the program with 77 and the reason if there is no server to start. */
void rig_need_server(void);

/* Of the group: a server, and a loop, which the cases share. */
int rig_begin(void **state);
int rig_begin_with(const char *const *settings); /* of mariadb_server_start */
int rig_end(void **state);
mariadb_server *rig_server(void);
test_loop *rig_loop(void);

/* A database that is not there yet, so that cases do not meet; static storage of the program. */
const char *rig_database(void);
/* The store as root sees it, in that database. */
store_address rig_address(const char *database);

/* Runs a statement as root, and requires that it succeeds; its only value, or "". */
const char *rig_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A connection of root's, for the test to close; and a statement on it. */
MYSQL *rig_connect(void);
const char *rig_run(MYSQL *mysql, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Asks root until the statement's value is this. */
void rig_until(const char *value, const char *sql);

#endif
