/* SPDX-License-Identifier: MIT */
/* What the command finds in its environment. */
#ifndef PAWL_CLI_RUN_ENV_H
#define PAWL_CLI_RUN_ENV_H

#include <stdbool.h>
#include <stdint.h>

#include "session.h"

typedef struct run_env_opts {
    int64_t ttl_ms;
    int events_fd; /* the number of PAWL_FD; -1: none */
    bool no_token;
} run_env_opts;

/* A new environment: ours, with PAWL_... set. Free with run_env_free; NULL: no memory. */
char **run_env_make(const cli_session *session, const run_env_opts *opts);
void run_env_free(char **env);

/*
 * PAWL_HELD names the locks that our ancestors hold, to distinguish `run K` inside `run K` from a
 * busy lock: waiting for an ancestor would never end. Entries are KEY@STORE, separated by blanks,
 * with unusual bytes as %XX. The first @ of an entry separates the two; an @ in a key is %40.
 */
bool run_env_is_held_by_ancestor(const char *key, const char *store_url);

#endif
