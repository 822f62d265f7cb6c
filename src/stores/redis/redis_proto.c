/* SPDX-License-Identifier: MIT */
/* Requests into calls, replies into answers, messages into pushes. */
#define _GNU_SOURCE /* strnlen */
#include "redis_proto.h"
#include "../../base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define FENCE_MAX (INT64_C(1) << 53) /* Lua's numbers are exact up to here: until the year 2255 */

static pawl__redis_bytes bytes(const char *data, size_t len)
{
    return (pawl__redis_bytes){.data = data, .len = len};
}

static pawl__redis_bytes text(const char *string)
{
    return bytes(string, strlen(string));
}

/* ---- Requests ------------------------------------------------------------------ */

static void add(pawl__redis_call *call, pawl__redis_bytes arg)
{
    call->args[call->arg_count++] = arg;
}

static void add_number(pawl__redis_call *call, uint64_t number)
{
    int len = snprintf(call->number_room, sizeof call->number_room, "%" PRIu64, number);
    add(call, bytes(call->number_room, (size_t)len));
}

static void add_token(pawl__redis_call *call, const char *token)
{
    add(call, token ? bytes(token, strnlen(token, PAWL_TOKEN_LEN)) : text(""));
}

/* Where to tell it of a grant, and its label. */
static void add_who(const pawl__redis_space *space, pawl__redis_call *call, const char *owner)
{
    size_t owner_len = owner ? strnlen(owner, PAWL_OWNER_MAX) : 0;
    char *p = call->who_room;
    memcpy(p, space->inbox, space->inbox_len);
    p += space->inbox_len;
    *p++ = ' ';
    if (owner_len) memcpy(p, owner, owner_len);
    p += owner_len;
    *p = '\0';
    add(call, bytes(call->who_room, (size_t)(p - call->who_room)));
}

bool pawl__redis_encode(const pawl__redis_space *space, const pawl_request *request,
                        pawl__redis_call *ret_call)
{
    ret_call->arg_count = 0;
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
        ret_call->script = PAWL__REDIS_ACQUIRE;
        add_token(ret_call, request->token);
        add_number(ret_call, (uint64_t)request->ttl_ms);
        add_who(space, ret_call, request->owner);
        if (!(request->flags & PAWL_ASK_QUEUE)) add(ret_call, text("0"));
        break;
    case PAWL_VERB_RENEW:
        ret_call->script = PAWL__REDIS_RENEW;
        add_token(ret_call, request->token);
        add_number(ret_call, (uint64_t)request->ttl_ms / (PAWL_MUTANT(seconds_for_ms) ? 1000 : 1));
        add_who(space, ret_call, request->owner);
        break;
    case PAWL_VERB_RELEASE:
        ret_call->script = PAWL__REDIS_RELEASE;
        add_token(ret_call, request->token);
        break;
    case PAWL_VERB_INSPECT:
        ret_call->script = PAWL__REDIS_INSPECT;
        add_token(ret_call, request->token);
        add_number(ret_call, PAWL_WAITERS_SHOWN_MAX);
        break;
    case PAWL_VERB_BREAK:
        ret_call->script = PAWL__REDIS_BREAK;
        add_number(ret_call, request->fence);
        break;
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_CHANGE:
        return false;
    }
    ret_call->key_count = PAWL__REDIS_KEYS;
    pawl__redis_keys(space, request->name, request->name_len, ret_call->key_room, ret_call->keys);
    return true;
}

size_t pawl__redis_call_argv(const pawl__redis_call *call, pawl__redis_bytes script, bool by_hash,
                             pawl__redis_bytes *ret_argv)
{
    static const char counts[PAWL__REDIS_KEYS + 1][2] = {"0", "1", "2", "3", "4"};
    size_t n = 0;
    ret_argv[n++] = by_hash ? text("EVALSHA") : text("EVAL");
    ret_argv[n++] = script;
    ret_argv[n++] = text(counts[call->key_count]);
    for (size_t i = 0; i < call->key_count; i++) ret_argv[n++] = call->keys[i];
    for (size_t i = 0; i < call->arg_count; i++) ret_argv[n++] = call->args[i];
    return n;
}

void pawl__redis_probe_encode(const pawl__redis_space *space, const char *script, bool by_hash,
                              const char *word, pawl__redis_probe *ret_probe)
{
    static const char key_count[] = {'0' + PAWL__REDIS_KEYS, '\0'};
    char name[PAWL_NAME_MAX];
    pawl__redis_bytes keys[PAWL__REDIS_KEYS];
    size_t n = 0;
    int len = snprintf(name, sizeof name, "probe-%s", space->inbox + space->prefix_len);
    pawl__redis_keys(space, name, (size_t)len, ret_probe->key_room, keys);
    ret_probe->argv[n++] = by_hash ? text("EVALSHA") : text("EVAL");
    ret_probe->argv[n++] = text(script);
    ret_probe->argv[n++] = text(key_count);
    for (size_t i = 0; i < PAWL__REDIS_KEYS; i++) ret_probe->argv[n++] = keys[i];
    ret_probe->argv[n++] = bytes(space->inbox, space->inbox_len);
    ret_probe->argv[n++] = text(word);
    ret_probe->argc = n;
}

