/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_conn.h"
#include "redis_writer.h"

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

#define READ_FIRST     1024
#define READ_MORE      65536
#define READS_PER_TURN 16         /* then the other events of the loop get their turn */
#define OUT_ROOM_FIRST 1024       /* two requests: most clients never have more to say at once */
#define OUT_ROOM_KEPT  (1u << 20) /* more is freed after a burst */

static void fail(pawl__redis_conn *conn, pawl_err err, const char *message)
{
    if (conn->failed) return;
    conn->failed = true;
    event_del(&conn->readable);
    event_del(&conn->writable);
    conn->ops->failed(err, message, conn->ctx);
}

/* A server that expects TLS ends the connection without a word. */
static const char *hint(const pawl__redis_conn *conn)
{
    bool silent = conn->connected && !conn->heard;
    return silent && strncmp(conn->where, "redis://", 8) == 0
               ? ", before it said a word; does it want TLS (rediss://)? Or is its "
                 "client-output-buffer-limit for pubsub tiny?"
               : "";
}

static void fail_for(pawl__redis_conn *conn, pawl_err err, const char *why)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%.150s: %.240s%s", conn->where, why, hint(conn));
    fail(conn, err, message);
}

/* The error and the words of its transport. */
static void fail_carried(pawl__redis_conn *conn)
{
    fail_for(conn, conn->carrier->err, conn->carrier->trouble);
}

static void watch(pawl__redis_conn *conn, struct event *event)
{
    if (event_add(event, NULL) < 0) fail_for(conn, PAWL_ERR_UNAVAILABLE, "out of memory");
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
            if (!conn->ops->value(value, conn->ctx)) return false;
            break;
        case PAWL__REDIS_READ_BROKEN:
            snprintf(message, sizeof message,
                     "%.200s: the answer is not Redis' protocol (%.150s); is it a Redis server?",
                     conn->where, pawl__redis_reader_trouble(conn->reader));
            fail(conn, PAWL_ERR_PROTOCOL, message);
            return false;
        case PAWL__REDIS_READ_NO_MEMORY:
            fail_for(conn, PAWL_ERR_UNAVAILABLE, "out of memory");
            return false;
        }
    }
    return false;
}

static void go_on_connecting(pawl__redis_conn *conn);

/* Whether the first bytes of an answer are TLS: an alert, or a handshake. */
static bool is_tls(const char *bytes)
{
    return bytes[0] == 0x15 || bytes[0] == 0x16;
}

/* False: there is nothing more to read from this connection. */
static bool take(pawl__redis_conn *conn, const char *bytes, size_t len)
{
    bool first = !conn->heard;
    conn->heard = true;
    if (first && is_tls(bytes)) {
        fail_for(conn, PAWL_ERR_TLS, "the server speaks TLS; write rediss:// instead of redis://");
        return false;
    }
    if (pawl__redis_reader_feed(conn->reader, bytes, len)) return deliver(conn);
    fail_for(conn, PAWL_ERR_UNAVAILABLE, "out of memory");
    return false;
}

/* False: there is nothing more to read now, or ever. */
static bool read_once(pawl__redis_conn *conn, char *buffer, size_t room)
{
    size_t n = 0;
    pawl__redis_carried status = conn->carrier->transport->read(conn->carrier, buffer, room, &n);
    if (n > 0 && !take(conn, buffer, n)) return false;
    switch (status) {
    case PAWL__REDIS_CARRIED:
        return n == room; /* less: nothing is left, and we need not ask */
    case PAWL__REDIS_CARRY_WAIT:
        if (conn->carrier->want & EV_WRITE) watch(conn, &conn->writable);
        return false;
    case PAWL__REDIS_CARRY_END:
        fail_for(conn, PAWL_ERR_UNAVAILABLE, "the server closed the connection");
        return false;
    case PAWL__REDIS_CARRY_FAILED:
        fail_carried(conn);
        return false;
    }
    return false;
}

/* Nearly all that comes is short. Functions of their own, because what is called from below a large
 * buffer lies on further pages of the stack, and each thread of each client would keep those. */
