/* SPDX-License-Identifier: MIT */
/*
 * One connection: a transport, a buffer of what waits to be written, a reader. It knows neither
 * requests nor time-outs. Commands are buffered and leave at flush, in one write.
 */
#ifndef PAWL_REDIS_CONN_H
#define PAWL_REDIS_CONN_H

#include "redis_proto.h"
#include "redis_reader.h"
#include "redis_transport.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <sys/socket.h>

#define PAWL__REDIS_OUT_MAX (256u << 20) /* bytes that wait to be written */

typedef struct pawl__redis_conn pawl__redis_conn;

typedef struct pawl__redis_conn_ops {
    /* A reply or a push came. False: read no further. */
    bool (*value)(const pawl__redis_value *value, void *ctx);
    /* The end of a batch of replies: now flush what they caused. */
    void (*batch_ended)(void *ctx);
    /*
     * The connection is dead; called once, with err and one line. It is called from the
     * connection's events, append and flush, so it may only note this; close the connection later.
     */
    void (*failed)(pawl_err err, const char *message, void *ctx);
} pawl__redis_conn_ops;

struct pawl__redis_conn {
    struct event readable, writable;
    const pawl__redis_conn_ops *ops;
    void *ctx;
    const char *where;
    pawl__redis_reader *reader;
    char *out;
    size_t out_start, out_end, out_room;
    uint64_t appended; /* bytes since the beginning */
    uint64_t accepted; /* of those: the transport has taken them */
    uint64_t written;  /* of those: may have left, see redis_transport.h */
    pawl__redis_carrier *carrier;
    bool write_failed; /* data that has arrived is still read */
    bool connected, failed;
    bool heard; /* the server has sent something */
};

/*
 * Begins to connect. NULL with errno when the system refuses (also: nobody
 * listens on a unix socket). where and the transport's settings outlive the connection.
 */
pawl__redis_conn *pawl__redis_conn_open(struct event_base *base, const struct sockaddr *address,
                                        socklen_t len, const pawl__redis_transport *transport,
                                        void *settings, const pawl__redis_conn_ops *ops, void *ctx,
                                        const char *where);

/* Buffers a command. False when out of memory or room: nothing was buffered. */
PAWL_MUST_USE bool pawl__redis_conn_append(pawl__redis_conn *conn, const pawl__redis_bytes *argv,
                                           size_t argc);

/* Writes what the socket takes now; the rest follows by itself. */
void pawl__redis_conn_flush(pawl__redis_conn *conn);

/* Closes and frees. What the kernel has accepted still arrives. NULL is allowed. */
void pawl__redis_conn_close(pawl__redis_conn *conn);

/* Tries until an instant of now() to write the rest; called last before close. */
void pawl__redis_conn_drain(pawl__redis_conn *conn, int64_t (*now)(void), int64_t until);

/*
 * In a forked child: closes this process' copy of the socket and frees buffers.
 * The struct stays: its events are still known to the parent's base.
 */
void pawl__redis_conn_forget(pawl__redis_conn *conn);

#endif
