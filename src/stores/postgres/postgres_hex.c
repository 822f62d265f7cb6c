/* SPDX-License-Identifier: MIT */
/* Bytes travel as hex digits in what the server tells. */
#include "../../base/hex.h"
#include "postgres_store.h"

#include <string.h>

bool pawl__postgres_parse_hex(const char *text, char *ret_bytes, size_t room, size_t *ret_len)
{
    size_t digits = strspn(text, "0123456789abcdef");
    *ret_len = 0;
    ret_bytes[0] = '\0';
    if (text[digits] || digits % 2 || digits / 2 >= room) return false;
    pawl__hex_pack(text, (uint8_t *)ret_bytes, digits / 2);
    ret_bytes[digits / 2] = '\0';
    *ret_len = digits / 2;
    return true;
}
