/* SPDX-License-Identifier: MIT */
/* libzookeeper in the loop: its socket, its timer, its end. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define AGAIN_NS     (50 * PAWL__NS_PER_MS) /* after something that it could not do */
#define PAUSE_MIN_NS (PAWL__RETRY_MIN_MS * PAWL__NS_PER_MS)
#define PAUSE_MAX_NS (PAWL__RETRY_MAX_MS * PAWL__NS_PER_MS)

static void be_silent(const char *line)
{
    (void)line;
}

/* ---- What the library wants ----------------------------------------------------------------- */

bool pawl__zk_is_connected(const pawl__zk_handle *handle)
{
    return handle->zh && zoo_state(handle->zh) == ZOO_CONNECTED_STATE;
}

bool pawl__zk_is_over(const pawl__zk_handle *handle)
{
    return handle->zh && is_unrecoverable(handle->zh);
}

bool pawl__zk_login_refused(const pawl__zk_handle *handle)
{
    return handle->zh && zoo_state(handle->zh) == ZOO_AUTH_FAILED_STATE;
}

static void on_socket(evutil_socket_t fd, short what, void *arg)
{
    pawl__zk_handle *handle = arg;
    int events = (what & EV_READ ? ZOOKEEPER_READ : 0) | (what & EV_WRITE ? ZOOKEEPER_WRITE : 0);
    (void)fd;
    event_del(&handle->socket); /* the library may close it */
    int rc = zookeeper_process(handle->zh, events);
    handle->changed(handle, rc == ZNOTHING ? ZOK : rc);
    pawl__zk_handle_go_on(handle);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pawl__zk_handle_go_on(arg);
}

void pawl__zk_handle_go_on(pawl__zk_handle *handle)
{
    struct timeval wait = {0};
    int interest = 0;
    event_del(&handle->socket);
    handle->fd = -1;
    pawl__timer_set(&handle->timer, PAWL__NEVER);
    if (!handle->zh || pawl__zk_is_over(handle)) return;
    int rc = zookeeper_interest(handle->zh, &handle->fd, &interest, &wait);
    if (rc != ZOK) {
        handle->fd = -1;
        pawl__timer_set(&handle->timer, AGAIN_NS);
        handle->changed(handle, rc);
        return;
    }
    if (handle->fd < 0) { /* it would wait for a sixtieth of the session */
        pawl__timer_set(&handle->timer, handle->pause_ns);
        handle->pause_ns = pawl__instant_min(2 * handle->pause_ns, PAUSE_MAX_NS);
        return;
    }
    if (pawl__zk_is_connected(handle)) handle->pause_ns = PAUSE_MIN_NS;
    (void)event_add(&handle->timer, &wait);
    short events = EV_PERSIST;
    if (interest & ZOOKEEPER_READ) events |= EV_READ;
    if (interest & ZOOKEEPER_WRITE) events |= EV_WRITE;
    event_assign(&handle->socket, handle->base, handle->fd, events, on_socket, handle);
    if (event_add(&handle->socket, NULL) < 0) pawl__timer_set(&handle->timer, AGAIN_NS);
}

void pawl__zk_watched(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
    pawl__zk_handle *handle = (void *)(uintptr_t)zoo_get_context(zh);
    (void)state, (void)ctx;
    if (type == ZOO_SESSION_EVENT || !path || !*path || !handle->heard) return;
    handle->heard(handle, path);
}

/* ---- The beginning and the end -------------------------------------------------------------- */

bool pawl__zk_handle_init(pawl__zk_handle *handle, struct event_base *base)
{
    handle->base = base;
    handle->fd = -1;
    event_assign(&handle->socket, base, -1, EV_READ, on_socket, handle);
    return pawl__timer_add(&handle->timer, base, on_timer, handle);
}

bool pawl__zk_handle_open(pawl__zk_handle *handle, const char *servers, int session_ms,
                          const char *login)
{
    handle->pause_ns = PAUSE_MIN_NS;
    zoo_deterministic_conn_order(1);
    handle->zh = zookeeper_init2(servers, pawl__zk_watched, session_ms, NULL, handle,
                                 ZOO_NO_LOG_CLIENTENV, be_silent);
    if (!handle->zh) return false;
    (void)zoo_set_servers_resolution_delay(handle->zh, -1);
    if (*login &&
        zoo_add_auth(handle->zh, "digest", login, (int)strlen(login), NULL, NULL) != ZOK) {
        pawl__zk_handle_close(handle);
        return false;
    }
    return true;
}

/* It finds the socket shut down, and tells everybody who waits for an answer. */
void pawl__zk_handle_cut(pawl__zk_handle *handle)
{
    event_del(&handle->socket);
    if (handle->zh && handle->fd >= 0 && !pawl__zk_is_over(handle)) {
        (void)shutdown(handle->fd, SHUT_RDWR);
        (void)zookeeper_process(handle->zh, ZOOKEEPER_READ | ZOOKEEPER_WRITE);
        if (pawl__zk_is_connected(handle)) /* it read what had come before */
            (void)zookeeper_process(handle->zh, ZOOKEEPER_READ);
    }
    handle->fd = -1;
    pawl__timer_set(&handle->timer, 0);
}

void pawl__zk_handle_close(pawl__zk_handle *handle)
{
    zhandle_t *zh = handle->zh;
    event_del(&handle->socket);
    handle->fd = -1;
    handle->zh = NULL;
    if (zh) (void)zookeeper_close(zh);
}

void pawl__zk_handle_done(pawl__zk_handle *handle)
{
    pawl__zk_handle_close(handle);
    event_del(&handle->timer);
}

void pawl__zk_handle_wait(pawl__zk_handle *handle, int timeout_ms)
{
    int interest = 0, fd = -1;
    struct timeval wait;
    event_del(&handle->socket);
    if (zookeeper_interest(handle->zh, &fd, &interest, &wait) != ZOK || fd < 0) return;
    handle->fd = fd;
    struct pollfd it = {.fd = fd, .events = POLLIN};
    if (interest & ZOOKEEPER_WRITE) it.events |= POLLOUT;
    if (poll(&it, 1, timeout_ms) <= 0) return;
    int events =
        (it.revents & ~POLLOUT ? ZOOKEEPER_READ : 0) | (it.revents & POLLOUT ? ZOOKEEPER_WRITE : 0);
    (void)zookeeper_process(handle->zh, events);
}

void pawl__zk_handle_forget(pawl__zk_handle *handle)
{
    if (handle->fd >= 0) close(handle->fd);
    handle->fd = -1;
}
