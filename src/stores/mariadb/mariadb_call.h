/* SPDX-License-Identifier: MIT */
/*
 * One statement at a time on one connection, by libmariadb's functions that do not block. The
 * thread that connects and the loop both use it; each waits in its own way for what a call waits
 * for.
 */
#ifndef PAWL_MARIADB_CALL_H
#define PAWL_MARIADB_CALL_H

#include "mariadb_error.h"

#include <mysql.h>

typedef struct pawl__mariadb_call {
    MYSQL *mysql; /* NULL: there is no connection */
    enum {
        PAWL__MARIADB_IDLE = 0,
        PAWL__MARIADB_QUERY,
        PAWL__MARIADB_STORE,
        PAWL__MARIADB_NEXT
    } step;
    int waits; /* MYSQL_WAIT_...; 0: it is over */
    int code;  /* what libmariadb's functions have returned */
    MYSQL_RES *latest;
    /* When it is over: the first set of rows, or NULL; and how it failed. */
    MYSQL_RES *rows;
    pawl__mariadb_error error;
} pawl__mariadb_call;

/* The text is borrowed until the call is over. What the call waits for; 0: it is over. */
int pawl__mariadb_call_begin(pawl__mariadb_call *call, const char *sql, size_t len);
int pawl__mariadb_call_go_on(pawl__mariadb_call *call, int happened);
/* Forgets the result. */
void pawl__mariadb_call_clear(pawl__mariadb_call *call);
/* Closes the connection, whatever it is doing. Nothing is sent if it is in the middle of a
 * statement. */
void pawl__mariadb_call_close(pawl__mariadb_call *call);
/* In a forked child: sends nothing on the socket, which belongs to the parent. */
void pawl__mariadb_call_forget(pawl__mariadb_call *call);

/* An error that something else has left in this thread's queue would be taken for that of the next
 * read over TLS, if this finds nothing to read yet. Before each step. */
void pawl__mariadb_clear_errors(void);

/* events of poll(2) for what it waits for, and back. */
short pawl__mariadb_to_poll(int waits);
int pawl__mariadb_of_poll(short events);
void pawl__mariadb_note_error(MYSQL *mysql, pawl__mariadb_error *ret_error);

/* A value of the rows; "" if there is none. */
const char *pawl__mariadb_only(const MYSQL_RES *rows);

#endif
