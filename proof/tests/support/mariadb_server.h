/* SPDX-License-Identifier: MIT */
/*
 * A real MariaDB for one test program: on a unix socket in a temporary directory of its own, no TCP
 * port unless it is asked for, nothing forced to a disk. It does not run for root, so a test that
 * does runs it as the user mysql, or nobody. It dies with the program.
 */
#ifndef PAWL_TESTS_MARIADB_SERVER_H
#define PAWL_TESTS_MARIADB_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct mariadb_server mariadb_server;

/* Whether there is a MariaDB to start. */
bool mariadb_server_exists(void);

/*
 * Makes a database whose user "root" needs no password, starts the server and waits until it
 * accepts connections. settings: further "--name=value" strings, NULL-terminated, or NULL; they are
 * borrowed. Exits the program with a message if it cannot.
 */
mariadb_server *mariadb_server_start(const char *const *settings);

/* The server's user may read the file, and nobody else. */
void mariadb_server_give(const char *path);

/* Its socket. Borrowed. */
const char *mariadb_server_socket(const mariadb_server *server);
/* A file beside its data, of that name; static storage until the next call. */
const char *mariadb_server_file(const mariadb_server *server, const char *name);

/* kill -9; and a new start with the same data. */
void mariadb_server_kill(mariadb_server *server);
void mariadb_server_restart(mariadb_server *server);
/* The settings of the next start. */
void mariadb_server_set(mariadb_server *server, const char *const *settings);
/* Asked to stop, as an administrator does. Waits until it has. */
void mariadb_server_end(mariadb_server *server);

/* SIGSTOP and SIGCONT: it accepts and never answers. */
void mariadb_server_pause(mariadb_server *server);
void mariadb_server_resume(mariadb_server *server);

/* Ends it and removes its directory. NULL is allowed. */
void mariadb_server_stop(mariadb_server *server);

#endif
