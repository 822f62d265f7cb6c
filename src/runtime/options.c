/* SPDX-License-Identifier: MIT */
#include "options.h"

#include "../base/capacity.h"

#include <string.h>

/* A struct that ended in padding could gain a field without growing. */
#define NO_TAIL(type, last)                                                                        \
    _Static_assert(offsetof(type, last) + sizeof(((type *)0)->last) == sizeof(type),               \
                   "no padding at the end of " #type)
/* NOLINTNEXTLINE(bugprone-sizeof-expression): the last member is a pointer */
NO_TAIL(pawl_open_opts, metrics);
NO_TAIL(pawl_lock_opts, unused);

/* The size in the first release: no caller's struct can be smaller. */
#define OPEN_OPTS_FIRST_SIZE (offsetof(pawl_open_opts, metrics) + sizeof(void *))
#define LOCK_OPTS_FIRST_SIZE (offsetof(pawl_lock_opts, unused) + sizeof(uint32_t))

#define SIZE_MAX_SANE         4096 /* a larger struct was not initialised */
#define CLOSE_TIMEOUT_MS      1000
#define CLIENT_TIMEOUT_MAX_MS 86400000 /* as PAWL_TTL_MAX_MS */

static const pawl_open_opts open_defaults = {.size = sizeof(pawl_open_opts),
                                             .store_timeout_ms = PAWL__STORE_TIMEOUT_MS,
                                             .close_timeout_ms = CLOSE_TIMEOUT_MS,
                                             .callbacks = PAWL_CALLBACKS_THREAD};

static const pawl_lock_opts lock_defaults = {
    .size = sizeof(pawl_lock_opts), .ttl_ms = PAWL_TTL_DEFAULT_MS, .units = 1};

void pawl__give_sized(void *ret_struct, size_t caller_size, const void *ours, size_t our_size)
{
    size_t common = caller_size < our_size ? caller_size : our_size;
    memcpy(ret_struct, ours, common);
    if (caller_size > common) memset((char *)ret_struct + common, 0, caller_size - common);
}

void pawl__opts_init(void *opts, size_t size, const void *defaults, size_t our_size)
{
    if (!opts || size < sizeof(size_t)) return;
    pawl__give_sized(opts, size, defaults, our_size);
    memcpy(opts, &size, sizeof size); /* the first member is the size of the caller's struct */
}

void pawl_open_opts_init_sized(pawl_open_opts *opts, size_t size)
{
    pawl__opts_init(opts, size, &open_defaults, sizeof open_defaults);
}

void pawl_lock_opts_init_sized(pawl_lock_opts *opts, size_t size)
{
    pawl__opts_init(opts, size, &lock_defaults, sizeof lock_defaults);
}

static bool all_zero(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (bytes[i]) return false;
    return true;
}

int pawl__opts_take(const void *given, size_t first_size, void *ret_opts, size_t our_size)
{
    size_t size;
    memcpy(&size, given, sizeof size);
    if (size < first_size || size > SIZE_MAX_SANE) return PAWL_ERR_ARGUMENT;
    if (size > our_size && !all_zero((const unsigned char *)given + our_size, size - our_size))
        return PAWL_ERR_UNSUPPORTED;
    memcpy(ret_opts, given, size < our_size ? size : our_size);
    return PAWL_OK;
}

static bool label_ok(const char *owner)
{
    if (!owner) return true;
    if (strlen(owner) > PAWL_OWNER_MAX) return false;
    for (; *owner; owner++)
        if ((unsigned char)*owner < 0x20 || *owner == 0x7f) return false;
    return true;
}

static bool timeout_ok(int64_t ms, int64_t min_ms)
{
    return ms >= min_ms && ms <= CLIENT_TIMEOUT_MAX_MS;
}

int pawl__open_opts_take(const pawl_open_opts *given, pawl_open_opts *ret_opts)
{
    pawl_open_opts opts = open_defaults;
    if (given) {
        int err = pawl__opts_take(given, OPEN_OPTS_FIRST_SIZE, &opts, sizeof opts);
        if (err) return err;
    }
    if (!label_ok(opts.owner)) return PAWL_ERR_OWNER;
    bool waits_out = opts.store_timeout_ms == PAWL_WAIT_FOREVER;
    if (!waits_out && !timeout_ok(opts.store_timeout_ms, 1)) return PAWL_ERR_ARGUMENT;
    if (!timeout_ok(opts.close_timeout_ms, 0)) return PAWL_ERR_ARGUMENT;
    if ((unsigned)opts.callbacks > PAWL_CALLBACKS_WAIT) return PAWL_ERR_UNSUPPORTED;
    *ret_opts = opts;
    return PAWL_OK;
}

static int check_mode(const pawl_lock_opts *opts)
{
    if (opts->unused || (unsigned)opts->mode > PAWL_MODE_PERMIT) return PAWL_ERR_UNSUPPORTED;
    if (opts->mode != PAWL_MODE_PERMIT)
        return opts->capacity || opts->units > 1 ? PAWL_ERR_UNITS : PAWL_OK;
    return pawl__permits_fit(opts->units, opts->capacity) ? PAWL_OK : PAWL_ERR_UNITS;
}

int pawl__lock_opts_take(const pawl_lock_opts *given, pawl_lock_opts *ret_opts)
{
    pawl_lock_opts opts = lock_defaults;
    if (given) {
        int err = pawl__opts_take(given, LOCK_OPTS_FIRST_SIZE, &opts, sizeof opts);
        if (err) return err;
    }
    if (opts.ttl_ms < PAWL_TTL_MIN_MS || opts.ttl_ms > PAWL_TTL_MAX_MS) return PAWL_ERR_TTL;
    if (!label_ok(opts.owner)) return PAWL_ERR_OWNER;
    if (opts.retain_ms < 0 || opts.retain_ms > PAWL_TTL_MAX_MS) return PAWL_ERR_ARGUMENT;
    if (opts.flags & ~(PAWL_LOCK_DETACHED | PAWL_LOCK_REENTRANT)) return PAWL_ERR_UNSUPPORTED;
    int err = check_mode(&opts);
    if (err) return err;
    *ret_opts = opts;
    return PAWL_OK;
}