/* ---- Replies ---------------------------------------------------------------------- */

static bool int_at(const pawl__redis_value *array, size_t i, int64_t *ret_number)
{
    if (array->type != PAWL__REDIS_ARRAY || i >= array->count) return false;
    if (array->items[i].type != PAWL__REDIS_INTEGER) return false;
    *ret_number = array->items[i].integer;
    return true;
}

static bool text_at(const pawl__redis_value *array, size_t i, pawl__redis_bytes *ret_text)
{
    if (array->type != PAWL__REDIS_ARRAY || i >= array->count) return false;
    if (array->items[i].type != PAWL__REDIS_STRING) return false;
    *ret_text = array->items[i].text;
    return true;
}

/* Cuts the next blank-terminated word off *rest. */
static bool cut_word(pawl__redis_bytes *rest, pawl__redis_bytes *ret_word)
{
    const char *blank = memchr(rest->data, ' ', rest->len);
    if (!blank) return false;
    *ret_word = bytes(rest->data, (size_t)(blank - rest->data));
    *rest = bytes(blank + 1, rest->len - ret_word->len - 1);
    return true;
}

/* The next word, or the last one, as a number of at most 16 digits: 2^53 has so many. */
static bool cut_number(pawl__redis_bytes *rest, int64_t *ret_number)
{
    pawl__redis_bytes word;
    int64_t number = 0;
    if (!cut_word(rest, &word)) {
        word = *rest;
        *rest = bytes(rest->data + rest->len, 0);
    }
    size_t sign = word.len > 0 && word.data[0] == '-';
    if (word.len == sign || word.len - sign > 16) return false;
    for (size_t i = sign; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') return false;
        number = number * 10 + (word.data[i] - '0');
    }
    *ret_number = sign ? -number : number;
    return true;
}

/* FENCE WAITING */
static bool take_grant(pawl__redis_bytes rest, pawl_reply *reply)
{
    int64_t fence, waiting;
    if (!cut_number(&rest, &fence) || fence <= 0 || fence > FENCE_MAX) return false;
    if (!cut_number(&rest, &waiting) || rest.len > 0) return false;
    reply->fence = (uint64_t)fence;
    reply->waiting = waiting != 0;
    return true;
}

/* A server has no remaining ttl but -1, never, or one that some client may have asked for. */
static bool take_holder_ms(pawl__redis_bytes *rest, pawl_reply *reply)
{
    if (!cut_number(rest, &reply->holder_ms) || reply->holder_ms < -2) return false;
    if (reply->holder_ms == -2) reply->holder_ms = 0; /* gone in this very instant */
    return true;
}

/* POSITION HOLDER_MS FENCE */
static bool take_queued(pawl__redis_bytes rest, pawl_reply *reply)
{
    int64_t fence;
    if (!cut_number(&rest, &reply->position) || reply->position < 0) return false;
    if (!take_holder_ms(&rest, reply)) return false;
    if (!cut_number(&rest, &fence) || fence < 0 || fence > FENCE_MAX) return false;
    reply->fence = (uint64_t)fence;
    return rest.len == 0;
}

/* HOLDER_MS OWNER */
static bool take_busy(pawl__redis_bytes rest, pawl_reply *reply, char *ret_message)
{
    if (!memchr(rest.data, ' ', rest.len) || !take_holder_ms(&rest, reply)) return false;
    if (rest.len == 0) return true;
    size_t len = rest.len < PAWL_MESSAGE_MAX - 1 ? rest.len : PAWL_MESSAGE_MAX - 1;
    memcpy(ret_message, rest.data, len);
    ret_message[len] = '\0';
    reply->message = ret_message;
    return true;
}

/* The first word of a reply; *ret_rest is what comes behind it. */
static bool take_says(const pawl__redis_value *value, int64_t *ret_says,
                      pawl__redis_bytes *ret_rest)
{
    *ret_rest = bytes("", 0);
    switch (value->type) {
    case PAWL__REDIS_INTEGER:
        *ret_says = value->integer;
        return value->integer < PAWL__REDIS_SAYS_REPORT;
    case PAWL__REDIS_STRING:
        *ret_rest = value->text;
        return cut_number(ret_rest, ret_says) && *ret_says < PAWL__REDIS_SAYS_REPORT;
    case PAWL__REDIS_ARRAY:
        return int_at(value, 0, ret_says) && *ret_says >= PAWL__REDIS_SAYS_REPORT;
    case PAWL__REDIS_NIL:
    case PAWL__REDIS_STATUS:
    case PAWL__REDIS_ERROR:
    case PAWL__REDIS_PUSH:
        return false;
    }
    return false;
}

