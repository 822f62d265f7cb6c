/* SPDX-License-Identifier: MIT */
/*
 * Who waits for whom, and where that makes a circle: A waits for a lock that B holds, and B for one
 * of A's. An owner is known by its label, which is the same for all threads of a process; and a
 * look is no snapshot. So a circle may be none, and each one tells how many looks in a row have
 * seen it.
 */
#ifndef PAWL_CLI_SERVE_WAITS_H
#define PAWL_CLI_SERVE_WAITS_H

#include <jansson.h>

#include "pawl/types.h"

typedef struct serve_waits serve_waits;

serve_waits *serve_waits_new(void); /* NULL: no memory */
void serve_waits_free(serve_waits *waits);

/* Sees a report of a look; of the type pawl_info_fn. */
bool serve_waits_see(const pawl_info *info, void *waits);
/* The look has ended: finds the circles, and compares them with those of an earlier look. */
void serve_waits_end(serve_waits *waits, const serve_waits *before);
/* Circles that more than one look in a row has seen. */
size_t serve_waits_count(const serve_waits *waits);
json_t *serve_waits_json(const serve_waits *waits);

#endif
