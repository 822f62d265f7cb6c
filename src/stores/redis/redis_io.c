/* SPDX-License-Identifier: MIT */
/*
 * The wire of redis_wire.h over libevent: the connection of redis_conn.c, names looked up by
 * redis_resolve.c.
 *
 * The two timers stay in the loop's heap from open to close, "at rest" when there is nothing
 * to wait for: setting a timer that is in the heap needs no memory, so no answer and no
 * attempt ever depends on there being some.
 */
#include "redis_conn.h"
#include "redis_resolve.h"
#include "redis_secret.h"
#include "redis_store.h"
#include "redis_tls.h"

#include "../../base/instant.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#define REST_US  (INT64_C(86400) * 1000000)
#define DRAIN_MS 50 /* close waits this long for a socket that takes no more */

typedef struct io {
    pawl__redis_lookup *lookup;
    pawl__redis_addresses addresses;
    pawl__redis_conn *conn;
    const pawl__redis_transport *transport;
    const pawl__redis_tls_ops *tls; /* NULL: not asked for */
    void *tls_settings;
    struct event timers[PAWL__REDIS_TIMERS];
    struct event turn, found;
} io;

static io *io_of(const pawl_store *store)
{
    return store->io;
}

/* ---- Timers ----------------------------------------------------------------------- */

static bool add_timer(io *i, pawl__redis_timer timer, int64_t delay_us)
{
    struct timeval delay = {.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
    return event_add(&i->timers[timer], &delay) == 0;
}

static void set_timer(pawl_store *store, pawl__redis_timer timer, int64_t delay_us)
{
    if (delay_us == PAWL__REDIS_NO_TIMER) delay_us = REST_US;
    (void)add_timer(io_of(store), timer, delay_us); /* it is in the heap: this cannot fail */
}

static void on_link_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pawl__redis_timer_due(arg, PAWL__REDIS_TIMER_LINK);
}

static void on_answer_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pawl__redis_timer_due(arg, PAWL__REDIS_TIMER_ANSWERS);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pawl__redis_turn(arg);
}

static void turn_soon(pawl_store *store)
{
    event_active(&io_of(store)->turn, EV_TIMEOUT, 0);
}

/* ---- Addresses -------------------------------------------------------------------- */

static void looked_up(const pawl__redis_addresses *found, const char *trouble, void *ctx)
{
    pawl_store *store = ctx;
    io_of(store)->lookup = NULL;
    io_of(store)->addresses = *found;
    pawl__redis_found(store, found->count, trouble);
}

static void on_found(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    (void)fd, (void)what;
    pawl__redis_found(store, io_of(store)->addresses.count, NULL);
}

static void unix_address(const char *path, pawl__redis_addresses *ret_found)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path) + 1); /* the URL's length has been checked */
    memcpy(&ret_found->list[0].address, &address, sizeof address);
    ret_found->list[0].len = sizeof address;
    ret_found->count = 1;
}

static int resolve(pawl_store *store)
{
    io *i = io_of(store);
    const pawl__redis_config *config = &store->config;
    i->addresses.count = 0;
    if (config->unix_path) unix_address(config->unix_path, &i->addresses);
    if (config->unix_path || pawl__redis_parse_address(config->host, config->port, &i->addresses)) {
        event_active(&i->found, EV_TIMEOUT, 0);
        return 0;
    }
    i->lookup =
        pawl__redis_lookup_start(store->host->base, config->host, config->port, looked_up, store);
    return i->lookup ? 0 : errno;
}

/* ---- The connection ----------------------------------------------------------------- */

static bool heard(const pawl__redis_value *value, void *ctx)
{
    return pawl__redis_heard(ctx, value);
}

static void batch_ended(void *ctx)
{
    pawl__redis_batch_ended(ctx);
}

static void failed(pawl_err err, const char *message, void *ctx)
{
    pawl__redis_link_break(ctx, err, message);
}

static int open_connection(pawl_store *store, size_t address)
{
    static const pawl__redis_conn_ops ops = {heard, batch_ended, failed};
    io *i = io_of(store);
    const pawl__redis_address *to = &i->addresses.list[address];
    i->conn =
        pawl__redis_conn_open(store->host->base, (const struct sockaddr *)&to->address, to->len,
                              i->transport, i->tls_settings, &ops, store, store->space.where);
    return i->conn ? 0 : errno;
}

static pawl__redis_stage stage(const pawl_store *store)
{
    const pawl__redis_conn *conn = io_of(store)->conn;
    if (!conn || !conn->carrier->reached) return PAWL__REDIS_CONNECTING;
    return conn->connected ? PAWL__REDIS_CONNECTED : PAWL__REDIS_REACHED;
}

static bool append(pawl_store *store, const pawl__redis_bytes *argv, size_t argc, uint64_t *ret_end)
{
    pawl__redis_conn *conn = io_of(store)->conn;
    if (!conn || conn->failed || !pawl__redis_conn_append(conn, argv, argc)) return false;
    *ret_end = conn->appended;
    return true;
}

