/* SPDX-License-Identifier: MIT */
/* Values beside names: PUBLISH and READ (rule 12 of pawl/store.h). */
#ifndef PAWL_SQLITE_VALUE_H
#define PAWL_SQLITE_VALUE_H

#include "sqlite_lease.h"

bool pawl__value_is_asked(const pawl_request *request);

/* The number of bytes that READ needs for what it finds. */
size_t pawl__value_room(const pawl_request *request);

/* PUBLISH, and a READ that watches, inside the open write transaction; an SQLite result. */
int pawl__value_carry_out(pawl__sqlite_db *db, const pawl_request *request, const char *client_id,
                          pawl__outbox *outbox, char *room, pawl__answer *ret_answer);

/* A READ that does not watch, inside any transaction. The result lies in room. */
int pawl__value_read(pawl__sqlite_db *db, const pawl_request *request, char *room,
                     pawl_value *ret_value);

#endif
