/* SPDX-License-Identifier: MIT */
/*
 * The scan keeps a stack: of each array that is not over, how many parts are still to come. It
 * checks everything, so the tree is built without a second look. Nothing is allocated for a
 * count or a length that was only announced.
 */
#define _GNU_SOURCE /* explicit_bzero, memmem */
#include "redis_reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 1024
#define ROOM_KEPT  (256u << 10) /* bytes; more is freed after a large reply */
#define ITEMS_KEPT 1024u        /* the same in parts of arrays */
#define NUMBER_MAX 20           /* "-9223372036854775808" */

/* An array, map, push or attribute whose parts are not all there. */
typedef struct level {
    size_t left;
    bool attribute; /* is no part of what is around it */
} level;

struct pawl__redis_reader {
    char *bytes;
    size_t begin, end, room; /* of the reply in the making, of what has arrived, of the memory */
    size_t at;               /* the scan has come so far */
    size_t looked;           /* no line's end before this */
    size_t text_end;         /* a text ends there; 0: none has begun */
    level levels[PAWL__REDIS_REPLY_DEPTH_MAX];
    size_t depth, item_count;
    pawl__redis_value root;
    pawl__redis_value *items;
    size_t item_room, item_used;
    bool over;      /* the bytes up to `at` are a whole reply */
    bool delivered; /* it has been handed out */
    const char *trouble;
};

static pawl__redis_read broken(pawl__redis_reader *reader, const char *why)
{
    reader->trouble = why;
    return PAWL__REDIS_READ_BROKEN;
}

static pawl__redis_read too_large(pawl__redis_reader *reader)
{
    return broken(reader, "a reply is larger than any that pawl asks for");
}

/* ---- Lines ------------------------------------------------------------------------------ */

/* As servers write them: no plus, no zero in front, nothing behind. */
static bool to_number(const char *text, size_t len, int64_t *ret_number)
{
    bool minus = len > 0 && text[0] == '-';
    size_t i = minus;
    uint64_t number = 0, most = (uint64_t)INT64_MAX + minus;
    if (len == i || len > NUMBER_MAX) return false;
    if (text[i] == '0' && len > 1) return false;
    for (; i < len; i++) {
        unsigned digit = (unsigned)(unsigned char)text[i] - '0';
        if (digit > 9 || number > (most - digit) / 10) return false;
        number = number * 10 + digit;
    }
    *ret_number = minus ? (int64_t)(0 - number) : (int64_t)number;
    return true;
}

/* The line that begins at `at`, without its two bytes of end; its length, or -1: not there yet. */
static ptrdiff_t find_line(pawl__redis_reader *reader)
{
    size_t from = reader->looked > reader->at ? reader->looked : reader->at;
    const char *end = memmem(reader->bytes + from, reader->end - from, "\r\n", 2);
    if (end) return end - (reader->bytes + reader->at);
    reader->looked = reader->end > reader->at ? reader->end - 1 : reader->at; /* half an end */
    return -1;
}

/* ---- The scan --------------------------------------------------------------------------- */

/* One part is over, and with it each array of which it was the last. */
static void part_is_over(pawl__redis_reader *reader)
{
    while (reader->depth > 0) {
        level *top = &reader->levels[reader->depth - 1];
        if (--top->left > 0) return;
        reader->depth--;
        if (top->attribute) return; /* what it is about comes now */
    }
    reader->over = true;
}

static pawl__redis_read open_level(pawl__redis_reader *reader, char kind, int64_t count)
{
    size_t most = PAWL__REDIS_REPLY_ITEMS_MAX - reader->item_count;
    size_t each = kind == '%' || kind == '|' ? 2 : 1; /* keys and values */
    if (kind == '>' && reader->depth > 0) return broken(reader, "a push inside a reply");
    if (reader->depth == PAWL__REDIS_REPLY_DEPTH_MAX)
        return broken(reader, "too many arrays in arrays");
    if (count < 0 && (count < -1 || kind != '*'))
        return broken(reader, "an array of less than no parts");
    if (count > (int64_t)(most / each)) return too_large(reader);
    if (count > 0) {
        reader->levels[reader->depth++] =
            (level){.left = (size_t)count * each, .attribute = kind == '|'};
        reader->item_count += (size_t)count * each;
    } else if (kind != '|') {
        part_is_over(reader);
    }
    return PAWL__REDIS_READ_VALUE;
}

/* Its bytes may still be on their way. */
static pawl__redis_read open_text(pawl__redis_reader *reader, char kind, int64_t len)
{
    if (len == -1 && kind == '$') {
        part_is_over(reader);
        return PAWL__REDIS_READ_VALUE;
    }
    if (len < 0) return broken(reader, "a text of less than no length");
    if (kind == '=' && len < 4) return broken(reader, "a text that is too short for its format");
    size_t most = PAWL__REDIS_REPLY_BYTES_MAX - (reader->at - reader->begin);
    if (len > (int64_t)most) return too_large(reader);
    reader->text_end = reader->at + (size_t)len;
    return PAWL__REDIS_READ_VALUE;
}

