/* SPDX-License-Identifier: MIT */
/*
 * The rules of pawl/store.h for one name, written down as plainly as possible:
 * an array in order of arrival, whose first element holds if `held` is set. To be
 * compared with the memory model, which is written for use.
 */
#ifndef PAWL_TESTS_ORACLE_H
#define PAWL_TESTS_ORACLE_H

#include "pawl/store.h"

#define ORACLE_ROOM 64

typedef struct oracle_owner {
    int token;
    int64_t ttl_ms;
    int64_t until; /* ns */
} oracle_owner;

typedef struct oracle {
    bool held;
    oracle_owner owners[ORACLE_ROOM];
    int count;
    uint64_t fence; /* of the latest grant */
} oracle;

typedef struct oracle_answer {
    pawl_outcome outcome;
    uint64_t fence;    /* GRANTED, CONFIRMED */
    int64_t position;  /* QUEUED */
    bool waiting;      /* GRANTED, CONFIRMED */
    int granted_token; /* to whom the lock was handed meanwhile; -1: to nobody */
} oracle_answer;

oracle_answer oracle_acquire(oracle *o, int64_t now, uint64_t wall_us, int token, int64_t ttl_ms,
                             bool queue);
oracle_answer oracle_renew(oracle *o, int64_t now, uint64_t wall_us, int token, int64_t ttl_ms);
oracle_answer oracle_release(oracle *o, int64_t now, uint64_t wall_us, int token);
oracle_answer oracle_break(oracle *o, int64_t now, uint64_t wall_us, uint64_t fence);

#endif
