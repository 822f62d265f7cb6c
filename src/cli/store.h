/* SPDX-License-Identifier: MIT */
/* Finds the store, and opens a client on it. */
#ifndef PAWL_CLI_STORE_H
#define PAWL_CLI_STORE_H

#include "options.h"
#include "pawl/pawl.h"
#include "pawl/trace.h"

/* Longest URL that is read from a file. */
#define CLI_URL_MAX   4096
/* A longer place is cut, because it is only shown to people. */
#define CLI_WHERE_MAX 256

/* The wait_ms of commands that do not wait: they fail at once if the store refuses the connection.
 */
#define CLI_NOT_WAITING 0

/* A store as the user named it. */
typedef struct cli_store {
    const char *given;              /* a URL or "@FILE": -S, $PAWL_STORE, "sqlite:"; or url */
    char absolute[CLI_URL_MAX];     /* what was given, or config, with an absolute path */
    char url[CLI_URL_MAX];          /* the URL itself, with its password if it has one */
    const char *config;             /* the configuration file, if one was read; else NULL */
    char where[CLI_WHERE_MAX];      /* "FILE:LINE: " of the URL if a file gives it; else "" */
    char owner[PAWL_OWNER_MAX + 2]; /* the label that a configuration file gives; else "". Room for
                                       one byte too many, so that it is refused, not cut */
    pawl_trace_fn on_guard; /* hears of the store's restart guard (PAWL_TRACE_GUARD); may be NULL */
    void *guard_userdata;
} cli_store;

/*
 * Finds the store: -S, --config, $PAWL_STORE, $PAWL_CONFIG, "sqlite:", in this order. 0,
 * or the exit code after one line about what is wrong.
 */
int cli_store_choose(const cli_common *common, cli_store *ret_store);

/* Whether one of these names a store, so that cli_store_choose does not use the default "sqlite:".
 */
bool cli_store_is_named(const cli_common *common);

/*
 * The PAWL_STORE of a command that we run. "@FILE", and a URL in which the library hides nothing,
 * are passed on as they were given. Of any other URL only the redacted form is passed on, because
 * an environment is not safe for secrets; to let commands use such a store, put the URL into a file
 * and give "@FILE". NULL: the command gets PAWL_CONFIG instead.
 */
const char *cli_store_for_children(const cli_store *store, const pawl_client *client);
/* The PAWL_CONFIG of such a command, if the URL contains a secret; NULL: PAWL_STORE is enough. */
const char *cli_store_config_for_children(const cli_store *store, const pawl_client *client);

/*
 * Refuses memory: for commands that lock or look at locks. It is the memory of this one process, so
 * a lock would keep nobody out, and no lock of others would be seen. 0 or an exit code.
 */
int cli_store_refuse_memory(const cli_store *store);

/* Opens a client. 0, or the exit code after one line about what is wrong. */
int cli_client_open(const cli_common *common, const cli_store *store, pawl_callbacks callbacks,
                    pawl_client **ret_client);

/* All of this in one call, for commands that ask one question about locks. */
int cli_client_open_simple(const cli_common *common, pawl_client **ret_client);

/*
 * Says why `what` (a verb) failed for a key (NULL: no key) and returns the exit
 * code: cause, store, and the error's name for scripts that look for it.
 */
int cli_fail(const pawl_client *client, const char *what, const char *key, int err);

/* Checks a key before any store is asked. 0 or the exit code after one line. */
int cli_key_check(const char *verb, const char *key);

/* Likewise a ttl. */
int cli_ttl_check(const char *verb, int64_t ttl_ms);

#endif
