/* SPDX-License-Identifier: MIT */
/*
 * TLS is a module of its own, pawl-redis-tls.so, loaded for the first rediss:// URL: OpenSSL is
 * large, and programs without TLS should not wait until it is loaded.
 *
 *   redis_tls_load.c   in the store: finds the module and loads it
 *   redis_tls.c        the module: the transport by OpenSSL
 *   redis_tls_words.c  in the module: what each failure means, in a sentence
 */
#ifndef PAWL_REDIS_TLS_H
#define PAWL_REDIS_TLS_H

#include "redis_transport.h"

#define PAWL__REDIS_TLS_MODULE "pawl-redis-tls"
#define PAWL__REDIS_TLS_ABI    2u

/* What a URL asks for. Strings are borrowed while open() runs; NULL if absent. */
typedef struct pawl__redis_tls_wish {
    const char *name; /* the name in the server's certificate: of a host, or an address */
    const char *ca;   /* file or directory; NULL: the system's */
    const char *cert; /* ours, with its chain */
    const char *key;  /* NULL: in the same file */
    bool unverified;
} pawl__redis_tls_wish;

typedef struct pawl__redis_tls_ops {
    unsigned abi;
    const pawl__redis_transport *transport;
    /* The settings for the transport, of one client. NULL, with a line in reterr_message. */
    void *(*open)(const pawl__redis_tls_wish *wish, char *reterr_message, size_t room);
    /* NULL is allowed. No connection uses them any more. */
    void (*close)(void *settings);
} pawl__redis_tls_ops;

/* NULL, with a line in reterr_message, if this installation has no TLS. Never unloaded. */
const pawl__redis_tls_ops *pawl__redis_tls_load(char *reterr_message, size_t room);

#endif