__attribute__((noinline)) static bool read_first(pawl__redis_conn *conn)
{
    char buffer[READ_FIRST];
    return read_once(conn, buffer, sizeof buffer);
}

__attribute__((noinline)) static bool read_more(pawl__redis_conn *conn)
{
    char buffer[READ_MORE];
    return read_once(conn, buffer, sizeof buffer);
}

static void read_all(pawl__redis_conn *conn)
{
    int reads = 0;
    if (read_first(conn))
        for (reads = 1; reads < READS_PER_TURN && read_more(conn);) reads++;
    if (conn->failed) return;
    /* The socket may have nothing left while the transport has. */
    if (reads == READS_PER_TURN) event_active(&conn->readable, EV_READ, 0);
    if (conn->write_failed)
        fail_carried(conn);
    else
        conn->ops->batch_ended(conn->ctx);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    pawl__redis_conn *conn = arg;
    (void)fd, (void)what;
    if (conn->connected)
        read_all(conn);
    else
        go_on_connecting(conn);
}

/* ---- Writing ------------------------------------------------------------------------- */

/* It held passwords and tokens, so it is wiped. */
static void wipe_and_free(char *bytes, size_t room)
{
    if (bytes) explicit_bzero(bytes, room);
    free(bytes);
}

/* realloc would leave a copy behind that nobody wipes. */
static bool grow(pawl__redis_conn *conn, size_t room)
{
    char *out = malloc(room);
    if (!out) return false;
    if (conn->out_end > 0) memcpy(out, conn->out, conn->out_end);
    wipe_and_free(conn->out, conn->out_room);
    conn->out = out;
    conn->out_room = room;
    return true;
}

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
    return room <= PAWL__REDIS_OUT_MAX && grow(conn, room);
}

bool pawl__redis_conn_append(pawl__redis_conn *conn, const pawl__redis_bytes *argv, size_t argc)
{
    if (!make_room(conn, pawl__redis_command_room(argv, argc))) return false;
    size_t len = pawl__redis_command_write(conn->out + conn->out_end, argv, argc);
    conn->out_end += len;
    conn->appended += len;
    return true;
}

static void all_is_written(pawl__redis_conn *conn)
{
    conn->out_start = conn->out_end = 0;
    if (conn->out_room <= OUT_ROOM_KEPT) return;
    wipe_and_free(conn->out, conn->out_room);
    conn->out = NULL;
    conn->out_room = 0;
}

/* One write. False: not now, or never. */
static bool write_once(pawl__redis_conn *conn)
{
    pawl__redis_carrier *carrier = conn->carrier;
    const pawl__redis_transport *transport = carrier->transport;
    size_t len = conn->out_end - conn->out_start, n = 0;
    if (transport->ahead > 0) { /* law 4: bytes that may have left count as sent */
        if (len > transport->ahead) len = transport->ahead;
        conn->written = conn->accepted + len;
    }
    pawl__redis_carried status = transport->write(carrier, conn->out + conn->out_start, len, &n);
    if (status == PAWL__REDIS_CARRY_WAIT) {
        if (carrier->want & EV_WRITE) watch(conn, &conn->writable);
        return false;
    }
    if (status != PAWL__REDIS_CARRIED) { /* the server may have said why it left: read first */
        conn->write_failed = true;
        event_active(&conn->readable, EV_READ, 0);
        return false;
    }
    conn->out_start += n;
    conn->accepted += n;
    if (conn->written < conn->accepted) conn->written = conn->accepted;
    return true;
}

void pawl__redis_conn_flush(pawl__redis_conn *conn)
{
    if (conn->failed || conn->write_failed || !conn->connected) return;
    while (conn->out_start < conn->out_end)
        if (!write_once(conn)) return;
    all_is_written(conn);
}

