/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "peer.h"

#include "../support/check.h"
#include "../support/temp_dir.h"

#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PAIRS_MAX 64

typedef struct pair {
    int client, server;
} pair;

struct peer {
    pthread_t thread;
    char *dir;
    char socket[108];               /* sun_path's size */
    _Atomic(const char *) leads_to; /* the server's socket */
    int listener, stop_fd;
    pair pairs[PAIRS_MAX];
    int count;
    atomic_int manner;
    atomic_long left; /* bytes before the cut */
    atomic_bool cut;
};

static struct sockaddr_un address_of(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    CHECK(strlen(path) < sizeof(address.sun_path));
    memcpy(address.sun_path, path, strlen(path));
    return address;
}

static int connect_to(const char *path)
{
    struct sockaddr_un address = address_of(path);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    close(fd);
    return -1;
}

static void drop(peer *p, int i)
{
    close(p->pairs[i].client);
    if (p->pairs[i].server >= 0) close(p->pairs[i].server);
    p->pairs[i] = p->pairs[--p->count];
}

static void welcome(peer *p)
{
    int client = accept4(p->listener, NULL, NULL, SOCK_CLOEXEC);
    if (client < 0) return;
    CHECK(p->count < PAIRS_MAX);
    p->pairs[p->count++] =
        (pair){.client = client, .server = connect_to(atomic_load(&p->leads_to))};
}

static bool send_all(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t n = send(fd, data, len, MSG_NOSIGNAL);
        if (n <= 0) return false;
        data += n;
        len -= (size_t)n;
    }
    return true;
}

/* False: the connection is over. */
static bool to_server(peer *p, const pair *between)
{
    static const char web[] = "HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n";
    char data[16384];
    ssize_t n = recv(between->client, data, sizeof(data), 0);
    if (n <= 0) return false;
    switch ((peer_manner)atomic_load(&p->manner)) {
    case PEER_MUTE:
        return true;
    case PEER_HTTP:
        (void)send_all(between->client, web, sizeof(web) - 1);
        return false;
    case PEER_RELAY:
    case PEER_BYTEWISE:
    case PEER_CUT:
    case PEER_SWALLOW:
        break;
    }
    return between->server >= 0 && send_all(between->server, data, (size_t)n);
}

static bool cut(peer *p, int client, const char *data, size_t len)
{
    long left = atomic_load(&p->left);
    if ((long)len <= left) {
        atomic_store(&p->left, left - (long)len);
        return send_all(client, data, len);
    }
    (void)send_all(client, data, (size_t)left);
    atomic_store(&p->left, 0);
    atomic_store(&p->cut, true);
    return false;
}

static bool to_client(peer *p, const pair *between)
{
    char data[16384];
    ssize_t n = recv(between->server, data, sizeof(data), 0);
    if (n <= 0) return false;
    switch ((peer_manner)atomic_load(&p->manner)) {
    case PEER_RELAY:
        return send_all(between->client, data, (size_t)n);
    case PEER_BYTEWISE:
        for (ssize_t i = 0; i < n; i++)
            if (!send_all(between->client, data + i, 1)) return false;
        return true;
    case PEER_CUT:
        return cut(p, between->client, data, (size_t)n);
    case PEER_SWALLOW:
    case PEER_MUTE:
    case PEER_HTTP:
        break;
    }
    return true;
}

static void *serve(void *arg)
{
    peer *p = arg;
    for (;;) {
        struct pollfd fds[2 + 2 * PAIRS_MAX] = {{.fd = p->stop_fd, .events = POLLIN},
                                                {.fd = p->listener, .events = POLLIN}};
        int count = p->count;
        for (int i = 0; i < count; i++) {
            fds[2 + 2 * i] = (struct pollfd){.fd = p->pairs[i].client, .events = POLLIN};
            fds[3 + 2 * i] = (struct pollfd){.fd = p->pairs[i].server, .events = POLLIN};
        }
        if (poll(fds, 2 + 2 * (nfds_t)count, -1) < 0) continue;
        if (fds[0].revents) return NULL;
        /* From the last: drop() moves the last into the gap. */
        for (int i = count - 1; i >= 0; i--) {
            bool goes_on = !fds[2 + 2 * i].revents || to_server(p, &p->pairs[i]);
            if (goes_on && fds[3 + 2 * i].revents) goes_on = to_client(p, &p->pairs[i]);
            if (!goes_on) drop(p, i);
        }
        if (fds[1].revents) welcome(p);
    }
}

peer *peer_new(const char *server)
{
    peer *p = calloc(1, sizeof(*p));
    CHECK(p != NULL);
    atomic_store(&p->leads_to, server);
    p->dir = temp_dir_new("pawl-peer");
    strcat(strcpy(p->socket, p->dir), "/peer.sock");
    struct sockaddr_un address = address_of(p->socket);
    p->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    p->stop_fd = eventfd(0, EFD_CLOEXEC);
    CHECK(p->listener >= 0 && p->stop_fd >= 0);
    CHECK(bind(p->listener, (struct sockaddr *)&address, sizeof(address)) == 0);
    CHECK(listen(p->listener, 64) == 0);
    CHECK(pthread_create(&p->thread, NULL, serve, p) == 0);
    return p;
}

void peer_free(peer *p)
{
    uint64_t one = 1;
    CHECK(write(p->stop_fd, &one, sizeof(one)) == sizeof(one));
    pthread_join(p->thread, NULL);
    while (p->count > 0) drop(p, p->count - 1);
    close(p->listener);
    close(p->stop_fd);
    temp_dir_free(p->dir);
    free(p);
}

const char *peer_socket(const peer *p)
{
    return p->socket;
}

void peer_behave(peer *p, peer_manner manner)
{
    atomic_store(&p->manner, (int)manner);
}

void peer_lead_to(peer *p, const char *server)
{
    atomic_store(&p->leads_to, server);
}

void peer_cut_after(peer *p, long bytes)
{
    atomic_store(&p->cut, false);
    atomic_store(&p->left, bytes);
    peer_behave(p, PEER_CUT);
}

bool peer_has_cut(peer *p)
{
    return atomic_load(&p->cut);
}
