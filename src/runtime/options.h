/* SPDX-License-Identifier: MIT */
/* Option structs that grow: converts the struct of an older or newer caller to ours. */
#ifndef PAWL_RUNTIME_OPTIONS_H
#define PAWL_RUNTIME_OPTIONS_H

#include "pawl/pawl.h"

/*
 * Copies what the caller gave (NULL: nothing) over the defaults and checks the
 * values. PAWL_ERR_ARGUMENT: size too small or a value out of range; PAWL_ERR_TTL;
 * PAWL_ERR_UNSUPPORTED: something is set that this library does not know.
 */
int pawl__open_opts_take(const pawl_open_opts *given, pawl_open_opts *ret_opts);
int pawl__lock_opts_take(const pawl_lock_opts *given, pawl_lock_opts *ret_opts);

/* Long enough for a slow network, short enough for a person who waits. */
#define PAWL__STORE_TIMEOUT_MS 5000

/*
 * The two above for any such struct, and its init: `given` is copied over `ret_opts`, which holds
 * the defaults. first_size: of the first release. The struct's first member is its size.
 */
int pawl__opts_take(const void *given, size_t first_size, void *ret_opts, size_t our_size);
void pawl__opts_init(void *opts, size_t size, const void *defaults, size_t our_size);

/* Copies to a caller's struct: only as many bytes as it has; members that we do not know become 0.
 */
void pawl__give_sized(void *ret_struct, size_t caller_size, const void *ours, size_t our_size);

#endif
