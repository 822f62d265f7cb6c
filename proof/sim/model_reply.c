/* SPDX-License-Identifier: MIT */
/* What the model's scripts answer, and whether the server lets them write. */
#include "model_call.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void model_say_error(model_reply *reply, const char *text)
{
    int len = snprintf(reply->text, sizeof reply->text, "%s", text);
    reply->value =
        (pawl__redis_value){.type = PAWL__REDIS_ERROR, .text = {reply->text, (size_t)len}};
}

void model_say_plain(model_reply *reply, pawl__redis_type type, int64_t integer)
{
    reply->value = (pawl__redis_value){.type = type, .integer = integer};
    if (type == PAWL__REDIS_STATUS) reply->value.text = (pawl__redis_bytes){"OK", 2};
}

void model_begin_array(model_reply *reply)
{
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = reply->items};
    reply->text_len = 0;
}

void model_add_int(model_reply *reply, int64_t integer)
{
    if (reply->value.count == MODEL_ITEMS_MAX) return;
    reply->items[reply->value.count++] =
        (pawl__redis_value){.type = PAWL__REDIS_INTEGER, .integer = integer};
}

void model_add_text(model_reply *reply, const char *text)
{
    size_t len = strlen(text);
    if (reply->value.count == MODEL_ITEMS_MAX || reply->text_len + len + 1 > sizeof reply->text)
        return;
    char *copy = memcpy(reply->text + reply->text_len, text, len + 1);
    reply->text_len += len + 1;
    reply->items[reply->value.count++] =
        (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {copy, len}};
}

void model_says(model_reply *reply, pawl__redis_says word)
{
    model_begin_array(reply);
    model_add_int(reply, word);
}

void model_as_text(model_reply *reply)
{
    char text[sizeof reply->text] = "";
    size_t len = 0;
    if (reply->value.type != PAWL__REDIS_ARRAY) return;
    if (reply->value.count == 1) {
        reply->value = reply->items[0];
        return;
    }
    for (size_t i = 0; i < reply->value.count; i++) {
        const pawl__redis_value *item = &reply->items[i];
        const char *blank = i ? " " : "";
        int n = item->type == PAWL__REDIS_INTEGER
                    ? snprintf(text + len, sizeof text - len, "%s%" PRId64, blank, item->integer)
                    : snprintf(text + len, sizeof text - len, "%s%s", blank, item->text.data);
        len += (size_t)n;
    }
    memcpy(reply->text, text, len + 1);
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {reply->text, len}};
}

int model_reply_says(const model_reply *reply)
{
    const pawl__redis_value *value = &reply->value;
    switch (value->type) {
    case PAWL__REDIS_INTEGER:
        return (int)value->integer;
    case PAWL__REDIS_STRING:
        return value->text.data[0] - '0';
    case PAWL__REDIS_ARRAY:
        return value->count ? (int)value->items[0].integer : -1;
    case PAWL__REDIS_NIL:
    case PAWL__REDIS_STATUS:
    case PAWL__REDIS_ERROR:
    case PAWL__REDIS_PUSH:
        return -1;
    }
    return -1;
}

bool model_may_write(model_redis *redis, bool needs_memory, model_reply *reply)
{
    static const char *const refusals[] = {
        [MODEL_WELL] = NULL,
        [MODEL_FULL] = "OOM command not allowed when used memory > 'maxmemory'.",
        [MODEL_MISCONF] = "MISCONF Errors writing to the AOF file: No space left on device",
        [MODEL_READONLY] = "READONLY You can't write against a read only replica.",
        [MODEL_LOADING] = "LOADING Redis is loading the dataset in memory"};
    if (redis->dirty) return true;
    bool refused = redis->refusal == MODEL_FULL ? needs_memory : redis->refusal != MODEL_WELL;
    if (refused) {
        model_say_error(reply, refusals[redis->refusal]);
        return false;
    }
    redis->dirty = true;
    return true;
}
