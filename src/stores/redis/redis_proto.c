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
    char *room = call->number_room[call->number_count++];
    int len = snprintf(room, sizeof call->number_room[0], "%" PRIu64, number);
    add(call, bytes(room, (size_t)len));
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

/* The letters for modes in the records at the server. */
static const char mode_letters[][2] = {[PAWL_MODE_EXCLUSIVE] = "x",
                                       [PAWL_MODE_SHARED] = "s",
                                       [PAWL_MODE_UPDATE] = "u",
                                       [PAWL_MODE_PERMIT] = "p"};
#define MODES (sizeof mode_letters / sizeof mode_letters[0])

/* Who asks, for how long, and where to tell it. */
static void add_asker(const pawl__redis_space *space, pawl__redis_call *call,
                      const pawl_request *request, int64_t ttl_ms)
{
    add_token(call, request->token);
    add_number(call, (uint64_t)ttl_ms);
    add_who(space, call, request->owner);
}

static void add_acquire(pawl__redis_call *call, const pawl_request *request)
{
    call->script = PAWL__REDIS_ACQUIRE;
    if (request->mode != PAWL_MODE_EXCLUSIVE) {
        call->script = PAWL__REDIS_ACQUIRE_MANY;
        add(call, text(mode_letters[request->mode]));
        add_number(call, request->units);
        add_number(call, request->capacity);
    }
    if (!(request->flags & PAWL_ASK_QUEUE)) add(call, text("0"));
}

static void add_change(pawl__redis_call *call, const pawl_request *request)
{
    call->script = PAWL__REDIS_CHANGE;
    add(call, text(mode_letters[request->mode]));
    add_number(call, request->change);
    if (!(request->flags & PAWL_ASK_QUEUE)) add(call, text("0"));
}

static void add_publish(pawl__redis_call *call, const pawl_request *request)
{
    call->script = PAWL__REDIS_PUBLISH;
    add_token(call, request->token);
    add_number(call, (uint64_t)request->keep_ms);
    add(call, bytes(request->value_len ? request->value : "", request->value_len));
    add_number(call, request->publication);
}

static void add_read(const pawl__redis_space *space, pawl__redis_call *call,
                     const pawl_request *request)
{
    bool watches = request->flags & PAWL_ASK_WATCH;
    call->script = PAWL__REDIS_READ;
    add(call, bytes(space->inbox, watches ? space->inbox_len : 0));
    add_number(call, (uint64_t)request->ttl_ms);
}

static char extra_of(pawl_verb verb)
{
    switch (verb) {
    case PAWL_VERB_PUBLISH:
    case PAWL_VERB_READ:
        return PAWL__REDIS_SUFFIX_VALUE;
    case PAWL_VERB_RENEW:
    case PAWL_VERB_CHANGE:
    case PAWL_VERB_BREAK:
    case PAWL_VERB_INSPECT:
        return PAWL__REDIS_SUFFIX_BROKEN;
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_RELEASE:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
        break;
    }
    return 0;
}

static void add_keys(const pawl__redis_space *space, const pawl_request *request,
                     pawl__redis_call *call)
{
    char extra = extra_of(request->verb);
    call->key_count = PAWL__REDIS_KEYS;
    pawl__redis_keys(space, request->name, request->name_len, call->key_room, call->keys);
    if (!extra) return;
    call->keys[PAWL__REDIS_KEY_EXTRA] = pawl__redis_extra_key(
        call->keys[PAWL__REDIS_KEY_LOCK], extra, call->key_room[PAWL__REDIS_KEY_EXTRA]);
    call->key_count = PAWL__REDIS_KEYS_MAX;
}

