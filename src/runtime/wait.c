/* SPDX-License-Identifier: MIT */
/*
 * A client without a thread of its own (PAWL_CALLBACKS_WAIT): the thread in pawl_client_wait owns
 * the loop, works for all callers, and runs the callbacks between two turns. So news from the store
 * does not cross threads.
 */
#include "../base/instant.h"
#include "visit.h"

#include <event2/event.h>
#include <sys/stat.h>

/* In the event loop: the loop is owned, the mutex not held. */
static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    pawl_client *c = arg;
    (void)fd;
    (void)what;
    pthread_mutex_lock(&c->gate.mutex);
    c->in_wait->complete = true;
    pthread_mutex_unlock(&c->gate.mutex);
}

/* Checked first, because the event loop would write an error to stderr. */
static bool can_be_watched(int fd)
{
    struct stat st;
    return fd < 0 || (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode));
}

/* Loop owned, mutex held. */
static int own_and_watch(pawl_client *c, int fd, int64_t until)
{
    struct event *event = NULL;
    int err = PAWL_OK;
    if (fd >= 0) {
        event = event_new(c->pump.base, fd, EV_READ, on_readable, c);
        if (!event) return PAWL_ERR_NO_MEMORY;
        if (event_add(event, NULL)) err = PAWL_ERR_SYSTEM;
    }
    if (!err) pawl__gate_run_for(&c->gate, c->in_wait, until);
    if (event) event_free(event);
    return err;
}

/* Mutex held. */
static int wait_for_calls(pawl_client *c, int fd, int64_t until)
{
    pawl__waiter waiter;
    pawl__waiter_init(&waiter);
    /* cppcheck-suppress autoVariables ; taken back below */
    c->in_wait = &waiter;
    bool first = true;
    int err = PAWL_OK;
    while (!err && !waiter.complete && (first || until == PAWL__NEVER || pawl__now() < until)) {
        if (!pawl__gate_take_unless_closing(&c->gate)) {
            err = PAWL_ERR_CLOSED;
            break;
        }
        err = own_and_watch(c, fd, pawl__calls_none(&c->calls) ? until : 0);
        pawl__gate_give(&c->gate);
        first = false;
        if (!pawl__calls_none(&c->calls)) break;
    }
    c->in_wait = NULL;
    return err;
}

int pawl_client_wait(pawl_client *c, int fd, int64_t wait_ms)
{
    if (!c || wait_ms < PAWL_WAIT_FOREVER || !can_be_watched(fd)) return PAWL_ERR_ARGUMENT;
    int64_t until = PAWL__NEVER;
    if (wait_ms >= 0) until = pawl__instant_add(pawl__now(), pawl__ms_to_ns(wait_ms));
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    bool may_wait = c->opts.callbacks == PAWL_CALLBACKS_WAIT && !c->in_wait && !c->calls.running;
    int result = may_wait ? PAWL_OK : PAWL_ERR_STATE;
    if (!result) result = wait_for_calls(c, fd, until);
    if (!result && c->gate.closing) result = PAWL_ERR_CLOSED;
    if (!result) result = pawl__calls_run(&c->calls, PAWL_DISPATCH_MAX);
    if (result == PAWL_ERR_FORKED)
        pawl__leave_in_child(&visit);
    else
        pawl__leave(&visit);
    return result;
}
