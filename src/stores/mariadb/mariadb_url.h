/* SPDX-License-Identifier: MIT */
/* What a URL asks of the MariaDB store. */
#ifndef PAWL_MARIADB_URL_H
#define PAWL_MARIADB_URL_H

#include "pawl/store.h"

#include <stdatomic.h>

#define PAWL__MARIADB_DATABASE_DEFAULT "pawl"
#define PAWL__MARIADB_NAME_MAX         64 /* characters of a database's name at the server */
#define PAWL__MARIADB_HOSTS_MAX        16

typedef enum pawl__mariadb_tls {
    PAWL__MARIADB_TLS_OFF = 0,
    PAWL__MARIADB_TLS_ON,    /* encrypted; whoever the server is */
    PAWL__MARIADB_TLS_VERIFY /* and it shows a certificate for its name */
} pawl__mariadb_tls;

/* Options that are handed to libmariadb as they are. */
typedef enum pawl__mariadb_word {
    PAWL__MARIADB_SSL_CA = 0,
    PAWL__MARIADB_SSL_CAPATH,
    PAWL__MARIADB_SSL_CERT,
    PAWL__MARIADB_SSL_KEY,
    PAWL__MARIADB_SSL_CRL,
    PAWL__MARIADB_SSL_CIPHER,
    PAWL__MARIADB_TLS_VERSION,
    PAWL__MARIADB_WORD_COUNT
} pawl__mariadb_word;

/* host NULL: the server of this machine, by its socket. */
typedef struct pawl__mariadb_place {
    char *host;
    unsigned port; /* 0: the usual one */
} pawl__mariadb_place;

/* Never changes, and is shared with the thread that connects: freed by whoever gives it up last. */
typedef struct pawl__mariadb_config {
    atomic_int users;
    char *user, *password; /* NULL: none */
    char *password_file;
    char *socket;
    char *words[PAWL__MARIADB_WORD_COUNT];
    pawl__mariadb_tls tls;
    pawl__mariadb_place places[PAWL__MARIADB_HOSTS_MAX];
    size_t place_count; /* at least one */
    char database[PAWL__MARIADB_NAME_MAX + 1];
    char where[200]; /* the database as messages name it: no user, no password */
    int64_t connect_timeout_ms;
} pawl__mariadb_config;

extern const char *const pawl__mariadb_schemes[];
extern const char *const pawl__mariadb_options[];

/* 0 or the error, with one line in reterr_message (PAWL_MESSAGE_MAX bytes). */
int pawl__mariadb_config_new(pawl__mariadb_config **ret_config, const pawl_url *url,
                             int64_t connect_timeout_ms, char *reterr_message);
pawl__mariadb_config *pawl__mariadb_config_ref(pawl__mariadb_config *config);
/* The last one wipes the password. NULL is allowed. */
void pawl__mariadb_config_unref(pawl__mariadb_config *config);

#endif
