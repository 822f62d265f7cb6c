/* SPDX-License-Identifier: MIT */
/* What cgo cannot say: callbacks by number (Go's pointers may move), macros, option structs. */
#ifndef PAWL_GO_BRIDGE_H
#define PAWL_GO_BRIDGE_H

#include <pawl/composed.h>
#include <pawl/config.h>
#include <pawl/metrics.h>
#include <pawl/pawl.h>
#include <stdint.h>

#if PAWL_VERSION_MAJOR == 0 && PAWL_VERSION_MINOR < 2
#error "this binding needs libpawl 0.2 or newer: install it, or take an older version of the module"
#endif

typedef struct pawlgo_open_opts {
    const char *owner;        /* NULL: the default */
    int64_t store_timeout_ms; /* 0: the default, as the next one */
    int64_t close_timeout_ms;
    uintptr_t log_id;      /* 0: no log */
    pawl_metrics *metrics; /* NULL: none */
} pawlgo_open_opts;

typedef struct pawlgo_lock_opts {
    int64_t ttl_ms; /* 0: the default */
    int64_t retain_ms;
    const char *owner; /* NULL: the client's */
    int detached;
    int mode;          /* a pawl_mode */
    uint32_t capacity; /* of a semaphore, as the next one: else 0 */
    uint32_t units;
} pawlgo_lock_opts;

int pawlgo_open(const char *url, int from_config, const pawlgo_open_opts *opts,
                pawl_client **ret_client, char *reterr_message);
int pawlgo_config_url(const char *path, char **ret_url, char *reterr_message);
int pawlgo_lock_new(pawl_client *client, const char *name, size_t name_len,
                    const pawlgo_lock_opts *opts, uintptr_t id, pawl_lock **ret_lock);
int pawlgo_lock_new_all(pawl_client *client, char **names, size_t count,
                        const pawlgo_lock_opts *opts, uintptr_t id, pawl_lock **ret_lock);
int pawlgo_once_new(pawl_client *client, const char *name, size_t name_len, int64_t every_ms,
                    int keeps_failures, const pawlgo_lock_opts *opts, uintptr_t id,
                    pawl_once **ret_once);
int pawlgo_once_begin_start(pawl_once *once, int64_t wait_ms, uintptr_t id);
int pawlgo_once_end_start(pawl_once *once, int success, uintptr_t id);
/* The fence; the token into PAWL_TOKEN_LEN + 1 bytes. */
uint64_t pawlgo_granted(const pawl_lock *lock, char *ret_token);
void pawlgo_once_last(const pawl_once *once, pawl_once_info *ret_info);
int pawlgo_proclaim_start(pawl_lock *lock, const void *value, size_t value_len, uintptr_t id);
int pawlgo_resign_start(pawl_lock *lock, uintptr_t id);
int pawlgo_leader(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                  uintptr_t id);
int pawlgo_observe(pawl_client *client, const char *name, size_t name_len, uintptr_t id,
                   pawl_observer **ret_observer);
int pawlgo_latch_new(pawl_client *client, const char *name, size_t name_len, uint32_t count,
                     int64_t keep_ms, pawl_latch **ret_latch);
int pawlgo_latch_down_start(pawl_latch *latch, uint32_t by, int64_t wait_ms, uintptr_t id);
int pawlgo_latch_wait_start(pawl_latch *latch, int64_t wait_ms, uintptr_t id);
int pawlgo_barrier_new(pawl_client *client, const char *name, size_t name_len, uint32_t parties,
                       int64_t ttl_ms, pawl_barrier **ret_barrier);
int pawlgo_barrier_wait_start(pawl_barrier *barrier, int64_t wait_ms, uintptr_t id);
int pawlgo_keeper_new(pawl_client *client, pawl_lock **ret_lock);
/* These two: PAWLGO_STARTED, and the outcome comes later; else it is the outcome. */
#define PAWLGO_STARTED 1
int pawlgo_acquire(pawl_lock *lock, int64_t wait_ms, int64_t look_ms, uintptr_t id);
int pawlgo_release(pawl_lock *lock, int64_t look_ms, uintptr_t id);
int pawlgo_release_start(pawl_lock *lock, uintptr_t id);
int pawlgo_upgrade_start(pawl_lock *lock, int64_t wait_ms, uintptr_t id);
int pawlgo_caps(pawl_client *client, int64_t wait_ms, pawl_caps *ret_caps);
int pawlgo_inspect(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                   uintptr_t id);
int pawlgo_list(pawl_client *client, const char *prefix, size_t prefix_len, int64_t wait_ms,
                uintptr_t id);
int pawlgo_metrics_new(char **classes, size_t count, pawl_metrics **ret_metrics);
/* All of it, in memory that the caller frees. */
int pawlgo_metrics_text(const pawl_metrics *metrics, char **ret_text, size_t *ret_len);
int pawlgo_doctor(pawl_client *client, int64_t wait_ms, uintptr_t id);

#endif