static void go_on_connecting(pawl__redis_conn *conn)
{
    const pawl__redis_transport *transport = conn->carrier->transport;
    switch (transport->connect(conn->carrier)) {
    case PAWL__REDIS_CARRIED:
        conn->connected = true;
        watch(conn, &conn->readable);
        pawl__redis_conn_flush(conn);
        return;
    case PAWL__REDIS_CARRY_WAIT: /* a socket that is readable says so again and again: only if
                                    that is what is waited for */
        if (conn->carrier->want & EV_READ)
            watch(conn, &conn->readable);
        else
            event_del(&conn->readable);
        if (conn->carrier->want & EV_WRITE) watch(conn, &conn->writable);
        return;
    case PAWL__REDIS_CARRY_END:
        fail_for(conn, PAWL_ERR_UNAVAILABLE, "the server closed the connection");
        return;
    case PAWL__REDIS_CARRY_FAILED:
        fail_carried(conn);
        return;
    }
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    pawl__redis_conn *conn = arg;
    (void)fd, (void)what;
    if (!conn->connected) {
        go_on_connecting(conn);
        return;
    }
    pawl__redis_conn_flush(conn);
    if (!conn->failed) read_all(conn); /* a transport may have to write before it can read */
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

static int open_socket(const struct sockaddr *address, socklen_t len)
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
    return fd;
}

/* 0 or an errno. */
static int open_carrier(pawl__redis_conn *conn, const struct sockaddr *address, socklen_t len,
                        const pawl__redis_transport *transport, void *settings)
{
    int fd = open_socket(address, len);
    if (fd < 0) return errno;
    conn->carrier = transport->open(fd, settings);
    if (conn->carrier) return 0;
    close(fd);
    return ENOMEM;
}

pawl__redis_conn *pawl__redis_conn_open(struct event_base *base, const struct sockaddr *address,
                                        socklen_t len, const pawl__redis_transport *transport,
                                        void *settings, const pawl__redis_conn_ops *ops, void *ctx,
                                        const char *where)
{
    pawl__redis_conn *conn = calloc(1, sizeof *conn);
    if (!conn) return NULL;
    *conn = (pawl__redis_conn){.ops = ops, .ctx = ctx, .where = where};
    conn->reader = pawl__redis_reader_new();
    int error = conn->reader ? open_carrier(conn, address, len, transport, settings) : ENOMEM;
    if (error) {
        pawl__redis_reader_free(conn->reader);
        free(conn);
        errno = error;
        return NULL;
    }
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): where there is no socket errno is set */
    int fd = conn->carrier->fd;
    event_assign(&conn->readable, base, fd, EV_READ | EV_PERSIST, on_readable, conn);
    event_assign(&conn->writable, base, fd, EV_WRITE, on_writable, conn);
    if (event_add(&conn->writable, NULL) < 0) {
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
    wipe_and_free(conn->out, conn->out_room);
    conn->out = NULL;
    conn->out_start = conn->out_end = conn->out_room = 0;
}

void pawl__redis_conn_close(pawl__redis_conn *conn)
{
    if (!conn) return;
    event_del(&conn->readable);
    event_del(&conn->writable);
    conn->carrier->transport->close(conn->carrier, false);
    free_buffers(conn);
    free(conn);
}

void pawl__redis_conn_drain(pawl__redis_conn *conn, int64_t (*now)(void), int64_t until)
{
    pawl__redis_conn_flush(conn);
    while (conn->connected && !conn->failed && !conn->write_failed &&
           conn->out_start < conn->out_end) {
        int64_t left_ms = pawl__ms_until(now(), until);
        struct pollfd waiter = {.fd = conn->carrier->fd,
                                .events = conn->carrier->want & EV_WRITE ? POLLOUT : POLLIN};
        if (left_ms == 0 || (poll(&waiter, 1, (int)left_ms) < 0 && errno != EINTR)) return;
        pawl__redis_conn_flush(conn);
    }
}

void pawl__redis_conn_forget(pawl__redis_conn *conn)
{
    if (!conn) return;
    conn->carrier->transport->close(conn->carrier, true);
    conn->carrier = NULL;
    conn->failed = true;
    free_buffers(conn);
}
