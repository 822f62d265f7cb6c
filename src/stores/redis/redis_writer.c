/* SPDX-License-Identifier: MIT */
#include "redis_writer.h"

#include <string.h>

#define HEAD_MAX 24 /* "$18446744073709551615\r\n" */

/* "*3\r\n", "$5\r\n": by hand, because this runs for every word of every request. */
static char *write_head(char *p, char kind, size_t number)
{
    char digits[HEAD_MAX];
    size_t n = 0;
    do digits[n++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    *p++ = kind;
    while (n > 0) *p++ = digits[--n];
    *p++ = '\r';
    *p++ = '\n';
    return p;
}

size_t pawl__redis_command_room(const pawl__redis_bytes *argv, size_t argc)
{
    size_t room = HEAD_MAX;
    for (size_t i = 0; i < argc; i++) room += HEAD_MAX + argv[i].len + 2;
    return room;
}

size_t pawl__redis_command_write(char *room, const pawl__redis_bytes *argv, size_t argc)
{
    char *p = write_head(room, '*', argc);
    for (size_t i = 0; i < argc; i++) {
        p = write_head(p, '$', argv[i].len);
        if (argv[i].len > 0) memcpy(p, argv[i].data, argv[i].len);
        p += argv[i].len;
        *p++ = '\r';
        *p++ = '\n';
    }
    return (size_t)(p - room);
}
