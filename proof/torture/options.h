/* SPDX-License-Identifier: MIT */
#ifndef PAWL_TORTURE_OPTIONS_H
#define PAWL_TORTURE_OPTIONS_H

#include "torture.h"

typedef struct torture_options {
    int64_t seconds; /* of faults, for each setup */
    int64_t seed;
    int64_t workers, locks, ttl_ms;
    const char *kinds; /* comma-separated; NULL: all */
    int64_t grants_min;
    const char *stores; /* comma-separated setups or kinds of store; NULL: all */
    const char *faults; /* comma-separated; NULL: all that a setup can have */
    bool tutorial;      /* the blog's lock instead of pawl */
    bool keep;
    const char *dir;   /* where histories go; NULL: a temporary directory */
    const char *check; /* judge the histories in here, run nothing */
} torture_options;

/* True: go on. False: exit with *ret_code; --help and mistakes have been answered. */
bool torture_options_parse(int argc, char **argv, torture_options *ret_options, int *ret_code);

/* Whether a comma-separated list has the word. */
bool torture_list_has(const char *list, const char *word);

#endif
