/* SPDX-License-Identifier: MIT */
/*
 * The requests of some pairs of acquire and release, as they went over the wire.
 * proof/bench/suite/wire.py records them and says in them what has to differ when they are
 * sent again: new tokens, and numbers that a client learns from a reply.
 *
 *     pairs COUNT
 *       pair COMMANDS                                       for each pair
 *         command LENGTH WAIT HOLES EXPECTED_LENGTH EXACT   for each command
 *         hole AT LENGTH REPLY NTH                          for each hole
 *         EXPECTED, newline, the command's bytes, newline
 */
#ifndef BENCH_RECORDING_H
#define BENCH_RECORDING_H

#include <hiredis/hiredis.h>
#include <stdbool.h>
#include <stddef.h>

/* Replies are compared, and searched for numbers, as texts: a letter for the type, the words. */
#define BENCH_REPLY_TEXT_MAX 512

/* A run of digits or hex digits of a command that is another in each turn. */
typedef struct bench_hole {
    size_t at, length;
    int reply; /* of the same pair, from which it is learned; -1: a number of our own, in hex */
    int nth;   /* which of that reply's long numbers */
} bench_hole;

typedef struct bench_request {
    char *bytes;
    size_t length;
    int wait; /* leaves when so many replies of its pair are here */
    bench_hole *holes;
    int hole_count;
    char *expected; /* how the reply's text begins */
    size_t expected_length;
    bool exact; /* and ends */
} bench_request;

typedef struct bench_pair {
    bench_request *requests;
    int count;
    int sent, answered; /* of this turn */
} bench_pair;

/* Ends the program if the file is not a recording. */
bench_pair *bench_recording_load(const char *path, int *ret_pairs);

/* A new turn: fills the holes that take numbers of our own. */
void bench_pair_restart(bench_pair *pair, unsigned number);

/*
 * The reply to the pair's oldest request: is it as expected, what do later requests learn from it?
 * Ends the program if it is not: what is measured would not be a pair any more.
 */
void bench_pair_answer(bench_pair *pair, const redisReply *reply);

#endif
