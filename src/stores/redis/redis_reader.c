/* SPDX-License-Identifier: MIT */
/*
 * hiredis calls create_... for each part of a reply, parents first. A root is
 * taken from the arena; an item is written into the slot that its parent's array
 * has for it. Nothing is allocated for a count or length that was only announced
 * and lies beyond the bounds.
 */
#include "redis_reader.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MIN 16384

typedef struct chunk {
    struct chunk *older;
    size_t used, room;
    max_align_t data[];
} chunk;

struct pawl__redis_reader {
    redisReader *parser;
    chunk *arena;
    size_t bytes, items; /* of the reply in the making */
    bool delivered;      /* the arena holds a reply that has been handed out */
    bool too_large, no_memory, alien;
    char trouble[160];
};

/* ---- The arena ------------------------------------------------------------------ */

static void *take(pawl__redis_reader *reader, size_t size)
{
    size = (size + sizeof(max_align_t) - 1) / sizeof(max_align_t) * sizeof(max_align_t);
    chunk *top = reader->arena;
    if (!top || top->room - top->used < size) {
        size_t room = size > CHUNK_MIN ? size : CHUNK_MIN;
        top = malloc(sizeof *top + room);
        if (!top) {
            reader->no_memory = true;
            return NULL;
        }
        *top = (chunk){.older = reader->arena, .room = room};
        reader->arena = top;
    }
    void *block = (char *)top->data + top->used;
    top->used += size;
    return block;
}

/* Keeps the oldest chunk: most replies fit into it. */
static void reset(pawl__redis_reader *reader)
{
    while (reader->arena && reader->arena->older) {
        chunk *older = reader->arena->older;
        free(reader->arena);
        reader->arena = older;
    }
    if (reader->arena) reader->arena->used = 0;
    reader->bytes = reader->items = 0;
    reader->delivered = false;
}

/* ---- What hiredis calls -------------------------------------------------------------- */

static bool is_resp2(int type)
{
    return type == REDIS_REPLY_STRING || type == REDIS_REPLY_ARRAY || type == REDIS_REPLY_INTEGER ||
           type == REDIS_REPLY_NIL || type == REDIS_REPLY_STATUS || type == REDIS_REPLY_ERROR;
}

static pawl__redis_value *slot_for(const redisReadTask *task, pawl__redis_type type)
{
    pawl__redis_reader *reader = task->privdata;
    pawl__redis_value *value;
    if (!is_resp2(task->type)) { /* hiredis 1 reads RESP3 too: we have not asked for it */
        reader->alien = true;
        return NULL;
    }
    if (task->parent) {
        const pawl__redis_value *parent = task->parent->obj;
        value = (pawl__redis_value *)&parent->items[task->idx];
    } else {
        value = take(reader, sizeof *value);
        if (!value) return NULL;
    }
    *value = (pawl__redis_value){.type = type};
    return value;
}

static void *create_string(const redisReadTask *task, char *data, size_t len)
{
    pawl__redis_reader *reader = task->privdata;
    pawl__redis_type type = PAWL__REDIS_STRING;
    if (task->type == REDIS_REPLY_STATUS) type = PAWL__REDIS_STATUS;
    if (task->type == REDIS_REPLY_ERROR) type = PAWL__REDIS_ERROR;
    reader->bytes += len;
    if (reader->bytes > PAWL__REDIS_REPLY_BYTES_MAX) {
        reader->too_large = true;
        return NULL;
    }
    pawl__redis_value *value = slot_for(task, type);
    char *copy = value ? take(reader, len + 1) : NULL;
    if (!copy) return NULL;
    memcpy(copy, data, len);
    copy[len] = '\0';
    value->text = (pawl__redis_bytes){.data = copy, .len = len};
    return value;
}

