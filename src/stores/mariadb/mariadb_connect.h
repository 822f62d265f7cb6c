/* SPDX-License-Identifier: MIT */
/*
 * Connecting. libmariadb looks names up, which blocks, and a server must be greeted, its schema
 * made if it is not there. So one attempt tries all hosts in turn on a detached thread. The attempt
 * struct belongs to both sides; the last one that gives it up frees it. The thread uses nothing
 * else.
 */
#ifndef PAWL_MARIADB_CONNECT_H
#define PAWL_MARIADB_CONNECT_H

#include "mariadb_url.h"

#include <mysql.h>

typedef struct pawl__mariadb_attempt pawl__mariadb_attempt;

/* What a successful attempt brings; whoever takes it owns the connections. */
typedef struct pawl__mariadb_link {
    MYSQL *asker;
    MYSQL *listener;      /* NULL: nobody can wake us */
    char no_push[200];    /* then: why */
    unsigned listener_id; /* its connection at the server */
    bool is_mute;         /* of a failed attempt: the warming up had no answer */
} pawl__mariadb_link;

/* Call it before anything else of libmariadb. */
void pawl__mariadb_library_init(void);

/* NULL: no memory, descriptor or thread for it. client_id is borrowed for the call. warms_up: what
 * requests need is called once before. */
pawl__mariadb_attempt *pawl__mariadb_attempt_start(pawl__mariadb_config *config,
                                                   const char *client_id, bool warms_up,
                                                   int64_t (*now)(void));
/* Readable when the attempt is over. */
int pawl__mariadb_attempt_fd(const pawl__mariadb_attempt *attempt);
/* It is over: PAWL_OK, or the error and its line (PAWL_MESSAGE_MAX bytes). Ends the attempt. */
pawl_err pawl__mariadb_attempt_take(pawl__mariadb_attempt *attempt, pawl__mariadb_link *ret_link,
                                    char *reterr_message);
/* Nobody waits for it any more; the thread frees what is left. NULL is allowed. */
void pawl__mariadb_attempt_cancel(pawl__mariadb_attempt *attempt);
/* In a forked child, where its thread does not exist. NULL is allowed. */
void pawl__mariadb_attempt_forget(pawl__mariadb_attempt *attempt);

#endif
