/* SPDX-License-Identifier: MIT */
/* One acquisition: begun, told of, given back. Every function gets the handle first. */
#include "addon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 2

/* ---- Told
 * ----------------------------------------------------------------------------------------
 */

void handle_on_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    handle *h = userdata;
    pthread_mutex_lock(&h->client->mutex);
    h->done = err;
    client_tell(h->client, h, NEWS_DONE);
    pthread_mutex_unlock(&h->client->mutex);
}

static void on_upgraded(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    handle *h = userdata;
    pthread_mutex_lock(&h->client->mutex);
    h->upgraded = err;
    client_tell(h->client, h, NEWS_UPGRADED);
    pthread_mutex_unlock(&h->client->mutex);
}

void handle_on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    (void)lock;
    handle *h = userdata;
    bool is_bad = event->kind == PAWL_EVENT_LOST || event->kind == PAWL_EVENT_DOUBT;
    pthread_mutex_lock(&h->client->mutex);
    if (event->kind == PAWL_EVENT_DOUBT || event->kind == PAWL_EVENT_HELD) /* the latest is true */
        h->kinds &= ~(1u << PAWL_EVENT_DOUBT | 1u << PAWL_EVENT_HELD);
    if (event->kind == PAWL_EVENT_LOST) h->lost = event->err;
    if (event->kind == PAWL_EVENT_DOUBT) h->doubt = event->err;
    if (is_bad) snprintf(h->message, sizeof h->message, "%s", event->message);
    h->remaining_ms = event->remaining_ms;
    client_tell(h->client, h, event->kind);
    pthread_mutex_unlock(&h->client->mutex);
}

/* ---- Made and freed
 * -------------------------------------------------------------------------------
 */

/* Out of the queue. */
static void unqueue(handle *h)
{
    client *c = h->client;
    pthread_mutex_lock(&c->mutex);
    for (handle **at = &c->first; h->queued && *at; at = &(*at)->next) {
        if (*at != h) continue;
        *at = h->next;
        if (c->last == &h->next) c->last = at;
        h->queued = false;
        break;
    }
    pthread_mutex_unlock(&c->mutex);
}

/* Gives back what it has. What waits is ended, and tells of that. */
static void free_native(handle *h)
{
    if (!h->once) pawl_lock_free(h->lock);
    h->lock = NULL;
    h->once = pawl_once_free(h->once);
    h->latch = pawl_latch_free(h->latch);
    h->barrier = pawl_barrier_free(h->barrier);
    h->observer = pawl_observer_stop(h->observer);
}

void handle_unref(handle *h)
{
    if (--h->refs > 0) return;
    free_native(h); /* after it nothing calls back: no call is under way */
    unqueue(h);
    client_unref(h->client);
    free(h->leader);
    free(h);
}

static void on_dropped(napi_env env, void *data, void *hint)
{
    (void)env;
    (void)hint;
    handle_unref(data);
}

handle *handle_new(client *c, int64_t id)
{
    handle *h = c ? calloc(1, sizeof *h) : NULL;
    if (!h) return NULL;
    *h = (handle){.client = c, .id = (uint32_t)id, .refs = 1};
    c->refs++;
    return h;
}

napi_value handle_made(napi_env env, handle *h, int err)
{
    napi_value result;
    if (!h) return make_int(env, PAWL_ERR_NO_MEMORY);
    if (!err && napi_create_external(env, h, on_dropped, NULL, &result) == napi_ok) return result;
    handle_unref(h);
    return make_int(env, err ? err : PAWL_ERR_NO_MEMORY);
}

/* A list of names, NULL-terminated, in memory of its own; NULL: no memory. */
static char **take_names(napi_env env, napi_value list, uint32_t count)
{
    char **names = calloc(count + 1, sizeof *names);
    for (uint32_t i = 0; names && i < count; i++) {
        napi_value item;
        size_t len;
        napi_get_element(env, list, i, &item);
        names[i] = text_of(env, item, &len);
        if (!names[i]) break;
    }
    return names;
}

static void free_names(char **names)
{
    for (char **name = names; name && *name; name++) free(*name);
    free(names);
}

static pawl_lock_opts take_opts(const args *a, handle *h, const char *owner)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = int_at(a, 3);
    opts.retain_ms = int_at(a, 4);
    opts.owner = owner;
    opts.flags = (unsigned)int_at(a, 6);
    opts.mode = (pawl_mode)int_at(a, 7);
    if (opts.mode == PAWL_MODE_PERMIT) {
        opts.capacity = (uint32_t)int_at(a, 8);
        opts.units = (uint32_t)int_at(a, 9);
    }
    opts.on_event = handle_on_event;
    opts.event_userdata = h;
    return opts;
}

static int make_lock(handle *h, const args *a, bool is_several)
{
    size_t len;
    uint32_t count = 0;
    napi_get_array_length(a->env, a->at[2], &count);
    char *owner = text_at(a, 5, &len), **names = take_names(a->env, a->at[2], count);
    pawl_lock_opts opts = take_opts(a, h, owner);
    pawl_client *pawl = h->client->pawl;
    int err = PAWL_ERR_NO_MEMORY;
    if (names && (!count || names[count - 1]))
        err = is_several
                  ? pawl_lock_new_all(pawl, (const char *const *)names, count, &opts, &h->lock)
                  : pawl_lock_new(pawl, names[0], strlen(names[0]), &opts, &h->lock);
    free_names(names);
    free(owner);
    return err;
}

