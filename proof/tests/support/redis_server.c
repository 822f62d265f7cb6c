/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "redis_server.h"

#include "temp_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 32
#define READY         "eady to accept connections"

struct redis_server {
    pid_t pid; /* 0: not running */
    char *dir;
    char socket[108]; /* sun_path's size */
    char config[128]; /* a Sentinel's file */
    const char *argv[ARGUMENTS_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "redis_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool redis_server_exists(void)
{
    const char *path = getenv("PATH");
    char *dirs = strdup(path ? path : "/usr/bin");
    bool found = false;
    for (char *rest = dirs, *dir; !found && (dir = strsep(&rest, ":"));) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/redis-server", dir);
        found = access(file, X_OK) == 0;
    }
    free(dirs);
    return found;
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

static void become_server(const redis_server *server, int log_fd)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(127);
    dup2(log_fd, STDOUT_FILENO);
    dup2(log_fd, STDERR_FILENO);
    execvp(server->argv[0], (char *const *)server->argv);
    _exit(127);
}

/*
 * Reads the log up to a line, of which `line` is a part. Then nobody reads it any
 * more: redis-server ignores SIGPIPE.
 */
static void await_line(int log_fd, const char *line)
{
    char log[65536];
    size_t used = 0;
    while (used < sizeof(log) - 1) {
        ssize_t n = read(log_fd, log + used, sizeof(log) - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
        log[used] = '\0';
        if (strstr(log, line)) return;
    }
    fprintf(stderr, "redis_server: it did not start:\n%.*s\n", (int)used, log);
    exit(1);
}

static void write_config(const redis_server *server, const char *lines)
{
    FILE *file = fopen(server->config, "we");
    if (!file || fputs(lines, file) < 0 || fclose(file) != 0) die(server->config);
}

static void launch(redis_server *server, const char *line)
{
    int log[2];
    if (pipe2(log, O_CLOEXEC) != 0) die("pipe");
    server->pid = fork();
    if (server->pid < 0) die("fork");
    if (server->pid == 0) become_server(server, log[1]);
    close(log[1]);
    await_line(log[0], line);
    close(log[0]);
}

static redis_server *server_new(void)
{
    redis_server *server = calloc(1, sizeof(*server));
    if (!server) die("calloc");
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

void redis_server_kill(redis_server *server)
{
    if (!server->pid) return;
    kill(server->pid, SIGKILL);
    while (waitpid(server->pid, NULL, 0) < 0 && errno == EINTR) continue;
    server->pid = 0;
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
    int status;
    kill(server->pid, SIGSTOP);
    while (waitpid(server->pid, &status, WUNTRACED) < 0 && errno == EINTR) continue;
}

void redis_server_resume(redis_server *server)
{
    kill(server->pid, SIGCONT);
}

void redis_server_stop(redis_server *server)
{
    if (!server) return;
    redis_server_kill(server);
    temp_dir_free(server->dir);
    free(server);
}
