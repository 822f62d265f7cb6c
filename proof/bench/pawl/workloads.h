/* SPDX-License-Identifier: MIT */
#ifndef BENCH_PAWL_WORKLOADS_H
#define BENCH_PAWL_WORKLOADS_H

#include <pawl/pawl.h>

#include "../driver/driver.h"

/* One thread acquires and releases a lease that the client retains. */
void workload_cached(const bench_args *args, pawl_client *client);

/*
 * The client takes CLIENTS leases and keeps them for SECONDS, in which each is renewed
 * once (the ttl is three times that; 10 s for the usual 30 s): the bytes of each, and the
 * CPU that their renewals take.
 */
void workload_leases(const bench_args *args, pawl_client *client);

/*
 * CLIENTS, a connection each, all want all of so many names all the time, by the
 * asynchronous calls: what a hand-over costs when there are many waiters or many names. in_loops:
 * a thread of the program is in pawl_client_wait for each client, and pawl starts none.
 */
void workload_crowd(const bench_args *args, int names, bool in_loops);

/*
 * One client, in turn: pairs of an exclusive lock, of a shared one, of a permit, of three names at
 * once, and of a second reader of the same client. Nanoseconds of each.
 */
void workload_kinds(const bench_args *args, pawl_client *client);

/*
 * PROCESSESxTHREADS readers of one name, and the same threads with an exclusive lock each: pairs
 * per second of all.
 */
void workload_readers(const bench_args *args);

/* A writer before CLIENTS readers, a connection each: from its release until the last is told. */
void workload_wake(const bench_args *args, pawl_client *client);

/*
 * CLIENTS threads want one name, which several may hold. Either every 20th acquisition of each is
 * to write and the others are to read, or it is a semaphore of 8 permits. A connection for each
 * thread, or one client for all of them.
 */
void workload_several(const bench_args *args, bool permits, bool one_client);

size_t bench_resident_bytes(void); /* of this process */

#endif
