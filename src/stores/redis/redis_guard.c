/* SPDX-License-Identifier: MIT */
/* The restart guard: what the store asks guard.lua, and what it does about the answer. */
#include "redis_guard.h"
#include "redis_link.h"
#include "redis_scripts.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/mutant.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

static bool is_off(const pawl_store *store)
{
    return store->config.guard == PAWL__REDIS_GUARD_OFF;
}

/* ---- Asking --------------------------------------------------------------------------- */

bool pawl__redis_guard_is_off(const pawl_store *store)
{
    return is_off(store);
}

void pawl__redis_guard_encode(const pawl_store *store, bool by_hash, int64_t longer_ms,
                              pawl__redis_guard_words *ret_words)
{
    const pawl__redis_script_text *script = &pawl__redis_scripts[PAWL__REDIS_GUARD];
    bool is_strict = store->config.guard == PAWL__REDIS_GUARD_ON;
    const char *knew = PAWL_MUTANT(guard_forgets_run) ? "" : store->guard.run;
    size_t n = 0;
    snprintf(ret_words->span, sizeof ret_words->span, "%" PRId64, store->config.guard_ms);
    snprintf(ret_words->longer, sizeof ret_words->longer, "%" PRId64, longer_ms);
    ret_words->argv[n++] = text(by_hash ? "EVALSHA" : "EVAL");
    ret_words->argv[n++] = text(by_hash ? script->sha1 : script->body);
    ret_words->argv[n++] = text("1");
    ret_words->argv[n++] = pawl__redis_guard_key(&store->space, ret_words->key);
    ret_words->argv[n++] = text(ret_words->span);
    ret_words->argv[n++] = text(knew);
    ret_words->argv[n++] = text(is_strict ? "1" : "0");
    ret_words->argv[n++] = text(ret_words->longer);
}

void pawl__redis_guard_begin(pawl_store *store)
{
    pawl__redis_guarding *guard = &store->guard;
    guard->known = is_off(store);
    guard->active = guard->blind = false;
    guard->until = guard->announced = 0;
}

/* ---- The answer ----------------------------------------------------------------------- */

/* Warns once for each connection that finds the guard active. */
static void warn_of_guard(pawl_store *store, int64_t left_ms)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message,
             "%.200s: the server has restarted, failed over or lost its data, and may have "
             "forgotten locks: nothing is granted for %" PRId64 ".%" PRId64
             " s, until their holders' leases have run out (restart guard)",
             store->space.where, left_ms / 1000, left_ms % 1000 / 100);
    store->host->warn(store->host, message);
}

static void arm(pawl_store *store)
{
    if (PAWL_MUTANT(guard_for_ever)) return;
    int64_t left_ns = store->guard.until - store->host->now();
    store->wire->set_timer(store, PAWL__REDIS_TIMER_LINK,
                           left_ns > 0 ? left_ns / PAWL__NS_PER_US + 1 : 0);
}

static void tell_host(const pawl_store *store)
{
    pawl_host *host = store->host;
    if (host->size <= offsetof(pawl_host, guarded) || !host->guarded) return;
    host->guarded(host, pawl__redis_guard_left_ms(store));
}

void pawl__redis_guard_up(pawl_store *store)
{
    tell_host(store); /* also that there is none: the one of the link before is over */
    if (!store->guard.active) return;
    warn_of_guard(store, pawl__redis_guard_left_ms(store));
    arm(store);
}

/* The link is up, and the server was asked once more. */
static void asked_again(pawl_store *store, bool was_active)
{
    if (store->guard.active && !was_active) {
        pawl__redis_guard_up(store); /* it was emptied meanwhile */
        return;
    }
    if (store->guard.active) arm(store);
    if (was_active) tell_host(store);
}

/* "LEFT_MS RUN" */
static bool take(pawl_store *store, const pawl__redis_value *value)
{
    pawl__redis_guarding *guard = &store->guard;
    char *end = NULL;
    if (value->type != PAWL__REDIS_STRING || value->text.len == 0) return false;
    if (value->text.data[0] < '0' || value->text.data[0] > '9') return false;
    int64_t left_ms = strtoll(value->text.data, &end, 10);
    size_t run_len = strlen(end);
    if (*end != ' ' || run_len < 2 || run_len > sizeof guard->run) return false;
    if (left_ms < 0 || left_ms > 4 * (int64_t)PAWL_TTL_MAX_MS) return false;
    memcpy(guard->run, end + 1, run_len);
    guard->active = left_ms > 0;
    guard->until = pawl__instant_add(store->host->now(), pawl__ms_to_ns(left_ms));
    return true;
}

/* Without its run_id nobody can tell one run of the server from the next. */
static bool go_blind(pawl_store *store, char *message)
{
    pawl__redis_guarding *guard = &store->guard;
    guard->blind = true;
    snprintf(guard->why, sizeof guard->why, "%s", message);
    if (store->config.guard != PAWL__REDIS_GUARD_ON || store->link.looks_only) return true;
    snprintf(message, PAWL_MESSAGE_MAX,
             "%.120s: guard=on, and a restart of the server cannot be seen: %.300s",
             store->space.where, guard->why);
    return false;
}

