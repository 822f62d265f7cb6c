/* SPDX-License-Identifier: MIT */
/*
 * HTTP. Bad clients cost little: headers and bodies have bounds, a connection has a bounded
 * time for each request (visitors.c), and whatever a request asks for it waits off the loop.
 */
#define _GNU_SOURCE
#include "app.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "page.h"

#define BACKLOG 1024

/* ---- Answers ------------------------------------------------------------------------------- */

static void send_buffer(app *a, struct evhttp_request *request, int status, const char *type,
                        struct evbuffer *body)
{
    visitors_answered(a->visitors, request);
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    evhttp_add_header(headers, "Content-Type", type);
    evhttp_add_header(headers, "Cache-Control", "no-store");
    evhttp_add_header(headers, "X-Content-Type-Options", "nosniff");
    evhttp_send_reply(request, status, NULL, body);
    evbuffer_free(body);
}

void app_reply(app *a, struct evhttp_request *request, int status, const char *type,
               const char *format, ...)
{
    struct evbuffer *body = evbuffer_new();
    va_list args;
    va_start(args, format);
    evbuffer_add_vprintf(body, format, args);
    va_end(args);
    send_buffer(a, request, status, type, body);
}

/* ---- Pages ------------------------------------------------------------------------ */

static void show_page(app *a, struct evhttp_request *request)
{
    struct evbuffer *body = evbuffer_new();
    evbuffer_add_reference(body, page_html, sizeof page_html, NULL, NULL);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Content-Security-Policy",
                      "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; "
                      "connect-src 'self'");
    send_buffer(a, request, 200, "text/html; charset=utf-8", body);
}

/* A label that is not UTF-8 is a label all the same. */
static json_t *label(const char *text)
{
    json_t *string = json_string(text);
    return string ? string : json_string("(not UTF-8)");
}

static json_t *queue_json(const app_state *s)
{
    json_t *queue = json_array();
    for (size_t i = 0; i < s->waiters_shown; i++)
        json_array_append_new(queue, json_pack("{s:o, s:I}", "owner", label(s->queue[i].owner),
                                               "age_ms", (json_int_t)s->queue[i].age_ms));
    return queue;
}

static json_t *lock_json(const app_state *s)
{
    return json_pack("{s:b, s:o, s:I, s:I, s:I, s:o}", "held", s->held, "owner", label(s->owner),
                     "remaining_ms", (json_int_t)s->remaining_ms, "fence", (json_int_t)s->fence,
                     "waiters", (json_int_t)s->waiters, "queue", queue_json(s));
}

/* null for what is unknown: a program that takes it for a number or a "no" fails, as it should. */
static json_t *unknown_lock_json(void)
{
    return json_pack("{s:n, s:n, s:n, s:n, s:n, s:n}", "held", "owner", "remaining_ms", "fence",
                     "waiters", "queue");
}

static json_t *counter_json(const app_state *s)
{
    if (!s->counter_known) return json_pack("{s:n, s:n}", "value", "seen_fence");
    return json_pack("{s:I, s:I}", "value", (json_int_t)s->counter.value, "seen_fence",
                     (json_int_t)s->counter.fence);
}

static void add_fields(json_t *root, json_t *part)
{
    json_object_update(root, part);
    json_decref(part);
}

