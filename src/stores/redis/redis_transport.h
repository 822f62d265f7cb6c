/* SPDX-License-Identifier: MIT */
/*
 * What carries a connection's bytes, as a table of functions: another transport is another file,
 * and redis_conn.c stays as it is.
 *
 *   redis_plain.c    the socket itself, TCP or unix
 *   redis_tls.c      TLS by OpenSSL, in a module of its own: redis_tls.h
 *
 * Rules for whoever fills in the table:
 *   - Nothing blocks. WAIT says: call again when the socket is ready for what carrier->want names.
 *   - read() fills the room if it can: what a transport holds back itself would never be
 *     announced by the socket. What has been read counts, whatever the status beside it.
 *   - A byte that may have reached the server counts as gone (law 4). Where write() cannot say
 *     after each byte whether it has left, `ahead` is the most that one call takes, and all of it
 *     counts before the call.
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

/* One connection as its transport knows it; the first member of the transport's own struct. */
typedef struct pawl__redis_carrier {
    const pawl__redis_transport *transport;
    int fd;
    bool reached; /* the socket is connected: what is not ready yet is the transport's own */
    short want;   /* which events of the socket the latest WAIT waits for: EV_READ, EV_WRITE */
    pawl_err err; /* of what failed */
    char trouble[PAWL_MESSAGE_MAX / 2];
} pawl__redis_carrier;

struct pawl__redis_transport {
    size_t ahead; /* bytes; 0: write() says exactly what has left */
    /* Over a socket that connects. It owns fd from then on. NULL: out of memory, fd is yours. */
    pawl__redis_carrier *(*open)(int fd, void *settings);
    /* Goes on connecting, when the socket is ready for it. CARRIED: bytes may flow. */
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
