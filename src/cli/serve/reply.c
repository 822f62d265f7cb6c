/* SPDX-License-Identifier: MIT */
/* The shape of an answer. */
#define _GNU_SOURCE
#include "serve.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

/* Only our own files are run or shown, no page may frame ours, and no site learns our address. */
#define POLICY                                                                                     \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "                \
    "img-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"

void serve_add_headers(struct evhttp_request *request, const char *type)
{
    static const struct {
        const char *name, *value;
    } headers[] = {
        {"Cache-Control", "no-store"},
        {"Content-Security-Policy", POLICY},
        {"Cross-Origin-Opener-Policy", "same-origin"},
        {"Cross-Origin-Resource-Policy", "same-origin"},
        {"Referrer-Policy", "no-referrer"},
        {"X-Content-Type-Options", "nosniff"},
        {"X-Frame-Options", "DENY"},
    };
    struct evkeyvalq *out = evhttp_request_get_output_headers(request);
    evhttp_add_header(out, "Content-Type", type);
    for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++)
        evhttp_add_header(out, headers[i].name, headers[i].value);
}

static void reply(serve *s, struct evhttp_request *request, int status, const char *type,
                  const char *text)
{
    struct evbuffer *body = evbuffer_new();
    serve_guest_answered(s, request);
    serve_add_headers(request, type);
    if (body) evbuffer_add(body, text, strlen(text));
    evhttp_send_reply(request, status, NULL, body);
    if (body) evbuffer_free(body);
}

void serve_drop_request(struct evhttp_request *request)
{
    if (request && !evhttp_request_get_connection(request)) evhttp_request_free(request);
}

void serve_reply_text(serve *s, struct evhttp_request *request, int status, const char *text)
{
    reply(s, request, status, "text/plain; charset=utf-8", text);
}

void serve_reply_json(serve *s, struct evhttp_request *request, int status, json_t *object)
{
    char *text = object ? json_dumps(object, JSON_COMPACT | JSON_ENSURE_ASCII) : NULL;
    json_decref(object);
    if (text)
        reply(s, request, status, "application/json", text);
    else
        serve_reply_text(s, request, 500, "out of memory\n");
    free(text);
}
