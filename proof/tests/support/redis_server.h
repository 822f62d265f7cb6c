/* SPDX-License-Identifier: MIT */
/*
 * A real redis-server for one test program: on a unix socket in a temporary
 * directory of its own, no TCP port, no persistence. It dies with the program.
 */
#ifndef PAWL_TESTS_REDIS_SERVER_H
#define PAWL_TESTS_REDIS_SERVER_H

#include <stdbool.h>

typedef struct redis_server redis_server;

/* Whether there is a redis-server to start. */
bool redis_server_exists(void);

/*
 * Starts one and waits until it accepts connections. arguments: further
 * "--option", "value" strings, NULL-terminated, or NULL. Exits the program with
 * a message if it cannot.
 */
redis_server *redis_server_start(const char *const *arguments);

/* The same program as a Sentinel that watches what these lines of its configuration say. */
redis_server *redis_server_start_sentinel(const char *config);

/* Borrowed. */
const char *redis_server_socket(const redis_server *server);

/* One command, as "DEL key"; waits for its answer, which must be no error. */
void redis_server_command(const redis_server *server, const char *words);

/* kill -9, and a new start with the same socket and arguments. */
void redis_server_kill(redis_server *server);
void redis_server_restart(redis_server *server);
/* The same, and waits only for this line in its log: "Loading RDB". */
void redis_server_restart_to(redis_server *server, const char *line);

/* SIGSTOP and SIGCONT: it accepts and never answers. */
void redis_server_pause(redis_server *server);
void redis_server_resume(redis_server *server);

/* Ends it and removes its directory. NULL is allowed. */
void redis_server_stop(redis_server *server);

#endif
