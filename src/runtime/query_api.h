/* SPDX-License-Identifier: MIT */
/* How public calls ask the store something without the engine. Mutex not held. */
#ifndef PAWL_RUNTIME_QUERY_API_H
#define PAWL_RUNTIME_QUERY_API_H

#include "client.h"

/* Asks and sleeps until the answer is there or its time is over; then the query belongs to the
 * caller again. */
int pawl__query_put(pawl_client *client, pawl__query *query, int64_t wait_ms);

/* Asks; `done` is called once, unless an error is returned. */
int pawl__query_start(pawl_client *client, pawl__query *query, int64_t wait_ms);

#endif
