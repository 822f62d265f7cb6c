/* SPDX-License-Identifier: MIT */
/*
 * What every driver that is written in C shares. A driver teaches one lock to
 * this frame: how to connect, acquire and release. The frame does the rest:
 * starts the clients, watches that never two are inside, measures, prints.
 *
 *     DRIVER URL WORKLOAD CLIENTS SECONDS
 *
 * prints "ready" when all clients are connected and warm, waits for a line on
 * its input, measures, prints one line of JSON, and waits for the end of its
 * input before it disconnects: so the caller can look at the server before and
 * after. CLIENTS is a number of threads, or PROCESSESxTHREADS.
 *
 * Workloads:
 *   pairs    one client acquires and releases                     -> pairs
 *   acquire  the same, but each release is confirmed before the next
 *            acquisition is timed                                 -> acquire_p50_ns
 *   contend  all clients want one name, a connection for each     -> handovers, gap_p50_ns, jain
 *   share    the same, one connection for each process
 *   threads  a name for each thread, one connection for all       -> pairs
 *   mix      all want one lock, each every 20th time to write, else to read (a connection for each;
 *            Redisson's share a client) -> reads, writes, jain_reads, jain_writes, passed_p99: how
 *            many asked after a writer did and got in before it
 *   permits  all want one of 8 permits -> handovers: since this client's last acquisition more than
 *            8 others got in
 *   wakeup   one holds and one waits                              -> wakeup_p50_ns, alone_p50_ns
 *   wire     one pair after the other on each of CLIENTS names, twice, to be recorded: says
 *            "pair" after each and waits for a line
 */
#ifndef BENCH_DRIVER_H
#define BENCH_DRIVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "histogram.h"

#define BENCH_TTL_MS      30000
#define BENCH_CLIENTS_MAX 4096

typedef struct bench_args {
    const char *url;
    const char *workload;
    int processes, threads;
    double seconds;
} bench_args;

/* If the lock fails, functions end the program with a message. */
typedef struct bench_driver {
    const char *name;
    void *(*connect)(const bench_args *args);
    void *(*lock)(void *connection, const char *name); /* a client: its handle for one name */
    void (*acquire)(void *lock);
    void (*release)(void *lock);
    void (*release_and_wait)(
        void *lock); /* releases, waits for the store's word; NULL: release does */
    /* Closes all connections, so that the last releases are at the server. May be NULL. */
    void (*end)(void);
    /* Workloads that only this driver has; prints its own JSON. May be NULL. */
    bool (*other)(const bench_args *args);
} bench_driver;

/* The workload wire. */
_Noreturn void bench_wire(const bench_driver *driver, const bench_args *args);

/* The workload wakeup. */
void bench_wakeup(const bench_driver *driver, const bench_args *args);

/* The main function of a driver. */
int bench_main(const bench_driver *driver, int argc, char **argv);

/* For drivers and their own workloads. */
int64_t bench_now_ns(void); /* CLOCK_MONOTONIC */
void bench_sleep_until(int64_t ns);
int64_t bench_cpu_ns(void); /* of this process: user and system */
_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void bench_say_and_wait(const char *word); /* a line, then a line of input */
void bench_wait_for_go(void);              /* the same with "ready" */
void bench_wait_for_end(void);             /* the end of the input */

/* host and port of redis://HOST:PORT. */
void bench_host_port(const char *url, char ret_host[256], int *ret_port);

/* A token as locks use them: 40 hexadecimal digits and a NUL. */
void bench_token(char ret_token[41]);

#endif
