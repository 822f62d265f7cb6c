/* SPDX-License-Identifier: MIT */
/* What a URL asks of the PostgreSQL store. */
#ifndef PAWL_POSTGRES_URL_H
#define PAWL_POSTGRES_URL_H

#include "pawl/store.h"

#define PAWL__POSTGRES_SCHEMA_DEFAULT "pawl"
#define PAWL__POSTGRES_NAME_MAX       63 /* bytes of an identifier at the server */
#define PAWL__POSTGRES_HOSTS_MAX      16
#define PAWL__POSTGRES_WORDS_MAX      (PAWL_URL_OPTIONS_MAX + 8)

/* One place to connect to. NULL: libpq's own choice (a service, PGHOST, the usual socket). */
typedef struct pawl__postgres_place {
    char *host, *port;
} pawl__postgres_place;

/* Owns its strings. */
typedef struct pawl__postgres_config {
    /* For PQconnectStartParams, without host and port; both end with NULL. */
    char *keywords[PAWL__POSTGRES_WORDS_MAX + 1], *values[PAWL__POSTGRES_WORDS_MAX + 1];
    size_t word_count;
    pawl__postgres_place places[PAWL__POSTGRES_HOSTS_MAX];
    size_t place_count; /* at least one */
    char schema[PAWL__POSTGRES_NAME_MAX + 1];
    char where[200]; /* the database as messages name it: no user, no password */
    int64_t connect_timeout_ms;
} pawl__postgres_config;

extern const char *const pawl__postgres_schemes[];
extern const char *const pawl__postgres_options[];

/*
 * 0 or the error, with one line in reterr_message (PAWL_MESSAGE_MAX bytes). `owner` is who the
 * connections belong to, for the list of them at the server.
 */
int pawl__postgres_config_init(pawl__postgres_config *ret_config, const pawl_url *url,
                               const char *owner, int64_t connect_timeout_ms, char *reterr_message);
/* A copy; false when out of memory, and then there is nothing to free. */
PAWL_MUST_USE bool pawl__postgres_config_copy(pawl__postgres_config *ret_copy,
                                              const pawl__postgres_config *config);
/* Wipes the password and frees everything. */
void pawl__postgres_config_done(pawl__postgres_config *config);

#endif
