/* SPDX-License-Identifier: MIT */
/*
 * A real etcd for one test program: one member or three, on ports of the loopback that were free,
 * with their data in a temporary directory of their own. They die with the program.
 */
#ifndef PAWL_TESTS_ETCD_SERVER_H
#define PAWL_TESTS_ETCD_SERVER_H

#include <stdbool.h>
#include <stddef.h>

#define ETCD_MEMBERS_MAX 3

typedef struct etcd_server etcd_server;

/* Whether there is an etcd to start. */
bool etcd_server_exists(void);

/* Starts so many members and waits until each answers. Exits the program with a message if it
 * cannot. */
etcd_server *etcd_server_start(int members);
/* With more arguments, NULL-terminated and borrowed until the end. tls: it listens to a second
 * port, with the certificates that are named there. */
etcd_server *etcd_server_start_with(int members, const char *const *arguments, bool tls);
/* "127.0.0.1:PORT,...": of all members. Borrowed. */
const char *etcd_server_hosts(const etcd_server *server);
int etcd_server_port(const etcd_server *server, int member);
int etcd_server_tls_port(const etcd_server *server, int member);

/* kill -9; and a new start on the same data and port. */
void etcd_server_kill(etcd_server *server, int member);
void etcd_server_restart(etcd_server *server, int member);
/* kill -9, a copy of its data, and a new start; and kill -9, that copy in place of the data, and a
 * new start: what came between is forgotten, as of one that is restored from a backup. */
void etcd_server_keep(etcd_server *server, int member);
void etcd_server_go_back(etcd_server *server, int member);
/* SIGSTOP and SIGCONT: it accepts and never answers. */
void etcd_server_pause(etcd_server *server, int member);
void etcd_server_resume(etcd_server *server, int member);
/* The member that leads now; waits until there is one. */
int etcd_server_leader(const etcd_server *server);

/*
 * POSTs JSON on a connection of its own, and reads the whole answer with its head. auth: the token
 * of a login, or NULL. False: it could not connect, or the connection broke.
 */
bool etcd_server_ask(const etcd_server *server, int member, const char *path, const char *json,
                     const char *auth, char *ret_answer, size_t room);

/* Ends them and removes their directory. NULL is allowed. */
void etcd_server_stop(etcd_server *server);

#endif
