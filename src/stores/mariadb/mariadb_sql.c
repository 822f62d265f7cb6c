/* SPDX-License-Identifier: MIT */
/* Statements. Bytes are written as hex digits, so nothing in them can end a string. */
#include "mariadb_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool grow(pawl__mariadb_text *t, size_t more)
{
    if (t->failed) return false;
    if (t->len + more < t->room) return true;
    size_t room = (t->len + more + 1) * 2;
    char *text = realloc(t->text, room);
    if (!text) {
        t->failed = true;
        return false;
    }
    t->text = text;
    t->room = room;
    return true;
}

static void add(pawl__mariadb_text *t, const char *text)
{
    size_t len = strlen(text);
    if (!grow(t, len)) return;
    memcpy(t->text + t->len, text, len + 1);
    t->len += len;
}

static void add_comma(pawl__mariadb_text *t)
{
    if (!t->failed && t->text[t->len - 1] != '(') add(t, ",");
}

void pawl__mariadb_begin_call(pawl__mariadb_text *t, const pawl_store *store, const char *word)
{
    *t = (pawl__mariadb_text){0};
    add(t, "CALL `");
    add(t, store->config->database);
    add(t, "`.pawl_");
    add(t, word);
    add(t, "(");
}

void pawl__mariadb_add_bytes(pawl__mariadb_text *t, const char *data, size_t len)
{
    static const char digits[] = "0123456789abcdef";
    add_comma(t);
    add(t, "x'");
    if (!grow(t, 2 * len)) return;
    for (size_t i = 0; i < len; i++) {
        t->text[t->len++] = digits[(unsigned char)data[i] >> 4];
        t->text[t->len++] = digits[(unsigned char)data[i] & 15];
    }
    add(t, "'");
}

void pawl__mariadb_add_word(pawl__mariadb_text *t, const char *word)
{
    pawl__mariadb_add_bytes(t, word, strlen(word));
}

void pawl__mariadb_add_number(pawl__mariadb_text *t, int64_t number)
{
    char room[24];
    snprintf(room, sizeof room, "%" PRId64, number);
    add_comma(t);
    add(t, room);
}

bool pawl__mariadb_end_call(pawl__mariadb_text *t, pawl__mariadb_pending *pending)
{
    add(t, ")");
    if (t->failed) {
        free(t->text);
        return false;
    }
    pending->sql = t->text;
    pending->sql_len = t->len;
    return true;
}
