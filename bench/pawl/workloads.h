/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PAWL_WORKLOADS_H
#define BENCH_PAWL_WORKLOADS_H

#include <pawl/pawl.h>

#include "../driver/driver.h"

/* One thread acquires and releases a lease that the client retains. */
void workload_cached(const bench_args *args, pawl_client *client);

/*
 * The client takes CLIENTS leases and keeps them for SECONDS, in which each is renewed
 * twice (the ttl is one and a half of it; 20 s for the usual 30 s):
 * the bytes of each, and the CPU that their renewals take.
 */
void workload_leases(const bench_args *args, pawl_client *client);

#endif
