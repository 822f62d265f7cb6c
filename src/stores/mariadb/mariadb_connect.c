/* SPDX-License-Identifier: MIT */
/* The attempt, its thread and its descriptors; mariadb_greet.c is what the thread does. */
#define _GNU_SOURCE
#include "mariadb_connect.h"

#include "mariadb_greet.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct pawl__mariadb_attempt {
    atomic_int users; /* the loop and the thread */
    int ready_fd;     /* readable when the thread is done */
    pawl__mariadb_greeting greeting;
};

static void let_go(pawl__mariadb_attempt *a)
{
    if (atomic_fetch_sub_explicit(&a->users, 1, memory_order_acq_rel) != 1) return;
    pawl__mariadb_greeting_done(&a->greeting);
    close(a->ready_fd);
    close(a->greeting.stop_fd);
    pawl__mariadb_config_unref(a->greeting.config);
    free(a);
}

static void raise_fd(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

static void *run(void *arg)
{
    pawl__mariadb_attempt *a = arg;
    pawl__mariadb_greet(&a->greeting);
    mysql_thread_end();
    raise_fd(a->ready_fd);
    let_go(a);
    return NULL;
}

/* ---- The library --------------------------------------------------------------------------- */

/* It ignores SIGPIPE for the whole program, which is not ours to change. */
static void init_library(void)
{
    struct sigaction before;
    (void)sigaction(SIGPIPE, NULL, &before);
    (void)mysql_server_init(0, NULL, NULL);
    (void)sigaction(SIGPIPE, &before, NULL);
}

void pawl__mariadb_library_init(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, init_library);
}

/* ---- On the loop --------------------------------------------------------------------------- */

static int start_thread(pawl__mariadb_attempt *a)
{
    pthread_attr_t attributes;
    pthread_t thread;
    sigset_t all, before;
    int error = pthread_attr_init(&attributes);
    if (error) return error;
    (void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all); /* signals are the program's business */
    pthread_sigmask(SIG_SETMASK, &all, &before);
    error = pthread_create(&thread, &attributes, run, a);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    return error;
}

pawl__mariadb_attempt *pawl__mariadb_attempt_start(pawl__mariadb_config *config,
                                                   const char *client_id, bool warms_up,
                                                   int64_t (*now)(void))
{
    pawl__mariadb_attempt *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    atomic_init(&a->users, 2);
    a->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->greeting = (pawl__mariadb_greeting){.config = pawl__mariadb_config_ref(config),
                                           .warms_up = warms_up,
                                           .now = now,
                                           .stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)};
    snprintf(a->greeting.client_id, sizeof a->greeting.client_id, "%s", client_id);
    if (a->ready_fd >= 0 && a->greeting.stop_fd >= 0 && start_thread(a) == 0) return a;
    let_go(a); /* the thread's share */
    let_go(a);
    return NULL;
}

int pawl__mariadb_attempt_fd(const pawl__mariadb_attempt *a)
{
    return a->ready_fd;
}

pawl_err pawl__mariadb_attempt_take(pawl__mariadb_attempt *a, pawl__mariadb_link *ret_link,
                                    char *reterr_message)
{
    uint64_t count;
    /* Reading pairs with the thread's write: what it stored before is seen. */
    while (read(a->ready_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
    pawl__mariadb_greeting *g = &a->greeting;
    pawl_err err = g->asker.mysql ? PAWL_OK : g->err ? g->err : PAWL_ERR_UNAVAILABLE;
    *ret_link = (pawl__mariadb_link){
        .asker = g->asker.mysql, .listener = g->listener.mysql, .is_mute = err && g->is_mute};
    if (g->listener.mysql) ret_link->listener_id = (unsigned)mysql_thread_id(g->listener.mysql);
    snprintf(ret_link->no_push, sizeof ret_link->no_push, "%s", g->no_push);
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", g->message);
    g->asker.mysql = g->listener.mysql = NULL;
    let_go(a);
    return err;
}

void pawl__mariadb_attempt_cancel(pawl__mariadb_attempt *a)
{
    if (!a) return;
    atomic_store(&a->greeting.ignored, true);
    raise_fd(a->greeting.stop_fd);
    let_go(a);
}

/* The parent's thread may have been changing the rest: it is not touched. */
void pawl__mariadb_attempt_forget(pawl__mariadb_attempt *a)
{
    if (!a) return;
    close(a->ready_fd);
    close(a->greeting.stop_fd);
}