static pawl__redis_read scan_text(pawl__redis_reader *reader)
{
    if (reader->end < reader->text_end + 2) return PAWL__REDIS_READ_MORE;
    if (memcmp(reader->bytes + reader->text_end, "\r\n", 2) != 0)
        return broken(reader, "a text does not end where it should");
    reader->at = reader->text_end + 2;
    reader->text_end = 0;
    part_is_over(reader);
    return PAWL__REDIS_READ_VALUE;
}

static bool is_bool(const char *line, size_t len)
{
    return len == 1 && (line[0] == 't' || line[0] == 'f');
}

/* A line is there: a whole part, or the beginning of one. */
static pawl__redis_read scan_line(pawl__redis_reader *reader, size_t len)
{
    const char *line = reader->bytes + reader->at + 1;
    char kind = line[-1];
    int64_t number;
    if (len == 0) return broken(reader, "an empty line");
    len--;
    reader->at += len + 3;
    if (reader->at - reader->begin > PAWL__REDIS_REPLY_BYTES_MAX) return too_large(reader);
    switch (kind) {
    case '+':
    case '-':
    case ',':
    case '(':
        break;
    case ':':
        if (!to_number(line, len, &number)) return broken(reader, "a number that is none");
        break;
    case '_':
        if (len > 0) return broken(reader, "a null that is none");
        break;
    case '#':
        if (!is_bool(line, len)) return broken(reader, "a boolean that is none");
        break;
    case '$':
    case '!':
    case '=':
        if (!to_number(line, len, &number)) return broken(reader, "a length that is no number");
        return open_text(reader, kind, number);
    case '*':
    case '%':
    case '~':
    case '>':
    case '|':
        if (!to_number(line, len, &number)) return broken(reader, "a count that is no number");
        return open_level(reader, kind, number);
    default:
        return broken(reader, "a byte that begins no reply");
    }
    part_is_over(reader);
    return PAWL__REDIS_READ_VALUE;
}

static bool begins_a_reply(char byte)
{
    return byte != '\0' && strchr("+-:$*_#,(!=%~>|", byte) != NULL;
}

/* The next line or text. VALUE: it was there. */
static pawl__redis_read scan_on(pawl__redis_reader *reader)
{
    if (reader->text_end) return scan_text(reader);
    if (reader->at == reader->end) return PAWL__REDIS_READ_MORE;
    ptrdiff_t len = find_line(reader);
    if (len >= 0) return scan_line(reader, (size_t)len);
    if (!begins_a_reply(reader->bytes[reader->at])) /* no server sends this: told at once */
        return broken(reader, "a byte that begins no reply");
    if (reader->end - reader->begin >= PAWL__REDIS_REPLY_BYTES_MAX) return too_large(reader);
    return PAWL__REDIS_READ_MORE;
}

/* ---- The tree --------------------------------------------------------------------------- */

/* The line at *at without its end, which becomes a NUL. */
static pawl__redis_bytes take_line(char **at)
{
    char *line = *at + 1, *end = line;
    while (end[0] != '\r' || end[1] != '\n') end++;
    *end = '\0';
    *at = end + 2;
    return (pawl__redis_bytes){.data = line, .len = (size_t)(end - line)};
}

static pawl__redis_bytes take_text(char **at, size_t len, size_t skip)
{
    char *text = *at;
    text[len] = '\0';
    *at = text + len + 2;
    return (pawl__redis_bytes){.data = text + skip, .len = len - skip};
}

static void build(pawl__redis_reader *reader, char **at, pawl__redis_value *ret_value);

static void build_items(pawl__redis_reader *reader, char **at, size_t count,
                        pawl__redis_value *ret_value)
{
    if (count == 0) return; /* there may be no room yet at all */
    pawl__redis_value *items = reader->items + reader->item_used;
    reader->item_used += count;
    ret_value->items = items;
    ret_value->count = count;
    for (size_t i = 0; i < count; i++) build(reader, at, &items[i]);
}

static pawl__redis_type type_of(char kind)
{
    switch (kind) {
    case '+':
        return PAWL__REDIS_STATUS;
    case '-':
    case '!':
        return PAWL__REDIS_ERROR;
    case ':':
    case '#':
        return PAWL__REDIS_INTEGER;
    case '*':
    case '%':
    case '~':
        return PAWL__REDIS_ARRAY;
    case '>':
        return PAWL__REDIS_PUSH;
    case '_':
        return PAWL__REDIS_NIL;
    default: /* $ = , ( */
        return PAWL__REDIS_STRING;
    }
}

