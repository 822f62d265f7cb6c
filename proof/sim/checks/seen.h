/* SPDX-License-Identifier: MIT */
/* What the checkers remember. The run tells them what happens; they change nothing in it. */
#ifndef PAWL_SIM_SEEN_H
#define PAWL_SIM_SEEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SEEN_WAITING_MAX 1024
#define SEEN_HOLDERS_MAX 1024
#define SEEN_CLIENTS_MAX 1024
#define SEEN_SLOTS_MAX   32
#define SEEN_LONG_AGO    INT64_MIN
#define SEEN_NOBODY      (-1)

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
    int extensions;       /* times that its client took an extension, */
    int64_t extended_to;  /* and told all who read by it of it */
    int unknown_scripts;  /* NOSCRIPT in a row */
    int64_t failed_at;    /* when its client was told that a request failed; 0: never */
    int failed_verb;      /* the verb of that */
    uint32_t failed_change, sent_change; /* the number of that change, of the latest one sent */
    int64_t cut_off_at;                  /* when somebody broke its lock at the store; 0: never */
    int asks;                            /* requests since window_at */
    int64_t window_at;
    int64_t left_at;      /* when the store was told of its release; 0: never */
    uint32_t left_epoch;  /* of the connection on which the store was told of its release */
    bool passed_over;     /* later ones had their turn while its place was valid */
    bool by_late_request; /* its latest ask or renewal came from a connection that is gone */
    int64_t release_at;   /* when its client first sent a release; 0: never */
    int64_t said_at;      /* when the store executed its latest ask or renewal */
    int64_t renewed_at;   /* when it confirmed the latest renewal of what is held alone; 0: not */
    bool detached;
    bool given_up; /* its caller was told of its loss: a release follows when the link is back */
    bool awaited;  /* others waited while the store had it among the holders */
    int passes;    /* to local wants since the yield */
    int grants;    /* to wants */
    int excuses;   /* of its name, when that fence was drawn */
    bool released; /* the store has said RELEASED to it */
    int64_t published; /* the serial of its latest value that the store has taken; 0: none */
    int64_t counted;   /* the same, if the store cannot have forgotten it */
    /* What it asked for last: x, s, u or p. */
    char mode;
    int units, capacity;
    int64_t own_till_ms;     /* what it was promised for its own requests, the latest of that */
    int64_t change_seen;     /* the largest number of a change that the store has executed */
    int64_t change_seen_at;  /* when it did */
    int64_t upgrade_till_ms; /* it waits to be upgraded until then, by the server's clock; or 0 */
    int64_t told_at;         /* when a caller was first told that it holds by it */
    int64_t differs_since;   /* what its client believes is not what the store has; or 0 */
    /* What the store had of it after the latest command about its name. */
    uint32_t look; /* the number of that look at the store */
    char store_mode;
    int64_t store_till_ms;
    uint32_t store_slots;
} seen_token;

/* The largest fence that any caller was told, and its token. */
typedef struct seen_told {
    uint64_t fence;
    int token;
} seen_told;

#define SEEN_VALUE_MAX    40
#define SEEN_WATCHERS_MAX 8

typedef struct seen_watcher {
    char inbox[72];
    int64_t till_ms; /* of the server's clock */
    bool told;
} seen_watcher;

/* The value beside a name, as it was published last. */
typedef struct seen_value {
    bool is_known; /* else the store has forgotten something, and anything may be there */
    bool is_set;
    char text[SEEN_VALUE_MAX]; /* "TOKEN SERIAL" */
    uint64_t fence;
    int64_t till_ms;
    seen_watcher watchers[SEEN_WATCHERS_MAX];
    int watcher_count;
} seen_value;

typedef struct seen_name {
    seen_value value;
    uint64_t last_fence;   /* of the latest grant in the store's order */
    bool record_lost;      /* the store forgot that fence */
    int excuses;           /* times that fences were allowed to go back */
    int64_t broken_at;     /* grants before this are not promised to exclude any more */
    uint64_t broken_fence; /* the latest fence then */
    int64_t unguarded_at;  /* the same, where the restart guard did not help either */
    uint64_t unguarded_fence;
    seen_told told[4]; /* by pawl_mode */
    uint64_t told_slots[SEEN_SLOTS_MAX];
    int plain_owner;               /* token number of a plain client that has the key */
    uint32_t look;                 /* at the store, after each command */
    int holders[SEEN_HOLDERS_MAX]; /* tokens that had it then */
    size_t holder_count;
    bool tampered; /* another program changed it: the holder is unknown */
    bool closed;   /* the store knows that several hold it, and not who: nobody comes in */
    int waiting[SEEN_WAITING_MAX]; /* tokens in the store's queue, in no order */
    size_t waiting_count;
    int64_t queue_lost_at; /* places that the store got back from an older state may stand in it */
} seen_name;

typedef struct seen_want {
    bool open; /* asked for, and not ended */
    bool granted, lost, releasing;
    int64_t asked_at; /* by the client's clock */
    seen_told floor;  /* the largest told before it was asked for, by those that it excludes */
    uint64_t floor_slots[SEEN_SLOTS_MAX];
    bool changing; /* it wants another mode */
    int excuses;
} seen_want;

typedef struct seen {
    seen_token *tokens;
    size_t token_count, token_room;
    seen_name names[3];
    bool went_back;   /* the server's clock did: leases live longer than anybody can know */
    bool unrecorded;  /* the server could not write the guard's record */
    bool drifted;     /* a clock went beyond the promised drift */
    int asker;        /* token of the ACQUIRE that the server executes */
    int speaker;      /* token of the command that it executes, whatever that is */
    bool asks_only;   /* the asker will not wait: it may leave its place */
    bool withdrew;    /* it took its token out of a queue, if it is executed at all */
    int unheard;      /* token of the latest grant that nobody heard of */
    int64_t wants;    /* all that were asked for */
    int64_t speeches; /* all values that somebody wanted to publish */
    int64_t pushed_at[SEEN_CLIENTS_MAX]; /* when the store last pushed to each client */
} seen;

#endif