static void state(app *a, struct evhttp_request *request)
{
    const app_state *s = &a->state;
    json_t *root = json_pack("{s:o, s:b, s:o, s:I, s:I}", "instance", label(a->options.instance),
                             "ok", s->lock_known && s->counter_known, "trouble", label(s->trouble),
                             "added", (json_int_t)a->metrics.added, "uptime_ms",
                             (json_int_t)((app_now_us() - a->started_us) / 1000));
    add_fields(root, counter_json(s));
    add_fields(root, s->lock_known ? lock_json(s) : unknown_lock_json());
    /* ASCII, because others wrote the labels, and curl prints this on a terminal. */
    char *text = root ? json_dumps(root, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    app_reply(a, request, text ? 200 : 500, "application/json", "%s\n", text ? text : "{}");
    free(text);
    json_decref(root);
}

static void health(app *a, struct evhttp_request *request)
{
    if (a->state.lock_known && a->state.counter_known && !a->ending) {
        app_reply(a, request, 200, "text/plain", "ok\n");
        return;
    }
    app_reply(a, request, 503, "text/plain", "%s\n", a->ending ? GOING_AWAY : a->state.trouble);
}

/* ---- /metrics ----------------------------------------------------------------------- */

__attribute__((format(printf, 5, 6))) static void put(struct evbuffer *out, const char *name,
                                                      const char *type, const char *help,
                                                      const char *format, ...)
{
    evbuffer_add_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
    va_list args;
    va_start(args, format);
    evbuffer_add_vprintf(out, format, args);
    va_end(args);
}

static void put_adds(struct evbuffer *out, const app *a)
{
    const app_metrics *m = &a->metrics;
    put(out, "counter_adds_total", "counter", "Requests for one more, by what became of them.",
        "counter_adds_total{result=\"added\"} %" PRIu64 "\n"
        "counter_adds_total{result=\"stale\"} %" PRIu64 "\n"
        "counter_adds_total{result=\"unknown\"} %" PRIu64 "\n"
        "counter_adds_total{result=\"failed\"} %" PRIu64 "\n"
        "counter_adds_total{result=\"busy\"} %" PRIu64 "\n"
        "counter_adds_total{result=\"turned_away\"} %" PRIu64 "\n",
        m->added, m->stale, m->unknown, m->failed, m->busy, m->turned_away);
    put(out, "counter_adds_waiting", "gauge", "Requests for one more under way in this instance.",
        "counter_adds_waiting %zu\n", a->adds);
    put(out, "counter_lock_wait_seconds", "summary", "Time from the request to the lock.",
        "counter_lock_wait_seconds_sum %.6f\ncounter_lock_wait_seconds_count %" PRIu64 "\n",
        (double)m->wait_us_sum / 1e6, m->added);
    put(out, "counter_lock_wait_seconds_max", "gauge", "The longest of them.",
        "counter_lock_wait_seconds_max %.6f\n", (double)m->wait_us_max / 1e6);
    put(out, "counter_locks_lost_total", "counter", "Locks lost before they were released.",
        "counter_locks_lost_total %" PRIu64 "\n", m->lost);
}

static void put_connections(struct evbuffer *out, app *a)
{
    put(out, "counter_connections", "gauge", "Connections of clients.", "counter_connections %zu\n",
        visitors_count(a->visitors));
    put(out, "counter_connections_cut_total", "counter",
        "Connections cut because the client was too slow.",
        "counter_connections_cut_total %" PRIu64 "\n", visitors_cut(a->visitors));
}

/* An unknown gauge has no sample: Prometheus then shows a gap, not a zero. */
static void put_shared(struct evbuffer *out, const app_state *s)
{
    put(out, "counter_up", "gauge", "Whether the counter answered when it was last asked.",
        "counter_up %d\n", s->counter_known);
    put(out, "counter_lock_up", "gauge", "Whether the lock's store answered when last asked.",
        "counter_lock_up %d\n", s->lock_known);
    if (s->counter_known)
        put(out, "counter_value", "gauge", "The shared counter.", "counter_value %" PRId64 "\n",
            s->counter.value);
    if (!s->lock_known) return;
    put(out, "counter_lock_held", "gauge", "Whether anybody holds the lock.",
        "counter_lock_held %d\n", s->held);
    put(out, "counter_lock_waiters", "gauge", "Clients that wait for the lock.",
        "counter_lock_waiters %zu\n", s->waiters);
    put(out, "counter_lock_fence", "gauge", "The fence of the present or last holder.",
        "counter_lock_fence %" PRIu64 "\n", s->fence);
}

static void metrics(app *a, struct evhttp_request *request)
{
    struct evbuffer *body = evbuffer_new();
    put_shared(body, &a->state);
    put_adds(body, a);
    put_connections(body, a);
    send_buffer(a, request, 200, "text/plain; version=0.0.4", body);
}

/* ---- Routes ----------------------------------------------------------------------- */

#define READ (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)

static const struct route {
    const char *path;
    void (*serve)(app *a, struct evhttp_request *request);
    unsigned methods;
    const char *allow;
} routes[] = {
    {"/", show_page, READ, "GET, HEAD"},
    /* GET because the tutorial has it so; a HEAD must not count */
    {"/add", app_add, EVHTTP_REQ_GET | EVHTTP_REQ_POST, "GET, POST"},
    {"/counter", app_look, READ, "GET, HEAD"},
    {"/health", health, READ, "GET, HEAD"},
    {"/metrics", metrics, READ, "GET, HEAD"},
    {"/state", state, READ, "GET, HEAD"},
};

static void on_request(struct evhttp_request *request, void *arg)
{
    app *a = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    unsigned method = (unsigned)evhttp_request_get_command(request);
    visitors_asked(a->visitors, request);
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        const struct route *route = &routes[i];
        if (!path || strcmp(path, route->path) != 0) continue;
        if (method & route->methods) {
            route->serve(a, request);
            return;
        }
        evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", route->allow);
        app_reply(a, request, 405, "text/plain", "%s takes %s\n", route->path, route->allow);
        return;
    }
    app_reply(a, request, 404, "text/plain",
              "there are /, /add, /counter, /health, /metrics and /state\n");
}

