/* SPDX-License-Identifier: MIT */
/* Used only inside the module pawl-redis-tls.so. */
#ifndef PAWL_REDIS_TLS_INSIDE_H
#define PAWL_REDIS_TLS_INSIDE_H

#include "redis_tls.h"

#include <openssl/ssl.h>

#define PAWL__REDIS_TLS_RECORD 16384 /* bytes of ours in one record at most */

/* Settings of one client. It has one connection after another; the next one resumes the TLS
 * session. */
typedef struct pawl__redis_tls_settings {
    SSL_CTX *context;
    SSL_SESSION *session; /* NULL: none yet */
    char *name;
    bool name_is_address, unverified, has_cert;
} pawl__redis_tls_settings;

typedef struct pawl__redis_tls {
    pawl__redis_carrier carrier;
    pawl__redis_tls_settings *settings;
    SSL *ssl;
    X509 *refused;    /* the certificate that was not accepted; NULL: none */
    int socket_error; /* errno of the latest send or recv that failed */
    bool ended;       /* the other end has closed the socket */
    bool ready;       /* the handshake is over */
} pawl__redis_tls;

/* Notes in the carrier why the latest SSL_... call has failed. */
pawl__redis_carried pawl__redis_tls_explain(pawl__redis_tls *tls);

#endif
