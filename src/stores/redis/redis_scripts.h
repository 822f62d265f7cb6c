/* SPDX-License-Identifier: MIT */
/* The scripts as embed_scripts.py wrote them. */
#ifndef PAWL_REDIS_SCRIPTS_H
#define PAWL_REDIS_SCRIPTS_H

#include "redis_proto.h"

typedef struct pawl__redis_script_text {
    const char *body;
    const char *sha1; /* of the body, 40 hex digits: its name for EVALSHA */
} pawl__redis_script_text;

extern const pawl__redis_script_text pawl__redis_scripts[PAWL__REDIS_SCRIPTS];

#endif
