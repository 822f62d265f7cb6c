/* SPDX-License-Identifier: MIT */
#include "bridge.h"

#include <stdlib.h>
#include <string.h>

#include "_cgo_export.h"

/* ---- Callbacks: userdata is a number of the registry ---------------------------------------- */

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlgoDone((uintptr_t)userdata, err);
}

static void on_upgraded(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlgoUpgraded((uintptr_t)userdata, err);
}

static void on_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    (void)lock;
    pawlgoEvent((uintptr_t)userdata, (int)event->kind, (int)event->err, event->remaining_ms,
                (char *)event->message);
}

static void on_said(pawl_lock *lock, int err, void *userdata)
{
    (void)lock;
    pawlgoSaid((uintptr_t)userdata, err);
}

static void on_leader(const pawl_leader *leader, void *userdata)
{
    pawlgoLeader((uintptr_t)userdata, (pawl_leader *)leader);
}

static void on_log(pawl_client *client, pawl_severity severity, const char *line, void *userdata)
{
    (void)client;
    pawlgoLog((uintptr_t)userdata, (int)severity, (char *)line);
}

static bool on_info(const pawl_info *info, void *userdata)
{
    pawlgoInfo((uintptr_t)userdata, (pawl_info *)info);
    return true;
}

static void on_finding(const pawl_finding *finding, void *userdata)
{
    pawlgoFinding((uintptr_t)userdata, (int)finding->severity, (char *)finding->topic,
                  (char *)finding->text, (char *)finding->advice);
}

/* ---- Clients ----------------------------------------------------------------------------------
 */

int pawlgo_open(const char *url, int from_config, const pawlgo_open_opts *given,
                pawl_client **ret_client, char *reterr_message)
{
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    if (given->owner) opts.owner = given->owner;
    if (given->store_timeout_ms) opts.store_timeout_ms = given->store_timeout_ms;
    if (given->close_timeout_ms) opts.close_timeout_ms = given->close_timeout_ms;
    if (given->log_id) {
        opts.log = on_log;
        opts.log_userdata = (void *)given->log_id;
    }
    opts.metrics = given->metrics;
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

/* ---- Metrics ----------------------------------------------------------------------------------
 */

int pawlgo_metrics_new(char **classes, size_t count, pawl_metrics **ret_metrics)
{
    pawl_metrics_opts opts;
    pawl_metrics_opts_init(&opts);
    opts.classes = (const char *const *)classes;
    opts.class_count = count;
    return pawl_metrics_new(&opts, ret_metrics);
}

typedef struct page {
    char *text;
    size_t len, room;
} page;

static bool append(const char *text, size_t len, void *userdata)
{
    page *p = userdata;
    if (p->room - p->len < len) {
        size_t room = 2 * p->room + len;
        char *longer = realloc(p->text, room);
        if (!longer) return false;
        p->text = longer;
        p->room = room;
    }
    memcpy(p->text + p->len, text, len);
    p->len += len;
    return true;
}

int pawlgo_metrics_text(const pawl_metrics *metrics, char **ret_text, size_t *ret_len)
{
    page p = {.text = NULL};
    int err = pawl_metrics_write(metrics, append, &p);
    *ret_text = p.text;
    *ret_len = p.len;
    return err == PAWL_ERR_CANCELED ? PAWL_ERR_NO_MEMORY : err;
}

/* ---- Locks ------------------------------------------------------------------------------------
 */

static pawl_lock_opts opts_of(const pawlgo_lock_opts *given, uintptr_t id)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    if (given->ttl_ms != 0) opts.ttl_ms = given->ttl_ms;
    opts.retain_ms = given->retain_ms;
    opts.owner = given->owner;
    if (given->detached) opts.flags |= PAWL_LOCK_DETACHED;
    opts.mode = (pawl_mode)given->mode;
    if (opts.mode == PAWL_MODE_PERMIT) {
        opts.capacity = given->capacity;
        opts.units = given->units;
    }
    opts.on_event = on_event;
    opts.event_userdata = (void *)id;
    return opts;
}

int pawlgo_lock_new(pawl_client *client, const char *name, size_t name_len,
                    const pawlgo_lock_opts *given, uintptr_t id, pawl_lock **ret_lock)
{
    pawl_lock_opts opts = opts_of(given, id);
    return pawl_lock_new(client, name, name_len, &opts, ret_lock);
}

int pawlgo_lock_new_all(pawl_client *client, char **names, size_t count,
                        const pawlgo_lock_opts *given, uintptr_t id, pawl_lock **ret_lock)
{
    pawl_lock_opts opts = opts_of(given, id);
    return pawl_lock_new_all(client, (const char *const *)names, count, &opts, ret_lock);
}

/* ---- Jobs and elections -----------------------------------------------------------------------
 */

int pawlgo_once_new(pawl_client *client, const char *name, size_t name_len, int64_t every_ms,
                    int keeps_failures, const pawlgo_lock_opts *given, uintptr_t id,
                    pawl_once **ret_once)
{
    pawl_lock_opts lock = opts_of(given, id);
    pawl_once_opts opts;
    pawl_once_opts_init(&opts);
    opts.every_ms = every_ms;
    if (keeps_failures) opts.flags |= PAWL_ONCE_KEEP_ON_FAILURE;
    opts.lock = &lock;
    return pawl_once_new(client, name, name_len, &opts, ret_once);
}

