/* SPDX-License-Identifier: MIT */
/*
 * The stream of a Redis server. It must be understood alike however it is cut into
 * pieces, and as hiredis understands it, as far as that reads it. And the stream's pieces, taken
 * for the words of commands, must be read as those words.
 *
 *   input: how to cut (1 byte), the stream
 */
#define _GNU_SOURCE
#include "fuzz.h"

#include "stores/redis/redis_reader.h"
#include "stores/redis/redis_writer.h"

#include <hiredis/hiredis.h>
#include <hiredis/read.h>
#include <stdio.h>

/* What a stream means, as text. */
typedef struct meaning {
    char *text;
    size_t len;
    FILE *out;
    char end; /* m: more is wanted; b: broken */
    char trouble[80];
    bool alone;   /* broken for a reason that the other reader does not know */
    bool foreign; /* holds what the two name differently: RESP3, read by a newer hiredis */
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
    case PAWL__REDIS_PUSH:
        fprintf(out, "%c%zu[", value->type == PAWL__REDIS_PUSH ? '>' : '*', value->count);
        for (size_t i = 0; i < value->count; i++) put_value(out, &value->items[i]);
        fputc(']', out);
        return;
    }
    FAIL_TEST("a value of type %d", (int)value->type);
}

static void put_reply(meaning *m, const redisReply *reply)
{
    FILE *out = m->out;
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
        for (size_t i = 0; i < reply->elements; i++) put_reply(m, reply->element[i]);
        fputc(']', out);
        return;
    default:
        m->foreign = true;
    }
}

/* hiredis has no bounds, and does not look at the end of a text; it knows no RESP3, or some. */
static bool is_stricter(const char *trouble)
{
    static const char *const words[] = {"larger than any", "does not end where", "push inside",
                                        "that is none",    "too short",          "no number",
                                        "arrays in arrays"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (strstr(trouble, words[i])) return true;
    return false;
}

/* hiredis broke at a type of RESP3, or at the first byte of an array that is too deep. */
static bool knows_less(const char *trouble)
{
    if (strstr(trouble, "depth")) return true;
    for (const char *type = "_#,(!=%~>|"; *type; type++) {
        char words[16];
        snprintf(words, sizeof words, "got \"%c\"", *type);
        if (strstr(trouble, words)) return true;
    }
    return false;
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
        case PAWL__REDIS_READ_NO_MEMORY: /* the next try is a new reader's */
        case PAWL__REDIS_READ_BROKEN:
            snprintf(m->trouble, sizeof m->trouble, "%s", pawl__redis_reader_trouble(reader));
            m->alone = is_stricter(pawl__redis_reader_trouble(reader));
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
        put_reply(&m, reply);
        freeReplyObject(reply);
    }
    m.end = reader->err ? 'b' : 'm';
    m.alone = reader->err && knows_less(reader->errstr);
    redisReaderFree(reader);
    fclose(m.out);
    return m;
}

static bool same(const meaning *a, const meaning *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

/* A reader that stops for its own reason has understood the same until then. */
static void compare(const meaning *ours, const meaning *other)
{
    if (other->foreign) return;
    if (!ours->alone && !other->alone) {
        CHECK(same(ours, other) && ours->end == other->end);
        return;
    }
    const meaning *shorter = ours->len < other->len ? ours : other;
    CHECK(memcmp(ours->text, other->text, shorter->len) == 0);
    if (!other->alone) CHECK(shorter->len == ours->len);
    if (!ours->alone) CHECK(shorter->len == other->len);
}

#define WORDS_MAX 8

/* Both readers get back the words of a command. */
static void write_and_read(fuzz_input in)
{
    pawl__redis_bytes words[WORDS_MAX];
    size_t count = 0;
    while (in.left > 0 && count < WORDS_MAX) {
        fuzz_input word = fuzz_cut(&in, fuzz_byte(&in));
        words[count++] = (pawl__redis_bytes){(const char *)word.data, word.left};
    }
    char *room = malloc(pawl__redis_command_room(words, count));
    CHECK(room != NULL);
    size_t len = pawl__redis_command_write(room, words, count);
    CHECK(len <= pawl__redis_command_room(words, count));

    const pawl__redis_value *value;
    pawl__redis_reader *reader = pawl__redis_reader_new();
    CHECK(reader && pawl__redis_reader_feed(reader, room, len));
    CHECK(pawl__redis_reader_next(reader, &value) == PAWL__REDIS_READ_VALUE);
    CHECK(value->type == PAWL__REDIS_ARRAY && value->count == count);
    for (size_t i = 0; i < count; i++) {
        CHECK(value->items[i].type == PAWL__REDIS_STRING);
        CHECK(value->items[i].text.len == words[i].len);
        CHECK(memcmp(value->items[i].text.data, words[i].data, words[i].len) == 0);
    }
    CHECK(pawl__redis_reader_next(reader, &value) == PAWL__REDIS_READ_MORE);
    pawl__redis_reader_free(reader);
    meaning ours = read_cut((fuzz_input){(const uint8_t *)room, len}, 1);
    meaning other = read_by_hiredis((fuzz_input){(const uint8_t *)room, len});
    compare(&ours, &other);
    free(ours.text);
    free(other.text);
    free(room);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_input in = {data, size};
    write_and_read(in);
    unsigned piece = fuzz_byte(&in);
    meaning whole = read_cut(in, 0), pieces = read_cut(in, piece + 1);
    CHECK(same(&whole, &pieces) && whole.end == pieces.end);
    meaning other = {.text = NULL};
    if (!whole.alone || !strstr(whole.trouble, "larger")) { /* it takes what is announced */
        other = read_by_hiredis(in);
        compare(&whole, &other);
    }
    free(other.text);
    free(whole.text);
    free(pieces.text);
    return 0;
}