/* (client, id, names, ttl, retain, owner, flags, mode, capacity, units, several): a handle, or a
 * code */
static napi_value js_lock(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = handle_new(pointer_at(&a, 0), int_at(&a, 1));
    return handle_made(env, h, h ? make_lock(h, &a, bool_at(&a, 10)) : PAWL_ERR_NO_MEMORY);
}

/* Gives back now, not when JavaScript collects its object. */
static napi_value js_free(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    free_native(h);
    return NULL;
}

/* ---- Calls that end later
 * --------------------------------------------------------------------------
 */

napi_value handle_begun(napi_env env, handle *h, int err)
{
    if (!err) h->refs++; /* until its news is handed out */
    return make_int(env, err);
}

/*
 * Whether this turn of Node's loop is young. Looking for an answer takes Node's thread for as long
 * as a near store needs; and what is awaited without a turn of the loop keeps timers and sockets
 * waiting.
 */
static bool may_look(napi_env env)
{
    uv_loop_t *loop;
    if (napi_get_uv_event_loop(env, &loop) != napi_ok) return false;
    return uv_hrtime() / 1000000 < uv_now(loop) + LOOK_MS;
}

/* (handle, wait): a code; ACQUIRED_AT_ONCE, and there will be no news of it. */
static napi_value js_acquire(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    int64_t wait = int_at(&a, 1);
    bool started = true;
    int err = may_look(env)
                  ? pawl_lock_acquire_or_start(h->lock, wait, 0, handle_on_done, h, &started)
                  : pawl_lock_acquire_start(h->lock, wait, handle_on_done, h);
    if (!err && !started) return make_int(env, ACQUIRED_AT_ONCE);
    return handle_begun(env, h, err);
}

static napi_value js_release_wait(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(env, h, pawl_lock_release_start(h->lock, handle_on_done, h));
}

static napi_value js_upgrade(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(env, h, pawl_lock_upgrade_start(h->lock, int_at(&a, 1), on_upgraded, h));
}

/* ---- Calls that do not wait
 * ------------------------------------------------------------------------
 */

static napi_value js_cancel(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_lock_cancel(h->lock));
}

static napi_value js_release(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_lock_release(h->lock));
}

static napi_value js_downgrade(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_lock_downgrade(h->lock, (pawl_mode)int_at(&a, 1)));
}

static napi_value js_detach(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_lock_detach(h->lock));
}

static napi_value js_is_held(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_bool(env, pawl_lock_is_held(h->lock));
}

static napi_value js_remaining(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_lock_remaining_ms(h->lock));
}

/* [[name, fence], ...] */
static napi_value js_fences(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    size_t count = pawl_lock_count(h->lock);
    napi_value list, pair;
    napi_create_array_with_length(env, count, &list);
    for (uint32_t i = 0; i < count; i++) {
        const pawl_lock *part = pawl_lock_part(h->lock, i);
        napi_create_array_with_length(env, 2, &pair);
        napi_set_element(env, pair, 0, make_text(env, pawl_lock_name(part), NAPI_AUTO_LENGTH));
        napi_set_element(env, pair, 1, make_bigint(env, pawl_lock_fence(part)));
        napi_set_element(env, list, i, pair);
    }
    return list;
}

static napi_value js_token(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    pawl_token token;
    pawl_lock_token(h->lock, &token);
    return make_text(env, token.text, NAPI_AUTO_LENGTH);
}

static napi_value js_mode(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_lock_mode(h->lock));
}

static napi_value js_slots(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    uint16_t slots[PAWL_CAPACITY_MAX];
    size_t count = pawl_lock_slots(h->lock, slots, PAWL_CAPACITY_MAX);
    napi_value list;
    napi_create_array_with_length(env, count, &list);
    for (uint32_t i = 0; i < count && i < PAWL_CAPACITY_MAX; i++)
        napi_set_element(env, list, i, make_int(env, slots[i]));
    return list;
}

void export_handles(napi_env env, napi_value exports)
{
    export_function(env, exports, "lock", js_lock);
    export_function(env, exports, "free", js_free);
    export_function(env, exports, "acquire", js_acquire);
    export_function(env, exports, "releaseWait", js_release_wait);
    export_function(env, exports, "upgrade", js_upgrade);
    export_function(env, exports, "cancel", js_cancel);
    export_function(env, exports, "release", js_release);
    export_function(env, exports, "downgrade", js_downgrade);
    export_function(env, exports, "detach", js_detach);
    export_function(env, exports, "isHeld", js_is_held);
    export_function(env, exports, "remaining", js_remaining);
    export_function(env, exports, "fences", js_fences);
    export_function(env, exports, "token", js_token);
    export_function(env, exports, "mode", js_mode);
    export_function(env, exports, "slots", js_slots);
}
