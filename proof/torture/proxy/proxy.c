/* SPDX-License-Identifier: MIT */
#include "proxy.h"

#include "../torture.h"
#include "pairs.h"

#include <arpa/inet.h>
#include <event2/listener.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define CONTROL_FD 3

typedef struct proxy {
    struct event_base *base;
    torture_weather weather;
    torture_pairs *pairs;
    struct evconnlistener *listener;
    struct sockaddr_in address;
    char backend[108];
} proxy;

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *userdata)
{
    (void)listener;
    (void)address;
    (void)len;
    proxy *p = userdata;
    torture_pairs_add(p->pairs, fd, p->backend);
}

static bool listen_again(proxy *p)
{
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    if (p->listener) return true;
    p->listener = evconnlistener_new_bind(p->base, on_client, p, flags, 128,
                                          (struct sockaddr *)&p->address, sizeof p->address);
    if (!p->listener) perror("proxy: listen");
    return p->listener != NULL;
}

static void refuse(proxy *p)
{
    if (p->listener) evconnlistener_free(p->listener);
    p->listener = NULL;
}

/* How many connections it concerned; -1: not understood. */
static int obey(proxy *p, const char *order, const char *argument)
{
    torture_weather *w = &p->weather;
    int d = strcmp(argument, "up") == 0 ? TORTURE_UP : TORTURE_DOWN;
    int count = torture_pairs_count(p->pairs);
    if (!strcmp(order, "delay")) {
        w->delay_ns = strtoll(argument, NULL, 10) * TORTURE_MS;
    } else if (!strcmp(order, "hold")) {
        w->hold[d] = true;
    } else if (!strcmp(order, "flow")) {
        w->hold[0] = w->hold[1] = false;
        torture_pairs_flow(p->pairs);
    } else if (!strcmp(order, "lose")) {
        w->lose[d] = true;
    } else if (!strcmp(order, "cut")) {
        w->lose[0] = w->lose[1] = false;
        torture_pairs_cut(p->pairs);
    } else if (!strcmp(order, "half")) {
        torture_pairs_half(p->pairs);
    } else if (!strcmp(order, "refuse")) {
        refuse(p);
    } else if (!strcmp(order, "accept")) {
        return listen_again(p) ? count : -1;
    } else if (!strcmp(order, "backend")) {
        snprintf(p->backend, sizeof p->backend, "%s", argument);
    } else if (strcmp(order, "count") != 0) {
        return -1;
    }
    return count;
}

static void answer(int number)
{
    char text[32];
    int len = snprintf(text, sizeof text, "%d", number);
    if (send(CONTROL_FD, text, (size_t)len, MSG_NOSIGNAL) != len) exit(TORTURE_SYSTEM);
}

static void on_order(evutil_socket_t fd, short what, void *userdata)
{
    (void)what;
    char text[256] = "", order[16] = "", argument[108] = "";
    ssize_t n = recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    if (n <= 0) exit(0); /* the rig is gone */
    sscanf(text, "%15s %107s", order, argument);
    answer(obey(userdata, order, argument));
}

int torture_proxy_main(const char *backend)
{
    proxy p = {.address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof p.address;
    signal(SIGPIPE, SIG_IGN);
    snprintf(p.backend, sizeof p.backend, "%s", backend);
    p.base = event_base_new();
    if (!p.base) return TORTURE_SYSTEM;
    p.pairs = torture_pairs_new(p.base, &p.weather);
    if (!listen_again(&p)) return TORTURE_SYSTEM;
    getsockname(evconnlistener_get_fd(p.listener), (struct sockaddr *)&p.address, &size);
    struct event *orders = event_new(p.base, CONTROL_FD, EV_READ | EV_PERSIST, on_order, &p);
    if (!orders || event_add(orders, NULL) != 0) return TORTURE_SYSTEM;
    answer(ntohs(p.address.sin_port));
    event_base_dispatch(p.base);
    return 0;
}
