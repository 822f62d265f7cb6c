/* SPDX-License-Identifier: MIT */
/* guard.lua in C, and which scripts are the variants that grant nothing new. */
#include "model_call.h"

#include "../../src/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool model_is_guarded(pawl__redis_script script, pawl__redis_script *ret_base)
{
    static const pawl__redis_script bases[PAWL__REDIS_SCRIPTS] = {
        [PAWL__REDIS_ACQUIRE_GUARDED] = PAWL__REDIS_ACQUIRE,
        [PAWL__REDIS_RENEW_GUARDED] = PAWL__REDIS_RENEW,
        [PAWL__REDIS_RELEASE_GUARDED] = PAWL__REDIS_RELEASE,
        [PAWL__REDIS_BREAK_GUARDED] = PAWL__REDIS_BREAK,
        [PAWL__REDIS_ACQUIRE_MANY_GUARDED] = PAWL__REDIS_ACQUIRE_MANY,
        [PAWL__REDIS_CHANGE_GUARDED] = PAWL__REDIS_CHANGE,
        [PAWL__REDIS_ACQUIRE_TOGETHER_GUARDED] = PAWL__REDIS_ACQUIRE_TOGETHER,
        [PAWL__REDIS_RELEASE_TOGETHER_GUARDED] = PAWL__REDIS_RELEASE_TOGETHER};
    bool guarded = script >= PAWL__REDIS_ACQUIRE_GUARDED;
    *ret_base = guarded ? bases[script] : script;
    return guarded;
}

static int64_t number_of(pawl__redis_bytes arg)
{
    return strtoll(arg.data, NULL, 10); /* texts are NUL-terminated */
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Another run than the record's: what it may have forgotten begins now, or with the process. */
static void begin_run(model_guard_record *r, const model_process *process, bool strict,
                      const char *knew, int64_t now_ms)
{
    bool heard_of = r->is_there && !PAWL_MUTANT(guard_forgets_record);
    r->guarded = heard_of || strict || knew[0] || PAWL_MUTANT(guard_of_new_server);
    r->till_ms = larger(r->till_ms, r->far_ms);
    r->far_ms = 0;
    r->since_ms = now_ms;
    if (process->was_replica || strcmp(knew, process->run) == 0) return;
    if (PAWL_MUTANT(guard_of_old_server)) return;
    int64_t told_too_much_s = PAWL_MUTANT(guard_trusts_seconds) ? 0 : 1;
    r->since_ms = now_ms - larger(0, process->uptime_s - told_too_much_s) * 1000;
}

static void keep(model_redis *redis, model_guard_record *r)
{
    snprintf(r->run, sizeof r->run, "%s", redis->process.run);
    bool same = redis->guard.is_there && strcmp(redis->guard.run, r->run) == 0 &&
                redis->guard.since_ms == r->since_ms && redis->guard.span_ms == r->span_ms &&
                redis->guard.till_ms == r->till_ms && redis->guard.far_ms == r->far_ms &&
                redis->guard.guarded == r->guarded;
    model_reply refused; /* a server that does not write this does not grant either */
    r->is_there = true;
    if (same) return;
    if (model_may_write(redis, true, &refused))
        redis->guard = *r;
    else
        redis->guard.was_refused = true;
}

void model_guard(model_redis *redis, const pawl__redis_bytes *args, model_reply *reply)
{
    const model_process *process = &redis->process;
    const char *knew = args[1].data;
    const int64_t now_ms = redis->now_us / 1000, longer = number_of(args[3]);
    const bool strict = args[2].data[0] == '1';
    model_guard_record r = redis->guard;
    if (r.is_there && strcmp(r.run, process->run) == 0)
        r.guarded = r.guarded || strict || (knew[0] && strcmp(knew, process->run) != 0);
    else
        begin_run(&r, process, strict, knew, now_ms);
    if (r.since_ms > now_ms) r.since_ms = now_ms;
    r.span_ms = larger(r.span_ms, number_of(args[0]));
    if (longer > 0) r.far_ms = larger(r.far_ms, now_ms + longer + r.span_ms);
    keep(redis, &r);

    int64_t span_ms = PAWL_MUTANT(guard_half_as_long) ? r.span_ms / 2 : r.span_ms;
    int64_t left_ms = larger(r.since_ms + span_ms - now_ms, r.till_ms - now_ms);
    if (!r.guarded || left_ms < 0) left_ms = 0;
    snprintf(reply->text, sizeof reply->text, "%" PRId64 " %s", left_ms, process->run);
    reply->value =
        (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {reply->text, strlen(reply->text)}};
}

bool model_guard_is_active(const model_redis *redis, const char *run, bool strict)
{
    const model_guard_record *r = &redis->guard;
    int64_t now_ms = redis->now_us / 1000;
    if (!r->is_there || strcmp(r->run, run) != 0) return r->is_there || strict;
    return r->guarded && (r->since_ms + r->span_ms > now_ms || r->till_ms > now_ms);
}
