/* SPDX-License-Identifier: MIT */
/*
 * A real ZooKeeper for one test program, from Debian's package: one server or three, on ports of
 * the loopback that were free, with their data in a temporary directory of their own. They die with
 * the program. Its tick is short, and sessions may be long, so that tests need not wait for either.
 */
#ifndef PAWL_TESTS_ZOOKEEPER_SERVER_H
#define PAWL_TESTS_ZOOKEEPER_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define ZOOKEEPER_MEMBERS_MAX 3
#define ZOOKEEPER_TICK_MS     200 /* sessions of 400 ms to ten minutes */

typedef struct zookeeper_server zookeeper_server;

/* Whether there is a ZooKeeper to start: its jar, and a java. */
bool zookeeper_server_exists(void);

/* Starts so many servers and waits until each serves. Exits the program with a message if it
 * cannot. */
zookeeper_server *zookeeper_server_start(int members);
/* With more lines of its configuration, borrowed until the end. */
zookeeper_server *zookeeper_server_start_with(int members, const char *lines);
/* "127.0.0.1:PORT,...": of all members. Borrowed. */
const char *zookeeper_server_hosts(const zookeeper_server *server);
int zookeeper_server_port(const zookeeper_server *server, int member);

/* kill -9; and a new start on the same data and port. */
void zookeeper_server_kill(zookeeper_server *server, int member);
void zookeeper_server_restart(zookeeper_server *server, int member);
/* SIGSTOP and SIGCONT: it accepts and never answers. */
void zookeeper_server_pause(zookeeper_server *server, int member);
void zookeeper_server_resume(zookeeper_server *server, int member);
/* The member that leads now; waits until there is one. */
int zookeeper_server_leader(const zookeeper_server *server);

/* Ends them and removes their directory. NULL is allowed. */
/* How many packets of clients it has got since it was started; this question is one. */
long zookeeper_server_received(const zookeeper_server *server, int at);
void zookeeper_server_stop(zookeeper_server *server);

#endif
