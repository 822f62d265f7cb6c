/* SPDX-License-Identifier: MIT */
#include "line.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The length of the UTF-8 character that text begins with, and the character; 0: it is none. */
static size_t decode(const char *text, uint32_t *ret_c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    unsigned char lead = (unsigned char)text[0];
    if (lead < 0x80) {
        *ret_c = lead;
        return 1;
    }
    if (lead < 0xc2 || lead > 0xf4) return 0;
    size_t width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    uint32_t c = lead & (0x7fu >> width);
    for (size_t i = 1; i < width; i++) {
        unsigned char next = (unsigned char)text[i]; /* the NUL at the end is no continuation */
        if ((next & 0xc0) != 0x80) return 0;
        c = c << 6 | (next & 0x3fu);
    }
    if (c < least[width] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff)) return 0;
    *ret_c = c;
    return width;
}

static bool is_hidden(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } hidden[] = {
        {0x0001, 0x001f}, {0x007f, 0x009f}, {0x00ad, 0x00ad}, {0x061c, 0x061c},
        {0x180e, 0x180e}, {0x200b, 0x200b}, {0x200e, 0x200f}, {0x2028, 0x202e},
        {0x2060, 0x206f}, {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };
    for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++)
        if (c >= hidden[i].first && c <= hidden[i].last) return true;
    return false;
}

void pawl__line_mend(char *text)
{
    char *out = text;
    for (const char *in = text; *in;) {
        uint32_t c = 0;
        size_t width = decode(in, &c);
        if (width == 0 || is_hidden(c)) {
            *out++ = '?';
            in += width ? width : 1;
            continue;
        }
        memmove(out, in, width);
        out += width;
        in += width;
    }
    *out = '\0';
}
