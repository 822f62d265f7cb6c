/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memcached_connect.h"

#include "../../base/instant.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define STACK_SIZE  (512u * 1024u)
#define KEEPALIVE_S 30

struct pawl__memcached_attempt {
    atomic_int users;    /* the loop and the thread */
    atomic_bool ignored; /* nobody waits for it */
    int ready_fd;        /* readable when the thread is done */
    int stop_fd;         /* readable when nobody waits for it */
    char host[PAWL__MEMCACHED_HOST_MAX + 1], port[8], unix_path[108];
    int64_t until;
    int64_t (*now)(void);
    /* The thread's until ready. */
    int fd;
    char why[PAWL_MESSAGE_MAX / 2];
};

static void let_go(pawl__memcached_attempt *a)
{
    if (atomic_fetch_sub_explicit(&a->users, 1, memory_order_acq_rel) != 1) return;
    if (a->fd >= 0) close(a->fd);
    if (a->ready_fd >= 0) close(a->ready_fd);
    if (a->stop_fd >= 0) close(a->stop_fd);
    free(a);
}

static void raise_fd(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

/* ---- On the thread ------------------------------------------------------------------------- */

static void note(pawl__memcached_attempt *a, const char *doing, int error)
{
    snprintf(a->why, sizeof a->why, "%s: %s", doing, strerror(error));
}

/* 0: it is connected; else why not. */
static int await_connection(pawl__memcached_attempt *a, int fd)
{
    int error = 0;
    socklen_t len = sizeof error;
    for (;;) {
        struct pollfd fds[] = {{.fd = fd, .events = POLLOUT}, {.fd = a->stop_fd, .events = POLLIN}};
        int64_t left = pawl__ms_until(a->now(), a->until);
        if (left <= 0 || atomic_load(&a->ignored)) return ETIMEDOUT;
        int n = poll(fds, 2, (int)pawl__instant_min(left, INT32_MAX));
        if (n < 0 && errno != EINTR) return errno;
        if (n > 0 && fds[0].revents) break;
    }
    return getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0 ? errno : error;
}

/* The loss of a silent server is noticed even if nothing is asked. */
static void tune(int fd, int family)
{
    const int yes = 1, idle = KEEPALIVE_S;
    if (family == AF_UNIX) return;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
}

static void try_address(pawl__memcached_attempt *a, const struct sockaddr *address, socklen_t len)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0;
    if (fd < 0) {
        note(a, "no socket", errno);
        return;
    }
    tune(fd, address->sa_family);
    if (connect(fd, address, len) < 0)
        error = errno == EINPROGRESS || errno == EINTR ? await_connection(a, fd) : errno;
    if (!error) {
        a->fd = fd;
        return;
    }
    note(a, "cannot connect", error);
    close(fd);
}

static void try_unix(pawl__memcached_attempt *a)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, a->unix_path, sizeof address.sun_path);
    try_address(a, (const struct sockaddr *)&address, sizeof address);
}

static void try_names(pawl__memcached_attempt *a)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM}, *list = NULL;
    int status = getaddrinfo(a->host, a->port, &hints, &list);
    if (status) {
        snprintf(a->why, sizeof a->why, "cannot find the host: %s", gai_strerror(status));
        return;
    }
    for (struct addrinfo *at = list; at && a->fd < 0 && !atomic_load(&a->ignored); at = at->ai_next)
        try_address(a, at->ai_addr, at->ai_addrlen);
    freeaddrinfo(list);
}

static void *run(void *arg)
{
    pawl__memcached_attempt *a = arg;
    if (a->unix_path[0])
        try_unix(a);
    else
        try_names(a);
    raise_fd(a->ready_fd);
    let_go(a);
    return NULL;
}

/* ---- On the loop --------------------------------------------------------------------------- */

static int start_thread(pawl__memcached_attempt *a)
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
    error = pthread_create(&thread, &attributes, run, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

pawl__memcached_attempt *pawl__memcached_attempt_start(const pawl__memcached_config *config,
                                                       int64_t (*now)(void))
{
    pawl__memcached_attempt *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    atomic_init(&a->users, 2);
    a->fd = -1;
    a->now = now;
    a->until = pawl__instant_add(now(), pawl__ms_to_ns(config->connect_timeout_ms));
    memcpy(a->host, config->host, sizeof a->host);
    memcpy(a->unix_path, config->unix_path, sizeof a->unix_path);
    snprintf(a->port, sizeof a->port, "%d", config->port);
    a->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->ready_fd >= 0 && a->stop_fd >= 0 && start_thread(a) == 0) return a;
    let_go(a); /* the thread's share */
    let_go(a);
    return NULL;
}

int pawl__memcached_attempt_fd(const pawl__memcached_attempt *a)
{
    return a->ready_fd;
}

int pawl__memcached_attempt_take(pawl__memcached_attempt *a, char *reterr_why)
{
    uint64_t count;
    /* Reading pairs with the thread's write: what it stored before is seen. */
    while (read(a->ready_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
    int fd = a->fd;
    a->fd = -1;
    snprintf(reterr_why, PAWL_MESSAGE_MAX, "%s", a->why[0] ? a->why : "it has no address");
    let_go(a);
    return fd;
}

void pawl__memcached_attempt_cancel(pawl__memcached_attempt *a)
{
    if (!a) return;
    atomic_store(&a->ignored, true);
    raise_fd(a->stop_fd);
    let_go(a);
}

/* The parent's thread may have been changing the rest: it is not touched. */
void pawl__memcached_attempt_forget(pawl__memcached_attempt *a)
{
    if (!a) return;
    close(a->ready_fd);
    close(a->stop_fd);
}
