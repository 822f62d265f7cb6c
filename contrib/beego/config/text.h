/* SPDX-License-Identifier: MIT */
/* The text of configuration files: UTF-8, as Go's strings package sees it. */
#ifndef PAWL_CONFIG_TEXT_H
#define PAWL_CONFIG_TEXT_H

#include <stdbool.h>
#include <stddef.h>

/* A piece of a text; not NUL-terminated. */
typedef struct pawl__span {
    const char *text;
    size_t len;
} pawl__span;

/* Without the white space around it, also U+3000 and the other wide blanks. */
pawl__span pawl__span_trim(pawl__span span);

/* Cuts the first word off. len 0: there is none. */
pawl__span pawl__span_word(pawl__span *rest);

bool pawl__span_starts_with(pawl__span span, const char *prefix);

/* A NUL-terminated copy; NULL: out of memory. */
char *pawl__span_copy(pawl__span span);

/* A NUL-terminated lowercase copy. NULL: out of memory. */
char *pawl__span_lower(pawl__span span);

bool pawl__span_is_utf8(pawl__span span);

/* A message is one line of text whatever it quotes: control characters become question marks. */
void pawl__text_mend(char *message);

#endif
