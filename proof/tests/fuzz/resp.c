/* SPDX-License-Identifier: MIT */
/*
 * The stream of a Redis server. It must be understood alike however it is cut into
 * pieces, and as hiredis itself understands it with its own functions.
 *
 *   input: how to cut (1 byte), the stream
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "stores/redis/redis_reader.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdio.h>

/* What a stream means, as text. */
typedef struct meaning {
    char *text;
    size_t len;
    FILE *out;
    char end;     /* m: more is wanted; b: broken */
    bool bounded; /* broken because pawl reads nothing that is so large, and no RESP3 */
} meaning;

static void begin(meaning *m)
{
    *m = (meaning){.end = 'm'};
    m->out = open_memstream(&m->text, &m->len);
    CHECK(m->out != NULL);
}

static void put_bytes(FILE *out, char kind, const char *data, size_t len)
{
    fprintf(out, "%c%zu:", kind, len);
    fwrite(data, 1, len, out);
}

static void put_value(FILE *out, const pawl__redis_value *value)
{
    switch (value->type) {
    case PAWL__REDIS_NIL:
        fputc('_', out);
        return;
    case PAWL__REDIS_INTEGER:
        fprintf(out, ":%lld;", (long long)value->integer);
        return;
    case PAWL__REDIS_STATUS:
    case PAWL__REDIS_ERROR:
    case PAWL__REDIS_STRING:
        CHECK(value->text.data[value->text.len] == '\0');
        put_bytes(out, (char)('0' + value->type), value->text.data, value->text.len);
        return;
    case PAWL__REDIS_ARRAY:
        fprintf(out, "*%zu[", value->count);
        for (size_t i = 0; i < value->count; i++) put_value(out, &value->items[i]);
        fputc(']', out);
        return;
    }
    FAIL_TEST("a value of type %d", (int)value->type);
}

static void put_reply(FILE *out, const redisReply *reply)
{
    switch (reply->type) {
    case REDIS_REPLY_NIL:
        fputc('_', out);
        return;
    case REDIS_REPLY_INTEGER:
        fprintf(out, ":%lld;", reply->integer);
        return;
    case REDIS_REPLY_STATUS:
        put_bytes(out, '0' + PAWL__REDIS_STATUS, reply->str, reply->len);
        return;
    case REDIS_REPLY_ERROR:
        put_bytes(out, '0' + PAWL__REDIS_ERROR, reply->str, reply->len);
        return;
    case REDIS_REPLY_STRING:
        put_bytes(out, '0' + PAWL__REDIS_STRING, reply->str, reply->len);
        return;
    case REDIS_REPLY_ARRAY:
        fprintf(out, "*%zu[", reply->elements);
        for (size_t i = 0; i < reply->elements; i++) put_reply(out, reply->element[i]);
        fputc(']', out);
        return;
    default: /* RESP3, which a newer hiredis reads and pawl does not ask for */
        fputc('?', out);
    }
}

/* Reads on until more is wanted or it is broken. */
static void read_on(pawl__redis_reader *reader, meaning *m)
{
    const pawl__redis_value *value;
    while (m->end == 'm') {
        switch (pawl__redis_reader_next(reader, &value)) {
        case PAWL__REDIS_READ_MORE:
            return;
        case PAWL__REDIS_READ_VALUE:
            put_value(m->out, value);
            break;
        case PAWL__REDIS_READ_BROKEN:
            m->bounded = strstr(pawl__redis_reader_trouble(reader), "pawl") != NULL;
            m->end = 'b';
            break;
        }
    }
}

static meaning read_cut(fuzz_input stream, unsigned piece)
{
    meaning m;
    begin(&m);
    pawl__redis_reader *reader = pawl__redis_reader_new();
    CHECK(reader != NULL);
    while (stream.left > 0 && m.end == 'm') {
        fuzz_input next = fuzz_cut(&stream, piece ? 1 + piece * 7 % 31 : stream.left);
        char *data = fuzz_text(next);
        CHECK(pawl__redis_reader_feed(reader, data, next.left));
        free(data);
        read_on(reader, &m);
        if (piece) piece++;
    }
    pawl__redis_reader_free(reader);
    fclose(m.out);
    return m;
}

static meaning read_by_hiredis(fuzz_input stream)
{
    meaning m;
    begin(&m);
    redisReader *reader = redisReaderCreate();
    CHECK(reader && redisReaderFeed(reader, (const char *)stream.data, stream.left) == REDIS_OK);
    void *reply = NULL;
    while (redisReaderGetReply(reader, &reply) == REDIS_OK && reply) {
        put_reply(m.out, reply);
        freeReplyObject(reply);
    }
    m.end = reader->err ? 'b' : 'm';
    redisReaderFree(reader);
    fclose(m.out);
    return m;
}

static bool same(const meaning *a, const meaning *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    unsigned piece = fuzz_byte(&in);
    meaning whole = read_cut(in, 0), pieces = read_cut(in, piece + 1);
    CHECK(same(&whole, &pieces) && whole.end == pieces.end);
    if (!whole.bounded) { /* hiredis has no bounds: it would take the memory that is announced */
        meaning other = read_by_hiredis(in);
        CHECK(same(&whole, &other) && whole.end == other.end);
        free(other.text);
    }
    free(whole.text);
    free(pieces.text);
    return 0;
}
