/* SPDX-License-Identifier: MIT */
/*
 * evhttp's own timeouts begin anew with each byte, so a guest that sends one now and then would
 * keep its connection for ever. Here each turn has an end: SERVE_TURN_MS to send a whole request,
 * and as long to take the answer. When there is no room for another guest, the guest whose turn
 * began first has to go. While a guest waits for us, it has all the time that we need.
 */
#define _GNU_SOURCE
#include "serve.h"

#include <event2/bufferevent.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../session.h"

#define NOT_ITS_TURN INT64_MAX

/* So somebody has a turn whom a newcomer can follow. */
_Static_assert(SERVE_EVENTS_MAX + SERVE_JOBS_MAX < SERVE_GUESTS_MAX, "guests who wait for us");

typedef struct guest {
    struct bufferevent *link; /* our own reference: see is_gone; NULL: a free place */
    int64_t until_ms;         /* its turn ends then */
} guest;

struct serve_guests {
    guest places[SERVE_GUESTS_MAX];
    struct event *tick;
};

/*
 * evhttp tells of the end of a connection only if there was a request on it. Of the others we see
 * it: bufferevent_free takes the callbacks away. Our reference keeps the pointer good until then.
 */
static bool is_gone(const guest *g)
{
    bufferevent_event_cb on_event = NULL;
    bufferevent_getcb(g->link, NULL, NULL, &on_event, NULL);
    return !on_event;
}

static void clear(guest *g)
{
    if (!g->link) return;
    bufferevent_decref(g->link);
    g->link = NULL;
}

/* evhttp notices that the connection has ended, and does the rest. */
static void cut(guest *g)
{
    static const struct linger at_once = {.l_onoff = 1};
    int fd = bufferevent_getfd(g->link);
    g->until_ms = NOT_ITS_TURN;
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(fd, SHUT_RDWR);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    serve_guests *all = arg;
    int64_t now = cli_now_ms();
    for (size_t i = 0; i < SERVE_GUESTS_MAX; i++) {
        guest *g = &all->places[i];
        if (!g->link) continue;
        if (is_gone(g))
            clear(g);
        else if (g->until_ms <= now)
            cut(g);
    }
}

static guest *free_place(serve_guests *all)
{
    guest *oldest = NULL;
    for (size_t i = 0; i < SERVE_GUESTS_MAX; i++) {
        guest *g = &all->places[i];
        if (g->link && is_gone(g)) clear(g);
        if (!g->link) return g;
        if (!oldest || g->until_ms < oldest->until_ms) oldest = g;
    }
    if (oldest->until_ms == NOT_ITS_TURN) return NULL;
    cut(oldest);
    clear(oldest);
    return oldest;
}

static struct bufferevent *on_arrival(struct event_base *base, void *arg)
{
    serve_guests *all = arg;
    struct bufferevent *link = bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE);
    guest *g = link ? free_place(all) : NULL;
    if (!g) return link; /* NULL: evhttp tries for itself */
    bufferevent_incref(link);
    *g = (guest){.link = link, .until_ms = cli_now_ms() + SERVE_TURN_MS};
    return link;
}

static guest *guest_of(serve *s, struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    struct bufferevent *link = connection ? evhttp_connection_get_bufferevent(connection) : NULL;
    for (size_t i = 0; link && i < SERVE_GUESTS_MAX; i++)
        if (s->guests->places[i].link == link) return &s->guests->places[i];
    return NULL;
}

void serve_guest_asked(serve *s, struct evhttp_request *request)
{
    guest *g = guest_of(s, request);
    if (g) g->until_ms = NOT_ITS_TURN;
}

static void on_taken(struct evhttp_request *request, void *arg)
{
    guest *g = guest_of(arg, request);
    if (g) g->until_ms = cli_now_ms() + SERVE_TURN_MS; /* for its next request */
}

void serve_guest_answered(serve *s, struct evhttp_request *request)
{
    guest *g = guest_of(s, request);
    if (!g) return;
    g->until_ms = cli_now_ms() + SERVE_TURN_MS;
    evhttp_request_set_on_complete_cb(request, on_taken, s);
}

serve_guests *serve_guests_new(struct event_base *base, struct evhttp *http)
{
    static const struct timeval second = {1, 0};
    serve_guests *all = calloc(1, sizeof *all);
    if (!all) return NULL;
    all->tick = event_new(base, -1, EV_PERSIST, on_tick, all);
    if (!all->tick || event_add(all->tick, &second) != 0) {
        serve_guests_free(all);
        return NULL;
    }
    evhttp_set_bevcb(http, on_arrival, all);
    return all;
}

void serve_guests_free(serve_guests *all)
{
    if (!all) return;
    for (size_t i = 0; i < SERVE_GUESTS_MAX; i++) clear(&all->places[i]);
    if (all->tick) event_free(all->tick);
    free(all);
}