/* Fills *reply from a script's reply; false if no such script could have said it. */
static bool take_answer(pawl_verb verb, const pawl__redis_value *value, pawl_reply *reply,
                        char *ret_message)
{
    int64_t says;
    pawl__redis_bytes rest;
    if (!take_says(value, &says, &rest)) return false;
    if (says < PAWL__REDIS_SAYS_GRANTED || says > PAWL__REDIS_SAYS_NO_LOCK) return false;
    switch ((pawl__redis_says)says) {
    case PAWL__REDIS_SAYS_GRANTED:
        reply->outcome = PAWL_GRANTED;
        return verb == PAWL_VERB_ACQUIRE && take_grant(rest, reply);
    case PAWL__REDIS_SAYS_QUEUED:
        reply->outcome = PAWL_QUEUED;
        return verb == PAWL_VERB_ACQUIRE && take_queued(rest, reply);
    case PAWL__REDIS_SAYS_BUSY:
        reply->outcome = PAWL_BUSY;
        return verb == PAWL_VERB_ACQUIRE && take_busy(rest, reply, ret_message);
    case PAWL__REDIS_SAYS_CONFIRMED:
        reply->outcome = PAWL_CONFIRMED;
        return verb == PAWL_VERB_RENEW && take_grant(rest, reply);
    case PAWL__REDIS_SAYS_RELEASED:
        reply->outcome = PAWL_RELEASED;
        return verb == PAWL_VERB_RELEASE || verb == PAWL_VERB_BREAK;
    case PAWL__REDIS_SAYS_LEFT:
        reply->outcome = PAWL_LEFT;
        return verb == PAWL_VERB_RELEASE;
    case PAWL__REDIS_SAYS_NOT_OWNER:
        reply->outcome = PAWL_NOT_OWNER;
        return verb == PAWL_VERB_RENEW || verb == PAWL_VERB_RELEASE || verb == PAWL_VERB_BREAK;
    case PAWL__REDIS_SAYS_REPORT:
    case PAWL__REDIS_SAYS_NO_LOCK:
        reply->outcome = PAWL_REPORTED;
        return verb == PAWL_VERB_INSPECT || verb == PAWL_VERB_LIST;
    }
    return false;
}

static pawl__redis_verdict take_error(const pawl__redis_space *space, const pawl_request *request,
                                      const char *script, const pawl__redis_value *value,
                                      pawl_reply *reply, char *ret_message)
{
    char key_room[PAWL__REDIS_KEYS][PAWL__REDIS_KEY_MAX + 1];
    pawl__redis_bytes keys[PAWL__REDIS_KEYS];
    pawl__redis_keys(space, request->name, request->name_len, key_room, keys);
    pawl__redis_trouble trouble =
        pawl__redis_explain(space, "EVALSHA", keys, script, value->text, ret_message);
    reply->outcome = trouble.not_done ? PAWL_FAILED : PAWL_UNKNOWN;
    reply->err = trouble.err;
    reply->message = ret_message;
    if (trouble.no_script && !PAWL_MUTANT(noscript_is_no)) return PAWL__REDIS_UNKNOWN_SCRIPT;
    if (PAWL_MUTANT(noscript_is_no) && trouble.no_script && request->verb != PAWL_VERB_ACQUIRE)
        reply->outcome = PAWL_NOT_OWNER;
    if (PAWL_MUTANT(refusal_is_released) && request->verb == PAWL_VERB_RELEASE)
        reply->outcome = PAWL_RELEASED;
    return trouble.reconnect ? PAWL__REDIS_RECONNECT : PAWL__REDIS_DECODED;
}

pawl__redis_verdict pawl__redis_decode(const pawl__redis_space *space, const pawl_request *request,
                                       const char *script, const pawl__redis_value *value,
                                       pawl_reply *ret_reply, char *ret_message)
{
    *ret_reply = (pawl_reply){.id = request->id, .position = -1, .holder_ms = -1};
    ret_message[0] = '\0';
    if (value->type == PAWL__REDIS_ERROR)
        return take_error(space, request, script, value, ret_reply, ret_message);
    if (take_answer(request->verb, value, ret_reply, ret_message)) return PAWL__REDIS_DECODED;

    *ret_reply = (pawl_reply){.id = request->id,
                              .position = -1,
                              .holder_ms = -1,
                              .outcome = PAWL_UNKNOWN,
                              .err = PAWL_ERR_PROTOCOL,
                              .message = ret_message};
    snprintf(ret_message, PAWL_MESSAGE_MAX,
             "%s: a script's answer is not one that pawl's scripts give; is something between "
             "pawl and Redis that changes replies?",
             space->where);
    return PAWL__REDIS_DOUBT;
}

