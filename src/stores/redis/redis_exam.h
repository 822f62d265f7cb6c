/* SPDX-License-Identifier: MIT */
/*
 * DOCTOR in two halves: redis_doctor.c asks the server, redis_findings.c says what the answers mean
 * for locks, in one table. A question that was denied becomes a note; nothing is checked for it.
 */
#ifndef PAWL_REDIS_EXAM_H
#define PAWL_REDIS_EXAM_H

#include "redis_store.h"

#define PAWL__REDIS_TIMES_MAX  50  /* questions for the server's time, one after the other */
#define PAWL__REDIS_SLOW_LINES 128 /* of SLOWLOG, which keeps as many by default */

/* Only single settings, never CONFIG GET *, whose answer contains passwords. */
typedef enum pawl__redis_question {
    PAWL__REDIS_ASK_TIME = 0,
    PAWL__REDIS_ASK_INFO,
    PAWL__REDIS_ASK_FSYNC,
    PAWL__REDIS_ASK_MIN_REPLICAS,
    PAWL__REDIS_ASK_OUTPUT_LIMIT,
    PAWL__REDIS_ASK_TIMEOUT,
    PAWL__REDIS_ASK_KEEPALIVE,
    PAWL__REDIS_ASK_SLOWLOG,
    PAWL__REDIS_ASK_PROBE,
    PAWL__REDIS_ASK_WRITE,
    PAWL__REDIS_ASK_ERASE,
    PAWL__REDIS_ASK_KEYS,
    PAWL__REDIS_ASK_TTL,
    PAWL__REDIS_QUESTIONS
} pawl__redis_question;

/* The command that asks, and the ACL rule for it. */
typedef struct pawl__redis_asking {
    const char *command, *rule, *setting; /* of CONFIG GET; NULL for other commands */
} pawl__redis_asking;
extern const pawl__redis_asking pawl__redis_askings[PAWL__REDIS_QUESTIONS];

typedef struct pawl__redis_exam {
    pawl__redis_operation operation;
    struct event pause; /* before the last reading of the clock */
    char *info;         /* INFO's text; NULL if denied */
    char settings[PAWL__REDIS_QUESTIONS][256];
    char *denied[PAWL__REDIS_QUESTIONS];
    bool incomplete; /* not every question could be sent */
    /* The clock. */
    pawl__redis_clock_reading first, last;
    int64_t wall_us; /* this machine's at the first: us since 1970 */
    int64_t answers_ns[PAWL__REDIS_TIMES_MAX];
    size_t answer_count;
    bool is_last_time; /* the last reading is under way, or over */
    /* Writing, and what scripts may do. */
    bool written;
    char *missing; /* commands that the scripts need and may not run; NULL: not known */
    /* Commands that the server took long for. */
    bool slow_known;
    size_t slow_count, slow_scripts;
    int64_t slowest_us;
    char slowest[32]; /* its name; never its arguments */
    /* Keys under the prefix. */
    bool keys_known, keys_cut; /* not all were looked at */
    char cursor[24];
    size_t key_count, endless_count;
    char endless[128];  /* one that never ends by itself */
    int64_t keys_until; /* instant */
} pawl__redis_exam;

/* Tells the host the findings. */
void pawl__redis_examine(pawl__redis_exam *exam);

/* A defect of a version, unless the distribution has fixed it. */
typedef struct pawl__redis_bug {
    const char *name, *what;
    bool valkey;
    /* The first versions without it, one for each release line that was fixed; the rest are zeroes.
     */
    short mended[6][3];
} pawl__redis_bug;
/* The bugs of this version, one after the other: NULL begins, NULL ends. */
const pawl__redis_bug *pawl__redis_next_bug(const pawl__redis_bug *before, bool valkey,
                                            const char *version);

#endif
