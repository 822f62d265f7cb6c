/* SPDX-License-Identifier: MIT */
/*
 * A worker stays in the middle of a transaction until the rig has stopped it: nobody is quick
 * enough to catch it there. It does not stop itself: the first process of a pid namespace cannot.
 */
#ifndef PAWL_TORTURE_WRITE_STOP_H
#define PAWL_TORTURE_WRITE_STOP_H

#include "../board.h"

/* Once, before the first thread. SQLite writes through us from then on. */
void torture_write_stop_install(torture_board *board, int slot);

#endif
