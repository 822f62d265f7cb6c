/* SPDX-License-Identifier: MIT */
/*
 * A real PostgreSQL for one test program: on a unix socket in a temporary directory of its own,
 * no TCP port, nothing written through to a disk. It does not run for root, so a test that does
 * runs it as the user postgres, or nobody. It dies with the program.
 */
#ifndef PAWL_TESTS_POSTGRES_SERVER_H
#define PAWL_TESTS_POSTGRES_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

typedef struct postgres_server postgres_server;

/* Whether there is a PostgreSQL to start. */
bool postgres_server_exists(void);

/*
 * Makes a database "postgres" whose superuser "pawl" needs no password, starts the server and waits
 * until it accepts connections. settings: further "name=value" strings, NULL-terminated, or
 * NULL. Exits the program with a message if it cannot.
 */
postgres_server *postgres_server_start(const char *const *settings);

/* The directory of its socket. Borrowed. */
const char *postgres_server_directory(const postgres_server *server);
/* A file beside its data, of that name; static storage until the next call. */
const char *postgres_server_file(const postgres_server *server, const char *name);

/* kill -9 of all its processes; and a new start with the same data. */
void postgres_server_kill(postgres_server *server);
void postgres_server_restart(postgres_server *server);
/* Asked to stop: SIGTERM waits for clients, SIGINT cuts them off. Waits until it has. */
void postgres_server_end(postgres_server *server, int signal);
/* The configuration is read anew. */
void postgres_server_reload(postgres_server *server);

/* SIGSTOP and SIGCONT of all its processes: it accepts and never answers. */
void postgres_server_pause(postgres_server *server);
void postgres_server_resume(postgres_server *server);

/* Runs a program of the package (pg_basebackup, createdb ...) as the server's user;
 * NULL-terminated. Exits with a message if it fails. */
void postgres_server_run(const postgres_server *server, const char *const *argv);
/* Another program that serves, as the same user: waits for a line in its log; and its end. */
bool postgres_server_has(const char *program);
pid_t postgres_server_spawn(const char *const *argv, const char *line);
void postgres_server_kill_program(pid_t pid);
/* A directory of the server's user beside its data. */
void postgres_server_directory_new(const postgres_server *server, const char *name,
                                   char ret_path[200]);
/* The server's user may read the file, and nobody else: so it wants its key. */
void postgres_server_give(const char *path);
/* A second server on the data of a directory below the first one's, such as a standby. */
postgres_server *postgres_server_beside(postgres_server *server, const char *data);
/* Starts it; settings as above. */
void postgres_server_launch(postgres_server *server, const char *const *settings);

/* Ends it and removes its directory. NULL is allowed. */
void postgres_server_stop(postgres_server *server);

#endif
