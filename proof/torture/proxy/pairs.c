/* SPDX-License-Identifier: MIT */
#include "pairs.h"

#include "../torture.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

/* A piece of a stream, and when it arrives. */
typedef struct piece {
    STAILQ_ENTRY(piece) next;
    int64_t due;
    struct evbuffer *bytes;
} piece;

typedef struct pair {
    LIST_ENTRY(pair) next;
    torture_pairs *all;
    struct bufferevent *ends[2];
    STAILQ_HEAD(, piece) under_way[2];
    struct event *timer;
    bool ended[2]; /* this end has sent its last */
    bool half;     /* the client has been told that the server has */
} pair;

struct torture_pairs {
    struct event_base *base;
    const torture_weather *weather;
    LIST_HEAD(, pair) list;
    int count;
};

torture_pairs *torture_pairs_new(struct event_base *base, const torture_weather *weather)
{
    torture_pairs *pairs = calloc(1, sizeof *pairs);
    if (!pairs) exit(TORTURE_SYSTEM);
    pairs->base = base;
    pairs->weather = weather;
    LIST_INIT(&pairs->list);
    return pairs;
}

int torture_pairs_count(const torture_pairs *pairs)
{
    return pairs->count;
}

static void end_pair(pair *p)
{
    for (int d = 0; d < 2; d++) {
        piece *each;
        while ((each = STAILQ_FIRST(&p->under_way[d]))) {
            STAILQ_REMOVE_HEAD(&p->under_way[d], next);
            evbuffer_free(each->bytes);
            free(each);
        }
        if (p->ends[d]) bufferevent_free(p->ends[d]);
    }
    LIST_REMOVE(p, next);
    p->all->count--;
    event_free(p->timer);
    free(p);
}

static void reset_pair(pair *p)
{
    struct linger at_once = {.l_onoff = 1};
    evutil_socket_t fd = bufferevent_getfd(p->ends[TORTURE_UP]);
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once); /* close sends a reset */
    end_pair(p);
}

/* ---- Traffic --------------------------------------------------------------------------- */

/* True: the pair is gone. The end of a stream is passed on behind its last byte. */
static bool pass_end(pair *p, int direction)
{
    struct bufferevent *to = p->ends[1 - direction];
    if (!p->ended[direction] || !STAILQ_EMPTY(&p->under_way[direction])) return false;
    if (evbuffer_get_length(bufferevent_get_output(to))) return false;
    if (p->ended[0] && p->ended[1] && STAILQ_EMPTY(&p->under_way[1 - direction])) {
        end_pair(p);
        return true;
    }
    shutdown(bufferevent_getfd(to), SHUT_WR);
    return false;
}

static bool pass(pair *p, int direction)
{
    const torture_weather *weather = p->all->weather;
    int64_t now = torture_now();
    piece *each;
    while (!weather->hold[direction] && (each = STAILQ_FIRST(&p->under_way[direction])) &&
           each->due <= now) {
        STAILQ_REMOVE_HEAD(&p->under_way[direction], next);
        if (direction == TORTURE_UP || !p->half) {
            bufferevent_write_buffer(p->ends[1 - direction], each->bytes);
        }
        evbuffer_free(each->bytes);
        free(each);
    }
    return pass_end(p, direction);
}

static void arm(pair *p)
{
    int64_t due = INT64_MAX;
    for (int d = 0; d < 2; d++) {
        const piece *first = STAILQ_FIRST(&p->under_way[d]);
        if (first && !p->all->weather->hold[d] && first->due < due) due = first->due;
    }
    if (due == INT64_MAX) return;
    int64_t left = due - torture_now();
    if (left < 0) left = 0;
    struct timeval span = {.tv_sec = left / 1000000000, .tv_usec = left % 1000000000 / 1000 + 1};
    event_add(p->timer, &span);
}

static void pass_both(pair *p)
{
    if (pass(p, TORTURE_UP) || pass(p, TORTURE_DOWN)) return;
    arm(p);
}

static void on_timer(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd;
    (void)what;
    pass_both(userdata);
}

