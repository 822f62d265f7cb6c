/* SPDX-License-Identifier: MIT */
/*
 * pawl, by its public functions.
 *
 * Workloads of its own: cached (a lease that is kept between acquisitions),
 * leases (CLIENTS leases held by one client; what they cost), crowd-NAMES and loops-NAMES (many
 * waiters on one name, or on many; in loops of the program), kinds, readers and wake (shared locks,
 * permits, several names), mix and permits, mix-one and permits-one (names that several hold).
 */
#include <pawl/pawl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"
#include "workloads.h"

static void must(int err, pawl_client *client, const char *what)
{
    if (!err) return;
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(client, err, reason);
    bench_die("pawl: %s: %s", what, reason);
}

static pawl_client *clients[BENCH_CLIENTS_MAX];
static atomic_size_t client_count;

/* So that the last releases are at the store: whoever measures next would wait for these leases. */
static void close_all(void)
{
    for (size_t i = 0; i < BENCH_CLIENTS_MAX && clients[i]; i++) pawl_client_close(clients[i]);
}

static void *pawl_connect(const bench_args *args)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_client *client;
    int err = pawl_client_open(args->url, NULL, &client, message);
    if (err) bench_die("pawl: %s", message);
    size_t at = atomic_fetch_add(&client_count, 1);
    if (at < BENCH_CLIENTS_MAX) clients[at] = client;
    return client;
}

typedef struct handle {
    pawl_client *client;
    pawl_lock *lock;
} handle;

static void *pawl_handle_new(void *client, const char *name)
{
    handle *c = calloc(1, sizeof *c);
    if (!c) bench_die("out of memory");
    c->client = client;
    must(pawl_lock_new(client, name, strlen(name), NULL, &c->lock), client, "new");
    return c;
}

static void pawl_acquire(void *lock)
{
    handle *c = lock;
    must(pawl_lock_acquire(c->lock, PAWL_WAIT_FOREVER), c->client, "acquire");
}

static void pawl_release(void *lock)
{
    handle *c = lock;
    must(pawl_lock_release(c->lock), c->client, "release");
}

static void pawl_release_and_wait(void *lock)
{
    handle *c = lock;
    must(pawl_lock_release_wait(c->lock, PAWL_WAIT_FOREVER), c->client, "release");
}

static bool other(const bench_args *args)
{
    if (strcmp(args->workload, "cached") == 0) {
        workload_cached(args, pawl_connect(args));
        return true;
    }
    if (strcmp(args->workload, "leases") == 0) {
        workload_leases(args, pawl_connect(args));
        return true;
    }
    if (strcmp(args->workload, "kinds") == 0) {
        workload_kinds(args, pawl_connect(args));
        return true;
    }
    if (strcmp(args->workload, "readers") == 0) {
        workload_readers(args);
        return true;
    }
    if (strcmp(args->workload, "wake") == 0) {
        workload_wake(args, pawl_connect(args));
        return true;
    }
    bool permits = strncmp(args->workload, "permits", strlen("permits")) == 0;
    const char *rest = args->workload + strlen(permits ? "permits" : "mix");
    if (permits || strncmp(args->workload, "mix", strlen("mix")) == 0) {
        if (*rest && strcmp(rest, "-one") != 0) return false;
        workload_several(args, permits, *rest != '\0');
        return true;
    }
    int names;
    bool in_loops = strncmp(args->workload, "loops-", strlen("loops-")) == 0;
    if (sscanf(args->workload, in_loops ? "loops-%d" : "crowd-%d", &names) == 1) {
        workload_crowd(args, names, in_loops);
        return true;
    }
    return false;
}

static const bench_driver driver = {
    .name = "pawl",
    .connect = pawl_connect,
    .lock = pawl_handle_new,
    .acquire = pawl_acquire,
    .release = pawl_release,
    .release_and_wait = pawl_release_and_wait,
    .end = close_all,
    .other = other,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
