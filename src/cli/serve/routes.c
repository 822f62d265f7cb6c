/* SPDX-License-Identifier: MIT */
/* Which path shows what, and who may see it. */
#define _GNU_SOURCE
#include "serve.h"

#include <event2/buffer.h>
#include <event2/keyvalq_struct.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../message.h"

#define READ (EVHTTP_REQ_GET | EVHTTP_REQ_HEAD)

static const char *query_of(struct evhttp_request *request)
{
    return evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
}

/* The body as text; NULL: out of memory. */
static char *body_of(struct evhttp_request *request)
{
    struct evbuffer *in = evhttp_request_get_input_buffer(request);
    size_t len = evbuffer_get_length(in);
    char *text = calloc(1, len + 1);
    if (text) evbuffer_copyout(in, text, len);
    return text;
}

/* ---- One lock ------------------------------------------------------------------------------ */

static void ask(serve *s, serve_job *job)
{
    if (serve_ask(s, job)) return;
    evhttp_add_header(evhttp_request_get_output_headers(job->request), "Retry-After", "1");
    serve_reply_text(s, job->request, 503, "too many questions wait for the store\n");
    serve_job_free(job);
}

void serve_answer_jobs(serve *s)
{
    for (serve_job *job; (job = serve_next_done(s));) {
        serve_reply_json(s, job->request, job->status, job->answer);
        job->answer = NULL;
        job->request = NULL;
        serve_job_free(job);
    }
}

static serve_job *new_job(struct evhttp_request *request, void (*run)(serve *, serve_job *))
{
    serve_job *job = calloc(1, sizeof *job);
    if (!job) return NULL;
    job->request = request;
    job->run = run;
    return job;
}

static void lock(serve *s, struct evhttp_request *request)
{
    serve_job *job = new_job(request, serve_inspect);
    if (!job || !serve_query_name(query_of(request), job->name, &job->name_len)) {
        serve_reply_text(s, request, job ? 400 : 500, "key= or key_hex= names a lock\n");
        free(job);
        return;
    }
    ask(s, job);
}

static void doctor(serve *s, struct evhttp_request *request)
{
    serve_job *job = new_job(request, serve_examine);
    if (job)
        ask(s, job);
    else
        serve_reply_text(s, request, 500, "out of memory\n");
}

/* ---- Breaking one -------------------------------------------------------------------------- */

static bool is_json(struct evhttp_request *request)
{
    static const char json[] = "application/json";
    const char *type =
        evhttp_find_header(evhttp_request_get_input_headers(request), "Content-Type");
    size_t len = sizeof json - 1;
    return type && strncasecmp(type, json, len) == 0 && (!type[len] || type[len] == ';');
}

static void break_lock(serve *s, struct evhttp_request *request)
{
    const char *why = "out of memory";
    serve_job *job = new_job(request, serve_break);
    char *body = body_of(request);
    if (!is_json(request))
        serve_reply_text(s, request, 415, "application/json is wanted\n");
    else if (!job || !body || !serve_wish_read(s, request, body, job, &why))
        serve_reply_json(s, request, 400,
                         json_pack("{s:s, s:s}", "result", "not_broken", "reason", why));
    else {
        ask(s, job);
        job = NULL;
    }
    if (job) serve_job_free(job);
    free(body);
}

/* ---- All locks ----------------------------------------------------------------------------- */

static void locks(serve *s, struct evhttp_request *request)
{
    serve_view view;
    serve_view_parse(query_of(request), &view);
    serve_reply_json(s, request, 200, serve_view_json(s, &view));
}

static void timeline(serve *s, struct evhttp_request *request)
{
    char name[PAWL_NAME_MAX + 1];
    size_t len = 0;
    serve_view view;
    serve_view_parse(query_of(request), &view);
    if (!serve_query_name(query_of(request), name, &len)) len = 0;
    serve_reply_json(s, request, 200, serve_timeline_json(s, name, len, view.prefix));
}

static void contention(serve *s, struct evhttp_request *request)
{
    serve_reply_json(s, request, 200, serve_contention_json(s));
}

static void deadlocks(serve *s, struct evhttp_request *request)
{
    serve_reply_json(s, request, 200, serve_deadlocks_json(s));
}

static void events(serve *s, struct evhttp_request *request)
{
    serve_stream_begin(s, request, query_of(request));
}

/* ---- Coming and going ---------------------------------------------------------------------- */

static const serve_token *token_in(const serve *s, char *body)
{
    struct evkeyvalq words;
    if (!body || evhttp_parse_query_str(body, &words) != 0) return NULL;
    const char *text = evhttp_find_header(&words, "token");
    const serve_token *token = text ? serve_token_of(s, text) : NULL;
    evhttp_clear_headers(&words);
    explicit_bzero(body, strlen(body));
    return token;
}

