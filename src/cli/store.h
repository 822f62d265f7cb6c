/* SPDX-License-Identifier: MIT */
/* Which store, and a client on it. */
#ifndef PAWL_CLI_STORE_H
#define PAWL_CLI_STORE_H

#include "options.h"
#include "pawl/pawl.h"

/* Longest URL that is read from a file. */
#define CLI_URL_MAX   4096
/* A longer place is cut: it is for people. */
#define CLI_WHERE_MAX 256

/* The wait_ms of commands that wait for nothing: a store that refuses the connection is told. */
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
} cli_store;

/*
 * Finds the store: -S, --config, $PAWL_STORE, $PAWL_CONFIG, "sqlite:", in this order. 0,
 * or the exit code after one line about what is wrong.
 */
int cli_store_choose(const cli_common *common, cli_store *ret_store);

/* Whether one of these names a store, so that cli_store_choose would not fall back on "sqlite:". */
bool cli_store_is_named(const cli_common *common);

/*
 * What a command that we run may see as PAWL_STORE. A reference to a file and a
 * URL in which the library hides nothing are passed on as they were given; of any other URL
 * only what the library shows, because the environment of a process is no place for
 * secrets: whoever wants its commands to reach such a store puts the URL into a
 * file and gives "@FILE". NULL: it gets PAWL_CONFIG instead.
 */
const char *cli_store_for_children(const cli_store *store, const pawl_client *client);
/* The configuration that says what is hidden, for PAWL_CONFIG; NULL: PAWL_STORE suffices. */
const char *cli_store_config_for_children(const cli_store *store, const pawl_client *client);

/*
 * Refuses memory: for commands that lock or ask about locks: it is the memory of this very
 * process, so the lock would keep nobody out, and nobody's lock would be seen. 0 or an exit code.
 */
int cli_store_refuse_memory(const cli_store *store);

/* Opens a client. 0, or the exit code after one line about what is wrong. */
int cli_client_open(const cli_common *common, const cli_store *store, pawl_callbacks callbacks,
                    pawl_client **ret_client);

/* All at once, for commands that ask one question about locks and are done. */
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
