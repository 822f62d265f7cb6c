/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "relay.h"

#include <arpa/inet.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/un.h>
#include <unistd.h>

/* Where in a stream of commands we are: "*2", then two times "$4" and as many bytes. */
typedef struct position {
    char line[32];
    size_t line_length;
    long words; /* of this command, to come */
    long skip;  /* bytes of this word, to come */
} position;

typedef struct passage {
    bench_relay *relay;
    struct bufferevent *client, *server;
    position sent;
    struct passage *next; /* all are freed together */
} passage;

struct bench_relay {
    struct event_base *base;
    struct evconnlistener *listener;
    struct event *stop;
    int stop_fd;
    pthread_t thread;
    struct sockaddr_storage server;
    socklen_t server_size;
    passage *passages;
    atomic_uint_fast64_t count;
};

/* ---- Counting ------------------------------------------------------------------------ */

static void end_word(bench_relay *relay, position *p)
{
    if (p->words == 0) atomic_fetch_add(&relay->count, 1);
}

static void head(bench_relay *relay, position *p)
{
    p->line[p->line_length] = '\0';
    p->line_length = 0;
    long number = strtol(p->line + 1, NULL, 10);
    if (p->line[0] == '*') {
        p->words = number;
        end_word(relay, p);
    } else if (p->line[0] == '$') {
        p->words--;
        p->skip = number + 2; /* with the end of its line */
    }
}

static void look_at(bench_relay *relay, position *p, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length;) {
        if (p->skip > 0) {
            size_t left = length - i, step = (size_t)p->skip < left ? (size_t)p->skip : left;
            p->skip -= (long)step;
            i += step;
            if (p->skip == 0) end_word(relay, p);
        } else if (bytes[i] == '\n') {
            head(relay, p);
            i++;
        } else {
            if (p->line_length < sizeof p->line - 1) p->line[p->line_length++] = bytes[i];
            i++;
        }
    }
}

/* ---- Passing on ------------------------------------------------------------------------ */

static void from_client(struct bufferevent *client, void *userdata)
{
    passage *p = userdata;
    struct evbuffer *input = bufferevent_get_input(client);
    size_t length = evbuffer_get_length(input);
    const unsigned char *bytes = evbuffer_pullup(input, -1);
    look_at(p->relay, &p->sent, (const char *)bytes, length);
    bufferevent_write_buffer(p->server, input);
}

static void from_server(struct bufferevent *server, void *userdata)
{
    passage *p = userdata;
    bufferevent_write_buffer(p->client, bufferevent_get_input(server));
}

/* If one side is gone, the other is closed. The memory stays until the relay closes. */
static void on_end(struct bufferevent *side, short what, void *userdata)
{
    (void)side;
    passage *p = userdata;
    if (!(what & (BEV_EVENT_EOF | BEV_EVENT_ERROR))) return;
    if (p->client) bufferevent_free(p->client);
    if (p->server) bufferevent_free(p->server);
    p->client = p->server = NULL;
}

static void on_connection(struct evconnlistener *listener, evutil_socket_t fd,
                          struct sockaddr *address, int size, void *userdata)
{
    (void)listener, (void)address, (void)size;
    bench_relay *relay = userdata;
    passage *p = calloc(1, sizeof *p);
    if (!p) {
        close(fd);
        return;
    }
    p->relay = relay;
    p->next = relay->passages;
    relay->passages = p;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    p->client = bufferevent_socket_new(relay->base, fd, BEV_OPT_CLOSE_ON_FREE);
    p->server = bufferevent_socket_new(relay->base, -1, BEV_OPT_CLOSE_ON_FREE);
    if (!p->client || !p->server ||
        bufferevent_socket_connect(p->server, (struct sockaddr *)&relay->server,
                                   (int)relay->server_size)) {
        on_end(NULL, BEV_EVENT_ERROR, p);
        return;
    }
    bufferevent_setcb(p->client, from_client, NULL, on_end, p);
    bufferevent_setcb(p->server, from_server, NULL, on_end, p);
    bufferevent_enable(p->client, EV_READ | EV_WRITE);
    bufferevent_enable(p->server, EV_READ | EV_WRITE);
}

static void on_stop(evutil_socket_t fd, short what, void *userdata)
{
    (void)fd, (void)what;
    event_base_loopbreak(userdata);
}

static void *relay_main(void *userdata)
{
    bench_relay *relay = userdata;
    event_base_dispatch(relay->base);
    return NULL;
}

/* ---- The server's address ---------------------------------------------------------------- */

