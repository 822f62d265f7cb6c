/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_server.h"

#include "server.h"
#include "temp_dir.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32
#define READY         "eady to accept connections"

struct redis_server {
    pid_t pid; /* 0: not running */
    char *dir;
    char socket[SERVER_SOCKET_MAX];
    char config[128]; /* a Sentinel's file */
    const char *argv[ARGUMENTS_MAX];
};

bool redis_server_exists(void)
{
    char path[SERVER_PATH_MAX];
    return server_find_program("redis-server", path);
}

static void fill_arguments(redis_server *server, const char *const *arguments)
{
    const char *const fixed[] = {"redis-server", "--port",     "0",         "--unixsocket",
                                 server->socket, "--save",     "",          "--appendonly",
                                 "no",           "--dir",      server->dir, "--daemonize",
                                 "no",           "--loglevel", "notice"};
    size_t n = sizeof(fixed) / sizeof(fixed[0]);
    memcpy(server->argv, fixed, sizeof(fixed));
    for (; arguments && *arguments && n < ARGUMENTS_MAX - 1; arguments++)
        server->argv[n++] = *arguments;
    server->argv[n] = NULL;
}

static void write_config(const redis_server *server, const char *lines)
{
    FILE *file = fopen(server->config, "we");
    if (!file || fputs(lines, file) < 0 || fclose(file) != 0) server_die(server->config);
}

static void launch(redis_server *server, const char *line)
{
    const server_start start = {.argv = server->argv};
    server->pid = server_spawn_until(&start, line);
}

static redis_server *server_new(void)
{
    redis_server *server = calloc(1, sizeof(*server));
    if (!server) server_die("calloc");
    server->dir = temp_dir_new("pawl-redis");
    snprintf(server->socket, sizeof(server->socket), "%s/redis.sock", server->dir);
    return server;
}

redis_server *redis_server_start_sentinel(const char *config)
{
    redis_server *server = server_new();
    snprintf(server->config, sizeof(server->config), "%.90s/sentinel.conf", server->dir);
    write_config(server, config);
    const char *const argv[] = {"redis-server", server->config, "--sentinel", "--port", "0",
                                "--unixsocket", server->socket, NULL};
    memcpy(server->argv, argv, sizeof(argv));
    launch(server, "Sentinel ID is");
    return server;
}

redis_server *redis_server_start(const char *const *arguments)
{
    redis_server *server = server_new();
    fill_arguments(server, arguments);
    launch(server, READY);
    return server;
}

const char *redis_server_socket(const redis_server *server)
{
    return server->socket;
}

void redis_server_command(const redis_server *server, const char *words)
{
    char answer[256];
    int fd = server_connect(server->socket);
    if (fd < 0) server_die("connect");
    if (dprintf(fd, "%s\r\n", words) < 0) server_die("write");
    ssize_t len = read(fd, answer, sizeof answer - 1);
    if (len <= 0 || answer[0] == '-') server_die(words);
    close(fd);
}

void redis_server_kill(redis_server *server)
{
    server_end(&server->pid, SIGKILL);
}

void redis_server_restart(redis_server *server)
{
    redis_server_restart_to(server, READY);
}

void redis_server_restart_to(redis_server *server, const char *line)
{
    redis_server_kill(server);
    unlink(server->socket);
    launch(server, line);
}

void redis_server_pause(redis_server *server)
{
    server_pause(server->pid);
}

void redis_server_resume(redis_server *server)
{
    server_resume(server->pid);
}

void redis_server_stop(redis_server *server)
{
    if (!server) return;
    redis_server_kill(server);
    temp_dir_free(server->dir);
    free(server);
}
