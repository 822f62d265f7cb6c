/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include "_cgo_export.h"

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlgoDone((uintptr_t)userdata, err);
}

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    (void)lock;
    pawlgoEvent((uintptr_t)userdata, (int)event->kind, (int)event->err, (char *)event->message);
}

static bool on_info(const pawl_info *info, void *userdata)
{
    pawlgoInfo((uintptr_t)userdata, (pawl_info *)info);
    return true;
}

int pawlgo_open(const char *url, int from_config, const char *owner, int64_t connect_timeout_ms,
                pawl_client **ret_client, char *reterr_message)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    if (owner) opts.owner = owner;
    if (connect_timeout_ms > 0) opts.store_timeout_ms = connect_timeout_ms;
    if (from_config) return pawl_open_config(url, &opts, ret_client, reterr_message);
    return pawl_client_open(url, &opts, ret_client, reterr_message);
}

int pawlgo_config_url(const char *path, char **ret_url, char *reterr_message)
{
    pawl_config *config = NULL;
    int err = pawl_config_load(path, &config, reterr_message);
    if (!err) err = pawl_config_store_url(config, ret_url, reterr_message);
    pawl_config_free(config);
    return err;
}

int pawlgo_lock_new(pawl_client *client, const char *name, size_t name_len, int64_t ttl_ms,
                    int64_t retain_ms, const char *owner, uintptr_t id, pawl_lock **ret_lock)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    if (ttl_ms != 0) opts.ttl_ms = ttl_ms;
    opts.retain_ms = retain_ms;
    opts.owner = owner;
    opts.on_event = on_event;
    opts.event_userdata = (void *)id;
    return pawl_lock_new(client, name, name_len, &opts, ret_lock);
}

int pawlgo_keeper_new(pawl_client *client, pawl_lock **ret_lock)
{
    return pawl_lock_new(client, "-", 1, NULL, ret_lock);
}

int pawlgo_acquire_start(pawl_lock *lock, int64_t wait_ms, uintptr_t id)
{
    return pawl_lock_acquire_start(lock, wait_ms, on_done, (void *)id);
}

int pawlgo_inspect(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                   uintptr_t id)
{
    return pawl_inspect(client, name, name_len, wait_ms, on_info, (void *)id);
}
