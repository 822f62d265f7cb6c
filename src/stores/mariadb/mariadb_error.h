/* SPDX-License-Identifier: MIT */
/* What the server's error numbers and libmariadb's own mean for pawl. */
#ifndef PAWL_MARIADB_ERROR_H
#define PAWL_MARIADB_ERROR_H

#include "pawl/store.h"

/* How a statement failed; number 0: it did not. */
typedef struct pawl__mariadb_error {
    unsigned number;
    char state[6]; /* SQLSTATE */
    char text[200];
} pawl__mariadb_error;

typedef struct pawl__mariadb_trouble {
    pawl_err err;
    bool maybe_done;  /* the error came when the request may have been carried out already */
    bool reconnect;   /* this server is not what pawl needs, or is shutting down */
    bool was_stopped; /* in the middle of a transaction, which is still open */
} pawl__mariadb_trouble;

/* What it means, with one line in ret_message (PAWL_MESSAGE_MAX bytes). */
pawl__mariadb_trouble pawl__mariadb_explain(const char *where, const pawl__mariadb_error *error,
                                            char *ret_message);
/* Somebody has ended the statement alone: the connection is as good as before. */
bool pawl__mariadb_was_stopped(const pawl__mariadb_error *error);

#endif
