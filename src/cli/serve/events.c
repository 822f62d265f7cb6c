/* SPDX-License-Identifier: MIT */
/*
 * Server-sent events: after each look every stream is told what its page shows. A slow reader
 * misses looks, but not the latest one, because nothing is queued behind an event on its way.
 */
#define _GNU_SOURCE
#include "serve.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "../session.h"

#define STUCK_MS 30000 /* a reader that takes nothing for so long is gone */

struct serve_stream {
    struct serve_stream *next;
    serve *s;
    struct evhttp_request *request;
    struct evhttp_connection *connection;
    serve_view view;
    int64_t taken_ms; /* when all had been taken for the last time */
};
typedef struct serve_stream stream;

static void forget(stream *one)
{
    stream **at = &one->s->streams;
    while (*at != one) at = &(*at)->next;
    *at = one->next;
    one->s->stream_count--;
    free(one);
}

static void on_close(struct evhttp_connection *connection, void *arg)
{
    (void)connection;
    serve_drop_request(((stream *)arg)->request);
    forget(arg);
}

/* evhttp notices the end, and calls on_close. */
static void cut(const stream *one)
{
    static const struct linger at_once = {.l_onoff = 1};
    int fd = bufferevent_getfd(evhttp_connection_get_bufferevent(one->connection));
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    shutdown(fd, SHUT_RDWR);
}

static bool has_taken_all(stream *one)
{
    struct bufferevent *link = evhttp_connection_get_bufferevent(one->connection);
    int64_t now = cli_now_ms();
    if (evbuffer_get_length(bufferevent_get_output(link)) == 0) one->taken_ms = now;
    if (now - one->taken_ms > STUCK_MS) cut(one);
    return one->taken_ms == now;
}

static void send_view(stream *one, const char *before)
{
    json_t *object = serve_view_json(one->s, &one->view);
    char *text = json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII);
    struct evbuffer *piece = evbuffer_new();
    if (text && piece) {
        evbuffer_add_printf(piece, "%sdata: %s\n\n", before, text);
        evhttp_send_reply_chunk(one->request, piece);
    }
    if (piece) evbuffer_free(piece);
    free(text);
    json_decref(object);
}

void serve_stream_begin(serve *s, struct evhttp_request *request, const char *query)
{
    stream *one = s->stream_count < SERVE_EVENTS_MAX ? calloc(1, sizeof *one) : NULL;
    if (!one) {
        evhttp_add_header(evhttp_request_get_output_headers(request), "Retry-After", "10");
        serve_reply_text(s, request, 503, "too many pages watch already\n");
        return;
    }
    one->s = s;
    one->request = request;
    one->connection = evhttp_request_get_connection(request);
    serve_view_parse(query, &one->view);
    one->next = s->streams;
    s->streams = one;
    s->stream_count++;
    evhttp_connection_set_closecb(one->connection, on_close, one);
    serve_add_headers(request, "text/event-stream");
    evhttp_add_header(evhttp_request_get_output_headers(request), "X-Accel-Buffering", "no");
    evhttp_send_reply_start(request, 200, NULL);
    one->taken_ms = cli_now_ms();
    send_view(one, "retry: 2000\n\n");
}

void serve_streams_tell(serve *s)
{
    for (stream *one = s->streams, *next; one; one = next) {
        next = one->next;
        if (has_taken_all(one)) send_view(one, "");
    }
}

void serve_streams_end(serve *s)
{
    while (s->streams) {
        stream *one = s->streams;
        evhttp_connection_set_closecb(one->connection, NULL, NULL);
        evhttp_send_reply_end(one->request);
        forget(one);
    }
}
