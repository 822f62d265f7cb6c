/* SPDX-License-Identifier: MIT */
/* A server that is no Redis: how it is begun, asked whether it serves, stopped and reached. */
#ifndef PAWL_TORTURE_PROGRAM_H
#define PAWL_TORTURE_PROGRAM_H

#include "rig.h"

#include <pwd.h>

#define TORTURE_ZOOKEEPER_JAR "/usr/share/java/zookeeper.jar" /* where Debian puts it */

#define TORTURE_WORDS_MAX 32
#define TORTURE_DOORS_MAX 4

/* What the proxy between two members listens to, and where it leads. */
typedef struct torture_doors {
    int count;
    char text[TORTURE_DOORS_MAX][2 * TORTURE_FILE_MAX];
} torture_doors;

typedef struct torture_program {
    const char *what; /* as people call it, and what is to be installed */
    bool (*exists)(void);
    /* Chooses a place for it; false after one line. */
    bool (*prepare)(torture_rig *rig, torture_server *server);
    /* Its command line, NULL-terminated. */
    void (*command)(torture_rig *rig, const torture_server *server,
                    const char *ret_words[TORTURE_WORDS_MAX]);
    bool (*serves)(torture_rig *rig, const torture_server *server);
    void (*url)(const torture_rig *rig, char *ret_url, size_t room);
    /* With TORTURE_CLUSTER: whether it says that it leads; and the doors of the proxy between it
     * and another member, added to ret_doors. */
    bool (*leads)(const torture_server *server);
    bool (*doors)(torture_rig *rig, torture_server *from, const torture_server *to,
                  torture_doors *ret_doors);
    int dies_by, ends_by;                                   /* signals: at once, and in peace */
    void (*stop)(const torture_server *server, int number); /* SIGSTOP, SIGCONT; NULL: kill() */
    /* With TORTURE_SQL: carries out a statement as an administrator; and statements that end what
     * all others are doing just now, or their connections. */
    bool (*ask)(torture_rig *rig, const torture_server *server, const char *sql);
    const char *end_statements, *end_sessions;
} torture_program;

extern const torture_program torture_etcd, torture_memcached, torture_postgres, torture_zookeeper,
    torture_mariadb, torture_etcd_cluster, torture_zookeeper_cluster;

bool torture_is_in_path(const char *name);
/* Whether there is a Java and Debian's ZooKeeper. */
bool torture_has_zookeeper(void);
/* Whether what a server says to some bytes, on a port of this machine, has that text in it. The
 * answer goes to ret_answer. */
bool torture_port_answers(int port, const char *question, const char *expected, char *ret_answer,
                          size_t room);
/* Puts in front of a command what makes root another user, and ends it by that signal (a word) when
 * we die; returns what is behind. Nothing if we are not root. */
const char **torture_become(const char **words, const struct passwd *who, const char *dies_with_us);
/* Runs a command to its end, with its output in a log among the histories. True: it exited with 0.
 */
bool torture_ask_by(const char *const *words, const torture_rig *rig, const char *log_name);

#endif