static void on_read(struct bufferevent *end, void *userdata)
{
    pair *p = userdata;
    int d = end == p->ends[TORTURE_UP] ? TORTURE_UP : TORTURE_DOWN;
    struct evbuffer *in = bufferevent_get_input(end);
    if (p->all->weather->lose[d]) {
        evbuffer_drain(in, evbuffer_get_length(in));
        return;
    }
    piece *fresh = calloc(1, sizeof *fresh);
    if (!fresh || !(fresh->bytes = evbuffer_new())) exit(TORTURE_SYSTEM);
    fresh->due = torture_now() + p->all->weather->delay_ns;
    evbuffer_add_buffer(fresh->bytes, in);
    STAILQ_INSERT_TAIL(&p->under_way[d], fresh, next);
    pass_both(p);
}

static void on_written(struct bufferevent *end, void *userdata)
{
    pair *p = userdata;
    pass_end(p, end == p->ends[TORTURE_UP] ? TORTURE_DOWN : TORTURE_UP);
}

static void on_event(struct bufferevent *end, short what, void *userdata)
{
    pair *p = userdata;
    int d = end == p->ends[TORTURE_UP] ? TORTURE_UP : TORTURE_DOWN;
    if (what & BEV_EVENT_CONNECTED) return;
    if (what & BEV_EVENT_ERROR) {
        reset_pair(p);
        return;
    }
    p->ended[d] = true;
    pass_end(p, d);
}

/* ---- Coming and going ------------------------------------------------------------------- */

static struct bufferevent *make_end(pair *p, evutil_socket_t fd)
{
    struct bufferevent *end = bufferevent_socket_new(p->all->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (!end) exit(TORTURE_SYSTEM);
    bufferevent_setcb(end, on_read, on_written, on_event, p);
    return end;
}

/* Digits are a port of this machine, all else is a socket's path. */
static int connect_to(struct bufferevent *end, const char *backend)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (backend[0] == '/') {
        snprintf(path.sun_path, sizeof path.sun_path, "%s", backend);
        return bufferevent_socket_connect(end, (struct sockaddr *)&path, sizeof path);
    }
    port.sin_port = htons((uint16_t)strtol(backend, NULL, 10));
    return bufferevent_socket_connect(end, (struct sockaddr *)&port, sizeof port);
}

void torture_pairs_add(torture_pairs *pairs, evutil_socket_t client, const char *backend)
{
    int on = 1;
    pair *p = calloc(1, sizeof *p);
    if (!p) exit(TORTURE_SYSTEM);
    p->all = pairs;
    STAILQ_INIT(&p->under_way[0]);
    STAILQ_INIT(&p->under_way[1]);
    p->timer = evtimer_new(pairs->base, on_timer, p);
    if (!p->timer) exit(TORTURE_SYSTEM);
    LIST_INSERT_HEAD(&pairs->list, p, next);
    pairs->count++;

    setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    p->ends[TORTURE_UP] = make_end(p, client);
    p->ends[TORTURE_DOWN] = make_end(p, -1);
    if (connect_to(p->ends[TORTURE_DOWN], backend) != 0) {
        reset_pair(p); /* nobody is there */
        return;
    }
    bufferevent_enable(p->ends[TORTURE_UP], EV_READ | EV_WRITE);
    bufferevent_enable(p->ends[TORTURE_DOWN], EV_READ | EV_WRITE);
}

static void each_pair(torture_pairs *pairs, void (*act)(pair *))
{
    pair *p, *after;
    for (p = LIST_FIRST(&pairs->list); p; p = after) {
        after = LIST_NEXT(p, next);
        act(p);
    }
}

static void half_pair(pair *p)
{
    p->half = true;
    shutdown(bufferevent_getfd(p->ends[TORTURE_UP]), SHUT_WR);
}

void torture_pairs_flow(torture_pairs *pairs)
{
    each_pair(pairs, pass_both);
}

void torture_pairs_cut(torture_pairs *pairs)
{
    each_pair(pairs, reset_pair);
}

void torture_pairs_half(torture_pairs *pairs)
{
    each_pair(pairs, half_pair);
}
