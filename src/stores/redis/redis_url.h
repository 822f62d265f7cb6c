/* SPDX-License-Identifier: MIT */
/* What a URL asks of the Redis store. */
#ifndef PAWL_REDIS_URL_H
#define PAWL_REDIS_URL_H

#include "redis_guard.h"
#include "redis_proto.h"
#include "redis_watch.h"

#define PAWL__REDIS_PORT     6379
#define PAWL__REDIS_DB_MAX   1000000 /* more than any server is configured for */
#define PAWL__REDIS_PATH_MAX 4096
#define PAWL__REDIS_HOST_MAX 255 /* a name that TLS can ask for */

/* Owns its strings. */
typedef struct pawl__redis_config {
    char *user, *password; /* NULL if absent */
    char *password_file;   /* read anew for each connection; NULL if absent */
    bool password_exposed; /* everybody on this machine may read that file */
    char *host;            /* NULL: unix_path */
    char *unix_path;
    char *where;                                  /* the server as messages name it */
    bool tls;                                     /* rediss:// */
    char *tls_ca, *tls_cert, *tls_key, *tls_name; /* NULL if absent */
    bool tls_unverified;
    int port;
    int db;
    char prefix[PAWL__REDIS_PREFIX_MAX + 1];
    int64_t connect_timeout_ms;
    pawl__redis_guard_mode guard;
    int64_t guard_ms;
    pawl__redis_watch_mode watch;
} pawl__redis_config;

extern const char *const pawl__redis_schemes[];
extern const char *const pawl__redis_options[];

/* 0 or the error, with one line in reterr_message (PAWL_MESSAGE_MAX bytes). */
int pawl__redis_config_init(pawl__redis_config *ret_config, const pawl_url *url,
                            int64_t connect_timeout_ms, char *reterr_message);

/* Wipes the password and frees everything. */
void pawl__redis_config_done(pawl__redis_config *config);

#endif