/* ---- INSPECT ------------------------------------------------------------------------ */

#define INFO_FIXED   8 /* items before the first waiter */
#define INFO_PER_ROW 3

static bool take_waiter(const pawl__redis_value *value, size_t i, pawl_waiter_info *ret_waiter)
{
    pawl__redis_bytes owner;
    if (!text_at(value, i, &owner)) return false;
    ret_waiter->owner = owner.data;
    return int_at(value, i + 1, &ret_waiter->age_ms) && int_at(value, i + 2, &ret_waiter->place_ms);
}

bool pawl__redis_decode_info(const pawl_request *request, const pawl__redis_value *value,
                             pawl_waiter_info *ret_waiters, pawl_info *ret_info)
{
    int64_t says, held, foreign, mine, remaining, fence, waiting;
    pawl__redis_bytes owner;
    if (!int_at(value, 0, &says) || says != PAWL__REDIS_SAYS_REPORT) return false;
    if (!int_at(value, 1, &held) || !int_at(value, 2, &foreign) || !int_at(value, 3, &mine) ||
        !int_at(value, 4, &remaining) || !int_at(value, 5, &fence) || !text_at(value, 6, &owner) ||
        !int_at(value, 7, &waiting))
        return false;

    size_t shown = 0;
    for (size_t i = INFO_FIXED; i + INFO_PER_ROW <= value->count; i += INFO_PER_ROW) {
        if (shown == PAWL_WAITERS_SHOWN_MAX) break;
        if (!take_waiter(value, i, &ret_waiters[shown])) return false;
        shown++;
    }
    *ret_info = (pawl_info){
        .size = sizeof *ret_info,
        .name = request->name,
        .name_len = request->name_len,
        .held = held != 0,
        .foreign = foreign != 0,
        .mine = request->token && mine != 0,
        .owner = owner.data,
        .remaining_ms = remaining == -2 ? 0 : remaining,
        .fence = fence > 0 ? (uint64_t)fence : 0,
        .waiter_count = waiting > (int64_t)shown ? (size_t)waiting : shown,
        .waiters = ret_waiters,
        .waiters_shown = shown,
    };
    return true;
}

/* ---- Pushes --------------------------------------------------------------------------- */

static bool to_fence(pawl__redis_bytes word, uint64_t *ret_fence)
{
    uint64_t fence = 0;
    if (word.len == 0 || word.len > 16) return false; /* 2^53 has 16 digits */
    for (size_t i = 0; i < word.len; i++) {
        if (word.data[i] < '0' || word.data[i] > '9') return false;
        fence = fence * 10 + (uint64_t)(word.data[i] - '0');
    }
    *ret_fence = fence;
    return fence > 0 && fence <= FENCE_MAX;
}

static bool cut_token(pawl__redis_bytes *rest, pawl_token *ret_room, pawl_push *push)
{
    pawl__redis_bytes word;
    if (!cut_word(rest, &word) || word.len != PAWL_TOKEN_LEN) return false;
    memcpy(ret_room->text, word.data, PAWL_TOKEN_LEN);
    ret_room->text[PAWL_TOKEN_LEN] = '\0';
    push->token = ret_room->text;
    return true;
}

/* The name in a lock key, if the key is one of this space. */
static bool cut_name(const pawl__redis_space *space, pawl__redis_bytes key, pawl_push *push)
{
    if (key.len <= space->prefix_len || key.len > space->prefix_len + PAWL_NAME_MAX) return false;
    if (memcmp(key.data, space->prefix, space->prefix_len) != 0) return false;
    push->name = key.data + space->prefix_len;
    push->name_len = key.len - space->prefix_len;
    return true;
}

bool pawl__redis_decode_push(const pawl__redis_space *space, pawl__redis_bytes payload,
                             pawl_token *ret_room, pawl_push *ret_push)
{
    pawl__redis_bytes kind, word;
    pawl_push push = {0};
    if (!cut_word(&payload, &kind) || kind.len != 1) return false;
    switch (kind.data[0]) {
    case 'g':
        push.kind = PAWL_PUSH_GRANT;
        if (!cut_word(&payload, &word) || !to_fence(word, &push.fence)) return false;
        if (!cut_word(&payload, &word) || word.len != 1) return false;
        push.waiting = word.data[0] == '1';
        if (!cut_token(&payload, ret_room, &push)) return false;
        break;
    case 'y':
        push.kind = PAWL_PUSH_YIELD;
        if (!cut_token(&payload, ret_room, &push)) return false;
        break;
    case 'r':
        push.kind = PAWL_PUSH_RECHECK;
        break;
    default: /* a later version's word */
        return false;
    }
    if (!cut_name(space, payload, &push)) return false;
    *ret_push = push;
    return true;
}
