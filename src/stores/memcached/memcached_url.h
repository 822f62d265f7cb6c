/* SPDX-License-Identifier: MIT */
/* What a URL asks of the memcached store. */
#ifndef PAWL_MEMCACHED_URL_H
#define PAWL_MEMCACHED_URL_H

#include "pawl/store.h"

#define PAWL__MEMCACHED_PORT           11211
#define PAWL__MEMCACHED_HOST_MAX       255
#define PAWL__MEMCACHED_PREFIX_MAX     64
#define PAWL__MEMCACHED_PREFIX_DEFAULT "pawl:"
#define PAWL__MEMCACHED_LOGIN_MAX      255 /* bytes of a user, and of a password */
#define PAWL__MEMCACHED_GUARD_MS_MIN   10
#define PAWL__MEMCACHED_GUARD_MS       PAWL_TTL_DEFAULT_MS

typedef struct pawl__memcached_config {
    char host[PAWL__MEMCACHED_HOST_MAX + 1]; /* "": a socket's path */
    int port;
    char unix_path[108]; /* as long as the system allows */
    char user[PAWL__MEMCACHED_LOGIN_MAX + 1], password[PAWL__MEMCACHED_LOGIN_MAX + 1];
    char prefix[PAWL__MEMCACHED_PREFIX_MAX + 1];
    bool guard; /* a client that finds the server empty waits for guard_ms */
    int64_t guard_ms;
    int64_t connect_timeout_ms;
    char where[320]; /* the server as messages name it: no user, no password */
} pawl__memcached_config;

extern const char *const pawl__memcached_schemes[];
extern const char *const pawl__memcached_options[];

/* 0 or the error, with one line in reterr_message (PAWL_MESSAGE_MAX bytes). */
int pawl__memcached_config_init(pawl__memcached_config *ret_config, const pawl_url *url,
                                int64_t connect_timeout_ms, char *reterr_message);
/* Wipes the password. */
void pawl__memcached_config_done(pawl__memcached_config *config);

#endif
