/* SPDX-License-Identifier: MIT */
/*
 * Bounds the time for which a client keeps us waiting. evhttp's own timeouts start anew with each
 * byte, so a client that sends one now and then would keep its connection for ever. Here
 * a client has TURN_S seconds to send a whole request, and as long to take the answer. A
 * client that takes longer is cut off; when there is no room for more, those are cut off for whom
 * we have waited longest. If descriptors run out in spite of that, the listener pauses.
 * While a client waits for us it has all the time that we need.
 */
#define _GNU_SOURCE
#include "visitors.h"

#include <event2/bufferevent.h>
#include <linux/sockios.h>
#include <search.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "app.h"

#define VISITORS_MAX   10000 /* connections at once, if the descriptors suffice */
#define VISITORS_MIN   16
#define OTHER_FILES    64     /* descriptors for everything else */
#define CUT_AT_ONCE    16     /* to make room: with a flood not one pause for each */
#define CUT_PAUSE_US   1000   /* for evhttp to notice */
#define FILES_PAUSE_US 100000 /* until descriptors come back */
#define US_PER_SECOND  1000000

typedef struct visitor {
    struct bufferevent *link; /* first: the key. Our own reference, see is_gone */
    visitors *all;
    int64_t turn_us; /* since when we wait for it */
    bool in_turns;
    TAILQ_ENTRY(visitor) next, next_turn;
} visitor;

struct visitors {
    struct evconnlistener *listener; /* NULL: it does not listen any more */
    struct event *tick, *resume;
    void *by_link; /* tsearch */
    TAILQ_HEAD(, visitor) list;
    TAILQ_HEAD(, visitor) turns; /* those we wait for, in the order in which that began */
    size_t count, max;
    uint64_t cut;
};

static int compare(const void *one, const void *other)
{
    const struct bufferevent *a = ((const visitor *)one)->link, *b = ((const visitor *)other)->link;
    return a < b ? -1 : a > b;
}

/* ---- Turns ------------------------------------------------------------------------ */

static void end_turn(visitor *v)
{
    if (v->in_turns) TAILQ_REMOVE(&v->all->turns, v, next_turn);
    v->in_turns = false;
}

static void begin_turn(visitor *v)
{
    end_turn(v);
    v->turn_us = app_now_us();
    v->in_turns = true;
    TAILQ_INSERT_TAIL(&v->all->turns, v, next_turn);
}

static void drop(visitor *v)
{
    end_turn(v);
    TAILQ_REMOVE(&v->all->list, v, next);
    tdelete(v, &v->all->by_link, compare);
    v->all->count--;
    bufferevent_decref(v->link);
    free(v);
}

/* evhttp notices that the connection has ended, and does the rest. */
static void cut(visitor *v)
{
    static const struct linger at_once = {.l_onoff = 1};
    int fd = bufferevent_getfd(v->link);
    end_turn(v);
    v->all->cut++;
    /* The kernel would go on sending an answer that is not taken. */
    int unsent = 0;
    if (ioctl(fd, SIOCOUTQ, &unsent) == 0 && unsent > 0)
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(fd, SHUT_RDWR);
}

/*
 * evhttp tells of the end of a connection only if there was a request on it. Of the others we
 * see it: bufferevent_free takes the callbacks away. Our reference keeps the pointer good, and
 * with it the descriptor, so that neither is another's yet.
 */
static bool is_gone(const visitor *v)
{
    bufferevent_event_cb on_event = NULL;
    bufferevent_getcb(v->link, NULL, NULL, &on_event, NULL);
    return !on_event;
}

static void collect(visitors *all)
{
    for (visitor *v = TAILQ_FIRST(&all->list), *next; v; v = next) {
        next = TAILQ_NEXT(v, next);
        if (is_gone(v)) drop(v);
    }
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    visitors *all = arg;
    int64_t begun_before = app_now_us() - TURN_S * US_PER_SECOND;
    collect(all);
    for (visitor *v; (v = TAILQ_FIRST(&all->turns)) && v->turn_us <= begun_before;) cut(v);
}

/* ---- Room for more ---------------------------------------------------------------- */

static void pause_listening(visitors *all, int span_us)
{
    struct timeval span = {0, span_us};
    if (!all->listener) return;
    evconnlistener_disable(all->listener);
    evtimer_add(all->resume, &span);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    visitors *all = arg;
    if (all->listener) evconnlistener_enable(all->listener);
}

