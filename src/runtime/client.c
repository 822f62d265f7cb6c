/* SPDX-License-Identifier: MIT */
/* Clients: opened, closed, forgotten in a forked child. */
#define _GNU_SOURCE
#include "../base/line.h"
#include "modules.h"
#include "owner.h"
#include "runtime.h"
#include "thread.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *pawl_version(void)
{
    return PAWL_VERSION;
}

/* ---- Small help ----------------------------------------------------------------------------- */

void pawl__client_say(pawl_client *c, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(c->message, sizeof c->message, format, args);
    va_end(args);
    pawl__line_mend(c->message);
}

/* Whether only the store can say why, and not the caller, the other holders or the clock. */
static bool is_the_stores(int err)
{
    /* After the client was opened only the store finds these. */
    if (err == PAWL_ERR_OPTION || err == PAWL_ERR_UNSUPPORTED) return true;
    switch (pawl_err_class_of(err)) {
    case PAWL_CLASS_RETRY:
    case PAWL_CLASS_UNKNOWN:
    case PAWL_CLASS_DENIED:
    case PAWL_CLASS_INTERNAL:
        return true;
    case PAWL_CLASS_OK:
    case PAWL_CLASS_BUSY:
    case PAWL_CLASS_LOST:
    case PAWL_CLASS_USAGE:
    case PAWL_CLASS_CANCELED:
        break;
    }
    return false;
}

void pawl__client_blame(pawl_client *c, int err, const char *reason)
{
    if (!is_the_stores(err)) return;
    c->reason_err = err;
    snprintf(c->reason, sizeof c->reason, "%s", reason);
    pawl__line_mend(c->reason);
}

static int fail(char *message, int err, const char *what)
{
    if (what)
        snprintf(message, PAWL_MESSAGE_MAX, "%s: %s", what, pawl_err_text(err));
    else
        snprintf(message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(err));
    return err;
}

/* ---- Parts ---------------------------------------------------------------------------------- */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* nothing there: another waking took it */
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pawl_client *c = arg;
    pawl__alarm_take(&c->alarm); /* what is due is seen before the next sleep */
}

