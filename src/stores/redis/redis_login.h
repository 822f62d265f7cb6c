/* SPDX-License-Identifier: MIT */
/*
 * Logging in: the words of HELLO, a password that may change, and what the server tells about
 * itself. This file decides and does no I/O; redis_link.c sends, and closes the link.
 */
#ifndef PAWL_REDIS_LOGIN_H
#define PAWL_REDIS_LOGIN_H

#include "redis_proto.h"

/* A password is changed at the server and in the file one after the other; this is the time between
 * the two. */
#define PAWL__REDIS_ROTATION_MS 60000
#define PAWL__REDIS_CLIENT_MAX  80 /* bytes: fits into a line of CLIENT LIST */

/* Whether the server has all names, or shares them with others as a node of a cluster. */
typedef enum pawl__redis_cluster {
    PAWL__REDIS_CLUSTER_NONE = 0,
    PAWL__REDIS_CLUSTER_ASKED,  /* it is a node; the link comes up when it has said of how many */
    PAWL__REDIS_CLUSTER_ALONE,  /* the only one that has names */
    PAWL__REDIS_CLUSTER_UNKNOWN /* this user may not ask */
} pawl__redis_cluster;

typedef struct pawl__redis_logging_in {
    pawl__redis_cluster cluster;
    bool was_in;           /* the file has had the right password before */
    int64_t refused_since; /* instant of the first refusal after that; 0: none */
    bool stale;            /* the file cannot be used now: the earlier password is used */
    bool warned_stale, warned_open;
    /* Why this connection was refused; PAWL_OK: it was not. After a refusal the server is asked
     * what it is. */
    pawl_err refused;
    char message[PAWL_MESSAGE_MAX];
} pawl__redis_logging_in;

/* A new connection: reads the password anew if it comes from a file. */
void pawl__redis_login_begin(pawl_store *store);
/* The link came up. */
void pawl__redis_login_up(pawl_store *store);

/* HELLO, with the login. Borrows the password. */
typedef struct pawl__redis_hello {
    pawl__redis_bytes argv[7];
    size_t argc;
    char name[PAWL__REDIS_CLIENT_MAX + 1];
} pawl__redis_hello;
void pawl__redis_login_encode(const pawl_store *store, pawl__redis_hello *ret_words);

/* The server's text after it refused HELLO, without the secret. */
pawl__redis_bytes pawl__redis_login_censor(const pawl_store *store, pawl__redis_bytes said,
                                           char room[PAWL_MESSAGE_MAX]);
/*
 * Notes that the login was refused for this error. True: ask the server without login what it is,
 * because a Sentinel has users of its own and refuses ours.
 */
PAWL_MUST_USE bool pawl__redis_login_refused(pawl_store *store, pawl_err err, const char *message);

/* The text at a key of HELLO's answer, which is a map; "" if there is none. */
const char *pawl__redis_login_told(const pawl__redis_value *hello, const char *key);
/* HELLO's answer. PAWL_OK, or an error and a line that says why this server is of no use. Notes
 * whether CLUSTER INFO must be asked. */
pawl_err pawl__redis_login_look(pawl_store *store, const pawl__redis_value *hello,
                                char ret_message[PAWL_MESSAGE_MAX]);
/* The same of the answer to CLUSTER INFO. */
pawl_err pawl__redis_login_look_at_cluster(pawl_store *store, const pawl__redis_value *info,
                                           char ret_message[PAWL_MESSAGE_MAX]);

#endif
