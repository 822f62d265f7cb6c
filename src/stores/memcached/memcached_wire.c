/* SPDX-License-Identifier: MIT */
/* The socket and the loop: commands are written in order, and answers come in that order. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include "../../base/line.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DRAIN_MS  200 /* close waits this long for its releases */
#define OUT_FIRST 4096
#define OUT_MAX   (64u << 20)
#define READS_MAX 64 /* before others in the loop have their turn */

/* ---- Notes for the turn -------------------------------------------------------------------- */

void pawl__memcached_turn_soon(pawl_store *store)
{
    event_active(&store->turn, EV_TIMEOUT, 0);
}

void pawl__memcached_break(pawl_store *store, pawl_err err, const char *what)
{
    pawl__memcached_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    /* Our own memory is short, and that passes: no waiter may be given up for it. */
    link->err = err == PAWL_ERR_NO_MEMORY ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(link->message, sizeof link->message, "%s: %s", store->config.where, what);
    pawl__line_mend(link->message); /* it may quote the server */
    pawl__memcached_turn_soon(store);
}

static void lost(pawl_store *store, const char *doing)
{
    char what[160];
    snprintf(what, sizeof what, "%s: %s", doing, strerror(errno));
    pawl__memcached_break(store, PAWL_ERR_UNAVAILABLE, what);
}

/* ---- Writing ------------------------------------------------------------------------------- */

static bool make_room(pawl_store *store, size_t more)
{
    size_t room = store->out_room ? store->out_room : OUT_FIRST;
    while (room - store->out_used < more && room <= OUT_MAX) room *= 2;
    if (room > OUT_MAX) return false;
    if (room == store->out_room) return true;
    char *out = realloc(store->out, room);
    if (!out) return false;
    store->out = out;
    store->out_room = room;
    return true;
}

static void append(pawl_store *store, const char *bytes, size_t len)
{
    memcpy(store->out + store->out_used, bytes, len);
    store->out_used += len;
}

void pawl__memcached_send_or_break(pawl_store *store, pawl__memcached_pending *pending,
                                   const char *command, const char *value, size_t len)
{
    if (!pawl__memcached_send(store, pending, command, value, len))
        pawl__memcached_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

bool pawl__memcached_send(pawl_store *store, pawl__memcached_pending *pending, const char *command,
                          const char *value, size_t len)
{
    size_t line = strlen(command);
    if (store->fd < 0 || store->link.broken) return false;
    if (!make_room(store, line + 2 + (value ? len + 2 : 0))) return false;
    append(store, command, line);
    append(store, "\r\n", 2);
    if (value) {
        append(store, value, len);
        append(store, "\r\n", 2);
    }
    pending->sent_at = store->host->now();
    pawl__list_append(&store->under_way, &pending->in_order);
    return true;
}

/* Whether all has left. */
static bool write_out(pawl_store *store)
{
    while (store->out_sent < store->out_used) {
        ssize_t n = send(store->fd, store->out + store->out_sent, store->out_used - store->out_sent,
                         MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
        if (n < 0) {
            lost(store, "the connection broke");
            return true;
        }
        store->out_sent += (size_t)n;
    }
    if (store->link.phase == PAWL__MEMCACHED_GREETING) /* a password is in it */
        explicit_bzero(store->out, store->out_used);
    store->out_used = store->out_sent = 0;
    return true;
}

void pawl__memcached_flush(pawl_store *store)
{
    if (store->fd < 0 || store->link.broken || write_out(store)) return;
    if (event_add(&store->writable, NULL) < 0)
        pawl__memcached_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    if (write_out(store)) event_del(&store->writable);
}

/* ---- Hearing ------------------------------------------------------------------------------- */

/* STAT is one line of several, so the entry that awaits them stays. */
static void heard(pawl_store *store, const pawl__memcached_answer *answer)
{
    pawl__link *first = pawl__list_first(&store->under_way);
    if (!first) {
        pawl__memcached_break(store, PAWL_ERR_PROTOCOL, "the server speaks unasked");
        return;
    }
    if (answer->code != PAWL__MEMCACHED_STAT) pawl__list_remove(first);
    pawl__memcached_pending *pending = pawl__container(first, pawl__memcached_pending, in_order);
    pending->answered(store, pending, answer);
}

static void hear_all(pawl_store *store)
{
    pawl__memcached_answer answer;
    while (!store->link.broken) {
        pawl__memcached_read read = pawl__memcached_reader_next(&store->reader, &answer);
        if (read == PAWL__MEMCACHED_MORE) return;
        if (read == PAWL__MEMCACHED_NONSENSE) {
            pawl__memcached_break(store, PAWL_ERR_PROTOCOL,
                                  "this does not speak memcached's "
                                  "meta protocol");
            return;
        }
        heard(store, &answer);
    }
}

/* False: nothing is there, or the link broke. */
static bool read_some(pawl_store *store)
{
    size_t room;
    char *to = pawl__memcached_reader_room(&store->reader, &room);
    ssize_t n = recv(store->fd, to, room, 0);
    if (n < 0 && errno == EINTR) return true;
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK)) return false;
    if (n < 0) {
        lost(store, "the connection broke");
    } else if (n == 0) {
        pawl__memcached_break(store, PAWL_ERR_UNAVAILABLE, "the server closed the connection");
    } else {
        pawl__memcached_reader_fed(&store->reader, (size_t)n);
        hear_all(store);
    }
    return !store->link.broken;
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    for (unsigned i = 0; i < READS_MAX && read_some(store); i++) continue;
    pawl__memcached_flush(store); /* the next steps */
}

/* ---- Life ---------------------------------------------------------------------------------- */

bool pawl__memcached_wire_begin(pawl_store *store, int fd)
{
    store->fd = fd;
    store->out_used = store->out_sent = 0;
    pawl__memcached_reader_init(&store->reader);
    event_assign(&store->readable, store->host->base, fd, EV_READ | EV_PERSIST, on_readable, store);
    event_assign(&store->writable, store->host->base, fd, EV_WRITE | EV_PERSIST, on_writable,
                 store);
    return event_add(&store->readable, NULL) == 0;
}

void pawl__memcached_wire_end(pawl_store *store)
{
    if (store->fd < 0) return;
    event_del(&store->readable);
    event_del(&store->writable);
    (void)shutdown(store->fd, SHUT_WR); /* FIN behind the last byte */
    close(store->fd);
    store->fd = -1;
}

void pawl__memcached_wire_forget(pawl_store *store)
{
    if (store->fd >= 0) close(store->fd);
    store->fd = -1;
}

/* Whether a RELEASE is under way. */
static bool releases(const pawl_store *store)
{
    for (const pawl__link *l = store->ops.next; l != &store->ops; l = l->next)
        if (pawl__container(l, const pawl__memcached_op, in_ops)->verb == PAWL_VERB_RELEASE)
            return true;
    return false;
}

void pawl__memcached_wire_drain(pawl_store *store)
{
    int64_t until = store->host->now() + DRAIN_MS * PAWL__NS_PER_MS;
    while (store->fd >= 0 && !store->link.broken) {
        bool written = write_out(store);
        if (store->link.broken || (written && !releases(store))) return;
        struct pollfd fds = {.fd = store->fd,
                             .events = (short)(written ? POLLIN : POLLIN | POLLOUT)};
        int64_t left = pawl__ms_until(store->host->now(), until);
        if (left <= 0 || (poll(&fds, 1, (int)left) < 0 && errno != EINTR)) return;
        if (fds.revents & (POLLIN | POLLHUP | POLLERR)) (void)read_some(store);
    }
}