pawl_err pawl__redis_guard_answered(pawl_store *store, const pawl__redis_value *value,
                                    char ret_message[PAWL_MESSAGE_MAX])
{
    pawl__redis_trouble trouble = {.err = PAWL_OK};
    bool was_active = store->guard.active;
    if (value->type == PAWL__REDIS_ERROR) {
        const char *script = pawl__redis_scripts[PAWL__REDIS_GUARD].body;
        trouble =
            pawl__redis_explain(&store->space, "EVAL", NULL, script, value->text, ret_message);
        bool is_blind = trouble.err == PAWL_ERR_PERMISSION || trouble.err == PAWL_ERR_UNSUPPORTED;
        if (!is_blind || !go_blind(store, ret_message)) return trouble.err;
    } else if (!take(store, value)) {
        snprintf(ret_message, PAWL_MESSAGE_MAX,
                 "%.300s: the answer to a script is not what it returns", store->space.where);
        return PAWL_ERR_PROTOCOL;
    }
    store->guard.known = true;
    if (store->link.state == PAWL__REDIS_LINK_UP) asked_again(store, was_active);
    return PAWL_OK;
}

/* ---- Requests ------------------------------------------------------------------------- */

static bool is_longer(const pawl_store *store, const pawl_request *request)
{
    if (is_off(store) || store->guard.blind) return false;
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_RENEW:
    case PAWL_VERB_CHANGE:
        return request->ttl_ms > store->config.guard_ms;
    case PAWL_VERB_RELEASE:
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_BREAK:
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_PUBLISH:
    case PAWL_VERB_READ:
        return false;
    }
    return false;
}

bool pawl__redis_guard_refuses(const pawl_store *store, const pawl_request *request)
{
    return store->config.guard == PAWL__REDIS_GUARD_ON && is_longer(store, request);
}

void pawl__redis_guard_say_refusal(const pawl_store *store, char ret_message[PAWL_MESSAGE_MAX])
{
    snprintf(ret_message, PAWL_MESSAGE_MAX,
             "%.300s: guard=on waits for leases of at most %" PRId64
             " ms after a restart; ask for a shorter ttl, or give all clients a larger guard_ms",
             store->space.where, store->config.guard_ms);
}

/* Half a span is left for the time that the request takes. */
bool pawl__redis_guard_must_announce(pawl_store *store, const pawl_request *request)
{
    pawl__redis_guarding *guard = &store->guard;
    if (!is_longer(store, request) || PAWL_MUTANT(longer_unannounced)) return false;
    int64_t end = pawl__instant_add(store->host->now(), pawl__ms_to_ns(request->ttl_ms));
    if (end <= guard->announced) return false;
    guard->announced = pawl__instant_add(end, pawl__ms_to_ns(store->config.guard_ms / 2));
    return true;
}

pawl__redis_script pawl__redis_guard_variant(const pawl_store *store, pawl__redis_script script)
{
    static const pawl__redis_script variants[PAWL__REDIS_SCRIPTS] = {
        [PAWL__REDIS_ACQUIRE] = PAWL__REDIS_ACQUIRE_GUARDED,
        [PAWL__REDIS_RENEW] = PAWL__REDIS_RENEW_GUARDED,
        [PAWL__REDIS_RELEASE] = PAWL__REDIS_RELEASE_GUARDED,
        [PAWL__REDIS_BREAK] = PAWL__REDIS_BREAK_GUARDED,
        [PAWL__REDIS_ACQUIRE_MANY] = PAWL__REDIS_ACQUIRE_MANY_GUARDED,
        [PAWL__REDIS_CHANGE] = PAWL__REDIS_CHANGE_GUARDED,
        [PAWL__REDIS_ACQUIRE_TOGETHER] = PAWL__REDIS_ACQUIRE_TOGETHER_GUARDED,
        [PAWL__REDIS_RELEASE_TOGETHER] = PAWL__REDIS_RELEASE_TOGETHER_GUARDED};
    if (!store->guard.active || !variants[script]) return script;
    if (PAWL_MUTANT(guard_not_heeded)) return script;
    bool releases = script == PAWL__REDIS_RELEASE || script == PAWL__REDIS_RELEASE_TOGETHER;
    if (releases && PAWL_MUTANT(guard_hands_on)) return script;
    return variants[script];
}

int64_t pawl__redis_guard_left_ms(const pawl_store *store)
{
    if (!store->guard.active) return 0;
    int64_t left_ms = pawl__ms_until(store->host->now(), store->guard.until);
    return left_ms > 0 ? left_ms : 1; /* the server is being asked */
}

void pawl__redis_guard_explain(const pawl_store *store, pawl__redis_script script,
                               pawl_reply *reply, char room[PAWL_MESSAGE_MAX])
{
    int64_t left_ms = pawl__redis_guard_left_ms(store);
    bool is_wait = reply->outcome == PAWL_QUEUED || reply->outcome == PAWL_BUSY;
    if (script < PAWL__REDIS_ACQUIRE_GUARDED || !is_wait) return;
    if (reply->holder_ms >= 0 && reply->holder_ms < left_ms) reply->holder_ms = left_ms;
    if (reply->outcome != PAWL_BUSY || reply->message) return;
    snprintf(room, PAWL_MESSAGE_MAX,
             "whoever held it before the server restarted: nothing is granted for %" PRId64
             ".%" PRId64 " s (restart guard)",
             left_ms / 1000, left_ms % 1000 / 100);
    reply->message = room;
}