static void login(serve *s, struct evhttp_request *request)
{
    char *body = body_of(request), *from = NULL;
    ev_uint16_t port;
    const serve_token *token = token_in(s, body);
    bool fits = token && serve_session_begin(s, request, token);
    free(body);
    evhttp_connection_get_peer(evhttp_request_get_connection(request), &from, &port);
    if (!fits) cli_warn("serve: a wrong token from %s", from ? from : "?");
    serve_reply_text(s, request, fits ? 200 : 401, fits ? "welcome\n" : "that is not the token\n");
}

static void logout(serve *s, struct evhttp_request *request)
{
    serve_session_end(s, request);
    serve_reply_text(s, request, 200, "bye\n");
}

static void health(serve *s, struct evhttp_request *request)
{
    serve_reply_text(s, request, 200, "ok\n");
}

/* ---- Routes -------------------------------------------------------------------------------- */

typedef struct route {
    const char *path;
    void (*serve)(serve *s, struct evhttp_request *request);
    unsigned methods;
    bool open; /* without a token */
} route;

static const route routes[] = {
    {"/locks", locks, EVHTTP_REQ_GET, false},
    {"/events", events, EVHTTP_REQ_GET, false},
    {"/lock", lock, EVHTTP_REQ_GET, false},
    {"/login", login, EVHTTP_REQ_POST, true},
    {"/logout", logout, EVHTTP_REQ_POST, true},
    {"/health", health, READ, true},
    {"/break", break_lock, EVHTTP_REQ_POST, false},
    {"/timeline", timeline, EVHTTP_REQ_GET, false},
    {"/contention", contention, EVHTTP_REQ_GET, false},
    {"/deadlocks", deadlocks, EVHTTP_REQ_GET, false},
    {"/doctor", doctor, EVHTTP_REQ_GET, false},
};

static const route *route_of(const serve *s, const char *path)
{
    const route *found = NULL;
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++)
        if (strcmp(path, routes[i].path) == 0) found = &routes[i];
    return found && found->serve == break_lock && !s->opts.break_log ? NULL : found;
}

static const serve_file *file_of(const char *path)
{
    for (const serve_file *file = serve_files; file->path; file++)
        if (strcmp(path, file->path) == 0) return file;
    return NULL;
}

static void show_file(serve *s, struct evhttp_request *request, const serve_file *file)
{
    struct evbuffer *body = evbuffer_new();
    serve_guest_answered(s, request);
    serve_add_headers(request, file->type);
    if (body) evbuffer_add_reference(body, file->bytes, file->len, NULL, NULL);
    evhttp_send_reply(request, body ? 200 : 500, NULL, body);
    if (body) evbuffer_free(body);
}

static void not_so(serve *s, struct evhttp_request *request, const char *methods)
{
    evhttp_add_header(evhttp_request_get_output_headers(request), "Allow", methods);
    serve_reply_text(s, request, 405, "not with this method\n");
}

static void go(serve *s, struct evhttp_request *request, const char *path)
{
    unsigned method = (unsigned)evhttp_request_get_command(request);
    const serve_file *file = file_of(path);
    const route *to = route_of(s, path);
    if (file && (method & READ))
        show_file(s, request, file);
    else if (file)
        not_so(s, request, "GET, HEAD");
    else if (!to)
        serve_reply_text(s, request, 404, "there is nothing here\n");
    else if (!(method & to->methods))
        not_so(s, request, to->methods & EVHTTP_REQ_POST ? "POST" : "GET");
    else if (method == EVHTTP_REQ_POST && !serve_origin_fits(request))
        serve_reply_text(s, request, 403, "sent by a page from elsewhere\n");
    else if (!to->open && !serve_visitor(s, request))
        serve_reply_text(s, request, 401, "the token is wanted\n");
    else
        to->serve(s, request);
}

/* The path below the base path; NULL: it is elsewhere. */
static const char *inside(const serve *s, const char *path)
{
    size_t len = strlen(s->base_path);
    if (!path || strncmp(path, s->base_path, len) != 0) return NULL;
    return path[len] == '/' ? path + len : NULL;
}

/* The page's own paths are relative to a "/" at the end. */
static void to_page(serve *s, struct evhttp_request *request)
{
    char place[SERVE_TYPED_MAX + 1];
    snprintf(place, sizeof place, "%s/", s->base_path);
    evhttp_add_header(evhttp_request_get_output_headers(request), "Location", place);
    serve_reply_text(s, request, 308, "");
}

void serve_on_request(struct evhttp_request *request, void *arg)
{
    serve *s = arg;
    const char *path = evhttp_uri_get_path(evhttp_request_get_evhttp_uri(request));
    serve_guest_asked(s, request);
    if (!serve_host_fits(s, request))
        serve_reply_text(s, request, 421, "this name is not ours: --allow-host\n");
    else if (path && s->base_path[0] && strcmp(path, s->base_path) == 0)
        to_page(s, request);
    else if (!inside(s, path))
        serve_reply_text(s, request, 404, "there is nothing here\n");
    else
        go(s, request, inside(s, path));
}
