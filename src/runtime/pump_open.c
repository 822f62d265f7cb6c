/* SPDX-License-Identifier: MIT */
/* Makes the pump's parts, frees them, and forgets them in the child of a fork. */
#define _GNU_SOURCE
#include "../base/instant.h"
#include "../base/line.h"
#include "options.h"
#include "pump.h"

#include <event2/event.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void pawl__pump_init(pawl__pump *pump, const pawl__pump_ops *ops, pawl_client *client,
                     const pawl_store_ops *store_ops)
{
    pump->ops = ops;
    pump->client = client;
    pump->store_ops = store_ops;
    pump->alarm.fd = -1;
    if (!pawl__engine_on_broken) pawl__engine_on_broken = pawl__pump_say_broken;
}

/* ---- The loop -------------------------------------------------------------------------------- */

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
    (void)what;
    (void)arg;
    uint64_t count;
    ssize_t n = read(fd, &count, sizeof count);
    (void)n; /* nothing to read: an earlier wake-up has read it */
}

static void on_alarm(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    pawl__alarm_take(arg); /* what is due is noticed before the next sleep */
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

static int open_loop(pawl__pump *pump)
{
    int wake_fd = pump->gate->wake_fd;
    if (pawl__alarm_open(&pump->alarm) < 0) return PAWL_ERR_SYSTEM;
    if (has_room_for_base(wake_fd)) pump->base = new_base();
    if (!pump->base) return PAWL_ERR_SYSTEM;
    pump->wake_event = event_new(pump->base, wake_fd, EV_READ | EV_PERSIST, on_wake, NULL);
    pump->alarm_event =
        event_new(pump->base, pump->alarm.fd, EV_READ | EV_PERSIST, on_alarm, &pump->alarm);
    if (!pump->wake_event || !pump->alarm_event) return PAWL_ERR_NO_MEMORY;
    bool failed = event_add(pump->wake_event, NULL) || event_add(pump->alarm_event, NULL);
    return failed ? PAWL_ERR_SYSTEM : PAWL_OK;
}

/* ---- Engine and store ------------------------------------------------------------------------ */

static void draw_token(void *ctx, char *ret_text)
{
    pawl__pump *pump = ctx;
    if (pawl__token_draw(&pump->pool, ret_text)) return;
    memset(ret_text, '0', PAWL_TOKEN_LEN); /* it is never sent: see pump.c, act() */
    ret_text[PAWL_TOKEN_LEN] = '\0';
    pump->failed = true;
}

static int open_engine(pawl__pump *pump, const char *owner, int64_t unreachable_ms)
{
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    if (!pawl__pool_take(&pump->pool, &opts.seed, sizeof opts.seed)) return PAWL_ERR_SYSTEM;
    opts.owner = owner;
    opts.draw_token = draw_token;
    opts.draw_ctx = pump;
    opts.unreachable_ms = unreachable_ms;
    if (pawl__trace_hears(pump->trace, PAWL_TRACE_LEASE)) {
        opts.moved = pawl__pump_lease_moved;
        opts.moved_ctx = pump;
    }
    pump->engine = pawl__engine_new(&opts);
    return pump->engine ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

int pawl__pump_open(pawl__pump *pump, const pawl_url *url, const char *owner, const char *id,
                    const pawl_open_opts *opts, char *message)
{
    int64_t ms = opts->store_timeout_ms;
    pump->answer_ms = ms == PAWL_WAIT_FOREVER ? PAWL__STORE_TIMEOUT_MS : ms;
    int err = open_loop(pump);
    if (err) return pawl__say_error(message, err, "event loop");
    err = open_engine(pump, owner, ms);
    if (err) return pawl__say_error(message, err, NULL);
    pawl__pump_init_host(pump, owner, id, opts->callbacks == PAWL_CALLBACKS_WAIT);
    err = pump->store_ops->open(&pump->host, url, &pump->store, message);
    if (err) pawl__line_mend(message);
    return err;
}

void pawl__pump_free(pawl__pump *pump)
{
    pump->engine = pawl__engine_free(pump->engine);
    if (pump->wake_event) event_free(pump->wake_event);
    if (pump->alarm_event) event_free(pump->alarm_event);
    if (pump->base) event_base_free(pump->base);
    pump->wake_event = pump->alarm_event = NULL;
    pump->base = NULL;
    if (pump->alarm.fd >= 0) close(pump->alarm.fd);
    pump->alarm.fd = -1;
    explicit_bzero(&pump->pool, sizeof pump->pool);
}

/*
 * event_reinit comes first: both processes share one epoll object, and removing our events from it
 * would remove the parent's.
 */
bool pawl__pump_forget(pawl__pump *pump)
{
    if (pump->base && event_reinit(pump->base) != 0) return false;
    pump->store_ops->forget(pump->store);
    return true;
}
