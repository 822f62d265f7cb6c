/* SPDX-License-Identifier: MIT */
/* What the hand-written Redis loops share: a blocking hiredis connection, and scripts. */
#ifndef BENCH_REDIS_H
#define BENCH_REDIS_H

#include <hiredis/hiredis.h>

#include "../driver/driver.h"

redisContext *bench_redis_connect(const char *url);

/* Sends one command of words, returns its reply; ends the program on an error. */
redisReply *bench_redis_command(redisContext *redis, int count, const char **words);

/* Makes the script known and returns its hash. */
void bench_redis_script(redisContext *redis, const char *text, char ret_sha[41]);

/* DEL if the value is the token: how a lock of this kind is released. */
extern const char bench_redis_release_script[];

#endif
