/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mariadb_server.h"

#include "server.h"
#include "temp_dir.h"

#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ARGUMENTS_MAX 40
#define READY         "ready for connections"

struct mariadb_server {
    pid_t pid; /* 0: not running */
    char *dir;
    char data[160], socket[SERVER_SOCKET_MAX];
    const char *const *settings;
};

/* Debian keeps the server out of the PATH of ordinary users. */
static bool find_program(const char *name, char ret_path[SERVER_PATH_MAX])
{
    snprintf(ret_path, SERVER_PATH_MAX, "/usr/sbin/%s", name);
    if (access(ret_path, X_OK) == 0) return true;
    return server_find_program(name, ret_path);
}

bool mariadb_server_exists(void)
{
    char path[SERVER_PATH_MAX];
    return find_program("mariadbd", path) && find_program("mariadb-install-db", path);
}

static const struct passwd *server_user(void)
{
    const struct passwd *user = getpwnam("mysql");
    return user ? user : getpwnam("nobody");
}

void mariadb_server_give(const char *path)
{
    const struct passwd *user = server_user();
    if (chmod(path, 0600) != 0) server_die(path);
    if (geteuid() == 0 && (!user || chown(path, user->pw_uid, user->pw_gid) != 0)) server_die(path);
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

/* No setting of the machine's own servers and clients. */
static server_start start_of(const char *const *argv, char path[SERVER_PATH_MAX])
{
    static const char *const environment[] = {"LC_ALL=C", "PATH=/usr/bin:/bin:/usr/sbin:/sbin",
                                              NULL};
    if (!find_program(argv[0], path)) server_die(argv[0]);
    return (server_start){path, argv, environment, become_user};
}

static void start(mariadb_server *server)
{
    static const char *const fixed[] = {
        "--skip-networking",
        "--skip-log-bin",
        "--innodb-buffer-pool-size=8M",
        "--innodb-log-file-size=4M",
        "--innodb-flush-log-at-trx-commit=2", /* a kill loses nothing */
        "--innodb-doublewrite=0",
        "--innodb-use-native-aio=0",
        "--innodb-fast-shutdown=2",
        "--performance-schema=0",
        "--max-connections=400",
        "--skip-name-resolve"};
    char path[SERVER_PATH_MAX], socket[160], data[200], tmp[200], pid[200];
    const char *argv[ARGUMENTS_MAX] = {"mariadbd", "--no-defaults"};
    size_t n = 2;
    snprintf(socket, sizeof socket, "--socket=%s", server->socket);
    snprintf(data, sizeof data, "--datadir=%s", server->data);
    snprintf(tmp, sizeof tmp, "--tmpdir=%.150s", server->dir);
    snprintf(pid, sizeof pid, "--pid-file=%.150s/pid", server->dir);
    argv[n++] = socket;
    argv[n++] = data;
    argv[n++] = tmp;
    argv[n++] = pid;
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++) argv[n++] = fixed[i];
    for (size_t i = 0; server->settings && server->settings[i]; i++)
        argv[n++] = server->settings[i];
    const server_start how = start_of(argv, path);
    server->pid = server_spawn_until(&how, READY);
}

static void make_data(const mariadb_server *server)
{
    char path[SERVER_PATH_MAX], data[200], tmp[200];
    snprintf(data, sizeof data, "--datadir=%s", server->data);
    /* A server that starts removes the temporary tables of all others in the same directory. */
    snprintf(tmp, sizeof tmp, "--tmpdir=%.150s", server->dir);
    const char *const argv[] = {"mariadb-install-db",
                                "--no-defaults",
                                data,
                                tmp,
                                "--auth-root-authentication-method=normal",
                                "--force", /* else it ends if the machine's name is not found */
                                "--skip-test-db",
                                "--skip-name-resolve",
                                "--innodb-buffer-pool-size=8M", /* not 128: many start at once */
                                "--innodb-log-file-size=4M",
                                "--innodb-flush-log-at-trx-commit=0",
                                "--innodb-use-native-aio=0",
                                NULL};
    const server_start how = start_of(argv, path);
    server_run(&how);
}

mariadb_server *mariadb_server_start(const char *const *settings)
{
    mariadb_server *server = calloc(1, sizeof *server);
    if (!server) server_die("calloc");
    server->dir = temp_dir_new("pawl-mariadb");
    snprintf(server->data, sizeof server->data, "%.100s/data", server->dir);
    snprintf(server->socket, sizeof server->socket, "%.100s/s", server->dir);
    const struct passwd *user = server_user();
    if (geteuid() == 0 && (!user || chown(server->dir, user->pw_uid, user->pw_gid) != 0))
        server_die("no user to run it");
    make_data(server);
    server->settings = settings;
    start(server);
    return server;
}

const char *mariadb_server_socket(const mariadb_server *server)
{
    return server->socket;
}

const char *mariadb_server_file(const mariadb_server *server, const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", server->dir, name);
    return path;
}

void mariadb_server_set(mariadb_server *server, const char *const *settings)
{
    server->settings = settings;
}

static void end(mariadb_server *server, int signal)
{
    server_end(&server->pid, signal);
}

void mariadb_server_kill(mariadb_server *server)
{
    end(server, SIGKILL);
}

void mariadb_server_restart(mariadb_server *server)
{
    mariadb_server_kill(server);
    start(server);
}

void mariadb_server_end(mariadb_server *server)
{
    end(server, SIGTERM);
}

void mariadb_server_pause(mariadb_server *server)
{
    server_pause(server->pid);
}

void mariadb_server_resume(mariadb_server *server)
{
    server_resume(server->pid);
}

void mariadb_server_stop(mariadb_server *server)
{
    if (!server) return;
    mariadb_server_kill(server);
    temp_dir_free(server->dir);
    free(server);
}
