/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "relay.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

struct relay {
    char socket[108];
    int listener;
    struct event accepts, held_enough;
    struct bufferevent *near, *far; /* the client, the server */
    size_t cut_after, passed;
    bool cuts;
    const char *command;
    void (*act)(void *arg);
    void *arg;
    const char *instead;
    int64_t hold_ms;
    bool holds, replaces;
    unsigned count;
};

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
    return address;
}

static void hang_up(relay *r)
{
    if (r->near) bufferevent_free(r->near);
    if (r->far) bufferevent_free(r->far);
    r->near = r->far = NULL;
}

static void release_hold(evutil_socket_t fd, short what, void *arg)
{
    relay *r = arg;
    (void)fd, (void)what;
    r->holds = false;
    if (r->far) bufferevent_enable(r->far, EV_READ);
}

static void meet(relay *r)
{
    r->count++;
    if (r->act) r->act(r->arg);
    if (r->instead) r->replaces = true;
    if (r->hold_ms) {
        struct timeval span = {.tv_sec = r->hold_ms / 1000, .tv_usec = r->hold_ms % 1000 * 1000};
        r->hold_ms = 0;
        r->holds = true;
        bufferevent_disable(r->far, EV_READ);
        CHECK(event_add(&r->held_enough, &span) == 0);
    }
}

/* The client's commands come whole: they are short, and written at once. */
static void from_near(struct bufferevent *near, void *arg)
{
    relay *r = arg;
    char bytes[4096];
    size_t n;
    while (r->near && (n = bufferevent_read(near, bytes, sizeof bytes - 1)) > 0) {
        bytes[n] = '\0';
        if (r->command && strstr(bytes, r->command)) meet(r);
        bufferevent_write(r->far, bytes, n);
    }
}

static void from_far(struct bufferevent *far, void *arg)
{
    relay *r = arg;
    char bytes[4096];
    size_t n = bufferevent_read(far, bytes, sizeof bytes);
    if (r->replaces) { /* one command was under way, so this is its answer */
        r->replaces = false;
        bufferevent_write(r->near, r->instead, strlen(r->instead));
        r->instead = NULL;
        return;
    }
    if (r->cuts && r->passed + n >= r->cut_after) {
        size_t rest = r->cut_after - r->passed;
        r->passed += rest;
        if (rest > 0) { /* past the loop, so that it has left before the end */
            evutil_socket_t fd = bufferevent_getfd(r->near);
            CHECK(send(fd, bytes, rest, MSG_NOSIGNAL) == (ssize_t)rest);
        }
        r->cuts = false;
        hang_up(r);
        return;
    }
    r->passed += n;
    bufferevent_write(r->near, bytes, n);
}

static void ended(struct bufferevent *side, short what, void *arg)
{
    (void)side;
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) hang_up(arg);
}

static struct bufferevent *join(relay *r, int fd, bufferevent_data_cb heard)
{
    struct bufferevent *side =
        bufferevent_socket_new(test_loop_base(rig_loop()), fd, BEV_OPT_CLOSE_ON_FREE);
    CHECK(side != NULL && evutil_make_socket_nonblocking(fd) == 0);
    bufferevent_setcb(side, heard, NULL, ended, r);
    bufferevent_enable(side, EV_READ | EV_WRITE);
    return side;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    relay *r = arg;
    struct sockaddr_un server = address_of(memcached_server_socket(rig_server()));
    int near = accept(fd, NULL, NULL), far = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)what;
    CHECK(near >= 0 && far >= 0);
    CHECK(connect(far, (const struct sockaddr *)&server, sizeof server) == 0);
    hang_up(r);
    r->near = join(r, near, from_near);
    r->far = join(r, far, from_far);
}

relay *relay_start(void)
{
    static unsigned number;
    relay *r = calloc(1, sizeof *r);
    CHECK(r != NULL);
    snprintf(r->socket, sizeof r->socket, "%.90s-%u", memcached_server_socket(rig_server()),
             number++);
    struct sockaddr_un address = address_of(r->socket);
    r->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(r->listener >= 0);
    CHECK(bind(r->listener, (const struct sockaddr *)&address, sizeof address) == 0);
    CHECK(listen(r->listener, 5) == 0);
    event_assign(&r->accepts, test_loop_base(rig_loop()), r->listener, EV_READ | EV_PERSIST,
                 on_accept, r);
    event_assign(&r->held_enough, test_loop_base(rig_loop()), -1, 0, release_hold, r);
    CHECK(event_add(&r->accepts, NULL) == 0);
    return r;
}

const char *relay_socket(const relay *r)
{
    return r->socket;
}

void relay_stop(relay *r)
{
    hang_up(r);
    event_del(&r->accepts);
    event_del(&r->held_enough);
    close(r->listener);
    (void)unlink(r->socket);
    free(r);
}

void relay_cut_after(relay *r, size_t bytes)
{
    r->cuts = true;
    r->cut_after = bytes;
    r->passed = 0;
}

size_t relay_passed(const relay *r)
{
    return r->passed;
}

void relay_before(relay *r, const char *command, void (*act)(void *arg), void *arg)
{
    r->command = command;
    r->act = act;
    r->arg = arg;
    r->count = 0;
}

void relay_answer_instead(relay *r, const char *command, const char *answer)
{
    relay_before(r, command, NULL, NULL);
    r->instead = answer;
}

void relay_hold(relay *r, const char *command, int64_t ms)
{
    relay_before(r, command, NULL, NULL);
    r->hold_ms = ms;
}

unsigned relay_count(const relay *r)
{
    return r->count;
}
