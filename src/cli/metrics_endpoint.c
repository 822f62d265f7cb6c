/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* accept4, memmem */
#include "metrics_endpoint.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "message.h"
#include "metrics_file.h"

#define BACKLOG       16
#define PORT_DIGITS   5
#define HOST_MAX      64
#define UNREAD_MAX    65536 /* bytes that a guest may send after the answer */
#define BY_DEFAULT_AT "127.0.0.1"

typedef struct guest {
    int fd;         /* -1: the place is free */
    uint64_t since; /* the smaller, the earlier it came */
    size_t in_len;
    char in[CLI_ENDPOINT_REQUEST_MAX];
    char *out; /* NULL: not answered yet */
    size_t out_len, out_sent;
    size_t unread; /* bytes after the answer, which nobody reads */
} guest;

struct cli_endpoint {
    const pawl_metrics *metrics;
    int epoll_fd, listener;
    uint64_t came; /* guests so far */
    guest guests[CLI_ENDPOINT_GUESTS_MAX];
};

/* ---- The address ------------------------------------------------------------------------- */

typedef struct address {
    struct sockaddr_storage storage;
    socklen_t len;
} address;

/* The digits at the end; NULL: it is no address. */
static const char *port_in(const char *word)
{
    const char *colon = strrchr(word, ':');
    if (!colon || strchr(word, '/')) return NULL;
    size_t digits = strspn(colon + 1, "0123456789");
    return digits && !colon[1 + digits] ? colon + 1 : NULL;
}

static bool read_host(const char *host, uint16_t port, address *ret_address)
{
    struct sockaddr_in *four = (struct sockaddr_in *)&ret_address->storage;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&ret_address->storage;
    memset(ret_address, 0, sizeof *ret_address);
    if (!*host || strcmp(host, "localhost") == 0) host = BY_DEFAULT_AT;
    if (inet_pton(AF_INET, host, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
        four->sin_port = htons(port);
        ret_address->len = sizeof *four;
        return true;
    }
    if (inet_pton(AF_INET6, host, &six->sin6_addr) != 1) return false;
    six->sin6_family = AF_INET6;
    six->sin6_port = htons(port);
    ret_address->len = sizeof *six;
    return true;
}

static bool read_address(const char *word, const char *port, address *ret_address)
{
    char host[HOST_MAX];
    size_t len = (size_t)(port - word) - 1;
    bool bracketed = len >= 2 && word[0] == '[' && word[len - 1] == ']';
    unsigned long number = strlen(port) <= PORT_DIGITS ? strtoul(port, NULL, 10) : ULONG_MAX;
    if (number > UINT16_MAX || len >= sizeof host) return false;
    snprintf(host, sizeof host, "%.*s", (int)len, word);
    if (bracketed) snprintf(host, sizeof host, "%.*s", (int)len - 2, word + 1);
    if (!strchr(host, ':') != !bracketed) return false; /* else: which colon is it? */
    return read_host(host, (uint16_t)number, ret_address);
}

cli_endpoint_word cli_endpoint_kind_of(const char *word)
{
    address unused;
    const char *port = port_in(word);
    if (!port) return CLI_ENDPOINT_FILE;
    return read_address(word, port, &unused) ? CLI_ENDPOINT_ADDRESS : CLI_ENDPOINT_NONSENSE;
}

/* ---- Guests ------------------------------------------------------------------------------ */

static void wait_for(const cli_endpoint *e, guest *g, uint32_t events)
{
    struct epoll_event event = {.events = events, .data.ptr = g};
    (void)epoll_ctl(e->epoll_fd, EPOLL_CTL_MOD, g->fd, &event);
}

static void leave(guest *g)
{
    if (g->fd >= 0) close(g->fd);
    free(g->out);
    g->fd = -1;
    g->out = NULL;
}

/* A free place; if there is none, whoever came first makes room. */
static guest *place(cli_endpoint *e)
{
    guest *oldest = &e->guests[0];
    for (size_t i = 0; i < CLI_ENDPOINT_GUESTS_MAX; i++) {
        guest *g = &e->guests[i];
        if (g->fd < 0) return g;
        if (g->since < oldest->since) oldest = g;
    }
    leave(oldest);
    return oldest;
}

/* Else the loop would turn for a guest whom nobody can take. */
static void stop_listening(cli_endpoint *e)
{
    cli_warn("metrics are no longer served: accept: %s", strerror(errno));
    close(e->listener);
    e->listener = -1;
}

static void take_guest(cli_endpoint *e)
{
    int fd = accept4(e->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        bool again = errno == EAGAIN || errno == EINTR || errno == ECONNABORTED || errno == EPROTO;
        if (!again) stop_listening(e);
        return;
    }
    guest *g = place(e);
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = g};
    *g = (guest){.fd = fd, .since = ++e->came};
    if (epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) leave(g);
}

