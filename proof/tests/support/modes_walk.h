/* SPDX-License-Identifier: MIT */
/*
 * A store without update locks beside the memory model: random requests for shared and exclusive
 * locks, or for permits, go to both, and both must answer, grant, tell and show the same. Nothing
 * ends by its ttl; the conformance suite has that. The walk over one exclusive lock is that of all
 * stores.
 */
#ifndef PAWL_TESTS_MODES_WALK_H
#define PAWL_TESTS_MODES_WALK_H

#include "store_rig.h"

/* Walks with the seeds from that one on; even ones ask for permits. */
void modes_walk(test_loop *loop, const store_address *address, uint64_t seed, uint64_t seeds);

#endif
