/* SPDX-License-Identifier: MIT */
/* A worker uses what is built on locks: a job that runs once in a period, latches, a barrier. */
#ifndef PAWL_TORTURE_COMPOSED_H
#define PAWL_TORTURE_COMPOSED_H

#include "../board.h"

#include <pawl/pawl.h>

/* Draws how this process uses them. Needs the client until the close. */
void torture_composed_open(pawl_client *client, const torture_board *board, torture_rng *rng);
void torture_composed_close(void);

/* Uses one of them once, and writes down what it was told. */
void torture_composed_play(torture_board *board, torture_rng *rng);

#endif