static void build_array(pawl__redis_reader *reader, char **at, pawl__redis_value *ret_value)
{
    size_t each = **at == '%' || **at == '|' ? 2 : 1;
    pawl__redis_bytes line = take_line(at);
    int64_t count = 0;
    (void)to_number(line.data, line.len, &count);
    if (count < 0)
        ret_value->type = PAWL__REDIS_NIL;
    else
        build_items(reader, at, (size_t)count * each, ret_value);
}

static void build_text(char kind, pawl__redis_bytes line, char **at, pawl__redis_value *ret_value)
{
    int64_t len = 0;
    (void)to_number(line.data, line.len, &len);
    if (len < 0)
        ret_value->type = PAWL__REDIS_NIL;
    else
        ret_value->text = take_text(at, (size_t)len, kind == '=' ? 4 : 0); /* behind "txt:" */
}

/* The scan has checked that all of it is there and right. */
static void build(pawl__redis_reader *reader, char **at, pawl__redis_value *ret_value)
{
    while (**at == '|') build_array(reader, at, ret_value); /* left out */
    char kind = **at;
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): the scan has made room for all items */
    *ret_value = (pawl__redis_value){.type = type_of(kind), .text = {.data = "", .len = 0}};
    if (strchr("*%~>", kind)) {
        build_array(reader, at, ret_value);
        return;
    }
    pawl__redis_bytes line = take_line(at);
    if (kind == ':')
        (void)to_number(line.data, line.len, &ret_value->integer);
    else if (kind == '#')
        ret_value->integer = line.data[0] == 't';
    else if (strchr("$!=", kind))
        build_text(kind, line, at, ret_value);
    else
        ret_value->text = line;
}

static bool make_items(pawl__redis_reader *reader)
{
    reader->item_used = 0;
    if (reader->item_count <= reader->item_room) return true;
    pawl__redis_value *items = realloc(reader->items, reader->item_count * sizeof *items);
    if (!items) return false;
    reader->items = items;
    reader->item_room = reader->item_count;
    return true;
}

/* ---- The reader ------------------------------------------------------------------------- */

pawl__redis_reader *pawl__redis_reader_new(void)
{
    return calloc(1, sizeof(pawl__redis_reader));
}

void pawl__redis_reader_free(pawl__redis_reader *reader)
{
    if (!reader) return;
    if (reader->bytes) explicit_bzero(reader->bytes, reader->room); /* held tokens */
    free(reader->bytes);
    free(reader->items);
    free(reader);
}

/* The reply that was handed out is over. */
static void forget_delivered(pawl__redis_reader *reader)
{
    if (!reader->delivered) return;
    reader->delivered = reader->over = false;
    reader->begin = reader->at;
    reader->item_count = 0;
    if (reader->item_room <= ITEMS_KEPT) return;
    free(reader->items);
    reader->items = NULL;
    reader->item_room = 0;
}

/* Frees the room of what has been read for what comes next. */
static void move_down(pawl__redis_reader *reader)
{
    size_t gone = reader->begin;
    if (gone == 0) return;
    if (reader->end > gone) memmove(reader->bytes, reader->bytes + gone, reader->end - gone);
    reader->begin = 0;
    reader->end -= gone;
    reader->at -= gone;
    reader->looked = reader->looked > gone ? reader->looked - gone : 0;
    if (reader->text_end) reader->text_end -= gone;
    if (reader->end > 0 || reader->room <= ROOM_KEPT) return;
    free(reader->bytes);
    reader->bytes = NULL;
    reader->room = 0;
}

bool pawl__redis_reader_feed(pawl__redis_reader *reader, const char *data, size_t len)
{
    forget_delivered(reader);
    if (len == 0) return true;
    move_down(reader);
    if (reader->room - reader->end < len) {
        size_t room = reader->room ? reader->room : ROOM_FIRST;
        while (room - reader->end < len) room *= 2;
        char *bytes = realloc(reader->bytes, room);
        if (!bytes) return false;
        reader->bytes = bytes;
        reader->room = room;
    }
    memcpy(reader->bytes + reader->end, data, len);
    reader->end += len;
    return true;
}

pawl__redis_read pawl__redis_reader_next(pawl__redis_reader *reader,
                                         const pawl__redis_value **ret_value)
{
    if (reader->trouble) return PAWL__REDIS_READ_BROKEN;
    forget_delivered(reader);
    while (!reader->over) {
        pawl__redis_read status = scan_on(reader);
        if (status != PAWL__REDIS_READ_VALUE) return status;
    }
    if (!make_items(reader)) return PAWL__REDIS_READ_NO_MEMORY;
    char *at = reader->bytes + reader->begin;
    build(reader, &at, &reader->root);
    reader->delivered = true;
    *ret_value = &reader->root;
    return PAWL__REDIS_READ_VALUE;
}

const char *pawl__redis_reader_trouble(const pawl__redis_reader *reader)
{
    return reader->trouble ? reader->trouble : "";
}
