/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "postgres_connect.h"

#include "../../base/instant.h"
#include "postgres_error.h"

#include <dlfcn.h>
#include <errno.h>
#include <locale.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PLACE_TIME_MS 100 /* least time that one of several hosts gets */

struct pawl__postgres_attempt {
    atomic_int users;    /* the loop and the thread */
    atomic_bool ignored; /* nobody waits for it */
    int ready_fd;        /* readable when the thread is done */
    int stop_fd;         /* readable when nobody waits for it */
    pawl__postgres_config config;
    int64_t (*now)(void);
    /* The thread's until ready. */
    PGconn *conn;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
};

static void let_go(pawl__postgres_attempt *a)
{
    if (atomic_fetch_sub_explicit(&a->users, 1, memory_order_acq_rel) != 1) return;
    PQfinish(a->conn);
    close(a->ready_fd);
    close(a->stop_fd);
    pawl__postgres_config_done(&a->config);
    free(a);
}

static void raise_fd(int fd)
{
    const uint64_t one = 1;
    while (write(fd, &one, sizeof one) < 0 && errno == EINTR) continue;
}

/* ---- On the thread ------------------------------------------------------------------------- */

/* A refusal of one host says more than another host at which nobody listens. */
static void note(pawl__postgres_attempt *a, pawl_err err, const char *message)
{
    pawl_err_class cls = pawl_err_class_of(a->err);
    if (a->err && (cls != PAWL_CLASS_RETRY || a->err == PAWL_ERR_READONLY)) return;
    a->err = err;
    snprintf(a->message, sizeof a->message, "%s", message);
}

static PGconn *begin(const pawl__postgres_attempt *a, const pawl__postgres_place *place)
{
    const char *keywords[PAWL__POSTGRES_WORDS_MAX + 3], *values[PAWL__POSTGRES_WORDS_MAX + 3];
    size_t n = a->config.word_count;
    for (size_t i = 0; i < n; i++) {
        keywords[i] = a->config.keywords[i];
        values[i] = a->config.values[i];
    }
    if (place->host) {
        keywords[n] = "host";
        values[n++] = place->host;
    }
    if (place->port) {
        keywords[n] = "port";
        values[n++] = place->port;
    }
    keywords[n] = values[n] = NULL;
    return PQconnectStartParams(keywords, values, 0);
}

/* False: the time is over, or nobody waits for the connection any more. */
static bool await_socket(pawl__postgres_attempt *a, PGconn *conn, short events, int64_t until)
{
    for (;;) {
        struct pollfd fds[] = {{.fd = PQsocket(conn), .events = events},
                               {.fd = a->stop_fd, .events = POLLIN}};
        int64_t left = pawl__ms_until(a->now(), until);
        if (left <= 0 || atomic_load(&a->ignored)) return false;
        int n = poll(fds, 2, (int)left);
        if (n < 0 && errno != EINTR) return false;
        if (n > 0 && fds[0].revents) return true;
        if (n > 0 && fds[1].revents) return false;
    }
}

/* False: the time is over, for which libpq has no message. */
static bool poll_on(pawl__postgres_attempt *a, PGconn *conn, int64_t until)
{
    PostgresPollingStatusType next = PGRES_POLLING_WRITING;
    while (PQstatus(conn) != CONNECTION_BAD) {
        short events = next == PGRES_POLLING_READING ? POLLIN : POLLOUT;
        if (!await_socket(a, conn, events, until)) return false;
        next = PQconnectPoll(conn);
        if (next == PGRES_POLLING_OK || next == PGRES_POLLING_FAILED) return true;
    }
    return true;
}

/* Libpq would print it on the program's stderr. */
static void pass_over(void *arg, const PGresult *result)
{
    (void)arg, (void)result;
}

