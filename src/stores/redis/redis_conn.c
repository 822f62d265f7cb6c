/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_conn.h"

#include "../../base/instant.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* A peer that vanished without a word is noticed after about 5 + 3 x 2 s when idle, and after
 * USER_TIMEOUT_MS when something is on its way: requests have their own, shorter limits. */
#define KEEPALIVE_IDLE_S     5
#define KEEPALIVE_INTERVAL_S 2
#define KEEPALIVE_COUNT      3
#define USER_TIMEOUT_MS      10000

#define READ_SIZE      65536
#define READS_PER_TURN 16 /* then the other events of the loop get their turn */
#define OUT_ROOM_FIRST 4096
#define OUT_ROOM_KEPT  (1u << 20) /* a burst needs more for once */

static void fail(pawl__redis_conn *conn, pawl_err err, const char *message)
{
    if (conn->failed) return;
    conn->failed = true;
    event_del(&conn->readable);
    event_del(&conn->writable);
    conn->ops->failed(conn, err, message, conn->ctx);
}

static void fail_errno(pawl__redis_conn *conn, const char *doing, int error)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%.300s: %s: %s", conn->where, doing, strerror(error));
    fail(conn, PAWL_ERR_UNAVAILABLE, message);
}

/* ---- Reading ------------------------------------------------------------------------ */

/* Hands out all whole replies; false when there is nothing more to read from this connection. */
static bool deliver(pawl__redis_conn *conn)
{
    const pawl__redis_value *value;
    char message[PAWL_MESSAGE_MAX];
    while (!conn->failed) {
        switch (pawl__redis_reader_next(conn->reader, &value)) {
        case PAWL__REDIS_READ_MORE:
            return true;
        case PAWL__REDIS_READ_VALUE:
            if (!conn->ops->value(conn, value, conn->ctx)) return false;
            break;
        case PAWL__REDIS_READ_BROKEN:
            snprintf(message, sizeof message,
                     "%.200s: the answer is not Redis' protocol (%.150s); is it a Redis server?",
                     conn->where, pawl__redis_reader_trouble(conn->reader));
            fail(conn, PAWL_ERR_PROTOCOL, message);
            return false;
        }
    }
    return false;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    pawl__redis_conn *conn = arg;
    char buffer[READ_SIZE];
    (void)what;
    for (int i = 0; i < READS_PER_TURN; i++) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) break;
        if (n < 0) {
            fail_errno(conn, "the connection broke", errno);
            return;
        }
        if (n == 0) {
            char message[PAWL_MESSAGE_MAX];
            snprintf(message, sizeof message, "%.300s: the server closed the connection",
                     conn->where);
            fail(conn, PAWL_ERR_UNAVAILABLE, message);
            return;
        }
        if (!pawl__redis_reader_feed(conn->reader, buffer, (size_t)n)) {
            fail(conn, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
            return;
        }
        if (!deliver(conn)) return;
        if ((size_t)n < sizeof buffer) break; /* all that was there: saves a call that says so */
    }
    if (conn->write_error) {
        fail_errno(conn, "the connection broke", conn->write_error);
        return;
    }
    conn->ops->settled(conn, conn->ctx);
}

/* ---- Writing ------------------------------------------------------------------------- */

static bool make_room(pawl__redis_conn *conn, size_t len)
{
    if (conn->out_start > 0 && conn->out_room - conn->out_end < len) {
        memmove(conn->out, conn->out + conn->out_start, conn->out_end - conn->out_start);
        conn->out_end -= conn->out_start;
        conn->out_start = 0;
    }
    if (conn->out_room - conn->out_end >= len) return true;
    size_t room = conn->out_room ? conn->out_room : OUT_ROOM_FIRST;
    while (room - conn->out_end < len) room *= 2;
    if (room > PAWL__REDIS_OUT_MAX) return false;
    char *out = realloc(conn->out, room);
    if (!out) return false;
    conn->out = out;
    conn->out_room = room;
    return true;
}

#define HEAD_MAX 24 /* "$18446744073709551615\r\n" and a NUL */

