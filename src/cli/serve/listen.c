/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "serve.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/listener.h>
#include <string.h>

#include "../exit_codes.h"
#include "../message.h"

#define BACKLOG 128

/* Numeric only: looking up a name would block, and may give another machine tomorrow. */
static void parse_address(const serve_opts *opts, struct sockaddr_storage *ret_address,
                          int *ret_len)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)ret_address;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret_address;
    memset(ret_address, 0, sizeof *ret_address);
    if (inet_pton(AF_INET, opts->listen, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)opts->port);
        *ret_len = sizeof *v4;
        return;
    }
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)opts->port);
    *ret_len = sizeof *v6;
    (void)inet_pton(AF_INET6, opts->listen, &v6->sin6_addr); /* serve_is_address() has seen it */
}

static int port_of(struct evconnlistener *listener)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address = {0};
    socklen_t len = sizeof address;
    if (getsockname(evconnlistener_get_fd(listener), &address.any, &len) != 0) return 0;
    return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static bool set_up(serve *s, struct evconnlistener *listener)
{
    s->http = evhttp_new(s->base);
    if (!s->http || !evhttp_bind_listener(s->http, listener)) {
        evconnlistener_free(listener);
        return false;
    }
    s->guests = serve_guests_new(s->base, s->http);
    s->port = port_of(listener);
    evhttp_set_max_headers_size(s->http, SERVE_HEADERS_MAX);
    evhttp_set_max_body_size(s->http, SERVE_BODY_MAX);
    evhttp_set_allowed_methods(s->http, 0xffff); /* so that we answer 405 ourselves */
    evhttp_set_gencb(s->http, serve_on_request, s);
    return s->guests != NULL;
}

int serve_listen(serve *s)
{
    struct sockaddr_storage address;
    int len;
    parse_address(&s->opts, &address, &len);
    unsigned flags = LEV_OPT_REUSEABLE | LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC;
    struct evconnlistener *listener = evconnlistener_new_bind(s->base, NULL, NULL, flags, BACKLOG,
                                                              (struct sockaddr *)&address, len);
    if (!listener) {
        cli_error("serve: cannot listen on %s port %d: %s", s->opts.listen, (int)s->opts.port,
                  strerror(errno));
        return CLI_EXIT_SYSTEM;
    }
    if (set_up(s, listener)) return CLI_EXIT_OK;
    cli_error("out of memory");
    return CLI_EXIT_SYSTEM;
}
