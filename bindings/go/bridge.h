/* SPDX-License-Identifier: MIT */
/* What cgo cannot say: callbacks by number (Go's pointers may move), macros, option structs. */
#ifndef PAWL_GO_BRIDGE_H
#define PAWL_GO_BRIDGE_H

#include <pawl/config.h>
#include <pawl/pawl.h>
#include <stdint.h>

int pawlgo_open(const char *url, int from_config, const char *owner, int64_t connect_timeout_ms,
                pawl_client **ret_client, char *reterr_message);
int pawlgo_config_url(const char *path, char **ret_url, char *reterr_message);
int pawlgo_lock_new(pawl_client *client, const char *name, size_t name_len, int64_t ttl_ms,
                    int64_t retain_ms, const char *owner, uintptr_t id, pawl_lock **ret_lock);
int pawlgo_keeper_new(pawl_client *client, pawl_lock **ret_lock);
int pawlgo_acquire_start(pawl_lock *lock, int64_t wait_ms, uintptr_t id);
int pawlgo_inspect(pawl_client *client, const char *name, size_t name_len, int64_t wait_ms,
                   uintptr_t id);

#endif