/* NULL, with the reason noted, if that host gives no connection. */
static PGconn *try_place(pawl__postgres_attempt *a, const pawl__postgres_place *place,
                         int64_t until)
{
    char message[PAWL_MESSAGE_MAX];
    PGconn *conn = begin(a, place);
    if (!conn) {
        note(a, PAWL_ERR_UNAVAILABLE, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return NULL;
    }
    /* So that the server's refusals contain their code. */
    PQsetErrorVerbosity(conn, PQERRORS_VERBOSE);
    PQsetNoticeReceiver(conn, pass_over, NULL);
    bool in_time = poll_on(a, conn, until);
    if (in_time && PQstatus(conn) == CONNECTION_OK) return conn;
    pawl_err err = PAWL_ERR_UNAVAILABLE;
    if (in_time)
        err = pawl__postgres_explain_refusal(a->config.where, PQerrorMessage(conn), message);
    else
        snprintf(message, sizeof message, "%s: no connection within %lld ms%s%.100s",
                 a->config.where, (long long)a->config.connect_timeout_ms,
                 a->config.place_count > 1 ? " at " : "",
                 a->config.place_count > 1 && place->host ? place->host : "");
    note(a, err, message);
    PQfinish(conn);
    return NULL;
}

static void connect_somewhere(pawl__postgres_attempt *a)
{
    int64_t end = pawl__instant_add(a->now(), pawl__ms_to_ns(a->config.connect_timeout_ms));
    for (size_t i = 0; i < a->config.place_count && !atomic_load(&a->ignored); i++) {
        int64_t now = a->now(), left = end > now ? end - now : 0;
        int64_t share = left / (int64_t)(a->config.place_count - i);
        int64_t least = pawl__ms_to_ns(PLACE_TIME_MS);
        a->conn = try_place(a, &a->config.places[i],
                            pawl__instant_add(now, pawl__instant_max(share, least)));
        if (a->conn) return;
    }
}

static void *run(void *arg)
{
    pawl__postgres_attempt *a = arg;
    /* We look for words in libpq's messages, so they must be English here. */
    locale_t english = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (english) uselocale(english);
    connect_somewhere(a);
    if (english) {
        uselocale(LC_GLOBAL_LOCALE);
        freelocale(english);
    }
    raise_fd(a->ready_fd);
    let_go(a);
    return NULL;
}

/* ---- At exit -------------------------------------------------------------------------------- */

#define OPENSSL_INIT_NO_ATEXIT UINT64_C(0x80000)

/*
 * OpenSSL, which libpq uses for TLS, cleans up in a handler of exit(). Our thread may be in the
 * middle of a handshake then, and releases are still sent. So it is initialized without that
 * handler, before libpq does it. The module knows nothing else of OpenSSL, and works without it.
 */
void pawl__postgres_keep_openssl(void)
{
    static const char *const names[] = {"libcrypto.so.3", "libcrypto.so.1.1"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        void *library = dlopen(names[i], RTLD_LAZY | RTLD_LOCAL | RTLD_NOLOAD);
        if (!library) continue;
        int (*init)(uint64_t, const void *) = NULL;
        void *symbol = dlsym(library, "OPENSSL_init_crypto");
        memcpy(&init, &symbol, sizeof init);
        if (init) (void)init(OPENSSL_INIT_NO_ATEXIT, NULL);
        dlclose(library);
    }
}

/* ---- On the loop --------------------------------------------------------------------------- */

static int start_thread(pawl__postgres_attempt *a)
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

pawl__postgres_attempt *pawl__postgres_attempt_start(const pawl__postgres_config *config,
                                                     int64_t (*now)(void))
{
    pawl__postgres_attempt *a = calloc(1, sizeof *a);
    if (!a) return NULL;
    atomic_init(&a->users, 2);
    a->now = now;
    a->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    a->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (a->ready_fd >= 0 && a->stop_fd >= 0 && pawl__postgres_config_copy(&a->config, config) &&
        start_thread(a) == 0)
        return a;
    let_go(a); /* the thread's share */
    let_go(a);
    return NULL;
}

int pawl__postgres_attempt_fd(const pawl__postgres_attempt *a)
{
    return a->ready_fd;
}

PGconn *pawl__postgres_attempt_take(pawl__postgres_attempt *a, pawl_err *ret_err,
                                    char *reterr_message)
{
    uint64_t count;
    /* Reading pairs with the thread's write: what it stored before is seen. */
    while (read(a->ready_fd, &count, sizeof count) < 0 && errno == EINTR) continue;
    PGconn *conn = a->conn;
    a->conn = NULL;
    *ret_err = conn ? PAWL_OK : a->err ? a->err : PAWL_ERR_UNAVAILABLE;
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s", a->message);
    let_go(a);
    return conn;
}

void pawl__postgres_attempt_cancel(pawl__postgres_attempt *a)
{
    if (!a) return;
    atomic_store(&a->ignored, true);
    raise_fd(a->stop_fd);
    let_go(a);
}

/* The parent's thread may have been changing the rest: it is not touched. */
void pawl__postgres_attempt_forget(pawl__postgres_attempt *a)
{
    if (!a) return;
    close(a->ready_fd);
    close(a->stop_fd);
}
