/* SPDX-License-Identifier: MIT */
/*
 * What all real servers of the tests share: a process that dies with the test program, is waited
 * for until it is ready, stands still, and is killed by its pid. What is different from server to
 * server is in redis_server.c, postgres_server.c and their like. If something fails, each function
 * ends the test program with a message.
 */
#ifndef PAWL_TESTS_SERVER_H
#define PAWL_TESTS_SERVER_H

#include <stdbool.h>
#include <sys/types.h>

#define SERVER_PATH_MAX      256
#define SERVER_SOCKET_MAX    108 /* sun_path's size */
#define SERVER_ARGUMENTS_MAX 192

/* The program in the directories of PATH. */
bool server_find_program(const char *name, char ret_path[SERVER_PATH_MAX]);

/* "what: why" on stderr, and the end of the test program. */
_Noreturn void server_die(const char *what);

/* How a program is started. */
typedef struct server_start {
    const char *path;        /* the program, which gets it as argv[0]; NULL: argv[0] in PATH */
    const char *const *argv; /* NULL-terminated */
    const char *const *environment; /* NULL: ours */
    void (*in_child)(void);         /* NULL, or called first in the child: changes the user */
} server_start;

/*
 * Starts it. ret_log: NULL, or the read end of a pipe with its stdout and stderr. Nobody need read
 * the pipe to its end, because these servers ignore SIGPIPE.
 */
pid_t server_spawn(const server_start *start, int *ret_log);

/* Starts it, and waits until its log has a line with this text. */
pid_t server_spawn_until(const server_start *start, const char *text);

/* Starts it, and waits until it listens at a unix socket. */
pid_t server_spawn_at(const server_start *start, const char *socket);

/* Runs it to its end, which must be a success. */
void server_run(const server_start *start);

/* A connection to a unix socket; -1: nobody listens there. */
int server_connect(const char *socket);

/* Sends the signal, and waits for the end. *pid becomes 0; if it is 0, nothing is done. */
void server_end(pid_t *pid, int signal);

/* SIGSTOP, and waits until it stands still. SIGCONT ends that. */
void server_pause(pid_t pid);
void server_resume(pid_t pid);

#endif
