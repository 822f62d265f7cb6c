/* SPDX-License-Identifier: MIT */
/* The laws of what is made of locks, as all users of one object see it together. */
#ifndef PAWL_TESTS_THREADS_LAWS_H
#define PAWL_TESTS_THREADS_LAWS_H

#include <stdbool.h>
#include <stdint.h>

#define MEETINGS_MAX 96
#define DONE_MAX     64

/* A wait at a barrier. */
typedef struct meeting {
    char name;
    int parties, err;
    uint32_t since, ended; /* steps; ended 0: it waits */
    int64_t ended_at;
    uint64_t generation;
} meeting;

typedef struct laws {
    int64_t done[DONE_MAX]; /* of once: periods in which a success is known to the store */
    int done_count;
    int successes;                          /* that the store knows or may know */
    int counting, counted, perhaps_counted; /* of the latch: calls under way; that ended */
    meeting meetings[MEETINGS_MAX];
    int meeting_count;
    uint64_t resigned; /* the largest fence of a leader that has resigned */
    /* Two handles that wait, a latch and a barrier; others may cancel them. */
    struct {
        void *handle;          /* NULL: none waits */
        int cancelers;         /* that are about to */
        int64_t canceled_at;   /* 0: it is not */
        int64_t canceled_from; /* the first cancel began; NEVER: none did */
    } waits[2];
} laws;

/* A handle waits, and its wait is over. */
void law_waits(int which, void *handle);
/* -> when the first cancel of it began; NEVER: none did. */
int64_t law_waited(int which, void *handle, int err);
/* Cancels the handle that waits, if there is one. */
void law_cancel(int which, int (*cancel)(void *handle));
bool law_somebody_cancels(void);

/* A run has begun, or not; *ret_period: the one that it belongs to. */
void law_once_begun(int err, int64_t now_us, int64_t every_ms, int64_t *ret_period);
void law_once_ends(bool success);
void law_once_ended(int err, bool success, int64_t period);

void law_latch_counts(void);
void law_latch_counted(int err);
int law_latch_counted_so_far(void);
/* counted_before: counts that had ended well when the look began. */
void law_latch_left(int count, int left, int counted_before);

/* -> the number of the wait; -1: it is not judged */
int law_barrier_comes(char name, int parties);
void law_barrier_ended(int at, int err, uint64_t generation);

void law_resigned(int err, uint64_t fence);
uint64_t law_resigned_so_far(void);
/* What an observer hears. over: had resigned before it began; *latest: of its latest leader. */
void law_leader(uint64_t fence, const char *value, uint64_t over, uint64_t *latest);

#endif
