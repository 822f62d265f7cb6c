/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "postgres_server.h"

#include "server.h"
#include "temp_dir.h"

#include <errno.h>
#include <glob.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ARGUMENTS_MAX 64
#define CHILDREN_MAX  256
#define READY         "database system is ready to accept"

struct postgres_server {
    pid_t pid; /* of the postmaster; 0: not running */
    bool paused;
    char *dir; /* NULL: another server's */
    char socket_dir[100];
    char data[120];
    const char *settings[ARGUMENTS_MAX];
};

/* ---- Programs -------------------------------------------------------------------------------- */

/* Debian keeps them out of the PATH: the newest version, or what is in the PATH. */
static bool find_program(const char *name, char ret_path[SERVER_PATH_MAX])
{
    char pattern[128];
    glob_t found;
    snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) == 0) {
        snprintf(ret_path, SERVER_PATH_MAX, "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
        return true;
    }
    snprintf(ret_path, SERVER_PATH_MAX, "/usr/sbin/%s", name);
    if (access(ret_path, X_OK) == 0) return true;
    return server_find_program(name, ret_path);
}

bool postgres_server_exists(void)
{
    char path[SERVER_PATH_MAX];
    return find_program("initdb", path) && find_program("postgres", path);
}

static const struct passwd *server_user(void)
{
    const struct passwd *user = getpwnam("postgres");
    return user ? user : getpwnam("nobody");
}

/* In the child: root becomes a user for whom the server runs. */
static void become_user(void)
{
    if (chdir("/") != 0) _exit(126);
    if (geteuid() != 0) return;
    const struct passwd *user = server_user();
    if (!user || setgroups(0, NULL) != 0 || setgid(user->pw_gid) != 0 || setuid(user->pw_uid) != 0)
        _exit(126);
}

/* Fills in how a program of PostgreSQL is started; it finds other programs by its own path. */
static server_start start_of(const char *const *argv, char path[SERVER_PATH_MAX])
{
    /* Messages in English, and no setting of the machine's own clients. */
    static const char *const environment[] = {"LC_ALL=C", "PATH=/usr/bin:/bin", NULL};
    if (!find_program(argv[0], path)) server_die(argv[0]);
    return (server_start){path, argv, environment, become_user};
}

void postgres_server_run(const postgres_server *server, const char *const *argv)
{
    char path[SERVER_PATH_MAX];
    (void)server;
    const server_start start = start_of(argv, path);
    server_run(&start);
}

bool postgres_server_has(const char *program)
{
    char path[SERVER_PATH_MAX];
    return find_program(program, path);
}

pid_t postgres_server_spawn(const char *const *argv, const char *line)
{
    char path[SERVER_PATH_MAX];
    const server_start start = start_of(argv, path);
    return server_spawn_until(&start, line);
}

void postgres_server_kill_program(pid_t pid)
{
    server_end(&pid, SIGKILL);
}

void postgres_server_directory_new(const postgres_server *server, const char *name,
                                   char ret_path[200])
{
    const struct passwd *user = server_user();
    snprintf(ret_path, 200, "%.90s/%.60s", server->dir, name);
    if (mkdir(ret_path, 0700) != 0) server_die(ret_path);
    if (geteuid() == 0 && (!user || chown(ret_path, user->pw_uid, user->pw_gid) != 0))
        server_die(ret_path);
}

void postgres_server_give(const char *path)
{
    const struct passwd *user = server_user();
    if (chmod(path, 0600) != 0) server_die(path);
    if (geteuid() == 0 && (!user || chown(path, user->pw_uid, user->pw_gid) != 0)) server_die(path);
}

/* ---- Processes ------------------------------------------------------------------------------- */

/* Of a postmaster that is stopped, so that it makes no new ones. */
static size_t children_of(pid_t pid, pid_t children[CHILDREN_MAX])
{
    char path[64];
    size_t count = 0;
    long child;
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", (long)pid, (long)pid);
    FILE *file = fopen(path, "re");
    if (!file) server_die(path);
    while (count < CHILDREN_MAX && fscanf(file, "%ld", &child) == 1)
        children[count++] = (pid_t)child;
    fclose(file);
    return count;
}

static void stop_postmaster(postgres_server *server)
{
    if (!server->paused) server_pause(server->pid);
    server->paused = true;
}

