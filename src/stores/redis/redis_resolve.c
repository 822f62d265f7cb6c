/* SPDX-License-Identifier: MIT */
/*
 * getaddrinfo blocks, for many seconds if it must, and cannot be interrupted. So
 * it runs on a detached thread with a job that belongs to both sides: whoever
 * lets go of it last frees it. The thread touches nothing else.
 */
#define _GNU_SOURCE
#include "redis_resolve.h"

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

typedef struct job {
    atomic_int users; /* the loop and the thread */
    int ready_fd;     /* readable when the thread is done */
    char *host;
    char port[8];
    int status; /* of getaddrinfo; the thread's until ready */
    pawl__redis_addresses found;
} job;

struct pawl__redis_lookup {
    struct event ready;
    job *job;
    pawl__redis_lookup_fn done;
    void *ctx;
};

static void let_go(job *j)
{
    if (atomic_fetch_sub_explicit(&j->users, 1, memory_order_acq_rel) != 1) return;
    close(j->ready_fd);
    free(j->host);
    free(j);
}

static int resolve(const char *host, const char *port, int flags, pawl__redis_addresses *ret_found)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};
    struct addrinfo *list = NULL;
    int status = getaddrinfo(host, port, &hints, &list);
    if (status != 0) return status;
    ret_found->count = 0;
    for (struct addrinfo *a = list; a && ret_found->count < PAWL__REDIS_ADDRESSES_MAX;
         a = a->ai_next) {
        pawl__redis_address *to = &ret_found->list[ret_found->count++];
        memcpy(&to->address, a->ai_addr, a->ai_addrlen);
        to->len = a->ai_addrlen;
    }
    freeaddrinfo(list);
    return 0;
}

static void *run(void *arg)
{
    job *j = arg;
    const uint64_t one = 1;
    j->status = resolve(j->host, j->port, AI_ADDRCONFIG, &j->found);
    while (write(j->ready_fd, &one, sizeof one) < 0 && errno == EINTR) continue;
    let_go(j);
    return NULL;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    pawl__redis_lookup *lookup = arg;
    job *j = lookup->job;
    uint64_t count;
    (void)what;
    /* Reading pairs with the thread's write: what it stored before is seen. */
    if (read(fd, &count, sizeof count) < 0) return;
    event_del(&lookup->ready);
    const char *trouble = j->status ? gai_strerror(j->status) : NULL;
    if (!trouble && j->found.count == 0) trouble = "no address";
    lookup->done(&j->found, trouble, lookup->ctx);
    let_go(j);
    free(lookup);
}

static int start_thread(job *j)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    (void)pthread_attr_setstacksize(&attributes, STACK_SIZE);
    sigfillset(&all); /* signals are the program's business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, run, j);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

static job *new_job(const char *host, int port)
{
    job *j = calloc(1, sizeof *j);
    if (!j) return NULL;
    atomic_init(&j->users, 2);
    snprintf(j->port, sizeof j->port, "%d", port);
    j->host = strdup(host);
    j->ready_fd = j->host ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (j->ready_fd >= 0) return j;
    int error = j->host ? errno : ENOMEM;
    free(j->host);
    free(j);
    errno = error;
    return NULL;
}

pawl__redis_lookup *pawl__redis_lookup_start(struct event_base *base, const char *host, int port,
                                             pawl__redis_lookup_fn done, void *ctx)
{
    pawl__redis_lookup *lookup = calloc(1, sizeof *lookup);
    if (!lookup) return NULL;
    *lookup = (pawl__redis_lookup){.job = new_job(host, port), .done = done, .ctx = ctx};
    int error = errno;
    if (lookup->job) {
        event_assign(&lookup->ready, base, lookup->job->ready_fd, EV_READ | EV_PERSIST, on_ready,
                     lookup);
        error = event_add(&lookup->ready, NULL) < 0 ? ENOMEM : start_thread(lookup->job);
        if (!error) return lookup;
        event_del(&lookup->ready);
        let_go(lookup->job); /* the thread's share */
        let_go(lookup->job);
    }
    free(lookup);
    errno = error;
    return NULL;
}

void pawl__redis_lookup_cancel(pawl__redis_lookup *lookup)
{
    if (!lookup) return;
    event_del(&lookup->ready);
    let_go(lookup->job);
    free(lookup);
}

void pawl__redis_lookup_forget(pawl__redis_lookup *lookup)
{
    if (!lookup) return;
    close(lookup->job->ready_fd);
    free(lookup->job->host);
    free(lookup->job);
    lookup->job = NULL;
}

bool pawl__redis_parse_address(const char *host, int port, pawl__redis_addresses *ret_found)
{
    char service[8];
    snprintf(service, sizeof service, "%d", port);
    return resolve(host, service, AI_NUMERICHOST | AI_NUMERICSERV, ret_found) == 0;
}
