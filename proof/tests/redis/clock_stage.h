/* SPDX-License-Identifier: MIT */
/* A server whose clock the test sets (clock_shim.c), as the state of a group of cases. */
#ifndef PAWL_TESTS_REDIS_CLOCK_STAGE_H
#define PAWL_TESTS_REDIS_CLOCK_STAGE_H

#include "clock_shim.h"
#include "rig.h"

/* Of the server; as long as the group lasts. */
extern clock_setting *server_clock;

/* rig_group_begin and rig_group_end, with that clock. PAWL_CLOCK_SHIM names the shim. */
int clock_group_begin(void **state);
int clock_group_end(void **state);

/* The server's clock, in ms since 1970. */
int64_t server_ms(rig *r);

#endif
