/* SPDX-License-Identifier: MIT */
/* A text of any length, for limits. */
#ifndef PAWL_TESTS_REPEATED_H
#define PAWL_TESTS_REPEATED_H

#include <string.h>

/* `before`, and `c` so often behind it that the whole has len bytes; good until the eighth one
 * after it is made. */
static inline const char *repeated(const char *before, char c, size_t len)
{
    static char texts[8][8192];
    static unsigned next;
    char *text = texts[next++ % 8];
    size_t begins = strlen(before);
    memcpy(text, before, begins);
    memset(text + begins, c, len - begins);
    text[len] = '\0';
    return text;
}

#endif
