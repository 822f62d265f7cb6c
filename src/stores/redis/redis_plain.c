/* SPDX-License-Identifier: MIT */
/* The transport that adds nothing: the socket as it is. */
#define _GNU_SOURCE
#include "redis_transport.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static pawl__redis_carrier *plain_open(int fd, void *settings)
{
    pawl__redis_carrier *carrier = calloc(1, sizeof *carrier);
    (void)settings;
    if (carrier) *carrier = (pawl__redis_carrier){.transport = &pawl__redis_plain, .fd = fd};
    return carrier;
}

static pawl__redis_carried failed(pawl__redis_carrier *carrier, const char *doing, int error)
{
    carrier->err = PAWL_ERR_UNAVAILABLE;
    snprintf(carrier->trouble, sizeof carrier->trouble, "%s: %s", doing, strerror(error));
    return PAWL__REDIS_CARRY_FAILED;
}

static pawl__redis_carried plain_connect(pawl__redis_carrier *carrier)
{
    int error = 0;
    socklen_t len = sizeof error;
    if (getsockopt(carrier->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0) error = errno;
    if (error) return failed(carrier, "cannot connect", error);
    carrier->reached = true;
    return PAWL__REDIS_CARRIED;
}

static pawl__redis_carried wait_or_fail(pawl__redis_carrier *carrier, short want, int error)
{
    carrier->want = want;
    if (error == EAGAIN || error == EWOULDBLOCK) return PAWL__REDIS_CARRY_WAIT;
    return failed(carrier, "the connection broke", error);
}

static pawl__redis_carried plain_read(pawl__redis_carrier *carrier, char *buffer, size_t room,
                                      size_t *ret_count)
{
    ssize_t n;
    do n = recv(carrier->fd, buffer, room, 0);
    while (n < 0 && errno == EINTR);
    if (n < 0) return wait_or_fail(carrier, EV_READ, errno);
    if (n == 0) return PAWL__REDIS_CARRY_END;
    *ret_count = (size_t)n;
    return PAWL__REDIS_CARRIED;
}

static pawl__redis_carried plain_write(pawl__redis_carrier *carrier, const char *data, size_t len,
                                       size_t *ret_count)
{
    ssize_t n;
    do n = send(carrier->fd, data, len, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n < 0) return wait_or_fail(carrier, EV_WRITE, errno);
    *ret_count = (size_t)n;
    return PAWL__REDIS_CARRIED;
}

static void plain_close(pawl__redis_carrier *carrier, bool forget)
{
    /* Sends FIN after the last byte: close() might send RST if some reply was not read. */
    if (!forget) (void)shutdown(carrier->fd, SHUT_WR);
    close(carrier->fd);
    free(carrier);
}

const pawl__redis_transport pawl__redis_plain = {.open = plain_open,
                                                 .connect = plain_connect,
                                                 .read = plain_read,
                                                 .write = plain_write,
                                                 .close = plain_close};
