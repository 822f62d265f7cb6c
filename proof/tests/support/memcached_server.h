/* SPDX-License-Identifier: MIT */
/*
 * A real memcached for one test program: on a unix socket in a temporary directory of its own, no
 * TCP port unless asked for. It dies with the program.
 */
#ifndef PAWL_TESTS_MEMCACHED_SERVER_H
#define PAWL_TESTS_MEMCACHED_SERVER_H

#include <stdbool.h>
#include <stddef.h>

typedef struct memcached_server memcached_server;

/* Whether there is a memcached to start. */
bool memcached_server_exists(void);

/*
 * Starts it and waits until it accepts connections. arguments: further ones, NULL-terminated, or
 * NULL. Exits the program with a message if it cannot.
 */
memcached_server *memcached_server_start(const char *const *arguments);
/* The path of its socket. Borrowed. */
const char *memcached_server_socket(const memcached_server *server);

/* kill -9; and a new start, which has forgotten everything. */
void memcached_server_kill(memcached_server *server);
void memcached_server_restart(memcached_server *server);
/* SIGSTOP and SIGCONT: it accepts and never answers. */
void memcached_server_pause(memcached_server *server);
void memcached_server_resume(memcached_server *server);

/*
 * Sends a command (its line without the end, and its data if there is some) on a connection of its
 * own, and reads the first line of the answer, without its end.
 */
void memcached_server_ask(const memcached_server *server, const char *command, const char *data,
                          char *ret_line, size_t room);

/* Ends it and removes its directory. NULL is allowed. */
void memcached_server_stop(memcached_server *server);

#endif
