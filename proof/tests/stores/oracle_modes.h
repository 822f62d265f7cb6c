/* SPDX-License-Identifier: MIT */
/*
 * Rules 9 to 11 of pawl/store.h for one name, written down as plainly as possible: an array of
 * all who hold or wait, in order of arrival, of which every rule is computed anew.
 */
#ifndef PAWL_TESTS_ORACLE_MODES_H
#define PAWL_TESTS_ORACLE_MODES_H

#include "pawl/store.h"

#define ORACLE_ROOM 64

typedef struct modes_owner {
    int token;
    pawl_mode mode;
    uint32_t units;
    int64_t ttl_ms;
    int64_t until; /* ns; of the lease or of the place */
    bool holds;
    uint64_t fence;
    uint32_t slots; /* a bit for each */
    bool upgrades;  /* waits for it */
    int64_t upgrade_until;
    uint32_t change;
} modes_owner;

typedef struct modes_oracle {
    modes_owner owners[ORACLE_ROOM];
    int count;
    uint32_t capacity;
    uint64_t fence; /* of the latest grant */
} modes_oracle;

typedef struct modes_answer {
    pawl_outcome outcome;
    pawl_err err;
    uint64_t fence;
    uint32_t slots;
    int64_t position;
    bool waiting;
    int handed[ORACLE_ROOM]; /* tokens to which it was handed, in order */
    int handed_count;
} modes_answer;

/* What the request asks, at `now`, of the token. */
modes_answer modes_apply(modes_oracle *o, int64_t now, uint64_t wall_us, int token,
                         const pawl_request *request);

#endif