static struct event_base *new_base(void)
{
    struct event_config *config = event_config_new();
    if (!config) return NULL;
    /* One thread at a time uses it, whatever the program has told libevent about threads. */
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

/* libevent ends the process if it finds no descriptors for epoll and its signals (evsig_init_). */
static bool has_room_for_base(int fd)
{
    int spare[3], count = 0;
    while (count < 3 && (spare[count] = fcntl(fd, F_DUPFD_CLOEXEC, 0)) >= 0) count++;
    for (int i = 0; i < count; i++) close(spare[i]);
    return count == 3;
}

static int open_loop(pawl_client *c)
{
    if (pawl__gate_open(&c->gate) || pawl__alarm_open(&c->alarm) < 0) return PAWL_ERR_SYSTEM;
    if (c->opts.callbacks == PAWL_CALLBACKS_DISPATCH && pawl__calls_open(&c->calls))
        return PAWL_ERR_SYSTEM;
    if (has_room_for_base(c->gate.wake_fd)) c->base = new_base();
    if (!c->base) return PAWL_ERR_SYSTEM;
    c->wake_event = event_new(c->base, c->gate.wake_fd, EV_READ | EV_PERSIST, on_wake, c);
    c->alarm_event = event_new(c->base, c->alarm.fd, EV_READ | EV_PERSIST, on_alarm, c);
    if (!c->wake_event || !c->alarm_event) return PAWL_ERR_NO_MEMORY;
    if (event_add(c->wake_event, NULL) || event_add(c->alarm_event, NULL)) return PAWL_ERR_SYSTEM;
    return PAWL_OK;
}

static void draw_token(void *ctx, char *ret_text)
{
    pawl_client *c = ctx;
    if (pawl__token_draw(&c->pool, ret_text)) return;
    memset(ret_text, '0', PAWL_TOKEN_LEN); /* never leaves: see turn.c, act() */
    ret_text[PAWL_TOKEN_LEN] = '\0';
    c->failed = true;
}

static int open_engine(pawl_client *c)
{
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    if (!pawl__pool_take(&c->pool, &opts.seed, sizeof opts.seed)) return PAWL_ERR_SYSTEM;
    opts.owner = c->owner;
    opts.draw_token = draw_token;
    opts.draw_ctx = c;
    opts.unreachable_ms = c->opts.store_timeout_ms;
    c->engine = pawl__engine_new(&opts);
    return c->engine ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

static int name_client(pawl_client *c)
{
    unsigned char bytes[16];
    if (!pawl__pool_take(&c->pool, bytes, sizeof bytes)) return PAWL_ERR_SYSTEM;
    for (size_t i = 0; i < sizeof bytes; i++) snprintf(c->id + 2 * i, 3, "%02x", bytes[i]);
    if (c->opts.owner)
        snprintf(c->owner, sizeof c->owner, "%s", c->opts.owner);
    else
        pawl__owner_default(c->owner);
    c->opts.owner = c->owner; /* the caller's string may go */
    return PAWL_OK;
}

static bool run_call(pawl_client *c, pawl__link *entry)
{
    return pawl__claim_run_call(&c->calls, pawl__container(entry, pawl__claim, in_calls));
}

static void announce_call(pawl_client *c)
{
    if (c->in_wait) c->in_wait->complete = true;
}

static const pawl__calls_ops calls_ops = {.run = run_call, .announce = announce_call};

static pawl_client *new_client(const pawl_open_opts *opts)
{
    pawl_client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->opts = *opts;
    c->refs = 1;
    c->alarm.fd = -1;
    pawl__gate_init(&c->gate, &pawl__turn_ops, c);
    sem_init(&c->visitors_left, 0, 0);
    pawl__calls_init(&c->calls, &calls_ops, c, &c->gate.mutex, &c->opts);
    pawl__link *lists[] = {&c->asked,   &c->queries, &c->claims,
                           &c->waiting, &c->asking,  &c->in_watched};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) pawl__list_init(lists[i]);
    return c;
}

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

/* All but the mutex and what handles still ask for. Takes half-made clients. The store is gone. */
static void free_parts(pawl_client *c)
{
    c->engine = pawl__engine_free(c->engine);
    if (c->wake_event) event_free(c->wake_event);
    if (c->alarm_event) event_free(c->alarm_event);
    if (c->base) event_base_free(c->base);
    c->wake_event = c->alarm_event = NULL;
    c->base = NULL;
    pawl__gate_close(&c->gate);
    close_fd(&c->alarm.fd);
    pawl__calls_free_parts(&c->calls);
    pawl__heap_done(&c->cache_timers);
    explicit_bzero(&c->pool, sizeof c->pool);
}

static void free_memory(pawl_client *c)
{
    pawl__address_free(c->address);
    free(c);
}

static void free_client(pawl_client *c)
{
    pawl__calls_destroy(&c->calls);
    sem_destroy(&c->visitors_left);
    pawl__gate_destroy(&c->gate);
    free_memory(c);
}

void pawl__client_put_unlock(pawl_client *c)
{
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&c->gate.mutex);
    if (last) free_client(c);
}

void pawl__client_put_in_child(pawl_client *c)
{
    if (--c->refs == 0) free_memory(c); /* a mutex that is locked is not destroyed */
}

/* ---- Open ----------------------------------------------------------------------------------- */

/* Runs inside a step of the engine: law 10, and somebody must hear of it. */
static _Thread_local pawl_client *stepping;

static void say_broken(const char *what)
{
    pawl_client *c = stepping;
    if (!c) return;
    pthread_mutex_lock(&c->gate.mutex);
    pawl__client_say(c, "an invariant of pawl is broken, all locks are lost: %s", what);
    pawl__calls_log(&c->calls, PAWL_SEVERITY_ERROR, c->message);
    pthread_mutex_unlock(&c->gate.mutex);
}

void pawl__client_step(pawl_client *c, const pawl__event *event)
{
    stepping = c;
    pawl__engine_step(c->engine, pawl__now(), event);
    stepping = NULL;
}

static void start_process(void)
{
    pawl__fork_start();
    pawl__now_start();
    if (!pawl__engine_on_broken) pawl__engine_on_broken = say_broken;
}

