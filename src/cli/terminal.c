/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* vasprintf */
#include "terminal.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "exit_codes.h"
#include "utf8.h"

/* ---- What is printable --------------------------------------------------------------- */

/* Characters that are invisible or change the direction of writing: they can forge a line. */
static const struct {
    uint32_t first, last;
} hidden[] = {
    {0x0000, 0x001f},   /* control characters */
    {0x007f, 0x009f},   /* delete, and control characters of eight bits: 9b is ESC [ */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x061c, 0x061c},   /* direction marks */
    {0x180e, 0x180e},   /* a space without width */
    {0x200b, 0x200b},   /* likewise */
    {0x200e, 0x200f},   /* direction marks */
    {0x2028, 0x202e},   /* line and paragraph ends, direction embeddings */
    {0x2060, 0x206f},   /* unseen operators, direction isolates */
    {0xfeff, 0xfeff},   /* byte order mark */
    {0xfff9, 0xfffb},   /* annotations */
    {0xe0000, 0xe007f}, /* tags */
};

static bool is_printable(uint32_t c)
{
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
        if (c >= hidden[i].first && c <= hidden[i].last) return false;
    }
    return true;
}

/* ---- Escaping ------------------------------------------------------------------------ */

typedef enum style { STYLE_NAME, STYLE_LINE, STYLE_JSON } style;

static void out_of_memory(void)
{
    fputs("pawl: out of memory\n", stderr);
    exit(CLI_EXIT_SYSTEM);
}

/* \uNNNN, two of them for what lies beyond 16 bits. Returns the end of what was written. */
static char *put_json(char *out, uint32_t c)
{
    if (c <= 0xffff) return out + snprintf(out, 7, "\\u%04x", (unsigned)c);
    c -= 0x10000;
    return out + snprintf(out, 13, "\\u%04x\\u%04x", 0xd800 + (unsigned)(c >> 10),
                          0xdc00 + (unsigned)(c & 0x3ff));
}

static char *put_bytes(char *out, const char *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) out += snprintf(out, 5, "\\x%02x", (unsigned char)bytes[i]);
    return out;
}

/* The most that one character becomes, and the NUL. */
#define ESCAPED_MAX 17

/* As much as there is room for. */
static void escape_into(const char *bytes, size_t len, style how, char *out, const char *end)
{
    for (size_t i = 0; i < len && end - out >= ESCAPED_MAX;) {
        uint32_t c = 0;
        size_t width = cli_utf8_next(bytes + i, len - i, &c);
        bool broken = width == 0;
        if (broken) width = 1;
        if (broken || !is_printable(c)) {
            bool json = how == STYLE_JSON && !broken;
            out = json ? put_json(out, c) : put_bytes(out, bytes + i, width);
        } else {
            if (c == '\\' && how == STYLE_NAME) *out++ = '\\';
            memcpy(out, bytes + i, width);
            out += width;
        }
        i += width;
    }
    *out = '\0';
}

static char *escape(const char *bytes, size_t len, style how)
{
    size_t size = len * 6 + ESCAPED_MAX;
    char *text = malloc(size);
    if (!text) out_of_memory();
    escape_into(bytes, len, how, text, text + size);
    return text;
}

char *cli_escape(const char *bytes, size_t len)
{
    return escape(bytes, len, STYLE_NAME);
}

char *cli_clean(const char *text)
{
    return escape(text, strlen(text), STYLE_LINE);
}

void cli_clean_into(const char *text, char *buf, size_t size)
{
    escape_into(text, strlen(text), STYLE_LINE, buf, buf + size);
}

char *cli_clean_json(const char *text)
{
    return escape(text, strlen(text), STYLE_JSON);
}

/* ---- Printing ------------------------------------------------------------------------ */

void cli_print(const char *format, ...)
{
    char *text = NULL;
    va_list args;
    va_start(args, format);
    int len = vasprintf(&text, format, args);
    va_end(args);
    if (len < 0) out_of_memory();

    size_t format_len = strlen(format);
    bool ends_line = format_len > 0 && format[format_len - 1] == '\n';
    if (ends_line) text[len - 1] = '\0';
    char *clean = cli_clean(text);
    fputs(clean, stdout);
    if (ends_line) putchar('\n');
    free(clean);
    free(text);
}
