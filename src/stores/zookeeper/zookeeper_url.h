/* SPDX-License-Identifier: MIT */
/* What a URL asks of the ZooKeeper store. */
#ifndef PAWL_ZOOKEEPER_URL_H
#define PAWL_ZOOKEEPER_URL_H

#include "zookeeper_name.h"

#define PAWL__ZK_PORT           2181
#define PAWL__ZK_SERVERS_MAX    16
#define PAWL__ZK_HOST_MAX       255
#define PAWL__ZK_PREFIX_DEFAULT "/pawl"
#define PAWL__ZK_LOGIN_MAX      255
#define PAWL__ZK_SESSION_MS     40000 /* asked for: the longest that a server allows by default */
#define PAWL__ZK_SESSION_MIN_MS 100
#define PAWL__ZK_SESSION_MAX_MS 86400000

typedef struct pawl__zk_server {
    char host[PAWL__ZK_HOST_MAX + 1]; /* IPv6 without brackets */
    int port;
} pawl__zk_server;

typedef struct pawl__zk_config {
    pawl__zk_server servers[PAWL__ZK_SERVERS_MAX];
    size_t server_count;
    char prefix[PAWL__ZK_PREFIX_MAX + 1];   /* "/pawl" */
    char login[2 * PAWL__ZK_LOGIN_MAX + 2]; /* "user:password"; "": none */
    bool read_write; /* exclusive locks are those of InterProcessReadWriteLock */
    int session_ms;
    int64_t connect_timeout_ms;
} pawl__zk_config;

extern const char *const pawl__zk_schemes[];
extern const char *const pawl__zk_options[];

/* 0 or the error, with one line in reterr_message (PAWL_MESSAGE_MAX bytes). */
int pawl__zk_config_init(pawl__zk_config *ret_config, const pawl_url *url,
                         int64_t connect_timeout_ms, char *reterr_message);
/* Wipes the password. */
void pawl__zk_config_done(pawl__zk_config *config);

#endif