static void flush(pawl_store *store)
{
    pawl__redis_conn *conn = io_of(store)->conn;
    if (conn) pawl__redis_conn_flush(conn);
}

static uint64_t written(const pawl_store *store)
{
    const pawl__redis_conn *conn = io_of(store)->conn;
    return conn ? conn->written : 0;
}

static void close_all(pawl_store *store)
{
    io *i = io_of(store);
    event_del(&i->found);
    pawl__redis_lookup_cancel(i->lookup);
    i->lookup = NULL;
    pawl__redis_conn_close(i->conn);
    i->conn = NULL;
}

/* ---- The password ------------------------------------------------------------------- */

static bool renew_password(pawl_store *store, char *reterr_message)
{
    pawl__redis_config *config = &store->config;
    if (!config->password_file) return true;
    char *password = pawl__secret_read(config->password_file, &config->password_exposed,
                                       reterr_message, PAWL_MESSAGE_MAX);
    if (!password) return false;
    pawl__secret_free(config->password);
    config->password = password;
    return true;
}

static const pawl__redis_wire wire = {.resolve = resolve,
                                      .connect = open_connection,
                                      .stage = stage,
                                      .append = append,
                                      .flush = flush,
                                      .written = written,
                                      .close = close_all,
                                      .set_timer = set_timer,
                                      .turn_soon = turn_soon,
                                      .renew_password = renew_password};

/* ---- Life ------------------------------------------------------------------------- */

/* Reads certificates and keys, once for all connections. */
static int open_tls(io *i, const pawl__redis_config *config, char *reterr_message)
{
    char why[PAWL_MESSAGE_MAX - 160];
    const pawl__redis_tls_wish wish = {.name = config->tls_name ? config->tls_name : config->host,
                                       .ca = config->tls_ca,
                                       .cert = config->tls_cert,
                                       .key = config->tls_key,
                                       .unverified = config->tls_unverified};
    i->tls = pawl__redis_tls_load(why, sizeof why);
    i->tls_settings = i->tls ? i->tls->open(&wish, why, sizeof why) : NULL;
    if (i->tls_settings) {
        i->transport = i->tls->transport;
        return PAWL_OK;
    }
    snprintf(reterr_message, PAWL_MESSAGE_MAX, "%.150s: %s", config->where, why);
    return i->tls ? PAWL_ERR_OPTION : PAWL_ERR_SCHEME;
}

int pawl__redis_io_open(pawl_store *store, char *reterr_message)
{
    struct event_base *base = store->host->base;
    io *i = calloc(1, sizeof *i);
    if (!i) return PAWL_ERR_NO_MEMORY;
    store->wire = &wire;
    store->io = i;
    i->transport = &pawl__redis_plain;
    event_assign(&i->turn, base, -1, 0, on_turn, store);
    event_assign(&i->found, base, -1, 0, on_found, store);
    event_assign(&i->timers[PAWL__REDIS_TIMER_LINK], base, -1, EV_PERSIST, on_link_timer, store);
    event_assign(&i->timers[PAWL__REDIS_TIMER_ANSWERS], base, -1, EV_PERSIST, on_answer_timer,
                 store);
    int err = store->config.tls ? open_tls(i, &store->config, reterr_message) : PAWL_OK;
    if (!err && (!add_timer(i, PAWL__REDIS_TIMER_LINK, REST_US) ||
                 !add_timer(i, PAWL__REDIS_TIMER_ANSWERS, REST_US)))
        err = PAWL_ERR_NO_MEMORY;
    if (err) pawl__redis_io_close(store);
    return err;
}

void pawl__redis_io_close(pawl_store *store)
{
    io *i = io_of(store);
    close_all(store);
    event_del(&i->turn);
    for (int timer = 0; timer < PAWL__REDIS_TIMERS; timer++) evtimer_del(&i->timers[timer]);
    if (i->tls) i->tls->close(i->tls_settings);
    free(i);
    store->io = NULL;
}

void pawl__redis_io_describe(pawl_store *store, char *ret_text, size_t room)
{
    const io *i = io_of(store);
    ret_text[0] = '\0';
    if (i->conn && i->transport->describe) i->transport->describe(i->conn->carrier, ret_text, room);
}

bool pawl__redis_io_cert_left(pawl_store *store, int64_t *ret_left_s)
{
    const io *i = io_of(store);
    return i->conn && i->transport->cert_left &&
           i->transport->cert_left(i->conn->carrier, ret_left_s);
}

void pawl__redis_io_drain(pawl_store *store)
{
    pawl__redis_conn_drain(io_of(store)->conn, store->host->now,
                           store->host->now() + DRAIN_MS * PAWL__NS_PER_MS);
}

void pawl__redis_io_forget(pawl_store *store)
{
    io *i = io_of(store);
    pawl__redis_lookup_forget(i->lookup);
    pawl__redis_conn_forget(i->conn);
}
