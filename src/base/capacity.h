/* SPDX-License-Identifier: MIT */
/* How many permits a semaphore may have; what is told if it is in use with other ones (rule 9). */
#ifndef PAWL__CAPACITY_H
#define PAWL__CAPACITY_H

#include "pawl/types.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#define PAWL__CAPACITY_MESSAGE_MAX 96

/* Whether so many permits may be asked of a semaphore that has so many. */
static inline bool pawl__permits_fit(uint32_t units, uint32_t capacity)
{
    return capacity <= PAWL_CAPACITY_MAX && units >= 1 && units <= capacity;
}

/* Writes it without the end of a string; returns what is behind it. */
static inline char *pawl__put_text(char *out, const char *text)
{
    size_t len = strlen(text);
    memcpy(out, text, len);
    return out + len;
}

static inline char *pawl__put_count(char *out, uint32_t number)
{
    char digits[10];
    size_t n = 0;
    do {
        digits[n++] = (char)('0' + number % 10);
        number /= 10;
    } while (number > 0);
    while (n > 0) *out++ = digits[--n];
    return out;
}

/* Written by hand, because the model of a store uses it, too, and calls no library for output. */
static inline const char *pawl__capacity_message(uint32_t has, uint32_t asked,
                                                 char ret_message[PAWL__CAPACITY_MESSAGE_MAX])
{
    char *out =
        pawl__put_text(ret_message, "the semaphore is in use with another capacity: it has ");
    out = pawl__put_count(out, has);
    out = pawl__put_text(out, ", asked for were ");
    *pawl__put_count(out, asked) = '\0';
    return ret_message;
}

#endif