/* ---- Listening -------------------------------------------------------------------- */

/* Numeric only: looking up a name would block. */
static bool parse_address(const app_options *o, struct sockaddr_storage *ret_address, int *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    memset(ret_address, 0, sizeof *ret_address);
    if (inet_pton(AF_INET, o->address.value, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)o->port);
        *ret_len = sizeof *v4;
        return true;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)o->port);
    *ret_len = sizeof *v6;
    return inet_pton(AF_INET6, o->address.value, &v6->sin6_addr) == 1;
}

static struct evconnlistener *make_listener(app *a, char *ret_message)
{
    struct sockaddr_storage address;
    int len;
    if (!parse_address(&a->options, &address, &len)) {
        snprintf(ret_message, PAWL_MESSAGE_MAX,
                 "%.150s: expected a numeric address to listen on, such as 127.0.0.1, is \"%.60s\"",
                 a->options.address.where, a->options.address.value);
        return NULL;
    }
    unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *listener = evconnlistener_new_bind(a->base, NULL, NULL, flags, BACKLOG,
                                                              (struct sockaddr *)&address, len);
    if (!listener)
        snprintf(ret_message, PAWL_MESSAGE_MAX, "cannot listen on %.60s port %d: %s",
                 a->options.address.value, a->options.port, strerror(errno));
    return listener;
}

static int port_of(struct evconnlistener *listener)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof address;
    if (getsockname(evconnlistener_get_fd(listener), (struct sockaddr *)&address, &len) != 0)
        return 0;
    if (address.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&address)->sin6_port);
    return ntohs(((struct sockaddr_in *)&address)->sin_port);
}

bool app_serve(app *a, char *ret_message)
{
    struct evconnlistener *listener = make_listener(a, ret_message);
    if (!listener) return false;
    snprintf(ret_message, PAWL_MESSAGE_MAX, "out of memory");
    a->http = evhttp_new(a->base);
    if (!a->http || !evhttp_bind_listener(a->http, listener)) {
        evconnlistener_free(listener);
        return false;
    }
    a->visitors = visitors_new(a->base, a->http, listener);
    if (!a->visitors) return false;
    a->options.port = port_of(listener);
    evhttp_set_max_headers_size(a->http, HEADERS_SIZE_MAX);
    evhttp_set_max_body_size(a->http, BODY_SIZE_MAX);
    evhttp_set_allowed_methods(a->http, 0xffff); /* so that we answer 405 ourselves */
    evhttp_set_gencb(a->http, on_request, a);
    return true;
}
