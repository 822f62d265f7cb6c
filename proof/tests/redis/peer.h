/* SPDX-License-Identifier: MIT */
/*
 * What stands between a client and its server, or pretends to be one: a unix
 * socket, served by a thread. What it does can be changed while it runs; it
 * holds from the next bytes on.
 */
#ifndef PAWL_TESTS_REDIS_PEER_H
#define PAWL_TESTS_REDIS_PEER_H

#include <stdbool.h>

typedef struct peer peer;

typedef enum peer_manner {
    PEER_RELAY = 0, /* passes everything on */
    PEER_BYTEWISE,  /* the same, towards the client byte by byte */
    PEER_CUT,       /* the same, and closes after peer_cut_after() bytes towards the client */
    PEER_SWALLOW,   /* passes requests on and drops what is answered */
    PEER_MUTE,      /* takes everything and says nothing */
    PEER_HTTP       /* is a web server */
} peer_manner;

peer *peer_new(const char *server);
void peer_free(peer *p);

/* Borrowed. */
const char *peer_socket(const peer *p);
void peer_behave(peer *p, peer_manner manner);
/* From now on new connections lead to this server, as after a failover behind one address. */
void peer_lead_to(peer *p, const char *server);
/* Counts from now on, all connections together. */
void peer_cut_after(peer *p, long bytes);
/* Whether PEER_CUT has cut since peer_cut_after(). */
bool peer_has_cut(peer *p);

#endif
