/* SPDX-License-Identifier: MIT */
/*
 * libcurl in the loop. Its sockets lie in an epoll set, which is one descriptor in the loop;
 * libcurl's own timer is a timer there. libcurl must not be called from its callbacks, and the host
 * not from a flush: so what has come is noted, and told by pawl__etcd_http_heed.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/line.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define EVENTS_MAX 64
#define WAIT_MS    10 /* after which libcurl's timer is served again */
#define IN_FIRST   4096

/* ---- Notes for the turn -------------------------------------------------------------------- */

const char *pawl__etcd_endpoint(const pawl_store *store)
{
    return store->config.endpoints[store->link.endpoint % store->config.endpoint_count];
}

void pawl__etcd_turn_soon(pawl_store *store)
{
    event_active(&store->turn, EV_TIMEOUT, 0);
}

void pawl__etcd_break(pawl_store *store, pawl_err err, const char *what)
{
    pawl__etcd_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    /* It is ours, and it passes: nothing that waits may be given up for it. */
    link->err = err == PAWL_ERR_NO_MEMORY ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(link->message, sizeof link->message, "%s: %s", pawl__etcd_endpoint(store), what);
    pawl__line_mend(link->message); /* it may quote the server */
    pawl__etcd_turn_soon(store);
}

void pawl__etcd_doubt(pawl_store *store, int64_t patience_ns)
{
    store->link.doubt_ns = patience_ns;
    pawl__etcd_turn_soon(store);
}

/* ---- libcurl's callbacks ------------------------------------------------------------------- */

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *known)
{
    pawl_store *store = arg;
    struct epoll_event event = {.data.fd = fd};
    (void)easy;
    if (what == CURL_POLL_REMOVE) {
        (void)epoll_ctl(store->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        return 0;
    }
    if (what != CURL_POLL_OUT) event.events |= EPOLLIN;
    if (what != CURL_POLL_IN) event.events |= EPOLLOUT;
    int how = known ? EPOLL_CTL_MOD : EPOLL_CTL_ADD;
    int err = epoll_ctl(store->epoll_fd, how, fd, &event);
    if (err < 0 && errno == EEXIST) err = epoll_ctl(store->epoll_fd, EPOLL_CTL_MOD, fd, &event);
    if (err < 0 && errno == ENOENT) err = epoll_ctl(store->epoll_fd, EPOLL_CTL_ADD, fd, &event);
    if (err < 0)
        pawl__etcd_break(store, PAWL_ERR_UNAVAILABLE, "the system refuses to watch a socket");
    else if (!known)
        (void)curl_multi_assign(store->multi, fd, store);
    return 0;
}

static int on_timer_wanted(CURLM *multi, long timeout_ms, void *arg)
{
    pawl_store *store = arg;
    (void)multi;
    pawl__timer_set(&store->curl_timer, timeout_ms < 0 ? PAWL__NEVER : pawl__ms_to_ns(timeout_ms));
    return 0;
}

/* The sockets are known here, so that a forked child can close them. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
    pawl_store *store = arg;
    (void)purpose;
    if (store->socket_count == PAWL__ETCD_SOCKETS_MAX) return CURL_SOCKET_BAD;
    int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (fd < 0) return CURL_SOCKET_BAD;
    store->sockets[store->socket_count++] = fd;
    return fd;
}

static int close_socket(void *arg, curl_socket_t fd)
{
    pawl_store *store = arg;
    for (size_t i = 0; i < store->socket_count; i++)
        if (store->sockets[i] == fd) {
            store->sockets[i] = store->sockets[--store->socket_count];
            break;
        }
    return close(fd);
}

static bool make_room(pawl__etcd_http *http, size_t more)
{
    size_t room = http->in_room ? http->in_room : IN_FIRST;
    while (room - http->in_used < more && room < http->in_max) room *= 2;
    if (room - http->in_used < more) return false;
    if (room == http->in_room) return true;
    char *in = realloc(http->in, room);
    if (!in) return false;
    http->in = in;
    http->in_room = room;
    return true;
}

static size_t on_bytes(char *bytes, size_t size, size_t count, void *arg)
{
    pawl__etcd_http *http = arg;
    size_t len = size * count;
    if (!make_room(http, len)) {
        http->overflow = true;
        return 0; /* which ends it */
    }
    memcpy(http->in + http->in_used, bytes, len);
    http->in_used += len;
    if (http->streams && !pawl__link_linked(&http->in_news))
        pawl__list_append(&http->store->news, &http->in_news);
    return len;
}

/*
 * A connection is there, and the request goes out next. libcurl would send a request again by
 * itself whose connection broke before anything came back; but it may have been done, so there is
 * no second time (law 4).
 */
static int before_request(void *arg, char *peer, char *self, int peer_port, int self_port)
{
    pawl__etcd_http *http = arg;
    (void)peer, (void)self, (void)peer_port, (void)self_port;
    if (http->sent) return CURL_PREREQFUNC_ABORT;
    http->sent = true;
    return CURL_PREREQFUNC_OK;
}

