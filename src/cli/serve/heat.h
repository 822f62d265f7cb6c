/* SPDX-License-Identifier: MIT */
/*
 * Where locks were waited for: for each class (the name up to its first ":") and each half minute
 * of the last hour the largest number of waiters that a look has seen.
 */
#ifndef PAWL_CLI_SERVE_HEAT_H
#define PAWL_CLI_SERVE_HEAT_H

#include <jansson.h>

#include "../watch.h"

typedef struct serve_heat serve_heat;

serve_heat *serve_heat_new(void); /* NULL: no memory */
void serve_heat_free(serve_heat *heat);
/* A look that succeeded; now_ms: of the wall clock. */
void serve_heat_add(serve_heat *heat, const cli_watch *now, int64_t now_ms);
json_t *serve_heat_json(const serve_heat *heat, int64_t now_ms);

#endif
