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
#include <sys/un.h>
#include <unistd.h>

#define CONTROL_FD 3
#define DOORS_MAX  4
#define PATH_ROOM  108 /* of sun_path */

typedef struct door {
    struct proxy *proxy;
    struct evconnlistener *listener;
    int port;             /* 0: chosen by the kernel, once */
    char path[PATH_ROOM]; /* "": it listens to the port */
    char backend[PATH_ROOM];
} door;

typedef struct proxy {
    struct event_base *base;
    torture_weather weather;
    torture_pairs *pairs;
    door doors[DOORS_MAX];
    int count;
} proxy;

static void on_client(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int len, void *userdata)
{
    (void)listener;
    (void)address;
    (void)len;
    const door *d = userdata;
    torture_pairs_add(d->proxy->pairs, fd, d->backend);
}

/* ---- Doors ----------------------------------------------------------------------------------- */

static struct evconnlistener *listen_at(door *d, const void *address, int len)
{
    unsigned flags = LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_REUSEABLE;
    return evconnlistener_new_bind(d->proxy->base, on_client, d, flags, 128, address, len);
}

static bool open_door(door *d)
{
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    struct sockaddr_in port = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                               .sin_port = htons((in_port_t)d->port)};
    if (d->listener) return true;
    if (d->path[0]) {
        snprintf(path.sun_path, sizeof path.sun_path, "%s", d->path);
        unlink(d->path);
        d->listener = listen_at(d, &path, sizeof path);
    } else {
        d->listener = listen_at(d, &port, sizeof port);
    }
    if (!d->listener) perror("proxy: listen");
    if (!d->listener || d->path[0]) return d->listener != NULL;
    socklen_t size = sizeof port;
    getsockname(evconnlistener_get_fd(d->listener), (struct sockaddr *)&port, &size);
    d->port = ntohs(port.sin_port);
    return true;
}

static bool open_doors(proxy *p)
{
    bool fine = true;
    for (int i = 0; i < p->count; i++) fine = open_door(&p->doors[i]) && fine;
    return fine;
}

static void refuse(proxy *p)
{
    for (int i = 0; i < p->count; i++) {
        if (p->doors[i].listener) evconnlistener_free(p->doors[i].listener);
        p->doors[i].listener = NULL;
    }
}

/* "BACKEND" or "LISTEN=BACKEND" */
static void add_door(proxy *p, const char *word)
{
    door *d = &p->doors[p->count++];
    const char *equal = strchr(word, '=');
    d->proxy = p;
    snprintf(d->backend, sizeof d->backend, "%s", equal ? equal + 1 : word);
    if (!equal) return;
    if (word[0] == '/')
        snprintf(d->path, sizeof d->path, "%.*s", (int)(equal - word), word);
    else
        d->port = (int)strtol(word, NULL, 10);
}

/* ---- Orders ---------------------------------------------------------------------------------- */

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
        return open_doors(p) ? count : -1;
    } else if (!strcmp(order, "backend")) {
        snprintf(p->doors[0].backend, PATH_ROOM, "%s", argument);
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

int torture_proxy_main(char **doors)
{
    proxy p = {0};
    signal(SIGPIPE, SIG_IGN);
    p.base = event_base_new();
    if (!p.base) return TORTURE_SYSTEM;
    p.pairs = torture_pairs_new(p.base, &p.weather);
    for (int i = 0; doors[i] && i < DOORS_MAX; i++) add_door(&p, doors[i]);
    if (!open_doors(&p)) return TORTURE_SYSTEM;
    struct event *orders = event_new(p.base, CONTROL_FD, EV_READ | EV_PERSIST, on_order, &p);
    if (!orders || event_add(orders, NULL) != 0) return TORTURE_SYSTEM;
    answer(p.doors[0].path[0] ? 1 : p.doors[0].port);
    event_base_dispatch(p.base);
    return 0;
}