/* ---- One request --------------------------------------------------------------------------- */

static bool add_header(pawl__etcd_http *http, const char *line)
{
    struct curl_slist *more = curl_slist_append(http->headers, line);
    if (more) http->headers = more;
    return more != NULL;
}

static bool set_headers(const pawl_store *store, pawl__etcd_http *http)
{
    char line[PAWL__ETCD_TOKEN_MAX + 32];
    bool good = add_header(http, "Content-Type: application/json") && add_header(http, "Expect:");
    if (store->login[0]) {
        snprintf(line, sizeof line, "Authorization: %s", store->login);
        good = good && add_header(http, line);
        explicit_bzero(line, sizeof line);
    }
    return good && curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers) == CURLE_OK;
}

static bool set_tls(const pawl_store *store, CURL *easy)
{
    const pawl__etcd_config *c = &store->config;
    CURLcode bad = CURLE_OK;
    if (c->cacert[0]) bad |= curl_easy_setopt(easy, CURLOPT_CAINFO, c->cacert);
    if (c->cert[0]) bad |= curl_easy_setopt(easy, CURLOPT_SSLCERT, c->cert);
    if (c->key[0]) bad |= curl_easy_setopt(easy, CURLOPT_SSLKEY, c->key);
    bad |= curl_easy_setopt(easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    return bad == CURLE_OK;
}

static bool set_up(pawl_store *store, pawl__etcd_http *http, const char *path,
                   const pawl__etcd_text *body)
{
    CURL *easy = http->easy;
    char url[PAWL__ETCD_ENDPOINT_MAX + 64];
    snprintf(url, sizeof url, "%s%s", pawl__etcd_endpoint(store), path);
    unsigned bad = 0;
    bad |= curl_easy_setopt(easy, CURLOPT_URL, url);
    bad |= curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    bad |= curl_easy_setopt(easy, CURLOPT_PROTOCOLS_STR, "http,https");
    /* A request that is given up must close its connection, and nobody else's. */
    bad |= curl_easy_setopt(easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    bad |=
        curl_easy_setopt(easy, CURLOPT_CONNECTTIMEOUT_MS, (long)store->config.connect_timeout_ms);
    bad |= curl_easy_setopt(easy, CURLOPT_QUICK_EXIT, 1L); /* close waits for no name server */
    bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETFUNCTION, open_socket);
    bad |= curl_easy_setopt(easy, CURLOPT_OPENSOCKETDATA, store);
    bad |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETFUNCTION, close_socket);
    bad |= curl_easy_setopt(easy, CURLOPT_CLOSESOCKETDATA, store);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_bytes);
    bad |= curl_easy_setopt(easy, CURLOPT_WRITEDATA, http);
    bad |= curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, before_request);
    bad |= curl_easy_setopt(easy, CURLOPT_PREREQDATA, http);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPALIVE, 1L);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPIDLE, 10L);
    bad |= curl_easy_setopt(easy, CURLOPT_TCP_KEEPINTVL, 5L);
    bad |= curl_easy_setopt(easy, CURLOPT_PRIVATE, (char *)http);
    bad |= curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, http->why);
    if (!http->streams)
        bad |= curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)PAWL__ETCD_CALL_MAX_MS);
    if (body) {
        bad |= curl_easy_setopt(easy, CURLOPT_POST, 1L);
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDS, body->at);
        bad |= curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE, (long)body->used);
    }
    return !bad && set_tls(store, easy) && set_headers(store, http);
}

static void drop(pawl__etcd_http *http)
{
    curl_easy_cleanup(http->easy);
    curl_slist_free_all(http->headers);
    http->easy = NULL;
    http->headers = NULL;
}

bool pawl__etcd_http_begin(pawl_store *store, pawl__etcd_http *http, const char *path,
                           const pawl__etcd_text *body)
{
    http->easy = curl_easy_init();
    if (!http->easy) return false;
    http->store = store;
    http->in_used = 0;
    http->overflow = http->sent = false;
    http->status = 0;
    http->why[0] = '\0';
    http->in_max = http->streams ? PAWL__ETCD_LINE_MAX : PAWL__ETCD_ANSWER_MAX;
    if (set_up(store, http, path, body) &&
        curl_multi_add_handle(store->multi, http->easy) == CURLM_OK)
        return true;
    drop(http);
    return false;
}

void pawl__etcd_http_end(pawl_store *store, pawl__etcd_http *http)
{
    pawl__list_remove(&http->in_news);
    if (http->easy) {
        (void)curl_multi_remove_handle(store->multi, http->easy);
        drop(http);
    }
    free(http->in);
    http->in = NULL;
    http->in_used = http->in_room = 0;
}

/* ---- What has come ------------------------------------------------------------------------- */

