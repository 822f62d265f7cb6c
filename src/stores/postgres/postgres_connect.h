/* SPDX-License-Identifier: MIT */
/*
 * Connecting. libpq looks names up, reads the service file, the password file and certificates, and
 * may ask a Kerberos server; each of these blocks. So one attempt tries all hosts in turn on a
 * detached thread. The attempt struct belongs to both sides; the last one that gives it up frees
 * it. The thread uses nothing else.
 */
#ifndef PAWL_POSTGRES_CONNECT_H
#define PAWL_POSTGRES_CONNECT_H

#include "postgres_url.h"

#include <libpq-fe.h>

typedef struct pawl__postgres_attempt pawl__postgres_attempt;

/* Call it before the first attempt of the process: keeps OpenSSL from cleaning up at exit(). */
void pawl__postgres_keep_openssl(void);

/* NULL: no memory, descriptor or thread for it. */
pawl__postgres_attempt *pawl__postgres_attempt_start(const pawl__postgres_config *config,
                                                     int64_t (*now)(void));
/* Readable when the attempt is over. */
int pawl__postgres_attempt_fd(const pawl__postgres_attempt *attempt);
/*
 * It is over: the connection, which is the caller's now, or NULL with the error and its line
 * (PAWL_MESSAGE_MAX bytes). Ends the attempt.
 */
PGconn *pawl__postgres_attempt_take(pawl__postgres_attempt *attempt, pawl_err *ret_err,
                                    char *reterr_message);
/* Nobody waits for it any more; the thread frees what is left. NULL is allowed. */
void pawl__postgres_attempt_cancel(pawl__postgres_attempt *attempt);
/* In a forked child, where its thread does not exist. NULL is allowed. */
void pawl__postgres_attempt_forget(pawl__postgres_attempt *attempt);

#endif
