/* SPDX-License-Identifier: MIT */
/* Clients: opened, closed, forgotten in a forked child; and what they tell about themselves. */
#define _GNU_SOURCE
#include "client.h"

#include "../base/instant.h"
#include "../base/line.h"
#include "fork.h"
#include "modules.h"
#include "options.h"
#include "owner.h"
#include "thread.h"
#include "visit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *pawl_version(void)
{
    return PAWL_VERSION;
}

/* ---- Open ----------------------------------------------------------------------------------- */

static void start_process(void)
{
    pawl__fork_start();
    pawl__now_start();
}

static const char *default_url(void)
{
    const char *url = getenv("PAWL_STORE");
    return url && *url ? url : "sqlite:";
}

static int find_store(const char *url, pawl__address **ret_address, const pawl_store_ops **ret_ops,
                      char *message)
{
    if (!url) url = default_url();
    pawl__address *address;
    const pawl_store_ops *ops;
    int err = pawl__address_parse(url, &address, message);
    if (err) return err;
    err = pawl__module_find(pawl__address_url(address), &ops, message);
    if (!err) err = pawl__address_check_options(address, ops->name, ops->options, message);
    if (err) {
        pawl__address_free(address);
        return err;
    }
    *ret_address = address;
    *ret_ops = ops;
    return PAWL_OK;
}

static int name_client(pawl_client *c)
{
    unsigned char bytes[16];
    if (!pawl__pool_take(&c->pump.pool, bytes, sizeof bytes)) return PAWL_ERR_SYSTEM;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(c->id + 2 * i, 3, "%02x", bytes[i]);
    if (c->opts.owner)
        snprintf(c->owner, sizeof c->owner, "%s", c->opts.owner);
    else
        pawl__owner_default(c->owner);
    c->opts.owner = c->owner; /* the caller may free its string */
    return PAWL_OK;
}

static int open_descriptors(pawl_client *c)
{
    int err = pawl__gate_open(&c->gate);
    if (!err && c->opts.callbacks == PAWL_CALLBACKS_DISPATCH) err = pawl__calls_open(&c->calls);
    return err;
}

static int open_parts(pawl_client *c, char *message)
{
    int err = name_client(c);
    if (err) return pawl__say_error(message, err, "random numbers");
    err = open_descriptors(c);
    if (err) return pawl__say_error(message, err, "event loop");
    return pawl__pump_open(&c->pump, pawl__address_url(c->address), c->owner, c->id, &c->opts,
                           message);
}

static int start_threads(pawl_client *c, char *message)
{
    if (c->opts.callbacks == PAWL_CALLBACKS_WAIT) return PAWL_OK;
    int err = pawl__trace_calls(&c->trace) ? pawl__calls_need(&c->calls) : PAWL_OK;
    if (!err) err = pawl__gate_start_thread(&c->gate);
    return err ? pawl__say_error(message, err, "threads") : PAWL_OK;
}

static int open_client(pawl_client *c, char *message)
{
    int err = open_parts(c, message);
    if (err) return err;
    err = start_threads(c, message);
    if (!err) return PAWL_OK;
    pawl__calls_join(&c->calls);
    c->pump.store_ops->close(c->pump.store);
    return err;
}

/* The client is not published, or its last thread has left. */
static void free_client(pawl_client *c)
{
    pawl__client_free_parts(c);
    pthread_mutex_lock(&c->gate.mutex);
    pawl__client_put_unlock(c);
}

/*
 * A program with this store runs without any error, on one machine and on ten servers, although the
 * servers do not lock each other out. The thread for callbacks exists already, so the line may be
 * told at once.
 */
static void warn_of_memory(pawl_client *c)
{
    if (strcmp(c->pump.store_ops->name, "memory") != 0) return;
    static const pawl_trace warning = {
        .kind = PAWL_TRACE_NOTE,
        .severity = PAWL_SEVERITY_WARNING,
        .message = "the store is the memory of this process alone, nobody else sees its locks: "
                   "use sqlite: for one machine, redis://host for several"};
    pawl__trace_tell_outside(&c->trace, &warning);
}

static int open_url(const char *url, const pawl_open_opts *opts, pawl_client **ret_client,
                    char *message)
{
    pawl__address *address;
    const pawl_store_ops *ops;
    start_process();
    int err = find_store(url, &address, &ops, message);
    if (err) return err;
    pawl_client *c = pawl__client_new(opts, address, ops);
    if (!c) {
        pawl__address_free(address);
        return pawl__say_error(message, PAWL_ERR_NO_MEMORY, NULL);
    }
    err = open_client(c, message);
    if (err) {
        free_client(c);
        return err;
    }
    pawl__fork_watch(c);
    warn_of_memory(c);
    *ret_client = c;
    return PAWL_OK;
}

int pawl_client_open(const char *url, const pawl_open_opts *given, pawl_client **ret_client,
                     char *reterr_message)
{
    char unread[PAWL_MESSAGE_MAX];
    char *message = reterr_message ? reterr_message : unread;
    pawl_open_opts opts;
    if (!ret_client) return pawl__say_error(message, PAWL_ERR_ARGUMENT, "ret_client is NULL");
    int err = pawl__open_opts_take(given, &opts);
    if (err) return pawl__say_error(message, err, "options of pawl_client_open");
    if (pawl__forking()) return pawl__say_error(message, PAWL_ERR_STATE, "in a handler of fork");
    int cancel_state = pawl__cancel_off();
    err = open_url(url, &opts, ret_client, message);
    pawl__cancel_restore(cancel_state);
    if (err == PAWL_OK) message[0] = '\0'; /* a store may have written there */
    return err;
}

/* ---- Close ---------------------------------------------------------------------------------- */

