/* SPDX-License-Identifier: MIT */
/* Beego's cache adapters, by name, as stores of pawl. */
#ifndef PAWL_CONFIG_ADAPTER_H
#define PAWL_CONFIG_ADAPTER_H

#include <stdbool.h>

/* A value and where it stands ("conf/app.conf:12", or the name of a JSON field). */
typedef struct pawl__setting {
    const char *value; /* NULL: not given */
    const char *where;
} pawl__setting;

/* What describes a store in Beego's words; borrowed. */
typedef struct pawl__adapter_settings {
    pawl__setting adapter;
    /* redis: host:port, also with redis:// and password@; file: a path; mysql: as Go's driver */
    pawl__setting conn;
    pawl__setting dbnum;    /* redis */
    pawl__setting password; /* redis */
    pawl__setting key;      /* redis: locks are called key:NAME */
    bool skip_empty_prefix; /* redis: an empty key means no prefix */
    const char *dir;        /* file: the directory of its database */
} pawl__adapter_settings;

/*
 * The URL of the store, for free(). Errors: PAWL_ERR_SCHEME (no such adapter),
 * PAWL_ERR_UNSUPPORTED (an adapter that pawl has no store for), PAWL_ERR_OPTION,
 * PAWL_ERR_NO_MEMORY; reterr_message has one line, without secrets.
 */
int pawl__adapter_url(const pawl__adapter_settings *settings, char **ret_url, char *reterr_message);

#endif
