/* SPDX-License-Identifier: MIT */
/*
 * Counts the requests that clients send to a Redis server: it is between them, and passes
 * everything on. It does not see what scripts call inside the server.
 */
#ifndef PAWL_BENCH_RELAY_H
#define PAWL_BENCH_RELAY_H

#include <stdint.h>

#include "../../../src/cli/store.h"

typedef struct bench_relay bench_relay;

/*
 * A relay to the server of this store; *ret_store is the same store through it.
 * NULL if it has no server whose requests could be counted, or nothing listens there.
 */
bench_relay *bench_relay_open(const cli_store *store, cli_store *ret_store);

/* Requests so far. Any thread. */
uint64_t bench_relay_count(const bench_relay *relay);

bench_relay *bench_relay_close(bench_relay *relay);

#endif
