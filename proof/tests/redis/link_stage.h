/* SPDX-License-Identifier: MIT */
/* A real server, a user joe with the rights that pawl needs, and clients of the store. */
#ifndef PAWL_TESTS_REDIS_LINK_STAGE_H
#define PAWL_TESTS_REDIS_LINK_STAGE_H

#include "link_words.h"

/* What pawl needs, and nothing else: docs say the same. */
#define MINIMAL_ACL                                                                                \
    "resetkeys resetchannels -@all ~pawl:* ~{pawl:* &pawl:inbox:* +hello +eval +evalsha "          \
    "+subscribe "                                                                                  \
    "+publish +select +get +set +del +exists +pexpire +pexpireat +pttl +time +zadd +zcard "        \
    "+zrange +zrank "                                                                              \
    "+zrem +hget +hmget +hset +hdel +pubsub|numsub +scan"

typedef struct stage {
    rig *rig;
    test_loop *loop;
    store_address address;
} stage;

/* An empty server with its users as they should be; *state is the rig. */
stage begin(void **state);
void end(stage *s);

/* What is opened from now on logs in as joe. */
void as_joe(stage *s);

#endif
