/* SPDX-License-Identifier: MIT */
/*
 * A browser sends what any open page tells it to send. A page of another site may give its own name
 * our address (DNS rebinding), so we answer only to our own names. It may send us a form, so a
 * request that changes anything has to come from our own page.
 */
#define _GNU_SOURCE
#include "serve.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#define HOST_MAX 256

bool serve_is_address(const char *text)
{
    struct in6_addr either;
    return inet_pton(AF_INET, text, &either) == 1 || inet_pton(AF_INET6, text, &either) == 1;
}

bool serve_is_loopback(const char *address)
{
    struct in6_addr v6;
    struct in_addr v4;
    if (inet_pton(AF_INET, address, &v4) == 1) return ntohl(v4.s_addr) >> 24 == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

/* The name in "name:port" or "[address]:port". */
static bool take_host(const char *text, char ret_host[HOST_MAX])
{
    bool is_v6 = *text == '[';
    size_t len = is_v6 ? strcspn(text + 1, "]") : strcspn(text, ":");
    if (len == 0 || len >= HOST_MAX) return false;
    memcpy(ret_host, text + is_v6, len);
    ret_host[len] = '\0';
    const char *rest = text + len + (is_v6 ? 1 : 0);
    if (is_v6 && *rest++ != ']') return false;
    return !*rest || (*rest == ':' && strspn(rest + 1, "0123456789") == strlen(rest + 1));
}

static const char *header(struct evhttp_request *request, const char *name)
{
    return evhttp_find_header(evhttp_request_get_input_headers(request), name);
}

bool serve_host_fits(const serve *s, struct evhttp_request *request)
{
    char host[HOST_MAX];
    const char *given = header(request, "Host");
    if (!given || !take_host(given, host)) return false;
    if (strcasecmp(host, s->opts.listen) == 0) return true;
    if (serve_is_loopback(s->opts.listen) &&
        (strcasecmp(host, "localhost") == 0 || serve_is_loopback(host)))
        return true;
    for (int i = 0; i < s->opts.hosts.count; i++)
        if (strcasecmp(host, s->opts.hosts.items[i]) == 0) return true;
    return false;
}

/* A script that sends the token in a header is not a browser that another page uses. */
bool serve_origin_fits(struct evhttp_request *request)
{
    const char *origin = header(request, "Origin"), *host = header(request, "Host");
    if (!origin) return header(request, "Authorization") != NULL;
    const char *name = strstr(origin, "://");
    return name && host && strcasecmp(name + 3, host) == 0;
}
