/* SPDX-License-Identifier: MIT */
/* A MariaDB on a socket of its own. The workers are its user pawl, and we are its root. */
#include "program.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char data_option[TORTURE_FILE_MAX + 16], tmp_option[TORTURE_FILE_MAX + 16];

/* Debian keeps the server out of the PATH of ordinary users. */
static const char *server_program(void)
{
    static const char debian[] = "/usr/sbin/mariadbd";
    if (access(debian, X_OK) == 0) return debian;
    return torture_is_in_path("mariadbd") ? "mariadbd" : NULL;
}

/* It refuses to run as root. */
static const struct passwd *server_user(void)
{
    const struct passwd *user = getpwnam("mysql");
    return user ? user : getpwnam("nobody");
}

static bool has_mariadb(void)
{
    return server_program() && torture_is_in_path("mariadb-install-db") &&
           torture_is_in_path("mariadb") &&
           (geteuid() != 0 || (server_user() && torture_is_in_path("setpriv")));
}

static void name_places(const torture_server *server)
{
    snprintf(data_option, sizeof data_option, "--datadir=%s/data", server->dir);
    /* A server that starts removes the temporary tables of all others in the same directory. */
    snprintf(tmp_option, sizeof tmp_option, "--tmpdir=%s", server->dir);
}

static bool make_data(torture_rig *rig, const torture_server *server)
{
    const char *words[TORTURE_WORDS_MAX];
    const char *install[] = {"mariadb-install-db",
                             "--no-defaults",
                             data_option,
                             tmp_option,
                             "--auth-root-authentication-method=normal",
                             "--skip-test-db",
                             "--skip-name-resolve",
                             "--innodb-log-file-size=4M", /* the disk may be small */
                             "--innodb-flush-log-at-trx-commit=0",
                             NULL};
    name_places(server);
    memcpy(torture_become(words, server_user(), "KILL"), install, sizeof install);
    if (torture_ask_by(words, rig, "install.log")) return true;
    torture_say("mariadb-install-db failed; see install.log in %s", rig->history);
    return false;
}

/* Statements that the server carries out whenever it starts. */
static bool write_init_file(const torture_server *server)
{
    char path[TORTURE_FILE_MAX];
    FILE *file = fopen(torture_path(path, server->dir, "init.sql"), "we");
    if (!file) {
        torture_say("%s: %s", path, strerror(errno));
        return false;
    }
    fputs("CREATE USER IF NOT EXISTS pawl@localhost;\nGRANT ALL ON *.* TO pawl@localhost;\n", file);
    return fclose(file) == 0;
}

static bool prepare_mariadb(torture_rig *rig, torture_server *server)
{
    const struct passwd *who = geteuid() == 0 ? server_user() : NULL;
    int len = snprintf(server->socket, sizeof server->socket, "%s/s", server->dir);
    if (len >= (int)sizeof server->socket) {
        torture_say("%s is too long for a socket; choose a shorter $TMPDIR", server->dir);
        return false;
    }
    if (who && chown(server->dir, who->pw_uid, who->pw_gid) != 0) return false;
    return make_data(rig, server) && write_init_file(server);
}

static void command_mariadb(torture_rig *rig, const torture_server *server,
                            const char *ret_words[TORTURE_WORDS_MAX])
{
    static char socket[160], pid[TORTURE_FILE_MAX + 16], init[TORTURE_FILE_MAX + 24];
    const char *words[] = {server_program(),
                           "--no-defaults",
                           data_option,
                           tmp_option,
                           socket,
                           pid,
                           init,
                           "--skip-networking",
                           "--skip-log-bin",
                           "--skip-name-resolve",
                           "--innodb-buffer-pool-size=8M",
                           "--innodb-log-file-size=4M",
                           "--innodb-fast-shutdown=2",
                           "--performance-schema=0",
                           "--max-connections=400",
                           NULL};
    (void)rig;
    name_places(server);
    snprintf(socket, sizeof socket, "--socket=%s", server->socket);
    snprintf(pid, sizeof pid, "--pid-file=%s/pid", server->dir);
    snprintf(init, sizeof init, "--init-file=%s/init.sql", server->dir);
    memcpy(torture_become(ret_words, server_user(), "KILL"), words, sizeof words);
}

static bool ask_mariadb(torture_rig *rig, const torture_server *server, const char *sql)
{
    char socket[160];
    const char *words[] = {"mariadb", "--no-defaults", "-u", "root", socket, "-e", sql, NULL};
    snprintf(socket, sizeof socket, "--socket=%s", server->socket);
    return torture_ask_by(words, rig, "mariadb.log");
}

static bool mariadb_serves(torture_rig *rig, const torture_server *server)
{
    return ask_mariadb(rig, server, "SELECT 1");
}

static void url_of_mariadb(const torture_rig *rig, char *ret_url, size_t room)
{
    snprintf(ret_url, room, "mariadb://pawl@127.0.0.1:%d/torture", rig->proxies[0].port);
}

const torture_program torture_mariadb = {
    .what = "MariaDB",
    .exists = has_mariadb,
    .prepare = prepare_mariadb,
    .command = command_mariadb,
    .serves = mariadb_serves,
    .url = url_of_mariadb,
    .dies_by = SIGKILL,
    .ends_by = SIGTERM,
    .ask = ask_mariadb,
    .end_statements = "KILL QUERY USER pawl",
    .end_sessions = "KILL CONNECTION USER pawl",
};
