/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "memcached_server.h"

#include "server.h"
#include "temp_dir.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32

struct memcached_server {
    pid_t pid; /* 0: not running */
    char *dir;
    char socket[SERVER_SOCKET_MAX];
    const char *argv[ARGUMENTS_MAX];
};

bool memcached_server_exists(void)
{
    char path[SERVER_PATH_MAX];
    return server_find_program("memcached", path);
}

static void fill_arguments(memcached_server *server, const char *const *arguments)
{
    /* Two threads as many machines have processors. It does not run as root. */
    const char *const fixed[] = {"memcached", "-s", server->socket, "-t",  "2",
                                 "-m",        "16", "-u",           "root"};
    size_t n = sizeof(fixed) / sizeof(fixed[0]) - (geteuid() == 0 ? 0 : 2);
    memcpy(server->argv, fixed, n * sizeof(fixed[0]));
    for (; arguments && *arguments && n < ARGUMENTS_MAX - 1; arguments++)
        server->argv[n++] = *arguments;
    server->argv[n] = NULL;
}

static void launch(memcached_server *server)
{
    (void)unlink(server->socket);
    const server_start start = {.argv = server->argv};
    server->pid = server_spawn_at(&start, server->socket);
}

memcached_server *memcached_server_start(const char *const *arguments)
{
    memcached_server *server = calloc(1, sizeof(*server));
    if (!server) server_die("calloc");
    server->dir = temp_dir_new("pawl-memcached");
    snprintf(server->socket, sizeof(server->socket), "%s/memcached.sock", server->dir);
    fill_arguments(server, arguments);
    launch(server);
    return server;
}

const char *memcached_server_socket(const memcached_server *server)
{
    return server->socket;
}

void memcached_server_kill(memcached_server *server)
{
    server_end(&server->pid, SIGKILL);
}

void memcached_server_restart(memcached_server *server)
{
    memcached_server_kill(server);
    launch(server);
}

void memcached_server_pause(memcached_server *server)
{
    server_pause(server->pid);
}

void memcached_server_resume(memcached_server *server)
{
    server_resume(server->pid);
}

void memcached_server_ask(const memcached_server *server, const char *command, const char *data,
                          char *ret_line, size_t room)
{
    size_t used = 0;
    int fd = server_connect(server->socket);
    if (fd < 0) server_die("connect");
    const char *end = data ? "\r\n" : "";
    if (dprintf(fd, "%s\r\n%s%s", command, data ? data : "", end) < 0) server_die("write");
    while (used + 1 < room && !memchr(ret_line, '\r', used)) {
        ssize_t n = read(fd, ret_line + used, room - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) server_die("read");
        used += (size_t)n;
    }
    ret_line[used] = '\0';
    ret_line[strcspn(ret_line, "\r")] = '\0';
    close(fd);
}

void memcached_server_stop(memcached_server *server)
{
    if (!server) return;
    memcached_server_kill(server);
    temp_dir_free(server->dir);
    free(server);
}
