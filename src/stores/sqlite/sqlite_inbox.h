/* SPDX-License-Identifier: MIT */
/*
 * Pushes between processes: each client binds a datagram socket
 * `<db>-inbox/<client_id>`; a client that commits a change tells exactly the client that the change
 * concerns. A letter is a hint: it may be lost, and then the next request finds out (law 7).
 */
#ifndef PAWL_SQLITE_INBOX_H
#define PAWL_SQLITE_INBOX_H

#include "pawl/store.h"
#include "sqlite_slots.h"

#include <sys/stat.h>

#define PAWL__CLIENT_ID_LEN 32

/* The contents of a datagram, in native byte order, because sender and receiver share the machine.
 */
typedef struct pawl__letter {
    char magic[4];
    uint8_t kind; /* pawl_push_kind */
    uint8_t waiting;
    uint16_t name_len;
    uint64_t fence;
    char token[PAWL_TOKEN_LEN]; /* zeroed: none */
    pawl__slots slots;          /* GRANT of permits */
    char name[PAWL_NAME_MAX];   /* the datagram ends after name_len bytes */
} pawl__letter;

typedef enum pawl__post_result {
    PAWL__POST_SENT = 0,
    PAWL__POST_FULL,  /* the receiver reads too slowly: try again a little later */
    PAWL__POST_GONE,  /* the receiver is gone */
    PAWL__POST_FAILED /* errno; the hint is lost */
} pawl__post_result;

/* To one of the latest receivers. */
typedef struct pawl__post_line {
    int fd;                             /* unbound, non-blocking; -1: not needed yet */
    char peer[PAWL__CLIENT_ID_LEN + 1]; /* whom it is connected to; "": nobody */
} pawl__post_line;

#define PAWL__POST_LINES 8

typedef struct pawl__sqlite_inbox {
    int dir_fd; /* -1: closed */
    pawl__post_line lines[PAWL__POST_LINES];
    unsigned turn; /* whose line the next new receiver gets */
} pawl__sqlite_inbox;

void pawl__letter_write(pawl__letter *letter, pawl_push_kind kind, const char *name,
                        size_t name_len, const char *token, uint64_t fence, bool waiting);

/* Whether the datagram is a well-formed letter. */
bool pawl__letter_is_valid(const pawl__letter *letter, size_t len);

/* What a push points to, besides the letter. */
typedef struct pawl__letter_room {
    char token[PAWL_TOKEN_LEN + 1];
    uint16_t slots[PAWL_CAPACITY_MAX];
} pawl__letter_room;

/* The letter as a push, which points into the letter and the room. */
pawl_push pawl__letter_push(const pawl__letter *letter, pawl__letter_room *room);

void pawl__sqlite_inbox_init(pawl__sqlite_inbox *inbox); /* closed */
/*
 * Opens (makes, if need be) the directory, readable and writable for those who
 * may use the database. 0 or -1 with errno.
 */
int pawl__sqlite_inbox_open(pawl__sqlite_inbox *inbox, const char *dir_path,
                            const struct stat *db_stat);
void pawl__sqlite_inbox_close(pawl__sqlite_inbox *inbox);

/* A socket bound to the client's name in the directory, or -1 with errno. The caller closes it. */
int pawl__sqlite_inbox_bind(const pawl__sqlite_inbox *inbox, const char *client_id,
                            const struct stat *db_stat);
/* Whether the client's name is still there. */
bool pawl__sqlite_inbox_is_bound(const pawl__sqlite_inbox *inbox, const char *client_id);
void pawl__sqlite_inbox_unbind(const pawl__sqlite_inbox *inbox, const char *client_id);

/* Sends without blocking. A socket that nobody reads any more is removed. */
pawl__post_result pawl__sqlite_inbox_post(pawl__sqlite_inbox *inbox, const char *client_id,
                                          const pawl__letter *letter);

/* Removes sockets that crashed clients left behind: looks at PAWL__SWEEP_MAX names at most. */
void pawl__sqlite_inbox_sweep(const pawl__sqlite_inbox *inbox);
#define PAWL__SWEEP_MAX 256 /* opening a store must stay quick in a crowded directory */

#endif
