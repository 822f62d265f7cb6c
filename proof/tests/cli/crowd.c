/* SPDX-License-Identifier: MIT */
/*
 * A hot store for who watches it: holds LOCKS locks at URL, and WAITERS calls of another client
 * wait for them, in turn. It says "ready" when all of that is so, and ends with its stdin. Leases
 * are so long that none is renewed meanwhile.
 */
#include "check.h"
#include "pawl/pawl.h"

#include <stdio.h>
#include <stdlib.h>

#define TTL_MS  (PAWL_TTL_MAX_MS / 4)
#define CALL_MS 60000
#define ALL_MAX 100000

static pawl_lock *locks[ALL_MAX], *waiters[ALL_MAX];

static pawl_lock *lock_at(pawl_client *client, int number)
{
    char name[32];
    pawl_lock_opts opts;
    pawl_lock *lock = NULL;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = TTL_MS;
    int len = snprintf(name, sizeof name, "crowd:%06d", number);
    CHECK(pawl_lock_new(client, name, (size_t)len, &opts, &lock) == PAWL_OK);
    return lock;
}

static void on_end(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    (void)userdata;
    CHECK(err == PAWL_OK); /* a waiter has no end */
}

typedef struct seen {
    int held;
    size_t waiting;
} seen;

static bool count(const pawl_info *info, void *userdata)
{
    seen *s = userdata;
    s->held += info->held;
    s->waiting += info->waiter_count;
    return true;
}

/* Until the store says that it is so. */
static void await(pawl_client *client, int held, size_t waiting)
{
    for (seen s = {0}; s.held < held || s.waiting < waiting;) {
        s = (seen){0};
        CHECK(pawl_list(client, "crowd:", 6, CALL_MS, count, &s) == PAWL_OK);
    }
}

static pawl_client *open_client(const char *url)
{
    pawl_client *client = NULL;
    CHECK(pawl_client_open(url, NULL, &client, NULL) == PAWL_OK);
    return client;
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    int held = atoi(argv[2]), waiting = atoi(argv[3]);
    CHECK(held > 0 && held <= ALL_MAX && waiting >= 0 && waiting <= ALL_MAX);
    pawl_client *holder = open_client(argv[1]), *waiter = open_client(argv[1]);
    for (int i = 0; i < held; i++) {
        locks[i] = lock_at(holder, i);
        CHECK(pawl_lock_acquire_start(locks[i], CALL_MS, on_end, NULL) == PAWL_OK);
    }
    await(holder, held, 0);
    for (int i = 0; i < waiting; i++) {
        waiters[i] = lock_at(waiter, i % held);
        CHECK(pawl_lock_acquire_start(waiters[i], PAWL_WAIT_FOREVER, on_end, NULL) == PAWL_OK);
    }
    /* Those of one client that want one lock stand in its queue once. */
    await(holder, held, (size_t)(waiting < held ? waiting : held));
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
    }
    _Exit(0); /* the store is thrown away */
}