int pawlgo_once_begin_start(pawl_once *once, int64_t wait_ms, uintptr_t id)
{
    return pawl_once_begin_start(once, wait_ms, on_done, (void *)id);
}

int pawlgo_once_end_start(pawl_once *once, int success, uintptr_t id)
{
    return pawl_once_end_start(once, success, PAWL_WAIT_FOREVER, on_done, (void *)id);
}

void pawlgo_once_last(const pawl_once *once, pawl_once_info *ret_info)
{
    pawl_once_last(once, ret_info);
}

int pawlgo_proclaim_start(pawl_lock *lock, const void *value, size_t value_len, uintptr_t id)
{
    return pawl_election_proclaim_start(lock, value, value_len, PAWL_WAIT_FOREVER, on_said,
                                        (void *)id);
}

int pawlgo_resign_start(pawl_lock *lock, uintptr_t id)
{
    return pawl_election_resign_start(lock, PAWL_WAIT_FOREVER, on_said, (void *)id);
}

int pawlgo_leader(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                  uintptr_t id)
{
    return pawl_election_leader(client, name, name_len, wait_ms, on_leader, (void *)id);
}

int pawlgo_observe(pawl_client *client, const char *name, size_t name_len, uintptr_t id,
                   pawl_observer **ret_observer)
{
    return pawl_election_observe(client, name, name_len, on_leader, (void *)id, ret_observer);
}

/* ---- Latches and barriers ---------------------------------------------------------------------
 */

int pawlgo_latch_new(pawl_client *client, const char *name, size_t name_len, uint32_t count,
                     int64_t keep_ms, pawl_latch **ret_latch)
{
    pawl_latch_opts opts;
    pawl_latch_opts_init(&opts);
    opts.count = count;
    if (keep_ms) opts.keep_ms = keep_ms;
    return pawl_latch_new(client, name, name_len, &opts, ret_latch);
}

int pawlgo_latch_down_start(pawl_latch *latch, uint32_t by, int64_t wait_ms, uintptr_t id)
{
    return pawl_latch_count_down_start(latch, by, wait_ms, on_said, (void *)id);
}

int pawlgo_latch_wait_start(pawl_latch *latch, int64_t wait_ms, uintptr_t id)
{
    return pawl_latch_wait_start(latch, wait_ms, on_said, (void *)id);
}

int pawlgo_barrier_new(pawl_client *client, const char *name, size_t name_len, uint32_t parties,
                       int64_t ttl_ms, pawl_barrier **ret_barrier)
{
    pawl_barrier_opts opts;
    pawl_barrier_opts_init(&opts);
    opts.parties = parties;
    if (ttl_ms) opts.ttl_ms = ttl_ms;
    return pawl_barrier_new(client, name, name_len, &opts, ret_barrier);
}

int pawlgo_barrier_wait_start(pawl_barrier *barrier, int64_t wait_ms, uintptr_t id)
{
    return pawl_barrier_wait_start(barrier, wait_ms, on_said, (void *)id);
}

/* ---- Leases that are begun --------------------------------------------------------------------
 */

int pawlgo_keeper_new(pawl_client *client, pawl_lock **ret_lock)
{
    return pawl_lock_new(client, "-", 1, NULL, ret_lock);
}

int pawlgo_acquire(pawl_lock *lock, int64_t wait_ms, int64_t look_ms, uintptr_t id)
{
    bool started = false;
    int err = pawl_lock_acquire_or_start(lock, wait_ms, look_ms, on_done, (void *)id, &started);
    return started ? PAWLGO_STARTED : err;
}

int pawlgo_release(pawl_lock *lock, int64_t look_ms, uintptr_t id)
{
    bool started = false;
    int err = pawl_lock_release_or_start(lock, look_ms, on_done, (void *)id, &started);
    return started ? PAWLGO_STARTED : err;
}

int pawlgo_release_start(pawl_lock *lock, uintptr_t id)
{
    return pawl_lock_release_start(lock, on_done, (void *)id);
}

uint64_t pawlgo_granted(const pawl_lock *lock, char *ret_token)
{
    pawl_token token;
    pawl_lock_token(lock, &token);
    memcpy(ret_token, token.text, sizeof token.text);
    return pawl_lock_fence(lock);
}

int pawlgo_upgrade_start(pawl_lock *lock, int64_t wait_ms, uintptr_t id)
{
    return pawl_lock_upgrade_start(lock, wait_ms, on_upgraded, (void *)id);
}

/* ---- Questions --------------------------------------------------------------------------------
 */

int pawlgo_caps(pawl_client *client, int64_t wait_ms, pawl_caps *ret_caps)
{
    return pawl_client_caps(client, wait_ms, ret_caps);
}

int pawlgo_inspect(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                   uintptr_t id)
{
    return pawl_inspect(client, name, name_len, wait_ms, on_info, (void *)id);
}

int pawlgo_list(pawl_client *client, const char *prefix, size_t prefix_len, int64_t wait_ms,
                uintptr_t id)
{
    return pawl_list(client, prefix, prefix_len, wait_ms, on_info, (void *)id);
}

int pawlgo_doctor(pawl_client *client, int64_t wait_ms, uintptr_t id)
{
    return pawl_doctor(client, wait_ms, on_finding, (void *)id);
}
