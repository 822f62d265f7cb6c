/* SPDX-License-Identifier: MIT */
/* A job belongs to the loop and to its thread: whoever lets go of it last frees it. */
#define _GNU_SOURCE
#include "zookeeper_resolve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define STACK_SIZE (512u * 1024u)
#define ONE_MAX    (INET6_ADDRSTRLEN + 16)

typedef struct job {
    atomic_int users; /* the loop and the thread */
    int ready_fd;     /* readable when the thread is done */
    size_t count;
    pawl__zk_server servers[PAWL__ZK_SERVERS_MAX];
    /* The thread's until ready. */
    char addresses[PAWL__ZK_ADDRESSES_MAX], trouble[PAWL_MESSAGE_MAX];
} job;

struct pawl__zk_lookup {
    struct event ready;
    job *job;
    pawl__zk_lookup_fn done;
    void *ctx;
};

static void let_go(job *j)
{
    if (atomic_fetch_sub_explicit(&j->users, 1, memory_order_acq_rel) != 1) return;
    close(j->ready_fd);
    free(j);
}

/* ---- On the thread -------------------------------------------------------------------------- */

static void add(job *j, const struct addrinfo *at, int port)
{
    char digits[INET6_ADDRSTRLEN], one[ONE_MAX];
    size_t used = strlen(j->addresses);
    if (getnameinfo(at->ai_addr, at->ai_addrlen, digits, sizeof digits, NULL, 0, NI_NUMERICHOST))
        return;
    int n = snprintf(one, sizeof one, "%s%s:%d", used ? "," : "", digits, port);
    if (n > 0 && used + (size_t)n < sizeof j->addresses)
        memcpy(j->addresses + used, one, (size_t)n + 1);
}

static void resolve(job *j, const pawl__zk_server *server)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int status = getaddrinfo(server->host, NULL, &hints, &list);
    if (status) {
        snprintf(j->trouble, sizeof j->trouble, "cannot find %s: %s", server->host,
                 gai_strerror(status));
        return;
    }
    for (const struct addrinfo *at = list; at; at = at->ai_next) add(j, at, server->port);
    freeaddrinfo(list);
}

static void *run(void *arg)
{
    job *j = arg;
    const uint64_t one = 1;
    for (size_t i = 0; i < j->count; i++) resolve(j, &j->servers[i]);
    while (write(j->ready_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
    let_go(j);
    return NULL;
}

/* ---- On the loop ---------------------------------------------------------------------------- */

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    pawl__zk_lookup *lookup = arg;
    job *j = lookup->job;
    uint64_t count;
    (void)what;
    /* Reading pairs with the thread's write: what it stored before is seen. */
    if (read(fd, &count, sizeof count) < 0) return;
    event_del(&lookup->ready);
    bool none = !j->addresses[0];
    lookup->done(j->addresses,
                 !none           ? NULL
                 : j->trouble[0] ? j->trouble
                                 : "no address",
                 lookup->ctx);
    let_go(j);
    free(lookup);
}

static bool start_thread(job *j)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    if (pthread_attr_init(&attributes) != 0) return false;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all); /* signals are the program's business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread, &attributes, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error == 0;
}

static job *new_job(const pawl__zk_config *config)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    atomic_init(&j->users, 2);
    j->count = config->server_count;
    memcpy(j->servers, config->servers, sizeof j->servers);
    j->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (j->ready_fd >= 0) return j;
    free(j);
    return NULL;
}

pawl__zk_lookup *pawl__zk_lookup_start(struct event_base *base, const pawl__zk_config *config,
                                       pawl__zk_lookup_fn done, void *ctx)
{
    pawl__zk_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup) return NULL;
    *lookup = (pawl__zk_lookup){.job = new_job(config), .done = done, .ctx = ctx};
    if (lookup->job) {
        event_assign(&lookup->ready, base, lookup->job->ready_fd, EV_READ | EV_PERSIST, on_ready,
                     lookup);
        if (event_add(&lookup->ready, NULL) == 0 && start_thread(lookup->job)) return lookup;
        event_del(&lookup->ready);
        let_go(lookup->job); /* the thread's share */
        let_go(lookup->job);
    }
    free(lookup);
    return NULL;
}

void pawl__zk_lookup_cancel(pawl__zk_lookup *lookup)
{
    if (!lookup) return;
    event_del(&lookup->ready);
    let_go(lookup->job);
    free(lookup);
}

void pawl__zk_lookup_forget(pawl__zk_lookup *lookup)
{
    if (lookup) close(lookup->job->ready_fd);
}