/* redis+unix:///path?options: the path, as written; one with an escape in it is not counted. */
static bool find_path(bench_relay *relay, const char *path, const char *end)
{
    struct sockaddr_un *unix_address = (struct sockaddr_un *)&relay->server;
    size_t length = (size_t)(end - path);
    if (length == 0 || length >= sizeof unix_address->sun_path || memchr(path, '%', length)) {
        return false;
    }
    unix_address->sun_family = AF_UNIX;
    memcpy(unix_address->sun_path, path, length);
    relay->server_size = sizeof *unix_address;
    return true;
}

/* HOST, HOST:PORT, [IPv6]:PORT. */
static bool find_host(bench_relay *relay, const char *host, const char *end)
{
    char name[256], port[8] = "6379";
    size_t length = (size_t)(end - host);
    if (length == 0 || length >= sizeof name) return false;
    memcpy(name, host, length);
    name[length] = '\0';
    char *first = name, *colon = strrchr(name, ':'), *bracket = strchr(name, ']');
    if (colon && (!bracket || colon > bracket)) {
        snprintf(port, sizeof port, "%s", colon + 1);
        *colon = '\0';
    }
    if (bracket) {
        *bracket = '\0';
        first++;
    }
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    if (getaddrinfo(first, port, &hints, &found)) return false;
    memcpy(&relay->server, found->ai_addr, found->ai_addrlen);
    relay->server_size = found->ai_addrlen;
    freeaddrinfo(found);
    return true;
}

static int listening_port(bench_relay *relay)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof address;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    relay->listener =
        evconnlistener_new_bind(relay->base, on_connection, relay, LEV_OPT_CLOSE_ON_FREE, SOMAXCONN,
                                (struct sockaddr *)&address, sizeof address);
    if (!relay->listener ||
        getsockname(evconnlistener_get_fd(relay->listener), (struct sockaddr *)&address, &size)) {
        return -1;
    }
    return ntohs(address.sin_port);
}

/*
 * The URL with our address in the place of the server's. A socket's path goes, and what is
 * around it stays: redis+unix://user:password@/path?db=1 becomes
 * redis://user:password@127.0.0.1:port?db=1.
 */
static bool redirect(bench_relay *relay, const char *url, char ret_url[CLI_URL_MAX])
{
    static const char tcp[] = "redis://", local[] = "redis+unix://";
    const char *user, *host, *rest;
    bool found;
    if (strncmp(url, local, sizeof local - 1) == 0) {
        user = url + sizeof local - 1;
        rest = user + strcspn(user, "?");
        host = memchr(user, '/', (size_t)(rest - user));
        found = host && find_path(relay, host, rest);
    } else if (strncmp(url, tcp, sizeof tcp - 1) == 0) {
        user = url + sizeof tcp - 1;
        rest = user + strcspn(user, "/?");
        const char *at = memrchr(user, '@', (size_t)(rest - user));
        host = at ? at + 1 : user;
        found = find_host(relay, host, rest);
    } else {
        return false;
    }
    int port = found ? listening_port(relay) : -1;
    if (port < 0) return false;
    int length = snprintf(ret_url, CLI_URL_MAX, "%s%.*s127.0.0.1:%d%s", tcp, (int)(host - user),
                          user, port, rest);
    return length > 0 && length < CLI_URL_MAX;
}

/* ---- Its life ------------------------------------------------------------------------------- */

static void relay_free(bench_relay *relay)
{
    if (relay->listener) evconnlistener_free(relay->listener);
    if (relay->stop) event_free(relay->stop);
    for (passage *p = relay->passages, *next; p; p = next) {
        next = p->next;
        on_end(NULL, BEV_EVENT_EOF, p);
        free(p);
    }
    if (relay->base) event_base_free(relay->base);
    if (relay->stop_fd >= 0) close(relay->stop_fd);
    free(relay);
}

bench_relay *bench_relay_open(const cli_store *store, cli_store *ret_store)
{
    bench_relay *relay = calloc(1, sizeof *relay);
    if (!relay) return NULL;
    *ret_store = *store;
    relay->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    relay->base = event_base_new();
    if (relay->stop_fd < 0 || !relay->base || !redirect(relay, store->url, ret_store->url)) {
        relay_free(relay);
        return NULL;
    }
    relay->stop = event_new(relay->base, relay->stop_fd, EV_READ, on_stop, relay->base);
    if (!relay->stop || event_add(relay->stop, NULL) ||
        pthread_create(&relay->thread, NULL, relay_main, relay)) {
        relay_free(relay);
        return NULL;
    }
    return relay;
}

uint64_t bench_relay_count(const bench_relay *relay)
{
    return atomic_load(&relay->count);
}

bench_relay *bench_relay_close(bench_relay *relay)
{
    if (!relay) return NULL;
    uint64_t one = 1;
    if (write(relay->stop_fd, &one, sizeof one) == sizeof one) pthread_join(relay->thread, NULL);
    relay_free(relay);
    return NULL;
}
