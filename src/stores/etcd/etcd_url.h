/* SPDX-License-Identifier: MIT */
/* What a URL asks of the etcd store. */
#ifndef PAWL_ETCD_URL_H
#define PAWL_ETCD_URL_H

#include "pawl/store.h"

#define PAWL__ETCD_PORT           2379
#define PAWL__ETCD_ENDPOINTS_MAX  16
#define PAWL__ETCD_ENDPOINT_MAX   300
#define PAWL__ETCD_PREFIX_MAX     128
#define PAWL__ETCD_PREFIX_DEFAULT "pawl/"
#define PAWL__ETCD_LOGIN_MAX      255  /* bytes of a user, and of a password */
#define PAWL__ETCD_TOKEN_MAX      4096 /* bytes of a token that the server gave */
#define PAWL__ETCD_FILE_MAX       1024

typedef struct pawl__etcd_config {
    char endpoints[PAWL__ETCD_ENDPOINTS_MAX][PAWL__ETCD_ENDPOINT_MAX]; /* "http://host:2379" */
    size_t endpoint_count;
    char prefix[PAWL__ETCD_PREFIX_MAX + 1];
    char user[PAWL__ETCD_LOGIN_MAX + 1], password[PAWL__ETCD_LOGIN_MAX + 1];
    char token[PAWL__ETCD_TOKEN_MAX + 1]; /* of the URL; "": none */
    char cacert[PAWL__ETCD_FILE_MAX], cert[PAWL__ETCD_FILE_MAX], key[PAWL__ETCD_FILE_MAX];
    int64_t connect_timeout_ms;
} pawl__etcd_config;

extern const char *const pawl__etcd_schemes[];
extern const char *const pawl__etcd_options[];

/* 0 or the error, with one line in reterr_message (PAWL_MESSAGE_MAX bytes). */
int pawl__etcd_config_init(pawl__etcd_config *ret_config, const pawl_url *url,
                           int64_t connect_timeout_ms, char *reterr_message);
/* Wipes the secrets. */
void pawl__etcd_config_done(pawl__etcd_config *config);

#endif
