/* SPDX-License-Identifier: MIT */
/* What the server's error codes and libpq's messages mean for pawl. */
#ifndef PAWL_POSTGRES_ERROR_H
#define PAWL_POSTGRES_ERROR_H

#include "pawl/store.h"

#include <libpq-fe.h>

typedef struct pawl__postgres_trouble {
    pawl_err err;
    bool maybe_done; /* the error came when the request may have been carried out already */
    bool reconnect;  /* this server is not what pawl needs, or is shutting down */
} pawl__postgres_trouble;

/*
 * The server refused a statement: what that means, with one line in ret_message
 * (PAWL_MESSAGE_MAX bytes). `result` has an error.
 */
pawl__postgres_trouble pawl__postgres_explain(const char *where, const PGresult *result,
                                              char *ret_message);
/*
 * A connection was refused: the error, with one line. `said` is libpq's message, in English,
 * verbose.
 */
pawl_err pawl__postgres_explain_refusal(const char *where, const char *said, char *ret_message);
/* The connection broke: libpq's words as one line. */
void pawl__postgres_explain_loss(const char *where, const char *said, char *ret_message);

#endif
