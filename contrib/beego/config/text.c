/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* towlower_l */
#include "text.h"

#include <locale.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <wctype.h>

/* ---- UTF-8 -------------------------------------------------------------------------- */

/* Length of the character at text, and the character; 0 if it is not UTF-8. */
static size_t decode(const char *text, size_t len, uint32_t *ret_rune)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char first = (unsigned char)text[0];
    if (first < 0x80) {
        *ret_rune = first;
        return 1;
    }
    size_t size = first >= 0xF0 ? 4 : first >= 0xE0 ? 3 : first >= 0xC0 ? 2 : 0;
    if (size == 0 || size > len || first > 0xF4) return 0;
    uint32_t rune = first & (0xFFu >> (size + 1));
    for (size_t i = 1; i < size; i++) {
        unsigned char c = (unsigned char)text[i];
        if ((c & 0xC0) != 0x80) return 0;
        rune = rune << 6 | (c & 0x3Fu);
    }
    if (rune < smallest[size] || rune > 0x10FFFF || (rune >= 0xD800 && rune <= 0xDFFF)) return 0;
    *ret_rune = rune;
    return size;
}

static size_t encode(uint32_t rune, char *ret_text)
{
    static const unsigned char marks[] = {0, 0, 0xC0, 0xE0, 0xF0};
    if (rune < 0x80) {
        ret_text[0] = (char)rune;
        return 1;
    }
    size_t size = rune < 0x800 ? 2 : rune < 0x10000 ? 3 : 4;
    for (size_t i = size - 1; i > 0; i--) {
        ret_text[i] = (char)(0x80 | (rune & 0x3F));
        rune >>= 6;
    }
    ret_text[0] = (char)(marks[size] | rune);
    return size;
}

/* Unicode's White_Space: Go trims all of it, C's iswspace knows only a part. */
static bool is_space(uint32_t rune)
{
    return (rune >= 0x09 && rune <= 0x0D) || rune == 0x20 || rune == 0x85 || rune == 0xA0 ||
           rune == 0x1680 || (rune >= 0x2000 && rune <= 0x200A) || rune == 0x2028 ||
           rune == 0x2029 || rune == 0x202F || rune == 0x205F || rune == 0x3000;
}

/* The same characters as in base/line.c: those that a terminal obeys or shows differently. */
static bool is_hidden(uint32_t rune)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x0001, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c},
        {0x180e, 0x180e}, {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (rune >= hidden[i].first && rune <= hidden[i].last) return true;
    return false;
}

void pawl__text_mend(char *message)
{
    size_t len = strlen(message);
    char *out = message;
    for (size_t i = 0, size; i < len; i += size) {
        uint32_t rune;
        size = decode(message + i, len - i, &rune);
        bool shown = size > 0 && !is_hidden(rune);
        if (size == 0) size = 1;
        memmove(out, shown ? message + i : "?", shown ? size : 1);
        out += shown ? size : 1;
    }
    *out = '\0';
}

/* ---- Spans -------------------------------------------------------------------------- */

/* Length of the blank that span begins with, else 0. */
static size_t blank_at_start(pawl__span span)
{
    uint32_t rune;
    size_t size = span.len > 0 ? decode(span.text, span.len, &rune) : 0;
    return size > 0 && is_space(rune) ? size : 0;
}

static size_t blank_at_end(pawl__span span)
{
    for (size_t size = 1; size <= 4 && size <= span.len; size++) {
        uint32_t rune;
        if (decode(span.text + span.len - size, size, &rune) == size)
            return is_space(rune) ? size : 0;
    }
    return 0;
}

pawl__span pawl__span_trim(pawl__span span)
{
    for (size_t size = blank_at_start(span); size > 0; size = blank_at_start(span)) {
        span.text += size;
        span.len -= size;
    }
    for (size_t size = blank_at_end(span); size > 0; size = blank_at_end(span)) span.len -= size;
    return span;
}

pawl__span pawl__span_word(pawl__span *rest)
{
    *rest = pawl__span_trim(*rest);
    pawl__span word = {rest->text, 0};
    while (rest->len > 0 && blank_at_start(*rest) == 0) {
        rest->text++;
        rest->len--;
        word.len++;
    }
    return word;
}

bool pawl__span_starts_with(pawl__span span, const char *prefix)
{
    size_t len = strlen(prefix);
    return span.len >= len && memcmp(span.text, prefix, len) == 0;
}

char *pawl__span_copy(pawl__span span)
{
    char *copy = malloc(span.len + 1);
    if (!copy) return NULL;
    memcpy(copy, span.text, span.len); /* strndup would look for a NUL beyond the span */
    copy[span.len] = '\0';
    return copy;
}

bool pawl__span_is_utf8(pawl__span span)
{
    for (size_t i = 0, size; i < span.len; i += size) {
        uint32_t rune;
        size = decode(span.text + i, span.len - i, &rune);
        if (size == 0) return false;
    }
    return true;
}

char *pawl__span_lower(pawl__span span)
{
    /* Lowercase may be longer: U+0130, two bytes, has one; U+023A, two bytes, has three. */
    char *lower = malloc(2 * span.len + 1);
    if (!lower) return NULL;
    locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", NULL); /* NULL: only ASCII is folded */
    size_t used = 0;
    for (size_t i = 0, size; i < span.len; i += size) {
        uint32_t rune;
        size = decode(span.text + i, span.len - i, &rune);
        if (size == 0) {
            lower[used++] = span.text[i];
            size = 1;
            continue;
        }
        if (rune >= 'A' && rune <= 'Z') rune += 'a' - 'A';
        if (rune >= 0x80 && utf8) rune = (uint32_t)towlower_l((wint_t)rune, utf8);
        used += encode(rune, lower + used);
    }
    lower[used] = '\0';
    if (utf8) freelocale(utf8);
    return lower;
}
