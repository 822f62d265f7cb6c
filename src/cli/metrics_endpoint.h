/* SPDX-License-Identifier: MIT */
/*
 * Metrics over HTTP while a command runs: GET /metrics and nothing else, without TLS and without a
 * password. It is written by hand, because the command starts more often than anything else, and a
 * library for HTTP would make each start slower.
 *
 * It has no thread. One descriptor is readable when there is something to do; a turn does it, never
 * waits, and needs bounded time and memory (law 8). There are no time limits: when all places are
 * taken, whoever came first goes.
 */
#ifndef PAWL_CLI_METRICS_ENDPOINT_H
#define PAWL_CLI_METRICS_ENDPOINT_H

#include "pawl/metrics.h"

#define CLI_ENDPOINT_GUESTS_MAX  8    /* connections at once */
#define CLI_ENDPOINT_REQUEST_MAX 4096 /* bytes of a request's head */

typedef struct cli_endpoint cli_endpoint;

typedef enum cli_endpoint_word {
    CLI_ENDPOINT_FILE,    /* it is no address but a path */
    CLI_ENDPOINT_ADDRESS, /* ":9110", "127.0.0.1:9110", "localhost:9110", "[::1]:9110" */
    CLI_ENDPOINT_NONSENSE /* it has the form of an address, and names none */
} cli_endpoint_word;

/* A word that ends in a colon and digits is an address; a slash makes a path of it. */
cli_endpoint_word cli_endpoint_kind_of(const char *word);

/* Listens there. NULL, after one line: it cannot, and the command does without. */
cli_endpoint *cli_endpoint_open(const char *address, const pawl_metrics *metrics);

/* Readable when a turn has something to do. */
int cli_endpoint_fd(const cli_endpoint *endpoint);

/* Does what can be done without waiting. NULL is allowed. */
void cli_endpoint_turn(cli_endpoint *endpoint);

/* NULL is allowed. Returns NULL. */
cli_endpoint *cli_endpoint_close(cli_endpoint *endpoint);

#endif
