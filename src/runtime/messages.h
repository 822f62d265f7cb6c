/* SPDX-License-Identifier: MIT */
/*
 * What a client can tell about its latest trouble.
 *
 * Locking: guarded by the mutex of the gate [m]; `where` is set once.
 */
#ifndef PAWL_RUNTIME_MESSAGES_H
#define PAWL_RUNTIME_MESSAGES_H

#include "pawl/types.h"

#include <stdbool.h>

typedef struct pawl__messages {
    const char *where;             /* [once] the store's URL, without its password */
    char latest[PAWL_MESSAGE_MAX]; /* the latest trouble */
    char reason[PAWL_MESSAGE_MAX]; /* the store's words about reason_err */
    int reason_err;                /* the store's latest error */
} pawl__messages;

/* Keeps a line as the latest trouble. */
void pawl__set_message(pawl__messages *messages, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Keeps the store's words about an error, if only the store can say why it happened. */
void pawl__set_reason(pawl__messages *messages, int err, const char *reason);
/* Whether only the store can say why, and not the caller, the other holders or the clock. */
bool pawl__is_of_store(int err);
/* Writes a line about a store that does not answer; ret_line has PAWL_MESSAGE_MAX bytes. */
void pawl__say_silence(const pawl__messages *messages, char *ret_line);
/* "what: the error's text" into the message for the caller of an open; returns err. what: or NULL.
 */
int pawl__say_error(char *message, int err, const char *what);

#endif