/* "*3\r\n", "$5\r\n": by hand, because this runs for every word of every request. */
static char *write_head(char *p, char kind, size_t number)
{
    char digits[HEAD_MAX];
    size_t n = 0;
    do digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    *p++ = kind;
    while (n > 0) *p++ = digits[--n];
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

bool pawl__redis_conn_append(pawl__redis_conn *conn, const pawl__redis_bytes *argv, size_t argc)
{
    size_t most = HEAD_MAX;
    for (size_t i = 0; i < argc; i++) most += HEAD_MAX + argv[i].len + 2;
    if (!make_room(conn, most)) return false;

    char *begin = conn->out + conn->out_end, *p = write_head(begin, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        p = write_head(p, '$', argv[i].len);
        memcpy(p, argv[i].data, argv[i].len);
        p += argv[i].len;
        *p++ = '\r';
        *p++ = '\n';
    }
    conn->out_end += (size_t)(p - begin);
    conn->appended += (uint64_t)(p - begin);
    return true;
}

void pawl__redis_conn_flush(pawl__redis_conn *conn)
{
    if (conn->failed || conn->write_error || !conn->connected) return;
    while (conn->out_start < conn->out_end) {
        ssize_t n = send(conn->fd, conn->out + conn->out_start, conn->out_end - conn->out_start,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) {
            if (event_add(&conn->writable, NULL) < 0) fail_errno(conn, "cannot watch", ENOMEM);
            return;
        }
        if (n < 0) { /* the server may have said why it left: read that first */
            conn->write_error = errno;
            event_active(&conn->readable, EV_READ, 0);
            return;
        }
        conn->out_start += (size_t)n;
        conn->written += (uint64_t)n;
    }
    conn->out_start = conn->out_end = 0;
    if (conn->out_room > OUT_ROOM_KEPT) {
        free(conn->out);
        conn->out = NULL;
        conn->out_room = 0;
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    pawl__redis_conn *conn = arg;
    (void)what;
    if (!conn->connected) {
        int error = 0;
        socklen_t len = sizeof error;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) error = errno;
        if (error) {
            fail_errno(conn, "cannot connect", error);
            return;
        }
        conn->connected = true;
        if (event_add(&conn->readable, NULL) < 0) {
            fail_errno(conn, "cannot watch", ENOMEM);
            return;
        }
    }
    pawl__redis_conn_flush(conn);
}

/* ---- Opening and closing --------------------------------------------------------------- */

static void tune_tcp(int fd)
{
    /* Best effort: without them the loss of a silent peer is noticed later. */
    int on = 1, idle = KEEPALIVE_IDLE_S, interval = KEEPALIVE_INTERVAL_S, count = KEEPALIVE_COUNT;
    unsigned user_timeout = USER_TIMEOUT_MS;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &count, sizeof count);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &user_timeout, sizeof user_timeout);
}

static int open_socket(const struct sockaddr *address, socklen_t len, bool *ret_connected)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    if (address->sa_family != AF_UNIX) tune_tcp(fd);
    int status = connect(fd, address, len);
    if (status < 0 && errno != EINPROGRESS && errno != EINTR) {
        int error = errno;
        close(fd);
        errno = error;
        return -1;
    }
    *ret_connected = status == 0;
    return fd;
}

pawl__redis_conn *pawl__redis_conn_open(struct event_base *base, const struct sockaddr *address,
                                        socklen_t len, const pawl__redis_conn_ops *ops, void *ctx,
                                        const char *where)
{
    pawl__redis_conn *conn = calloc(1, sizeof *conn);
    if (!conn) return NULL;
    *conn = (pawl__redis_conn){.ops = ops, .ctx = ctx, .where = where, .fd = -1};
    conn->reader = pawl__redis_reader_new();
    conn->fd = conn->reader ? open_socket(address, len, &conn->connected) : -1;
    if (conn->fd < 0) {
        int error = conn->reader ? errno : ENOMEM;
        pawl__redis_reader_free(conn->reader);
        free(conn);
        errno = error;
        return NULL;
    }
    event_assign(&conn->readable, base, conn->fd, EV_READ | EV_PERSIST, on_readable, conn);
    event_assign(&conn->writable, base, conn->fd, EV_WRITE, on_writable, conn);
    if (event_add(conn->connected ? &conn->readable : &conn->writable, NULL) < 0) {
        pawl__redis_conn_close(conn);
        errno = ENOMEM;
        return NULL;
    }
    return conn;
}

static void free_buffers(pawl__redis_conn *conn)
{
    pawl__redis_reader_free(conn->reader);
    conn->reader = NULL;
    if (conn->out) explicit_bzero(conn->out, conn->out_room); /* held passwords and tokens */
    free(conn->out);
    conn->out = NULL;
    conn->out_start = conn->out_end = conn->out_room = 0;
}

void pawl__redis_conn_close(pawl__redis_conn *conn)
{
    if (!conn) return;
    event_del(&conn->readable);
    event_del(&conn->writable);
    /* FIN behind the last byte, before close might reset for replies that nobody read. */
    (void)shutdown(conn->fd, SHUT_WR);
    close(conn->fd);
    free_buffers(conn);
    free(conn);
}

void pawl__redis_conn_drain(pawl__redis_conn *conn, int64_t (*now)(void), int64_t until)
{
    pawl__redis_conn_flush(conn);
    while (conn->connected && !conn->failed && !conn->write_error &&
           conn->out_start < conn->out_end) {
        int64_t left_ms = pawl__ms_until(now(), until);
        struct pollfd waiter = {.fd = conn->fd, .events = POLLOUT};
        if (left_ms == 0 || (poll(&waiter, 1, (int)left_ms) < 0 && errno != EINTR)) return;
        pawl__redis_conn_flush(conn);
    }
}

void pawl__redis_conn_forget(pawl__redis_conn *conn)
{
    if (!conn) return;
    close(conn->fd); /* no shutdown: the connection is the parent's */
    conn->fd = -1;
    conn->failed = true;
    free_buffers(conn);
}
