/* SPDX-License-Identifier: MIT */
/* What the checkers remember. The world tells them what happens; they never change it. */
#ifndef PAWL_SIM_SEEN_H
#define PAWL_SIM_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEN_WAITING_MAX 64
#define SEEN_CLIENTS_MAX 8
#define SEEN_LONG_AGO    INT64_MIN
#define SEEN_NOBODY      (-1)
#define SEEN_ANYBODY     (-2) /* the store was tampered with */

/* A token that was ever drawn. Instants are true time unless said otherwise. */
typedef struct seen_token {
    int client;
    uint32_t incarnation; /* of the client that drew it */
    int name;             /* -1 until first heard of by the store */
    int64_t held_at;      /* when the store last made or confirmed it the holder; of a hand-off,
                             when it confirmed the place */
    int64_t first_at;     /* when it first joined the queue */
    int64_t arrived_at;   /* when it last did: its place may have run out meanwhile */
    int64_t asked_at;     /* when the store last told it QUEUED */
    int64_t till_ms;      /* its place lives until then, by the server's clock */
    int64_t yield_at;     /* when its client was told that somebody waits; -1: not yet */
    uint64_t granted;     /* fence of the store's latest grant to it */
    uint64_t fence;       /* the same, or drawn anew because the store lost its record */
    uint64_t floor;       /* the latest fence that a QUEUED told its client of */
    int confirms;         /* times that the store made or confirmed it the holder */
    int extensions;       /* times that its client took an extension */
    int unknown_scripts;  /* NOSCRIPT in a row */
    int64_t failed_at;    /* when its client was told that a request failed; 0: never */
    int failed_verb;      /* the verb of that */
    int64_t cut_off_at;   /* when a hand broke its lock at the store; 0: never */
    int asks;             /* requests since window_at */
    int64_t window_at;
    int64_t left_at;      /* when the store was told of its release; 0: never */
    uint32_t left_epoch;  /* of the connection on which the store was told of its release */
    bool passed_over;     /* others that came later had their turn, and its place stood */
    bool by_late_request; /* its latest ask or renewal came from a connection that is gone */
    int64_t release_at;   /* when its client first sent a release; 0: never */
    int64_t said_at;      /* when the store executed its latest ask or renewal */
    bool detached;
    int passes;    /* to local wants since the yield */
    int grants;    /* to wants */
    int excuses;   /* of its name, when that fence was drawn */
    bool released; /* the store has said RELEASED to it */
} seen_token;

typedef struct seen_name {
    uint64_t last_fence;   /* of the latest grant in the store's order */
    bool record_lost;      /* the store forgot that fence */
    int excuses;           /* times that fences were allowed to go back */
    int64_t broken_at;     /* grants before this are not promised to exclude any more */
    uint64_t broken_fence; /* the latest fence then */
    uint64_t told_fence;   /* the largest that any caller was told */
    int told_token;
    int plain_owner;               /* token number of a plain client that has the key */
    int holder;                    /* token at the store after the latest command; or SEEN_... */
    int64_t holder_until;          /* ms of the server's clock */
    int waiting[SEEN_WAITING_MAX]; /* tokens in the store's queue, in no order */
    size_t waiting_count;
} seen_name;

typedef struct seen_want {
    bool open; /* asked for, and not ended */
    bool granted, lost, releasing;
    int64_t asked_at;     /* by the client's clock */
    uint64_t floor_fence; /* the largest told before it was asked for */
    int floor_token;
    int excuses;
} seen_want;

typedef struct seen {
    seen_token *tokens;
    size_t token_count, token_room;
    seen_name names[3];
    bool went_back; /* the server's clock did: leases live longer than anybody can know */
    bool drifted;   /* a clock went beyond the promised drift */
    int asker;      /* token of the command that the server executes */
    int unheard;    /* token of the latest grant that nobody heard of */
    int64_t wants;  /* all that were asked for */
    int64_t pushed_at[SEEN_CLIENTS_MAX]; /* when the store last spoke unasked to each client */
} seen;

#endif
