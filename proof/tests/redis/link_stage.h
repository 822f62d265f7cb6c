/* SPDX-License-Identifier: MIT */
/* A real server, a user joe with the rights that pawl needs, and clients of the store. */
#ifndef PAWL_TESTS_REDIS_LINK_STAGE_H
#define PAWL_TESTS_REDIS_LINK_STAGE_H

#include "rig.h"

#define LONG_MS 60000

/* What pawl needs, and nothing else: docs say the same. */
#define MINIMAL_ACL                                                                                \
    "resetkeys resetchannels -@all ~pawl:* ~{pawl:* &pawl:inbox:* +hello +eval +evalsha "          \
    "+subscribe "                                                                                  \
    "+publish +select +get +set +del +exists +pexpire +pexpireat +pttl +time +zadd +zcard "        \
    "+zrange +zrank "                                                                              \
    "+zrem +hget +hmget +hset +hdel +pubsub|numsub +scan"

typedef struct stage {
    rig *rig;
    world *world;
    store_address address;
} stage;

/* An empty server with its users as they should be; *state is the rig. */
stage begin(void **state);
void end(stage *s);

/* What is opened from now on logs in as joe. */
void as_joe(stage *s);

/* Asks, and requires the outcome. */
const seen_reply *expect(client *c, pawl_request request, pawl_outcome outcome);
void lock_and_unlock(client *c);

/* Waits until the link is down for this error; what was said then. */
const char *await_down(client *c, pawl_err err);
/* Requires the word in the text. */
void says(const char *text, const char *word);

#endif
