/* SPDX-License-Identifier: MIT */
/*
 * Takes a Redis URL apart for the tutorial's client. pawl has checked it
 * before, so what is absent or odd gets its default here.
 */
#define _GNU_SOURCE
#include "demo.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int hex(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* Percent-decodes text[0..len) into room; what does not fit is left out. */
static void decode(const char *text, size_t len, char *ret_text, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < len && n + 1 < room; i++) {
        char c = text[i];
        if (c == '%' && i + 2 < len && isxdigit((unsigned char)text[i + 1]) &&
            isxdigit((unsigned char)text[i + 2])) {
            c = (char)(hex(text[i + 1]) * 16 + hex(text[i + 2]));
            i += 2;
        }
        ret_text[n++] = c;
    }
    ret_text[n] = '\0';
}

static void take_userinfo(const char *text, size_t len, demo_redis_address *a)
{
    const char *colon = memchr(text, ':', len);
    size_t user_len = colon ? (size_t)(colon - text) : len;
    decode(text, user_len, a->user, sizeof a->user);
    if (colon) decode(colon + 1, len - user_len - 1, a->password, sizeof a->password);
}

static void take_host(const char *text, size_t len, demo_redis_address *a)
{
    if (len > 0 && text[0] == '[') { /* [::1]:6379 */
        const char *end = memchr(text, ']', len);
        size_t inner = end ? (size_t)(end - text) - 1 : len - 1;
        decode(text + 1, inner, a->host, sizeof a->host);
        if (end && end + 1 < text + len && end[1] == ':') a->port = atoi(end + 2);
        return;
    }
    const char *colon = memchr(text, ':', len);
    size_t host_len = colon ? (size_t)(colon - text) : len;
    if (host_len > 0) decode(text, host_len, a->host, sizeof a->host);
    if (colon) a->port = atoi(colon + 1);
}

static void take_option(const char *text, size_t len, demo_redis_address *a)
{
    if (len > 3 && memcmp(text, "db=", 3) == 0) a->db = atoi(text + 3);
    if (len >= 7 && memcmp(text, "prefix=", 7) == 0) {
        decode(text + 7, len - 7, a->prefix, sizeof a->prefix);
    }
}

void demo_redis_address_of(const char *url, demo_redis_address *ret_address)
{
    demo_redis_address a = {.host = "127.0.0.1", .port = 6379, .prefix = "pawl:"};
    a.is_socket = strncmp(url, "redis+unix:", 11) == 0;

    const char *rest = strchr(url, ':') + 1;
    if (strncmp(rest, "//", 2) == 0) {
        rest += 2;
        size_t authority = strcspn(rest, "/?#");
        const char *at = memrchr(rest, '@', authority);
        if (at) take_userinfo(rest, (size_t)(at - rest), &a);
        const char *host = at ? at + 1 : rest;
        take_host(host, authority - (size_t)(host - rest), &a);
        rest += authority;
    }
    size_t path = strcspn(rest, "?#");
    if (a.is_socket) decode(rest, path, a.host, sizeof a.host);
    if (!a.is_socket && path > 1) a.db = atoi(rest + 1);
    rest += path;
    while (*rest == '?' || *rest == '&') {
        size_t len = strcspn(++rest, "&#");
        take_option(rest, len, &a);
        rest += len;
    }
    *ret_address = a;
}
