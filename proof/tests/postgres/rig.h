/* SPDX-License-Identifier: MIT */
/* One real server for a test program, addresses on it, and statements of an administrator. */
#ifndef PAWL_TESTS_POSTGRES_RIG_H
#define PAWL_TESTS_POSTGRES_RIG_H

#include "../support/postgres_server.h"
#include "../support/store_rig.h"

#include <libpq-fe.h>

/* Ends the program with 77 and the reason if there is no server to start. */
void rig_need_server(void);

/* Of the group: a loop, which the cases share. */
int rig_begin(void **state);
void rig_begin_with(const char *const *settings); /* of postgres_server_start */
int rig_end(void **state);
postgres_server *rig_server(void);
test_loop *rig_loop(void);

/* A schema that is not there yet, so that cases do not meet; static storage of the program. */
const char *rig_schema(void);
/* The store as the superuser sees it, in that schema (NULL: none is named). */
store_address rig_address(const char *schema);

/* Runs a statement as the superuser, and requires that it succeeds; its only value, or "". */
const char *rig_sql(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A connection of the superuser's, for the test to close. */
PGconn *rig_connect(void);

/* Asks the superuser until the statement's value is this. */
void rig_until(const char *value, const char *sql);

#endif
