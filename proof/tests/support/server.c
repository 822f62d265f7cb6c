/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "server.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 30000
#define LOG_MAX     65536

_Noreturn void server_die(const char *what)
{
    fprintf(stderr, "server: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool server_find_program(const char *name, char ret_path[SERVER_PATH_MAX])
{
    const char *path = getenv("PATH");
    for (const char *dir = path ? path : "/usr/bin"; *dir;
         dir += strcspn(dir, ":") + (strchr(dir, ':') != NULL)) {
        snprintf(ret_path, SERVER_PATH_MAX, "%.*s/%s", (int)strcspn(dir, ":"), dir, name);
        if (access(ret_path, X_OK) == 0) return true;
    }
    return false;
}

static _Noreturn void become(const server_start *start, int log_fd)
{
    if (start->in_child) start->in_child();
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* last, because changing the user clears it */
    if (getppid() == 1) _exit(127);
    if (log_fd >= 0) dup2(log_fd, STDOUT_FILENO);
    if (log_fd >= 0) dup2(log_fd, STDERR_FILENO);
    char *argv[SERVER_ARGUMENTS_MAX] = {NULL};
    for (size_t i = 0; start->argv[i]; i++) {
        if (i + 1 == SERVER_ARGUMENTS_MAX) _exit(127);
        argv[i] = (char *)start->argv[i];
    }
    if (start->path) argv[0] = (char *)start->path;
    if (!argv[0]) _exit(127);
    execvpe(argv[0], argv, start->environment ? (char *const *)start->environment : environ);
    _exit(127);
}

pid_t server_spawn(const server_start *start, int *ret_log)
{
    int log[2] = {-1, -1};
    if (ret_log && pipe2(log, O_CLOEXEC) != 0) server_die("pipe");
    pid_t pid = fork();
    if (pid < 0) server_die("fork");
    if (pid == 0) become(start, log[1]);
    if (ret_log) {
        close(log[1]);
        *ret_log = log[0];
    }
    return pid;
}

/* Reads up to a line that contains `text` (then true), or to the end. */
static bool read_log(int log_fd, const char *text, char log[LOG_MAX])
{
    size_t used = 0;
    log[0] = '\0';
    while (used < LOG_MAX - 1) {
        ssize_t n = read(log_fd, log + used, LOG_MAX - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
        log[used] = '\0';
        if (text && strstr(log, text)) return true;
    }
    return false;
}

pid_t server_spawn_until(const server_start *start, const char *text)
{
    char log[LOG_MAX];
    int log_fd;
    pid_t pid = server_spawn(start, &log_fd);
    bool ready = read_log(log_fd, text, log);
    close(log_fd);
    if (ready) return pid;
    fprintf(stderr, "server: %s did not start:\n%s\n", start->argv[0], log);
    exit(1);
}

void server_run(const server_start *start)
{
    char log[LOG_MAX];
    int log_fd, status;
    pid_t pid = server_spawn(start, &log_fd);
    (void)read_log(log_fd, NULL, log);
    close(log_fd);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR) continue;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return;
    fprintf(stderr, "server: %s failed:\n%s\n", start->argv[0], log);
    exit(1);
}

int server_connect(const char *socket_path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) server_die("socket");
    snprintf(address.sun_path, sizeof address.sun_path, "%s", socket_path);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

pid_t server_spawn_at(const server_start *start, const char *socket_path)
{
    pid_t pid = server_spawn(start, NULL);
    for (int waited_ms = 0; waited_ms < PATIENCE_MS; waited_ms++) {
        int fd = server_connect(socket_path);
        if (fd >= 0) {
            close(fd);
            return pid;
        }
        if (waitpid(pid, NULL, WNOHANG) != 0) break;
        poll(NULL, 0, 1);
    }
    server_die("it did not start");
}

void server_end(pid_t *pid, int signal)
{
    if (!*pid) return;
    kill(*pid, signal);
    while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR) continue;
    *pid = 0;
}

void server_pause(pid_t pid)
{
    int status;
    kill(pid, SIGSTOP);
    while (waitpid(pid, &status, WUNTRACED) < 0 && errno == EINTR) continue;
}

void server_resume(pid_t pid)
{
    kill(pid, SIGCONT);
}
