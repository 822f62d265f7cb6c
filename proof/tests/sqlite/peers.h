/* SPDX-License-Identifier: MIT */
/* Leading peer processes (peer.c) from a test. */
#ifndef PAWL_TESTS_SQLITE_PEERS_H
#define PAWL_TESTS_SQLITE_PEERS_H

#include "host.h"

#include <sys/types.h>

typedef struct peer_process {
    pid_t pid;
    int in, out; /* its standard input and output */
    char buffer[8192];
    size_t len;
    uint64_t next_id;
} peer_process;

extern const char *peer_program; /* the path of the peer's executable */

/* Starts `[prefix...] peer path` and waits for "up". prefix NULL: none. */
void peer_start(peer_process *p, const char *path, const char *const *prefix);
/* The same without waiting. */
void peer_launch(peer_process *p, const char *path, const char *const *prefix);
/* Waits for the next line that begins with `word`; others are dropped. Returns what follows. */
const char *peer_expect(peer_process *p, const char *word);
/* Whether no such line comes within ms. */
bool peer_is_silent(peer_process *p, const char *word, int ms);
uint64_t peer_send(peer_process *p, const char *verb, const char *name, const char *token,
                   int64_t ttl_ms, unsigned flags, int64_t answer_ms);
void peer_say(peer_process *p, const char *line);
seen_reply peer_reply(peer_process *p, uint64_t id);
seen_reply peer_call(peer_process *p, const char *verb, const char *name, const char *token,
                     int64_t ttl_ms, unsigned flags);
/* The next push of the kind. */
seen_push peer_push(peer_process *p, pawl_push_kind kind);
void peer_stop(peer_process *p);
void peer_kill(peer_process *p);

#endif
