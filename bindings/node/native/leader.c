/* SPDX-License-Identifier: MIT */
/*
 * Who leads. An observer keeps the latest that it was told, until JavaScript fetches it: who reads
 * slowly misses what has been replaced meanwhile, and nothing else.
 */
#include "addon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void copy_leader(const pawl_leader *from, void *userdata)
{
    leader_copy *to = userdata;
    to->leader = *from;
    snprintf(to->owner, sizeof to->owner, "%s", from->owner ? from->owner : "");
    to->leader.value_len = from->value ? from->value_len : 0;
    if (to->leader.value_len > PAWL_LEADER_VALUE_MAX) to->leader.value_len = PAWL_LEADER_VALUE_MAX;
    if (to->leader.value_len) memcpy(to->value, from->value, to->leader.value_len);
    to->leader.owner = to->owner;
    to->leader.value = from->value ? to->value : NULL;
}

napi_value make_leader(napi_env env, const leader_copy *from)
{
    const pawl_leader *leader = &from->leader;
    napi_value object;
    napi_create_object(env, &object);
    set(env, object, "err", make_int(env, leader->err));
    set(env, object, "leads", make_bool(env, leader->leads));
    set(env, object, "owner", make_text(env, from->owner, NAPI_AUTO_LENGTH));
    set(env, object, "fence", make_bigint(env, leader->fence));
    set(env, object, "remaining", make_int(env, leader->remaining_ms));
    if (leader->value) set(env, object, "value", make_bytes(env, from->value, leader->value_len));
    return object;
}

/* ---- The leader's own calls ---------------------------------------------------------------- */

static void on_said(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    handle *h = userdata;
    pthread_mutex_lock(&h->client->mutex);
    h->said = err;
    client_tell(h->client, h, NEWS_SAID);
    pthread_mutex_unlock(&h->client->mutex);
}

/* (handle, wait, value). As NEWS_SAID: a release may end beside it. */
static napi_value js_proclaim(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    size_t len;
    const void *value = bytes_at(&a, 2, &len);
    if (!value) return make_int(env, PAWL_ERR_ARGUMENT);
    int err = pawl_election_proclaim_start(h->lock, value, len, int_at(&a, 1), on_said, h);
    return handle_begun(env, h, err);
}

/* (handle, wait) */
static napi_value js_resign(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    return handle_begun(env, h,
                        pawl_election_resign_start(h->lock, int_at(&a, 1), handle_on_done, h));
}

/* ---- Observers ----------------------------------------------------------------------------- */

static void on_leader(const pawl_leader *leader, void *userdata)
{
    handle *h = userdata;
    pthread_mutex_lock(&h->client->mutex);
    copy_leader(leader, h->leader);
    client_tell(h->client, h, NEWS_LEADER);
    pthread_mutex_unlock(&h->client->mutex);
}

/* (client, id, name): a handle, or a code. */
static napi_value js_observe(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = handle_new(pointer_at(&a, 0), int_at(&a, 1));
    if (!h) return handle_made(env, NULL, 0);
    size_t len;
    char *name = text_at(&a, 2, &len);
    h->leader = calloc(1, sizeof *h->leader);
    int err = PAWL_ERR_NO_MEMORY;
    if (name && h->leader)
        err = pawl_election_observe(h->client->pawl, name, len, on_leader, h, &h->observer);
    free(name);
    return handle_made(env, h, err);
}

/* (handle): the latest. */
static napi_value js_take_leader(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    handle *h = pointer_at(&a, 0);
    pthread_mutex_lock(&h->client->mutex);
    leader_copy latest = *h->leader;
    pthread_mutex_unlock(&h->client->mutex);
    return make_leader(env, &latest);
}

void export_leaders(napi_env env, napi_value exports)
{
    export_function(env, exports, "proclaim", js_proclaim);
    export_function(env, exports, "resign", js_resign);
    export_function(env, exports, "observe", js_observe);
    export_function(env, exports, "takeLeader", js_take_leader);
}
