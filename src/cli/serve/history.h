/* SPDX-License-Identifier: MIT */
/*
 * Who held what when: what two looks, one after the other, show to be different. What lies between
 * them nobody has seen, so each entry has the instants of both. Bounded: so many names, and so many
 * entries of each; what had to be forgotten is counted.
 */
#ifndef PAWL_CLI_SERVE_HISTORY_H
#define PAWL_CLI_SERVE_HISTORY_H

#include <jansson.h>

#include "../watch.h"

#define SERVE_TRACKS_MAX 1000 /* names that have a past */
#define SERVE_PAST_MAX   40   /* entries of each */

typedef struct serve_history serve_history;

/* Two looks that succeeded. Instants are milliseconds of the wall clock. */
typedef struct serve_span {
    int64_t from_ms, to_ms;
    int64_t longest_ms; /* at most so much time lies between the two sights of one lock */
    bool was_away;      /* the store could not be asked in between */
} serve_span;

serve_history *serve_history_new(void); /* NULL: no memory */
void serve_history_free(serve_history *history);

/*
 * What is different now. If before failed, nothing is compared. asked: names that were held before
 * and are not in the list any more, of which some were asked for again: a list has no free locks,
 * so it does not tell of those that were broken.
 */
void serve_history_add(serve_history *history, const cli_watch *before, const cli_watch *now,
                       const cli_watch *asked, const serve_span *span);

/* A break of our own; the reason is what the visitor typed. */
void serve_history_add_break(serve_history *history, const char *name, size_t name_len,
                             const char *holder, uint64_t fence, const char *who,
                             const char *reason);

/* Of one name (len > 0), or the latest of all whose names begin with prefix. */
json_t *serve_history_json(const serve_history *history, const char *name, size_t len,
                           const char *prefix);

/* Milliseconds of the wall clock. */
int64_t serve_wall_ms(void);

#endif
