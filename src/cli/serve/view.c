/* SPDX-License-Identifier: MIT */
#include "serve.h"

#include <stdlib.h>

#include "../session.h"
#include "heat.h"
#include "history.h"
#include "waits.h"

static json_t *store_json(const serve *s)
{
    const serve_picture *p = &s->picture;
    json_t *object = json_object();
    int64_t age_ms = p->at_ms ? cli_now_ms() - p->at_ms : -1;
    json_object_set_new(object, "url", json_string(pawl_client_url(s->client)));
    json_object_set_new(object, "prefix", json_string(s->prefix));
    json_object_set_new(object, "known", json_boolean(p->at_ms && !p->err));
    json_object_set_new(object, "as_of_ms", serve_number_json(age_ms));
    json_object_set_new(object, "took_ms", p->looks ? json_integer(p->took_ms) : json_null());
    json_object_set_new(object, "interval_ms", json_integer(s->opts.interval_ms));
    if (p->err) {
        json_object_set_new(object, "error", json_string(pawl_err_name(p->err)));
        json_object_set_new(object, "reason", json_string(p->reason));
    }
    return object;
}

/* null, if the store could not be asked: zeros would be a guess. */
static json_t *sums_json(const serve_picture *p)
{
    if (!p->at_ms || p->err) return json_null();
    return json_pack("{s:I, s:I, s:I, s:I, s:o, s:o}", "held", (json_int_t)p->sums.held, "holders",
                     (json_int_t)p->sums.holders, "waiting", (json_int_t)p->sums.waiting, "queues",
                     (json_int_t)p->sums.queues, "changed", serve_number_json(p->sums.changed),
                     "oldest_wait_ms", serve_number_json(p->sums.oldest_wait_ms));
}

json_t *serve_view_json(serve *s, const serve_view *view)
{
    json_t *object = json_object();
    pthread_mutex_lock(&s->mutex);
    json_object_set_new(object, "store", store_json(s));
    json_object_set_new(object, "token", json_boolean(s->token_count > 0));
    json_object_set_new(object, "can_break", json_boolean(s->opts.break_log != NULL));
    json_object_set_new(object, "sums", sums_json(&s->picture));
    json_object_set_new(object, "deadlocks",
                        s->waits ? json_integer((json_int_t)serve_waits_count(s->waits))
                                 : json_null());
    serve_list_set(&s->picture, view, object);
    pthread_mutex_unlock(&s->mutex);
    return object;
}

json_t *serve_timeline_json(serve *s, const char *name, size_t len, const char *prefix)
{
    pthread_mutex_lock(&s->mutex);
    json_t *object = serve_history_json(s->history, name, len, prefix);
    pthread_mutex_unlock(&s->mutex);
    return object;
}

json_t *serve_contention_json(serve *s)
{
    pthread_mutex_lock(&s->mutex);
    json_t *object = serve_heat_json(s->heat, serve_wall_ms());
    pthread_mutex_unlock(&s->mutex);
    return object;
}

/* null: no look has succeeded yet. */
json_t *serve_deadlocks_json(serve *s)
{
    pthread_mutex_lock(&s->mutex);
    json_t *object =
        s->waits ? serve_waits_json(s->waits) : json_pack("{s:n, s:b}", "circles", "cut", false);
    json_object_set_new(object, "store", store_json(s));
    pthread_mutex_unlock(&s->mutex);
    return object;
}