static void *create_items(const redisReadTask *task, size_t count)
{
    pawl__redis_reader *reader = task->privdata;
    if (count > PAWL__REDIS_REPLY_ITEMS_MAX - reader->items) {
        reader->too_large = true;
        return NULL;
    }
    reader->items += count;
    pawl__redis_value *value = slot_for(task, PAWL__REDIS_ARRAY);
    pawl__redis_value *items = value ? take(reader, (count + 1) * sizeof *items) : NULL;
    if (!items) return NULL;
    memset(items, 0, (count + 1) * sizeof *items);
    value->items = items;
    value->count = count;
    return value;
}

#if HIREDIS_MAJOR >= 1
static void *create_array(const redisReadTask *task, size_t count)
{
    return create_items(task, count);
}
#else
static void *create_array(const redisReadTask *task, int count)
{
    return create_items(task, count < 0 ? 0 : (size_t)count);
}
#endif

static void *create_integer(const redisReadTask *task, long long number)
{
    pawl__redis_value *value = slot_for(task, PAWL__REDIS_INTEGER);
    if (value) value->integer = number;
    return value;
}

static void *create_nil(const redisReadTask *task)
{
    return slot_for(task, PAWL__REDIS_NIL);
}

#if HIREDIS_MAJOR >= 1
/* Without these two hiredis would hand out a number for a pointer. */
static void *create_double(const redisReadTask *task, double value, char *text, size_t len)
{
    (void)value, (void)text, (void)len;
    return slot_for(task, PAWL__REDIS_NIL);
}

static void *create_bool(const redisReadTask *task, int value)
{
    (void)value;
    return slot_for(task, PAWL__REDIS_NIL);
}
#endif

static void free_nothing(void *value)
{
    (void)value; /* the arena's */
}

static redisReplyObjectFunctions functions = {
    .createString = create_string,
    .createArray = create_array,
    .createInteger = create_integer,
    .createNil = create_nil,
#if HIREDIS_MAJOR >= 1
    .createDouble = create_double,
    .createBool = create_bool,
#endif
    .freeObject = free_nothing,
};

/* ---- The reader ------------------------------------------------------------------------ */

pawl__redis_reader *pawl__redis_reader_new(void)
{
    pawl__redis_reader *reader = calloc(1, sizeof *reader);
    if (!reader) return NULL;
    reader->parser = redisReaderCreateWithFunctions(&functions);
    if (!reader->parser) {
        free(reader);
        return NULL;
    }
    reader->parser->privdata = reader;
    return reader;
}

void pawl__redis_reader_free(pawl__redis_reader *reader)
{
    if (!reader) return;
    reset(reader);
    free(reader->arena);
    redisReaderFree(reader->parser);
    free(reader);
}

bool pawl__redis_reader_feed(pawl__redis_reader *reader, const char *data, size_t len)
{
    return redisReaderFeed(reader->parser, data, len) == REDIS_OK;
}

static pawl__redis_read broken(pawl__redis_reader *reader, const char *why)
{
    snprintf(reader->trouble, sizeof reader->trouble, "%s", why);
    return PAWL__REDIS_READ_BROKEN;
}

pawl__redis_read pawl__redis_reader_next(pawl__redis_reader *reader,
                                         const pawl__redis_value **ret_value)
{
    void *value = NULL;
    if (reader->delivered) reset(reader);
    int status = redisReaderGetReply(reader->parser, &value);
    if (reader->no_memory) return broken(reader, "out of memory");
    if (reader->too_large) return broken(reader, "a reply is larger than any that pawl asks for");
    if (reader->alien) return broken(reader, "RESP3, which pawl has not asked for");
    if (status != REDIS_OK) return broken(reader, reader->parser->errstr);
    if (!value) { /* a long text is announced and still on its way: how much would we wait for? */
        if (reader->parser->len - reader->parser->pos > PAWL__REDIS_REPLY_BYTES_MAX)
            return broken(reader, "a reply is larger than any that pawl asks for");
        return PAWL__REDIS_READ_MORE;
    }
    reader->delivered = true;
    *ret_value = value;
    return PAWL__REDIS_READ_VALUE;
}

const char *pawl__redis_reader_trouble(const pawl__redis_reader *reader)
{
    return reader->trouble;
}