/* The shared memory must be free before another server uses the data. */
static void await_end(int pidfd)
{
    struct pollfd over = {.fd = pidfd, .events = POLLIN};
    while (poll(&over, 1, -1) < 0 && errno == EINTR) continue;
    close(pidfd);
}

void postgres_server_end(postgres_server *server, int signal)
{
    server_end(&server->pid, signal);
    server->paused = false;
}

void postgres_server_kill(postgres_server *server)
{
    pid_t children[CHILDREN_MAX];
    int fds[CHILDREN_MAX];
    if (!server->pid) return;
    stop_postmaster(server);
    size_t count = children_of(server->pid, children);
    for (size_t i = 0; i < count; i++) {
        fds[i] = (int)syscall(SYS_pidfd_open, children[i], 0);
        kill(children[i], SIGKILL);
    }
    postgres_server_end(server, SIGKILL);
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0) await_end(fds[i]);
}

void postgres_server_reload(postgres_server *server)
{
    kill(server->pid, SIGHUP);
}

void postgres_server_pause(postgres_server *server)
{
    pid_t children[CHILDREN_MAX];
    stop_postmaster(server);
    size_t count = children_of(server->pid, children);
    for (size_t i = 0; i < count; i++) kill(children[i], SIGSTOP);
}

void postgres_server_resume(postgres_server *server)
{
    pid_t children[CHILDREN_MAX];
    size_t count = children_of(server->pid, children);
    for (size_t i = 0; i < count; i++) kill(children[i], SIGCONT);
    server_resume(server->pid);
    server->paused = false;
}

/* ---- Life ------------------------------------------------------------------------------------ */

static void start(postgres_server *server)
{
    static const char *const fixed[] = {"listen_addresses=", "fsync=off", "full_page_writes=off",
                                        "autovacuum=off", "max_connections=60"};
    const char *argv[2 * ARGUMENTS_MAX] = {"postgres", "-D", server->data, "-k",
                                           server->socket_dir};
    size_t n = 5;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) {
        argv[n++] = "-c";
        argv[n++] = fixed[i];
    }
    for (size_t i = 0; server->settings[i]; i++) {
        argv[n++] = "-c";
        argv[n++] = server->settings[i];
    }
    server->pid = postgres_server_spawn(argv, READY);
}

void postgres_server_launch(postgres_server *server, const char *const *settings)
{
    size_t n = 0;
    for (; settings && settings[n] && n < ARGUMENTS_MAX - 1; n++) server->settings[n] = settings[n];
    server->settings[n] = NULL;
    start(server);
}

static postgres_server *server_new(void)
{
    postgres_server *server = calloc(1, sizeof *server);
    if (!server) server_die("calloc");
    return server;
}

postgres_server *postgres_server_start(const char *const *settings)
{
    postgres_server *server = server_new();
    server->dir = temp_dir_new("pawl-postgres");
    snprintf(server->socket_dir, sizeof server->socket_dir, "%s", server->dir);
    snprintf(server->data, sizeof server->data, "%.100s/data", server->dir);
    const struct passwd *user = server_user();
    if (geteuid() == 0 && (!user || chown(server->dir, user->pw_uid, user->pw_gid) != 0))
        server_die("no user to run it");
    const char *const initdb[] = {"initdb", "-D", server->data, "-U",         "pawl",      "-A",
                                  "trust",  "-E", "UTF8",       "--locale=C", "--no-sync", NULL};
    postgres_server_run(server, initdb);
    postgres_server_launch(server, settings);
    return server;
}

postgres_server *postgres_server_beside(postgres_server *first, const char *data)
{
    postgres_server *server = server_new();
    snprintf(server->data, sizeof server->data, "%s", data);
    static unsigned count;
    char name[24], directory[200];
    snprintf(name, sizeof name, "beside%u", count++);
    postgres_server_directory_new(first, name, directory);
    snprintf(server->socket_dir, sizeof server->socket_dir, "%.99s", directory);
    return server;
}

const char *postgres_server_directory(const postgres_server *server)
{
    return server->socket_dir;
}

const char *postgres_server_file(const postgres_server *server, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", server->dir, name);
    return path;
}

void postgres_server_restart(postgres_server *server)
{
    postgres_server_kill(server);
    start(server);
}

void postgres_server_stop(postgres_server *server)
{
    if (!server) return;
    postgres_server_kill(server);
    temp_dir_free(server->dir);
    free(server);
}