bool pawl__redis_encode(const pawl__redis_space *space, const pawl_request *request,
                        pawl__redis_call *ret_call)
{
    ret_call->arg_count = ret_call->number_count = 0;
    if ((unsigned)request->mode >= MODES) return false;
    switch (request->verb) {
    case PAWL_VERB_ACQUIRE:
        add_asker(space, ret_call, request, request->ttl_ms);
        add_acquire(ret_call, request);
        break;
    case PAWL_VERB_RENEW:
        ret_call->script = PAWL__REDIS_RENEW;
        add_asker(space, ret_call, request,
                  request->ttl_ms / (PAWL_MUTANT(seconds_for_ms) ? 1000 : 1));
        break;
    case PAWL_VERB_CHANGE:
        add_asker(space, ret_call, request, request->ttl_ms);
        add_change(ret_call, request);
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
        add(ret_call, bytes(request->owner ? request->owner : "",
                            request->owner ? strnlen(request->owner, PAWL_OWNER_MAX) : 0));
        break;
    case PAWL_VERB_PUBLISH:
        add_publish(ret_call, request);
        break;
    case PAWL_VERB_READ:
        add_read(space, ret_call, request);
        break;
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
        return false;
    }
    add_keys(space, request, ret_call);
    return true;
}

size_t pawl__redis_call_argv(const pawl__redis_call *call, pawl__redis_bytes script, bool by_hash,
                             pawl__redis_bytes *ret_argv)
{
    static const char counts[PAWL__REDIS_KEYS_MAX + 1][2] = {"0", "1", "2", "3", "4", "5"};
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
    static const char key_count[] = {'0' + PAWL__REDIS_KEYS_MAX, '\0'};
    char name[PAWL_NAME_MAX];
    pawl__redis_bytes keys[PAWL__REDIS_KEYS_MAX];
    size_t n = 0;
    int len = snprintf(name, sizeof name, "probe-%s", space->inbox + space->prefix_len);
    pawl__redis_keys(space, name, (size_t)len, ret_probe->key_room, keys);
    keys[PAWL__REDIS_KEY_EXTRA] =
        pawl__redis_extra_key(keys[PAWL__REDIS_KEY_LOCK], PAWL__REDIS_SUFFIX_BROKEN,
                              ret_probe->key_room[PAWL__REDIS_KEY_EXTRA]);
    ret_probe->argv[n++] = by_hash ? text("EVALSHA") : text("EVAL");
    ret_probe->argv[n++] = text(script);
    ret_probe->argv[n++] = text(key_count);
    for (size_t i = 0; i < PAWL__REDIS_KEYS_MAX; i++) ret_probe->argv[n++] = keys[i];
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

/* SLOT,SLOT,... the lowest first; 0 if it is no such list. */
static size_t take_slots(pawl__redis_bytes list, uint16_t *ret_slots)
{
    size_t count = 0, slot = 0, digits = 0;
    for (size_t i = 0; i <= list.len; i++) {
        char c = i < list.len ? list.data[i] : ',';
        if (c >= '0' && c <= '9' && digits < 4) {
            slot = slot * 10 + (size_t)(c - '0');
            digits++;
            continue;
        }
        bool grows = count == 0 || slot > ret_slots[count - 1];
        if (c != ',' || digits == 0 || slot >= PAWL_CAPACITY_MAX || !grows) return 0;
        ret_slots[count++] = (uint16_t)slot;
        slot = digits = 0;
    }
    return count;
}

/* FENCE WAITING */
static bool take_confirmation(pawl__redis_bytes *rest, pawl_reply *reply)
{
    int64_t fence, waiting;
    if (!cut_number(rest, &fence) || fence <= 0 || fence > FENCE_MAX) return false;
    if (!cut_number(rest, &waiting)) return false;
    reply->fence = (uint64_t)fence;
    reply->waiting = waiting != 0;
    return true;
}

/* The same, and the slots of permits. */
static bool take_grant(const pawl_request *request, pawl__redis_bytes rest, pawl_reply *reply,
                       uint16_t *ret_slots)
{
    if (request->verb != PAWL_VERB_ACQUIRE && request->verb != PAWL_VERB_CHANGE) return false;
    if (!take_confirmation(&rest, reply)) return false;
    if (request->mode != PAWL_MODE_PERMIT) return rest.len == 0;
    reply->slots = ret_slots;
    reply->slot_count = take_slots(rest, ret_slots);
    return reply->slot_count > 0;
}

/* The remaining ttl is -1 (never), or one that some client may have asked for. */
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

/* A label, or nothing. */
static void take_label(pawl__redis_bytes rest, pawl_reply *reply, char *ret_message)
{
    if (rest.len == 0) return;
    size_t len = rest.len < PAWL_MESSAGE_MAX - 1 ? rest.len : PAWL_MESSAGE_MAX - 1;
    memcpy(ret_message, rest.data, len);
    ret_message[len] = '\0';
    reply->message = ret_message;
}

/* HOLDER_MS OWNER */
static bool take_busy(pawl__redis_bytes rest, pawl_reply *reply, char *ret_message)
{
    if (!memchr(rest.data, ' ', rest.len) || !take_holder_ms(&rest, reply)) return false;
    take_label(rest, reply, ret_message);
    return true;
}

/* OWNER: who broke the lease */
static bool take_not_owner(pawl_verb verb, pawl__redis_bytes rest, pawl_reply *reply,
                           char *ret_message)
{
    bool may_be_told = verb == PAWL_VERB_RENEW || verb == PAWL_VERB_CHANGE;
    take_label(rest, reply, ret_message);
    if (may_be_told) return true;
    return rest.len == 0 &&
           (verb == PAWL_VERB_RELEASE || verb == PAWL_VERB_BREAK || verb == PAWL_VERB_PUBLISH);
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

/* Fills *reply from a script's reply; false if that script cannot have sent it. */
static bool take_answer(const pawl_request *request, const pawl__redis_value *value,
                        pawl_reply *reply, char *ret_message, uint16_t *ret_slots)
{
    pawl_verb verb = request->verb;
    bool may_wait = verb == PAWL_VERB_ACQUIRE || verb == PAWL_VERB_CHANGE;
    int64_t says;
    pawl__redis_bytes rest;
    if (!take_says(value, &says, &rest)) return false;
    if (says < PAWL__REDIS_SAYS_GRANTED || says > PAWL__REDIS_SAYS_VALUE) return false;
    switch ((pawl__redis_says)says) {
    case PAWL__REDIS_SAYS_GRANTED:
        reply->outcome = PAWL_GRANTED;
        return take_grant(request, rest, reply, ret_slots);
    case PAWL__REDIS_SAYS_QUEUED:
        reply->outcome = PAWL_QUEUED;
        return may_wait && take_queued(rest, reply);
    case PAWL__REDIS_SAYS_BUSY:
        reply->outcome = PAWL_BUSY;
        return may_wait && take_busy(rest, reply, ret_message);
    case PAWL__REDIS_SAYS_CONFIRMED:
        reply->outcome = PAWL_CONFIRMED;
        return (verb == PAWL_VERB_RENEW || verb == PAWL_VERB_PUBLISH) &&
               take_confirmation(&rest, reply) && rest.len == 0;
    case PAWL__REDIS_SAYS_RELEASED:
        reply->outcome = PAWL_RELEASED;
        return verb == PAWL_VERB_RELEASE || verb == PAWL_VERB_BREAK;
    case PAWL__REDIS_SAYS_LEFT:
        reply->outcome = PAWL_LEFT;
        return verb == PAWL_VERB_RELEASE;
    case PAWL__REDIS_SAYS_NOT_OWNER:
        reply->outcome = PAWL_NOT_OWNER;
        return take_not_owner(verb, rest, reply, ret_message);
    case PAWL__REDIS_SAYS_VALUE:
        reply->outcome = PAWL_REPORTED;
        return verb == PAWL_VERB_READ;
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
                                       pawl_reply *ret_reply, char *ret_message,
                                       uint16_t *ret_slots)
{
    *ret_reply = (pawl_reply){.id = request->id, .position = -1, .holder_ms = -1};
    ret_message[0] = '\0';
    if (value->type == PAWL__REDIS_ERROR)
        return take_error(space, request, script, value, ret_reply, ret_message);
    if (take_answer(request, value, ret_reply, ret_message, ret_slots)) return PAWL__REDIS_DECODED;

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

/* Items in scripts/inspect.lua's report: before the rows, of a holder, of a waiter. */
#define INFO_FIXED      13
#define INFO_PER_HOLDER 6
#define INFO_PER_WAITER 5

static bool mode_at(const pawl__redis_value *value, size_t i, pawl_mode *ret_mode)
{
    pawl__redis_bytes letter;
    if (!text_at(value, i, &letter) || letter.len != 1) return false;
    for (size_t mode = 0; mode < MODES; mode++) {
        if (mode_letters[mode][0] != letter.data[0]) continue;
        *ret_mode = (pawl_mode)mode;
        return true;
    }
    return false;
}

static bool units_at(const pawl__redis_value *value, size_t i, uint32_t *ret_units)
{
    int64_t units;
    if (!int_at(value, i, &units) || units < 0 || units > PAWL_CAPACITY_MAX) return false;
    *ret_units = (uint32_t)units;
    return true;
}

/* owner, remaining ms, fence, mode, units, mine */
static bool take_holder(const pawl_request *request, const pawl__redis_value *value, size_t i,
                        pawl_holder_info *ret_holder)
{
    pawl__redis_bytes owner;
    int64_t fence, mine;
    if (!text_at(value, i, &owner) || !int_at(value, i + 1, &ret_holder->remaining_ms) ||
        !int_at(value, i + 2, &fence) || !mode_at(value, i + 3, &ret_holder->mode) ||
        !units_at(value, i + 4, &ret_holder->units) || !int_at(value, i + 5, &mine))
        return false;
    ret_holder->owner = owner.data;
    if (ret_holder->remaining_ms == -2) ret_holder->remaining_ms = 0; /* gone in this instant */
    ret_holder->fence = fence > 0 ? (uint64_t)fence : 0;
    ret_holder->mine = request->token && mine != 0;
    return true;
}

/* owner, age ms, place ms, mode, units */
static bool take_waiter(const pawl__redis_value *value, size_t i, pawl_waiter_info *ret_waiter)
{
    pawl__redis_bytes owner;
    if (!text_at(value, i, &owner) || !int_at(value, i + 1, &ret_waiter->age_ms) ||
        !int_at(value, i + 2, &ret_waiter->place_ms) || !mode_at(value, i + 3, &ret_waiter->mode) ||
        !units_at(value, i + 4, &ret_waiter->units))
        return false;
    ret_waiter->owner = owner.data;
    return true;
}

/* broken by, how long ago, which fence */
static bool take_break(const pawl__redis_value *value, size_t i, pawl_info *info)
{
    pawl__redis_bytes by;
    int64_t age_ms, fence;
    if (!text_at(value, i, &by) || !int_at(value, i + 1, &age_ms) || !int_at(value, i + 2, &fence))
        return false;
    if (age_ms < 0) return true;
    info->broken_by = by.data;
    info->broken_ms = age_ms;
    info->broken_fence = fence > 0 ? (uint64_t)fence : 0;
    return true;
}

/* What stands before the rows; how many holders follow. */
static bool take_head(const pawl__redis_value *value, pawl_info *info, int64_t *ret_shown)
{
    int64_t says, held, foreign, fence, holding, waiting;
    pawl__redis_bytes owner;
    if (!int_at(value, 0, &says) || says != PAWL__REDIS_SAYS_REPORT) return false;
    if (!int_at(value, 1, &held) || !int_at(value, 2, &foreign) ||
        !int_at(value, 3, &info->remaining_ms) || !int_at(value, 4, &fence) ||
        !text_at(value, 5, &owner) || !units_at(value, 6, &info->capacity) ||
        !int_at(value, 7, &holding) || !int_at(value, 8, &waiting) || !int_at(value, 9, ret_shown))
        return false;
    if (!take_break(value, 10, info)) return false;
    if (*ret_shown < 0 || *ret_shown > PAWL_HOLDERS_SHOWN_MAX) return false;
    if (info->remaining_ms == -2) info->remaining_ms = 0;
    info->held = held != 0;
    info->foreign = foreign != 0;
    info->fence = fence > 0 ? (uint64_t)fence : 0;
    info->owner = owner.data;
    info->holder_count = holding > *ret_shown ? (size_t)holding : (size_t)*ret_shown;
    info->waiter_count = waiting > 0 ? (size_t)waiting : 0;
    return true;
}

bool pawl__redis_decode_info(const pawl_request *request, const pawl__redis_value *value,
                             pawl__redis_rows *ret_rows, pawl_info *ret_info)
{
    int64_t shown;
    pawl_info info = {.size = sizeof info,
                      .name = request->name,
                      .name_len = request->name_len,
                      .holders = ret_rows->holders,
                      .waiters = ret_rows->waiters};
    if (!take_head(value, &info, &shown)) return false;
    size_t at = INFO_FIXED;
    for (; shown > 0; shown--, at += INFO_PER_HOLDER) {
        pawl_holder_info *holder = &ret_rows->holders[info.holders_shown++];
        if (!take_holder(request, value, at, holder)) return false;
        info.mine |= holder->mine;
        info.mode = holder->mode; /* the last one has the largest fence */
    }
    for (; at + INFO_PER_WAITER <= value->count; at += INFO_PER_WAITER) {
        if (info.waiters_shown == PAWL_WAITERS_SHOWN_MAX) break;
        if (!take_waiter(value, at, &ret_rows->waiters[info.waiters_shown++])) return false;
    }
    if (info.waiter_count < info.waiters_shown) info.waiter_count = info.waiters_shown;
    *ret_info = info;
    return true;
}

bool pawl__redis_decode_value(const pawl__redis_value *value, pawl_value *ret_value)
{
    int64_t says, fence;
    pawl__redis_bytes owner, told;
    if (!int_at(value, 0, &says) || says != PAWL__REDIS_SAYS_VALUE) return false;
    if (!int_at(value, 1, &ret_value->now_us) || !int_at(value, 2, &fence) ||
        !int_at(value, 3, &ret_value->at_us) || !text_at(value, 4, &owner) ||
        !text_at(value, 5, &told))
        return false;
    if (fence < 0 || fence > FENCE_MAX || told.len > PAWL_STORED_MAX) return false;
    ret_value->fence = (uint64_t)fence;
    ret_value->owner = owner.data;
    ret_value->bytes = told.data;
    ret_value->len = told.len;
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

/* FENCE WAITING */
static bool cut_grant(pawl__redis_bytes *rest, pawl_push *push)
{
    pawl__redis_bytes word;
    push->kind = PAWL_PUSH_GRANT;
    if (!cut_word(rest, &word) || !to_fence(word, &push->fence)) return false;
    if (!cut_word(rest, &word) || word.len != 1) return false;
    push->waiting = word.data[0] == '1';
    return true;
}

bool pawl__redis_decode_push(const pawl__redis_space *space, pawl__redis_bytes payload,
                             pawl_token *ret_room, uint16_t *ret_slots, pawl_push *ret_push)
{
    pawl__redis_bytes kind, word;
    pawl_push push = {0};
    if (!cut_word(&payload, &kind) || kind.len != 1) return false;
    switch (kind.data[0]) {
    case 'g':
        if (!cut_grant(&payload, &push) || !cut_token(&payload, ret_room, &push)) return false;
        break;
    case 'p':
        if (!cut_grant(&payload, &push) || !cut_word(&payload, &word)) return false;
        push.slots = ret_slots;
        push.slot_count = take_slots(word, ret_slots);
        if (push.slot_count == 0 || !cut_token(&payload, ret_room, &push)) return false;
        break;
    case 'y':
        push.kind = PAWL_PUSH_YIELD;
        if (!cut_token(&payload, ret_room, &push)) return false;
        break;
    case 'r':
        push.kind = PAWL_PUSH_RECHECK;
        break;
    case 'n':
        push.kind = PAWL_PUSH_NEWS;
        break;
    default: /* a later version's word */
        return false;
    }
    if (!cut_name(space, payload, &push)) return false;
    *ret_push = push;
    return true;
}
