/* SPDX-License-Identifier: MIT */
/*
 * One call of a script on the model, and what the scripts have in common:
 *
 *   model_reply.c   what a script answers, and whether it may write
 *   model_fence.c   fences and their record, grants, who waits
 *   model_redis.c   the scripts of a lock that one client holds at a time, and plain commands
 *   model_many.c    lib_many.lua: several holders, and queues in which not all are writers
 *   model_group.c   the scripts where they come to lib_many
 *   model_inspect.c inspect.lua
 *   model_guard.c   guard.lua
 *   model_value.c   publish.lua, read.lua
 */
#ifndef PAWL_SIM_MODEL_CALL_H
#define PAWL_SIM_MODEL_CALL_H

#include "model_redis.h"

typedef struct model_call {
    model_redis *redis;
    model_lock *lock;
    model_reply *reply;
    int64_t now_ms;
    bool guarded;  /* the variant that grants nothing new */
    uint64_t last; /* the fence as the script found it, or has drawn it */
    char arg[PAWL__REDIS_ARGS_MAX][PAWL__REDIS_WHO_MAX + 1];
} model_call;

/* ---- model_reply.c ---------------------------------------------------------- */

void model_say_error(model_reply *reply, const char *text);
void model_say_plain(model_reply *reply, pawl__redis_type type, int64_t integer);
void model_begin_array(model_reply *reply);
void model_add_int(model_reply *reply, int64_t integer);
void model_add_text(model_reply *reply, const char *text);
void model_says(model_reply *reply, pawl__redis_says word);
/* All scripts but inspect.lua answer with a text of words, or a bare number. */
void model_as_text(model_reply *reply);
/* False: refused, and the reply says so. Only a script's first write can be. */
bool model_may_write(model_redis *redis, bool needs_memory, model_reply *reply);

/* ---- model_fence.c ---------------------------------------------------------- */

void model_copy_text(char *to, size_t room, const char *from);
model_who model_who_of(const char *text);
/* lib_fence.lua */
uint64_t model_draw(const model_call *c);
int64_t model_record_until(const model_call *c, int64_t ttl_ms, uint64_t fence);
void model_write_record(const model_call *c, const char *token, int64_t ttl_ms, uint64_t fence,
                        const model_who *who);
void model_write_grant(const model_call *c, const char *token, int64_t ttl_ms, uint64_t fence,
                       const model_who *who);
/* The lock's own token became the holder, or was confirmed. */
void model_tell_held(const model_call *c, model_news news);
bool model_record_is_of(const model_lock *lock, const char *token);
/* lib_queue.lua */
bool model_is_away(const model_call *c, const char *inbox);
void model_take_out(model_lock *lock, const char *token);
/* -1: for ever */
int64_t model_remaining(const model_call *c, int64_t until);

/* ---- model_group.c: the scripts where they come to lib_many -------------------- */

/* lib_enter.lua; the exclusive lock's ACQUIRE has no mode of its own. */
void model_enter(model_call *c, char mode, int units, int capacity, bool asks_only);
void model_renew_among(model_call *c);
/* Whether the token was one of several holders; false as well if the script was refused. */
bool model_part_and_serve(model_call *c, bool *ret_refused);
/* The holder whose fence it is. */
void model_break_among(model_call *c);
/* The lock was held by one, who is out now; those who wait come in. False: refused. */
bool model_serve_queue(model_call *c);
void model_change(model_call *c);

/* ---- model_guard.c ------------------------------------------------------------ */

/* args: what follows the key. */
void model_guard(model_redis *redis, const pawl__redis_bytes *args, model_reply *reply);

/* ---- model_inspect.c ---------------------------------------------------------- */

void model_inspect(model_call *c);

/* ---- model_value.c ------------------------------------------------------------ */

void model_publish(model_call *c);
void model_read(model_call *c);

#endif
