/* SPDX-License-Identifier: MIT */
#include "utf8.h"

#include <string.h>

size_t cli_utf8_next(const char *bytes, size_t len, uint32_t *ret_c)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (len == 0) return 0;

    unsigned char lead = (unsigned char)bytes[0];
    if (lead < 0x80) {
        *ret_c = lead;
        return 1;
    }
    size_t width = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || width > len) return 0;

    uint32_t c = lead & (0x7fu >> width);
    for (size_t i = 1; i < width; i++) {
        unsigned char next = (unsigned char)bytes[i];
        if ((next & 0xc0) != 0x80) return 0;
        c = c << 6 | (next & 0x3fu);
    }
    bool surrogate = c >= 0xd800 && c <= 0xdfff;
    if (c < least[width] || c > 0x10ffff || surrogate) return 0;
    *ret_c = c;
    return width;
}

bool cli_utf8_valid(const char *bytes, size_t len)
{
    for (size_t i = 0; i < len;) {
        uint32_t c;
        size_t width = cli_utf8_next(bytes + i, len - i, &c);
        if (width == 0) return false;
        i += width;
    }
    return true;
}

size_t cli_utf8_count(const char *text)
{
    size_t count = 0;
    for (; *text; text++) {
        if (((unsigned char)*text & 0xc0) != 0x80) count++;
    }
    return count;
}
