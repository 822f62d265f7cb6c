/* SPDX-License-Identifier: MIT */
/*
 * Looks at all locks of a store again and again; stat and top use it. One look is one question
 * (pawl_list). The pause before the next look is so long that looking takes at most a tenth of the
 * time: so watching never overloads a store, however many locks it has.
 */
#ifndef PAWL_CLI_WATCH_H
#define PAWL_CLI_WATCH_H

#include "pawl/pawl.h"

/* One lock. Texts are raw bytes that others chose. */
typedef struct cli_watch_row {
    char *name; /* NUL-terminated; name_len bytes */
    size_t name_len;
    char *owner; /* "" if unknown */
    bool held, foreign;
    pawl_mode mode;
    uint32_t capacity, units; /* of a semaphore; units: held permits, 0: not all are shown */
    size_t holder_count, waiter_count;
    int64_t remaining_ms; /* -1: never ends */
    int64_t wait_ms;      /* how long the first waiter has waited; -1: nobody waits, or unknown */
    int64_t since_s;      /* since when it is held, seconds of the epoch; -1: unknown */
    uint64_t fence;
    char *broken_by; /* NULL: nobody, or the store has forgotten */
    int64_t broken_ms;
    uint64_t broken_fence;
} cli_watch_row;

/* The result of one look. */
typedef struct cli_watch {
    cli_watch_row *rows; /* ordered by name; NULL and 0 if nothing is known */
    size_t count, room;
    int err; /* 0: rows are valid; else `reason` says why not */
    char reason[PAWL_MESSAGE_MAX];
    int64_t at_ms;   /* when the answer came, by cli_now_ms */
    int64_t took_ms; /* from the question to the answer */
} cli_watch;

/* Asks for all whose name begins with prefix. Errors are in ret_watch. */
void cli_watch_look(pawl_client *client, const char *prefix, cli_watch *ret_watch);
/* The same; fn sees each report, too. When it returns false, it is not called any more. */
void cli_watch_look_with(pawl_client *client, const char *prefix, pawl_info_fn fn, void *userdata,
                         cli_watch *ret_watch);
/* Adds a report to the rows. False, and the error in watch: no memory. */
bool cli_watch_keep(const pawl_info *info, cli_watch *watch);
void cli_watch_done(cli_watch *watch);

/* When the next look may begin: of cli_now_ms. */
int64_t cli_watch_next(const cli_watch *watch, int64_t interval_ms);

/*
 * Finds the row of that name; NULL: there is none. Rows are in the order of cli_watch_order.
 */
const cli_watch_row *cli_watch_find(const cli_watch *watch, const cli_watch_row *like);
int cli_watch_order(const void *a, const void *b);

/* Whether the holder is another one than in an earlier look; false if that look failed. */
bool cli_watch_has_changed(const cli_watch_row *row, const cli_watch *before);

typedef struct cli_watch_sums {
    size_t held, holders, waiting, queues; /* queues: locks that are waited for */
    int64_t oldest_wait_ms;                /* -1: nobody waits, or unknown */
    int64_t changed;                       /* locks with another holder than before; -1: unknown */
} cli_watch_sums;

/* before: an earlier look, which may have failed. */
void cli_watch_sum(const cli_watch *now, const cli_watch *before, cli_watch_sums *ret_sums);

#endif
