/* SPDX-License-Identifier: MIT */
/* The address of a store, parsed. */
#ifndef PAWL_RUNTIME_URL_H
#define PAWL_RUNTIME_URL_H

#include "pawl/store.h"

typedef struct pawl__address pawl__address;

/*
 * Parses text. On failure returns PAWL_ERR_URL, _OPTION or _NO_MEMORY and puts a
 * line without secrets into reterr_message (PAWL_MESSAGE_MAX bytes).
 */
int pawl__address_parse(const char *text, pawl__address **ret_address, char *reterr_message);

/* Borrowed from the address. */
const pawl_url *pawl__address_url(const pawl__address *address);

/* NULL is allowed. */
void pawl__address_free(pawl__address *address);

/*
 * Whether a store knows every option: PAWL_OK, or PAWL_ERR_OPTION and a line that names
 * the unknown one and those that are known. `known` is NULL-terminated.
 */
int pawl__address_check_options(const pawl__address *address, const char *store,
                                const char *const *known, char *reterr_message);

#endif