/* ---- Answers ----------------------------------------------------------------------------- */

#define TEXT  "text/plain; version=0.0.4; charset=utf-8"
#define SORRY "only GET /metrics is answered here\n"

static void say(guest *g, const char *status, const char *more, const char *body, size_t len)
{
    char head[256];
    int head_len = snprintf(head, sizeof head,
                            "HTTP/1.1 %s\r\nContent-Type: " TEXT "\r\nContent-Length: %zu\r\n"
                            "%sConnection: close\r\n\r\n",
                            status, len, more);
    g->out = malloc((size_t)head_len + len + 1);
    if (!g->out) {
        leave(g);
        return;
    }
    memcpy(g->out, head, (size_t)head_len);
    if (len) memcpy(g->out + head_len, body, len);
    g->out_len = (size_t)head_len + len;
}

static void refuse(guest *g, const char *status, const char *more)
{
    bool wants_no_body = strncmp(g->in, "HEAD ", 5) == 0;
    say(g, status, more, SORRY, wants_no_body ? 0 : sizeof SORRY - 1);
}

static void say_metrics(const cli_endpoint *e, guest *g)
{
    size_t len = 0;
    char *text = cli_metrics_text(e->metrics, &len);
    if (text)
        say(g, "200 OK", "", text, len);
    else
        refuse(g, "503 Service Unavailable", "");
    free(text);
}

/* The target of the request in its first line; false: that is no HTTP. */
static bool read_target(const guest *g, const char **ret_target, size_t *ret_len)
{
    const char *line_end = memchr(g->in, '\n', g->in_len);
    const char *first = memchr(g->in, ' ', (size_t)(line_end - g->in));
    if (!first || first == g->in) return false;
    const char *second = memchr(first + 1, ' ', (size_t)(line_end - first - 1));
    if (!second || strncmp(second, " HTTP/1.", 8) != 0) return false;
    *ret_target = first + 1;
    *ret_len = (size_t)(second - first) - 1;
    return true;
}

static void answer(const cli_endpoint *e, guest *g)
{
    static const char path[] = "/metrics";
    const char *target = NULL;
    size_t len = 0;
    if (!read_target(g, &target, &len)) {
        refuse(g, "400 Bad Request", "");
        return;
    }
    const char *question = memchr(target, '?', len);
    if (question) len = (size_t)(question - target);
    if (len != sizeof path - 1 || memcmp(target, path, len) != 0)
        refuse(g, "404 Not Found", "");
    else if (strncmp(g->in, "GET ", 4) != 0)
        refuse(g, "405 Method Not Allowed", "Allow: GET\r\n");
    else
        say_metrics(e, g);
}

/* ---- One turn ---------------------------------------------------------------------------- */

/* The head is complete: an empty line has come. */
static bool has_head(const guest *g)
{
    return memmem(g->in, g->in_len, "\r\n\r\n", 4) || memmem(g->in, g->in_len, "\n\n", 2);
}

static void send_more(const cli_endpoint *e, guest *g)
{
    ssize_t sent = send(g->fd, g->out + g->out_sent, g->out_len - g->out_sent, MSG_NOSIGNAL);
    if (sent < 0 && errno != EAGAIN && errno != EINTR) {
        leave(g);
        return;
    }
    if (sent > 0) g->out_sent += (size_t)sent;
    if (g->out_sent < g->out_len) {
        wait_for(e, g, EPOLLOUT);
        return;
    }
    /* To close with something unread would take the answer away from the guest. */
    (void)shutdown(g->fd, SHUT_WR);
    wait_for(e, g, EPOLLIN);
}

