/* SPDX-License-Identifier: MIT */
/* A history in memory. */
#ifndef PAWL_TORTURE_HISTORY_READ_H
#define PAWL_TORTURE_HISTORY_READ_H

#include "../history.h"

#include "pawl/types.h"

#include <stdio.h>

typedef struct torture_who {
    int slot, life; /* slot -1: nobody */
} torture_who;

typedef struct torture_record {
    int64_t at;
    torture_note note;
    int lock;
    uint64_t fence;
    int64_t number;
} torture_record;

/* One process of a slot, from its start to its end. */
typedef struct torture_life {
    torture_who who;
    torture_record *records;
    size_t count;
    int64_t killed_at; /* the instant before SIGKILL; 0: we did not */
    int64_t died_at;   /* 0: never seen */
    int status;
    bool down; /* it wrote "down" */
} torture_life;

typedef struct torture_hit {
    char fault[32];
    int64_t begin, end; /* end 0: none was written */
    torture_who who;
    torture_hurt hurts;
    int64_t forgets_from, forgets_until; /* 0: no store forgets by it */
    int64_t loses_from, loses_until;     /* the same of what stands beside names */
} torture_hit;

/* In that span the process did not run, or if `who` is nobody, nothing did. */
typedef struct torture_pause {
    torture_who who;
    int64_t from, until;
} torture_pause;

/* Until then somebody who wanted to work had no processor for that long. */
typedef struct torture_hunger {
    int64_t from, until;
} torture_hunger;

typedef struct torture_write {
    int lock;
    bool fenced;
    uint64_t fence;
    int64_t value;
    torture_who who;
} torture_write;

#define TORTURE_FAULTS_MAX 64

typedef struct torture_history {
    char setup[32];
    bool no_fences; /* the algorithm has none */
    bool no_queue;  /* the store has none */
    int workers, locks;
    int modes_lock, permits_lock; /* the name that is held in all modes, the semaphore; -1: none */
    int capacity;
    int64_t ttl_max_ms, grants_min, recover_ms, call_slack_ms, calm_slack_ms;
    int64_t aftermath_ms; /* a client that lost its connection tries again for so long */
    int64_t begun_at, hurt_at, calm_at, over_at, ended_at; /* 0: was not reached */
    int64_t hurt_commands, calm_commands, over_commands;   /* of the server until then; or -1 */
    char chosen[TORTURE_FAULTS_MAX][32];
    size_t chosen_count;
    char skipped[TORTURE_FAULTS_MAX][128];
    size_t skipped_count;

    torture_life *lives;
    size_t life_count;
    torture_hit *hits;
    size_t hit_count;
    torture_pause *pauses;
    size_t pause_count;
    torture_hunger *hungers;
    size_t hunger_count;
    torture_write *writes;
    size_t write_count;
    char (*left)[160]; /* what was left behind */
    size_t left_count;
} torture_history;

/* False after one line about what cannot be read. */
bool torture_history_read(const char *dir, torture_history *ret_history);
void torture_history_free(torture_history *history);

/* One acquisition that succeeded. */
typedef struct torture_hold {
    const torture_life *life;
    int lock;
    int64_t asked, start, end; /* end: as long as it was promised to be ours */
    uint64_t fence;
    pawl_mode mode;
    int64_t slots; /* PERMIT: bit N for slot N */
    bool parted;   /* detached: the lease is its token's, and lives on without the holder */
    bool again;    /* no new grant: a lease that its client had kept, or that was lowered */
    bool raised;   /* by an upgrade, which goes before all who queue */
} torture_hold;

/* Whether these two may not hold at one instant. */
bool torture_excludes(const torture_hold *a, const torture_hold *b);
/* How many permits it has. */
static inline int torture_units(const torture_hold *hold)
{
    return __builtin_popcountll((unsigned long long)hold->slots);
}

/* Whether more than one may have the name. */
static inline bool torture_is_shared(const torture_history *history, int lock)
{
    return lock == history->modes_lock || lock == history->permits_lock;
}

/*
 * Every hold, in order of its start; a change of the mode begins another one. The end is the latest
 * deadline that the holder was told of, or the instant before it let go, or before it was killed,
 * or broken, whichever comes first: up to there it was entitled to believe. A detached lease
 * belongs to whoever has its token: it ends with its deadline or its release.
 */
torture_hold *torture_holds(const torture_history *history, size_t *ret_count);

#define TORTURE_WARM_GRANTS_MIN 5 /* before the first fault */

/*
 * Whether there were too few grants, or too few before anything was hurt: such a run is refused,
 * and is repeated for longer. The machine had no time for it: who was how fast then says nothing.
 */
bool torture_is_thin(const torture_history *history, const torture_hold *holds, size_t count);

/*
 * Whether somebody asked, before this instant, to break the hold with that fence, and was not told
 * that there was no such hold.
 */
bool torture_is_broken(const torture_history *history, int lock, uint64_t fence, int64_t at);

/*
 * How much of the span [from, to] the process could not run: it was stopped by us, or got no
 * processor, or the machine stood still. `who` nobody: the last one alone.
 */
int64_t torture_stopped_ns(const torture_history *history, torture_who who, int64_t from,
                           int64_t to);

/*
 * Whether the table of docs/guarantees.md announces that these two hold at once: between the two
 * grants lies the instant in which the store forgot, or its clock was set forward. What it
 * confirmed after that counts in full, so the promise may reach one ttl beyond that instant and no
 * further.
 */
bool torture_is_announced(const torture_history *history, const torture_hold *a,
                          const torture_hold *b);

/* Whether a store forgot something in the span [from, until]. */
bool torture_forgets(const torture_history *history, int64_t from, int64_t until);
/* The same of what stands beside names, which no guard keeps. */
bool torture_loses(const torture_history *history, int64_t from, int64_t until);

/*
 * Whether a fault explains that this process lost a lock, or waited, in the span [from, to]: one
 * that may hurt it was under way, or had ended less than aftermath_ms before. So does a pause, and
 * that somebody starved: whoever waits for that one may be late.
 */
bool torture_is_hurt(const torture_history *history, torture_who who, int64_t from, int64_t to);

static inline bool torture_same(torture_who a, torture_who b)
{
    return a.slot == b.slot && a.life == b.life;
}

#endif