/* The server's wall clock when it answered, in seconds since 1970; 0: it does not say. */
static int64_t date_of(CURL *easy)
{
    struct curl_header *date;
    if (curl_easy_header(easy, "Date", 0, CURLH_HEADER, -1, &date) != CURLHE_OK) return 0;
    int64_t seconds = curl_getdate(date->value, NULL);
    return seconds > 0 ? seconds : 0;
}

static pawl__etcd_http *ended_one(pawl_store *store)
{
    CURLMsg *message;
    int left;
    while ((message = curl_multi_info_read(store->multi, &left))) {
        if (message->msg != CURLMSG_DONE) continue;
        char *private = NULL;
        CURLcode result = message->data.result;
        CURL *easy = message->easy_handle;
        (void)curl_easy_getinfo(easy, CURLINFO_PRIVATE, &private);
        pawl__etcd_http *http = (pawl__etcd_http *)(void *)private;
        (void)curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &http->status);
        http->date_s = date_of(easy);
        http->result = result;
        (void)curl_multi_remove_handle(store->multi, easy);
        drop(http);
        return http;
    }
    return NULL;
}

void pawl__etcd_http_heed(pawl_store *store)
{
    pawl__etcd_http *http;
    while (!store->link.broken && (http = ended_one(store))) http->news(store, http, true);
    while (!store->link.broken && !pawl__list_empty(&store->news)) {
        pawl__link *first = store->news.next;
        pawl__list_remove(first);
        http = pawl__container(first, pawl__etcd_http, in_news);
        http->news(store, http, false);
    }
}

static void serve_sockets(pawl_store *store)
{
    struct epoll_event events[EVENTS_MAX];
    int running;
    int count = epoll_wait(store->epoll_fd, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++) {
        int bits = (events[i].events & EPOLLIN ? CURL_CSELECT_IN : 0) |
                   (events[i].events & EPOLLOUT ? CURL_CSELECT_OUT : 0) |
                   (events[i].events & (EPOLLERR | EPOLLHUP) ? CURL_CSELECT_ERR : 0);
        (void)curl_multi_socket_action(store->multi, events[i].data.fd, bits, &running);
    }
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    serve_sockets(arg);
    pawl__etcd_http_heed(arg);
}

static void on_curl_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    int running;
    (void)fd, (void)what;
    pawl__timer_set(&store->curl_timer, PAWL__NEVER);
    (void)curl_multi_socket_action(store->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pawl__etcd_http_heed(store);
}

void pawl__etcd_http_flush(pawl_store *store)
{
    int running;
    (void)curl_multi_socket_action(store->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    pawl__etcd_turn_soon(store);
}

void pawl__etcd_http_wait(pawl_store *store, int timeout_ms)
{
    struct pollfd ready = {.fd = store->epoll_fd, .events = POLLIN};
    int running;
    (void)curl_multi_socket_action(store->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    (void)poll(&ready, 1, timeout_ms < WAIT_MS ? timeout_ms : WAIT_MS);
    serve_sockets(store);
    pawl__etcd_http_heed(store);
}

/* ---- The beginning and the end ------------------------------------------------------------- */

static void begin_curl(void)
{
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
}

bool pawl__etcd_http_init(pawl_store *store)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pawl__list_init(&store->news);
    store->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    bool timed = pawl__timer_add(&store->curl_timer, store->host->base, on_curl_timer, store);
    event_assign(&store->ready, store->host->base, store->epoll_fd, EV_READ | EV_PERSIST, on_ready,
                 store);
    if (store->epoll_fd < 0) return false;
    pthread_once(&once, begin_curl);
    store->multi = curl_multi_init();
    if (!store->multi) return false;
    unsigned bad = 0;
    bad |= curl_multi_setopt(store->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    bad |= curl_multi_setopt(store->multi, CURLMOPT_SOCKETDATA, store);
    bad |= curl_multi_setopt(store->multi, CURLMOPT_TIMERFUNCTION, on_timer_wanted);
    bad |= curl_multi_setopt(store->multi, CURLMOPT_TIMERDATA, store);
    bad |= curl_multi_setopt(store->multi, CURLMOPT_MAXCONNECTS, 2L * PAWL__ETCD_CALLS_MAX);
    return !bad && timed && event_add(&store->ready, NULL) == 0;
}

void pawl__etcd_http_done(pawl_store *store)
{
    if (store->multi) (void)curl_multi_cleanup(store->multi);
    store->multi = NULL;
    event_del(&store->curl_timer);
    if (store->epoll_fd < 0) return;
    event_del(&store->ready);
    close(store->epoll_fd);
    store->epoll_fd = -1;
}

/* libcurl's own things are those of the parent in the middle of something: they stay as they are.
 */
void pawl__etcd_http_forget(pawl_store *store)
{
    for (size_t i = 0; i < store->socket_count; i++) close(store->sockets[i]);
    store->socket_count = 0;
    close(store->epoll_fd);
}