/* After the answer: until the guest closes, or sends too much. */
static void read_nothing(guest *g)
{
    char unread[4096];
    ssize_t got = recv(g->fd, unread, sizeof unread, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got > 0) g->unread += (size_t)got;
    if (got <= 0 || g->unread > UNREAD_MAX) leave(g);
}

static void read_more(const cli_endpoint *e, guest *g)
{
    ssize_t got = recv(g->fd, g->in + g->in_len, sizeof g->in - g->in_len, 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) {
        leave(g);
        return;
    }
    g->in_len += (size_t)got;
    if (has_head(g))
        answer(e, g);
    else if (g->in_len == sizeof g->in)
        refuse(g, "431 Request Header Fields Too Large", "");
    if (g->out) send_more(e, g);
}

static void serve(const cli_endpoint *e, guest *g)
{
    if (g->fd < 0) return; /* it had to make room in this turn */
    if (!g->out)
        read_more(e, g);
    else if (g->out_sent < g->out_len)
        send_more(e, g);
    else
        read_nothing(g);
}

void cli_endpoint_turn(cli_endpoint *endpoint)
{
    struct epoll_event events[CLI_ENDPOINT_GUESTS_MAX + 1];
    if (!endpoint) return;
    int count = epoll_wait(endpoint->epoll_fd, events, CLI_ENDPOINT_GUESTS_MAX + 1, 0);
    for (int i = 0; i < count; i++) {
        if (events[i].data.ptr)
            serve(endpoint, events[i].data.ptr);
        else
            take_guest(endpoint);
    }
}

/* ---- Opened and closed ------------------------------------------------------------------- */

static int listen_at(const address *where)
{
    int one = 1;
    int fd = socket(where->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (const struct sockaddr *)&where->storage, where->len) == 0 &&
        listen(fd, BACKLOG) == 0)
        return fd;
    int why = errno;
    close(fd);
    errno = why;
    return -1;
}

/* Port 0 means any that is free: which one? */
static void tell_address(int fd)
{
    address own = {.len = sizeof own.storage};
    char host[INET6_ADDRSTRLEN] = "?";
    if (getsockname(fd, (struct sockaddr *)&own.storage, &own.len) != 0) return;
    const struct sockaddr_in *four = (const struct sockaddr_in *)&own.storage;
    const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)&own.storage;
    bool is_six = own.storage.ss_family == AF_INET6;
    inet_ntop(own.storage.ss_family,
              is_six ? (const void *)&six->sin6_addr : (const void *)&four->sin_addr, host,
              sizeof host);
    cli_info("metrics at http://%s%s%s:%d/metrics", is_six ? "[" : "", host, is_six ? "]" : "",
             ntohs(is_six ? six->sin6_port : four->sin_port));
}

static bool listen_in(cli_endpoint *e, const address *where)
{
    struct epoll_event event = {.events = EPOLLIN};
    e->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    if (e->epoll_fd < 0) return false;
    e->listener = listen_at(where);
    return e->listener >= 0 && epoll_ctl(e->epoll_fd, EPOLL_CTL_ADD, e->listener, &event) == 0;
}

cli_endpoint *cli_endpoint_open(const char *word, const pawl_metrics *metrics)
{
    address where;
    const char *port = port_in(word);
    if (!port || !read_address(word, port, &where)) return NULL;
    cli_endpoint *e = calloc(1, sizeof *e);
    if (e) {
        e->metrics = metrics;
        e->epoll_fd = e->listener = -1;
        for (size_t i = 0; i < CLI_ENDPOINT_GUESTS_MAX; i++) e->guests[i].fd = -1;
    }
    if (e && listen_in(e, &where)) {
        tell_address(e->listener);
        return e;
    }
    cli_warn("cannot serve metrics at %s: %s; the command runs without", word, strerror(errno));
    return cli_endpoint_close(e);
}

int cli_endpoint_fd(const cli_endpoint *endpoint)
{
    return endpoint->epoll_fd;
}

cli_endpoint *cli_endpoint_close(cli_endpoint *endpoint)
{
    if (!endpoint) return NULL;
    for (size_t i = 0; i < CLI_ENDPOINT_GUESTS_MAX; i++) leave(&endpoint->guests[i]);
    if (endpoint->listener >= 0) close(endpoint->listener);
    if (endpoint->epoll_fd >= 0) close(endpoint->epoll_fd);
    free(endpoint);
    return NULL;
}
