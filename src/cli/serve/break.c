/* SPDX-License-Identifier: MIT */
/*
 * Breaking a lock on a visitor's wish. The log is written twice: before the store is asked, so
 * nothing is ever broken without a line that says who wished it, and after, with what came of it.
 */
#define _GNU_SOURCE
#include "serve.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "../json.h"
#include "../message.h"
#include "../store.h"
#include "audit.h"
#include "history.h"

#define REASON_MAX 200 /* bytes */
#define PEER_MAX   64
#define ID_BYTES   8

struct serve_wish {
    uint64_t fence;
    char reason[REASON_MAX + 1];
    char token[SERVE_NAME_MAX]; /* its name */
    char peer[PEER_MAX];
    char forwarded[SERVE_TYPED_MAX]; /* for whom a proxy says to ask; "": it says nothing */
};

/* ---- What is wished for (HTTP's thread) --------------------------------------------------- */

static bool take_fence(const char *digits, uint64_t *ret_fence)
{
    if (!digits || !*digits || strspn(digits, "0123456789") != strlen(digits)) return false;
    errno = 0;
    *ret_fence = strtoull(digits, NULL, 10);
    return errno == 0;
}

static bool take_reason(const char *text, char ret_reason[REASON_MAX + 1])
{
    if (!text || strlen(text) > REASON_MAX || text[strspn(text, " \t\r\n")] == '\0') return false;
    memcpy(ret_reason, text, strlen(text) + 1);
    return true;
}

static void take_who(serve *s, struct evhttp_request *request, serve_wish *wish)
{
    char *peer = NULL;
    ev_uint16_t port;
    const char *name = serve_visitor(s, request);
    const char *forwarded =
        evhttp_find_header(evhttp_request_get_input_headers(request), "X-Forwarded-For");
    evhttp_connection_get_peer(evhttp_request_get_connection(request), &peer, &port);
    snprintf(wish->token, sizeof wish->token, "%s", name ? name : "");
    snprintf(wish->peer, sizeof wish->peer, "%s", peer ? peer : "");
    snprintf(wish->forwarded, sizeof wish->forwarded, "%s", forwarded ? forwarded : "");
}

bool serve_wish_read(serve *s, struct evhttp_request *request, const char *body, serve_job *job,
                     const char **ret_why)
{
    const char *key = NULL, *hex = NULL, *fence = NULL, *reason = NULL;
    json_t *object = json_loads(body, JSON_REJECT_DUPLICATES, NULL);
    job->wish = calloc(1, sizeof *job->wish);
    bool is_wish = job->wish && object &&
                   json_unpack(object, "{s?s, s?s, s?s, s?s}", "key", &key, "key_hex", &hex,
                               "fence", &fence, "reason", &reason) == 0;
    *ret_why = NULL;
    if (!is_wish)
        *ret_why = "an object with the texts key (or key_hex), fence and reason is wanted";
    else if (!serve_name_of(key, hex, job->name, &job->name_len))
        *ret_why = "key or key_hex names a lock";
    else if (!take_fence(fence, &job->wish->fence))
        *ret_why = "the fence is a number: type the one that is shown";
    else if (!take_reason(reason, job->wish->reason))
        *ret_why = "a reason of 1 to 200 bytes is wanted";
    else
        take_who(s, request, job->wish);
    json_decref(object);
    return !*ret_why;
}

/* ---- The log ------------------------------------------------------------------------------- */

static json_t *id_json(void)
{
    unsigned char random[ID_BYTES] = {0};
    char text[2 * ID_BYTES + 1];
    if (getrandom(random, sizeof random, 0) < 0) return json_null();
    for (size_t i = 0; i < ID_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", random[i]);
    return json_string(text);
}

static void set_text(json_t *object, const char *name, const char *text)
{
    if (*text)
        cli_json_set_bytes(object, name, text, strlen(text));
    else
        json_object_set_new(object, name, json_null());
}

/* What both lines have. */
static json_t *line_of(const serve_job *job, const char *holder)
{
    json_t *line = json_object();
    json_object_set_new(line, "id", id_json());
    set_text(line, "token", job->wish->token);
    set_text(line, "peer", job->wish->peer);
    set_text(line, "forwarded_for", job->wish->forwarded);
    cli_json_set_bytes(line, "key", job->name, job->name_len);
    json_object_set_new(line, "fence", serve_fence_json(job->wish->fence));
    set_text(line, "holder", holder);
    set_text(line, "reason", job->wish->reason);
    return line;
}

static bool note(const serve *s, json_t *line, const char *event)
{
    json_object_set_new(line, "event", json_string(event));
    if (serve_audit_write(s->opts.break_log, line)) return true;
    cli_error("serve: the log %s cannot be written: %s", s->opts.break_log, strerror(errno));
    return false;
}

/* ---- Doing it (the worker's thread) ------------------------------------------------------- */

typedef struct target {
    uint64_t fence;
    char holder[PAWL_OWNER_MAX + 1]; /* of the lease with that fence; "": there is none */
} target;

static bool find_holder(const pawl_info *info, void *userdata)
{
    target *t = userdata;
    const char *owner = info->held && info->fence == t->fence ? info->owner : "";
    for (size_t i = 0; i < info->holders_shown; i++)
        if (info->holders[i].fence == t->fence) owner = info->holders[i].owner;
    snprintf(t->holder, sizeof t->holder, "%s", owner);
    return false;
}

static void answer(serve_job *job, int status, const char *result, const char *reason)
{
    job->status = status;
    job->answer = json_pack("{s:s, s:s}", "result", result, "reason", reason);
}

static void answer_break(serve *s, serve_job *job, int err)
{
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(s->asker, err, reason);
    if (!err)
        answer(job, 200, "broken", "");
    else if (err == PAWL_ERR_UNKNOWN)
        answer(job, 504, "unknown", reason);
    else if (err == PAWL_ERR_NOT_HELD)
        answer(job, 409, "not_broken", "it is free, or its fence is another one: look again");
    else
        answer(job, 503, "not_broken", reason);
}

/* The look that follows sees it, too, but does not know who and why. */
static void note_past(serve *s, const serve_job *job, const char *holder)
{
    pthread_mutex_lock(&s->mutex);
    serve_history_add_break(s->history, job->name, job->name_len, holder, job->wish->fence,
                            job->wish->token, job->wish->reason);
    pthread_mutex_unlock(&s->mutex);
}

static void note_end(serve *s, serve_job *job, json_t *line)
{
    json_object_set(line, "result", json_object_get(job->answer, "result"));
    json_object_set(line, "why", json_object_get(job->answer, "reason"));
    if (!note(s, line, "ended"))
        json_object_set_new(job->answer, "warning", json_string("the log has no line of the end"));
}

void serve_break(serve *s, serve_job *job)
{
    target t = {.fence = job->wish->fence};
    int err = pawl_inspect(s->asker, job->name, job->name_len, CLI_NOT_WAITING, find_holder, &t);
    json_t *line = line_of(job, t.holder);
    if (err == PAWL_ERR_UNKNOWN) err = PAWL_ERR_UNAVAILABLE; /* only a question went unanswered */
    if (!note(s, line, "asked")) {
        answer(job, 500, "not_broken", "the log cannot be written");
    } else {
        if (!err) err = pawl_break(s->asker, job->name, job->name_len, t.fence, CLI_NOT_WAITING);
        answer_break(s, job, err);
        if (!err) note_past(s, job, t.holder);
        note_end(s, job, line);
    }
    json_decref(line);
}
