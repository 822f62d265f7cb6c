/* SPDX-License-Identifier: MIT */
/* Jobs that run once in a period, latches, barriers. Every call gets the handle first. */
#include "addon.h"

#include <stdlib.h>

/* ---- Made ---------------------------------------------------------------------------------- */

/* (client, id, name, ttl, owner, every, keep on failure): a handle, or a code. */
static napi_value js_once(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = handle_new(pointer_at(&a, 0), int_at(&a, 1));
    if (!h) return handle_made(env, NULL, 0);
    size_t len, owner_len;
    char *name = text_at(&a, 2, &len), *owner = text_at(&a, 4, &owner_len);
    pawl_lock_opts lock;
    pawl_lock_opts_init(&lock);
    lock.ttl_ms = int_at(&a, 3);
    lock.owner = owner;
    lock.on_event = handle_on_event;
    lock.event_userdata = h;
    pawl_once_opts opts;
    pawl_once_opts_init(&opts);
    opts.every_ms = int_at(&a, 5);
    if (bool_at(&a, 6)) opts.flags |= PAWL_ONCE_KEEP_ON_FAILURE;
    opts.lock = &lock;
    int err = name ? pawl_once_new(h->client->pawl, name, len, &opts, &h->once) : PAWL_ERR_NAME;
    if (!err) h->lock = pawl_once_lock(h->once);
    free(name);
    free(owner);
    return handle_made(env, h, err);
}

/* (client, id, name, count, keep): a handle, or a code. */
static napi_value js_latch(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = handle_new(pointer_at(&a, 0), int_at(&a, 1));
    if (!h) return handle_made(env, NULL, 0);
    size_t len;
    char *name = text_at(&a, 2, &len);
    pawl_latch_opts opts;
    pawl_latch_opts_init(&opts);
    opts.count = (uint32_t)int_at(&a, 3);
    opts.keep_ms = int_at(&a, 4);
    int err = name ? pawl_latch_new(h->client->pawl, name, len, &opts, &h->latch) : PAWL_ERR_NAME;
    free(name);
    return handle_made(env, h, err);
}

/* (client, id, name, parties, ttl): a handle, or a code. */
static napi_value js_barrier(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = handle_new(pointer_at(&a, 0), int_at(&a, 1));
    if (!h) return handle_made(env, NULL, 0);
    size_t len;
    char *name = text_at(&a, 2, &len);
    pawl_barrier_opts opts;
    pawl_barrier_opts_init(&opts);
    opts.parties = (uint32_t)int_at(&a, 3);
    opts.ttl_ms = int_at(&a, 4);
    int err =
        name ? pawl_barrier_new(h->client->pawl, name, len, &opts, &h->barrier) : PAWL_ERR_NAME;
    free(name);
    return handle_made(env, h, err);
}

/* ---- Calls that end later ------------------------------------------------------------------ */

/* (handle, wait) */
static napi_value js_begin(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(env, h, pawl_once_begin_start(h->once, int_at(&a, 1), handle_on_done, h));
}

/* (handle, success) */
static napi_value js_end(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(
        env, h, pawl_once_end_start(h->once, bool_at(&a, 1), PAWL_WAIT_FOREVER, handle_on_done, h));
}

/* (handle, wait, by) */
static napi_value js_count_down(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    uint32_t by = (uint32_t)int_at(&a, 2);
    return handle_begun(
        env, h, pawl_latch_count_down_start(h->latch, by, int_at(&a, 1), handle_on_done, h));
}

/* (handle, wait) */
static napi_value js_latch_wait(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(env, h, pawl_latch_wait_start(h->latch, int_at(&a, 1), handle_on_done, h));
}

/* (handle, wait) */
static napi_value js_barrier_wait(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(env, h,
                        pawl_barrier_wait_start(h->barrier, int_at(&a, 1), handle_on_done, h));
}

/* ---- What they found ----------------------------------------------------------------------- */

static napi_value js_left(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, pawl_latch_left(h->latch));
}

static napi_value js_round(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return make_int(env, (int64_t)pawl_barrier_generation(h->barrier));
}

napi_value make_once_info(napi_env env, const pawl_once_info *info)
{
    napi_value object;
    napi_create_object(env, &object);
    set(env, object, "outcome", make_int(env, info->outcome));
    set(env, object, "due", make_bool(env, info->due));
    set(env, object, "began", make_int(env, info->began_us));
    set(env, object, "ended", make_int(env, info->ended_us));
    set(env, object, "now", make_int(env, info->now_us));
    set(env, object, "next", make_int(env, info->next_us));
    set(env, object, "fence", make_bigint(env, info->fence));
    set(env, object, "owner", make_text(env, info->owner, NAPI_AUTO_LENGTH));
    return object;
}

void export_composed(napi_env env, napi_value exports)
{
    export_function(env, exports, "once", js_once);
    export_function(env, exports, "latch", js_latch);
    export_function(env, exports, "barrier", js_barrier);
    export_function(env, exports, "begin", js_begin);
    export_function(env, exports, "end", js_end);
    export_function(env, exports, "countDown", js_count_down);
    export_function(env, exports, "latchWait", js_latch_wait);
    export_function(env, exports, "barrierWait", js_barrier_wait);
    export_function(env, exports, "left", js_left);
    export_function(env, exports, "round", js_round);
}
