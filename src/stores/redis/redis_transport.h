/* SPDX-License-Identifier: MIT */
/*
 * What carries a connection's bytes, as a table of functions: another transport is another file,
 * and redis_conn.c stays as it is.
 *
 *   redis_plain.c    the socket itself, TCP or unix
 *   redis_tls.c      TLS by OpenSSL, in a module of its own: redis_tls.h
 *
 * Rules for implementations of the table:
 *   - Nothing blocks. WAIT says: call again when the socket is ready for what carrier->want names.
 *   - read() fills the room if it can, because the socket never announces bytes that the transport
 *     holds back. Bytes that were read count, whatever the status is.
 *   - A byte that may have reached the server counts as sent (law 4). If write() cannot tell
 *     exactly which bytes have left, `ahead` is the most that one call takes, and all of it counts
 *     as sent before the call.
 */
#ifndef PAWL_REDIS_TRANSPORT_H
#define PAWL_REDIS_TRANSPORT_H

#include "pawl/types.h"

typedef enum pawl__redis_carried {
    PAWL__REDIS_CARRIED = 0,  /* done */
    PAWL__REDIS_CARRY_WAIT,   /* not now */
    PAWL__REDIS_CARRY_END,    /* read: the other end has closed */
    PAWL__REDIS_CARRY_FAILED, /* err and trouble say why */
} pawl__redis_carried;

typedef struct pawl__redis_transport pawl__redis_transport;

/* What the transport knows of one connection; the first member of the transport's own struct. */
typedef struct pawl__redis_carrier {
    const pawl__redis_transport *transport;
    int fd;
    bool reached; /* the socket is connected; the transport itself may not be ready */
    short want;   /* which events of the socket the latest WAIT waits for: EV_READ, EV_WRITE */
    pawl_err err; /* of what failed */
    char trouble[PAWL_MESSAGE_MAX / 2];
} pawl__redis_carrier;

struct pawl__redis_transport {
    size_t ahead; /* bytes; 0: write() says exactly what has left */
    /* Begins on a socket that is connecting, and owns fd from then on. NULL: out of memory, fd
     * remains yours. */
    pawl__redis_carrier *(*open)(int fd, void *settings);
    /* Continues to connect when the socket is ready. CARRIED: data may be sent now. */
    pawl__redis_carried (*connect)(pawl__redis_carrier *carrier);
    pawl__redis_carried (*read)(pawl__redis_carrier *carrier, char *buffer, size_t room,
                                size_t *ret_count);
    pawl__redis_carried (*write)(pawl__redis_carrier *carrier, const char *data, size_t len,
                                 size_t *ret_count);
    /* One line about it for people: "TLSv1.3, ..."; NULL: there is nothing to say. */
    void (*describe)(const pawl__redis_carrier *carrier, char *ret_text, size_t room);
    /* How many seconds the other end's certificate is still good for, below zero if it has expired.
     * False: there is none; NULL: never. */
    bool (*cert_left)(const pawl__redis_carrier *carrier, int64_t *ret_left_s);
    /* Frees it. forget: in a forked child, where the connection is the parent's. */
    void (*close)(pawl__redis_carrier *carrier, bool forget);
};

extern const pawl__redis_transport pawl__redis_plain; /* no settings */

#endif
