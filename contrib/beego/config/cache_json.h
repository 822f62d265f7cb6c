/* SPDX-License-Identifier: MIT */
/* The JSON that Beego's cache.NewCache(adapter, config) takes. */
#ifndef PAWL_CONFIG_CACHE_JSON_H
#define PAWL_CONFIG_CACHE_JSON_H

#include "adapter.h"

typedef struct pawl__cache_json pawl__cache_json;

/*
 * Reads it for an adapter. Fields are found whatever their case, as Go does;
 * a field that the adapter does not have, a wrong type or a field given twice
 * is an error, not a silent default. `where` goes before messages ("": nothing).
 * Errors: PAWL_ERR_OPTION, PAWL_ERR_NO_MEMORY.
 */
int pawl__cache_json_read(const char *adapter, const char *where, const char *text,
                          pawl__cache_json **ret_json, char *reterr_message);

/* Fills conn, dbnum, password, key, skip_empty_prefix and dir; borrowed from json. */
void pawl__cache_json_settings(const pawl__cache_json *json, pawl__adapter_settings *settings);

/* NULL is allowed. */
void pawl__cache_json_free(pawl__cache_json *json);

#endif
