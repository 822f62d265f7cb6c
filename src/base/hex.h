/* SPDX-License-Identifier: MIT */
/* Tokens at rest: 40 lowercase hex digits in 20 bytes. */
#ifndef PAWL_BASE_HEX_H
#define PAWL_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* text: 2 * count digits. Other characters are packed as if they were digits: the caller has made
 * or checked the text. */
static inline void pawl__hex_pack(const char *text, uint8_t *ret_bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        unsigned high = (unsigned char)text[2 * i], low = (unsigned char)text[2 * i + 1];
        /* '0'..'9' are 0x30..0x39, 'a'..'f' 0x61..0x66: bit 6 tells them apart. */
        high = (high & 15) + 9 * (high >> 6);
        low = (low & 15) + 9 * (low >> 6);
        ret_bytes[i] = (uint8_t)(high << 4 | low);
    }
}

/* The digits and a NUL. */
static inline void pawl__hex_unpack(const uint8_t *bytes, size_t count, char *ret_text)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < count; i++) {
        ret_text[2 * i] = digits[bytes[i] >> 4];
        ret_text[2 * i + 1] = digits[bytes[i] & 15];
    }
    ret_text[2 * count] = '\0';
}

#endif