static int find_store(const char *url, pawl__address **ret_address, const pawl_store_ops **ret_ops,
                      char *message)
{
    if (!url) url = getenv("PAWL_STORE");
    if (!url || !*url) url = "sqlite:";
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

static int open_parts(pawl_client *c, char *message)
{
    int err = name_client(c);
    if (err) return fail(message, err, "random numbers");
    err = open_loop(c);
    if (err) return fail(message, err, "event loop");
    err = open_engine(c);
    if (err) return fail(message, err, NULL);
    pawl__host_init(c);
    err = c->ops->open(&c->host, pawl__address_url(c->address), &c->store, message);
    if (err) pawl__line_mend(message);
    return err;
}

static int start_threads(pawl_client *c, char *message)
{
    if (c->opts.callbacks == PAWL_CALLBACKS_WAIT) return PAWL_OK;
    int err = c->opts.log ? pawl__calls_need(&c->calls) : PAWL_OK;
    if (!err) err = pawl__gate_start_thread(&c->gate);
    return err ? fail(message, err, "threads") : PAWL_OK;
}

static int open_client(pawl_client *c, char *message)
{
    int err = open_parts(c, message);
    if (err) {
        free_parts(c);
        return err;
    }
    err = start_threads(c, message);
    if (!err) return PAWL_OK;
    pawl__calls_join(&c->calls);
    c->ops->close(c->store);
    free_parts(c);
    return err;
}

/*
 * A program with such a store runs without any complaint, on its developer's machine as on ten
 * servers. The thread for callbacks is there already: the line may be told at once.
 */
static void warn_of_memory(pawl_client *c)
{
    if (strcmp(c->ops->name, "memory") != 0) return;
    pthread_mutex_lock(&c->gate.mutex);
    pawl__calls_log(&c->calls, PAWL_SEVERITY_WARNING,
                    "the store is the memory of this process alone, nobody else sees its locks: "
                    "use sqlite: for one machine, redis://host for several");
    pthread_mutex_unlock(&c->gate.mutex);
}

static int open_url(const char *url, const pawl_open_opts *opts, pawl_client **ret_client,
                    char *message)
{
    pawl__address *address;
    const pawl_store_ops *ops;
    start_process();
    int err = find_store(url, &address, &ops, message);
    if (err) return err;
    pawl_client *c = new_client(opts);
    if (!c) {
        pawl__address_free(address);
        return fail(message, PAWL_ERR_NO_MEMORY, NULL);
    }
    c->address = address;
    c->ops = ops;
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
    if (!ret_client) return fail(message, PAWL_ERR_ARGUMENT, "ret_client is NULL");
    int err = pawl__open_opts_take(given, &opts);
    if (err) return fail(message, err, "options of pawl_client_open");
    if (pawl__forking()) return fail(message, PAWL_ERR_STATE, "in a handler of fork");
    int cancel_state = pawl__cancel_off();
    err = open_url(url, &opts, ret_client, message);
    pawl__cancel_restore(cancel_state);
    if (err == PAWL_OK) message[0] = '\0'; /* whatever a store wrote there */
    return err;
}

/* ---- Close ---------------------------------------------------------------------------------- */

/* Each handle says no before its release leaves: after that somebody else may hold the lock. */
static void let_go_all(pawl_client *c)
{
    for (pawl__link *l = c->claims.next; l != &c->claims; l = l->next) {
        pawl__claim *claim = pawl__container(l, pawl__claim, in_claims);
        pawl_lock *lock = pawl__claim_lock(claim);
        if (lock->claim != claim || lock->state != PAWL__LOCK_HELD) continue;
        claim->let_go = true;
        atomic_store(&lock->held_until, PAWL__NOT_HELD);
    }
}

/* Role and mutex held. */
static void close_engine(pawl_client *c)
{
    int64_t patience = pawl__ms_to_ns(c->opts.close_timeout_ms);
    int64_t until = pawl__instant_add(pawl__now(), patience);
    static const pawl__event closing = {.kind = PAWL__EV_CLOSE};
    pawl__turn_work(c); /* what was asked before comes before */
    let_go_all(c);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__turn_feed(c, &closing);
    pthread_mutex_lock(&c->gate.mutex);
    pawl__gate_run_to_rest(&c->gate, until);
    c->engine = pawl__engine_free(c->engine);
    pawl__claims_end(c, PAWL_ERR_CLOSED);
    pawl__queries_end(c, PAWL_ERR_CLOSED);
}

static bool in_own_callback(pawl_client *c)
{
    pthread_mutex_lock(&c->gate.mutex);
    bool own = pawl__calls_is_inside(&c->calls);
    pthread_mutex_unlock(&c->gate.mutex);
    return own;
}

/*
 * In the child of a fork (law 9): the store says nothing on what it shares with
 * the parent. event_reinit comes first: the two processes share one epoll
 * object, and taking our events from it would take the parent's.
 */
static void forget_in_child(pawl_client *c)
{
    if (!atomic_load(&c->gate.quiet_at_fork) || c->gate.closing) return;
    c->gate.closing = true;
    c->visitors = 0; /* their threads are not here */
    if (c->base && event_reinit(c->base) != 0) return;
    c->ops->forget(c->store);
    free_parts(c);
    for (pawl__link *l; (l = pawl__list_first(&c->claims));) {
        pawl__claim *claim = pawl__container(l, pawl__claim, in_claims);
        pawl__list_remove(&claim->in_calls);
        claim->known = claim->running = false;
        claim->calls = 0;
        pawl_lock *lock = pawl__claim_lock(claim);
        if (lock->claim == claim) lock->claim = NULL;
        pawl__claim_settle(claim);
    }
    pawl__client_put_in_child(c);
}

pawl_client *pawl_client_close(pawl_client *c)
{
    if (!c) return NULL;
    if (pawl__gate_is_forked(&c->gate)) {
        forget_in_child(c);
        return NULL;
    }
    if (pawl__forking() || in_own_callback(c))
        return NULL; /* forbidden: it would wait for itself */
    int cancel_state = pawl__cancel_off();
    pawl__fork_unwatch(c);
    pthread_mutex_lock(&c->gate.mutex);
    c->gate.closing = c->calls.closed = true;
    pawl__cached_end_all(c); /* from now on every call comes by the mutex, and finds it closing */
    pawl__gate_take(&c->gate, PAWL__NEVER); /* and never gives it back */
    close_engine(c);
    pawl__gate_stop(&c->gate);
    pthread_mutex_unlock(&c->gate.mutex);
    pawl__gate_join_thread(&c->gate);
    pawl__calls_finish(&c->calls);
    pawl__visitors_await(c);
    c->ops->close(c->store);
    free_parts(c);
    pthread_mutex_lock(&c->gate.mutex);
    pawl__client_put_unlock(c);
    pawl__cancel_restore(cancel_state);
    return NULL;
}

/* ---- The end of the process -------------------------------------------------------------------
 */

void pawl__client_at_exit(pawl_client *c, int64_t until)
{
    static const pawl__event keep_nothing = {.kind = PAWL__EV_KEEP_NOTHING};
    if (pawl__gate_is_forked(&c->gate) || !pawl__gate_lock_in_time(&c->gate, until)) return;
    if (!c->gate.closing && pawl__gate_take(&c->gate, until)) {
        c->gate.exiting = true;
        pawl__cached_end_all(c);
        pthread_mutex_unlock(&c->gate.mutex);
        pawl__turn_feed(c, &keep_nothing);
        pthread_mutex_lock(&c->gate.mutex);
        pawl__gate_drain(&c->gate, until);
        pawl__gate_give(&c->gate);
    }
    pthread_mutex_unlock(&c->gate.mutex);
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
    if (result == PAWL_ERR_FORKED) { /* a callback forked, and this is the child */
        pawl__cancel_restore(visit.cancel_state);
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
    pawl_client *c = (pawl_client *)client; /* the mutex is no part of what is const */
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) {
        snprintf(ret_message, PAWL_MESSAGE_MAX, "%s", pawl_err_text(err));
        return;
    }
    memcpy(ret_message, c->message, sizeof c->message);
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
    pawl_client *c = (pawl_client *)client; /* the mutex is no part of what is const */
    pawl__visit visit;
    if (!is_the_stores(err) || pawl__enter(c, &visit)) return;
    if (c->reason_err == err) memcpy(ret_message, c->reason, sizeof c->reason);
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