/* Called in the loop of the listener, which would accept all that wait before any is cut off. */
static void make_room(visitors *all)
{
    collect(all);
    if (all->count < all->max) return;
    for (int i = 0; i < CUT_AT_ONCE && !TAILQ_EMPTY(&all->turns); i++)
        cut(TAILQ_FIRST(&all->turns));
    pause_listening(all, CUT_PAUSE_US);
}

static visitors *listening; /* evhttp has taken the listener's argument for itself */

static void on_accept_error(struct evconnlistener *listener, void *http)
{
    (void)listener;
    (void)http;
    pause_listening(listening, FILES_PAUSE_US);
}

/* ---- They come, ask, are answered and go ------------------------------------------ */

static struct bufferevent *on_arrival(struct event_base *base, void *arg)
{
    visitors *all = arg;
    if (all->count >= all->max) make_room(all);
    visitor *v = calloc(1, sizeof *v);
    struct bufferevent *link = v ? bufferevent_socket_new(base, -1, BEV_OPT_CLOSE_ON_FREE) : NULL;
    if (link) *v = (visitor){.link = link, .all = all};
    if (!link || !tsearch(v, &all->by_link, compare)) {
        free(v);
        return link; /* NULL: evhttp tries for itself */
    }
    bufferevent_incref(link);
    TAILQ_INSERT_TAIL(&all->list, v, next);
    all->count++;
    begin_turn(v);
    return link;
}

static void on_departure(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    drop(arg);
}

static void on_answer_taken(struct evhttp_request *request, void *arg)
{
    (void)request;
    begin_turn(arg);
}

static visitor *visitor_of(visitors *all, struct evhttp_request *request)
{
    struct evhttp_connection *connection = evhttp_request_get_connection(request);
    if (!connection) return NULL;
    visitor key = {.link = evhttp_connection_get_bufferevent(connection)};
    visitor **found = tfind(&key, &all->by_link, compare);
    return found ? *found : NULL;
}

void visitors_asked(visitors *all, struct evhttp_request *request)
{
    visitor *v = visitor_of(all, request);
    if (!v) return;
    end_turn(v);
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_departure, v);
    evhttp_request_set_on_complete_cb(request, on_answer_taken, v);
}

void visitors_answered(visitors *all, struct evhttp_request *request)
{
    visitor *v = visitor_of(all, request);
    if (v) begin_turn(v);
}

/* ---- Life ------------------------------------------------------------------------- */

static size_t room(void)
{
    struct rlimit files;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0) return VISITORS_MIN;
    if (files.rlim_cur >= VISITORS_MAX + OTHER_FILES) return VISITORS_MAX;
    if (files.rlim_cur <= VISITORS_MIN + OTHER_FILES) return VISITORS_MIN;
    return files.rlim_cur - OTHER_FILES;
}

visitors *visitors_new(struct event_base *base, struct evhttp *http,
                       struct evconnlistener *listener)
{
    static const struct timeval second = {1, 0};
    visitors *all = calloc(1, sizeof *all);
    if (!all) return NULL;
    TAILQ_INIT(&all->list);
    TAILQ_INIT(&all->turns);
    all->max = room();
    all->resume = evtimer_new(base, on_resume, all);
    all->tick = event_new(base, -1, EV_PERSIST, on_tick, all);
    if (!all->resume || !all->tick || event_add(all->tick, &second) != 0) {
        visitors_free(all);
        return NULL;
    }
    evhttp_set_bevcb(http, on_arrival, all);
    all->listener = listener;
    listening = all;
    evconnlistener_set_error_cb(listener, on_accept_error);
    return all;
}

void visitors_stop(visitors *all)
{
    if (all->listener) evconnlistener_disable(all->listener);
    all->listener = NULL;
}

size_t visitors_count(visitors *all)
{
    collect(all);
    return all->count;
}

uint64_t visitors_cut(const visitors *all)
{
    return all->cut;
}

void visitors_free(visitors *all)
{
    if (!all) return;
    while (!TAILQ_EMPTY(&all->list)) drop(TAILQ_FIRST(&all->list));
    if (all->resume) event_free(all->resume);
    if (all->tick) event_free(all->tick);
    free(all);
}
