/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "gate.h"

#include "../../../src/base/list.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct line {
    pawl__link in_lines;
    gate *gate;
    struct bufferevent *near, *far; /* the client, the server */
} line;

struct gate {
    struct evconnlistener *listener;
    int port;
    pawl__link lines;
    char request[64]; /* its first line begins so; "": none is to be stopped */
    unsigned skip;
    line *held;    /* its request does not go on */
    line *let_go;  /* its request has gone on */
    bool answered; /* and the server has said something since */
};

static void hang_up(line *l)
{
    gate *g = l->gate;
    if (g->held == l) g->held = NULL;
    if (g->let_go == l) g->let_go = NULL;
    bufferevent_free(l->near);
    bufferevent_free(l->far);
    pawl__list_remove(&l->in_lines);
    free(l);
}

/* The client's library writes the head of a request at once. */
static bool is_to_be_held(gate *g, struct evbuffer *in)
{
    char head[sizeof g->request] = "";
    size_t len = strlen(g->request);
    if (!len || g->held || evbuffer_copyout(in, head, len) != (ev_ssize_t)len) return false;
    if (memcmp(head, g->request, len) != 0 || g->skip-- > 0) return false;
    g->request[0] = '\0';
    return true;
}

static void from_near(struct bufferevent *near, void *arg)
{
    line *l = arg;
    struct evbuffer *in = bufferevent_get_input(near);
    if (is_to_be_held(l->gate, in)) l->gate->held = l;
    if (l->gate->held == l) return;
    bufferevent_write_buffer(l->far, in);
}

static void from_far(struct bufferevent *far, void *arg)
{
    line *l = arg;
    if (l->gate->let_go == l) l->gate->answered = true;
    bufferevent_write_buffer(l->near, bufferevent_get_input(far));
}

static void ended(struct bufferevent *side, short what, void *arg)
{
    line *l = arg;
    bool is_on_its_way = l->gate->held == l || (l->gate->let_go == l && !l->gate->answered);
    if (is_on_its_way && side == l->near) return; /* it was given up, and comes nevertheless */
    if (what & (BEV_EVENT_EOF | BEV_EVENT_ERROR)) hang_up(l);
}

static struct bufferevent *join(line *l, evutil_socket_t fd, bufferevent_data_cb heard)
{
    struct bufferevent *side =
        bufferevent_socket_new(test_loop_base(rig_loop()), fd, BEV_OPT_CLOSE_ON_FREE);
    CHECK(side != NULL);
    bufferevent_setcb(side, heard, NULL, ended, l);
    bufferevent_enable(side, EV_READ | EV_WRITE);
    return side;
}

static struct sockaddr_in loopback(int port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *from,
                      int from_len, void *arg)
{
    struct sockaddr_in server = loopback(etcd_server_port(rig_server(), 0));
    line *l = calloc(1, sizeof *l);
    (void)listener, (void)from, (void)from_len;
    CHECK(l != NULL);
    l->gate = arg;
    pawl__list_append(&l->gate->lines, &l->in_lines);
    l->near = join(l, fd, from_near);
    l->far = join(l, -1, from_far);
    CHECK(bufferevent_socket_connect(l->far, (const struct sockaddr *)&server, sizeof server) == 0);
}

gate *gate_start(void)
{
    struct sockaddr_in address = loopback(0);
    socklen_t len = sizeof address;
    gate *g = calloc(1, sizeof *g);
    CHECK(g != NULL);
    pawl__list_init(&g->lines);
    g->listener = evconnlistener_new_bind(test_loop_base(rig_loop()), on_accept, g,
                                          LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, -1,
                                          (const struct sockaddr *)&address, sizeof address);
    CHECK(g->listener != NULL);
    CHECK(getsockname(evconnlistener_get_fd(g->listener), (struct sockaddr *)&address, &len) == 0);
    g->port = ntohs(address.sin_port);
    return g;
}

void gate_stop(gate *g)
{
    while (!pawl__list_empty(&g->lines)) hang_up(pawl__container(g->lines.next, line, in_lines));
    evconnlistener_free(g->listener);
    free(g);
}

void gate_hold(gate *g, const char *path, unsigned skip)
{
    snprintf(g->request, sizeof g->request, "POST %s ", path);
    g->skip = skip;
}

static bool is_held(void *arg)
{
    return ((gate *)arg)->held != NULL;
}

void gate_await(gate *g)
{
    test_loop_until(rig_loop(), is_held, g, "a request that is to be stopped");
}

static bool is_answered(void *arg)
{
    return ((gate *)arg)->answered;
}

void gate_let_go(gate *g)
{
    CHECK(g->held != NULL);
    g->let_go = g->held;
    g->held = NULL;
    g->answered = false;
    from_near(g->let_go->near, g->let_go);
    test_loop_until(rig_loop(), is_answered, g, "the answer to a request that was stopped");
}

client *gate_client(gate *g, const char *owner)
{
    store_address address = rig_address();
    address.port = g->port;
    gate_hold(g, "/v3/watch", 0); /* by which it sees that the server is there: it is on its way */
    client *c = client_up(rig_loop(), &address, owner);
    gate_await(g);
    gate_let_go(g);
    return c;
}