/* Loop owned, mutex held. */
static void close_engine(pawl_client *c)
{
    int64_t patience = pawl__ms_to_ns(c->opts.close_timeout_ms);
    int64_t until = pawl__instant_add(pawl__now(), patience);
    static const pawl__event closing = {.kind = PAWL__EV_CLOSE};
    pawl__pump_work(&c->pump); /* earlier requests come first */
    /* Each handle stops holding before its release is sent: after that somebody else may hold the
     * lock. */
    pawl__acquisitions_let_go(&c->acquisitions);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__pump_feed(&c->pump, &closing);
    pthread_mutex_lock(&c->gate.mutex);
    pawl__gate_run_to_rest(&c->gate, until);
    c->pump.engine = pawl__engine_free(c->pump.engine);
    pawl__acquisitions_end(&c->acquisitions, PAWL_ERR_CLOSED);
    pawl__queries_end(&c->queries, PAWL_ERR_CLOSED);
}

static bool in_own_callback(pawl_client *c)
{
    pthread_mutex_lock(&c->gate.mutex);
    bool own = pawl__calls_is_inside(&c->calls);
    pthread_mutex_unlock(&c->gate.mutex);
    return own;
}

/* In the child of a fork (law 9). */
static void forget_in_child(pawl_client *c)
{
    if (!pawl__gate_is_quiet(&c->gate) || c->gate.closing) return;
    c->gate.closing = true;
    c->visitors = 0; /* their threads do not exist in the child */
    if (!pawl__pump_forget(&c->pump)) return;
    pawl__client_free_parts(c);
    pawl__acquisitions_forget(&c->acquisitions);
    pawl__client_put_in_child(c);
}

pawl_client *pawl_client_close(pawl_client *c)
{
    if (!c) return NULL;
    if (pawl__client_is_forked(c)) {
        forget_in_child(c);
        return NULL;
    }
    if (pawl__forking() || in_own_callback(c))
        return NULL; /* forbidden: it would wait for itself */
    int cancel_state = pawl__cancel_off();
    pawl__fork_unwatch(c);
    pthread_mutex_lock(&c->gate.mutex);
    c->gate.closing = c->calls.closed = true;
    /* From now on every call takes the mutex, and finds `closing` set. */
    pawl__retention_recall_all(&c->acquisitions);
    pawl__gate_take(&c->gate, PAWL__NEVER); /* it is never given back */
    close_engine(c);
    pawl__gate_stop(&c->gate);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__fork_unwatched_is_done();
    pawl__gate_join_thread(&c->gate);
    if (!pawl__calls_finish(&c->calls)) { /* what is left belongs to the parent (law 9) */
        pawl__cancel_restore(cancel_state);
        return NULL;
    }
    pawl__visitors_await(c);
    c->pump.store_ops->close(c->pump.store);
    free_client(c);
    pawl__cancel_restore(cancel_state);
    return NULL;
}

/* ---- Callbacks that the user's thread runs ----------------------------------------------------
 */

int pawl_client_fd(const pawl_client *client)
{
    return client ? client->calls.dispatch_fd : -1;
}

int pawl_client_dispatch(pawl_client *c)
{
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    int result = c->opts.callbacks == PAWL_CALLBACKS_DISPATCH ? PAWL_OK : PAWL_ERR_STATE;
    if (!result && c->gate.closing) result = PAWL_ERR_CLOSED; /* the close runs what waits */
    /* None run if some run already: another thread dispatches, or this is a callback. */
    if (!result) result = pawl__calls_run(&c->calls, PAWL_DISPATCH_MAX);
    if (result == PAWL_ERR_FORKED) {
        pawl__leave_in_child(&visit);
        return result;
    }
    if (result >= 0 && !c->gate.closing) pawl__calls_unannounce(&c->calls);
    pawl__leave(&visit);
    return result;
}

/* ---- Questions ------------------------------------------------------------------------------ */

void pawl_client_message(const pawl_client *client, char *ret_message)
{
    if (!ret_message) return;
    ret_message[0] = '\0';
    if (!client) return;
    pawl_client *c = (pawl_client *)client; /* only the mutex changes */
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) {
        snprintf(ret_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(err));
        return;
    }
    memcpy(ret_message, c->messages.latest, sizeof c->messages.latest);
    pawl__leave(&visit);
}

/* Whether a line says where: the URL's host, socket or file. */
static bool mentions_store(const char *line, const char *url)
{
    char where[PAWL_MESSAGE_MAX];
    const char *rest = strchr(url, ':');
    rest = rest ? rest + strspn(rest, ":/") : url;
    size_t len = strcspn(rest, "?");
    const char *at = memrchr(rest, '@', len);
    if (at) len -= (size_t)(at + 1 - rest);
    snprintf(where, sizeof where, "%.*s", (int)len, at ? at + 1 : rest);
    return strstr(line, where) != NULL;
}

void pawl_client_reason(const pawl_client *client, int err, char *ret_message)
{
    if (!ret_message) return;
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(err));
    pawl_client *c = (pawl_client *)client; /* only the mutex changes */
    pawl__visit visit;
    if (!pawl__is_of_store(err) || pawl__enter(c, &visit)) return;
    if (c->messages.reason_err == err)
        memcpy(ret_message, c->messages.reason, sizeof c->messages.reason);
    pawl__leave(&visit);
    size_t used = strlen(ret_message);
    if (!mentions_store(ret_message, pawl_client_url(c)))
        snprintf(ret_message + used, PAWL_MESSAGE_MAX - used, ", at %s", pawl_client_url(c));
}

const char *pawl_client_owner(const pawl_client *client)
{
    return client ? client->owner : "";
}

const char *pawl_client_url(const pawl_client *client)
{
    return client ? pawl__address_url(client->address)->redacted : "";
}
